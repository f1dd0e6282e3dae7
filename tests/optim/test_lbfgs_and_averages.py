"""L-BFGS, the sparse and the matrix optimisers, averages of models."""

from __future__ import annotations

from typing import Any

import pytest

import monograph as mg
from monograph import nn, optim


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_finds_the_minimum(search: str | None) -> None:
    p = nn.Parameter(mg.tensor([-1.2, 1.0], dtype=mg.float64))
    optimizer = optim.LBFGS([p], lr=1.0 if search else 0.5, max_iter=20, line_search_fn=search)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (p[0] - 3) ** 2 + 10 * (p[1] + 1) ** 4 if search is None else 100 * (p[1] - p[0] ** 2) ** 2 + (1 - p[0]) ** 2
        loss.backward()
        return loss

    first = float(optimizer.step(closure))
    for _ in range(8):
        last = float(optimizer.step(closure))
    assert last < 1e-4 < first and optimizer.state[p]["n_iter"] > 5


def test_lbfgs_refuses() -> None:
    p = nn.Parameter(mg.ones(1))
    with pytest.raises(ValueError, match="parameter groups"):
        optim.LBFGS([{"params": [p]}, {"params": [nn.Parameter(mg.ones(1))]}])
    with pytest.raises(TypeError, match="needs a closure"):
        optim.LBFGS([p]).step()
    with pytest.raises(RuntimeError, match="only 'strong_wolfe'"):
        optim.LBFGS([p], line_search_fn="golden").step(lambda: p.sum())


@pytest.mark.parametrize("kind", ["ASGD", "Rprop", "Adafactor", "Muon"])
def test_they_make_a_loss_smaller(kind: str) -> None:
    p = nn.Parameter(mg.tensor([[3.0, -2.0], [1.0, 4.0]]))
    optimizer = getattr(optim, kind)([p], lr=0.05)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    other = getattr(optim, kind)([p], lr=0.05)
    other.load_state_dict(optimizer.state_dict())
    assert len(other.state[p]) == len(optimizer.state[p]) > 0


def test_sparse_adam_moves_only_what_has_a_gradient() -> None:
    p = nn.Parameter(mg.ones(4, 2))
    optimizer = optim.SparseAdam([p], lr=0.1)
    p.grad = mg.sparse_coo_tensor([[1, 1]], mg.ones(2, 2), (4, 2))
    optimizer.step()
    assert mg.allclose(p[1], mg.full((2,), 0.9), atol=1e-5) and p[[0, 2, 3]].tolist() == [[1.0, 1.0]] * 3
    p.grad = None
    p.grad = mg.ones(4, 2)
    with pytest.raises(RuntimeError, match="does not support dense gradients"):
        optimizer.step()


def test_averaged_models() -> None:
    layer = nn.Linear(1, 1, bias=False)
    swa, ema = (
        optim.swa_utils.AveragedModel(layer),
        optim.swa_utils.AveragedModel(layer, multi_avg_fn=optim.swa_utils.get_ema_multi_avg_fn(0.5)),
    )
    for value in (1.0, 2.0, 6.0):
        nn.init.constant_(layer.weight, value)
        swa.update_parameters(layer)
        ema.update_parameters(layer)
    assert swa.module.weight.item() == pytest.approx(3.0) and ema.module.weight.item() == pytest.approx(3.75)
    optimizer = optim.SGD(layer.parameters(), lr=1.0)
    schedule = optim.swa_utils.SWALR(optimizer, swa_lr=0.1, anneal_epochs=2, anneal_strategy="linear")
    rates = []
    for _ in range(3):
        optimizer.step()
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.55, 0.1, 0.1])
    with pytest.raises(ValueError, match="Invalid decay"):
        optim.swa_utils.get_ema_avg_fn(1.5)
