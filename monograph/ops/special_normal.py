"""Special functions around the normal distribution, and elementary combinations: logit, entropy, sinc, x log y."""

from __future__ import annotations

import math
from typing import Any

from monograph.core.attrs import Attrs, attrs
from monograph.graph.op import Family, OpDef, Trait, define
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
    log,
    log1p,
    maximum,
    minimum,
    neg,
    sin,
    sqrt,
    where,
    whole_in_float32,
)
from monograph.ops.samples import of_one, of_two
from monograph.ops.source import zeros_like
from monograph.ops.special import composite, number_like, primitive

ELEMENTWISE, POINTWISE = Family.ELEMENTWISE, Trait.POINTWISE
PI = math.pi
ROOT_TWO, ROOT_TWO_PI = math.sqrt(2), math.sqrt(2 * math.pi)
LOG_ROOT_TWO_PI = math.log(2 * math.pi) / 2


# ---- the normal distribution ----

erfcx: OpDef = primitive("erfcx", sm.erfcx, lambda g, y, x: g * (x * y * 2 - 2 / math.sqrt(PI)), doc="exp(x^2) erfc(x), without overflow.")
ndtr = composite(
    "ndtr",
    lambda x: erfc(x * (-1 / ROOT_TWO)) * 0.5,
    lambda g, y, x: g * (exp(x * x * -0.5) * (1 / ROOT_TWO_PI)),
    doc="The distribution function of the standard normal distribution.",
)
log_ndtr: OpDef = primitive(
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
        total = number_like(coefficients[0], r)
        for c in coefficients[1:]:
            total = total * r + c
        sides.append(total)
    return div(*sides)


def _ndtri(p: Any) -> Any:
    q = p - 0.5
    central = _quotient(0.180625 - q * q, CENTRAL) * q
    left = lt(q, number_like(0, p))
    one, zero = number_like(1, p), number_like(0, p)
    inside = logical_and(gt(p, zero), lt(p, one))
    side = where(inside, where(left, p, 1 - p), number_like(0.5, p))
    r = sqrt(neg(log(side)))
    tail = where(le(r, number_like(5, p)), _quotient(r - 1.6, TAIL), _quotient(r - 5, FAR_TAIL))
    value = where(le(abs_(q), number_like(0.425, p)), central, where(left, neg(tail), tail))
    edge = where(eq(p, zero), number_like(-math.inf, p), where(eq(p, one), number_like(math.inf, p), number_like(math.nan, p)))
    return where(inside, value, edge)


ndtri = composite(
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
        x = minimum(maximum(x, number_like(a.eps, x)), number_like(1 - a.eps, x))
    return log(x / (1 - x))


def _logit_slope(g: Any, y: Any, a: LogitAttrs, x: Any) -> list[Any]:
    slope = g / (x * (1 - x))
    if a.eps is None:  # where there is no value, there is no slope
        return [where(logical_and(le(zeros_like(x), x), le(x, number_like(1, x))), slope, number_like(math.nan, x))]
    inside = logical_and(le(number_like(a.eps, x), x), le(x, number_like(1 - a.eps, x)))
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
    zero = number_like(0, x)
    value = where(eq(x, zero), zero, neg(x * log(x)))
    return where(lt(x, zero), number_like(-math.inf, x), value)


entr = composite("entr", _entr, lambda g, y, x: g * (-1 - log(x)), of_one(0.1, 3), doc="-x log x; 0 at 0, -inf below.")


def _sinc(x: Any) -> Any:
    zero = eq(x, number_like(0, x))
    scaled = where(zero, number_like(1, x), x * PI)
    return where(zero, number_like(1, x), sin(scaled) / scaled)


def _sinc_slope(g: Any, y: Any, x: Any) -> Any:
    zero = eq(x, number_like(0, x))
    safe = where(zero, number_like(1, x), x)
    return where(zero, zeros_like(x), g * ((cos(safe * PI) - where(zero, number_like(1, x), y)) / safe))


sinc = composite("sinc", _sinc, _sinc_slope, of_one(0.2, 2), doc="sin(pi x) / (pi x); 1 at 0.", kinds="fc")


def _times_log(name: str, logarithm: OpDef, offset: float, doc: str) -> OpDef:
    """x log(y + offset), 0 where x is 0 and y no NaN."""

    def formula(a: Any, x: Any, y: Any) -> Any:
        nothing = logical_and(eq(x, number_like(0, x)), logical_not(isnan(y)))
        return where(nothing, number_like(0, x), x * logarithm(y))

    def slopes(g: Any, z: Any, a: Any, x: Any, y: Any) -> list[Any]:
        nothing = logical_and(eq(x, number_like(0, x)), le(y, number_like(-offset, y)))
        gx = None if fixed(x) else sum_to(where(nothing, number_like(0, x), g * logarithm(y)), x.shape)
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

__all__ = ["LogitAttrs", "entr", "erfcx", "log_ndtr", "logit", "ndtr", "ndtri", "sinc", "xlog1py", "xlogy"]
