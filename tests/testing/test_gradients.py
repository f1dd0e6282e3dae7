"""gradcheck, gradgradcheck and check_grads find wrong gradients and pass right ones."""

from __future__ import annotations

from typing import Any

import pytest

import monograph as mg
from monograph.testing import GradcheckError, check_grads, gradcheck, gradgradcheck


class Wrong(mg.autograd.Function):
    """2 x with the gradient of 3 x."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 2

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * 3


def double(*shape: int) -> Any:
    return mg.linspace(0.3, 1.1, max(1, int(mg.Size(shape).numel())), dtype=mg.float64).reshape(shape).requires_grad_()


def test_right_gradients_pass() -> None:
    assert gradcheck(lambda a, b: (a @ b).tanh(), (double(2, 3), double(3, 2)))
    assert gradcheck(lambda a, n: (a * n, a.sum()), (double(2), 3))
    assert gradgradcheck(lambda a: a**3, (double(2),))
    assert gradcheck(lambda a: a * 2, (mg.zeros(0, 2, dtype=mg.float64, requires_grad=True),))


def test_wrong_ones_do_not() -> None:
    with pytest.raises(GradcheckError, match="Jacobian mismatch for output 0 with respect to input 0") as raised:
        gradcheck(Wrong.apply, (double(2),))
    assert "numerical:tensor([[2." in str(raised.value) and "analytical:tensor([[3." in str(raised.value)
    assert not gradcheck(Wrong.apply, (double(2),), raise_exception=False)
    with pytest.raises(GradcheckError, match="expected to be zero"):
        gradcheck(lambda a: a.detach() * 2, (double(2),))
    with pytest.raises(GradcheckError):
        check_grads(lambda a: Wrong.apply(a).sum(), mg.ones(2))


def test_arguments() -> None:
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        gradcheck(lambda a: a, (mg.ones(2),))
    with pytest.warns(UserWarning, match="not a double precision"):
        gradcheck(lambda a: a * 1, (mg.ones(1, requires_grad=True),), raise_exception=False)
    with pytest.raises(ValueError, match="order is 1 or 2"):
        check_grads(lambda a: a, mg.ones(1), order=3)


def test_check_grads_doubles_its_inputs() -> None:
    check_grads(lambda a, k: mg.sin(a) * k, mg.ones(2), 2)
