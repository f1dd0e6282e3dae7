"""Outputs of classifiers as labels: from probabilities, logits or labels, of two classes, of many, or of many yes-or-no questions.

Everything here is part of a compiled step: nothing depends on values, except for checks, which are made where values are there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from monograph.core.dtype import bool_ as boolean
from monograph.core.dtype import int64
from monograph.metrics.inputs import as_tensor, check_labels, integers, pair
from monograph.metrics.tensors import mt
from monograph.tensor.core import Tensor


class Labelled(NamedTuple):
    """Predicted and true labels of one shape, and which of them count."""

    preds: Tensor
    target: Tensor
    counts: Tensor


def _kept(target: Tensor, ignore_index: int | None) -> tuple[Tensor, Tensor]:
    """(target with a 0 where it is ignored, where it is not)."""
    if ignore_index is None:
        return target, mt.ones_like(target, dtype=boolean)
    counts = target != ignore_index
    return mt.where(counts, target, mt.zeros_like(target)), counts


def probabilities(preds: Tensor, from_logits: bool | None = None) -> Tensor:
    """Probabilities of yes. With `from_logits=None` a batch with a value outside of [0, 1] is one of logits, as in torchmetrics."""
    if from_logits is None:
        outside = ((preds < 0) | (preds > 1)).any()
        return mt.where(outside, preds.sigmoid(), preds)
    return preds.sigmoid() if from_logits else preds


def yes_or_no(
    metric: str, preds: Any, target: Any, threshold: float, ignore_index: int | None, from_logits: bool | None = None
) -> Labelled:
    """Labels 0 and 1 of any shape, from labels, probabilities or logits of the same shape."""
    preds, target = pair(metric, preds, target)
    target = integers(metric, "target", target)
    check_labels(metric, "target", target, 2, ignore_index)
    if preds.is_floating_point():
        preds = (probabilities(preds, from_logits) > threshold).to(int64)
    else:
        preds = preds.to(int64)
        check_labels(metric, "preds", preds, 2)
    return Labelled(preds, *_kept(target, ignore_index))


def by_class(metric: str, preds: Any, target: Any, num_classes: int) -> tuple[Tensor, Tensor]:
    """(scores [N, C], labels [N]) of scores [N, C, ...] and labels [N, ...]. ValueError for other shapes."""
    preds, target = as_tensor(preds), as_tensor(target)
    if preds.ndim != target.ndim + 1 or preds.shape[:1] != target.shape[:1] or preds.shape[2:] != target.shape[1:]:
        raise ValueError(
            f"{metric}: preds are scores of shape [N, {num_classes}, ...] and target labels of shape [N, ...], got {list(preds.shape)} and "
            f"{list(target.shape)}"
            + (": for a target of one-hot rows use target.argmax(1)" if preds.shape == target.shape and preds.ndim > 1 else "")
        )
    if preds.shape[1] != num_classes:
        raise ValueError(f"{metric}: num_classes is {num_classes}, but preds of shape {list(preds.shape)} have {preds.shape[1]} classes")
    return preds.movedim(1, -1).reshape(-1, num_classes), target.reshape(-1)


def one_of_many(metric: str, preds: Any, target: Any, num_classes: int, top_k: int, ignore_index: int | None) -> Labelled:
    """Labels [N] of many classes. A sample whose class is among the top k counts as predicted right, others as their first choice."""
    preds, target = as_tensor(preds), as_tensor(target)
    if preds.ndim == target.ndim and not preds.is_floating_point():
        preds, target = (t.reshape(-1) for t in pair(metric, preds, target))
        target = integers(metric, "target", target)
        if top_k != 1:
            raise ValueError(f"{metric}: top_k={top_k} needs scores of all classes as preds, got labels")
        labels = preds.to(int64)
        check_labels(metric, "preds", labels, num_classes, ignore_index)
    else:
        scores, target = by_class(metric, preds, target, num_classes)
        target = integers(metric, "target", target)
        if top_k == 1:
            labels = scores.argmax(-1)
        else:
            top = scores.topk(top_k, -1).indices
            labels = mt.where((top == target.unsqueeze(-1)).any(-1), target, top[:, 0])
    check_labels(metric, "target", target, num_classes, ignore_index)
    return Labelled(labels, *_kept(target, ignore_index))


def many_questions(
    metric: str, preds: Any, target: Any, num_labels: int, threshold: float, ignore_index: int | None, from_logits: bool | None = None
) -> Labelled:
    """Labels 0 and 1 of shape [N, L] from preds and target of shape [N, L, ...]."""
    found = yes_or_no(metric, preds, target, threshold, ignore_index, from_logits)
    return Labelled(*(columns(metric, t, num_labels) for t in found))


def columns(metric: str, given: Tensor, num_labels: int) -> Tensor:
    """[N, L, ...] as [N, L]."""
    if given.ndim < 2 or given.shape[1] != num_labels:
        raise ValueError(f"{metric}: num_labels is {num_labels}, so preds and target are [N, {num_labels}, ...]; got {list(given.shape)}")
    return given.movedim(1, -1).reshape(-1, num_labels)
