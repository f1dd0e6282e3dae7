"""`inspect`, `info`, `knobs`, `bench`, `completion`, `tensorboard`, help and exit statuses."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

import monograph as mg
from monograph import nn
from monograph.cli.exits import MEANINGS
from monograph.cli.main import parser, split_overrides
from monograph.data.files.tfrecord import framed
from tests.cli.running import monograph
from tests.house.source_tree import ROOT

COMMANDS = (
    "run demo tensorboard train evaluate predict export inspect bench info knobs completion".split()  # the whole list
)


# ---- help and statuses ----
@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples(name: str) -> None:
    shown = monograph(name, "--help")
    assert shown.status == 0 and f"monograph {name}" in shown.out.split("examples:")[1]


def test_usage_and_the_list_of_statuses() -> None:
    shown = monograph("--help")
    assert shown.status == 0 and all(name in shown.out for name in COMMANDS)
    assert all(f"{status:>3}  {meaning}" in shown.out for status, meaning in MEANINGS.items())
    for wrong in ((), ("nothing",), ("inspect",), ("train", "iris", "--nothing=3"), ("train", "iris", "--seed"), ("knobs", "nothing")):
        assert monograph(*wrong).status == 2, wrong


def test_overrides_are_taken_only_where_they_mean_something() -> None:
    assert split_overrides(["train", "c", "--trainer.max_epochs=3", "--seed", "4", "--resume"]) == (
        ["train", "c", "--resume"], [("trainer.max_epochs", "3"), ("seed", "4")],
    )  # fmt: skip
    assert split_overrides(["run", "s.py", "--seed=3"]) == (["run", "s.py", "--seed=3"], [])
    assert split_overrides(["export", "r", "--output", "m.mg"]) == (["export", "r", "--output", "m.mg"], [])


def test_ctrl_c_is_130(tmp_path: Path) -> None:
    # The handler is set by hand: a suite started in the background of a shell runs with the signal ignored.
    lines = "import signal, time", "signal.signal(signal.SIGINT, signal.default_int_handler)", "print('here', flush=True)", "time.sleep(60)"
    (tmp_path / "waits.py").write_text("\n".join(lines), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    program = [sys.executable, "-m", "monograph", "run", "waits.py"]
    with subprocess.Popen(program, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "here\n"
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "KeyboardInterrupt" in err


# ---- inspect ----
@pytest.fixture
def files(tmp_path: Path) -> Path:
    model = nn.Linear(3, 2)
    mg.save({"a": mg.zeros(2, 3), "deep": [mg.ones(4, dtype=mg.bfloat16)], "lr": 0.5, "bad": float("nan")}, tmp_path / "own.pt")
    np.savez(tmp_path / "some.npz", x=np.zeros((5, 2), np.int16))
    np.save(tmp_path / "one.npy", np.zeros(3))
    program = mg.export.export(model, (mg.zeros(2, 3),), dynamic_shapes=({0: mg.export.Dim("batch")},))
    mg.export.save(program, tmp_path / "model.mg")
    header = json.dumps({"__metadata__": {"format": "pt"}, "w": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}).encode()
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "kind", "tensors"),
    [
        ("own.pt", "saved object", {"a": ([2, 3], "float32", 24), "deep[0]": ([4], "bfloat16", 8)}),
        ("some.npz", "NumPy archive", {"x": ([5, 2], "int16", 20)}),
        ("one.npy", "NumPy array", {"(itself)": ([3], "float64", 24)}),
        ("model.mg", "artifact", {"weight": ([2, 3], "float32", 24), "bias": ([2], "float32", 8)}),
        ("w.safetensors", "safetensors", {"w": ([2, 2], "BF16", 8)}),
    ],
)
def test_inspect(files: Path, name: str, kind: str, tensors: dict) -> None:
    shown = monograph("inspect", files / name, "--json")
    assert shown.status == 0, shown.err
    found = json.loads(shown.out)
    assert found["kind"] == kind and found["bytes"] == (files / name).stat().st_size
    assert {t["name"]: (t["shape"], t["dtype"], t["bytes"]) for t in found["tensors"]} == tensors
    assert found["total_bytes"] == sum(t[2] for t in tensors.values())
    text = monograph("inspect", files / name)
    assert text.status == 0 and kind in text.out and all(t in text.out for t in tensors)


def test_inspect_tells_more_of_some_kinds(files: Path) -> None:
    artifact = monograph("inspect", files / "model.mg")
    assert "float32[batch, 3]" in artifact.out and "%weight = input" in artifact.out
    assert json.loads(monograph("inspect", files / "own.pt", "--json").out)["values"] == {"lr": 0.5, "bad": "nan"}
    assert json.loads(monograph("inspect", files / "w.safetensors", "--json").out)["metadata"] == {"format": "pt"}


def field(number: int, kind: int, data: bytes) -> bytes:
    return bytes([number << 3 | kind]) + (bytes([len(data)]) if kind == 2 else b"") + data


def event(step: int, *values: bytes) -> bytes:
    summary = b"".join(field(1, 2, v) for v in values)
    return framed(field(1, 1, struct.pack("<d", 1.7e9 + step)) + field(2, 0, bytes([step])) + field(5, 2, summary))


def test_inspect_event_files(tmp_path: Path) -> None:
    old = [field(1, 2, b"loss") + field(2, 5, struct.pack("<f", v)) for v in (2.0, 0.5)]
    tensor = field(1, 0, b"\1") + field(4, 2, struct.pack("<f", 0.25))
    new = field(1, 2, b"accuracy") + field(8, 2, tensor) + field(9, 2, field(1, 2, field(1, 2, b"scalars")))
    picture = field(1, 2, b"digits") + field(4, 2, b"")
    first = framed(field(1, 1, struct.pack("<d", 1.7e9)) + field(3, 2, b"brain.Event:2"))
    path = tmp_path / "events.out.tfevents.1.host"
    path.write_bytes(first + event(1, old[0], picture) + event(9, old[1], new))
    found = json.loads(monograph("inspect", path, "--json").out)
    assert (found["version"], found["events"], found["others"], found["damaged"]) == ("brain.Event:2", 3, {"image": ["digits"]}, None)
    assert found["scalars"] == [
        {"tag": "accuracy", "count": 1, "first_step": 9, "last_step": 9, "last": 0.25},
        {"tag": "loss", "count": 2, "first_step": 1, "last_step": 9, "last": 0.5},
    ]
    assert "loss" in monograph("inspect", path).out
    path.write_bytes(path.read_bytes()[:-3])  # a run that was killed while it wrote
    cut = json.loads(monograph("inspect", path, "--json").out)
    assert cut["events"] == 2 and "truncated" in cut["damaged"]


def test_inspect_refuses_with_status_4(files: Path) -> None:
    (files / "empty").write_bytes(b"")
    (files / "text.pt").write_text("<html>", encoding="utf-8")
    (files / "cut.mg").write_bytes((files / "model.mg").read_bytes()[:-20])
    (files / "cut.safetensors").write_bytes((files / "w.safetensors").read_bytes()[:-2])
    (files / "events.tfevents.1").write_bytes(b"nothing of the kind")
    with zipfile.ZipFile(files / "other.zip", "w") as archive:
        archive.writestr("a.txt", "")
    for name in ("none", "empty", "text.pt", "cut.mg", "cut.safetensors", "events.tfevents.1", "other.zip", "."):
        shown = monograph("inspect", files / name)
        assert shown.status == 4 and shown.err.count("\n") == 1 and "Traceback" not in shown.err, (name, shown)


# ---- what is there ----
def test_info_and_knobs(monkeypatch: pytest.MonkeyPatch) -> None:
    found = json.loads(monograph("info", "--json").out)
    assert found["packages"]["numpy"] == np.__version__ and found["threads"] >= 1 and found["caches"]["l1d"] > 0
    told = monograph("info").out
    assert found["processor"] in told and "follows torch" in told
    shown = json.loads(monograph("knobs", "--json").out)
    assert {"target", "num_threads", "cache_dir"} <= set(shown) and shown["debug"]["variable"] == "MONOGRAPH_DEBUG"
    assert "MONOGRAPH_EAGER" in monograph("knobs", "eager").out and "MONOGRAPH_DEBUG" not in monograph("knobs", "eager").out


def test_bench() -> None:
    found = json.loads(monograph("bench", "--quick", "--json").out)
    assert found["machine"]["flops"] > 0 and len(found["timings"]) == 3
    assert all(t["seconds"] >= t["best"] > 0 and t["rate"] > 0 for t in found["timings"])


def test_tensorboard_says_what_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert monograph("tensorboard", tmp_path / "none").status == 4
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    shown = monograph("tensorboard", tmp_path)
    assert shown.status == 1 and "pip install 'monograph[tensorboard]'" in shown.err


# ---- completion ----
ASK = {
    "bash": """
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); compopt() {{ :; }}
source SCRIPT; _monograph; printf '%s\\n' "${{COMPREPLY[@]}}"
""",
    "fish": "source SCRIPT; complete -C '{line}'",
    "zsh": """
autoload -Uz compinit; compinit -u -D
compdef() {{ :; }}
compadd() {{ print -rl -- "$@"; }}
_describe() {{ print -rl -- "${{(@P)2}}"; }}
_arguments() {{ print -rl -- "$@"; }}
source SCRIPT; words=({words}); CURRENT=${{#words}}; _monograph
""",
}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, tmp_path: Path) -> None:
    made = monograph("completion", shell)
    assert made.status == 0 and all(name in made.out for name in COMMANDS) and "--trainer.max_epochs=" in made.out.replace("=-", "=")
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: what it would make of the script is not looked at")
    script = tmp_path / "script"
    script.write_text(made.out, encoding="utf-8")
    assert subprocess.run([shell, "-n", str(script)], capture_output=True).returncode == 0
    for line, wanted in (("monograph tr", "train"), ("monograph completion ", "fish"), ("monograph evaluate run --on ", "validation"),
                         ("monograph train --trainer.max_ep", "--trainer.max_epochs")):  # fmt: skip
        words = " ".join(line.split()) + (" ''" if line.endswith(" ") else "")
        program = ASK[shell].format(words=words, line=line).replace("SCRIPT", str(script))
        flags = ["--norc"] if shell == "bash" else ["-f"] if shell == "zsh" else ["--no-config"]
        result = subprocess.run([shell, *flags, "-c", program], capture_output=True, text=True, timeout=60, cwd=tmp_path)
        assert wanted in result.stdout, (line, result)


def test_every_command_is_in_the_list() -> None:
    actions = parser()._subparsers._group_actions  # type: ignore[union-attr]
    assert set(actions[0].choices or ()) == set(COMMANDS)
