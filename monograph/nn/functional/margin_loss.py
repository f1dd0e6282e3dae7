"""Losses of distances and margins, the distances themselves, and CTC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.core.dtype import int64
from monograph.core.errors import ArgumentError
from monograph.nn.functional.loss import _reduction, reduced
from monograph.tensor import FUNCTIONS, Tensor, arange, stack, tensor, where, zeros_like


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of x1 - x2 + eps over the last dimension."""
    return (x1 - x2 + eps).norm(p, -1, keepdim)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between x1 and x2 along `dim`."""
    if tuple(x1.shape) != tuple(x2.shape):
        x1, x2 = FUNCTIONS["broadcast_tensors"](x1, x2)
    if x1.dtype is not x2.dtype or x1.dtype.kind not in "fc":
        common = FUNCTIONS["result_type"](x1, x2)
        if common.kind not in "fc":
            raise RuntimeError(f"expected common dtype to be floating point, yet common dtype is {common.name}")
        x1, x2 = x1.to(common), x2.to(common)
    return (_unit(x1, dim, eps) * _unit(x2, dim, eps)).sum(dim)


def _unit(x: Tensor, dim: int, eps: float) -> Tensor:
    """Vectors along `dim` over their lengths, which count as `eps` at least; the gradient is that of the length all the same."""
    size = FUNCTIONS["norm"](x, 2, dim, keepdim=True)
    return x / (size + (size.clamp_min(eps) - size).detach())


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The distances of all pairs of rows, above the diagonal, row by row."""
    if input.dtype.kind != "f":
        raise RuntimeError("pdist only supports floating-point dtypes")
    n = input.shape[0]
    rows = [i for i in range(n) for _ in range(i + 1, n)]
    columns = [j for i in range(n) for j in range(i + 1, n)]
    if not rows:
        return input.new_zeros((0,))
    return (input.index_select(0, tensor(rows)) - input.index_select(0, tensor(columns))).norm(p, -1)


def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """input where target is 1, max(0, margin - input) where it is -1."""
    reduction = _reduction(reduction, size_average, reduce)
    zero = zeros_like(input)
    far = (margin - input).clamp(min=0).to(input.dtype)  # numbers that are no fractions stay so
    return reduced(where(target != 1, far, zero) + where(target != -1, input, zero), reduction)


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """max(0, -target * (input1 - input2) + margin)."""
    reduction = _reduction(reduction, size_average, reduce)
    if input1.ndim != input2.ndim or input1.ndim != target.ndim:
        raise RuntimeError(
            f"margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: {input1.size()}, "
            f"input2: {input2.size()}, "
            f"target: {target.size()} "
        )
    return reduced((-target * (input1 - input2) + margin).clamp(min=0), reduction)


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """1 - cos(a, b) where target is 1, max(0, cos(a, b) - margin) where it is -1."""
    reduction = _reduction(reduction, size_average, reduce)
    if target.ndim not in (0, 1):
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if input1.ndim != target.ndim + 1 or input2.ndim != target.ndim + 1:
        raise RuntimeError(
            f"{target.ndim}D target tensor expects {target.ndim + 1}D input tensors, but found inputs with sizes {list(input1.shape)} and "
            f"{list(input2.shape)}."
        )
    eps = 1e-12
    a, b = input1.square().sum(-1) + eps, input2.square().sum(-1) + eps
    cosine = (input1 * input2).sum(-1) / (a * b).sqrt()
    zero = zeros_like(cosine)
    return reduced(where(target == 1, 1 - cosine, zero) + where(target == -1, (cosine - margin).clamp(min=0), zero), reduction)


def multi_margin_loss(
    input: Tensor, target: Tensor, p: int = 1, margin: float = 1.0, weight: Tensor | None = None, size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """max(0, margin - input[target] + input[i]) ** p, averaged over the classes i other than the target."""
    reduction = _reduction(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ArgumentError("only p == 1 and p == 2 supported")
    if weight is not None and weight.ndim != 1:
        raise ArgumentError("weight must be one-dimensional")
    x = input if input.ndim == 2 else input.reshape(1, -1)
    labels = target.reshape(-1).long()
    classes = x.shape[1]
    gap = (margin - x.gather(1, labels.unsqueeze(1)) + x).clamp(min=0)
    gap = gap if p == 1 else gap * gap
    if weight is not None:
        gap = gap * weight.index_select(0, labels).unsqueeze(1)
    others = arange(classes).unsqueeze(0) != labels.unsqueeze(1)
    losses = where(others, gap, 0.0).sum(1) / classes
    return reduced(losses if input.ndim == 2 else losses.squeeze(0), reduction)


def triplet_margin_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2, eps: float = 1e-6, swap: bool = False,
    size_average: Any = None, reduce: Any = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """max(0, d(anchor, positive) - d(anchor, negative) + margin); `swap`: against the nearer of anchor and positive to the negative."""
    reduction = _reduction(reduction, size_average, reduce)
    if margin <= 0:
        raise ArgumentError(f"margin must be greater than 0, got {margin}")

    ranks = [x.ndim for x in (anchor, positive, negative)]
    if len(set(ranks)) > 1:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {ranks[0]}D, positive {ranks[1]}D, and negative {ranks[2]}D inputs"
        )

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return pairwise_distance(a, b, p, eps)

    return triplet_margin_with_distance_loss(
        anchor, positive, negative, distance_function=distance, margin=margin, swap=swap, reduction=reduction
    )


def triplet_margin_with_distance_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, *, distance_function: Callable[..., Tensor] | None = None, margin: float = 1.0,
    swap: bool = False, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """`triplet_margin_loss` with a distance of one's own."""
    if margin <= 0:
        raise ArgumentError(f"margin must be greater than 0, got {margin}")
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = FUNCTIONS["minimum"](far, distance(positive, negative))
    return reduced((near - far + margin).clamp(min=0), reduction)


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """-log of the probability of all alignments of `targets` to `log_probs` [T, N, C] or [T, C] (Graves et al. 2006).

    targets: [N, S], or all of them joined in one vector. The forward recursion runs over the states blank, label, blank, label
    ... in log space.
    """
    batched = log_probs.ndim == 3
    x = log_probs if batched else log_probs.unsqueeze(1)
    steps, n, _ = x.shape
    in_lengths, out_lengths = _lengths(input_lengths), _lengths(target_lengths)
    labels = _label_rows(targets if batched or targets.ndim != 1 else targets.reshape(1, -1), out_lengths, n)
    longest = max([*out_lengths, 0])
    states = [[blank] + [s for label in (row + [blank] * (longest - len(row))) for s in (label, blank)] for row in labels]
    path = tensor(states)
    skips = tensor([[i >= 2 and row[i] != blank and row[i] != row[i - 2] for i in range(len(row))] for row in states])
    at_states = [x[t].gather(1, path) for t in range(steps)]
    minus_infinity = zeros_like(at_states[0]) - float("inf")
    start = arange(path.shape[1]).unsqueeze(0) < 2
    alpha = where(start, at_states[0], minus_infinity)
    alphas = [alpha]
    for t in range(1, steps):
        by_one = _shifted(alpha, 1)
        by_two = where(skips, _shifted(alpha, 2), minus_infinity)
        alpha = _log_sum(alpha, by_one, by_two) + at_states[t]
        alphas.append(alpha)
    losses = []
    for i, (length, size) in enumerate(zip(in_lengths, out_lengths, strict=True)):
        last = alphas[length - 1][i]
        ends = [last[2 * size]] + ([last[2 * size - 1]] if size else [])
        losses.append(-_log_sum(*ends) if len(ends) > 1 else -ends[0])
    result = stack(losses)
    # torch's gradient is exp(log_probs) - posterior: that of unnormalised scores, which log_softmax maps to itself. The value stays.
    mass = x.exp().sum(-1)
    counted = mass * tensor([[t < length for length in in_lengths] for t in range(steps)], dtype=x.dtype)
    result = result + (counted - counted.detach()).sum(0)
    if zero_infinity:
        result = where(result == float("inf"), 0.0, result)
    if reduction == "mean":
        return (result / tensor([max(size, 1) for size in out_lengths], dtype=result.dtype)).mean()
    return reduced(result if batched else result.squeeze(0), reduction)


def _lengths(lengths: Any) -> list[int]:
    if isinstance(lengths, Tensor):
        return [int(n) for n in lengths.reshape(-1).tolist()]
    return [int(lengths)] if isinstance(lengths, int) else [int(n) for n in lengths]


def _label_rows(targets: Tensor, lengths: list[int], n: int) -> list[list[int]]:
    values = targets.tolist()
    if targets.ndim == 2:
        return [row[:size] for row, size in zip(values, lengths, strict=True)]
    rows, at = [], 0
    for size in lengths[:n]:
        rows.append(values[at : at + size])
        at += size
    return rows


def _shifted(alpha: Tensor, by: int) -> Tensor:
    """Each state's predecessor `by` states before."""
    if alpha.shape[1] <= by:
        return zeros_like(alpha) - float("inf")
    head = zeros_like(alpha[:, :by]) - float("inf")
    return FUNCTIONS["cat"]([head, alpha[:, :-by]], 1)


def _log_sum(*terms: Tensor) -> Tensor:
    """log of the sum of exponentials; -inf of nothing but -inf, with gradients 0 there instead of NaN."""
    top = terms[0]
    for t in terms[1:]:
        top = FUNCTIONS["maximum"](top, t)
    impossible = top == float("-inf")
    safe = where(impossible, 0.0, top).detach()
    total = (where(impossible, float("-inf"), terms[0]) - safe).exp()
    for t in terms[1:]:
        total = total + (t - safe).exp()
    return where(impossible, float("-inf"), where(impossible, 1.0, total).log() + safe)


def multilabel_margin_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """The sum of max(0, 1 - (input[t] - input[i])) over the target classes t and all other classes i, divided by the number of classes.

    `target` has the shape of `input`, [N, C] or [C]: class indices up to the first negative one.
    """
    reduction = _reduction(reduction, size_average, reduce)
    if reduction not in ("none", "mean", "sum"):
        raise ArgumentError(f"{reduction} is not a valid value for reduction")
    if input.ndim == 0 and target.ndim <= 1:
        return multilabel_margin_loss(input.reshape(1), target.reshape(1), reduction=reduction)
    if input.ndim <= 2 and (not input.ndim or 0 in tuple(input.shape)[-1:]):
        raise RuntimeError(
            f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: {list(input.shape)} (multilabel_margin_loss)"
        )
    if input.ndim not in (1, 2) or tuple(input.shape) != tuple(target.shape):
        raise RuntimeError(
            f"multilabel_margin_loss: expected input and target of one shape [N, C] or [C], got {list(input.shape)} and "
            f"{list(target.shape)}"
        )
    if target.dtype is not int64:
        found = target.dtype.name
        raise RuntimeError(f"expected scalar type Long but found {found}: multilabel_margin_loss takes classes, e.g. target.long()")
    x, labels = (input, target) if input.ndim == 2 else (input.unsqueeze(0), target.unsqueeze(0))
    valid = (labels < 0).long().cumsum(1) == 0
    places = where(valid, labels, 0)
    is_target = zeros_like(x).scatter_add(1, places, valid.to(x.dtype)) > 0
    margins = (1 - x.gather(1, places).unsqueeze(2) + x.unsqueeze(1)).clamp(min=0)
    counted = valid.unsqueeze(2) & ~is_target.unsqueeze(1)
    losses = where(counted, margins, 0.0).sum((1, 2)) / x.shape[1]
    return reduced(losses if input.ndim == 2 else losses.squeeze(0), reduction)
