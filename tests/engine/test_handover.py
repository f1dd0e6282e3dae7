"""The first replay of a compiled step, which goes the long way: new values lie where the old ones lay, and nothing is lost on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph import nn
from monograph.core import knobs
from monograph.engine.replay import Entry


def made() -> tuple[Any, Any, Any]:
    mg.manual_seed(3)
    model = nn.Sequential(nn.Embedding(20, 16), nn.Linear(16, 300), nn.Tanh(), nn.Linear(300, 20))
    optimizer = mg.optim.Adam(model.parameters(), lr=1e-2)

    def step(tokens: Any, targets: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(tokens), targets)
        loss.backward()
        optimizer.step()
        return loss

    return model, step, optimizer


def test_the_long_way_takes_over_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = mg.arange(64) % 20
    mg.eval(tokens)
    taken: list[int] = []
    replaced = Entry._replaced
    monkeypatch.setattr(Entry, "_replaced", lambda self, *rest: taken.append(len(found := replaced(self, *rest))) or found)
    one, step, _ = made()
    compiled = mg.compile(step)
    losses = [compiled(tokens, tokens).item() for _ in range(3)]
    other, plain, _ = made()
    assert losses == [plain(tokens, tokens).item() for _ in range(3)]
    assert taken and (max(taken) >= 5 or knobs.target.get() != "cpu")
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert (mine.detach().numpy() == theirs.detach().numpy()).all()


def test_a_refused_index_leaves_everything_as_it_was() -> None:
    tokens = mg.arange(64) % 20
    targets, bad = tokens + 0, mg.full((64,), 20)
    mg.eval(tokens, targets, bad)
    model, step, optimizer = made()
    compiled = mg.compile(step)
    for _ in range(3):
        compiled(tokens, targets)
    before = [p.detach().numpy().copy() for p in model.parameters()]
    state = [np.copy(s["exp_avg"].numpy()) for s in optimizer.state.values()]
    with pytest.raises(IndexError):
        compiled(bad, targets)
    assert all((p.detach().numpy() == old).all() for p, old in zip(model.parameters(), before, strict=True))
    assert all((s["exp_avg"].numpy() == old).all() for s, old in zip(optimizer.state.values(), state, strict=True))


def test_a_value_that_somebody_looks_at_is_not_written_over() -> None:
    tokens = mg.arange(64) % 20
    mg.eval(tokens)
    model, step, _ = made()
    compiled = mg.compile(step)
    compiled(tokens, tokens)
    compiled(tokens, tokens)
    seen = [p.detach() for p in model.parameters()]
    arrays = [np.array(x.numpy()) for x in seen]
    held = [x.clone() for x in seen]
    mg.eval(*held)
    del seen
    compiled(tokens, tokens)
    assert all((h.numpy() == a).all() for h, a in zip(held, arrays, strict=True))
