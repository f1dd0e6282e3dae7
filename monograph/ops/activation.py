"""Activation functions and other elementwise composites; half precision is computed in float32 and rounded once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import NO_ATTRS, Attrs, NoAttrs, attrs
from monograph.core.dtype import dtype as DType
from monograph.core.dtype import iinfo
from monograph.core.errors import ArgumentError, DTypeError, MonographError, ShapeError
from monograph.core.shape import Shape
from monograph.graph.node import record
from monograph.graph.op import Family, OpDef, Sample, Trait, define
from monograph.ops import reference_math as rm
from monograph.ops.broadcasting import FLOATING, fixed, lift, sum_to, ternary, unary
from monograph.ops.compare import ge, gt, le, logical_and, lt
from monograph.ops.elementwise import (
    INEXACT,
    REAL,
    abs,
    backward_op,
    erf,
    exp,
    expm1,
    log1p,
    maximum,
    minimum,
    sigmoid,
    square,
    tanh,
    where,
    whole_in_float32,
)  # fmt: skip
from monograph.ops.reference_math import plain
from monograph.ops.samples import draw, of_one, whole
from monograph.ops.source import constant

FAMILY = Family.ELEMENTWISE
ROOT_HALF, ROOT_TWO_PI = math.sqrt(0.5), math.sqrt(2 * math.pi)
TANH_SCALE, TANH_CUBE = math.sqrt(2 / math.pi), 0.044715
SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


@attrs
class GeluAttrs(Attrs):
    """`approximate`: "none" (exact, with erf) or "tanh"."""

    approximate: str = "none"


@attrs
class AlphaAttrs(Attrs):
    """The scale of the negative part."""

    alpha: float = 1.0


@attrs
class SlopeAttrs(Attrs):
    """The slope for x < 0."""

    negative_slope: float = 0.01


@attrs
class SoftplusAttrs(Attrs):
    """Linear where beta * x > threshold."""

    beta: float = 1.0
    threshold: float = 20.0


@attrs
class RangeAttrs(Attrs):
    """Bounds; None: no bound."""

    min: float | None = None
    max: float | None = None


@attrs
class ValueAttrs(Attrs):
    """The factor of the second term."""

    value: float = 1


# ---- makers ----


def _reference(function: Callable[..., Any]) -> Callable[..., Any]:
    def reference(a: Any, *xs: np.ndarray) -> np.ndarray:
        return plain(lambda *wide: function(a, *wide))(a, *xs)

    return reference


def _activation(
    name: str, decompose: Callable[[Any, Any], Any], slope: Callable[[Any, Any, Any], Any], function: Callable[[Any, Any], Any],
    attributes: type[Attrs] = NoAttrs, examples: tuple[Attrs, ...] = (NO_ATTRS,), away_from: float | None = None, allowed: str = FLOATING,
    check: Callable[[Any, Any], None] | None = None, more: tuple[Sample, ...] = (), traits: tuple[Trait, ...] = (), doc: str = "",
) -> OpDef:  # fmt: skip
    """y = f(x). `function(a, x)` is f in NumPy; `check(a, x)` refuses bad attributes.

    `slope(g, a, x)` is the gradient; it becomes an op of its own, `<name>_backward`.
    """
    plain_rule = unary(name, allowed)

    def checking_rule(a: Any, x: Any) -> tuple[Shape, DType]:
        check(a, x)  # type: ignore[misc]
        return plain_rule(a, x)

    backward = backward_op(f"{name}_backward", lambda a, g, x: slope(g, a, x), attributes, examples)

    def vjp(g: Any, y: Any, a: Any, x: Any) -> list[Any]:
        return [record(backward, (g, x), a)]

    def samples() -> Iterable[Sample]:
        for a in examples:
            yield from of_one(attrs=a, away_from=away_from, ints=allowed != FLOATING, unsigned=not isinstance(a, RangeAttrs))()
        yield from more

    return define(
        name, family=FAMILY, attrs=attributes, infer=plain_rule if check is None else checking_rule, decompose=whole_in_float32(decompose),
        vjp=vjp,
        reference=_reference(function), samples=samples, traits=(Trait.POINTWISE, *traits), doc=doc,
    )  # fmt: skip


def _zero(x: Any) -> Any:
    return constant(0, x.dtype)


def _bounded(x: Any, low: float | None, high: float | None) -> Any:
    if low is not None:
        x = maximum(x, lift(low, x))
    return x if high is None else minimum(x, lift(high, x))


# ---- smooth ----


def _gelu(a: GeluAttrs, x: Any) -> Any:
    if a.approximate == "tanh":
        return x * 0.5 * (tanh((x * x * x * TANH_CUBE + x) * TANH_SCALE) + 1)
    return x * gaussian_gate(x)


def _gelu_slope(g: Any, a: GeluAttrs, x: Any) -> Any:
    if a.approximate == "tanh":
        x2 = x * x
        t = tanh((x2 * TANH_CUBE + 1) * x * TANH_SCALE)
        return g * ((t + 1) * 0.5 + x * (1 - t * t) * (x2 * (3 * TANH_CUBE) + 1) * (TANH_SCALE / 2))
    return g * (gaussian_gate(x) + x * exp(x * x * -0.5) * (1 / ROOT_TWO_PI))


def _gelu_numpy(a: GeluAttrs, x: np.ndarray) -> np.ndarray:
    inner = np.tanh(TANH_SCALE * (x + TANH_CUBE * x**3)) if a.approximate == "tanh" else rm.erf(x * ROOT_HALF)
    return 0.5 * x * (1 + inner)


def _check_gelu(a: GeluAttrs, x: Any) -> None:
    if a.approximate not in ("none", "tanh"):
        raise MonographError(f"approximate argument must be either none or tanh, got {a.approximate!r}")


def _silu_slope(g: Any, a: Any, x: Any) -> Any:
    s = sigmoid(x)
    return g * (s * ((1 - s) * x + 1))


def _softplus(a: SoftplusAttrs, x: Any) -> Any:
    z, limit = x * a.beta, lift(a.threshold, x)
    return where(gt(z, limit), x, log1p(exp(minimum(z, limit))) / a.beta)


def _softplus_slope(g: Any, a: SoftplusAttrs, x: Any) -> Any:
    z = x * a.beta
    return where(gt(z, lift(a.threshold, x)), g, g * sigmoid(z))


def _softplus_numpy(a: SoftplusAttrs, x: np.ndarray) -> np.ndarray:
    z = x * x.dtype.type(a.beta)
    return np.where(z > a.threshold, x, np.log1p(np.exp(np.minimum(z, a.threshold))) / a.beta)


def _mish_slope(g: Any, a: Any, x: Any) -> Any:
    t = tanh(softplus(x, beta=1.0, threshold=20.0))
    return g * (x * sigmoid(x) * (1 - t * t) + t)


gaussian_gate = _activation(
    "gaussian_gate", lambda a, x: (erf(x * ROOT_HALF) + 1) * 0.5, lambda g, a, x: g * exp(x * x * -0.5) * (1 / ROOT_TWO_PI),
    lambda a, x: 0.5 * (1 + rm.erf(x * ROOT_HALF)), doc="The normal distribution function to the last bits of 1: gelu(x) / x.",
)  # fmt: skip
gelu = _activation("gelu", _gelu, _gelu_slope, _gelu_numpy, GeluAttrs, (GeluAttrs("none"), GeluAttrs("tanh")), check=_check_gelu, more=(
    Sample((np.ones(2),), GeluAttrs("fast"), error=MonographError, match="must be either none or tanh, got 'fast'"),
))  # fmt: skip
silu = _activation("silu", lambda a, x: x * sigmoid(x), _silu_slope, lambda a, x: x * rm.sigmoid(x))
softplus = _activation(
    "softplus", _softplus, _softplus_slope, _softplus_numpy, SoftplusAttrs, (SoftplusAttrs(), SoftplusAttrs(2.0, 1.0)), away_from=0.5,
    doc="log(1 + exp(beta * x)) / beta.",
)  # fmt: skip
mish = _activation(
    "mish", lambda a, x: x * tanh(softplus(x, beta=1.0, threshold=20.0)), _mish_slope,
    lambda a, x: x * np.tanh(_softplus_numpy(SoftplusAttrs(), x)),
    doc="x * tanh(softplus(x)).",
)  # fmt: skip
log_sigmoid = _activation(
    "log_sigmoid", lambda a, x: minimum(x, _zero(x)) - log1p(exp(-abs(x))), lambda g, a, x: g * sigmoid(-x),
    lambda a, x: np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x))),
)  # fmt: skip
tanhshrink = _activation("tanhshrink", lambda a, x: x - tanh(x), lambda g, a, x: g * square(tanh(x)), lambda a, x: x - np.tanh(x))
softsign = _activation(
    "softsign", lambda a, x: x / (abs(x) + 1), lambda g, a, x: g / square(abs(x) + 1), lambda a, x: x / (1 + np.abs(x)), away_from=0.0,
)  # fmt: skip


# ---- exponential below zero, linear above ----


def _elu_of(x: Any, alpha: float, scale: float = 1.0, inside: float = 1.0) -> Any:
    """scale * (x, or alpha * (exp(x * inside) - 1) below zero); the exponent is bounded, so that no infinity meets a zero in a gradient."""
    low = expm1(minimum(x, _zero(x)) * inside) * (alpha * scale)
    return where(gt(x, _zero(x)), x * scale, low)


def _elu_slope(g: Any, x: Any, alpha: float, scale: float = 1.0, inside: float = 1.0) -> Any:
    zero = _zero(x)
    low = g * (exp(minimum(x, zero) * inside) * (alpha * scale * inside))
    return where(gt(x, zero), g * scale, low)


def _elu_numpy(x: np.ndarray, alpha: float, scale: float = 1.0, inside: float = 1.0) -> np.ndarray:
    return np.where(x > 0, x * scale, alpha * scale * np.expm1(np.minimum(x, 0) * inside))


def _check_celu(a: AlphaAttrs, x: Any) -> None:
    if a.alpha == 0:
        raise ZeroDivisionError("alpha cannot be 0 for CELU")


elu = _activation(
    "elu", lambda a, x: _elu_of(x, a.alpha), lambda g, a, x: _elu_slope(g, x, a.alpha), lambda a, x: _elu_numpy(x, a.alpha), AlphaAttrs,
    (AlphaAttrs(1.0), AlphaAttrs(0.5)), away_from=0.0,
)  # fmt: skip
selu = _activation(
    "selu", lambda a, x: _elu_of(x, SELU_ALPHA, SELU_SCALE), lambda g, a, x: _elu_slope(g, x, SELU_ALPHA, SELU_SCALE),
    lambda a, x: _elu_numpy(x, SELU_ALPHA, SELU_SCALE), away_from=0.0,
)  # fmt: skip
celu = _activation(
    "celu", lambda a, x: _elu_of(x, a.alpha, 1.0, 1 / a.alpha), lambda g, a, x: _elu_slope(g, x, a.alpha, 1.0, 1 / a.alpha),
    lambda a, x: _elu_numpy(x, a.alpha, 1.0, 1 / a.alpha), AlphaAttrs, (AlphaAttrs(1.0), AlphaAttrs(2.0)), away_from=0.0, check=_check_celu,
    more=(Sample((np.ones(2),), AlphaAttrs(0.0), error=ZeroDivisionError, match="alpha cannot be 0"),),
)  # fmt: skip


# ---- piecewise linear ----


def _inside(x: Any, low: float | None, high: float | None, above: OpDef, below: OpDef) -> Any:
    """Where x lies within the bounds; None when there are none."""
    from_low = None if low is None else above(x, lift(low, x))
    to_high = None if high is None else below(x, lift(high, x))
    if from_low is None or to_high is None:
        return to_high if from_low is None else from_low
    return logical_and(from_low, to_high)


def _clamp_slope(g: Any, a: RangeAttrs, x: Any) -> Any:
    return where(_inside(x, a.min, a.max, ge, le), g, _zero(g))


def _strictly_inside(g: Any, x: Any, low: float, high: float) -> Any:
    """Zero at the bounds themselves too, as torch's hardtanh has it."""
    return where(_inside(x, low, high, gt, lt), g, _zero(g))


def _clamp_numpy(a: RangeAttrs, x: np.ndarray) -> np.ndarray:
    x = x if a.min is None else np.maximum(x, np.asarray(a.min, x.dtype))
    return x if a.max is None else np.minimum(x, np.asarray(a.max, x.dtype))


def _check_clamp(a: RangeAttrs, x: Any) -> None:
    if a.min is None and a.max is None:
        raise ArgumentError("clamp: At least one of 'min' or 'max' must not be None")
    if x.dtype.kind in "ui":
        limits = iinfo(x.dtype)
        for bound in (a.min, a.max):
            if bound is not None and not limits.min <= bound <= limits.max:
                raise MonographError(
                    f"clamp: the bound {bound} cannot be converted to {x.dtype.name} without overflow; cast the input first"
                )


def _hardswish_slope(g: Any, a: Any, x: Any) -> Any:
    three = lift(3, x)
    ramp = where(le(x, -three), _zero(g), g * (x / 3 + 0.5))
    return where(ge(x, three), g, ramp)


leaky_relu = _activation(
    "leaky_relu", lambda a, x: where(gt(x, _zero(x)), x, x * a.negative_slope),
    lambda g, a, x: where(gt(x, _zero(x)), g, g * a.negative_slope), lambda a, x: np.where(x > 0, x, x * x.dtype.type(a.negative_slope)),
    SlopeAttrs,
    (SlopeAttrs(0.01), SlopeAttrs(0.3)), away_from=0.0,
)  # fmt: skip
clamp = _activation(
    "clamp", lambda a, x: _bounded(x, a.min, a.max), _clamp_slope, _clamp_numpy, RangeAttrs,
    (RangeAttrs(-1, 1), RangeAttrs(None, 1), RangeAttrs(-1, None), RangeAttrs(1, -1)), allowed=REAL, check=_check_clamp,
    more=(
        Sample((np.array([3, 200], np.uint8),), RangeAttrs(5, 100)),
        Sample((np.ones(2),), RangeAttrs(None, None), error=ValueError, match="At least one"),
        Sample((np.ones(2, np.uint8),), RangeAttrs(-1, None), error=MonographError,
            match="-1 cannot be converted to uint8 without overflow"),
    ), traits=(Trait.IDEMPOTENT,),
    doc="The gradient passes at the bounds; where min > max the result is max.",
)  # fmt: skip
hardtanh = _activation(
    "hardtanh", lambda a, x: _bounded(x, a.min, a.max), lambda g, a, x: _strictly_inside(g, x, a.min, a.max), _clamp_numpy, RangeAttrs,
    (RangeAttrs(-1.0, 1.0),), allowed=REAL, check=_check_clamp, traits=(Trait.IDEMPOTENT,),
    doc="As clamp, but the gradient is zero at the bounds.",
)  # fmt: skip
relu6 = _activation(
    "relu6", lambda a, x: _bounded(x, 0, 6), lambda g, a, x: _strictly_inside(g, x, 0, 6), lambda a, x: np.minimum(np.maximum(x, 0), 6),
    allowed=REAL,
    away_from=0.0, traits=(Trait.IDEMPOTENT,),
)  # fmt: skip
hardsigmoid = _activation(
    "hardsigmoid", lambda a, x: _bounded(x + 3, 0, 6) * (1 / 6),
    lambda g, a, x: _strictly_inside(g / 6, x, -3, 3), lambda a, x: np.clip(x + 3, 0, 6) / 6,
)  # fmt: skip
hardswish = _activation(
    "hardswish", lambda a, x: x * (_bounded(x + 3, 0, 6) * (1 / 6)), _hardswish_slope, lambda a, x: x * np.clip(x + 3, 0, 6) / 6
)


# ---- of three inputs ----


def _lerp(a: Any, x: Any, y: Any, w: Any) -> Any:
    difference = y - x
    size = abs(w)
    return where(lt(size, lift(0.5, size)), x + w * difference, y - difference * (1 - w))


def _lerp_vjp(g: Any, z: Any, a: Any, x: Any, y: Any, w: Any) -> list[Any]:
    gx = None if fixed(x) else sum_to(g * (1 - w), x.shape)
    gy = None if fixed(y) else sum_to(g * w, y.shape)
    return [gx, gy, None if fixed(w) else sum_to(g * (y - x), w.shape)]


def _scaled(x: Any, value: float) -> Any:
    return x if value == 1 else x * value


def _addcmul_vjp(g: Any, z: Any, a: ValueAttrs, x: Any, p: Any, q: Any) -> list[Any]:
    gv = _scaled(g, a.value)
    gp = None if fixed(p) else sum_to(gv * q, p.shape)
    return [None if fixed(x) else sum_to(g, x.shape), gp, None if fixed(q) else sum_to(gv * p, q.shape)]


def _addcdiv_vjp(g: Any, z: Any, a: ValueAttrs, x: Any, p: Any, q: Any) -> list[Any]:
    gp = _scaled(g, a.value) / q
    gq = None if fixed(q) else sum_to(-gp * (p / q), q.shape)
    return [None if fixed(x) else sum_to(g, x.shape), None if fixed(p) else sum_to(gp, p.shape), gq]


def _three_samples(examples: tuple[Attrs, ...], ints: bool = False, low: float = 0.4) -> Callable[[], Iterable[Sample]]:
    def make() -> Iterable[Sample]:
        for a in examples:
            yield Sample((draw((2, 3)), draw((2, 3), seed=1), draw((2, 3), low, 2.0, 2)), a)
            yield Sample((draw((2, 1)), draw((3,), seed=1), draw((), low, 2.0, 2)), a)
            yield Sample((draw((0, 2)), draw((2,)), draw((2,), low, 2.0)), a)
            yield Sample(
                (draw((5,), dtype=np.float16), draw((5,), dtype=np.float16, seed=1), draw((5,), low, 2.0, 2, np.float16)), a, grad_inputs=()
            )
        if ints:
            yield Sample((whole((3,), 0, 9), whole((3,), 0, 9, 1), whole((3,), 1, 9, 2)), ValueAttrs(2))
        yield Sample((draw((2,)), draw((3,)), draw((2,))), examples[0], error=ShapeError, match="must match the size of tensor b")
        yield Sample((draw((2,)), draw((2,)), np.ones(2, np.float32)), examples[0], error=DTypeError, match="same dtype")

    return make


lerp = define(
    "lerp", family=FAMILY, infer=ternary("lerp", INEXACT), decompose=whole_in_float32(_lerp), vjp=_lerp_vjp,
    samples=_three_samples((NO_ATTRS,), low=-1.0),
    reference=plain(lambda x, y, w: np.where(np.abs(w) < 0.5, x + w * (y - x), y - (y - x) * (1 - w))),
    traits=[Trait.POINTWISE, Trait.HOLOMORPHIC], doc="x + w * (y - x), exact at w = 0 and w = 1.",
)  # fmt: skip
addcmul = define(
    "addcmul", family=FAMILY, attrs=ValueAttrs, infer=ternary("addcmul", REAL),
    decompose=whole_in_float32(lambda a, x, p, q: x + _scaled(p, a.value) * q),
    vjp=_addcmul_vjp, reference=_reference(lambda a, x, p, q: x + a.value * p * q),
    samples=_three_samples((ValueAttrs(1), ValueAttrs(-0.5)), ints=True),
    traits=[Trait.POINTWISE], doc="x + value * p * q.",
)  # fmt: skip
addcdiv = define(
    "addcdiv", family=FAMILY, attrs=ValueAttrs, infer=ternary("addcdiv"),
    decompose=whole_in_float32(lambda a, x, p, q: x + _scaled(p, a.value) / q),
    vjp=_addcdiv_vjp, reference=_reference(lambda a, x, p, q: x + a.value * p / q),
    samples=_three_samples((ValueAttrs(1), ValueAttrs(-0.5))),
    traits=[Trait.POINTWISE], doc="x + value * p / q.",
)  # fmt: skip
