"""The points of ROC and precision-recall curves, and areas under them, from scores and labels or from counts at thresholds; in NumPy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Found(NamedTuple):
    """What is found at falling thresholds: true positives, false positives, and of how many; None where scores are NaN."""

    tp: Array
    fp: Array
    thresholds: Array
    positives: float
    negatives: float


def exact(scores: Array, target: Array) -> Found:
    """At every distinct score."""
    order = np.argsort(-scores, kind="stable")
    scores, target = scores[order], target[order]
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1) if len(scores) else np.empty(0, np.int64)
    tp = np.cumsum(target)[last].astype(np.float64)
    return Found(tp, last + 1.0 - tp, scores[last], float(target.sum()), float(len(target) - target.sum()))


def shares(parts: Array, whole: float) -> Array:
    """parts / whole; NaN of nothing."""
    return parts / whole if whole else np.full_like(parts, np.nan)


def roc(found: Found) -> tuple[Array, Array, Array]:
    """(false positive rates, true positive rates, thresholds), both rates from 0; NaN where one class is missing."""
    zero = np.zeros(1)
    fpr, tpr = shares(np.append(zero, found.fp), found.negatives), shares(np.append(zero, found.tp), found.positives)
    return fpr, tpr, np.append(np.inf, found.thresholds)


def precision_recall(found: Found) -> tuple[Array, Array, Array]:
    """(precisions, recalls, thresholds): thresholds rise, recall falls to the last point, precision 1 at recall 0, as scikit-learn's."""
    said = found.tp + found.fp
    precision = np.divide(found.tp, said, out=np.ones_like(said), where=said > 0)
    recall = shares(found.tp, found.positives)
    return np.append(precision[::-1], 1.0), np.append(recall[::-1], 0.0), found.thresholds[::-1].copy()


def area(x: Array, y: Array) -> float:
    """By trapezoids; x rises."""
    return float(((x[1:] - x[:-1]) * (y[1:] + y[:-1])).sum() / 2)


def auroc(found: Found, max_fpr: float | None = None) -> float:
    """The area under the ROC curve, up to `max_fpr` only and scaled so that 0.5 is chance (McClish). NaN where a class is missing."""
    fpr, tpr, _ = roc(found)
    if max_fpr is None or max_fpr == 1.0 or not (found.positives and found.negatives):
        return area(fpr, tpr) if found.positives and found.negatives else float("nan")
    stop = int(np.searchsorted(fpr, max_fpr, "right"))
    share = (max_fpr - fpr[stop - 1]) / (fpr[stop] - fpr[stop - 1])
    partial = area(np.append(fpr[:stop], max_fpr), np.append(tpr[:stop], tpr[stop - 1] + share * (tpr[stop] - tpr[stop - 1])))
    least = max_fpr**2 / 2
    return 0.5 * (1 + (partial - least) / (max_fpr - least))


def average_precision(found: Found) -> float:
    """The mean precision over steps of recall; NaN without positives."""
    if not found.positives:
        return float("nan")
    precision, recall, _ = precision_recall(found)
    return float(-np.sum(np.diff(recall) * precision[:-1]))
