"""Long graphs of ever new structure are run op by op: the same bits, and no plan for what comes once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph import nn
from monograph.engine import evaluator, families, op_by_op, plans
from monograph.engine.op_by_op import Ledger, OpByOpPlan
from monograph.graph.node import record, topological
from monograph.ops import elementwise, source
from monograph.runtime.buffers import Buffer


@pytest.fixture(autouse=True)
def _afresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    caches: tuple[Any, ...] = (evaluator._plans, families._families, op_by_op._plans)
    for cache in caches:
        cache.clear()
    monkeypatch.setattr(op_by_op, "LONG", 60)
    monkeypatch.setattr(families, "ledger", Ledger())
    monkeypatch.setattr(evaluator, "ledger", families.ledger)
    yield
    for cache in caches:
        cache.clear()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[OpByOpPlan]:
    """The plans of this kind that were made."""
    seen: list[OpByOpPlan] = []
    init = OpByOpPlan.__init__

    def watched(self: OpByOpPlan, *args: Any) -> None:
        init(self, *args)
        seen.append(self)

    monkeypatch.setattr(OpByOpPlan, "__init__", watched)
    return seen


def episode(steps: int) -> list[np.ndarray]:
    """A small recurrent policy rolled out for so many steps, and trained on what it did."""
    mg.manual_seed(0)
    cell, head = nn.GRUCell(3, 8), nn.Linear(8, 2)
    parameters = [*cell.parameters(), *head.parameters()]
    optimizer = mg.optim.Adam(parameters, lr=0.01)
    h = mg.zeros(1, 8)
    logs = []
    for t in range(steps):
        h = cell(mg.full((1, 3), t / 7), h)
        logs.append(mg.log_softmax(head(h), -1)[0, t % 2])
    loss = -(mg.stack(logs) * mg.linspace(1, 0, steps)).sum()
    loss.backward()
    optimizer.step()
    best = mg.stack(logs).max(0)  # a node with several outputs
    values = [loss.detach(), best.values.detach(), best.indices, h.detach()]
    values += [t for p in parameters for t in (p.detach(), p.grad)]
    mg.eval(*values)
    return [v.numpy().copy() for v in values]


def test_episodes_of_differing_length(made: list[OpByOpPlan], monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = (5, 9, 7, 8, 11, 6, 12, 10)
    got = [episode(n) for n in lengths]
    assert made, "all were planned"
    families.ledger.wasted = -1000
    evaluator._plans.clear()
    families._families.clear()
    count = len(made)
    for n, values in zip(lengths, got, strict=True):
        for a, b in zip(values, episode(n), strict=True):
            assert a.tobytes() == b.tobytes(), n
    assert len(made) == count


def test_ops_are_found_again(made: list[OpByOpPlan], monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[int] = []
    make = plans.make_plan
    monkeypatch.setattr(families, "make_plan", lambda *a: planned.append(1) or make(*a))

    def chain(steps: int) -> Any:
        x = mg.ones(4)
        mg.eval(x)
        y = x
        for _ in range(steps):
            y = mg.tanh(y @ mg.eye(4)) + x.sin() * 0.5
        return y.numpy()

    for n in (30, 31, 32, 33):
        chain(n)
    cut = len(made)
    assert cut
    planned.clear()
    for n in range(34, 40):
        chain(n)
    assert len(made) == cut + 6
    assert not planned  # some thousand ops were found


def test_what_comes_again_is_planned_whole(made: list[OpByOpPlan]) -> None:
    families.ledger.wasted = 1000
    first = episode(9)
    assert len(made) >= 1
    for _ in range(op_by_op.RUNS):
        again = episode(9)
        assert all(a.tobytes() == b.tobytes() for a, b in zip(first, again, strict=True))
    assert any(p.whole is not None for p in made)


def test_plans_that_are_used_again_win_back_patience() -> None:
    ledger = Ledger()
    plan: Any = object()
    assert [ledger.avoids(100) for _ in range(5)] == [False, False, False, True, True]
    for _ in range(3):
        ledger.used_again(plan, 100)
    assert not ledger.avoids(100)
    assert not ledger.avoids(10)


def test_results_never_share_memory_with_inputs() -> None:
    families.ledger.wasted = 1000
    x = mg.arange(4.0)
    mg.eval(x)
    y = x
    for _ in range(70):
        y = y + 1
    copy = x.clone()
    mg.eval(y, copy)
    copy.numpy()[0] = 99
    assert x[0].item() == 0


def test_short_graphs_are_always_planned(made: list[OpByOpPlan]) -> None:
    families.ledger.wasted = 1000
    for n in range(1, 20):
        y = mg.ones(3)
        for _ in range(n):
            y = y * 2
        y.numpy()
    assert not made


def test_a_bad_index_is_the_users_error() -> None:
    families.ledger.wasted = 1000
    x, at = mg.zeros(3, 2), mg.tensor([0, 7])
    mg.eval(x, at)
    y = x
    for _ in range(70):
        y = (y + 1).sin()
    with pytest.raises(IndexError, match="7 is out of bounds"):
        y[at].numpy()
    assert y[0, 0].item() == y[2, 1].item()


def test_a_plan_found_again_gets_its_inputs_in_its_own_order() -> None:
    for size, given_as in ((5, (0, 1)), (5, (1, 0)), (6, (0, 1)), (7, (1, 0))):
        inputs = [source.placeholder((size,), mg.float32) for _ in range(2)]
        left, right = (record(elementwise.exp, (x,)) for x in inputs)
        result = record(elementwise.sub, (left, right))
        given = [inputs[k] for k in given_as]
        values = [Buffer.from_array(np.full(size, k, np.float32)) for k in given_as]
        plan = families.find_plan(topological([result]), given, [], [result], families.is_source)
        (made,) = plan.run(values, [])
        np.testing.assert_allclose(made.array((size,), np.float32), 1 - np.e, rtol=1e-6)


def test_slices_of_memory_and_single_numbers(made: list[OpByOpPlan]) -> None:
    # A slice of a value is a region of its memory, and NumPy answers a comparison of two single numbers with a scalar, not an array.
    families.ledger.wasted = 1000
    x = mg.arange(40.0).reshape(8, 5) / 40
    mg.eval(x)
    row, expected = x[1], x.numpy()[1].astype(np.float64)
    for k in range(40):
        row, expected = row.sin() + x[k % 8], np.sin(expected) + x.numpy()[k % 8]
    largest = row.max()
    above = mg.logical_and(largest > 0, mg.logical_not(largest > 9))
    assert above.item() is True
    np.testing.assert_allclose(row, expected, rtol=1e-5)
    assert made
