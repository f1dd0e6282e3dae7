"""Losses of classes: nll_loss and cross_entropy of class indices, cross_entropy_probs of class probabilities.

The gradients find the target's class by comparing an arange with the target: (softmax(x) - [class = target]) * scale is one fusible chain
without a scatter. Weights of classes get no gradient, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, attrs
from monograph.core.dtype import dtype as DType
from monograph.core.dtype import int32, int64
from monograph.core.errors import ArgumentError, DimensionError, DTypeError, ShapeError
from monograph.core.explain import explained
from monograph.core.shape import Shape
from monograph.graph.node import Node
from monograph.graph.op import VIA_DECOMPOSITION, Family, Sample, Trait, define
from monograph.ops.compare import eq, ne
from monograph.ops.elementwise import cast, exp, where
from monograph.ops.index import index_select
from monograph.ops.loss import must_reduce, reduced
from monograph.ops.norm import log_softmax, must_float
from monograph.ops.precision import narrow, widen
from monograph.ops.reduce import sum as sum_dims
from monograph.ops.scattering import gather
from monograph.ops.source import arange, constant
from monograph.ops.views import reshape

LOSS = Family.LOSS


@attrs
class ClassAttrs(Attrs):
    """`dim` holds the classes; targets equal to `ignore_index` do not count; a weight per class follows if `has_weight`."""

    dim: int = 1
    ignore_index: int = -100
    label_smoothing: float = 0.0
    reduction: str = "mean"
    has_weight: bool = False


@attrs
class ProbabilityAttrs(Attrs):
    """`dim` holds the classes; a weight per class follows if `has_weight`."""

    dim: int = 1
    label_smoothing: float = 0.0
    reduction: str = "mean"
    has_weight: bool = False


# ---------------------------------------------------------------- types


def _must_be_smoothing(s: float) -> None:
    if not 0.0 <= s <= 1.0:
        raise ArgumentError(f"label_smoothing must be between 0.0 and 1.0. Got: {s}")


def _must_weigh_classes(weights: tuple[Any, ...], classes: Any) -> None:
    for w in weights:
        if w.shape != (classes,):
            raise ShapeError(
                f"weight tensor should be defined either for all {classes} classes or no classes but got weight tensor of shape: "
                f"{list(w.shape)}"
            )


def _class_type(name: str) -> Any:
    def infer(a: ClassAttrs, x: Any, t: Any, *weights: Any) -> tuple[Shape, DType]:
        must_reduce(a.reduction)
        _must_be_smoothing(a.label_smoothing)
        s = x.shape
        if not 0 <= a.dim < len(s):
            raise DimensionError(f"{name} needs the classes in dimension {a.dim} of the input, got shape {list(s)}")
        if t.dtype.kind not in "iu":
            raise DTypeError(
                f"expected scalar type int64 but found {t.dtype.name}: targets of {name} are class indices; convert them, e.g. "
                "target.long()"
            )
        positions = s[: a.dim] + s[a.dim + 1 :]
        if t.shape != positions:
            if len(positions) == 1 and len(t.shape) == 1:
                raise ArgumentError(f"Expected input batch_size ({positions[0]}) to match target batch_size ({t.shape[0]}).")
            raise ShapeError(
                f"Expected target size {list(positions)}, got {list(t.shape)}: {name} takes an input {list(s)} with {s[a.dim]} classes in "
                f"dimension {a.dim}"
            )
        _must_weigh_classes(weights, s[a.dim])
        return (t.shape if a.reduction == "none" else ()), must_float(name, x, *weights)

    return infer


# ---------------------------------------------------------------- class indices


def _beside(a: Any, t: Node) -> Node:
    """A value per position, shaped to broadcast along the dimension of classes."""
    return reshape(t, shape=(*t.shape[: a.dim], 1, *t.shape[a.dim :]))


def _along(a: Any, v: Node, ndim: int) -> Node:
    """A value per class, shaped to broadcast over all positions."""
    return reshape(v, shape=(*[1] * a.dim, v.shape[0], *[1] * (ndim - a.dim - 1)))


def _counted(a: ClassAttrs, t: Node) -> tuple[Node, Node]:
    """Which targets count, and the targets with 0 in place of those that do not."""
    t = t if t.dtype is int64 or t.dtype is int32 else cast(t, dtype=int64)
    counts = ne(t, constant(a.ignore_index, t.dtype))
    return counts, where(counts, t, constant(0, t.dtype))


def _target_weights(a: ClassAttrs, counts: Node, target: Node, weight: Node | None, dtype: DType) -> Node:
    """The weight of each position: that of its target's class, 0 if it is ignored."""
    if weight is None:
        return cast(counts, dtype=dtype)
    flat: Any = 1
    for n in target.shape:
        flat = flat * n
    of_target = reshape(index_select(weight, reshape(target, shape=(flat,)), dim=0), shape=target.shape)
    return where(counts, of_target, constant(0, dtype))


def _all(x: Node) -> Node:
    return sum_dims(x, dims=tuple(range(len(x.shape))), keepdim=False)


def _losses(a: ClassAttrs, log_p: Node, t: Node, weight: Node | None) -> Node:
    """The loss of log-probabilities; with label smoothing every class takes a share of the target."""
    counts, target = _counted(a, t)
    weights = _target_weights(a, counts, target, weight, log_p.dtype)
    picked = reshape(gather(log_p, _beside(a, target), dim=a.dim), shape=t.shape)
    zero = constant(0, log_p.dtype)
    losses = where(counts, -(picked * weights) if weight is not None else -picked, zero)
    if a.label_smoothing > 0:
        classes = log_p.shape[a.dim]
        every = log_p if weight is None else log_p * _along(a, weight, len(log_p.shape))
        smooth = where(counts, -sum_dims(every, dims=(a.dim,), keepdim=False), zero)
        losses = losses * (1 - a.label_smoothing) + smooth * (a.label_smoothing / classes)
    return _all(losses) / _all(weights) if a.reduction == "mean" else reduced(a.reduction, losses)


def _pulls(a: ClassAttrs, g: Node, shape: Shape, t: Node, weight: Node | None, dtype: DType) -> tuple[Node, Node]:
    """How strongly each class is pulled up at each position (the negative gradient of log p), and that summed over classes."""
    counts, target = _counted(a, t)
    weights = _target_weights(a, counts, target, weight, dtype)
    share = g / _all(weights) if a.reduction == "mean" else g
    scale = where(counts, share, constant(0, dtype))
    mine = scale if weight is None else scale * weights
    classes = shape[a.dim]
    hit = eq(_along(a, arange(start=0, step=1, length=classes, dtype=target.dtype), len(shape)), _beside(a, target))
    zero = constant(0, dtype)
    if a.label_smoothing == 0:
        return where(hit, _beside(a, mine), zero), _beside(a, mine)
    mine, low = mine * (1 - a.label_smoothing), scale * (a.label_smoothing / classes)
    if weight is None:
        return where(hit, _beside(a, mine), zero) + _beside(a, low), _beside(a, mine + low * classes)
    return where(hit, _beside(a, mine), zero) + _beside(a, low) * _along(a, weight, len(shape)), _beside(a, mine + low * _all(weight))


def _nll(a: ClassAttrs, x: Node, t: Node, *weights: Node) -> Node:
    return narrow(_losses(a, widen(x), t, widen(weights[0]) if weights else None), x.dtype)


def _nll_gradient(g: Node, y: Node, a: ClassAttrs, x: Node, t: Node, *weights: Node) -> list[Node | None]:
    pull, _ = _pulls(a, widen(g), x.shape, t, widen(weights[0]) if weights else None, widen(g).dtype)
    return [narrow(-pull, x.dtype), None, *[None for _ in weights]]


def _cross_entropy(a: ClassAttrs, x: Node, t: Node, *weights: Node) -> Node:
    log_p = log_softmax(widen(x), dim=a.dim)
    return narrow(_losses(a, log_p, t, widen(weights[0]) if weights else None), x.dtype)


def _cross_entropy_gradient(g: Node, y: Node, a: ClassAttrs, x: Node, t: Node, *weights: Node) -> list[Node | None]:
    wide = widen(x)
    pull, total = _pulls(a, widen(g), x.shape, t, widen(weights[0]) if weights else None, wide.dtype)
    # exp(log_softmax) rather than softmax: the forward pass has this log_softmax already.
    return [narrow(exp(log_softmax(wide, dim=a.dim)) * total - pull, x.dtype), None, *[None for _ in weights]]


def _class_samples(logits: bool) -> Any:
    def make() -> Iterable[Sample]:
        draw = np.random.default_rng(15)
        x, t = draw.standard_normal((4, 3)), np.array([0, 2, 1, 2])
        w = draw.uniform(0.5, 2, 3)
        smoothing = (0.0, 0.1) if logits else (0.0,)
        for s in smoothing:
            for r in ("none", "mean", "sum"):
                yield Sample((x, t), ClassAttrs(1, -100, s, r))
                yield Sample((x, t, w), ClassAttrs(1, 2, s, r, True), grad_inputs=(0,))
        yield Sample((x[0], np.asarray(1)), ClassAttrs(0))
        yield Sample((draw.standard_normal((2, 3, 2)), draw.integers(0, 3, (2, 2))), ClassAttrs(1))
        yield Sample((draw.standard_normal((2, 3, 4)), draw.integers(0, 4, (2, 3))), ClassAttrs(2, 1, 0.0, "sum"))
        yield Sample((x, t.astype(np.uint8)), ClassAttrs())
        yield Sample((x, np.full(4, -100)), ClassAttrs(), grad_inputs=())
        yield Sample((x, np.array([0, 1, 3, 2])), ClassAttrs(), error=IndexError, match="out of bounds")
        yield Sample((x, np.full(4, -100)), ClassAttrs(reduction="sum"))
        yield Sample((np.zeros((0, 3)), np.zeros(0, np.int64)), ClassAttrs(reduction="sum"))
        yield Sample((x.astype(np.float16), t), ClassAttrs(), grad_inputs=(), tolerance=1e-2)
        yield Sample((x, t[:3]), ClassAttrs(), error=ValueError, match=r"Expected input batch_size \(4\) to match target batch_size \(3\)")
        yield Sample((np.ones((2, 3, 2)), t[:2]), ClassAttrs(), error=ShapeError, match=r"Expected target size \[2, 2\], got \[2\]")
        yield Sample((x, t.astype(np.float64)), ClassAttrs(), error=DTypeError, match="expected scalar type int64 but found float64")
        yield Sample(
            (x, t, w[:2]), ClassAttrs(1, -100, 0.0, "mean", True), error=ShapeError, match="either for all 3 classes or no classes"
        )
        yield Sample((x, t), ClassAttrs(reduction="average"), error=ValueError, match="not a valid value for reduction")
        yield Sample((x, t), ClassAttrs(label_smoothing=2.0), error=ValueError, match="between 0.0 and 1.0. Got: 2.0")

    return make


def _class_reference(a: ClassAttrs, log_p: np.ndarray, t: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """In plain loops over positions: what the loss means."""
    classes = log_p.shape[a.dim]
    rows = np.moveaxis(log_p.astype(np.float64), a.dim, -1).reshape(-1, classes)
    w = np.ones(classes) if weight is None else weight.astype(np.float64)
    losses, total = np.zeros(t.size), 0.0
    for i, c in enumerate(t.reshape(-1)):
        if c == a.ignore_index:
            continue
        if not 0 <= c < classes:
            raise IndexError(f"Target {c} is out of bounds.")
        smooth = -np.sum(rows[i] * w)
        losses[i] = (1 - a.label_smoothing) * -rows[i, c] * w[c] + (a.label_smoothing * smooth / classes if a.label_smoothing else 0.0)
        total += w[c]
    if a.reduction == "none":
        return losses.reshape(t.shape)
    if a.reduction == "sum":
        return np.asarray(np.sum(losses))
    return np.asarray(np.sum(losses) / total if total else np.nan)


def _nll_reference(a: ClassAttrs, x: np.ndarray, t: np.ndarray, *weights: np.ndarray) -> np.ndarray:
    return np.asarray(_class_reference(a, x, t, weights[0] if weights else None)).astype(x.dtype)


def _log_softmax_reference(x: np.ndarray, axis: int) -> np.ndarray:
    wide = x.astype(np.float64)
    shifted = wide - np.max(wide, axis=axis, keepdims=True, initial=-np.inf)
    return np.asarray(shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True)))


def _cross_entropy_reference(a: ClassAttrs, x: np.ndarray, t: np.ndarray, *weights: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(_class_reference(a, _log_softmax_reference(x, a.dim), t, weights[0] if weights else None)).astype(x.dtype)


nll_loss = define(
    "nll_loss", family=LOSS, attrs=ClassAttrs, infer=_class_type("nll_loss"), decompose=_nll, vjp=_nll_gradient, reference=_nll_reference,
    samples=_class_samples(False), traits=[Trait.CHECKS_VALUES], doc="-x[target] of log-probabilities x, weighted by class.",
)  # fmt: skip

cross_entropy = define(
    "cross_entropy", family=LOSS, attrs=ClassAttrs, infer=_class_type("cross_entropy"), decompose=_cross_entropy,
    vjp=_cross_entropy_gradient,
    reference=_cross_entropy_reference, samples=_class_samples(True), traits=[Trait.CHECKS_VALUES],
    doc="-log(softmax(x)[target]), weighted by class.",
)  # fmt: skip


# ---------------------------------------------------------------- class probabilities


def _probability_type(a: ProbabilityAttrs, x: Any, t: Any, *weights: Any) -> tuple[Shape, DType]:
    must_reduce(a.reduction)
    _must_be_smoothing(a.label_smoothing)
    s = x.shape
    if not 0 <= a.dim < len(s):
        raise DimensionError(f"cross_entropy needs the classes in dimension {a.dim} of the input, got shape {list(s)}")
    if len(t.shape) == len(s) - 1:
        raise DTypeError(
            explained(
                f"expected target dtype to be Long or Byte, but got {t.dtype.name}",
                "target.long() if these are class indices; class probabilities have the shape of the input",
                input=f"{x.dtype.name} {list(s)}", target=f"{t.dtype.name} {list(t.shape)}",
            )
        )  # fmt: skip
    if t.shape != s:
        raise ShapeError(f"input and target of class probabilities must have one shape, got {list(s)} and {list(t.shape)}")
    _must_weigh_classes(weights, s[a.dim])
    return (s[: a.dim] + s[a.dim + 1 :] if a.reduction == "none" else ()), must_float("cross_entropy", x, t, *weights)


def _cross_entropy_probs(a: ProbabilityAttrs, x: Node, t: Node, *weights: Node) -> Node:
    target, classes = widen(t), x.shape[a.dim]
    if a.label_smoothing > 0:
        target = target * (1 - a.label_smoothing) + a.label_smoothing / classes
    if weights:
        target = target * _along(a, widen(weights[0]), len(x.shape))
    losses = -sum_dims(log_softmax(widen(x), dim=a.dim) * target, dims=(a.dim,), keepdim=False)
    return narrow(reduced(a.reduction, losses), x.dtype)


def _probability_samples() -> Iterable[Sample]:
    draw = np.random.default_rng(16)
    x, t, w = draw.standard_normal((4, 3)), draw.dirichlet(np.ones(3), 4), draw.uniform(0.5, 2, 3)
    for r in ("none", "mean", "sum"):
        yield Sample((x, t), ProbabilityAttrs(1, 0.0, r))
        yield Sample((x, t, w), ProbabilityAttrs(1, 0.2, r, True))
    yield Sample((x[0], t[0]), ProbabilityAttrs(0))
    yield Sample((draw.standard_normal((2, 3, 2)), draw.uniform(0, 1, (2, 3, 2))), ProbabilityAttrs(1, 0.1))
    yield Sample((x, t[:3]), ProbabilityAttrs(), error=ShapeError, match="must have one shape")
    yield Sample((x, t), ProbabilityAttrs(reduction="average"), error=ValueError, match="not a valid value for reduction")


cross_entropy_probs = define(
    "cross_entropy_probs", family=LOSS, attrs=ProbabilityAttrs, infer=_probability_type, decompose=_cross_entropy_probs,
    vjp=VIA_DECOMPOSITION,
    samples=_probability_samples, doc="-sum(target * log(softmax(x))) over classes, for targets that are probabilities.",
)  # fmt: skip
