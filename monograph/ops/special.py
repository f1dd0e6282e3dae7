"""Special functions: the gamma family, Bessel functions, the normal distribution's, x log y. Their NumPy meaning: `special_math.py`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, attrs
from monograph.core.dtype import dtype as DType
from monograph.core.errors import MonographError
from monograph.core.shape import Shape
from monograph.graph.op import Family, NotDifferentiable, OpDef, Sample, Trait, define
from monograph.ops import special_math as sm
from monograph.ops.broadcasting import FLOATING, binary, fixed, sum_to, unary
from monograph.ops.compare import eq, gt, isnan, le, logical_and, logical_not, lt
from monograph.ops.elementwise import (
    abs as abs_,
)
from monograph.ops.elementwise import (
    cos,
    div,
    erfc,
    exp,
    floor,
    log,
    log1p,
    maximum,
    minimum,
    neg,
    sign,
    sin,
    sqrt,
    where,
    whole_in_float32,
)
from monograph.ops.reference_math import plain
from monograph.ops.samples import draw, of_one, of_two
from monograph.ops.source import constant, zeros_like

ELEMENTWISE, POINTWISE = Family.ELEMENTWISE, Trait.POINTWISE
PI = math.pi
ROOT_TWO, ROOT_TWO_PI = math.sqrt(2), math.sqrt(2 * math.pi)
LOG_ROOT_TWO_PI = math.log(2 * math.pi) / 2


@attrs
class OrderAttrs(Attrs):
    """Which derivative."""

    n: int = 0


def _primitive(
    name: str, function: Callable[[Any], Any], slope: Callable[[Any, Any, Any], Any], samples: Any = None, doc: str = ""
) -> OpDef:
    return define(
        name,
        family=ELEMENTWISE,
        infer=unary(name),
        reference=plain(function),
        vjp=lambda g, y, a, x: [slope(g, y, x)],
        samples=samples or of_one(),
        traits=[POINTWISE],
        doc=doc,
    )


def _composite(
    name: str, formula: Callable[[Any], Any], slope: Callable[[Any, Any, Any], Any], samples: Any = None, doc: str = ""
) -> OpDef:
    return define(
        name,
        family=ELEMENTWISE,
        infer=unary(name),
        decompose=whole_in_float32(lambda a, x: formula(x)),
        vjp=lambda g, y, a, x: [slope(g, y, x)],
        samples=samples or of_one(),
        traits=[POINTWISE],
        doc=doc,
    )


def _number(value: float, like: Any) -> Any:
    return constant(value, like.dtype)


# ---- the gamma family ----

lgamma = _primitive("lgamma", sm.lgamma, lambda g, y, x: g * digamma(x), of_one(0.3, 4), doc="log|gamma(x)|.")
digamma: OpDef = _primitive("digamma", sm.digamma, lambda g, y, x: g * polygamma(x, n=1), of_one(0.3, 4), doc="The derivative of lgamma.")


def _zeta_slopes(g: Any, y: Any, a: Any, s: Any, q: Any) -> list[Any]:
    if not fixed(s):
        raise MonographError("zeta is differentiable in its second argument only, as in torch: detach() the first")
    return [None, sum_to(g * (-s * zeta(s + 1, q)), q.shape)]


def _zeta_samples() -> Iterable[Sample]:
    yield Sample((draw((2, 3), 1.2, 5), draw((2, 3), 0.3, 4, 1)), grad_inputs=(1,))
    yield Sample((np.asarray(2.0), draw((4,), 0.3, 4)), grad_inputs=(1,))
    yield Sample((np.array([2.0, 3.0, 1.0, 0.5, 2.5, 2.0, np.nan]), np.array([-0.5, -2.5, 3.0, 3.0, -0.5, -2.0, 1.0])), grad_inputs=())
    yield Sample((np.zeros((0, 2)), np.zeros((0, 2))), grad_inputs=())
    yield Sample((draw((3,), 1.2, 5, dtype=np.float32), draw((3,), 0.3, 4, dtype=np.float32)), grad_inputs=())
    yield Sample((np.array([1]), np.array([2])), error=RuntimeError, match="floating-point")


zeta: OpDef = define(
    "zeta",
    family=ELEMENTWISE,
    infer=binary("zeta", FLOATING),
    reference=plain(sm.zeta),
    vjp=_zeta_slopes,
    samples=_zeta_samples,
    traits=[POINTWISE],
    doc="Hurwitz's zeta function: the sum of (q + k)^-s over k >= 0.",
)


TRIGAMMA_SERIES = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)
TRIGAMMA_FROM = 10.0


def _trigamma(x: Any) -> Any:
    """Recurrence up to 10, then the asymptotic series; reflected below 1/2."""
    limit, one, half = _number(TRIGAMMA_FROM, x), _number(1, x), _number(0.5, x)
    reflect = lt(x, half)
    y = where(reflect, 1 - x, x)
    below = zeros_like(x)
    for _ in range(int(TRIGAMMA_FROM)):
        low = lt(y, limit)
        below = where(low, below + 1 / (y * y), below)
        y = where(low, y + one, y)
    square = 1 / (y * y)
    series = _number(TRIGAMMA_SERIES[-1], x)
    for c in TRIGAMMA_SERIES[-2::-1]:
        series = series * square + c
    value = 1 / y + square * 0.5 + square / y * series + below
    s = sin((x - floor(x)) * PI)
    mirrored = (PI * PI) / (s * s) - value
    return where(reflect, mirrored, value)


def _polygamma(a: OrderAttrs, x: Any) -> Any:
    if a.n == 0:
        return digamma(x)
    if a.n == 1:
        return _trigamma(x)
    factor = (1.0 if a.n % 2 else -1.0) * math.factorial(a.n)
    return zeta(_number(a.n + 1, x), x) * factor


def _polygamma_type(a: OrderAttrs, x: Any) -> tuple[Shape, DType]:
    if a.n < 0:
        raise MonographError(f"polygamma(n, x) does not support negative n, got n={a.n}")
    return unary("polygamma")(a, x)


def _polygamma_samples() -> Iterable[Sample]:
    for n in (0, 1, 2, 3):
        yield from of_one(0.4, 4, OrderAttrs(n))()
    yield Sample((draw((3,)),), OrderAttrs(-1), error=MonographError, match="negative n")


polygamma: OpDef = define(
    "polygamma",
    family=ELEMENTWISE,
    attrs=OrderAttrs,
    infer=_polygamma_type,
    decompose=whole_in_float32(_polygamma),
    samples=_polygamma_samples,
    vjp=lambda g, y, a, x: [g * polygamma(x, n=a.n + 1)],
    traits=[POINTWISE],
    doc="The n-th derivative of digamma.",
)


def _incomplete_slopes(factor: float) -> Callable[..., list[Any]]:
    def slopes(g: Any, y: Any, attributes: Any, a: Any, x: Any) -> list[Any]:
        if not fixed(a):
            raise MonographError("gammainc and gammaincc are differentiable in their second argument only, as in torch: detach() the first")
        return [None, sum_to(g * (exp((a - 1) * log(x) - x - lgamma(a)) * factor), x.shape)]

    return slopes


def _incomplete_samples() -> Iterable[Sample]:
    yield Sample((draw((2, 3), 0.4, 4), draw((2, 3), 0.3, 6, 1)), grad_inputs=(1,))
    yield Sample((np.asarray(2.0), draw((4,), 0.3, 4)), grad_inputs=(1,))
    yield Sample((np.array([0.0, 0.0, 2.0, -1.0, np.inf, 2.0]), np.array([0.0, 1.0, 0.0, 1.0, 1.0, np.inf])), grad_inputs=())
    yield Sample((draw((3,), 1.2, 5, dtype=np.float32), draw((3,), 0.3, 4, dtype=np.float32)), grad_inputs=())
    yield Sample((np.array([1]), np.array([2])), error=RuntimeError, match="floating-point")


gammainc = define(
    "gammainc",
    family=ELEMENTWISE,
    infer=binary("gammainc", FLOATING),
    reference=plain(sm.gammainc),
    vjp=_incomplete_slopes(1.0),
    samples=_incomplete_samples,
    traits=[POINTWISE],
    doc="The regularised lower incomplete gamma function P(a, x).",
)
gammaincc = define(
    "gammaincc",
    family=ELEMENTWISE,
    infer=binary("gammaincc", FLOATING),
    reference=plain(sm.gammaincc),
    vjp=_incomplete_slopes(-1.0),
    samples=_incomplete_samples,
    traits=[POINTWISE],
    doc="The regularised upper incomplete gamma function Q(a, x).",
)


# ---- Bessel functions ----


def _i1_slope(g: Any, y: Any, x: Any) -> Any:
    zero = eq(x, _number(0, x))
    return g * where(zero, _number(0.5, x), i0(x) - y / where(zero, _number(1, x), x))


def _i1e_slope(g: Any, y: Any, x: Any) -> Any:
    zero = eq(x, _number(0, x))
    return g * where(zero, _number(0.5, x), i0e(x) - y * (sign(x) + 1 / where(zero, _number(1, x), x)))


i0 = _primitive("i0", sm.i0, lambda g, y, x: g * i1(x), of_one(0.2, 3), doc="The modified Bessel function of the first kind of order 0.")
i1: OpDef = _primitive("i1", sm.i1, _i1_slope, of_one(0.2, 3), doc="The modified Bessel function of the first kind of order 1.")
i0e = _primitive("i0e", sm.i0e, lambda g, y, x: g * (i1e(x) - sign(x) * y), of_one(0.2, 3), doc="exp(-|x|) i0(x).")
i1e: OpDef = _primitive("i1e", sm.i1e, _i1e_slope, of_one(0.2, 3), doc="exp(-|x|) i1(x).")


# ---- the normal distribution ----

erfcx: OpDef = _primitive("erfcx", sm.erfcx, lambda g, y, x: g * (x * y * 2 - 2 / math.sqrt(PI)), doc="exp(x^2) erfc(x), without overflow.")
ndtr = _composite(
    "ndtr",
    lambda x: erfc(x * (-1 / ROOT_TWO)) * 0.5,
    lambda g, y, x: g * (exp(x * x * -0.5) * (1 / ROOT_TWO_PI)),
    doc="The distribution function of the standard normal distribution.",
)
log_ndtr: OpDef = _primitive(
    "log_ndtr",
    sm.log_ndtr,
    lambda g, y, x: g * exp(x * x * -0.5 - y - LOG_ROOT_TWO_PI),
    doc="The logarithm of ndtr, exact in the left tail.",
)

# Wichura (1988), algorithm AS 241: quotients of polynomials around the middle, in the tails and in the far tails
CENTRAL = (
    (
        2509.0809287301226727,
        33430.575583588128105,
        67265.770927008700853,
        45921.953931549871457,
        13731.693765509461125,
        1971.5909503065514427,
        133.14166789178437745,
        3.387132872796366608,
    ),
    (
        5226.495278852545925,
        28729.085735721942674,
        39307.89580009271061,
        21213.794301586595867,
        5394.1960214247511077,
        687.1870074920579083,
        42.313330701600911252,
        1.0,
    ),
)
TAIL = (
    (
        7.7454501427834140764e-4,
        0.0227238449892691845833,
        0.24178072517745061177,
        1.27045825245236838258,
        3.64784832476320460504,
        5.7694972214606914055,
        4.6303378461565452959,
        1.42343711074968357734,
    ),
    (
        1.05075007164441684324e-9,
        5.475938084995344946e-4,
        0.0151986665636164571966,
        0.14810397642748007459,
        0.68976733498510000455,
        1.6763848301838038494,
        2.05319162663775882187,
        1.0,
    ),
)
FAR_TAIL = (
    (
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        0.0012426609473880784386,
        0.026532189526576123093,
        0.29656057182850489123,
        1.7848265399172913358,
        5.4637849111641143699,
        6.6579046435011037772,
    ),
    (
        2.04426310338993978564e-15,
        1.4215117583164458887e-7,
        1.8463183175100546818e-5,
        7.868691311456132591e-4,
        0.0148753612908506148525,
        0.13692988092273580531,
        0.59983220655588793769,
        1.0,
    ),
)


def _quotient(r: Any, parts: tuple[tuple[float, ...], tuple[float, ...]]) -> Any:
    sides = []
    for coefficients in parts:
        total = _number(coefficients[0], r)
        for c in coefficients[1:]:
            total = total * r + c
        sides.append(total)
    return div(*sides)


def _ndtri(p: Any) -> Any:
    q = p - 0.5
    central = _quotient(0.180625 - q * q, CENTRAL) * q
    left = lt(q, _number(0, p))
    one, zero = _number(1, p), _number(0, p)
    inside = logical_and(gt(p, zero), lt(p, one))
    side = where(inside, where(left, p, 1 - p), _number(0.5, p))
    r = sqrt(neg(log(side)))
    tail = where(le(r, _number(5, p)), _quotient(r - 1.6, TAIL), _quotient(r - 5, FAR_TAIL))
    value = where(le(abs_(q), _number(0.425, p)), central, where(left, neg(tail), tail))
    edge = where(eq(p, zero), _number(-math.inf, p), where(eq(p, one), _number(math.inf, p), _number(math.nan, p)))
    return where(inside, value, edge)


ndtri = _composite(
    "ndtri",
    _ndtri,
    lambda g, y, x: g * (exp(y * y * 0.5) * ROOT_TWO_PI),
    of_one(0.05, 0.95),
    doc="The quantile function of the standard normal distribution.",
)


# ---- elementary combinations ----


@attrs
class LogitAttrs(Attrs):
    """How far the argument is kept from 0 and 1."""

    eps: float | None = None


def _logit(a: LogitAttrs, x: Any) -> Any:
    if a.eps is not None:
        x = minimum(maximum(x, _number(a.eps, x)), _number(1 - a.eps, x))
    return log(x / (1 - x))


def _logit_slope(g: Any, y: Any, a: LogitAttrs, x: Any) -> list[Any]:
    slope = g / (x * (1 - x))
    if a.eps is None:
        return [slope]
    inside = logical_and(le(_number(a.eps, x), x), le(x, _number(1 - a.eps, x)))
    return [where(inside, slope, zeros_like(x))]


logit = define(
    "logit",
    family=ELEMENTWISE,
    attrs=LogitAttrs,
    infer=unary("logit"),
    decompose=whole_in_float32(_logit),
    vjp=_logit_slope,
    samples=lambda: [*of_one(0.1, 0.9, LogitAttrs())(), *of_one(0.25, 0.75, LogitAttrs(0.2))()],
    traits=[POINTWISE],
    doc="log(x / (1 - x)), the inverse of sigmoid.",
)


def _entr(x: Any) -> Any:
    zero = _number(0, x)
    value = where(eq(x, zero), zero, neg(x * log(x)))
    return where(lt(x, zero), _number(-math.inf, x), value)


entr = _composite("entr", _entr, lambda g, y, x: g * (-1 - log(x)), of_one(0.1, 3), doc="-x log x; 0 at 0, -inf below.")


def _sinc(x: Any) -> Any:
    zero = eq(x, _number(0, x))
    scaled = where(zero, _number(1, x), x * PI)
    return where(zero, _number(1, x), sin(scaled) / scaled)


def _sinc_slope(g: Any, y: Any, x: Any) -> Any:
    zero = eq(x, _number(0, x))
    safe = where(zero, _number(1, x), x)
    return where(zero, zeros_like(x), g * ((cos(safe * PI) - where(zero, _number(1, x), y)) / safe))


sinc = _composite("sinc", _sinc, _sinc_slope, of_one(0.2, 2), doc="sin(pi x) / (pi x); 1 at 0.")


def _times_log(name: str, logarithm: OpDef, offset: float, doc: str) -> OpDef:
    """x log(y + offset), 0 where x is 0 and y no NaN."""

    def formula(a: Any, x: Any, y: Any) -> Any:
        nothing = logical_and(eq(x, _number(0, x)), logical_not(isnan(y)))
        return where(nothing, _number(0, x), x * logarithm(y))

    def slopes(g: Any, z: Any, a: Any, x: Any, y: Any) -> list[Any]:
        nothing = logical_and(eq(x, _number(0, x)), le(y, _number(-offset, y)))
        gx = None if fixed(x) else sum_to(where(nothing, _number(0, x), g * logarithm(y)), x.shape)
        gy = None if fixed(y) else sum_to(g * x / (y + offset if offset else y), y.shape)
        return [gx, gy]

    return define(
        name,
        family=ELEMENTWISE,
        infer=binary(name, FLOATING),
        decompose=whole_in_float32(formula),
        vjp=slopes,
        samples=of_two(0.3, 2),
        traits=[POINTWISE],
        doc=doc,
    )


xlogy = _times_log("xlogy", log, 0.0, "x log y; 0 where x is 0, whatever y is (but NaN).")
xlog1py = _times_log("xlog1py", log1p, 1.0, "x log(1 + y); 0 where x is 0, whatever y is (but NaN).")

# ---- the derivative of gamma samples ----

gamma_sample_slope = define(
    "gamma_sample_slope",
    family=ELEMENTWISE,
    infer=binary("gamma_sample_slope", FLOATING),
    reference=plain(sm.gamma_sample_slope),
    vjp=NotDifferentiable("it is the slope of samples, found by quadrature"),
    samples=lambda: [
        Sample((draw((2, 3), 0.2, 4), draw((2, 3), 0.3, 6, 1)), tolerance=1e-4),
        Sample((draw((3,), 0.2, 4, dtype=np.float32), draw((3,), 0.3, 6, 1, dtype=np.float32)), tolerance=1e-4),
        Sample((np.zeros((0, 2)), np.zeros((0, 2)))),
        Sample((np.array([1]), np.array([2])), error=RuntimeError, match="floating-point"),
    ],
    traits=[POINTWISE],
    doc="d sample / d concentration of a sample of the gamma distribution, at a fixed quantile.",
)

__all__ = [
    "LogitAttrs",
    "OrderAttrs",
    "digamma",
    "entr",
    "erfcx",
    "gamma_sample_slope",
    "gammainc",
    "gammaincc",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "lgamma",
    "log_ndtr",
    "logit",
    "ndtr",
    "ndtri",
    "polygamma",
    "sinc",
    "xlog1py",
    "xlogy",
    "zeta",
]
