"""The profiler: what it records, when, its averages and files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

import monograph as mg
from monograph.data.files.example import fields_of
from monograph.profiler import ProfilerAction, ProfilerActivity, profile, record_function, schedule, tensorboard_trace_handler
from monograph.runtime.observing import observing


def work() -> mg.Tensor:
    y = mg.nn.functional.relu(mg.ones(32, 16) @ mg.ones(16, 8) + 1)
    mg.eval(y)
    return y


def test_kernels_ops_and_ranges_are_recorded() -> None:
    with profile(record_shapes=True) as prof, record_function("outer"):
        result = work()
    assert result.tolist() == [[17.0] * 8] * 32
    averages = {e.key: e for e in prof.key_averages()}
    kernels = [e for e in averages.values() if e.kind == "kernel"]
    assert averages["outer"].count == 1 and averages["aten::matmul"].count >= 1
    assert sum(e.flops for e in kernels) >= 2 * 32 * 16 * 8
    assert sum(e.nbytes for e in kernels) > 0
    assert any("float32[32, 8]" in e.input_shapes for e in prof.events() if e.kind == "kernel")
    outer = next(e for e in prof.events() if e.name == "outer")
    assert [c.kind for c in outer.cpu_children] == ["kernel"] * len(outer.cpu_children) and outer.cpu_children
    for kernel in outer.cpu_children:
        assert kernel.cpu_parent is outer
        assert outer.time_range.start <= kernel.time_range.start <= kernel.time_range.end <= outer.time_range.end
        assert sum(c.cpu_time_total for c in kernel.cpu_children) == pytest.approx(kernel.cpu_time_total)


def test_nobody_watches_outside_of_it() -> None:
    with profile() as prof:
        assert observing.kernels is not None
        work()
    assert observing.kernels is None
    before = len(prof.events())
    work()
    assert len(prof.events()) == before


def test_an_error_inside_ends_the_recording() -> None:
    with pytest.raises(RuntimeError, match="on purpose"), profile():
        raise RuntimeError("on purpose")
    assert observing.kernels is None


def test_two_at_once_see_the_same_kernels() -> None:
    with profile() as outer:
        with profile() as inner:
            work()
        work()
    count = [sum(e.kind == "kernel" for e in p.events()) for p in (outer, inner)]
    assert count[0] == 2 * count[1] > 0


def test_a_compiled_step_shows_its_lines() -> None:
    weight = mg.randn(16, 8)

    @mg.compile
    def step(x: mg.Tensor) -> mg.Tensor:
        return (x @ weight).tanh()

    x = mg.randn(4, 16)
    for _ in range(2):
        step(x)
    with profile(with_stack=True) as prof:
        mg.eval(step(x))
    lines = [line for e in prof.events() if e.kind == "kernel" for line in e.stack]
    assert any("test_profile.py" in line and line.endswith("in step") for line in lines)
    by_line = prof.line_averages()
    assert sum(e.cpu_time_total for e in by_line) == pytest.approx(sum(e.cpu_time_total for e in prof.events() if e.kind == "kernel"))


def test_uncompiled_work_shows_its_lines_when_asked() -> None:
    with profile(with_stack=True) as prof:
        mg.eval(mg.ones(3, 5).exp().cumsum(1))
    assert any("test_uncompiled_work" in line for e in prof.events() for line in e.stack)
    assert not mg.core.modes.MODES.now.lines  # type: ignore[attr-defined]


def test_table_is_sorted_and_limited() -> None:
    with profile() as prof:
        for _ in range(3):
            with record_function("again"):
                work()
    text = prof.key_averages().table(sort_by="cpu_time_total", row_limit=2, header="what took long")
    lines = text.splitlines()
    assert lines[0] == "what took long" and lines[2].split()[0] == "Name"
    assert lines[4].startswith("again") and lines[4].split()[6] == "3"
    assert len(lines) == 8 and lines[-1].startswith("Self CPU time total: ")
    assert "ms" in prof.key_averages().table(time_unit="ms")
    with pytest.raises(ValueError, match="sort_by='speed'"):
        prof.key_averages().table(sort_by="speed")


def test_schedule() -> None:
    plan = schedule(wait=1, warmup=1, active=2, repeat=1, skip_first=1)
    assert [plan(i).name for i in range(7)] == ["NONE", "NONE", "WARMUP", "RECORD", "RECORD_AND_SAVE", "NONE", "NONE"]
    with pytest.raises(ValueError, match="at least one active step"):
        schedule(wait=1, warmup=0, active=0)


def test_steps_of_a_schedule_are_handed_over_cycle_by_cycle() -> None:
    found: list[tuple[int, list[str]]] = []

    def ready(prof: profile) -> None:
        found.append((prof.step_num, [e.key for e in prof.key_averages() if e.kind == "range"]))

    with profile(schedule=schedule(wait=1, warmup=0, active=2, repeat=2), on_trace_ready=ready) as prof:
        for _ in range(7):
            work()
            prof.step()
        assert prof.current_action is ProfilerAction.NONE
    assert found == [(3, ["ProfilerStep#1", "ProfilerStep#2"]), (6, ["ProfilerStep#4", "ProfilerStep#5"])]


def test_without_schedule_the_end_is_the_cycle() -> None:
    called: list[profile] = []
    with profile(on_trace_ready=called.append) as prof:
        work()
    assert called == [prof]
    assert sum(e.cpu_time_total for e in prof.events() if e.kind == "kernel") > 0


def test_disabled_records_nothing() -> None:
    with profile(enabled=False) as prof:
        work()
        prof.step()
    assert list(prof.events()) == []


def test_chrome_trace(tmp_path: Path) -> None:
    with profile(with_stack=True, profile_memory=True) as prof, record_function("outer"):
        work()
    prof.add_metadata("model", "small")
    prof.export_chrome_trace(str(tmp_path / "trace.json"))
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert trace["model"] == "small"
    kinds = {row["cat"] for row in trace["traceEvents"] if row["ph"] == "X"}
    assert kinds == {"user_annotation", "kernel", "cpu_op"}
    assert any(row["ph"] == "C" and row["args"]["bytes"] >= 0 for row in trace["traceEvents"])
    kernel = next(row for row in trace["traceEvents"] if row.get("cat") == "kernel")
    assert kernel["dur"] >= 0 and kernel["args"]["bytes"] > 0


def test_tensorboard_handler_writes_a_file_for_each_cycle(tmp_path: Path) -> None:
    ready = tensorboard_trace_handler(str(tmp_path), "worker", use_gzip=True)
    with profile(schedule=schedule(wait=0, warmup=0, active=1), on_trace_ready=ready) as prof:
        for _ in range(2):
            work()
            prof.step()
    files = sorted(tmp_path.glob("worker.*.pt.trace.json.gz"))
    assert len(files) >= 2 and len(list(tmp_path.glob("plugins/profile/*/worker.xplane.pb"))) == len(files)
    with gzip.open(files[0], "rt") as file:
        assert json.load(file)["traceEvents"]


def message(data: bytes) -> dict[int, list]:
    """The fields of a protocol buffer's message by number."""
    found: dict[int, list] = {}
    for number, _, value in fields_of(memoryview(data)):
        found.setdefault(number, []).append(value if isinstance(value, int) else bytes(value))
    return found


def test_xplane_tells_every_event(tmp_path: Path) -> None:
    with profile(schedule=schedule(wait=0, warmup=0, active=3), record_shapes=True, with_stack=True) as prof:
        for _ in range(2):
            with record_function("größer"):
                work()
            prof.step()
    path = Path(prof.export_xplane(str(tmp_path), "here"))
    assert path.name == "here.xplane.pb" and path.parent.parent == tmp_path / "plugins" / "profile"
    space = message(path.read_bytes())
    assert space[4] == [b"here"] and len(space[1]) == 1
    plane = message(space[1][0])
    assert plane[2] == [b"/host:CPU"] and len(plane[3]) == 1

    def texts(number: int) -> dict[int, dict[int, list]]:
        entries = (message(entry) for entry in plane[number])
        return {entry[1][0]: message(entry[2][0]) for entry in entries}

    names, statistics = texts(4), texts(5)
    events = [message(event) for event in message(plane[3][0])[4]]
    assert len(events) == len(prof.events())
    for event, expected in zip(events, prof.events(), strict=True):
        name = names[event[1][0]]
        shown = name.get(4, name[2])[0].decode()
        told = {statistics[stat[1][0]][2][0].decode(): stat.get(4, stat.get(5))[0] for stat in map(message, event[4])}
        assert told.pop("kind").decode() == expected.kind
        assert abs(event[2][0] - expected.time_range.start * 1e6) <= 1 and abs(event[3][0] - expected.cpu_time_total * 1e6) <= 1
        assert told.pop("flops", 0) == expected.flops and told.pop("bytes_accessed", 0) == expected.nbytes
        assert told.pop("outputs", b"").decode() == ", ".join(expected.output_shapes)
        assert told.pop("source", b"").decode() == "\n".join(expected.stack)
        if expected.name.startswith("ProfilerStep#"):
            assert shown == "ProfilerStep" and f"ProfilerStep#{told.pop('step_num')}" == expected.name and told.pop("_r") == 1
        else:
            assert shown == expected.name
        assert not told
    assert {b"matmul:Matmul", "größer".encode(), b"ProfilerStep"} <= {name[2][0] for name in names.values()}


def test_xplane_of_nothing(tmp_path: Path) -> None:
    with profile() as prof:
        pass
    assert message(message(Path(prof.export_xplane(str(tmp_path))).read_bytes())[1][0])[2] == [b"/host:CPU"]


def test_memory_timeline_sees_what_is_live(tmp_path: Path) -> None:
    with profile(profile_memory=True) as prof:
        big = mg.ones(1 << 20)
        mg.eval(big)
        with record_function("still here"):
            pass
        del big
    timeline = prof.memory_timeline()
    assert [at for at, _ in timeline] == sorted(at for at, _ in timeline)
    assert max(live for _, live in timeline) - timeline[0][1] >= 4 << 20
    assert timeline[-1][1] <= max(live for _, live in timeline) - (4 << 20)
    prof.export_memory_timeline(str(tmp_path / "memory.html"))
    prof.export_memory_timeline(str(tmp_path / "memory.json"))
    assert "polyline" in (tmp_path / "memory.html").read_text()
    assert len(json.loads((tmp_path / "memory.json").read_text())) == 2
    with pytest.raises(ValueError, match=r"\.html, \.json"):
        prof.export_memory_timeline(str(tmp_path / "memory.txt"))


def test_what_was_not_recorded_is_said(tmp_path: Path) -> None:
    with profile() as prof:
        work()
    with pytest.raises(ValueError, match="with_stack=True"):
        prof.export_stacks(str(tmp_path / "stacks"))
    with pytest.raises(ValueError, match="profile_memory=True"):
        prof.memory_timeline()
    with pytest.raises(ValueError, match="activities"):
        profile(activities=["CPU"])  # type: ignore[list-item]
    profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])


def test_stacks(tmp_path: Path) -> None:
    with profile(with_stack=True) as prof:
        mg.eval(mg.rand(400, 400).exp())
    prof.export_stacks(str(tmp_path / "stacks"))
    lines = (tmp_path / "stacks").read_text().splitlines()
    assert lines and all(line.rsplit(" ", 1)[1].isdigit() for line in lines)


def test_record_function_as_a_decorator() -> None:
    @record_function("named")
    def f(x: int) -> int:
        return x + 1

    assert f(1) == 2  # nobody records
    with profile() as prof:
        assert f(2) == 3
    assert [e.key for e in prof.key_averages()] == ["named"]
