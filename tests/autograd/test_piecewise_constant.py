"""A gradient that is a piecewise constant function of the input has a gradient: zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import monograph as mg
import monograph.nn.functional as F


@pytest.mark.parametrize("function", [mg.relu, mg.abs, F.leaky_relu, lambda x: F.l1_loss(x, mg.zeros(3))])
def test_second_gradient_is_zero(function: Callable[[Any], Any]) -> None:
    x = mg.tensor([-0.5, 0.4, 2.0], requires_grad=True)
    (g,) = mg.autograd.grad(function(x).sum(), x, create_graph=True)
    assert g.requires_grad
    assert mg.autograd.grad(g.sum(), x)[0].tolist() == [0.0, 0.0, 0.0]


def test_what_takes_no_part_has_none() -> None:
    x, other = mg.tensor([1.0, -1.0], requires_grad=True), mg.tensor([1.0], requires_grad=True)
    (g,) = mg.autograd.grad(mg.relu(x).sum(), x, create_graph=True)
    assert mg.autograd.grad(g.sum(), other, allow_unused=True)[0] is None
    with pytest.raises(RuntimeError, match="not have been used in the graph"):
        mg.autograd.grad(g.sum(), other)


def test_a_custom_function_that_returns_none_has_none() -> None:
    class Stop(mg.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return None

    x = mg.tensor([1.0], requires_grad=True)
    assert mg.autograd.grad(Stop.apply(x).sum(), x, allow_unused=True)[0] is None
