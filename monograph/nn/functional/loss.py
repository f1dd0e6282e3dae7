"""Loss functions: of classes, regression and probabilities. Distances and margins: `margin_loss.py`."""

from __future__ import annotations

import math
import warnings
from typing import Any

from monograph.core.dtype import promote
from monograph.core.errors import ArgumentError
from monograph.ops import cross_entropy as class_ops
from monograph.ops import loss as loss_ops
from monograph.tensor import Tensor, ones_like, where
from monograph.tensor.dispatch import apply


def legacy_reduction(size_average: Any, reduce: Any) -> str:
    """The reduction that torch's old arguments stand for, with its warning."""
    size_average = True if size_average is None else size_average
    reduce = True if reduce is None else reduce
    result = "mean" if size_average and reduce else "sum" if reduce else "none"
    warnings.warn(f"size_average and reduce args will be deprecated, please use reduction='{result}' instead.", stacklevel=4)
    return result


def _reduction(reduction: str, size_average: Any, reduce: Any) -> str:
    return reduction if size_average is None and reduce is None else legacy_reduction(size_average, reduce)


def reduced(losses: Tensor, reduction: str) -> Tensor:
    """The mean, the sum, or the losses themselves."""
    if reduction == "mean":
        return losses.mean()
    if reduction == "sum":
        return losses.sum()
    if reduction == "none":
        return losses
    raise ArgumentError(f"{reduction} is not a valid value for reduction")


def _given(*tensors: Tensor | None) -> list[Tensor]:
    return [t for t in tensors if t is not None]


def _size_fix(input: Tensor, target: Tensor) -> str:
    """The line that says how the target gets the size of the input, "" where a dimension of one is not all that differs."""
    have, want = tuple(target.shape), tuple(input.shape)
    for d, short, long, verb in (
        *((d, have, want, "unsqueeze") for d in range(len(want))),
        *((d, want, have, "squeeze") for d in range(len(have))),
    ):
        if len(short) + 1 == len(long) and (*short[:d], 1, *short[d:]) == long:
            return f"\n  fix: target.{verb}({d}) has shape {list(want)}"
    return ""


def _alike(name: str, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both in one dtype; warns when their sizes only broadcast."""
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). This will likely "
            f"lead to incorrect results due to broadcasting. Please ensure they have the same size.{_size_fix(input, target)}",
            stacklevel=3,
        )
    if input.dtype is not target.dtype:
        to = promote(input.dtype, target.dtype)
        input, target = input.to(to), target.to(to)
    return input, target


def cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Any = None, ignore_index: int = -100, reduce: Any = None,
    reduction: str = "mean", label_smoothing: float = 0.0,
) -> Tensor:  # fmt: skip
    """-log softmax(input)[target]: input [N, C, ...] or [C] of scores; target of class indices, or of probabilities shaped like input."""
    reduction = _reduction(reduction, size_average, reduce)
    dim = 0 if input.ndim == 1 else 1
    weights = _given(weight)
    if target.dtype.is_floating_point:
        return apply(
            class_ops.cross_entropy_probs, input, target, *weights, dim=dim, label_smoothing=float(label_smoothing), reduction=reduction,
            has_weight=weight is not None,
        )  # fmt: skip
    return apply(
        class_ops.cross_entropy, input, target, *weights, dim=dim, ignore_index=ignore_index, label_smoothing=float(label_smoothing),
        reduction=reduction, has_weight=weight is not None,
    )  # fmt: skip


def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Any = None, ignore_index: int = -100, reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """-input[target]: input [N, C, ...] or [C] of log-probabilities, target of class indices."""
    reduction = _reduction(reduction, size_average, reduce)
    return apply(
        class_ops.nll_loss, input, target, *_given(weight), dim=0 if input.ndim == 1 else 1, ignore_index=ignore_index, label_smoothing=0.0,
        reduction=reduction, has_weight=weight is not None,
    )  # fmt: skip


def mse_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean", weight: Tensor | None = None
) -> Tensor:
    """(input - target)²; with `weight` the weighted mean."""
    reduction = _reduction(reduction, size_average, reduce)
    x, t = _alike("mse_loss", input, target)
    if weight is None:
        return apply(loss_ops.mse_loss, x, t, reduction=reduction)
    return _weighted((x - t) * (x - t), input, weight, reduction)


def l1_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean", weight: Tensor | None = None
) -> Tensor:
    """|input - target|; with `weight` the weighted mean."""
    reduction = _reduction(reduction, size_average, reduce)
    x, t = _alike("l1_loss", input, target)
    if weight is None and x.dtype.kind == "c":
        return reduced((x - t).abs(), reduction)
    if weight is None:
        return apply(loss_ops.l1_loss, x, t, reduction=reduction)
    return _weighted((x - t).abs(), input, weight, reduction)


def _weighted(losses: Tensor, input: Tensor, weight: Tensor, reduction: str) -> Tensor:
    if weight.shape != input.shape:
        raise ArgumentError("Weights and input must have the same size.")
    return (losses * weight).sum() / weight.sum() if reduction == "mean" else reduced(losses * weight, reduction)


def smooth_l1_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """Squared below `beta`, absolute above."""
    reduction = _reduction(reduction, size_average, reduce)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    x, t = _alike("smooth_l1_loss", input, target)
    return apply(loss_ops.smooth_l1_loss, x, t, threshold=float(beta), reduction=reduction)


def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None) -> Tensor:
    """`smooth_l1_loss` times delta."""
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    x, t = _alike("huber_loss", input, target)
    if weight is None:
        return apply(loss_ops.huber_loss, x, t, threshold=float(delta), reduction=reduction)
    if weight.shape != input.shape:
        raise ArgumentError("Weights and input must have the same size.")
    each = apply(loss_ops.huber_loss, x, t, threshold=float(delta), reduction="none")
    return reduced(each * weight, reduction)  # a plain mean, as PyTorch's


def _check_size(input: Tensor, target: Tensor) -> None:
    if target.shape != input.shape:
        raise ArgumentError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is deprecated. "
            f"Please ensure they have the same size.{_size_fix(input, target)}"
        )


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """-(t log x + (1 - t) log(1 - x)) of probabilities x."""
    reduction = _reduction(reduction, size_average, reduce)
    _check_size(input, target)
    return apply(
        loss_ops.bce_loss, input, target, *_given(weight), reduction=reduction, has_weight=weight is not None, has_pos_weight=False
    )


def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Binary cross entropy of sigmoid(input), safe for large scores."""
    reduction = _reduction(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ArgumentError(f"Target size ({target.shape}) must be the same as input size ({input.shape}){_size_fix(input, target)}")
    return apply(
        loss_ops.bce_with_logits, input, target.to(input.dtype), *_given(weight, pos_weight), reduction=reduction,
        has_weight=weight is not None,
        has_pos_weight=pos_weight is not None,
    )  # fmt: skip


def kl_div(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean", log_target: bool = False
) -> Tensor:
    """target * (log target - input), input in log space; `log_target`: target too. "batchmean" divides the sum by the batch size."""
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce)
    elif reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size.'batchmean' divides "
            "only by the batch size, and "
            "aligns with the KL div math definition.'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            stacklevel=2,
        )
    if reduction == "batchmean" and input.ndim == 0:
        reduction = "sum"  # a batch of one
    return apply(loss_ops.kl_div, input, target, log_target=log_target, reduction=reduction)


def poisson_nll_loss(
    input: Tensor, target: Tensor, log_input: bool = True, full: bool = False, size_average: Any = None, eps: float = 1e-8,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """The negative log-likelihood of counts; `full` adds Stirling's approximation of the constant term."""
    reduction = _reduction(reduction, size_average, reduce)
    losses = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        losses = losses + where(target > 1, stirling, 0.0)
    return reduced(losses, reduction)


def gaussian_nll_loss(input: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> Tensor:
    """(log var + (input - target)² / var) / 2, var at least eps."""
    if isinstance(var, float):
        if var < 0:
            raise ArgumentError("var has negative entry/entries")
        var = ones_like(input) * var
    elif bool((var < 0).any()):
        raise ArgumentError("var has negative entry/entries")
    if var.shape != input.shape:
        if tuple(input.shape[:-1]) == tuple(var.shape):
            var = var.unsqueeze(-1)
        elif input.ndim != var.ndim or sum(v for x, v in zip(input.shape, var.shape, strict=True) if x != v) != 1:
            raise ArgumentError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ArgumentError(f"{reduction} is not valid")
    safe = var + (var.clamp(min=eps) - var).detach()
    losses = 0.5 * (safe.log() + (input - target) ** 2 / safe)
    return reduced(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """Binary cross entropy of scores, averaged over the classes (the last dimension)."""
    reduction = _reduction(reduction, size_average, reduce)
    log_p, log_q = _log_sigmoids(input)
    losses = -(target * log_p + (1 - target) * log_q)
    losses = losses if weight is None else losses * weight
    return reduced(losses.mean(-1), reduction)


def _log_sigmoids(input: Tensor) -> tuple[Tensor, Tensor]:
    tail = (-(input.abs())).exp().log1p()
    return input.clamp(max=0) - tail, (-input).clamp(max=0) - tail


def soft_margin_loss(input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> Tensor:
    """log(1 + exp(-target * input)), target 1 or -1."""
    reduction = _reduction(reduction, size_average, reduce)
    return reduced((-target * input).exp().log1p(), reduction)
