"""What an autograd.Function keeps on its context without saving it is its own affair, in-place writes included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph.core.errors import AutogradError


class Gathering(mg.autograd.Function):
    """Passes the last value on and gathers gradients in a buffer that is an argument, written in place by backward."""

    @staticmethod
    def forward(ctx: Any, gathered: mg.Tensor, value: mg.Tensor, weight: float) -> mg.Tensor:
        ctx.gathered, ctx.weight = gathered, weight
        return value * weight

    @staticmethod
    def backward(ctx: Any, grad: mg.Tensor) -> tuple[mg.Tensor | None, ...]:
        ctx.gathered[:2] += grad[:2]
        return None, ctx.gathered * ctx.weight, None


def test_a_backward_may_write_into_an_argument_that_was_not_saved() -> None:
    x = mg.ones(3, requires_grad=True)
    gathered = mg.zeros(3)
    total = mg.zeros(())
    for weight in (1.0, 2.0, 3.0):
        total = total + Gathering.apply(gathered, x, weight).sum()
    total.backward()
    np.testing.assert_array_equal(gathered, [3, 3, 0])
    np.testing.assert_array_equal(x.grad, [1 * 3 + 2 * 2 + 3 * 1] * 2 + [0])


def test_such_a_function_can_be_gone_through_twice() -> None:
    x = mg.ones(3, requires_grad=True)
    y = Gathering.apply(mg.zeros(3), x, 2.0).sum()
    y.backward()
    y.backward()  # nothing was saved, so nothing was freed
    np.testing.assert_array_equal(x.grad, [2 + 4] * 2 + [0])


def test_saved_tensors_are_still_looked_after() -> None:
    class Squared(mg.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: mg.Tensor) -> mg.Tensor:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, grad: mg.Tensor) -> mg.Tensor:
            (x,) = ctx.saved_tensors
            return 2 * x * grad

    x = mg.ones(3, requires_grad=True)
    inner = x * 1
    y = Squared.apply(inner).sum()
    inner.add_(1)
    with pytest.raises((RuntimeError, AutogradError), match="modified by an inplace operation"):
        y.backward()
