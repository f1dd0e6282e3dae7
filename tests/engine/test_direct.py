"""The short way of a replayed call: taken when everything is as it was, left for the long way when anything is not."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph.core import knobs
from monograph.engine import direct
from monograph.engine.replay import MISS
from monograph.targets.cpu.handover import Handover
from tests.engine.twice import assert_same, plain

CALLS_TO_SETTLE = 4


def settled(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The function compiled, after enough calls to have its short way."""
    f = mg.compile(function)
    for _ in range(CALLS_TO_SETTLE):
        f(*args, **kwargs)
    assert f.engine._direct is not None
    return f


def short(f: Any, *args: Any, **kwargs: Any) -> Any:
    """The result of the short way, MISS if it does not take the call."""
    return f.engine._direct(args, kwargs)


def model() -> Any:
    mg.manual_seed(3)
    return mg.nn.Sequential(mg.nn.Linear(5, 4), mg.nn.ReLU(), mg.nn.Linear(4, 2))


def test_it_is_taken_and_gives_the_same_bits() -> None:
    m = model()
    with mg.no_grad():
        f = settled(lambda x, k: (m(x) * k, k), mg.ones(3, 5), 2)
        for i in range(3):
            x = mg.full((3, 5), float(i))
            assert_same(plain(short(f, x, 2)), plain((m(x) * 2, 2)))
        assert f.engine.captures == 1


ARGUMENTS: list[tuple[str, Callable[[], tuple[Any, ...]]]] = [
    ("another shape", lambda: (mg.ones(4, 5), 2)),
    ("another dtype", lambda: (mg.ones(3, 5, dtype=mg.float64), 2)),
    ("another number", lambda: (mg.ones(3, 5), 3)),
    ("an equal number of another type", lambda: (mg.ones(3, 5), 2.0)),
    ("a truth that equals", lambda: (mg.ones(3, 5), True)),
    ("no tensor", lambda: (5, 2)),
    ("one too few", lambda: (mg.ones(3, 5),)),
    ("a leaf", lambda: (mg.ones(3, 5, requires_grad=True), 2)),
    ("one on the tape", lambda: (mg.ones(3, 5, requires_grad=True) * 1, 2)),
    ("a container", lambda: ([mg.ones(3, 5)], 2)),
    ("a view", lambda: (mg.ones(4, 5)[1:], 2)),
]


@pytest.mark.parametrize(("name", "make"), ARGUMENTS, ids=[name for name, _ in ARGUMENTS])
def test_other_arguments_go_the_long_way(name: str, make: Callable[[], tuple[Any, ...]]) -> None:
    def function(x: Any, k: Any = 2) -> Any:
        return [x, 0] if not isinstance(x, mg.Tensor) else x * 3 + k

    f = settled(function, mg.ones(3, 5), 2)
    args = make()
    assert short(f, *args) is MISS
    assert_same(plain(f(*args)), plain(function(*args)))
    assert_same(plain(f(mg.ones(3, 5), 2)), plain(function(mg.ones(3, 5), 2)))


def test_arguments_by_name_in_containers_and_views() -> None:
    def function(batch: dict[str, Any], *, scale: Any) -> Any:
        return {"y": batch["x"] @ batch["w"] * scale}

    whole = mg.arange(40.0).reshape(8, 5)
    batch = {"x": whole[2:5], "w": mg.ones(5, 2)}
    f = settled(function, batch, scale=2.5)
    for i in range(3):
        batch = {"x": whole[i : i + 3], "w": mg.full((5, 2), float(i))}
        assert_same(plain(short(f, batch, scale=2.5)), plain(function(batch, scale=2.5)))
    assert short(f, {"w": batch["w"], "x": batch["x"]}, scale=2.5) is MISS  # another order of keys is another structure
    assert short(f, batch, scale=2.0) is MISS
    assert short(f, batch) is MISS


def test_the_same_tensor_twice_goes_the_long_way() -> None:
    def function(x: Any, y: Any) -> Any:
        x.add_(1)
        return x * y

    f = settled(function, mg.ones(3), mg.ones(3))
    x = mg.ones(3)
    for pair in ((x, x), (x, x.detach()), (x, x[:])):
        assert short(f, *pair) is MISS
    assert f(x, x).tolist() == [4.0, 4.0, 4.0]


def test_an_argument_that_is_a_parameter_goes_the_long_way() -> None:
    w = mg.zeros(3)

    def function(x: Any) -> Any:
        w.add_(1)
        return x + w

    f = settled(function, mg.ones(3))
    assert short(f, w) is MISS
    assert short(f, w.detach()) is MISS
    before = w.clone()
    assert_same(plain(f(w)), plain((before + 1) * 2))


def test_modes_and_settings() -> None:
    m = model()
    x = mg.ones(3, 5)
    with mg.no_grad():
        f = settled(m, x).engine
        call = f._direct
        assert call((x,), {}) is not MISS
        with mg.enable_grad():
            assert call((x,), {}) is MISS
        with mg.inference_mode():
            assert call((x,), {}) is MISS
        with mg.autocast("cpu", dtype=mg.bfloat16):
            assert call((x,), {}) is MISS
        with knobs.target.scoped("cpu" if knobs.target.get() == "reference" else "reference"):
            assert call((x,), {}) is MISS
        with knobs.winograd.scoped(not knobs.winograd.get()):
            assert call((x,), {}) is MISS
        mg.set_default_dtype(mg.float64)
        try:
            assert call((x,), {}) is MISS
        finally:
            mg.set_default_dtype(mg.float32)
        assert call((x,), {}) is not MISS


def test_state_that_changes() -> None:
    m = model()
    x = mg.ones(3, 5)
    with mg.no_grad():
        f = settled(m, x)
        changes: list[Callable[[], Any]] = [
            lambda: m[0].weight.mul_(2),
            lambda: m[0].weight.copy_(mg.ones(4, 5)),
            lambda: setattr(m[0].bias, "data", mg.ones(4)),
            lambda: m[2].load_state_dict({"weight": mg.ones(2, 4), "bias": mg.zeros(2)}),
            lambda: m[0].weight.numpy().fill(0.5),
            lambda: setattr(m[2], "bias", mg.nn.Parameter(mg.full((2,), 7.0))),
            lambda: m[2].weight.requires_grad_(False),
            lambda: m.eval(),
            lambda: m[1].register_forward_hook(lambda *a: a[2] + 1),
            lambda: m.append(mg.nn.Softmax(-1)),
        ]
        for change in changes:
            change()
            for _ in range(CALLS_TO_SETTLE):
                assert_same(plain(f(x)), plain(m(x)))


def test_values_that_wait_are_computed() -> None:
    w = mg.ones(3)
    f = settled(lambda x: x * w, mg.ones(3))
    w.add_(1)
    assert_same(plain(short(f, mg.ones(3) * 2 + 1)), np.full(3, 6.0, "f4"))


def test_a_training_step_takes_it() -> None:
    def make() -> tuple[Any, Any, Callable[[Any, Any], Any]]:
        m = model()
        o = mg.optim.AdamW(m.parameters(), lr=0.1)

        def step(x: Any, y: Any) -> Any:
            o.zero_grad()
            loss = mg.nn.functional.cross_entropy(m(x), y)
            loss.backward()
            o.step()
            return loss

        return m, o, step

    x, y = mg.ones(3, 5), mg.tensor([0, 1, 1])
    results, versions = [], []
    for compiled in (False, True):
        m, o, step = make()
        f = mg.compile(step) if compiled else step
        losses = []
        for i in range(8):
            o.param_groups[0]["lr"] = 0.1 / (i + 1)
            losses.append(f(x + i, y).item())
        results.append([losses, [plain(p) for p in m.parameters()], [plain(p.grad) for p in m.parameters()]])
        versions.append([p._version for p in m.parameters()])
    assert versions[0] == versions[1]
    assert_same(*results)
    assert short(f, x, y) is not MISS


def test_a_refused_index_changes_nothing() -> None:
    w = mg.zeros(4)

    def function(i: Any) -> Any:
        w.add_(1)
        return w[i]

    f = settled(function, mg.tensor([1, 2]))
    before = plain(w)
    with pytest.raises(IndexError, match="7"):
        f(mg.tensor([1, 7]))
    assert_same(plain(w), before)
    assert f(mg.tensor([0, 3])).tolist() == [before[0] + 1] * 2


def test_random_numbers_continue() -> None:
    def function(x: Any) -> Any:
        return mg.nn.functional.dropout(x, 0.5) + mg.rand(6)

    x = mg.ones(6)
    mg.manual_seed(5)
    expected = [plain(function(x)) for _ in range(7)]
    mg.manual_seed(5)
    f = mg.compile(function)
    assert_same([plain(f(x)) for _ in range(7)], expected)
    assert f.engine._direct is not None


def test_two_signatures_in_turn() -> None:
    f = settled(lambda x: x.sum() * 2, mg.ones(3))
    for _ in range(4):
        assert f(mg.ones(5)).item() == 10
        assert f(mg.ones(3)).item() == 6


def test_not_for_long_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "MOST_PLACES", 3)
    ws = [mg.ones(2) for _ in range(4)]
    f = mg.compile(lambda x: sum(w * x for w in ws))
    for _ in range(CALLS_TO_SETTLE):
        assert f(mg.ones(2)).tolist() == [4.0, 4.0]
    assert f.engine._direct is None


def test_from_several_threads() -> None:
    m = model()
    x = mg.rand(3, 5)
    with mg.no_grad():
        expected = plain(m(x))
        f = settled(m, x)
        wrong: list[Any] = []

        def serve() -> None:
            with mg.no_grad():
                for _ in range(100):
                    if plain(f(x)).tobytes() != expected.tobytes():
                        wrong.append(1)

        threads = [threading.Thread(target=serve) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not wrong


def trained(compiled: bool = True) -> tuple[Any, Any, Any]:
    """(model, optimiser, step): a training step that has been called often enough."""
    m = model()
    o = mg.optim.Adam(m.parameters(), lr=0.1)

    def step(x: Any, y: Any) -> Any:
        o.zero_grad()
        loss = mg.nn.functional.cross_entropy(m(x), y)
        loss.backward()
        o.step()
        return loss

    f = mg.compile(step) if compiled else step
    for _ in range(CALLS_TO_SETTLE):
        f(mg.ones(3, 5), mg.tensor([0, 1, 1]))
    return m, o, f


def contents(m: Any) -> list[bytes]:
    """The bytes of the parameters' values, read so that nobody else holds them afterwards."""
    return [p._node.value.array((p._node.value.nbytes,), "u1").tobytes() for p in m.parameters()]


def addresses(m: Any) -> list[int]:
    """Where the parameters' values lie."""
    return [p._node.value.ptr for p in m.parameters()]


def test_new_values_take_over_the_memory_of_the_old() -> None:
    if knobs.target.get() == "reference":
        pytest.skip("the reference makes new arrays")
    m, _, f = trained()
    x, y = mg.ones(3, 5), mg.tensor([0, 1, 1])
    before = addresses(m)
    value = weakref.ref(m[0].weight._node.value)
    f(x, y)
    assert addresses(m) == before
    assert value() is None  # another buffer at the same address: who kept something made from the old value can tell
    f(x, y)
    assert addresses(m) == before


HOLDERS: list[tuple[str, Callable[[Any], Any]]] = [
    ("an array", lambda w: w.detach().numpy()),
    ("a value still to be computed", lambda w: w * 2),
    ("a view", lambda w: w[1:]),
    ("a view off the tape", lambda w: w.detach()[1:]),
    ("a detached tensor", lambda w: w.detach()),
    ("a copy still to be made", lambda w: w.detach().clone()),
    ("the graph of another loss", lambda w: (w * w).sum()),
    ("DLPack", lambda w: np.from_dlpack(w.detach())),
]


@pytest.mark.parametrize(("name", "hold"), HOLDERS, ids=[name for name, _ in HOLDERS])
def test_who_holds_a_value_keeps_what_torch_keeps(name: str, hold: Callable[[Any], Any]) -> None:
    results = []
    for compiled in (False, True):
        m, _, f = trained(compiled)
        held = hold(m[0].weight)
        history = []
        for _ in range(3):
            f(mg.ones(3, 5), mg.tensor([0, 1, 1]))
            history.append(plain(m[0].weight))
        shared = np.array(held) if isinstance(held, np.ndarray) else plain(held)
        results.append([history, shared, [plain(p) for p in m.parameters()]])
    assert_same(*results)


def test_weights_that_another_program_has_packed() -> None:
    """A program that keeps weights in the layout of its kernels must see that they have changed, though they lie where they lay."""
    mg.manual_seed(1)
    m = mg.nn.Conv2d(3, 8, 3)
    o = mg.optim.SGD(m.parameters(), lr=0.1)

    @mg.compile
    def step(x: Any) -> None:
        o.zero_grad()
        m(x).square().mean().backward()
        o.step()

    @mg.compile
    def infer(x: Any) -> Any:
        with mg.no_grad():
            return m(x)

    x = mg.rand(2, 3, 9, 9)
    for _ in range(3):
        for _ in range(CALLS_TO_SETTLE):
            step(x)
        for _ in range(CALLS_TO_SETTLE):
            got = infer(x)
        with mg.no_grad():
            assert_same(plain(got), plain(m(x)))


def test_a_refused_label_leaves_all_parameters() -> None:
    m, _, f = trained()
    places, before = addresses(m), contents(m)
    with pytest.raises(IndexError, match="5"):
        f(mg.ones(3, 5), mg.tensor([0, 5, 1]))
    assert_same(contents(m), before)
    assert addresses(m) == places
    f(mg.ones(3, 5), mg.tensor([0, 1, 1]))
    assert contents(m) != before


@pytest.mark.parametrize("after", [False, True])
def test_an_interrupt_around_the_native_call(after: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if knobs.target.get() == "reference":
        pytest.skip("the reference makes new arrays")
    m, _, f = trained()
    x, y = mg.ones(3, 5), mg.tensor([0, 1, 1])
    places, before = addresses(m), contents(m)
    versions = [p._version for p in m.parameters()]
    run = Handover.run
    interrupted = []

    def interrupting(self: Any) -> None:
        interrupted.append(1)
        if after:
            run(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Handover, "run", interrupting)
        with pytest.raises(KeyboardInterrupt):
            f(x, y)
    assert interrupted
    assert [p._version for p in m.parameters()] == [v + after for v in versions]
    assert [a != b for a, b in zip(contents(m), before, strict=True)] == [after] * 4
    assert addresses(m) == places


def test_memory_that_is_not_ours_is_never_written_to() -> None:
    start = np.ones((4, 5), "f4")
    start.flags.writeable = False
    m, _, f = trained()
    with mg.no_grad():
        m[0].weight.data = mg.from_numpy(start.copy())
    for _ in range(3):
        f(mg.ones(3, 5), mg.tensor([0, 1, 1]))
    assert start.tolist() == [[1.0] * 5] * 4
    assert not np.array_equal(plain(m[0].weight), start)


@pytest.mark.parametrize("collecting", [True, False])
def test_a_hook_of_a_parameter_that_comes_later(collecting: bool) -> None:
    results = []
    for compiled in (False, True):
        w = mg.full((3,), 2.0, requires_grad=True)

        def step(x: Any, w: Any = w) -> Any:
            loss = (w * x).square().sum()
            if collecting:
                w.grad = None
                loss.backward()
                g = w.grad
            else:
                (g,) = mg.autograd.grad(loss, w)
            with mg.no_grad():
                w.sub_(g * 0.01)
            return loss

        f = mg.compile(step) if compiled else step
        for _ in range(CALLS_TO_SETTLE):
            f(mg.ones(3))
        w.register_hook(lambda g: g * 100)
        losses = [plain(f(mg.ones(3))) for _ in range(CALLS_TO_SETTLE)]
        results.append([losses, plain(w)])
    assert_same(*results)
