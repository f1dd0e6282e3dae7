"""GradScaler: scales, unscales, skips steps that overflowed, adapts."""

from __future__ import annotations

from typing import Any

import pytest

import monograph as mg
from monograph.amp import GradScaler


def parameter() -> tuple[Any, Any]:
    p = mg.nn.Parameter(mg.ones(2))
    return p, mg.optim.SGD([p], lr=1.0)


def test_a_good_step_is_the_unscaled_step() -> None:
    p, optimizer = parameter()
    scaler = GradScaler("cpu", init_scale=8.0, growth_interval=2)
    scaler.scale((p * 3).sum()).backward()
    assert p.grad.tolist() == [24, 24]
    scaler.unscale_(optimizer)
    assert p.grad.tolist() == [3, 3]
    scaler.step(optimizer)
    scaler.update()
    assert p.tolist() == [-2, -2] and scaler.get_scale() == 8.0
    optimizer.zero_grad()
    scaler.scale(p.sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert p.tolist() == [-3, -3] and scaler.get_scale() == 16.0


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_an_overflow_skips_the_step_and_shrinks_the_scale(bad: float) -> None:
    p, optimizer = parameter()
    scaler = GradScaler("cpu", init_scale=8.0)
    scaler.scale((p * mg.tensor([bad, 1.0])).sum()).backward()
    assert scaler.step(optimizer) is None
    scaler.update()
    assert p.tolist() == [1, 1] and scaler.get_scale() == 4.0


def test_wrong_orders_are_errors() -> None:
    p, optimizer = parameter()
    scaler = GradScaler("cpu")
    with pytest.raises(AssertionError, match="No inf checks were recorded prior to update"):
        scaler.update()
    with pytest.raises(AssertionError, match="No inf checks were recorded for this optimizer"):
        scaler.step(optimizer)
    scaler.update(2.0)
    scaler.scale(p.sum()).backward()
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="already been called on this optimizer"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"step\(\) has already been called"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"being called after step\(\)"):
        scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="Closure"):
        scaler.step(optimizer, closure=lambda: None)


def test_state_and_lists() -> None:
    scaler = GradScaler("cpu", init_scale=4.0)
    assert [t.item() for t in scaler.scale([mg.tensor(1.0), mg.tensor(2.0)])] == [4, 8]
    other = GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.get_scale() == 4.0 and other.state_dict() == scaler.state_dict()
    with pytest.raises(RuntimeError, match="empty"):
        other.load_state_dict({})


def test_disabled_it_passes_everything_through() -> None:
    p, optimizer = parameter()
    with pytest.warns(UserWarning, match="CUDA is not available"):
        scaler = GradScaler()
    assert not scaler.is_enabled() and scaler.state_dict() == {} and scaler.get_scale() == 1.0
    loss = p.sum()
    assert scaler.scale(loss) is loss
    loss.backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert p.tolist() == [0, 0]
