"""Bessel functions of both kinds, modified ones of the second, and Airy's function. Their NumPy meaning: `special_bessel_math.py`."""

from __future__ import annotations

from typing import Any

from monograph.graph.op import OpDef
from monograph.ops import special_bessel_math as sm
from monograph.ops.compare import eq
from monograph.ops.elementwise import cos, where
from monograph.ops.samples import of_one
from monograph.ops.special import number_like, primitive

POSITIVE = of_one(0.3, 9)


def _over(y: Any, x: Any, at_zero: float) -> Any:
    """y / x, and its limit at 0."""
    zero = eq(x, number_like(0, x))
    return where(zero, number_like(at_zero, x), y / where(zero, number_like(1, x), x))


bessel_j0: OpDef = primitive(
    "bessel_j0", sm.bessel_j0, lambda g, y, x: -g * bessel_j1(x), POSITIVE, doc="The Bessel function of the first kind of order 0."
)
bessel_j1: OpDef = primitive(
    "bessel_j1",
    sm.bessel_j1,
    lambda g, y, x: g * (bessel_j0(x) - _over(y, x, 0.5)),
    POSITIVE,
    doc="The Bessel function of the first kind of order 1.",
)
bessel_y0: OpDef = primitive(
    "bessel_y0", sm.bessel_y0, lambda g, y, x: -g * bessel_y1(x), POSITIVE, doc="The Bessel function of the second kind of order 0."
)
bessel_y1: OpDef = primitive(
    "bessel_y1",
    sm.bessel_y1,
    lambda g, y, x: g * (bessel_y0(x) - y / x),
    POSITIVE,
    doc="The Bessel function of the second kind of order 1.",
)
k0: OpDef = primitive(
    "k0", sm.k0, lambda g, y, x: -g * k1(x), of_one(0.3, 4), doc="The modified Bessel function of the second kind of order 0."
)
k1: OpDef = primitive(
    "k1", sm.k1, lambda g, y, x: -g * (k0(x) + y / x), of_one(0.3, 4), doc="The modified Bessel function of the second kind of order 1."
)
scaled_k0: OpDef = primitive("scaled_k0", sm.scaled_k0, lambda g, y, x: g * (y - scaled_k1(x)), of_one(0.3, 4), doc="exp(x) times k0(x).")
scaled_k1: OpDef = primitive(
    "scaled_k1", sm.scaled_k1, lambda g, y, x: g * (y - y / x - scaled_k0(x)), of_one(0.3, 4), doc="exp(x) times k1(x)."
)
spherical_j0: OpDef = primitive(
    "spherical_j0",
    sm.spherical_j0,
    lambda g, y, x: g * _over(cos(x) - y, x, 0.0),
    of_one(0.3, 4),
    doc="The spherical Bessel function of the first kind of order 0: sin(x) / x.",
)
airy_ai: OpDef = primitive("airy_ai", sm.airy_ai, lambda g, y, x: g * airy_ai_slope(x), of_one(-5, 4), doc="Airy's function Ai.")
airy_ai_slope: OpDef = primitive(
    "airy_ai_slope", sm.airy_ai_slope, lambda g, y, x: g * x * airy_ai(x), of_one(-5, 4), doc="The derivative of Airy's function Ai."
)
