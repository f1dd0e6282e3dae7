"""Losses of regression and of probabilities: mse, l1, smooth l1, Huber, binary cross entropy, Kullback-Leibler divergence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, attrs
from monograph.core.dtype import dtype as DType
from monograph.core.errors import ArgumentError, DTypeError, ShapeError
from monograph.core.shape import Shape, broadcast
from monograph.graph.node import Node
from monograph.graph.op import VIA_DECOMPOSITION, Family, OpDef, Sample, define
from monograph.ops.activation import log_sigmoid
from monograph.ops.broadcasting import sum_to
from monograph.ops.compare import eq, le, lt
from monograph.ops.elementwise import abs as absolute
from monograph.ops.elementwise import exp, log, log1p, maximum, sigmoid, square, where
from monograph.ops.norm import must_float
from monograph.ops.precision import narrow, widen
from monograph.ops.reduce import mean as mean_dims
from monograph.ops.reduce import sum as sum_dims
from monograph.ops.source import constant

LOSS = Family.LOSS
REDUCTIONS = ("none", "mean", "sum")


@attrs
class LossAttrs(Attrs):
    """`reduction`: "none" (a loss per element), "mean" or "sum"."""

    reduction: str = "mean"


@attrs
class ThresholdAttrs(Attrs):
    """Where the loss turns from quadratic to linear (beta of smooth l1, delta of Huber)."""

    threshold: float = 1.0
    reduction: str = "mean"


@attrs
class BinaryAttrs(Attrs):
    """Whether a weight per element, then a weight of positive targets, follow as inputs."""

    reduction: str = "mean"
    has_weight: bool = False
    has_pos_weight: bool = False


@attrs
class DivergenceAttrs(Attrs):
    """`log_target`: the target holds logarithms; reduction may also be "batchmean", the sum divided by the batch size."""

    log_target: bool = False
    reduction: str = "mean"


def must_reduce(reduction: str, allowed: tuple[str, ...] = REDUCTIONS) -> None:
    """Raises ValueError for an unknown reduction."""
    if reduction not in allowed:
        raise ArgumentError(f"{reduction} is not a valid value for reduction; use one of {', '.join(map(repr, allowed))}")


def reduced(reduction: str, losses: Node) -> Node:
    """The mean, the sum, or the losses themselves."""
    dims = tuple(range(len(losses.shape)))
    if reduction == "mean":
        return mean_dims(losses, dims=dims, keepdim=False)
    return sum_dims(losses, dims=dims, keepdim=False) if reduction == "sum" else losses


def spread(reduction: str, g: Node, shape: Shape) -> Node:
    """The gradient of each loss, given that of the reduced loss."""
    if reduction != "mean":
        return g
    n: Any = 1
    for s in shape:
        n = n * s
    return g / n


def _pointwise(name: str) -> Any:
    """The type of a loss of predictions and targets that broadcast."""

    def infer(a: Any, x: Any, t: Any) -> tuple[Shape, DType]:
        must_reduce(a.reduction)
        d = must_float(name, x, t)
        shape = x.shape if x.shape == t.shape else broadcast(x.shape, t.shape)
        return (shape if a.reduction == "none" else ()), d

    return infer


def _per_element(each: Any) -> Any:
    """A decomposition from the loss of each element, computed in float32 at least."""

    def decompose(a: Any, x: Node, t: Node) -> Node:
        return narrow(reduced(a.reduction, each(a, widen(x), widen(t))), x.dtype)

    return decompose


def _samples(*variants: Attrs, bad: Attrs) -> Any:
    def make() -> Iterable[Sample]:
        draw = np.random.default_rng(12)
        for a in variants:
            yield Sample((draw.standard_normal((3, 4)), draw.standard_normal((3, 4)) * 3), a)
            yield Sample((draw.standard_normal((3, 1)), draw.standard_normal((2, 1, 4)) * 3), a)
        yield Sample((draw.standard_normal(()), draw.standard_normal(()) + 3), variants[0])
        yield Sample((np.ones((2, 3)), np.ones((2, 4))), variants[0], error=ShapeError, match="must match the size of tensor b")
        yield Sample(
            (np.ones((2, 3)), np.ones((2, 3), np.int64)),
            variants[0],
            error=DTypeError,
            match="expected scalar type float64 but found int64",
        )
        yield Sample((np.ones(3), np.ones(3)), bad, error=ValueError, match="average is not a valid value for reduction")

    return make


def _pointwise_loss(name: str, kind: type[Attrs], each: Any, samples: Any, doc: str) -> OpDef:
    return define(
        name, family=LOSS, attrs=kind, infer=_pointwise(name), decompose=_per_element(each), vjp=VIA_DECOMPOSITION, samples=samples,
        doc=doc,
    )  # fmt: skip


def _smooth_l1(a: ThresholdAttrs, x: Node, t: Node) -> Node:
    size = absolute(x - t)
    if a.threshold == 0:
        return size
    return where(lt(size, constant(a.threshold, size.dtype)), square(size) * 0.5 / a.threshold, size - 0.5 * a.threshold)


def _huber(a: ThresholdAttrs, x: Node, t: Node) -> Node:
    size = absolute(x - t)
    return where(le(size, constant(a.threshold, size.dtype)), square(size) * 0.5, (size - 0.5 * a.threshold) * a.threshold)


_each_way = tuple(LossAttrs(r) for r in REDUCTIONS)
mse_loss = _pointwise_loss(
    "mse_loss", LossAttrs, lambda a, x, t: square(x - t), _samples(*_each_way, bad=LossAttrs("average")), "(x - t) squared."
)
l1_loss = _pointwise_loss("l1_loss", LossAttrs, lambda a, x, t: absolute(x - t), _samples(*_each_way, bad=LossAttrs("average")), "|x - t|.")
smooth_l1_loss = _pointwise_loss(
    "smooth_l1_loss", ThresholdAttrs, _smooth_l1,
    _samples(ThresholdAttrs(0.7), ThresholdAttrs(2.0, "sum"), ThresholdAttrs(0.0, "none"), bad=ThresholdAttrs(1.0, "average")),
    "Below the threshold beta 0.5 d² / beta, above it |d| - beta / 2, with d = x - t.",
)  # fmt: skip
huber_loss = _pointwise_loss(
    "huber_loss", ThresholdAttrs, _huber,
    _samples(ThresholdAttrs(0.7), ThresholdAttrs(2.0, "sum"), ThresholdAttrs(1.0, "none"), bad=ThresholdAttrs(1.0, "average")),
    "Up to the threshold delta 0.5 d², above it delta (|d| - delta / 2), with d = x - t.",
)  # fmt: skip


# ---------------------------------------------------------------- binary cross entropy


def _binary_type(name: str) -> Any:
    def infer(a: BinaryAttrs, x: Any, t: Any, *weights: Any) -> tuple[Shape, DType]:
        must_reduce(a.reduction)
        d = must_float(name, x, t, *weights)
        if x.shape != t.shape:
            raise ShapeError(
                f"Target size ({list(t.shape)}) must be the same as input size ({list(x.shape)}) for {name}; reshape the target or the "
                "prediction"
            )
        for w in weights:
            if broadcast(w.shape, x.shape) != x.shape:
                raise ShapeError(f"a weight of shape {list(w.shape)} does not expand to the input's shape {list(x.shape)}")
        return (x.shape if a.reduction == "none" else ()), d

    return infer


def _weights(a: BinaryAttrs, weights: tuple[Node, ...]) -> tuple[Node | None, Node | None]:
    """(weight per element, weight of positives), in the type that losses are computed in."""
    return (widen(weights[0]) if a.has_weight else None), (widen(weights[-1]) if a.has_pos_weight else None)


def _bce(a: BinaryAttrs, x: Node, t: Node, *weights: Node) -> Node:
    p, target = widen(x), widen(t)
    floor = constant(-100, p.dtype)  # the logarithm of 0 counts as -100, so that one confident error does not make the loss infinite
    losses = (target - 1) * maximum(log1p(-p), floor) - target * maximum(log(p), floor)
    weight, _ = _weights(a, weights)
    return narrow(reduced(a.reduction, losses if weight is None else losses * weight), x.dtype)


def _bce_gradient(g: Node, y: Node, a: BinaryAttrs, x: Node, t: Node, *weights: Node) -> list[Node | None]:
    p, target, g = widen(x), widen(t), spread(a.reduction, widen(g), x.shape)
    weight, _ = _weights(a, weights)
    gw = g if weight is None else g * weight
    floor = constant(-100, p.dtype)
    log_p, log_q = maximum(log(p), floor), maximum(log1p(-p), floor)
    gx = gw * (p - target) / maximum((1 - p) * p, constant(1e-12, p.dtype))
    grads: list[Node | None] = [narrow(gx, x.dtype), narrow(gw * (log_q - log_p), t.dtype)]
    if weight is not None:
        grads.append(narrow(sum_to(g * ((target - 1) * log_q - target * log_p), weights[0].shape), weights[0].dtype))
    return grads


def _bce_with_logits(a: BinaryAttrs, x: Node, t: Node, *weights: Node) -> Node:
    wide, target = widen(x), widen(t)
    weight, positive = _weights(a, weights)
    log_p = log_sigmoid(wide)
    losses = (1 - target) * wide - (log_p if positive is None else ((positive - 1) * target + 1) * log_p)
    return narrow(reduced(a.reduction, losses if weight is None else losses * weight), x.dtype)


def _bce_with_logits_gradient(g: Node, y: Node, a: BinaryAttrs, x: Node, t: Node, *weights: Node) -> list[Node | None]:
    wide, target, g = widen(x), widen(t), spread(a.reduction, widen(g), x.shape)
    weight, positive = _weights(a, weights)
    gw = g if weight is None else g * weight
    log_p = log_sigmoid(wide)
    if positive is None:
        gx, gt = gw * (sigmoid(wide) - target), -(gw * wide)
    else:
        factor = (positive - 1) * target + 1
        gx, gt = gw * ((1 - target) - factor * sigmoid(-wide)), -(gw * (wide + (positive - 1) * log_p))
    grads: list[Node | None] = [narrow(gx, x.dtype), narrow(gt, t.dtype)]
    if weight is not None:
        losses = (1 - target) * wide - (log_p if positive is None else ((positive - 1) * target + 1) * log_p)
        grads.append(narrow(sum_to(g * losses, weights[0].shape), weights[0].dtype))
    if positive is not None:
        grads.append(narrow(sum_to(-(gw * target * log_p), weights[-1].shape), weights[-1].dtype))
    return grads


def _binary_samples(probabilities: bool) -> Any:
    def make() -> Iterable[Sample]:
        draw = np.random.default_rng(13)
        x = draw.uniform(0.05, 0.95, (3, 4)) if probabilities else draw.standard_normal((3, 4)) * 2
        t, w, p = draw.uniform(0, 1, (3, 4)), draw.uniform(0.5, 2, (4,)), draw.uniform(0.5, 2, (1, 4))
        for r in REDUCTIONS:
            yield Sample((x, t), BinaryAttrs(r))
            yield Sample((x, t, w), BinaryAttrs(r, True))
            if not probabilities:
                yield Sample((x, t, p), BinaryAttrs(r, False, True))
                yield Sample((x, t, w, p), BinaryAttrs(r, True, True))
        ends = np.array([0.0, 1.0, 0.0, 1.0]) if probabilities else np.array([200.0, -200.0, 0.0, 30.0])
        yield Sample((ends, np.array([0.0, 1.0, 1.0, 0.0])), BinaryAttrs("none"), grad_inputs=())
        yield Sample((np.ones((2, 3)), np.ones((2, 1))), BinaryAttrs(), error=ShapeError, match="must be the same as input size")
        yield Sample(
            (np.ones((2, 3)), np.ones((2, 3)), np.ones(2)),
            BinaryAttrs("mean", True),
            error=ShapeError,
            match="must match the size of tensor b",
        )
        yield Sample((np.ones(3), np.ones(3)), BinaryAttrs("average"), error=ValueError, match="not a valid value for reduction")

    return make


bce_loss = define(
    "bce_loss", family=LOSS, attrs=BinaryAttrs, infer=_binary_type("bce_loss"), decompose=_bce, vjp=_bce_gradient,
    samples=_binary_samples(True),
    doc="-(t log(x) + (1 - t) log(1 - x)) of probabilities x; logarithms are at least -100.",
)  # fmt: skip

bce_with_logits = define(
    "bce_with_logits", family=LOSS, attrs=BinaryAttrs, infer=_binary_type("bce_with_logits"), decompose=_bce_with_logits,
    vjp=_bce_with_logits_gradient,
    samples=_binary_samples(False), doc="Binary cross entropy of sigmoid(x), safe for large x.",
)  # fmt: skip


# ---------------------------------------------------------------- Kullback-Leibler divergence


def _kl_div_type(a: DivergenceAttrs, x: Any, t: Any) -> tuple[Shape, DType]:
    must_reduce(a.reduction, (*REDUCTIONS, "batchmean"))
    if a.reduction == "batchmean" and not x.shape:
        raise ShapeError("kl_div with reduction 'batchmean' divides by the size of dimension 0: the input needs one")
    shape = broadcast(x.shape, t.shape)
    return (shape if a.reduction == "none" else ()), must_float("kl_div", x, t)


def _kl_div(a: DivergenceAttrs, x: Node, t: Node) -> Node:
    wide, target = widen(x), widen(t)
    if a.log_target:
        losses = exp(target) * (target - wide)
    else:
        nothing = eq(target, constant(0, target.dtype))  # 0 log 0 = 0
        losses = target * log(where(nothing, constant(1, target.dtype), target)) - target * wide
    if a.reduction == "batchmean":
        return narrow(reduced("sum", losses) / x.shape[0], x.dtype)
    return narrow(reduced(a.reduction, losses), x.dtype)


def _kl_div_samples() -> Iterable[Sample]:
    draw = np.random.default_rng(14)
    x, t = np.log(draw.dirichlet(np.ones(4), 3)), draw.dirichlet(np.ones(4), 3)
    for r in (*REDUCTIONS, "batchmean"):
        yield Sample((x, t), DivergenceAttrs(False, r))
        yield Sample((x, np.log(t)), DivergenceAttrs(True, r))
    yield Sample((x[:1], np.array([[0.0, 0.5, 0.5, 0.0]])), DivergenceAttrs(), grad_inputs=(0,))
    yield Sample((np.ones(()), np.ones(())), DivergenceAttrs(False, "batchmean"), error=ShapeError, match="batchmean")
    yield Sample((x, t), DivergenceAttrs(False, "average"), error=ValueError, match="not a valid value for reduction")


kl_div = define(
    "kl_div", family=LOSS, attrs=DivergenceAttrs, infer=_kl_div_type, decompose=_kl_div, vjp=VIA_DECOMPOSITION, samples=_kl_div_samples,
    doc="t (log(t) - x) for log-probabilities x.",
)  # fmt: skip
