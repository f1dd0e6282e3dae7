"""Nothing that the traced code could read is ever stale."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph import nn
from tests.engine.twice import floats, replays

SCALE = 2.0
CONFIG: dict[str, Any] = {"scale": 2.0, "nested": {"bias": [1.0, 2.0]}}


def _value(t: Any) -> float:
    return t.item()


def test_changed_global() -> None:
    global SCALE
    f = mg.compile(lambda x: (x * SCALE).sum())
    try:
        assert [f(mg.ones(2)).item() for _ in range(3)] == [4.0] * 3
        SCALE = 5.0
        assert [f(mg.ones(2)).item() for _ in range(3)] == [10.0] * 3
        SCALE = 2.0
        assert f(mg.ones(2)).item() == 4.0
        assert f.engine.captures == 2
    finally:
        SCALE = 2.0


def test_equal_value_is_no_change() -> None:
    global SCALE
    f = mg.compile(lambda x: (x * SCALE).sum())
    f(mg.ones(2))
    SCALE = float("2.0")
    f(mg.ones(2))
    assert f.engine.captures == 1


def test_int_and_float_and_bool_are_not_the_same() -> None:
    box = {"k": 1}

    @mg.compile
    def f(x: Any) -> Any:
        return x * box["k"]

    x = mg.tensor([1, 2])
    assert f(x).dtype is mg.int64
    box["k"] = 1.0
    assert f(x).dtype is mg.float32
    box["k"] = True
    assert f(x).dtype is mg.int64


def test_changed_closure_cell_and_container_in_it() -> None:
    factor, many = 2.0, [1.0, 2.0]

    @mg.compile
    def f(x: Any) -> Any:
        return (x * factor + sum(many)).sum()

    assert f(mg.ones(1)).item() == 5.0
    factor = 3.0
    assert f(mg.ones(1)).item() == 6.0
    many.append(1.0)
    assert f(mg.ones(1)).item() == 7.0
    many[0] = 0.0
    assert f(mg.ones(1)).item() == 6.0


def test_changed_content_of_a_default_argument() -> None:
    def g(x: Any, weights: Any = [1.0, 2.0], *, more: Any = {"a": 1.0}) -> Any:  # noqa: B006 - a mutable default is the point
        return x * weights[0] + weights[1] + more["a"]

    f = mg.compile(g)
    assert f(mg.ones(())).item() == 4.0
    g.__defaults__[0][1] = 5.0  # type: ignore[index]
    assert f(mg.ones(())).item() == 7.0
    g.__kwdefaults__["more"]["a"] = 0.0
    assert f(mg.ones(())).item() == 6.0
    g.__defaults__ = ([2.0, 0.0],)
    assert f(mg.ones(())).item() == 2.0


def test_config_dict_changed_in_place() -> None:
    def helper(x: Any) -> Any:
        return x * CONFIG["scale"] + CONFIG["nested"]["bias"][0]

    f = mg.compile(lambda x: helper(x))
    assert f(mg.ones(())).item() == 3.0
    CONFIG["nested"]["bias"][0] = 10.0
    try:
        assert f(mg.ones(())).item() == 12.0
    finally:
        CONFIG["nested"]["bias"][0] = 1.0
    assert f(mg.ones(())).item() == 3.0


class _Plain:
    factor = 2.0

    def __init__(self) -> None:
        self.inner = types.SimpleNamespace(bias=1.0)
        self.unrelated = 0

    def scaled(self, x: Any) -> Any:
        return x * self.factor + self.inner.bias


def test_plain_object() -> None:
    owner = _Plain()
    f = mg.compile(owner.scaled)
    assert f(mg.ones(())).item() == 3.0
    owner.inner.bias = 2.0
    assert f(mg.ones(())).item() == 4.0
    owner.factor = 3.0
    assert f(mg.ones(())).item() == 5.0
    captures = f.engine.captures
    owner.unrelated = 1
    f(mg.ones(()))
    assert f.engine.captures == captures


def test_class_attribute_and_monkeypatched_method(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = _Plain()
    f = mg.compile(lambda x: owner.scaled(x))
    assert f(mg.ones(())).item() == 3.0
    monkeypatch.setattr(_Plain, "factor", 5.0)
    assert f(mg.ones(())).item() == 6.0
    monkeypatch.setattr(_Plain, "scaled", lambda self, x: x - 1)
    assert f(mg.ones(())).item() == 0.0
    owner.scaled = lambda x: x + 41  # type: ignore[method-assign]
    assert f(mg.ones(())).item() == 42.0


def test_replaced_library_function(monkeypatch: pytest.MonkeyPatch) -> None:
    f = mg.compile(lambda x: nn.functional.relu(x))
    assert f(mg.tensor(-1.0)).item() == 0.0
    monkeypatch.setattr(nn.functional, "relu", lambda x: x * 2)
    assert f(mg.tensor(-1.0)).item() == -2.0


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.drop = nn.Dropout(0.5)
        self.scale = 1.0
        self.config = {"sign": 1.0}

    def forward(self, x: Any) -> Any:
        return self.drop(self.fc(x)) * self.scale * self.config["sign"]


def test_module_modes_attributes_and_parts() -> None:
    mg.manual_seed(0)
    net, x = _Net(), mg.tensor(floats(64, 4))
    f = mg.compile(net)

    def expect_same() -> None:
        with mg.no_grad():
            for _ in range(2):
                mg.manual_seed(3)
                a = f(x)
                mg.manual_seed(3)
                b = net(x)
                assert np.array_equal(a.numpy(), b.numpy())

    expect_same()
    net.eval()
    expect_same()
    net.train()
    expect_same()
    net.drop.p = 0.1
    expect_same()
    net.scale = 3.0
    expect_same()
    net.config["sign"] = -1.0
    expect_same()
    net.fc = nn.Linear(4, 4)
    expect_same()
    net.fc.weight = nn.Parameter(mg.ones(4, 4))
    expect_same()
    net.fc.bias = None
    expect_same()
    net.fc.weight.data = mg.zeros(4, 4)
    expect_same()
    handle = net.fc.register_forward_hook(lambda m, a, y: y + 1)
    expect_same()
    handle.remove()
    expect_same()
    net.forward = types.MethodType(lambda self, x: x * 7, net)  # type: ignore[method-assign]
    expect_same()


def test_flip_flop_between_train_and_eval_captures_once_each() -> None:
    net, x = _Net(), mg.ones(2, 4)
    f = mg.compile(net)
    with mg.no_grad():
        for _ in range(4):
            net.train()
            f(x)
            net.eval()
            f(x)
    assert f.engine.captures == 2


def test_global_hooks() -> None:
    from monograph.nn.hooks import register_module_forward_hook  # noqa: PLC0415

    net = nn.Identity()
    f = mg.compile(lambda x: net(x) * 1)
    assert f(mg.ones(())).item() == 1.0
    handle = register_module_forward_hook(lambda m, a, y: y + 1)
    assert f(mg.ones(())).item() == 2.0
    handle.remove()
    assert f(mg.ones(())).item() == 1.0


def test_frozen_parameter() -> None:
    w, v = mg.ones(2, requires_grad=True), mg.ones(2, requires_grad=True)

    @mg.compile
    def f(x: Any) -> Any:
        (x * w * v).sum().backward()

    f(mg.ones(2))
    v.requires_grad_(False)
    v.grad = w.grad = None
    f(mg.ones(2))
    assert v.grad is None and w.grad is not None


def test_grad_mode_default_dtype_and_arguments() -> None:
    w = mg.ones(2, requires_grad=True)
    f = mg.compile(lambda x, k=1.0, flag=True: x * w * k if flag else x + k)
    assert f(mg.ones(2)).requires_grad
    with mg.no_grad():
        assert not f(mg.ones(2)).requires_grad
    assert f(mg.ones(2), 3.0).tolist() == [3.0, 3.0]
    assert f(mg.ones(2), k=4.0).tolist() == [4.0, 4.0]
    assert f(mg.ones(2), 3, flag=False).tolist() == [4.0, 4.0]
    assert f(mg.ones(3, 2)).shape == (3, 2)
    assert f(mg.ones(2, dtype=mg.float64)).dtype is mg.float64
    g = mg.compile(lambda: mg.zeros(1))
    assert g().dtype is mg.float32
    mg.set_default_dtype(mg.float64)
    try:
        assert g().dtype is mg.float64
    finally:
        mg.set_default_dtype(mg.float32)


def test_tensor_rebound_in_an_attribute() -> None:
    owner = types.SimpleNamespace(t=mg.ones(2))
    f = mg.compile(lambda x: (x + owner.t).sum())
    assert f(mg.ones(2)).item() == 4.0
    owner.t = mg.zeros(2)
    assert f(mg.ones(2)).item() == 2.0
    owner.t.add_(1)
    assert f(mg.ones(2)).item() == 4.0
    owner.t[0] = 5.0
    assert f(mg.ones(2)).item() == 8.0


def test_numpy_array_changed_in_place() -> None:
    table = np.ones(3, np.float32)
    copied = mg.compile(lambda x: (x + mg.tensor(table)).sum())
    shared = mg.compile(lambda x: (x + mg.from_numpy(table)).sum())
    assert copied(mg.ones(3)).item() == shared(mg.ones(3)).item() == 6.0
    table[0] = 4.0
    assert copied(mg.ones(3)).item() == shared(mg.ones(3)).item() == 9.0
    assert copied(mg.ones(3)).item() == shared(mg.ones(3)).item() == 9.0


def test_argument_array_shared_with_numpy() -> None:
    a = np.ones(3, np.float32)
    f = mg.compile(lambda x: x.sum())
    x = mg.from_numpy(a)
    assert f(x).item() == 3.0
    a[:] = 2
    assert f(x).item() == 6.0
    assert replays(f) == 1


def test_python_state_changed_by_the_function_runs_uncompiled() -> None:
    counter = {"n": 0}
    seen: list[Any] = []

    @mg.compile
    def f(x: Any) -> Any:
        counter["n"] += 1
        seen.append(x.sum().detach())
        return x * counter["n"]

    assert [f(mg.ones(())).item() for _ in range(6)] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert counter["n"] == 6 and [s.item() for s in seen] == [1.0] * 6
    assert any("changes" in r for r in f.engine.reasons)


def test_attribute_state_changed_by_the_function() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = mg.zeros(2)
            self.register_buffer("seen", mg.zeros(()))

        def forward(self, x: Any) -> Any:
            self.hidden = self.hidden * 0.5 + x
            self.seen += 1
            return self.hidden

    a, b = Recurrent(), Recurrent()
    f = mg.compile(b)
    for i in range(6):
        x = mg.full((2,), float(i))
        assert a(x).tolist() == f(x).tolist()
        assert a.seen.item() == b.seen.item() == i + 1


def test_effects_and_foreign_randomness_run_uncompiled(capsys: pytest.CaptureFixture[str]) -> None:
    @mg.compile
    def f(x: Any) -> Any:
        print("called")
        return x + 1

    @mg.compile
    def g(x: Any) -> Any:
        return x + np.random.rand()

    for _ in range(4):
        f(mg.ones(()))
    assert capsys.readouterr().out.count("called") == 4
    assert any("print()" in r for r in f.engine.reasons)
    assert len({g(mg.zeros(())).item() for _ in range(4)}) == 4


def test_generator_used_up_by_calls() -> None:
    numbers = iter([1.0, 2.0, 3.0, 4.0])
    running = (n for n in [9.0, 1.0, 2.0, 3.0, 4.0])
    next(running)
    f = mg.compile(lambda x: x * next(numbers))
    g = mg.compile(lambda x: x * next(running))
    assert [f(mg.ones(())).item() for _ in range(4)] == [1.0, 2.0, 3.0, 4.0]
    assert [g(mg.ones(())).item() for _ in range(4)] == [1.0, 2.0, 3.0, 4.0]


def test_unhashable_and_object_arguments() -> None:
    f = mg.compile(lambda batch, options: (batch["x"] * options["k"] + batch["more"][0]).sum())
    options = {"k": 2.0}
    batch = {"x": mg.ones(2), "more": [mg.ones(2), 3]}
    assert f(batch, options).item() == 6.0
    options["k"] = 3.0
    assert f(batch, options).item() == 8.0
    owner = _Plain()
    g = mg.compile(lambda x, o: x * o.factor)
    assert g(mg.ones(()), owner).item() == 2.0
    owner.factor = 4.0
    assert g(mg.ones(()), owner).item() == 4.0
    other = _Plain()
    assert g(mg.ones(()), other).item() == 2.0


def test_argument_container_changed_by_the_function() -> None:
    @mg.compile
    def f(batch: Any) -> Any:
        batch["y"] = batch["x"] * 2
        return batch

    for i in range(5):
        batch = {"x": mg.full((), float(i))}
        f(batch)
        assert batch["y"].item() == 2.0 * i


def test_nonlocal_and_global_assignment() -> None:
    total: Any = mg.zeros(())

    @mg.compile
    def f(x: Any) -> Any:
        nonlocal total
        total = total + x
        return x * 1

    for i in range(5):
        f(mg.ones(()))
        assert total.item() == i + 1


def test_many_different_objects_do_not_pile_up() -> None:
    f = mg.compile(lambda x, o: x + 1)
    for _ in range(200):
        assert f(mg.ones(()), object()).item() == 2.0
    assert len(f.engine.signatures) <= 64


def test_a_function_that_names_itself() -> None:
    calls = []

    class Worker:
        def work(self, x: Any) -> Any:
            return x + 1

    worker = Worker()

    @mg.compile
    def work(x: Any) -> Any:
        return worker.work(x) if work is not None else x

    calls += [work(mg.ones(())).item() for _ in range(5)]
    assert calls == [2.0] * 5 and replays(work) == 4
