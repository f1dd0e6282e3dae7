"""Steps that gradients flow through: `differentiable=True`."""

from __future__ import annotations

from typing import Any

import pytest

import monograph as mg

START = [0.5, -1.25, 2.0]
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 0.1, "weight_decay": 0.1}, "Adam": {"lr": 0.1, "amsgrad": True}, "AdamW": {"lr": 0.1}, "NAdam": {"lr": 0.1},
    "RAdam": {"lr": 0.1}, "RMSprop": {"lr": 0.1, "momentum": 0.9, "centered": True}, "Adagrad": {"lr": 0.1}, "Adadelta": {},
    "Adamax": {"lr": 0.1, "weight_decay": 0.1}, "ASGD": {"lr": 0.1},
}  # fmt: skip


def stepped(make: Any, x: Any, *grads: Any) -> Any:
    p = x.clone()
    optimizer = make([p])
    for g in grads:
        p.grad = g
        optimizer.step()
    return p


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_gradients_flow_through_two_steps(name: str) -> None:
    x, g, h = (mg.tensor(START, dtype=mg.float64).roll(k).requires_grad_() for k in range(3))

    def run(*leaves: Any) -> Any:
        return stepped(lambda params: getattr(mg.optim, name)(params, differentiable=True, **OPTIMIZERS[name]), *leaves)

    assert mg.autograd.gradcheck(run, (x, g, h), atol=1e-4)


def test_the_rate_may_be_learnt() -> None:
    lr = mg.tensor(0.1, dtype=mg.float64, requires_grad=True)
    x, g = mg.tensor(START, dtype=mg.float64), mg.tensor([1.0, 2.0, 3.0], dtype=mg.float64)
    stepped(lambda params: mg.optim.SGD(params, lr=lr, differentiable=True), x, g).sum().backward()
    assert lr.grad.item() == -6.0


def test_a_momentum_buffer_starts_off_the_tape() -> None:
    x, g = (mg.tensor(START, dtype=mg.float64, requires_grad=True) for _ in range(2))
    moved = stepped(lambda params: mg.optim.SGD(params, lr=0.1, momentum=0.9, differentiable=True), x, g)
    by_x, by_g = mg.autograd.grad(moved.sum(), (x, g), allow_unused=True)
    assert by_x.tolist() == [1.0, 1.0, 1.0] and (by_g is None or not by_g.any())


def test_a_leaf_is_not_written_while_gradients_are_recorded() -> None:
    p = mg.ones(2, requires_grad=True)
    p.grad = mg.ones(2)
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        mg.optim.Adam([p], differentiable=True).step()


def test_a_step_through_a_loss_of_its_own() -> None:
    """Meta-learning: the loss after a step, differentiated by where the step started."""
    x = mg.tensor(START, dtype=mg.float64, requires_grad=True)
    p = x.clone()
    (g,) = mg.autograd.grad((p**3).sum(), p, create_graph=True)
    optimizer = mg.optim.SGD([p], lr=0.1, differentiable=True)
    p.grad = g
    moved = p.clone()
    optimizer.step()
    assert p.requires_grad and not mg.equal(p, moved)
    (after,) = mg.autograd.grad(p.sum(), g, retain_graph=True)
    assert mg.allclose(after, mg.full((3,), -0.1, dtype=mg.float64))
