"""Scores as parts of counts: each is a ratio of sums of true and false positives and negatives, and averages over classes in one way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.core.dtype import float64
from monograph.metrics.inputs import one_of
from monograph.metrics.tensors import mt
from monograph.tensor.core import Tensor

AVERAGES = ("micro", "macro", "weighted", "none", None)
# (true positives, false positives, true negatives, false negatives) -> (numerator, denominator)
Parts = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def right(tp: Tensor, fp: Tensor, tn: Tensor, fn: Tensor) -> tuple[Tensor, Tensor]:
    """Right answers, yes and no."""
    return tp + tn, tp + fp + tn + fn


def wrong(tp: Tensor, fp: Tensor, tn: Tensor, fn: Tensor) -> tuple[Tensor, Tensor]:
    """Wrong answers, yes and no."""
    return fp + fn, tp + fp + tn + fn


def found(tp: Tensor, fp: Tensor, tn: Tensor, fn: Tensor) -> tuple[Tensor, Tensor]:
    """Recall: found among what there is."""
    return tp, tp + fn


def missed(tp: Tensor, fp: Tensor, tn: Tensor, fn: Tensor) -> tuple[Tensor, Tensor]:
    """What recall lacks to 1."""
    return fn, tp + fn


def precise(tp: Tensor, fp: Tensor, tn: Tensor, fn: Tensor) -> tuple[Tensor, Tensor]:
    """Precision: right among what was found."""
    return tp, tp + fp


def specific(tp: Tensor, fp: Tensor, tn: Tensor, fn: Tensor) -> tuple[Tensor, Tensor]:
    """Specificity: the recall of no."""
    return tn, tn + fp


def negative_precise(tp: Tensor, fp: Tensor, tn: Tensor, fn: Tensor) -> tuple[Tensor, Tensor]:
    """Negative predictive value: the precision of no."""
    return tn, tn + fn


def overlapping(tp: Tensor, fp: Tensor, tn: Tensor, fn: Tensor) -> tuple[Tensor, Tensor]:
    """Jaccard index: intersection over union."""
    return tp, tp + fp + fn


def f_beta(beta: float) -> Parts:
    """Precision and recall in one, recall `beta` times as important."""
    square = float(beta) ** 2
    return lambda tp, fp, tn, fn: ((1 + square) * tp, (1 + square) * tp + square * fn + fp)


f_one = f_beta(1.0)


def divided(above: Tensor, below: Tensor, zero_division: float = 0.0) -> Tensor:
    """above / below in float64, and `zero_division` where there is nothing to divide by."""
    above, below = above.to(float64), below.to(float64)
    nothing = below == 0
    return mt.where(nothing, mt.full_like(below, zero_division), above / mt.where(nothing, mt.ones_like(below), below))


def averaged(
    counts: Tensor, parts: Parts, average: str | None, zero_division: float, every_class: bool, left_out: int | None = None
) -> Tensor:
    """The score of counts [4] or [4, C]. A class that is neither in preds nor in target is no part of a macro average, as in
    scikit-learn, unless `every_class`; nor is the class `left_out`."""
    if average == "micro" and counts.ndim == 2:
        counts = counts.sum(1)
    tp, fp, tn, fn = (counts[i] for i in range(4))
    score = divided(*parts(tp, fp, tn, fn), zero_division)
    if score.ndim == 0 or average in (None, "none"):
        return score
    weights = (tp + fn).to(float64) if average == "weighted" else mt.ones_like(score) if every_class else (tp + fp + fn > 0).to(float64)
    if left_out is not None and 0 <= left_out < weights.shape[0]:
        weights = weights.clone()
        weights[left_out] = 0.0
    return divided((weights * score).sum(), weights.sum())


def check_average(metric: str, average: Any) -> str | None:
    """ValueError for an average that there is not."""
    return one_of(metric, "average", average, AVERAGES)  # type: ignore[no-any-return]
