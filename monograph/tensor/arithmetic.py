"""Elementwise functions made of others: units, signs, powers and logarithms of sums, divisors, what is not a number."""

from __future__ import annotations

import math
from typing import Any

from monograph.core import dtype as dtypes
from monograph.core.errors import DTypeError
from monograph.ops import number_parts
from monograph.tensor.core import Tensor
from monograph.tensor.delivery import deliver, takes_out
from monograph.tensor.dispatch import apply, emit, operands
from monograph.tensor.pointwise import FUNCTIONS as F
from monograph.tensor.pointwise import METHODS, publish
from monograph.tensor.reduction import value_pair
from monograph.tensor.selection import rounded_once

Frexp = value_pair("frexp", "mantissa", "exponent")


def _floating(x: Tensor) -> Tensor:
    return x if x.dtype.kind in "fc" else x.to(dtypes.defaults.floating)  # type: ignore[attr-defined]


def _scaled_unit(name: str, factor: float, doc: str) -> None:
    def function(input: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
        if input.dtype.kind == "c":
            raise RuntimeError(f"{name} is not supported for complex tensors.")
        return deliver(F["mul"](_floating(input), factor), out)

    function.__doc__ = doc
    publish(name, function, in_place=True)


_scaled_unit("deg2rad", math.pi / 180, "Degrees as radians.")
_scaled_unit("rad2deg", 180 / math.pi, "Radians as degrees.")


def positive(input: Tensor) -> Tensor:  # noqa: A002
    """The tensor itself; an error for bool."""
    if input.dtype is dtypes.bool_:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


def float_power(input: Any, exponent: Any, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """input ** exponent in float64, or complex128 where one of them is complex.

    >>> import monograph as mg
    >>> mg.float_power(mg.tensor([2, 3]), -1).dtype
    monograph.float64
    """
    if not isinstance(input, Tensor) and not isinstance(exponent, Tensor):
        raise TypeError("float_power(): at least one of input and exponent must be a Tensor")
    is_complex = any(v.dtype.kind == "c" if isinstance(v, Tensor) else isinstance(v, complex) for v in (input, exponent))
    to = dtypes.complex128 if is_complex else dtypes.float64
    if out is not None and out.dtype is not to:
        raise DTypeError(f"the output given to float_power has dtype {out.dtype.name} but the operation's result requires dtype {to.name}")
    a, b = (v.to(to) if isinstance(v, Tensor) else v for v in (input, exponent))  # type: ignore[attr-defined]
    return F["pow"](a, b, out=out)


def _float_power_in_place(self: Tensor, exponent: Any) -> Tensor:
    """In-place version of `float_power`: only of a float64 or complex128 tensor."""
    is_complex = self.dtype.kind == "c" or (exponent.dtype.kind == "c" if isinstance(exponent, Tensor) else isinstance(exponent, complex))
    to = dtypes.complex128 if is_complex else dtypes.float64
    if self.dtype is not to:
        raise DTypeError(f"the base given to float_power_ has dtype {self.dtype.name} but the operation's result requires dtype {to.name}")
    return self.pow_(exponent)  # type: ignore[attr-defined]


def frexp(input: Tensor, *, out: Any = None) -> Any:  # noqa: A002
    """(mantissa, exponent) of every element: input = mantissa * 2 ** exponent, the mantissa in [0.5, 1) or negative of that."""
    if input.dtype.kind != "f":
        raise RuntimeError(f"torch.frexp() only supports floating-point dtypes, got {input.dtype.name}")
    return deliver(Frexp(*apply(number_parts.frexp, input)), out, exact=True)


def nextafter(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """The next floating-point number after `input` towards `other`."""
    a, b = _two_tensors("nextafter", input, other)
    if a.dtype.kind != "f":
        raise NotImplementedError(f'"nextafter_cpu" not implemented for \'{a.dtype.name}\'')
    return deliver(emit(number_parts.nextafter, a, b), out)


def _two_tensors(name: str, a: Any, b: Any) -> Any:
    for position, x in enumerate((a, b)):
        if not isinstance(x, Tensor):
            argument = ("input", "other")[position]
            raise TypeError(f"{name}(): argument '{argument}' (position {position + 1}) must be Tensor, not {type(x).__name__}")
    return operands(a, b, name)


def gcd(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """The greatest common divisor of integers; gcd(0, 0) is 0."""
    a, b = _two_tensors("gcd", input, other)
    if a.dtype.kind not in "iu":
        raise NotImplementedError(f'"gcd_cpu" not implemented for \'{a.dtype.name}\'')
    return deliver(emit(number_parts.gcd, a, b), out)


def lcm(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """The least common multiple of integers; 0 where one is 0."""
    a, b = _two_tensors("lcm", input, other)
    if a.dtype.kind not in "iu":
        raise NotImplementedError(f'"lcm_cpu" not implemented for \'{a.dtype.name}\'')
    divisor = emit(number_parts.gcd, a, b)
    parts = F["floor_divide"](input.to(a.dtype), F["where"](divisor == 0, 1, divisor).to(a.dtype))  # type: ignore[attr-defined]
    return deliver(F["abs"](F["mul"](parts, other.to(a.dtype))), out)  # type: ignore[attr-defined]


def heaviside(input: Tensor, values: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """0 below zero, 1 above, `values` at zero."""
    _two_tensors("heaviside", input, values)
    if input.dtype is not values.dtype or (out is not None and out.dtype is not input.dtype):
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    if input.dtype.kind == "c":
        raise RuntimeError("heaviside is not yet implemented for complex tensors.")
    return deliver(F["where"](input == 0, values.detach(), (input > 0).to(input.dtype)), out)


def ldexp(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """input * 2 ** other."""
    _two_tensors("ldexp", input, other)
    return deliver(F["mul"](input, F["pow"](2.0, other)), out)


def _log_of_sum(name: str, exponential: str, inverse: float, doc: str) -> None:
    def function(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
        a, _ = _two_tensors(name, input, other)
        if a.dtype.kind == "c":
            top = F["where"](F["real"](input) >= F["real"](other), input, other)
            rest = F["exp"](input - top) + F["exp"](other - top)
            return deliver(top + F["log"](rest), out)
        if a.dtype.kind != "f":
            raise NotImplementedError(f'"{name}_cpu" not implemented for \'{a.dtype.name}\'')
        x, y = (F["_to_dtype"](t, a.dtype) for t in (input, other))
        return deliver(rounded_once(real, x, y), out)

    def real(x: Tensor, y: Tensor) -> Tensor:
        alike = F["logical_and"](F["isinf"](x), x == y)
        gap = F["abs"](F["where"](alike, 0.0, F["sub"](x, y)))
        more = F["log1p"](F[exponential](F["neg"](gap)))
        return F["maximum"](x, y) + (more if inverse == 1 else more * inverse)  # type: ignore[no-any-return]

    function.__doc__ = doc
    publish(name, function)


_log_of_sum("logaddexp", "exp", 1, "log(exp(input) + exp(other)) without overflow.")
_log_of_sum("logaddexp2", "exp2", 1 / math.log(2), "log2(2 ** input + 2 ** other) without overflow.")


def nan_to_num(
    input: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None, *, out: Tensor | None = None  # noqa: A002
) -> Tensor:  # fmt: skip
    """NaN replaced by `nan` (0), infinities by `posinf` and `neginf` (the largest and smallest numbers of the dtype).

    >>> import monograph as mg
    >>> mg.nan_to_num(mg.tensor([1.0, float("nan"), float("inf")]), posinf=9.0).tolist()
    [1.0, 0.0, 9.0]
    """
    d = input.dtype
    if d.kind not in "fc":
        return deliver(input.clone(), out, exact=True)  # type: ignore[attr-defined]
    if d.kind == "c":
        pairs = F["view_as_real"](input)
        return deliver(F["view_as_complex"](nan_to_num(pairs, nan, posinf, neginf)), out, exact=True)
    info = dtypes.finfo(d)
    x = F["where"](F["isnan"](input), 0.0 if nan is None else nan, input)
    x = F["where"](F["isposinf"](input), info.max if posinf is None else posinf, x)
    return deliver(F["where"](F["isneginf"](input), info.min if neginf is None else neginf, x), out, exact=True)


def _infinite(name: str, sign: float) -> None:
    def function(input: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
        if input.dtype.kind == "c":
            raise RuntimeError(f"{name} does not support complex inputs.")
        if out is not None and out.dtype is not dtypes.bool_:
            raise DTypeError(f"{name} does not support non-boolean outputs.")
        return deliver(F["eq"](input, sign) if input.dtype.kind == "f" else F["zeros_like"](input, dtype=dtypes.bool_), out)

    function.__doc__ = f"Whether each element is {'minus ' if sign < 0 else ''}infinity."
    publish(name, function)


_infinite("isposinf", math.inf)
_infinite("isneginf", -math.inf)


def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:  # noqa: A002
    """The p-norm of input - other, which is floating or complex."""
    return F["norm"](F["sub"](input, other), p)


def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:  # noqa: A002
    """Slices along `dim` whose p-norm is above `maxnorm` are shrunk to it."""
    if input.dtype.kind not in "fc":
        raise RuntimeError("renorm: expected a floating-point or complex tensor")
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    if input.ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions")
    d = dim + input.ndim if dim < 0 else dim
    if not 0 <= d < input.ndim:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-input.ndim}, {input.ndim - 1}], but got {dim})")
    others = [i for i in range(input.ndim) if i != d]
    low = input.dtype if input.dtype.itemsize > 2 else dtypes.float32
    norms = F["norm"](F["_to_dtype"](input, low), p, others, True)
    factors = F["where"](norms > maxnorm, maxnorm / (norms + 1e-7), 1.0)
    return F["mul"](input, F["_to_dtype"](factors, input.dtype))


publish("positive", positive)
publish("float_power", float_power)
publish("frexp", frexp)
publish("dist", dist)
for _name, _function in {
    "nextafter": nextafter, "gcd": gcd, "lcm": lcm, "heaviside": heaviside, "ldexp": ldexp, "nan_to_num": nan_to_num,
}.items():  # fmt: skip
    publish(_name, _function, in_place=True)
F["renorm"] = takes_out(publish("renorm", renorm, in_place=True), exact=False)
METHODS["float_power_"] = _float_power_in_place
