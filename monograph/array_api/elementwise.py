"""Elementwise functions under the standard's names, with its promotion and its special cases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.array_api.array import Array, returns_arrays
from monograph.array_api.promotion import Number, common
from monograph.tensor.core import Tensor
from monograph.tensor.pointwise import FUNCTIONS

Operand = Tensor | Number


def _unary(name: str, torch_name: str = "") -> Callable[[Tensor], Array]:
    of_torch = FUNCTIONS[torch_name or name]

    @returns_arrays
    def function(x: Tensor, /) -> Any:
        return of_torch(x)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name} of every element: `monograph.{torch_name or name}`."
    return function


def _binary(name: str, torch_name: str = "") -> Callable[[Operand, Operand], Array]:
    of_torch = FUNCTIONS[torch_name or name]

    @returns_arrays
    def function(x1: Operand, x2: Operand, /) -> Any:
        return of_torch(*common(x1, x2))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name} element by element, with the standard's promotion: `monograph.{torch_name or name}`."
    return function


abs = _unary("abs")  # noqa: A001
acos = _unary("acos")
acosh = _unary("acosh")
asin = _unary("asin")
asinh = _unary("asinh")
atan = _unary("atan")
atanh = _unary("atanh")
bitwise_invert = _unary("bitwise_invert", "bitwise_not")
cos = _unary("cos")
cosh = _unary("cosh")
exp = _unary("exp")
isfinite = _unary("isfinite")
isinf = _unary("isinf")
isnan = _unary("isnan")
log = _unary("log")
log10 = _unary("log10")
log1p = _unary("log1p")
log2 = _unary("log2")
logical_not = _unary("logical_not")
negative = _unary("negative")
reciprocal = _unary("reciprocal")
signbit = _unary("signbit")
sin = _unary("sin")
sinh = _unary("sinh")
sqrt = _unary("sqrt")
square = _unary("square")
tan = _unary("tan")
tanh = _unary("tanh")

add = _binary("add")
atan2 = _binary("atan2")
bitwise_and = _binary("bitwise_and")
bitwise_left_shift = _binary("bitwise_left_shift")
bitwise_or = _binary("bitwise_or")
bitwise_right_shift = _binary("bitwise_right_shift")
bitwise_xor = _binary("bitwise_xor")
copysign = _binary("copysign")
divide = _binary("divide")
equal = _binary("equal", "eq")
greater = _binary("greater")
greater_equal = _binary("greater_equal")
hypot = _binary("hypot")
less = _binary("less")
less_equal = _binary("less_equal")
logical_and = _binary("logical_and")
logical_or = _binary("logical_or")
logical_xor = _binary("logical_xor")
maximum = _binary("maximum")
minimum = _binary("minimum")
multiply = _binary("multiply")
not_equal = _binary("not_equal")
subtract = _binary("subtract")


def _rounding(name: str) -> Callable[[Tensor], Array]:
    of_torch = FUNCTIONS[name]

    @returns_arrays
    def function(x: Tensor, /) -> Any:
        if x.dtype.is_complex:
            return FUNCTIONS["complex"](of_torch(FUNCTIONS["real"](x)), of_torch(FUNCTIONS["imag"](x)))
        return of_torch(x)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name} of every element to a whole number; of a complex one's two parts on their own."
    return function


ceil = _rounding("ceil")
floor = _rounding("floor")
round = _rounding("round")  # noqa: A001
trunc = _rounding("trunc")


@returns_arrays
def sign(x: Tensor, /) -> Any:
    """-1, 0 or 1, NaN for NaN; of a complex number x / |x|."""
    if x.dtype.is_complex:
        return FUNCTIONS["sgn"](x)
    signs = FUNCTIONS["sign"](x)
    return FUNCTIONS["where"](FUNCTIONS["isnan"](x), x, signs) if x.dtype.is_floating_point else signs


@returns_arrays
def expm1(x: Tensor, /) -> Any:
    """exp(x) - 1, exact near 0. A complex number whose real part is infinite or NaN goes the way of `exp`."""
    result = FUNCTIONS["expm1"](x)
    if not x.dtype.is_complex:
        return result
    large = FUNCTIONS["sub"](FUNCTIONS["exp"](x), 1)
    result = FUNCTIONS["where"](FUNCTIONS["isfinite"](FUNCTIONS["real"](x)), result, large)
    return FUNCTIONS["complex"](FUNCTIONS["add"](FUNCTIONS["real"](result), 0.0), FUNCTIONS["imag"](result))  # a real part of -0 is +0


@returns_arrays
def positive(x: Tensor, /) -> Any:
    """+x: a copy of the values."""
    return FUNCTIONS["clone"](x)


@returns_arrays
def conj(x: Tensor, /) -> Any:
    """The complex conjugate; a real array's values as they are."""
    return FUNCTIONS["conj"](x) if x.dtype.is_complex else x


@returns_arrays
def real(x: Tensor, /) -> Any:
    """The real part; a real array's values as they are."""
    return FUNCTIONS["real"](x) if x.dtype.is_complex else x


@returns_arrays
def imag(x: Tensor, /) -> Any:
    """The imaginary part; zeros for a real array."""
    return FUNCTIONS["imag"](x) if x.dtype.is_complex else FUNCTIONS["zeros_like"](x)


@returns_arrays
def pow(x1: Operand, x2: Operand, /) -> Any:  # noqa: A001
    """x1 ** x2. A whole number as exponent is multiplied out, as torch does; roots of -infinity are the standard's."""
    if isinstance(x1, Tensor) and isinstance(x2, int) and not isinstance(x2, bool) and x1.dtype.kind != "b":
        return FUNCTIONS["pow"](x1, x2)
    return FUNCTIONS["pow"](*common(x1, x2))


@returns_arrays
def floor_divide(x1: Operand, x2: Operand, /) -> Any:
    """The floor of the quotient: where an operand is infinite, of the quotient itself (torch pairs `//` with `%` there)."""
    a, b = common(x1, x2)
    quotient = FUNCTIONS["floor_divide"](a, b)
    if not a.dtype.is_floating_point:
        return quotient
    infinite = FUNCTIONS["logical_or"](FUNCTIONS["isinf"](a), FUNCTIONS["isinf"](b))
    return FUNCTIONS["where"](infinite, FUNCTIONS["floor"](FUNCTIONS["div"](a, b)), quotient)


@returns_arrays
def remainder(x1: Operand, x2: Operand, /) -> Any:
    """Python's x1 % x2: the remainder with the sign of x2, a zero included."""
    a, b = common(x1, x2)
    rest = FUNCTIONS["remainder"](a, b)
    if not a.dtype.is_floating_point:
        return rest
    return FUNCTIONS["where"](FUNCTIONS["eq"](rest, 0), FUNCTIONS["copysign"](FUNCTIONS["zeros_like"](rest), b), rest)


@returns_arrays
def clip(x: Tensor, /, min: Any = None, max: Any = None) -> Any:  # noqa: A002
    """The elements limited to [min, max], in the dtype of x; NaN in any of the three gives NaN."""
    result = FUNCTIONS["clone"](x) if min is None and max is None else x
    for bound, limit in ((min, FUNCTIONS["maximum"]), (max, FUNCTIONS["minimum"])):
        if bound is not None:
            result = limit(result, bound.to(x.dtype) if isinstance(bound, Tensor) else common(x, bound)[1].to(x.dtype))
    return result


@returns_arrays
def logaddexp(x1: Operand, x2: Operand, /) -> Any:
    """log(exp(x1) + exp(x2)) without overflow."""
    return FUNCTIONS["logaddexp"](*common(x1, x2))


@returns_arrays
def nextafter(x1: Operand, x2: Operand, /) -> Any:
    """The next floating-point number after x1 towards x2."""
    return FUNCTIONS["nextafter"](*common(x1, x2))
