"""Vector mathematics: elementary functions written on LLVM vectors, for float32 and float64, over the whole range.

Errors are in units in the last place (ULP), over all exponents, denormals included; NaN, infinities and signed zeros come out as in C.
Every function gives the same bits on a scalar and in a lane: it is the same sequence of operations. The functions marked * are called
instead of inlined, and their float32 form computes in float64 and rounds once. Bounds (measured maxima in brackets), asserted in the tests:

    function            float32         float64         function            float32         float64
    exp                 1 (0.86)        1 (0.82)        sin, cos            1.6 (1.51)      1 (0.76)
    exp2                1 (0.81)        1 (0.89)        tan *               0.51            2.5 (2.03)
    expm1               1.5 (1.41)      2 (1.78)        asin *              0.51            2.5 (2.06)
    log                 1 (0.80)        1 (0.77)        acos *              0.51            1.5 (1.10)
    log2                1 (0.94)        1.5 (1.40)      atan *, atan2 *     0.51            2.5 (2.13)
    log10               1 (0.91)        1.5 (1.42)      sinh *              0.51            2.5 (2.30)
    log1p               1.5 (1.40)      1.5 (1.25)      cosh *              0.51            2.5 (1.29)
    tanh                1.5 (1.16)      2 (1.45)        asinh *, acosh *    0.51            2.5
    sigmoid             2 (1.99)        2.5 (2.11)      atanh *             0.51            2.5 (1.86)
    erf (* in float64)  1.5 (1.03)      1.5 (0.97)      pow                 0.51            1.5 (1.05)
    erfc *              0.51            4 (3.4)         fmod, remainder     exact           exact
    erfinv *            0.51            4 (1.9)         hypot *             0.51            1.5 (1.18)
    log_sigmoid         2.5 (1.72)      3               lgamma *, digamma * 0.51            6 (4.4)

gaussian_gate, the factor of a gelu, has an absolute error of 1.8e-7 in float32 (1.78e-7) and 3e-16 in float64: 1 + erf cancels anyway.
sin, cos and tan hold their bounds for every finite argument. lgamma in float64 has an absolute error of about 1e-15 next to its zeros
below 0, and so has digamma next to its own. Sources stand at the top of the files that hold the functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from monograph.targets.llvm import vecmath_f32 as f32
from monograph.targets.llvm import vecmath_f64 as f64
from monograph.targets.llvm import vecmath_pow, vecmath_special, vecmath_trig
from monograph.targets.llvm.vecmath_numbers import Num, fabs, outline, select

SQRT_HALF = 0.7071067811865476

Unary = Callable[[Num], Num]
Body = Callable[..., Sequence[Num]]


def _is_f32(x: Num) -> bool:
    return "float" in x.ty


def _by_type(narrow: Unary, wide: Unary) -> Unary:
    def formula(x: Num) -> Num:
        return narrow(x) if _is_f32(x) else wide(x)

    return formula


def _called(name: str, wide: Body) -> Callable[..., Num]:
    """A function in float64 that is called, not inlined; float32 goes through it and is rounded once more."""

    def through(*xs: Num) -> list[Num]:
        return [r.cast("fptrunc", "float") for r in wide(*(x.cast("fpext", "double") for x in xs))]

    def formula(*xs: Num) -> Num:
        return outline(xs[0].f, name, through if _is_f32(xs[0]) else wide, xs, [xs[0].ty])[0]

    return formula


def _one(function: Callable[..., Num]) -> Body:
    return lambda *xs: [function(*xs)]


exp = _by_type(f32.exp, f64.exp)
exp2 = _by_type(f32.exp2, f64.exp2)
expm1 = _by_type(f32.expm1, f64.expm1)
log = _by_type(f32.log, f64.log)
log2 = _by_type(f32.log2, f64.log2)
log10 = _by_type(f32.log10, f64.log10)
log1p = _by_type(f32.log1p, f64.log1p)
tanh = _by_type(f32.tanh, f64.tanh)
sigmoid = _by_type(f32.sigmoid, f64.sigmoid)
erf = _by_type(f32.erf, _called("erf", _one(f64.erf)))
gaussian_gate = _by_type(f32.gaussian_gate, lambda x: (erf(x * SQRT_HALF) + 1.0) * 0.5)
sin = vecmath_trig.sin
cos = vecmath_trig.cos
tan = _called("tan", _one(vecmath_trig.tan))
sinh = _called("sinh", _one(f64.sinh))
cosh = _called("cosh", _one(f64.cosh))
asinh = _called("asinh", _one(f64.asinh))
acosh = _called("acosh", _one(f64.acosh))
atanh = _called("atanh", _one(f64.atanh))
asin = _called("asin", _one(f64.asin))
acos = _called("acos", _one(f64.acos))
atan = _called("atan", _one(f64.atan))
atan2 = _called("atan2", _one(f64.atan2))
erfc = _called("erfc", _one(f64.erfc))
lgamma = _called("lgamma", vecmath_special.lgamma)
digamma = _called("digamma", vecmath_special.digamma)
erfinv = _called("erfinv", vecmath_special.erfinv)
hypot = _called("hypot", vecmath_special.hypot)
nextafter = vecmath_special.nextafter
fmod = _called("fmod", vecmath_pow.fmod_f64)


def pow(x: Num, y: Num) -> Num:  # noqa: A001 - C's and PyTorch's name
    """x to the power y, as C's pow."""
    body = vecmath_pow.pow_f32 if _is_f32(x) else vecmath_pow.pow_f64
    return outline(x.f, "pow", _POW[body], [x, y], [x.ty])[0]


_POW: dict[Callable[..., Num], Body] = {b: _one(b) for b in (vecmath_pow.pow_f32, vecmath_pow.pow_f64)}


def remainder(a: Num, b: Num) -> Num:
    """Python's %: the remainder with the divisor's sign."""
    return vecmath_pow.remainder(a, b, fmod(a, b))


def floor_divide(a: Num, b: Num) -> Num:
    """Python's //: the true quotient rounded down."""
    return vecmath_pow.floor_divide(a, b, fmod(a, b))


def log_sigmoid(x: Num) -> Num:
    """log(1 / (1 + exp(-x)))."""
    return select(x < 0.0, x, 0.0) - log1p(exp(-fabs(x)))
