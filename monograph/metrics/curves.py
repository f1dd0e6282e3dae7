"""ROC and precision-recall curves, AUROC and average precision.

Exact with `thresholds=None`: scores are kept until `compute`. With `thresholds=200` (or a list) only counts at these thresholds are: a
state of fixed size that a compiled step can update, whose areas are right up to the width of a bin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from monograph.core.dtype import bool_ as boolean
from monograph.core.dtype import float64, int64
from monograph.metrics.base import Metric
from monograph.metrics.counting import ByTask
from monograph.metrics.curve_points import Array, Found, auroc, average_precision, exact, precision_recall, roc
from monograph.metrics.inputs import as_tensor, check_labels, integers, one_of, pair, positive_int
from monograph.metrics.labels import by_class, columns, probabilities
from monograph.metrics.tensors import mt
from monograph.tensor.core import Tensor
from monograph.tensor.creation import tensor

Thresholds = int | list[float] | tuple[float, ...] | Tensor | None


def _falling(metric: str, thresholds: Thresholds) -> Tensor | None:
    if thresholds is None:
        return None
    if isinstance(thresholds, int):
        return tensor(np.linspace(1.0, 0.0, positive_int(metric, "thresholds", thresholds, 2)))
    values = np.sort(np.asarray(thresholds, np.float64))[::-1].copy()
    if values.ndim != 1 or not len(values) or values.min() < 0 or values.max() > 1:
        raise ValueError(f"{metric}: thresholds are None, a number of them, or values from 0 to 1; got {thresholds!r}")
    return tensor(values)


class Curve(Metric):
    """What all curves share. `columns` is the number of classes or labels, each of which has a curve."""

    higher_is_better: bool | None = None

    def _keep(self, count: int, thresholds: Thresholds, ignore_index: int | None) -> None:
        self.columns, self.ignore_index = count, ignore_index
        found = _falling(type(self).__name__, thresholds)
        if found is None:
            self.thresholds: Any = None
            for name in ("preds", "target", "counted"):
                self.add_state(name, [])
        else:
            self.register_buffer("thresholds", found, persistent=False)
            self.add_state("above", mt.zeros((2, len(found), count), dtype=int64))  # true and false positives
            self.add_state("totals", mt.zeros((2, count), dtype=int64))

    def _take(self, scores: Tensor, positive: Tensor, counted: Tensor) -> None:
        """Scores [N, K] float, whether each is positive, and whether it counts."""
        if self.thresholds is None:
            self.preds.append(scores.to(float64).clone())
            self.target.append(positive.clone())
            self.counted.append(counted.clone())
            return
        kinds = [positive & counted, ~positive & counted]
        at_least = scores.to(float64).unsqueeze(0) >= self.thresholds.reshape(-1, 1, 1)
        self.above.add_(mt.stack([(at_least & kind).sum(1) for kind in kinds]))
        self.totals.add_(mt.stack([kind.sum(0) for kind in kinds]))

    def _found(self, column: int | None) -> Found | None:
        """The counts of one column, or of all together; None where a score is NaN."""
        take: Callable[[Any], Any] = (lambda a: a.reshape(-1)) if column is None else (lambda a: a[:, column])
        if self.thresholds is None:
            if not self.preds:
                return exact(np.empty(0), np.empty(0))
            kept = take(mt.cat(self.counted).numpy())
            scores, target = take(mt.cat(self.preds).numpy())[kept], take(mt.cat(self.target).numpy())[kept]
            return None if np.isnan(scores).any() else exact(scores, target.astype(np.float64))
        above, totals = self.above.numpy().astype(np.float64), self.totals.numpy()
        tp, fp = (a.sum(1) if column is None else a[:, column] for a in above)
        positives, negatives = (float(t.sum() if column is None else t[column]) for t in totals)
        return Found(tp, fp, self.thresholds.numpy(), positives, negatives)

    def _value(self, column: int | None, of: Callable[[Found], float]) -> float:
        found = self._found(column)
        return float("nan") if found is None else of(found)

    def _support(self) -> Array:
        if self.thresholds is not None:
            return self.totals.numpy()[0].astype(np.float64)
        if not self.target:
            return np.zeros(self.columns)
        return (mt.cat(self.target) & mt.cat(self.counted)).numpy().sum(0).astype(np.float64)


class BinaryCurve(Curve):
    """Two classes: `preds` are scores of any kind, the higher the likelier; with thresholds, probabilities or logits (a batch with a
    value outside of [0, 1])."""

    def __init__(self, thresholds: Thresholds = None, ignore_index: int | None = None) -> None:
        super().__init__()
        self._keep(1, thresholds, ignore_index)

    def update(self, preds: Any, target: Any) -> None:
        """Both of one shape; `target` is 0 and 1."""
        name = type(self).__name__
        preds, target = pair(name, preds, target)
        target = integers(name, "target", target)
        check_labels(name, "target", target, 2, self.ignore_index)
        preds = preds if preds.is_floating_point() else preds.to(float64)
        counted = mt.ones_like(target, dtype=boolean) if self.ignore_index is None else target != self.ignore_index
        scores = preds if self.thresholds is None else probabilities(preds)
        self._take(scores.reshape(-1, 1), (target == 1).reshape(-1, 1), counted.reshape(-1, 1))


class MulticlassCurve(Curve):
    """Each class against all others: `preds` are probabilities or logits [N, C, ...], `target` labels."""

    def __init__(self, num_classes: int, thresholds: Thresholds = None, ignore_index: int | None = None) -> None:
        super().__init__()
        self._keep(positive_int(type(self).__name__, "num_classes", num_classes, 2), thresholds, ignore_index)

    def update(self, preds: Any, target: Any) -> None:
        """Scores [N, C, ...] and labels [N, ...]."""
        name = type(self).__name__
        scores, target = by_class(name, preds, target, self.columns)
        target = integers(name, "target", target)
        check_labels(name, "target", target, self.columns, self.ignore_index)
        outside = ((scores < 0) | (scores > 1)).any()
        scores = mt.where(outside, scores.softmax(-1), scores)
        positive = target.unsqueeze(-1) == mt.arange(self.columns)
        counted = mt.ones_like(target, dtype=boolean) if self.ignore_index is None else target != self.ignore_index
        self._take(scores, positive, counted.unsqueeze(-1).expand(positive.shape))


class MultilabelCurve(Curve):
    """Yes-or-no questions, each with a curve: both [N, L, ...]."""

    def __init__(self, num_labels: int, thresholds: Thresholds = None, ignore_index: int | None = None) -> None:
        super().__init__()
        self._keep(positive_int(type(self).__name__, "num_labels", num_labels), thresholds, ignore_index)

    def update(self, preds: Any, target: Any) -> None:
        """Both [N, L, ...]; `target` is 0 and 1."""
        name = type(self).__name__
        preds, target = pair(name, preds, target)
        scores, target = columns(name, preds, self.columns), integers(name, "target", columns(name, target, self.columns))
        check_labels(name, "target", target, 2, self.ignore_index)
        scores = scores if self.thresholds is None else probabilities(scores)
        positive = target == 1
        self._take(scores, positive, mt.ones_like(positive) if self.ignore_index is None else target != self.ignore_index)


def _averaged(curve: Curve, average: str | None, of: Callable[[Found], float]) -> Tensor:
    """One value for each column, or their mean over those that have one."""
    if average == "micro":
        return tensor(curve._value(None, of), dtype=float64)
    values = np.array([curve._value(k, of) for k in range(curve.columns)])
    if average in (None, "none"):
        return tensor(values)
    weights = curve._support() if average == "weighted" else np.ones(curve.columns)
    kept = ~np.isnan(values)
    total = weights[kept].sum()
    return tensor(float((values[kept] * weights[kept]).sum() / total) if total else float("nan"), dtype=float64)


class BinaryAUROC(BinaryCurve):
    """The area under the ROC curve: how likely a positive has a higher score than a negative. NaN where one of the classes is missing.

    `max_fpr` measures up to this false positive rate only, as scikit-learn does.

    >>> from monograph.metrics import BinaryAUROC
    >>> BinaryAUROC()(mg.tensor([0.1, 0.4, 0.35, 0.8]), mg.tensor([0, 0, 1, 1])).item()
    0.75
    """

    higher_is_better = True

    def __init__(self, max_fpr: float | None = None, thresholds: Thresholds = None, ignore_index: int | None = None) -> None:
        super().__init__(thresholds, ignore_index)
        if max_fpr is not None and not 0 < max_fpr <= 1:
            raise ValueError(f"BinaryAUROC: max_fpr must be above 0 and at most 1, got {max_fpr}")
        self.max_fpr = max_fpr

    def compute(self) -> Tensor:
        """A 0-d tensor."""
        return tensor(self._value(0, lambda found: auroc(found, self.max_fpr)), dtype=float64)


class MulticlassAUROC(MulticlassCurve):
    """The area of each class against all others; "macro" is the mean over the classes that have one.

    >>> from monograph.metrics import MulticlassAUROC
    >>> preds = mg.tensor([[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5]])
    >>> MulticlassAUROC(num_classes=3, average="none")(preds, mg.tensor([0, 1, 1, 2])).tolist()
    [1.0, 0.875, 1.0]
    """

    higher_is_better = True

    def __init__(
        self, num_classes: int, average: str | None = "macro", thresholds: Thresholds = None, ignore_index: int | None = None
    ) -> None:
        super().__init__(num_classes, thresholds, ignore_index)
        self.average = one_of(type(self).__name__, "average", average, ("macro", "weighted", "none", None))

    def compute(self) -> Tensor:
        """A 0-d tensor; [C] with average="none"."""
        return _averaged(self, self.average, auroc)


class MultilabelAUROC(MultilabelCurve):
    """The area of each label; "micro" takes all labels as one question."""

    higher_is_better = True

    def __init__(
        self, num_labels: int, average: str | None = "macro", thresholds: Thresholds = None, ignore_index: int | None = None
    ) -> None:
        super().__init__(num_labels, thresholds, ignore_index)
        self.average = one_of(type(self).__name__, "average", average, ("micro", "macro", "weighted", "none", None))

    def compute(self) -> Tensor:
        """A 0-d tensor; [L] with average="none"."""
        return _averaged(self, self.average, auroc)


class BinaryAveragePrecision(BinaryCurve):
    """The mean precision over all recalls: scikit-learn's average_precision_score. NaN without positives.

    >>> from monograph.metrics import BinaryAveragePrecision
    >>> round(BinaryAveragePrecision()(mg.tensor([0.1, 0.4, 0.35, 0.8]), mg.tensor([0, 0, 1, 1])).item(), 6)
    0.833333
    """

    higher_is_better = True

    def compute(self) -> Tensor:
        """A 0-d tensor."""
        return tensor(self._value(0, average_precision), dtype=float64)


class MulticlassAveragePrecision(MulticlassCurve):
    """The average precision of each class against all others."""

    higher_is_better = True

    def __init__(
        self, num_classes: int, average: str | None = "macro", thresholds: Thresholds = None, ignore_index: int | None = None
    ) -> None:
        super().__init__(num_classes, thresholds, ignore_index)
        self.average = one_of(type(self).__name__, "average", average, ("macro", "weighted", "none", None))

    def compute(self) -> Tensor:
        """A 0-d tensor; [C] with average="none"."""
        return _averaged(self, self.average, average_precision)


class MultilabelAveragePrecision(MultilabelCurve):
    """The average precision of each label; "micro" takes all labels as one question."""

    higher_is_better = True

    def __init__(
        self, num_labels: int, average: str | None = "macro", thresholds: Thresholds = None, ignore_index: int | None = None
    ) -> None:
        super().__init__(num_labels, thresholds, ignore_index)
        self.average = one_of(type(self).__name__, "average", average, ("micro", "macro", "weighted", "none", None))

    def compute(self) -> Tensor:
        """A 0-d tensor; [L] with average="none"."""
        return _averaged(self, self.average, average_precision)


def _points(curve: Curve, of: Callable[[Found], tuple[Array, Array, Array]]) -> list[tuple[Tensor, ...]]:
    """The points of each column."""
    nothing = (np.full(1, np.nan),) * 3
    founds = [curve._found(k) for k in range(curve.columns)]
    return [tuple(tensor(a.astype(np.float64)) for a in (nothing if found is None else of(found))) for found in founds]


class BinaryROC(BinaryCurve):
    """(false positive rates, true positive rates, thresholds), thresholds falling from inf.

    >>> from monograph.metrics import BinaryROC
    >>> fpr, tpr, thresholds = BinaryROC()(mg.tensor([0.1, 0.4, 0.35, 0.8]), mg.tensor([0, 0, 1, 1]))
    >>> fpr.tolist(), tpr.tolist()
    ([0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0])
    """

    def compute(self) -> tuple[Tensor, ...]:
        """Three tensors [T]."""
        return _points(self, roc)[0]


class MulticlassROC(MulticlassCurve):
    """Lists of false positive rates, true positive rates and thresholds, one for each class."""

    def compute(self) -> tuple[list[Tensor], ...]:
        """Three lists of C tensors."""
        return tuple(list(column) for column in zip(*_points(self, roc), strict=True))


class BinaryPrecisionRecallCurve(BinaryCurve):
    """(precisions, recalls, thresholds) as scikit-learn's precision_recall_curve gives them.

    >>> from monograph.metrics import BinaryPrecisionRecallCurve
    >>> precision, recall, _ = BinaryPrecisionRecallCurve()(mg.tensor([0.1, 0.4, 0.8]), mg.tensor([0, 0, 1]))
    >>> recall.tolist()
    [1.0, 1.0, 1.0, 0.0]
    """

    def compute(self) -> tuple[Tensor, ...]:
        """Tensors [T + 1], [T + 1] and [T]."""
        return _points(self, precision_recall)[0]


class MulticlassPrecisionRecallCurve(MulticlassCurve):
    """Lists of precisions, recalls and thresholds, one for each class."""

    def compute(self) -> tuple[list[Tensor], ...]:
        """Three lists of C tensors."""
        return tuple(list(column) for column in zip(*_points(self, precision_recall), strict=True))


class AUC(Metric):
    """The area under a curve of points (x, y), x rising or falling, by trapezoids: `update(x, y)` collects points.

    >>> from monograph.metrics import AUC
    >>> AUC()(mg.tensor([0.0, 1.0, 2.0]), mg.tensor([0.0, 1.0, 1.0])).item()
    1.5
    """

    def __init__(self) -> None:
        super().__init__()
        self.add_state("x", [])
        self.add_state("y", [])

    def update(self, preds: Any, target: Any) -> None:
        """x and y of one shape."""
        x, y = pair("AUC", as_tensor(preds), as_tensor(target))
        self.x.append(x.reshape(-1).to(float64).clone())
        self.y.append(y.reshape(-1).to(float64).clone())

    def compute(self) -> Tensor:
        """A 0-d tensor. ValueError where x goes up and down."""
        x, y = (mt.cat(t).numpy() if t else np.empty(0) for t in (self.x, self.y))
        steps = np.diff(x)
        if (steps < 0).any() and (steps > 0).any():
            raise ValueError("AUC: x must only rise or only fall; it goes up and down. Sort the points by x")
        return tensor(float((steps * (y[1:] + y[:-1])).sum() / 2) * (-1 if (steps < 0).any() else 1), dtype=float64)


AUROC = ByTask("AUROC", BinaryAUROC, MulticlassAUROC, MultilabelAUROC)
AveragePrecision = ByTask("AveragePrecision", BinaryAveragePrecision, MulticlassAveragePrecision, MultilabelAveragePrecision)
ROC = ByTask("ROC", BinaryROC, MulticlassROC)
PrecisionRecallCurve = ByTask("PrecisionRecallCurve", BinaryPrecisionRecallCurve, MulticlassPrecisionRecallCurve)
