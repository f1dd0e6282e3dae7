"""Orthogonal polynomials of tensors, by their recurrences: n is a whole number (or a tensor of one), x a tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.tensor.core import Tensor
from monograph.tensor.pointwise import FUNCTIONS, deliver

Step = Callable[[int, Any, Any, Any], Any]


def _polynomial(name: str, first: Callable[[Any], Any], step: Step, doc: str, shifted: bool = False) -> Callable[..., Tensor]:
    """P0 = 1, P1 = first(x), P(k+1) = step(k, x, P(k), P(k-1)); `shifted`: of 2 x - 1."""

    def of_one(x: Any, n: int) -> Any:
        zero = x * 0.0
        if n < 0:
            return zero
        before, now = zero + 1.0, first(x)
        if n == 0:
            return before
        for k in range(1, n):
            before, now = now, step(k, x, now, before)
        return now

    def function(input: Any, n: Any, *, out: Tensor | None = None) -> Tensor:  # noqa: A002 - torch's name
        if not isinstance(input, Tensor) and not isinstance(n, Tensor):
            raise TypeError(f"special_{name}(): x or n must be a Tensor, got {type(input).__name__} and {type(n).__name__}")
        if not isinstance(input, Tensor):
            input = FUNCTIONS["tensor"](float(input))  # noqa: A001
        x = input * 2.0 - 1.0 if shifted else input * 1.0  # type: ignore[operator]
        if not isinstance(n, Tensor):
            return deliver(of_one(x, int(n) if abs(n) < 2.0**63 else -1), out)
        dtype = FUNCTIONS["result_type"](input, n)
        whole = n
        if n.dtype.kind == "f":  # what no integer holds becomes the least one, as a processor converts it
            whole = FUNCTIONS["where"](n.abs() < 2.0**63, n.trunc(), -1.0)  # type: ignore[attr-defined]
        x, orders = FUNCTIONS["broadcast_tensors"](x.to(dtype if dtype.kind == "f" else x.dtype), whole)  # type: ignore[attr-defined]
        result = zero = x * 0.0
        before, now = zero + 1.0, first(x)
        greatest = int(orders.max().item()) if orders.numel() else -1
        for k in range(greatest + 1):
            result = FUNCTIONS["where"](orders == k, before, result)
            before, now = now, step(k + 1, x, now, before)
        return deliver(result, out)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def _chebyshev(letter: str, first: Callable[[Any], Any]) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """The polynomial and its shifted form."""
    doc = f"The Chebyshev polynomial {letter.upper()} of degree n"
    name = f"chebyshev_polynomial_{letter}"

    def step(k: int, x: Any, now: Any, before: Any) -> Any:
        return 2.0 * x * now - before

    return _polynomial(name, first, step, doc + "."), _polynomial(f"shifted_{name}", first, step, doc + ", of 2 x - 1.", True)


chebyshev_polynomial_t, shifted_chebyshev_polynomial_t = _chebyshev("t", lambda x: x)
chebyshev_polynomial_u, shifted_chebyshev_polynomial_u = _chebyshev("u", lambda x: 2.0 * x)
chebyshev_polynomial_v, shifted_chebyshev_polynomial_v = _chebyshev("v", lambda x: 2.0 * x - 1.0)
chebyshev_polynomial_w, shifted_chebyshev_polynomial_w = _chebyshev("w", lambda x: 2.0 * x + 1.0)
hermite_polynomial_h = _polynomial(
    "hermite_polynomial_h",
    lambda x: 2.0 * x,
    lambda k, x, now, before: 2.0 * x * now - 2.0 * k * before,
    "The physicists' Hermite polynomial of degree n.",
)
hermite_polynomial_he = _polynomial(
    "hermite_polynomial_he",
    lambda x: x,
    lambda k, x, now, before: x * now - k * before,
    "The probabilists' Hermite polynomial of degree n.",
)
laguerre_polynomial_l = _polynomial(
    "laguerre_polynomial_l",
    lambda x: 1.0 - x,
    lambda k, x, now, before: ((2 * k + 1 - x) * now - k * before) / (k + 1),
    "The Laguerre polynomial of degree n.",
)
legendre_polynomial_p = _polynomial(
    "legendre_polynomial_p",
    lambda x: x,
    lambda k, x, now, before: ((2 * k + 1) * x * now - k * before) / (k + 1),
    "The Legendre polynomial of degree n.",
)
