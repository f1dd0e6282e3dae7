"""Gradients from several uses: laid side by side or made one product where that saves work, and always the same numbers as the sum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph import nn
from monograph.autodiff.accumulation import Contributions
from monograph.ops import contraction, elementwise, movement, source


def pads(*places: tuple[int, int], size: int = 8) -> list[Any]:
    """Gradients of rows [at, at + n) of a value of `size` rows."""
    return [
        movement.pad(source.constant(float(i + 1), mg.float32, (n, 3)), low=(at, 0), high=(size - at - n, 0), value=0)
        for i, (at, n) in enumerate(places)
    ]


def total(parts: list[Any]) -> Any:
    found = Contributions(parts[0], parts[1])
    found.parts += parts[2:]
    return found.total()


def test_parts_in_any_order_are_one_concatenation() -> None:
    made = total(pads((5, 2), (0, 2), (2, 3)))
    assert made.op is movement.cat
    assert [x.shape[0] for x in made.inputs] == [2, 3, 2, 1]  # and a row of zeros that nobody used


def test_parts_that_overlap_are_added() -> None:
    assert total(pads((0, 3), (2, 3))).op is elementwise.add


def test_parts_beside_a_whole_are_added_to_it() -> None:
    whole = source.constant(1.0, mg.float32, (8, 3))
    made = total([*pads((0, 3), (4, 2)), whole])
    assert made.op is elementwise.add
    assert {x.op for x in made.inputs} == {movement.cat, source.full}


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_gradients_of_parts(dim: int) -> None:
    x = mg.randn(4, 6, 5, requires_grad=True)
    weights = mg.arange(1, x.shape[dim] + 1, dtype=mg.float32)
    loss = sum(w * part.square().sum() for w, part in zip(weights, x.unbind(dim), strict=True))
    loss.backward()
    shape = [1, 1, 1]
    shape[dim] = -1
    np.testing.assert_allclose(x.grad.numpy(), (2 * x.detach() * weights.view(shape)).numpy(), rtol=1e-6)


def test_parts_used_twice_or_not_at_all() -> None:
    x = mg.ones(6, 2, requires_grad=True)
    (x[1:3].sum() + x[2:4].sum() * 2 + x[5].sum()).backward()
    assert x.grad[:, 0].tolist() == [0, 1, 3, 2, 0, 1]


def test_second_order_through_parts() -> None:
    def f(x: mg.Tensor) -> mg.Tensor:
        a, b, c = x.chunk(3)
        return (a * b).sin() + c**3

    assert mg.autograd.gradgradcheck(f, (mg.randn(6, dtype=mg.float64, requires_grad=True),))


def test_a_weight_used_at_every_step_gets_one_product() -> None:
    w = mg.randn(40, 40, requires_grad=True)
    x = mg.randn(6, 3, 40)
    h = mg.zeros(3, 40)
    for t in range(6):
        h = mg.tanh(nn.functional.linear(h, w) + x[t])
    (grad,) = mg.autograd.grad(h.square().sum(), w)
    node = grad._node
    products = 0
    todo, seen = [node], set()
    while todo:
        n = todo.pop()
        if id(n) in seen:
            continue
        seen.add(id(n))
        todo += n.inputs
        products += n.op is contraction.matmul and n.shape == (40, 40)
    assert products == 1
    again = w.detach().clone().double().requires_grad_()
    h = mg.zeros(3, 40, dtype=mg.float64)
    for t in range(6):
        h = mg.tanh(nn.functional.linear(h, again) + x[t].double())
    h.square().sum().backward()
    np.testing.assert_allclose(grad.numpy(), again.grad.numpy(), rtol=1e-3, atol=1e-4)
