"""Long graphs of ever new structure are run in pieces: the same bits, and no plan for what comes once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph import nn
from monograph.engine import evaluator, families, pieces, plans
from monograph.engine.pieces import Ledger, PiecewisePlan


@pytest.fixture(autouse=True)
def _afresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for cache in (evaluator._plans, families._families, families._pieces):
        cache.clear()
    monkeypatch.setattr(pieces, "LONG", 60)
    monkeypatch.setattr(pieces, "SHORTEST", 8)
    monkeypatch.setattr(pieces, "LONGEST", 40)
    monkeypatch.setattr(families, "ledger", Ledger())
    monkeypatch.setattr(evaluator, "ledger", families.ledger)
    yield
    for cache in (evaluator._plans, families._families, families._pieces):
        cache.clear()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[PiecewisePlan]:
    """The piecewise plans that were made."""
    seen: list[PiecewisePlan] = []
    init = PiecewisePlan.__init__

    def watched(self: PiecewisePlan, *args: Any) -> None:
        init(self, *args)
        seen.append(self)

    monkeypatch.setattr(PiecewisePlan, "__init__", watched)
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


def test_episodes_of_differing_length(made: list[PiecewisePlan], monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = (5, 9, 7, 8, 11, 6, 12, 10)
    got = [episode(n) for n in lengths]
    assert made, "nothing was cut"
    families.ledger.wasted = -1000
    evaluator._plans.clear()
    families._families.clear()
    count = len(made)
    for n, values in zip(lengths, got, strict=True):
        for a, b in zip(values, episode(n), strict=True):
            assert a.tobytes() == b.tobytes(), n
    assert len(made) == count


def test_pieces_are_found_again(made: list[PiecewisePlan], monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert len(planned) < 20, planned  # the ends; some hundred stretches were found


def test_what_comes_again_is_planned_whole(made: list[PiecewisePlan]) -> None:
    families.ledger.wasted = 1000
    first = episode(9)
    assert len(made) >= 1
    for _ in range(pieces.RUNS_IN_PIECES):
        again = episode(9)
        assert all(a.tobytes() == b.tobytes() for a, b in zip(first, again, strict=True))
    assert any(p.whole is not None for p in made)


def test_plans_that_are_used_again_win_back_patience() -> None:
    ledger = Ledger()
    plan: Any = object()
    assert [ledger.cut(100) for _ in range(5)] == [False, False, False, True, True]
    for _ in range(3):
        ledger.used_again(plan, 100)
    assert not ledger.cut(100)
    assert not ledger.cut(10)


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


def test_short_graphs_are_never_cut(made: list[PiecewisePlan]) -> None:
    families.ledger.wasted = 1000
    for n in range(1, 20):
        y = mg.ones(3)
        for _ in range(n):
            y = y * 2
        y.numpy()
    assert not made
