"""Sweeps found again: the same values, the same things kept, and what differs is noticed."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph.core.modes import MODES
from monograph.engine import evaluator
from monograph.nn import functional as F
from monograph.tensor.core import node_of


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    mg.eval(mg.zeros(1))
    evaluator._plans.clear()
    yield
    evaluator._plans.clear()


def found(work: Any, times: int) -> int:
    """How many sweeps of so many rounds of `work` were found again."""
    before = evaluator._plans.sweeps.found
    for _ in range(times):
        work()
    return evaluator._plans.sweeps.found - before


def test_a_training_loop_finds_its_sweep_again() -> None:
    mg.manual_seed(0)
    net = mg.nn.Sequential(mg.nn.Linear(6, 5), mg.nn.ReLU(), mg.nn.Linear(5, 3))
    optimizer = mg.optim.Adam(net.parameters(), lr=0.01)
    x, y = mg.randn(8, 6), mg.randint(0, 3, (8,))
    losses = []

    def step() -> None:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    assert found(step, 12) >= 7
    assert losses == sorted(losses, reverse=True)


def test_the_same_numbers_as_without() -> None:
    def train(known: bool) -> list[np.ndarray]:
        mg.manual_seed(1)
        net = mg.nn.Sequential(mg.nn.Linear(4, 4), mg.nn.Tanh(), mg.nn.Linear(4, 2))
        optimizer = mg.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        x = mg.randn(5, 4)
        for k in range(8):
            if not known:
                evaluator._plans.sweeps.clear()
            optimizer.param_groups[0]["lr"] = 0.1 / (k + 1)
            optimizer.zero_grad()
            net(x).square().mean().backward()
            optimizer.step()
        return [p.detach().numpy().copy() for p in net.parameters()]

    for a, b in zip(train(True), train(False), strict=True):
        np.testing.assert_array_equal(a, b)


def test_who_else_holds_what_decides_what_is_kept() -> None:
    x = mg.ones(1000)
    mg.eval(x)
    for keep in (False, True, False, True, True, False):
        middle = x + 1
        node = weakref.ref(node_of(middle))
        y = (middle * 2).exp()
        held = middle if keep else None
        del middle
        mg.eval(y)
        assert (node() is not None) is keep
        if held is not None:
            assert node_of(held).value is not None
            assert held[0].item() == 2.0
        assert y[0].item() == pytest.approx(np.exp(4.0))


def test_what_is_read_may_change_its_shape_dtype_and_identity() -> None:
    for dtype in (mg.float32, mg.float64):
        for n in (3, 4, 3, 4, 3):
            a, b = mg.ones(n, dtype=dtype), mg.full((n,), 2.0, dtype=dtype)
            mg.eval(a, b)
            for left, right in ((a, b), (b, a), (a, a), (b, b)):
                total = left * 3 + right
                mg.eval(total)
                assert total.dtype is dtype
                assert total.tolist() == [left[0].item() * 3 + right[0].item()] * n


def test_numbers_are_run_time_inputs() -> None:
    x = mg.ones(3)
    mg.eval(x)
    results = []

    def work() -> None:
        y = x * (len(results) + 1.5)
        mg.eval(y)
        results.append(y[0].item())

    assert found(work, 6) >= 3
    assert results == [1.5, 2.5, 3.5, 4.5, 5.5, 6.5]


def test_the_order_of_sources_and_which_is_wanted_are_told_apart() -> None:
    a, b = mg.full((2,), 5.0), mg.full((2,), 3.0)
    mg.eval(a, b)
    for _ in range(3):
        for left, right in ((a, b), (b, a)):
            difference, total = left - right, left + right
            mg.eval(difference)
            assert difference.tolist() == [left[0].item() - right[0].item()] * 2
            assert node_of(total).value is not None  # swept along
            difference, total = left - right, left + right
            mg.eval(total)
            assert total.tolist() == [8.0, 8.0]


def test_values_shared_by_definition() -> None:
    w = mg.tensor([1.0, 2.0], requires_grad=True)
    for k in range(5):
        h = w * (k + 1.0)
        apart = h.detach()
        mg.eval(apart)
        assert apart.tolist() == [k + 1.0, 2.0 * (k + 1)]
        assert node_of(h).value is node_of(apart).value


def test_a_refused_value_is_refused_every_time_and_stops_nobody_else() -> None:
    table = mg.arange(4.0)
    index = mg.tensor([7])
    mg.eval(table, index)
    for _ in range(4):
        bad = table.index_select(0, index)
        good = table + 1
        mg.eval(good)
        assert good.tolist() == [1.0, 2.0, 3.0, 4.0]
        with pytest.raises(IndexError, match="out of bounds"):
            bad.tolist()


def test_the_tape_is_kept_for_a_later_backward() -> None:
    w = mg.tensor([0.5, 1.5], requires_grad=True)
    for _ in range(4):
        y = (w @ w).exp()
        mg.eval(y)
        y.backward()
        np.testing.assert_allclose(w.grad.numpy(), 2 * w.detach().numpy() * y.item(), rtol=1e-6)
        w.grad = None


def test_nothing_is_held_by_what_is_known() -> None:
    refs: list[Any] = []
    for _ in range(4):
        x = mg.ones(16)
        y = x * 2 + 1
        mg.eval(y)
        refs += [weakref.ref(node_of(x)), weakref.ref(node_of(y))]
    del x, y
    gc.collect()
    assert all(r() is None for r in refs)


def test_other_dead_work_is_let_go_while_recording() -> None:
    for _ in range(5000):
        _ = mg.ones(3) * 2
    assert len(MODES.pending) <= evaluator.ROOM + 2
