"""Pending work and memory: the dead are never computed, the living are, and no loop piles anything up."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph.core.modes import MODES
from monograph.engine import evaluator
from monograph.runtime import buffers
from monograph.tensor import dispatch
from monograph.tensor.core import node_of


def live_bytes() -> int:
    gc.collect()
    return buffers.stats()["live"] - sum(a.nbytes for a in buffers.arenas.idle)


def test_dead_intermediates_are_not_materialised() -> None:
    x = mg.ones(1000)
    mg.eval(x)
    middle = x + 1
    node = weakref.ref(node_of(middle))
    kept: list[int] = []
    original = evaluator.run

    def spy(order: list[Any], outputs: list[Any]) -> Any:
        kept.append(len(outputs))
        return original(order, outputs)

    evaluator.run = spy
    try:
        y = (middle * 2).exp()
        del middle
        mg.eval(y)
    finally:
        evaluator.run = original
    assert kept == [1]
    assert node() is None


def test_live_handles_are_materialised_by_the_evaluation_that_passes_them() -> None:
    x = mg.ones(4)
    a = x + 1
    b = a * 2
    c = b.exp()
    mg.eval(c)
    assert node_of(a).value is not None
    assert node_of(b).value is not None
    view = (x * 3)[1:]
    mg.eval(view + 1)
    assert view.tolist() == [3.0, 3.0, 3.0]


def test_a_handle_in_any_container_counts() -> None:
    x = mg.ones(4)
    held = {"a": [(x + 1,)]}
    result = held["a"][0][0] * 2
    mg.eval(result)
    assert node_of(held["a"][0][0]).value is not None


def test_history_goes_when_the_value_is_there() -> None:
    x = mg.ones(8)
    y = x * 2
    source = weakref.ref(node_of(x))
    mg.eval(y)
    del x
    gc.collect()
    assert source() is None or not node_of(y).inputs


@pytest.mark.parametrize("pattern", ["chain", "two chains", "in place", "metrics", "nothing kept"])
def test_loops_run_in_constant_memory(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "PENDING_NODES", 60)
    monkeypatch.setattr(MODES.now, "room", 60)
    monkeypatch.setattr(evaluator, "ROOM", 60)

    def loop(times: int) -> Any:
        x, y = mg.ones(256), mg.ones(300)
        for i in range(times):
            if pattern == "chain":
                x = x * 0.999 + 1
            elif pattern == "two chains":
                x, y = x * 0.999 + 1, y * 0.99 + 2
            elif pattern == "in place":
                x.mul_(0.999).add_(1)
            elif pattern == "metrics":
                x = x + (mg.ones(16, 16) * i).mean()
            else:
                _ = mg.ones(1000) * i + 1
        return x, y

    x, y = loop(300)
    mg.eval(x, y)
    before = live_bytes()
    longest = 0
    for _ in range(3):
        x, y = loop(700)
        longest = max(longest, len(MODES.pending))
    mg.eval(x, y)
    assert longest <= 120
    assert live_bytes() <= before + 16 * 1024
    if pattern in ("chain", "in place"):
        expected = np.ones(256, np.float32)
        for _ in range(700):
            expected = expected * np.float32(0.999) + np.float32(1)
        np.testing.assert_allclose(x.numpy(), expected, rtol=1e-5)


def test_kept_losses_do_not_keep_activations() -> None:
    w = mg.randn(64, 64, requires_grad=True)
    x = mg.randn(200, 64)

    def step() -> Any:
        loss = ((x @ w).relu() @ w).square().mean()
        w.grad = None
        loss.backward()
        with mg.no_grad():
            w.sub_(w.grad * 1e-3)
        mg.eval(loss, w)
        return loss

    losses = [step() for _ in range(3)]
    before = live_bytes()
    losses += [step() for _ in range(20)]
    assert live_bytes() - before < 200 * 64 * 4
    assert all(loss.item() > 0 for loss in losses)


def test_truncated_backpropagation_lets_go() -> None:
    w = mg.randn(32, 32, requires_grad=True)
    h = mg.zeros(8, 32)
    sizes = []
    for i in range(60):
        h = mg.tanh(h @ w + 1)
        if i % 5 == 4:
            h.sum().backward()
            w.grad = None
            h = h.detach()
            mg.eval(h)
            sizes.append(live_bytes())
    assert max(sizes[2:]) - min(sizes[2:]) < 16 * 1024


def test_deep_graphs_need_no_stack(target: str) -> None:
    depth = 12_000 if target == "reference" else 1_500
    x = mg.ones(3, requires_grad=True)
    y = x
    for _ in range(depth):
        y = y * 0.9999 + 0.0001
    y.sum().backward()
    assert x.grad[0].item() == pytest.approx(0.9999**depth, rel=1e-3)


def test_a_tape_past_the_limit_is_evaluated_once_per_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "PENDING_NODES", 100)
    monkeypatch.setattr(MODES.now, "room", 100)
    monkeypatch.setattr(evaluator, "ROOM", 100)
    calls = []
    original = evaluator.evaluate
    monkeypatch.setattr(evaluator, "evaluate", lambda wanted, sweep=False: (calls.append(sweep), original(wanted, sweep))[1])
    y = mg.ones(3, requires_grad=True)
    for _ in range(1000):
        y = y * 1.01
    assert len(calls) <= 11


def test_a_saved_value_of_a_custom_function_goes_with_the_backward_pass() -> None:
    class Square(mg.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y = x * x
            ctx.save_for_backward(x, y)
            ctx.big = Big()
            return y

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            x, _ = ctx.saved_tensors
            return 2 * g * x

    class Big:
        pass

    watched: list[Any] = []
    x = mg.ones(3, requires_grad=True)
    y = Square.apply(x)
    node = node_of(y).inputs[0]
    watched.append(weakref.ref(node.owner.ctx.big))
    del node
    gc.disable()
    try:
        y.sum().backward()
        del y
        assert watched[0]() is None
    finally:
        gc.enable()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]


def test_hooks_keep_nothing_alive() -> None:
    x = mg.ones(3, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g, own=y: g * own.detach())
    gone = weakref.ref(y)
    del y
    mg.eval(x + 1)  # nothing but the list of pending work knows y's node by now
    gc.collect()
    assert gone() is None


def test_a_failed_evaluation_leaves_everything_as_it_was() -> None:
    x = mg.arange(5)
    good = x * 2
    bad = x[mg.tensor([7])]
    with pytest.raises(IndexError, match="out of bounds"):
        bad.tolist()
    assert good.tolist() == [0, 2, 4, 6, 8]
    with pytest.raises(IndexError, match="out of bounds"):
        bad.tolist()


def aligned(n: int) -> np.ndarray:
    """An array that a tensor takes over as it lies, without a copy: its first byte is at a multiple of 64."""
    room = np.zeros(n + 8)
    start = -room.ctypes.data // 8 % 8
    return room[start : start + n]


def test_a_leaf_in_shared_memory_that_is_read_twice_is_one_leaf() -> None:
    array = aligned(3)
    array[:] = [1.0, 2.0, 3.0]
    x = mg.from_numpy(array).requires_grad_()
    (gradient,) = mg.autograd.grad((x * x).sum() * x.sum(), x)
    assert gradient.tolist() == [26.0, 38.0, 50.0]


def test_a_view_of_a_leaf_in_shared_memory_carries_its_gradient() -> None:
    array = aligned(4)
    array[:] = [1.0, 2.0, 3.0, 4.0]
    x = mg.from_numpy(array).requires_grad_()
    view = x[1:3]
    assert view.requires_grad
    (gradient,) = mg.autograd.grad((view * view).sum() + x.sum(), x)
    assert gradient.tolist() == [1.0, 5.0, 7.0, 1.0]


def test_a_look_with_numpy_takes_nothing_off_the_tape() -> None:
    w = mg.ones(3, requires_grad=True)
    expected = [-2 / 3, 0.0, 2 / 3]
    looks = (
        lambda a: a.data.numpy(),
        lambda a: a.detach().numpy(),
        lambda a: a.view(3, 1).squeeze().data.numpy(),
        lambda a: a[1:].detach().numpy(),
    )
    for look in looks:
        for seen_as in (lambda a: a, lambda a: a.view(1, 3)[0]):
            a = (w * 2).softmax(0)
            b = seen_as(a)
            kept = look(a)
            (grad,) = mg.autograd.grad((b * mg.arange(3.0)).sum(), w)
            assert grad.tolist() == pytest.approx(expected, abs=1e-6) and kept.size
    a = (w * 2).exp()
    a.detach().numpy()[0] = 0.0  # what is written there is the value, with the old history
    assert a.tolist()[0] == 0.0
    loss = (a * a).sum()
    loss.data.numpy()
    loss.backward()
    assert w.grad is not None and w.grad.shape == (3,)


def test_a_loss_that_numpy_has_seen_trains() -> None:
    p = mg.zeros(2, requires_grad=True)
    optimizer = mg.optim.SGD([p], lr=0.5)
    for _ in range(3):
        loss = ((p - 1) ** 2).sum()
        losses = loss.detach().numpy()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses < 1.0 and p.tolist() == [1.0, 1.0]
