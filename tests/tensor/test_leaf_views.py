"""Leaves that are views themselves (a parameter made of a reshaped tensor): views of them are on the tape."""

from __future__ import annotations

import numpy as np
import pytest

import monograph as mg
from monograph import nn


def test_views_of_a_parameter_that_is_a_view() -> None:
    p = nn.Parameter(mg.arange(6.0).view(2, 3))
    p.t()[0].sum().backward()
    assert p.grad.tolist() == [[1, 0, 0], [1, 0, 0]]
    with mg.no_grad():
        p.t()[0].fill_(9.0)
    assert p.tolist() == [[9, 1, 2], [9, 4, 5]]
    with pytest.raises(RuntimeError, match="a view of a leaf Variable"):
        p.t().add_(1)


def test_memory_is_shared_with_the_base() -> None:
    base = mg.zeros(6)
    p = nn.Parameter(base.view(2, 3))
    flat = p.view(6)
    base.fill_(2.0)
    assert p.tolist() == [[2.0] * 3] * 2 and flat.requires_grad and flat.tolist() == [2.0] * 6 and not flat.detach().requires_grad


def test_memory_of_numpy() -> None:
    x = mg.from_numpy(np.ones(6, np.float32)).view(2, 3).requires_grad_()
    (x[0][1:] * 3).sum().backward()
    assert x.grad.tolist() == [[0, 3, 3], [0, 0, 0]]


def test_hooks_on_a_view_are_called_when_further_views_are_used() -> None:
    x = mg.ones(4, 6, requires_grad=True)
    y = (x * 2).reshape(2, 2, 6)
    seen = []
    y.register_hook(lambda g: seen.append(tuple(g.shape)) or g * 3)
    first, second = y.view(4, 6).split(3, 1)
    (first.sum() + second.sum()).backward()
    assert seen == [(2, 2, 6)] and x.grad.tolist() == [[6.0] * 6] * 4
    kept = (x * 2).view(24)
    kept.retain_grad()
    kept[3:].sum().backward()
    assert kept.grad.tolist() == [0.0] * 3 + [1.0] * 21


def test_gradients_with_respect_to_a_view_that_was_viewed_again() -> None:
    x = mg.ones(6, requires_grad=True)
    for look in (lambda v: v.view(6), lambda v: v[0], lambda v: v.t(), lambda v: v.flatten()[1:], lambda v: v.view(2, -1).unsqueeze(0)):
        v = (x * 2).view(2, 3)
        (g,) = mg.autograd.grad((look(v) ** 2).sum(), v, create_graph=True)
        assert g.shape == (2, 3)
        (gx,) = mg.autograd.grad(g.sum(), x)
        assert gx.sum().item() == 2 * g.count_nonzero().item() * 2


def test_views_of_views_see_writes_and_keep_their_history() -> None:
    x = mg.ones(6, requires_grad=True)
    v = (x * 2).view(2, 3)
    w = v.view(6)
    assert w.sum().item() == 12.0
    v.mul_(3.0)
    (w * w).sum().backward()
    assert w.tolist() == [6.0] * 6 and x.grad.tolist() == [72.0] * 6
def test_data_that_is_a_view_is_shared_with_the_whole() -> None:
    parameters = [nn.Parameter(mg.ones(2)), nn.Parameter(mg.full((3,), 2.0))]
    flat, at = mg.cat([p.data for p in parameters]), 0
    for p in parameters:
        p.data = flat[at : at + p.numel()].view_as(p)
        at += p.numel()
    flat.mul_(3)
    assert parameters[0].tolist() == [3.0] * 2 and parameters[1].tolist() == [6.0] * 3
    optimizer = mg.optim.SGD(parameters, 0.5)
    (parameters[0].sum() + parameters[1].sum() * 2).backward()
    optimizer.step()
    assert flat.tolist() == [2.5, 2.5, 5.0, 5.0, 5.0] and parameters[0].is_leaf and parameters[0].grad is not None
    parameters[0].data = mg.zeros(2)
    parameters[0].data.add_(1)
    assert flat.tolist()[:2] == [2.5, 2.5] and parameters[0].tolist() == [1.0, 1.0]


def test_training_in_a_buffer_is_training() -> None:
    mg.manual_seed(0)
    alone, module = nn.Linear(3, 2), nn.Linear(3, 2)
    module.load_state_dict(alone.state_dict())
    flat = mg.cat([p.data.flatten() for p in module.parameters()])
    module.weight.data, module.bias.data = flat[:6].view(2, 3), flat[6:]
    x = mg.randn(4, 3)
    for each, compiled in ((alone, False), (module, True)):
        optimizer = mg.optim.Adam(each.parameters(), 0.1)

        def step(each: nn.Module = each, optimizer: mg.optim.Optimizer = optimizer) -> mg.Tensor:
            optimizer.zero_grad()
            loss = each(x).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        step = mg.compile(step) if compiled else step
        for _ in range(4):
            step()
    assert module.weight.detach().allclose(alone.weight.detach(), atol=1e-6)
    assert flat.equal(mg.cat([p.detach().flatten() for p in module.parameters()]))


def test_data_nobody_else_sees_is_the_tensors_own() -> None:
    p = nn.Parameter(mg.arange(4.0))
    p.data = mg.zeros(2, 2).view(4)
    assert p._base is None
    p.data = p.data.view(2, 2)
    assert p._base is None and p.shape == (2, 2)


def test_data_in_the_middle_of_a_graph_keeps_its_history() -> None:
    x = mg.arange(4.0, requires_grad=True)
    y = x * 3
    y.data = mg.full((4,), 5.0)
    (y * y).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [30.0] * 4
    with pytest.raises(RuntimeError, match="must be floating point or complex"):
        x.data = mg.arange(4)
    with pytest.raises(TypeError, match="Variable data has to be a tensor"):
        x.data = 3  # type: ignore[assignment]
