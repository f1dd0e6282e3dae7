"""Compiled functions inside a larger graph: gradients flow through, of any order; hooks, views, in-place writes and errors are right."""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph import nn, optim
from monograph.engine.replay import Entry
from monograph.nn import functional as F
from tests.engine.twice import assert_same, both, floats, plain, replays


def test_compiled_model_trained_outside() -> None:
    def run(compiled: bool) -> Any:
        mg.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 2))
        call = mg.compile(model) if compiled else model
        optimizer = optim.Adam(model.parameters(), lr=0.05)
        losses = []
        for i in range(5):
            x, y = mg.tensor(floats(6, 4, seed=i)), mg.tensor(np.random.default_rng(i).integers(0, 2, 6))
            loss = F.cross_entropy(call(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if compiled:
            assert replays(call) == 4
        return losses, plain(model.state_dict())

    (a, s), (b, t) = run(False), run(True)
    assert a == b
    assert_same(s, t)


def test_gradients_into_arguments_and_second_order() -> None:
    f = mg.compile(lambda x, y: (x**3 * y).sum())
    for _ in range(3):
        x, y = mg.tensor([1.0, 2.0], requires_grad=True), mg.tensor([3.0, 4.0], requires_grad=True)
        h = x * 1
        (g,) = mg.autograd.grad(f(h, y), x, create_graph=True)
        assert g.tolist() == [9.0, 48.0]
        (gg,) = mg.autograd.grad(g.sum(), x)
        assert gg.tolist() == [18.0, 48.0]
    assert replays(f) == 2


def test_gradient_penalty_inside() -> None:
    def make() -> tuple[Any, Any]:
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            z = x.detach().requires_grad_()
            (g,) = mg.autograd.grad(model(z).sum(), z, create_graph=True)
            loss = ((g.norm(2, 1) - 1) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss.detach()

        return step, lambda: list(model.parameters())

    c = both(make, [(floats(5, 3, seed=i),) for i in range(4)])
    assert replays(c) >= 2


def test_overwritten_value_is_an_error_after_a_replay() -> None:
    w = mg.ones(2, requires_grad=True)

    @mg.compile
    def bump() -> None:
        with mg.no_grad():
            w.add_(1)

    bump()
    for _ in range(2):
        loss = (w * w).sum()
        bump()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


def test_consumed_tape_stays_consumed() -> None:
    w = mg.ones(2, requires_grad=True)

    @mg.compile
    def f(x: Any) -> Any:
        loss = (x * w * w).sum()
        loss.backward()
        return loss

    for _ in range(3):
        loss = f(mg.ones(2))
        assert loss.requires_grad
        with pytest.raises(RuntimeError, match="second time"):
            loss.backward()


def test_returned_inputs_views_and_twins() -> None:
    state = mg.zeros(4)

    @mg.compile
    def f(x: Any) -> Any:
        state.add_(1)
        y = x * 2
        return x, state, state[1:3], y, y[0], y.view(2, 2), state.detach()

    for n in range(1, 4):
        x = mg.ones(4)
        a, b, c, y, y0, yv, d = f(x)
        assert a is x and b is state
        c.add_(10)
        assert state.tolist() == [n, n + 10, n + 10, n]
        assert d.tolist() == state.tolist()
        c.sub_(10)
        y0.fill_(7)
        assert y[0].item() == 7 and yv[0, 0].item() == 7


def test_in_place_on_arguments_and_slices() -> None:
    f = mg.compile(lambda x: x.mul_(2).sum())
    data = mg.ones(6)
    for i in range(3):
        x = mg.ones(2)
        assert f(x).item() == 4.0 and x.tolist() == [2.0, 2.0]
        assert f(data[2 * i : 2 * i + 2]).item() == 4.0
    assert data.tolist() == [2.0] * 6


def test_slices_of_a_large_tensor_as_batches() -> None:
    data = mg.tensor(floats(32, 3))
    f = mg.compile(lambda x, y: (x * y).sum(1))
    for i in range(0, 32, 8):
        x = data[i : i + 8]
        assert_same(plain(f(x, x + 1)), plain((x * (x + 1)).sum(1)))
        assert_same(plain(f(x, data[i : i + 8])), plain((x * x).sum(1)))
    assert f.engine.captures == 2


def test_aliased_arguments() -> None:
    @mg.compile
    def f(x: Any, y: Any) -> Any:
        x.add_(1)
        return x + y

    a, b = mg.ones(2), mg.ones(2)
    assert f(a, b).tolist() == [3.0, 3.0]
    assert f(a, a).tolist() == [6.0, 6.0]
    assert f(a, a.detach()).tolist() == [8.0, 8.0]
    assert f(b, a).tolist() == [6.0, 6.0]
    assert b.tolist() == [2.0, 2.0]


def test_argument_that_is_also_bound() -> None:
    w = mg.ones(2)

    @mg.compile
    def f(x: Any) -> Any:
        w.add_(1)
        return x * 1

    assert f(mg.zeros(2)).tolist() == [0.0, 0.0]
    assert f(w).tolist() == [3.0, 3.0]
    assert f(w.detach()).tolist() == [4.0, 4.0]
    assert f(w[:]).tolist() == [5.0, 5.0]
    assert f(mg.zeros(2)).tolist() == [0.0, 0.0]
    assert w.tolist() == [6.0, 6.0]


def test_data_copy_and_old_style_optimizer() -> None:
    def make() -> tuple[Any, Any]:
        w = mg.tensor(floats(3), requires_grad=True)

        def step(x: Any) -> Any:
            loss = ((w * x) ** 2).sum()
            loss.backward()
            w.data.add_(w.grad.data, alpha=-0.1)
            w.grad.data.zero_()
            return loss.detach()

        return step, lambda: [w, w.grad]

    c = both(make, [(floats(3, seed=i),) for i in range(5)])
    assert replays(c) >= 3


def test_tensor_hooks_and_retained_gradients() -> None:
    w = mg.ones(2, requires_grad=True)

    @mg.compile
    def f(x: Any) -> Any:
        w.grad = None
        h = x * w
        h.register_hook(lambda g: g * 3)
        h.sum().backward()
        return w.grad

    for i in range(3):
        assert f(mg.full((2,), float(i))).tolist() == [3.0 * i] * 2


def test_custom_function_inside_and_outside() -> None:
    class Double(mg.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return 100 * g * x

    w = mg.tensor([1.0, 2.0], requires_grad=True)

    @mg.compile
    def inside(x: Any) -> Any:
        w.grad = None
        Double.apply(w * x).sum().backward()
        return w.grad

    outside = mg.compile(lambda x: Double.apply(x).sum())
    for i in range(1, 4):
        assert inside(mg.full((2,), float(i))).tolist() == [100.0 * i * i, 200.0 * i * i]
        x = mg.full((2,), float(i), requires_grad=True)
        outside(x).backward()
        assert x.grad.tolist() == [100.0 * i] * 2


def test_exceptions_leave_everything_as_an_uncompiled_call_would() -> None:
    w = mg.zeros(())

    @mg.compile
    def f(x: Any, bad: bool) -> Any:
        w.add_(1)
        if bad:
            raise ValueError("user's own")
        return x @ x

    assert f(mg.ones(2), False).item() == 2.0
    with pytest.raises(ValueError, match="user's own"):
        f(mg.ones(2), True)
    with pytest.raises(RuntimeError):
        f(mg.ones(2, 3), False)
    assert w.item() == 3.0
    assert f(mg.ones(2), False).item() == 2.0 and w.item() == 4.0


def test_interrupt_in_the_commit_leaves_no_half_update() -> None:
    ws = [mg.zeros(()) for _ in range(50)]

    @mg.compile
    def f() -> None:
        for w in ws:
            w.add_(1)

    for _ in range(5):
        f()
    assert f.engine._direct is not None
    commit = {Entry._commit.__code__, Entry._write.__code__, f.engine._direct.__code__}
    interrupted = 0
    for k in range(0, 1000, 11):
        lines = 0

        def at_each_line(frame: Any, event: str, arg: Any, k: int = k) -> Any:
            nonlocal lines
            if frame.f_code in commit:
                lines += event == "line"
                if lines == k:
                    lines += 1
                    raise KeyboardInterrupt
                return at_each_line
            return None

        before = ws[0].item()
        sys.settrace(at_each_line)
        try:
            f()
        except KeyboardInterrupt:
            interrupted += 1
        finally:
            sys.settrace(None)
        assert len({w.item() for w in ws}) == 1
        assert ws[0].item() in (before, before + 1)
        assert len({w._version for w in ws}) == 1
    assert interrupted > 5


def test_decorator_method_disable_and_errors() -> None:
    class Owner:
        k = 3.0

        @mg.compile
        def scaled(self, x: Any) -> Any:
            return x * self.k

    assert Owner().scaled(mg.ones(())).item() == 3.0

    @mg.compile(dynamic=True, mode="max-autotune")
    def f(x: Any) -> Any:
        """Its own words."""
        return x

    assert f.__name__ == "f" and f.__doc__ == "Its own words."
    g = lambda x: x  # noqa: E731
    assert mg.compile(g, disable=True) is g
    with pytest.raises(RuntimeError, match="Invalid backend"):
        mg.compile(g, backend="nonsense")
    with pytest.raises(RuntimeError, match="Unrecognized mode"):
        mg.compile(g, mode="nonsense")
    with pytest.raises(TypeError, match="takes a callable"):
        mg.compile(3)


def test_nested_compile() -> None:
    inner = mg.compile(lambda x: x + 1)
    outer = mg.compile(lambda x: inner(x) * 2)
    for _ in range(3):
        assert outer(mg.ones(())).item() == 4.0
    assert inner.engine.captures == 0


def test_optimized_module() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    c = mg.compile(net)
    assert isinstance(c, nn.Module)
    assert list(c.state_dict()) == ["_orig_mod.0.weight", "_orig_mod.0.bias"]
    assert [id(p) for p in c.parameters()] == [id(p) for p in net.parameters()]
    c.eval()
    assert not net.training and not net[1].training and not c.training
    assert c._orig_mod is net
    x = mg.ones(1, 2)
    assert c(x).tolist() == net(x).tolist()
    c.tag = 5
    assert net.tag == 5
    net.compile()
    assert net(x).tolist() == c(x).tolist()
    parent = nn.Sequential(c, nn.Linear(2, 1))
    assert len(list(parent.parameters())) == 4 and parent(x).shape == (1, 1)


def test_unknown_results_run_uncompiled() -> None:
    class Output:
        def __init__(self, y: Any) -> None:
            self.y = y

    f = mg.compile(lambda x: Output(x + 1))
    assert [f(mg.full((), float(i))).y.item() for i in range(4)] == [1.0, 2.0, 3.0, 4.0]


def test_threads() -> None:
    f = mg.compile(lambda x: (x * 2).sum())
    wrong: list[Any] = []

    def work(k: int) -> None:
        for i in range(20):
            value = f(mg.full((3,), float(k * 100 + i))).item()
            if value != 6.0 * (k * 100 + i):
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
