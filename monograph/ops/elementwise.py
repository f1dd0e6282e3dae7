"""Elementwise arithmetic and mathematical functions; the operators of nodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import NO_ATTRS, Attrs, NoAttrs, attrs
from monograph.core.dtype import (
    bfloat16,
    bool_,
    float8_e4m3fn,
    float8_e8m0fnu,
    float16,
    float32,
    float64,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from monograph.core.dtype import dtype as DType
from monograph.core.errors import DTypeError
from monograph.core.shape import Shape
from monograph.graph.node import install_operators, record
from monograph.graph.op import REGISTRY, VIA_DECOMPOSITION, Family, OpDef, Sample, Trait, define
from monograph.ops import reference_math as rm
from monograph.ops.broadcasting import FLOATING, NUMERIC, binary, common_shape, fixed, lift, mismatch, refuse, sum_to, unary
from monograph.ops.compare import eq, ge, gt, isnan, le, logical_and, logical_or, lt
from monograph.ops.reference_math import plain, unchanged_integers
from monograph.ops.samples import draw, of_one, of_two
from monograph.ops.source import constant, full, zeros_like

ELEMENTWISE = Family.ELEMENTWISE
REAL, INEXACT = "fui", "fc"
LN2, LN10, ROOT_PI = math.log(2), math.log(10), math.sqrt(math.pi)
POINTWISE, COMMUTATIVE, ASSOCIATIVE, IDEMPOTENT = Trait.POINTWISE, Trait.COMMUTATIVE, Trait.ASSOCIATIVE, Trait.IDEMPOTENT
HOLOMORPHIC = Trait.HOLOMORPHIC


def _one(
    name: str, function: Callable[[Any], Any], slope: Callable[[Any, Any, Any], Any], samples: Callable[[], Iterable[Sample]] | None = None,
    allowed: str = FLOATING, traits: tuple[Trait, ...] = (), doc: str = "",
) -> OpDef:  # fmt: skip
    """y = f(x); `slope(g, y, x)` is the gradient."""
    return define(
        name, family=ELEMENTWISE, infer=unary(name, allowed), reference=plain(function), vjp=lambda g, y, a, x: [slope(g, y, x)],
        samples=samples or of_one(ints="i" in allowed), traits=(POINTWISE, *traits), doc=doc,
    )  # fmt: skip


def _analytic(
    name: str, function: Callable[[Any], Any], slope: Callable[[Any, Any, Any], Any], samples: Callable[[], Iterable[Sample]] | None = None,
    allowed: str = INEXACT, doc: str = "",
) -> OpDef:  # fmt: skip
    """`_one` of a function that complex numbers have too."""
    return _one(name, function, slope, samples, allowed, (HOLOMORPHIC,), doc)


def _flat(g: Any, y: Any, x: Any) -> Any:
    """The gradient of a step function."""
    return zeros_like(x)


def whole_in_float32(decompose: Callable[..., Any]) -> Callable[..., Any]:
    """A decomposition that computes half precision in float32 throughout and rounds once, at the end."""

    def computed(a: Any, *xs: Any) -> Any:
        d = xs[0].dtype
        if d.itemsize != 2 or d.kind != "f":
            return decompose(a, *xs)
        return as_dtype(decompose(a, *[as_dtype(x, float32) if x.dtype is d else x for x in xs]), d)

    return computed


def backward_op(
    name: str, slope: Callable[[Any, Any, Any], Any], attributes: type[Attrs] = NoAttrs, examples: tuple[Attrs, ...] = (NO_ATTRS,),
    allowed: str = FLOATING,
) -> OpDef:  # fmt: skip
    """The gradient of an activation as one op, so that recording it costs one node; `slope(a, g, x)`: x is the input or the output."""
    return define(
        name, family=ELEMENTWISE, attrs=attributes, infer=binary(name, allowed), decompose=whole_in_float32(slope), vjp=VIA_DECOMPOSITION,
        samples=lambda: [s for a in examples for s in of_two(0.11, 0.89, attrs=a)()], traits=[POINTWISE],
    )  # fmt: skip


def _relu_slope(a: Any, g: Any, y: Any) -> Any:
    zero = constant(0, y.dtype)
    return where(le(y, zero), zero, g)


relu_backward = backward_op("relu_backward", _relu_slope)
sigmoid_backward = backward_op("sigmoid_backward", lambda a, g, y: g * ((1 - y) * y), allowed=INEXACT)
tanh_backward = backward_op("tanh_backward", lambda a, g, y: g * (1 - y * y), allowed=INEXACT)


def _acosh_slope(g: Any, y: Any, x: Any) -> Any:
    """The principal root of x * x - 1 has the wrong sign in the left half of the complex plane."""
    return g * (rsqrt(x * x - 1) if x.dtype.kind != "c" else rsqrt(x - 1) * rsqrt(x + 1))


neg = _one("neg", np.negative, lambda g, y, x: -g, allowed=NUMERIC)


def _abs_type(a: Any, x: Any) -> tuple[Shape, DType]:
    d = x.dtype
    if d.kind not in NUMERIC:
        raise refuse("abs", d, NUMERIC)
    return x.shape, d.to_real() if d.kind == "c" else d


abs = define(
    "abs", family=ELEMENTWISE, infer=_abs_type, reference=rm.absolute, samples=of_one(ints=True, away_from=0.0),
    vjp=lambda g, y, a, x: [g * sign(x) if x.dtype.kind != "c" else as_dtype(g, x.dtype) * REGISTRY["sgn"](x)],
    traits=[POINTWISE, IDEMPOTENT], doc="Of complex numbers: the size, a real number.",
)  # fmt: skip
sign: OpDef = _one("sign", rm.sign, _flat, of_one(ints=True, away_from=0.0, bools=True), "fuib", (IDEMPOTENT,), doc="0 for NaN.")
square = _analytic("square", lambda x: x * x, lambda g, y, x: g * (x * 2), allowed=NUMERIC)
sqrt = _analytic("sqrt", np.sqrt, lambda g, y, x: g / (y * 2), of_one(0.3, 3))
rsqrt = _analytic("rsqrt", lambda x: 1 / np.sqrt(x), lambda g, y, x: g * (y * y * y * -0.5), of_one(0.3, 3))
reciprocal = _analytic("reciprocal", np.reciprocal, lambda g, y, x: -g * (y * y), of_one(0.5, 3))
exp = _analytic("exp", np.exp, lambda g, y, x: g * y)
exp2 = _analytic("exp2", np.exp2, lambda g, y, x: g * (y * LN2))
expm1 = _analytic("expm1", np.expm1, lambda g, y, x: g * (y + 1))
log = _analytic("log", np.log, lambda g, y, x: g / x, of_one(0.3, 3))
log2 = _analytic("log2", np.log2, lambda g, y, x: g / (x * LN2), of_one(0.3, 3))
log10 = _analytic("log10", np.log10, lambda g, y, x: g / (x * LN10), of_one(0.3, 3))
log1p = _analytic("log1p", np.log1p, lambda g, y, x: g / (x + 1), of_one(-0.7, 3))
sin = _analytic("sin", np.sin, lambda g, y, x: g * cos(x))
cos: OpDef = _analytic("cos", np.cos, lambda g, y, x: -g * sin(x))
tan = _analytic("tan", np.tan, lambda g, y, x: g * (y * y + 1), of_one(-1.2, 1.2))
asin = _analytic("asin", np.arcsin, lambda g, y, x: g * rsqrt(1 - x * x), of_one(-0.9, 0.9))
acos = _analytic("acos", np.arccos, lambda g, y, x: -g * rsqrt(1 - x * x), of_one(-0.9, 0.9))
atan = _analytic("atan", np.arctan, lambda g, y, x: g / (x * x + 1))
sinh = _analytic("sinh", np.sinh, lambda g, y, x: g * cosh(x))
cosh: OpDef = _analytic("cosh", np.cosh, lambda g, y, x: g * sinh(x))
tanh = _analytic("tanh", np.tanh, lambda g, y, x: tanh_backward(g, y))
asinh = _analytic("asinh", np.arcsinh, lambda g, y, x: g * rsqrt(x * x + 1))
acosh = _analytic("acosh", np.arccosh, _acosh_slope, of_one(1.3, 3))
atanh = _analytic("atanh", np.arctanh, lambda g, y, x: g / (1 - x * x), of_one(-0.8, 0.8))
erf = _one("erf", rm.erf, lambda g, y, x: g * (exp(-(x * x)) * (2 / ROOT_PI)))
erfc = _one("erfc", rm.erfc, lambda g, y, x: g * (exp(-(x * x)) * (-2 / ROOT_PI)))
erfinv = _one("erfinv", rm.erfinv, lambda g, y, x: g * (exp(y * y) * (ROOT_PI / 2)), of_one(-0.9, 0.9))
sigmoid = _analytic("sigmoid", rm.sigmoid, lambda g, y, x: sigmoid_backward(g, y))
relu = _one(
    "relu",
    lambda x: np.maximum(x, 0),
    lambda g, y, x: relu_backward(g, y),
    of_one(ints=True, away_from=0.0),
    REAL,
    (IDEMPOTENT,),
    doc="max(x, 0); NaN stays NaN.",
)
floor = _one("floor", unchanged_integers(np.floor), _flat, of_one(-1.8, -1.2, ints=True), REAL, (IDEMPOTENT,))
ceil = _one("ceil", unchanged_integers(np.ceil), _flat, of_one(-1.8, -1.2, ints=True), REAL, (IDEMPOTENT,))
round = _one("round", unchanged_integers(np.rint), _flat, of_one(-1.4, -0.6, ints=True), REAL, (IDEMPOTENT,), doc="Half to even.")
trunc = _one("trunc", unchanged_integers(np.trunc), _flat, of_one(-1.8, -1.2, ints=True), REAL, (IDEMPOTENT,))
frac = _one("frac", lambda x: x - np.trunc(x), lambda g, y, x: g, of_one(-1.8, -1.2), traits=(IDEMPOTENT,))


def _two(
    name: str, function: Callable[[Any, Any], Any], slopes: Callable[..., Any], samples: Callable[[], Iterable[Sample]] | None = None,
    allowed: str = FLOATING, traits: tuple[Trait, ...] = (), doc: str = "",
) -> OpDef:  # fmt: skip
    """z = f(x, y); `slopes(g, z, a, x, y)` are the gradients."""
    return define(
        name, family=ELEMENTWISE, infer=binary(name, allowed), reference=plain(function), vjp=slopes,
        samples=samples or of_two(ints=allowed != FLOATING),
        traits=(POINTWISE, *traits), doc=doc,
    )  # fmt: skip


def _add_slopes(g: Any, z: Any, a: Any, x: Any, y: Any) -> list[Any]:
    return [None if fixed(x) else sum_to(g, x.shape), None if fixed(y) else sum_to(g, y.shape)]


def _sub_slopes(g: Any, z: Any, a: Any, x: Any, y: Any) -> list[Any]:
    return [None if fixed(x) else sum_to(g, x.shape), None if fixed(y) else sum_to(-g, y.shape)]


def _mul_slopes(g: Any, z: Any, a: Any, x: Any, y: Any) -> list[Any]:
    return [None if fixed(x) else sum_to(g * y, x.shape), None if fixed(y) else sum_to(g * x, y.shape)]


def _div_slopes(g: Any, z: Any, a: Any, x: Any, y: Any) -> list[Any]:
    gx = g / y
    return [None if fixed(x) else sum_to(gx, x.shape), None if fixed(y) else sum_to(-gx * z, y.shape)]


def _flat_slopes(g: Any, z: Any, a: Any, x: Any, y: Any) -> list[Any]:
    return [zeros_like(x), zeros_like(y)]


def _remainder_slopes(g: Any, z: Any, a: Any, x: Any, y: Any) -> list[Any]:
    return [sum_to(g, x.shape), None if fixed(y) else sum_to(-g * floor_divide(x, y), y.shape)]


def _fmod_slopes(g: Any, z: Any, a: Any, x: Any, y: Any) -> list[Any]:
    return [sum_to(g, x.shape), None if fixed(y) else sum_to(-g * trunc(x / y), y.shape)]


def _pow_slopes(g: Any, z: Any, a: Any, x: Any, y: Any) -> list[Any]:
    """Zero, not NaN, where the exponent is 0 (for x) and where 0 is raised to a power >= 0 (for y)."""
    gx = gy = None
    zero = constant(0, x.dtype)
    if y.op is full and not y.shape:
        n = y.attrs.value
        gx = zeros_like(x) if n == 0 else g * x * 2 if n == 2 else g * (pow(x, lift(n - 1, x)) * n)
    elif not fixed(x):
        gx = sum_to(g * (y * pow(x, where(eq(y, zero), zero, y - 1))), x.shape)
    if not fixed(y):
        size = y if y.dtype.kind != "c" else as_dtype(y, y.dtype.to_real())
        vanishes = logical_and(eq(x, zero), ge(size, constant(0, size.dtype)))
        gy = sum_to(g * (z * log(where(vanishes, constant(1, x.dtype), x))), y.shape)
    return [gx, gy]


def _atan2_slopes(g: Any, z: Any, a: Any, x: Any, y: Any) -> list[Any]:
    scaled = g / (x * x + y * y)
    return [sum_to(scaled * y, x.shape), sum_to(-scaled * x, y.shape)]


def _extremum_slopes(beaten: Callable[[], OpDef]) -> Callable[..., Any]:
    """Of maximum and minimum: equal values share the gradient; a NaN passes it to both."""

    def slopes(g: Any, z: Any, a: Any, x: Any, y: Any) -> list[Any]:
        zero, op = constant(0, g.dtype), beaten()
        shared = where(eq(x, y), g * 0.5, g)
        gx = None if fixed(x) else sum_to(where(op(x, y), zero, shared), x.shape)
        gy = None if fixed(y) else sum_to(where(op(y, x), zero, shared), y.shape)
        return [gx, gy]

    return slopes


def _number_slopes(wins: Callable[[], OpDef]) -> Callable[..., Any]:
    """Of fmax and fmin, which prefer numbers to NaN: equal values give the gradient to the first."""

    def slopes(g: Any, z: Any, a: Any, x: Any, y: Any) -> list[Any]:
        zero, first = constant(0, g.dtype), logical_or(wins()(x, y), isnan(y))
        return [sum_to(where(first, g, zero), x.shape), sum_to(where(first, zero, g), y.shape)]

    return slopes


def _copysign_slopes(g: Any, z: Any, a: Any, x: Any, y: Any) -> list[Any]:
    return [sum_to(g * (sign(x) * sign(z)), x.shape), zeros_like(y)]


def _hypot_slopes(g: Any, z: Any, a: Any, x: Any, y: Any) -> list[Any]:
    scaled = g / z
    return [sum_to(scaled * x, x.shape), sum_to(scaled * y, y.shape)]


def _no_bools(name: str) -> Callable[[], Iterable[Sample]]:
    def make() -> Iterable[Sample]:
        yield from of_two(ints=True)()
        yield Sample((np.array([True]), np.array([False])), error=DTypeError, match=f"{name} expects .*, got bool")

    return make


def _divisions() -> Iterable[Sample]:
    yield from of_two(0.4, 2.0, ints=True)()
    yield Sample((np.array([-7.5, 7.5, -7.5, 4.0, -4.0]), np.array([2.0, -2.0, -2.0, 2.0, 2.0])), grad_inputs=())
    yield Sample((np.array([5, -5, 0]), np.array([0, 0, 0])))


def _powers() -> Iterable[Sample]:
    yield from of_two(0.3, 2.0)()
    yield Sample((np.array([[-2], [-1], [0], [1], [3]]), np.array([-2, -1, 0, 1, 5])))
    yield Sample((np.array([0.0, 0.0, -2.0]), np.array([0.0, 2.0, 3.0])), grad_inputs=(0,))
    yield Sample((np.array([2, 3], np.uint8), np.array([7, 6], np.uint8)))


add = _two("add", np.add, _add_slopes, allowed="fuicb", traits=(COMMUTATIVE, ASSOCIATIVE), doc="Of bools: or.")
sub = _two("sub", np.subtract, _sub_slopes, _no_bools("sub"), NUMERIC)
mul = _two("mul", np.multiply, _mul_slopes, allowed="fuicb", traits=(COMMUTATIVE, ASSOCIATIVE, HOLOMORPHIC), doc="Of bools: and.")
div = _two("div", np.true_divide, _div_slopes, of_two(0.4, 2.0), INEXACT, (HOLOMORPHIC,), doc="True division; integers are cast before.")
floor_divide = _two("floor_divide", np.floor_divide, _flat_slopes, _divisions, REAL, doc="Rounds down; integers: 0 where the divisor is 0.")
remainder = _two(
    "remainder", rm.remainder, _remainder_slopes, _divisions, REAL, doc="Has the sign of the divisor; integers: 0 where the divisor is 0."
)
fmod = _two("fmod", np.fmod, _fmod_slopes, _divisions, REAL, doc="Has the sign of the dividend; integers: 0 where the divisor is 0.")
pow = _two("pow", rm.power, _pow_slopes, _powers, NUMERIC, (HOLOMORPHIC,), doc="Integers to negative powers truncate to 0, 1 or -1.")
atan2 = _two("atan2", np.arctan2, _atan2_slopes, of_two(0.3, 2.0))
maximum = _two(
    "maximum", np.maximum, _extremum_slopes(lambda: lt), allowed="fuib", traits=(COMMUTATIVE, ASSOCIATIVE), doc="NaN if either is NaN."
)
minimum = _two(
    "minimum", np.minimum, _extremum_slopes(lambda: gt), allowed="fuib", traits=(COMMUTATIVE, ASSOCIATIVE), doc="NaN if either is NaN."
)
fmax = _two("fmax", np.fmax, _number_slopes(lambda: ge), allowed="fuib", traits=(COMMUTATIVE, ASSOCIATIVE), doc="NaN only if both are NaN.")
fmin = _two("fmin", np.fmin, _number_slopes(lambda: le), allowed="fuib", traits=(COMMUTATIVE, ASSOCIATIVE), doc="NaN only if both are NaN.")
copysign = _two("copysign", np.copysign, _copysign_slopes)
hypot = _two("hypot", np.hypot, _hypot_slopes, of_two(0.4, 2.0), traits=(COMMUTATIVE,))


def _where(a: Any, c: Any, x: Any, y: Any) -> tuple[Shape, DType]:
    if c.dtype is not bool_:
        raise DTypeError(f"where expects a bool condition, got {c.dtype.name}: compare first, e.g. where(c != 0, x, y)")
    if x.dtype is not y.dtype:
        raise mismatch("where", x, y)
    return common_shape(common_shape(c.shape, x.shape), y.shape), x.dtype


def _where_slopes(g: Any, z: Any, a: Any, c: Any, x: Any, y: Any) -> list[Any]:
    zero = constant(0, g.dtype)
    gx = None if fixed(x) else sum_to(where(c, g, zero), x.shape)
    gy = None if fixed(y) else sum_to(where(c, zero, g), y.shape)
    return [None, gx, gy]


def _where_samples() -> Iterable[Sample]:
    c = np.array([[True, False, True], [False, False, True]])
    yield Sample((c, draw((2, 3)), draw((2, 3), seed=1)))
    yield Sample((c, draw(()), draw((3,), seed=1)))
    yield Sample((c[0], draw((4, 1, 1)), draw((2, 3), seed=1)))
    yield Sample((np.asarray(True), np.array([1, 2]), np.asarray(3)))
    yield Sample((np.array([True, False]), np.array([np.nan, 1.0]), np.array([1.0, np.inf])), grad_inputs=())
    yield Sample((np.array([1.0]), draw((1,)), draw((1,))), error=DTypeError, match="bool condition, got float64")
    yield Sample((c, draw((2, 3)), np.ones((2, 3), np.float32)), error=DTypeError, match="same dtype")


where = define(
    "where", family=ELEMENTWISE, infer=_where, reference=lambda a, c, x, y: np.where(c, x, y), vjp=_where_slopes, samples=_where_samples,
    traits=[POINTWISE],
)  # fmt: skip


@attrs
class CastAttrs(Attrs):
    """The dtype to convert to."""

    dtype: DType


def _cast(a: CastAttrs, x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        if a.dtype is bool_:
            return x != 0
        x = x.real if x.dtype.kind == "c" and a.dtype.kind != "c" else x
        if a.dtype is float8_e4m3fn:  # there is no infinity: what is too large becomes the largest number
            x = np.clip(x.astype(np.float32), -448, 448)
        elif a.dtype is float8_e8m0fnu:  # powers of two alone
            x = np.maximum(np.abs(x.astype(np.float32)), np.float32(2.0**-127))
        return x.astype(a.dtype.np)


def _cast_samples() -> Iterable[Sample]:
    x = np.array([[0.0, -1.75, 2.5], [1e-8, 100.4, -0.0]])
    for to in (float64, float32, float16, bfloat16, int64, int32, bool_):
        yield Sample((x,), CastAttrs(to), grad_inputs=(0,) if to is float64 else ())
    yield Sample((np.array([0, 3, 255], np.uint8),), CastAttrs(float32))
    yield Sample((np.array([True, False]),), CastAttrs(int64))
    yield Sample((np.array([300, -1]),), CastAttrs(uint8))
    for unsigned in (uint16, uint32, uint64):
        most = np.iinfo(unsigned.np).max
        yield Sample((np.array([70000, -1]),), CastAttrs(unsigned))
        yield Sample((np.array([0.0, 1.75, 60000.5]),), CastAttrs(unsigned), grad_inputs=())
        for to in (float64, float32, float16, int64, uint8, bool_):
            yield Sample((np.array([0, 3, most], unsigned.np),), CastAttrs(to))
    yield Sample((np.array([2.0**63, 1.5 * 2.0**63, 2.0**40]),), CastAttrs(uint64), grad_inputs=())
    yield Sample((x.astype(bfloat16.np),), CastAttrs(float16), grad_inputs=())
    yield Sample((np.zeros((0, 2)),), CastAttrs(float32), grad_inputs=())


cast: OpDef = define(
    "cast", family=ELEMENTWISE, attrs=CastAttrs, infer=lambda a, x: (x.shape, a.dtype), reference=_cast, samples=_cast_samples,
    traits=[POINTWISE],
    vjp=lambda g, y, a, x: [cast(g, dtype=x.dtype) if x.dtype.kind in "fc" else None],
    doc="To another dtype; floats to integers truncate, anything but 0 is True; real numbers forget the imaginary part.",
)  # fmt: skip


def as_dtype(x: Any, d: DType) -> Any:
    """`x` itself, or cast when it is of another dtype."""
    return x if x.dtype is d else record(cast, (x,), CastAttrs(d))


def _node_pow(x: Any, n: Any) -> Any:
    return square(x) if n == 2 and isinstance(n, int | float) else pow(x, lift(n, x))


install_operators(
    add=lambda x, y: add(x, lift(y, x)),
    radd=lambda x, y: add(lift(y, x), x),
    sub=lambda x, y: sub(x, lift(y, x)),
    rsub=lambda x, y: sub(lift(y, x), x),
    mul=lambda x, y: mul(x, lift(y, x)),
    rmul=lambda x, y: mul(lift(y, x), x),
    truediv=lambda x, y: div(x, lift(y, x)),
    rtruediv=lambda x, y: div(lift(y, x), x),
    neg=lambda x: neg(x),
    pow=_node_pow,
)
