"""Special functions: the gamma family and Bessel functions. Their NumPy meaning: `special_math.py`."""

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
from monograph.ops.compare import eq, lt
from monograph.ops.elementwise import (
    exp,
    floor,
    log,
    sign,
    sin,
    where,
    whole_in_float32,
)
from monograph.ops.reference_math import plain
from monograph.ops.samples import draw, of_one
from monograph.ops.source import constant, zeros_like

ELEMENTWISE, POINTWISE = Family.ELEMENTWISE, Trait.POINTWISE
PI = math.pi


@attrs
class OrderAttrs(Attrs):
    """Which derivative."""

    n: int = 0


def primitive(
    name: str, function: Callable[[Any], Any], slope: Callable[[Any, Any, Any], Any], samples: Any = None, doc: str = ""
) -> OpDef:
    """y = f(x) with a meaning in NumPy; `slope(g, y, x)` is the gradient."""
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


def composite(
    name: str, formula: Callable[[Any], Any], slope: Callable[[Any, Any, Any], Any], samples: Any = None, doc: str = "",
    kinds: str = FLOATING,
) -> OpDef:  # fmt: skip
    """y = f(x) in simpler ops; `slope(g, y, x)` is the gradient."""
    return define(
        name,
        family=ELEMENTWISE,
        infer=unary(name, kinds),
        decompose=whole_in_float32(lambda a, x: formula(x)),
        vjp=lambda g, y, a, x: [slope(g, y, x)],
        samples=samples or of_one(),
        traits=[POINTWISE, Trait.HOLOMORPHIC] if "c" in kinds else [POINTWISE],
        doc=doc,
    )


def number_like(value: float, like: Any) -> Any:
    """A constant of the dtype of `like`."""
    return constant(value, like.dtype)


# ---- the gamma family ----

lgamma = primitive("lgamma", sm.lgamma, lambda g, y, x: g * digamma(x), of_one(0.3, 4), doc="log|gamma(x)|.")
digamma: OpDef = primitive("digamma", sm.digamma, lambda g, y, x: g * polygamma(x, n=1), of_one(0.3, 4), doc="The derivative of lgamma.")


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
    limit, one, half = number_like(TRIGAMMA_FROM, x), number_like(1, x), number_like(0.5, x)
    reflect = lt(x, half)
    y = where(reflect, 1 - x, x)
    below = zeros_like(x)
    for _ in range(int(TRIGAMMA_FROM)):
        low = lt(y, limit)
        below = where(low, below + 1 / (y * y), below)
        y = where(low, y + one, y)
    square = 1 / (y * y)
    series = number_like(TRIGAMMA_SERIES[-1], x)
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
    return zeta(number_like(a.n + 1, x), x) * factor


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
    zero = eq(x, number_like(0, x))
    return g * where(zero, number_like(0.5, x), i0(x) - y / where(zero, number_like(1, x), x))


def _i1e_slope(g: Any, y: Any, x: Any) -> Any:
    zero = eq(x, number_like(0, x))
    return g * where(zero, number_like(0.5, x), i0e(x) - y * (sign(x) + 1 / where(zero, number_like(1, x), x)))


i0 = primitive("i0", sm.i0, lambda g, y, x: g * i1(x), of_one(0.2, 3), doc="The modified Bessel function of the first kind of order 0.")
i1: OpDef = primitive("i1", sm.i1, _i1_slope, of_one(0.2, 3), doc="The modified Bessel function of the first kind of order 1.")
i0e = primitive("i0e", sm.i0e, lambda g, y, x: g * (i1e(x) - sign(x) * y), of_one(0.2, 3), doc="exp(-|x|) i0(x).")
i1e: OpDef = primitive("i1e", sm.i1e, _i1e_slope, of_one(0.2, 3), doc="exp(-|x|) i1(x).")


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
    "OrderAttrs",
    "composite",
    "digamma",
    "gamma_sample_slope",
    "gammainc",
    "gammaincc",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "lgamma",
    "number_like",
    "polygamma",
    "primitive",
    "zeta",
]
