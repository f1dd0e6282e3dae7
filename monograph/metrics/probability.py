"""Metrics of probabilities and margins: log loss, Brier score, perplexity, calibration, hinge, divergence."""

from __future__ import annotations

from typing import Any

from monograph.core.dtype import float64, int64
from monograph.metrics.aggregation import Averaging
from monograph.metrics.base import Metric
from monograph.metrics.counting import ByTask
from monograph.metrics.inputs import as_values, check_labels, integers, one_of, pair, positive_int, value_pair
from monograph.metrics.labels import by_class, probabilities
from monograph.metrics.scores import divided
from monograph.metrics.tensors import mt
from monograph.tensor.core import Tensor

TINY = 2.220446049250313e-16  # float64's, which scikit-learn keeps probabilities away from 0 and 1 by


def _shares(scores: Tensor, from_logits: bool | None) -> Tensor:
    """Probabilities of classes [N, C] that sum to 1, from probabilities, or from logits where a value is outside of [0, 1]."""
    as_logits = scores.softmax(-1)
    shares = scores / scores.sum(-1, keepdim=True)
    if from_logits is not None:
        return as_logits if from_logits else shares
    return mt.where(((scores < 0) | (scores > 1)).any(), as_logits, shares)


def _class_pair(metric: str, preds: Any, target: Any, classes: int, ignore_index: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """(scores [N, C] in float64, labels [N], weights [N]: 0 where the label is ignored)."""
    scores, target = by_class(metric, preds, target, classes)
    target = integers(metric, "target", target)
    check_labels(metric, "target", target, classes, ignore_index)
    weight = mt.ones_like(target, dtype=float64) if ignore_index is None else (target != ignore_index).to(float64)
    return scores.to(float64), target if ignore_index is None else target * weight.to(int64), weight


def _binary_pair(metric: str, preds: Any, target: Any, from_logits: bool | None, ignore_index: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """(probabilities, 0 or 1, weights), flat and in float64."""
    preds, target = pair(metric, preds, target)
    target = integers(metric, "target", target.reshape(-1))
    check_labels(metric, "target", target, 2, ignore_index)
    weight = mt.ones_like(target, dtype=float64) if ignore_index is None else (target != ignore_index).to(float64)
    return probabilities(preds.reshape(-1).to(float64), from_logits), target.to(float64) * weight, weight


class BinaryLogLoss(Averaging):
    """The mean of -log(probability of what is true), from probabilities, or from logits (`from_logits`: say so if you know).

    >>> from monograph.metrics import BinaryLogLoss
    >>> round(BinaryLogLoss()(mg.tensor([0.5, 0.25]), mg.tensor([1, 0])).item(), 6)
    0.490415
    """

    higher_is_better = False

    def __init__(self, ignore_index: int | None = None, *, from_logits: bool | None = None) -> None:
        super().__init__()
        self.ignore_index, self.from_logits = ignore_index, from_logits

    def update(self, preds: Any, target: Any) -> None:
        """Both of one shape; `target` is 0 and 1."""
        p, t, weight = _binary_pair("BinaryLogLoss", preds, target, self.from_logits, self.ignore_index)
        p = p.clamp(TINY, 1 - TINY)
        self.add(-(t * p.log() + (1 - t) * (1 - p).log()), weight)


class MulticlassLogLoss(Averaging):
    """The mean of -log(probability of the true class), from probabilities, or from logits (`from_logits`: say so if you know).

    >>> from monograph.metrics import MulticlassLogLoss
    >>> round(MulticlassLogLoss(num_classes=2)(mg.tensor([[0.5, 0.5], [0.75, 0.25]]), mg.tensor([1, 0])).item(), 6)
    0.490415
    """

    higher_is_better = False

    def __init__(self, num_classes: int, ignore_index: int | None = None, *, from_logits: bool | None = None) -> None:
        super().__init__()
        self.num_classes, self.ignore_index = positive_int("MulticlassLogLoss", "num_classes", num_classes, 2), ignore_index
        self.from_logits = from_logits

    def update(self, preds: Any, target: Any) -> None:
        """Scores [N, C, ...] and labels [N, ...]."""
        scores, target, weight = _class_pair("MulticlassLogLoss", preds, target, self.num_classes, self.ignore_index)
        p = _shares(scores, self.from_logits).gather(-1, target.unsqueeze(-1)).squeeze(-1)
        self.add(-p.clamp(TINY, 1 - TINY).log(), weight)


class BrierScore(Averaging):
    """The mean squared error of probabilities of yes.

    >>> from monograph.metrics import BrierScore
    >>> BrierScore()(mg.tensor([0.5, 0.0]), mg.tensor([1, 0])).item()
    0.125
    """

    higher_is_better = False

    def __init__(self, ignore_index: int | None = None, *, from_logits: bool | None = None) -> None:
        super().__init__()
        self.ignore_index, self.from_logits = ignore_index, from_logits

    def update(self, preds: Any, target: Any) -> None:
        """Both of one shape; `target` is 0 and 1."""
        p, t, weight = _binary_pair("BrierScore", preds, target, self.from_logits, self.ignore_index)
        self.add((p - t) ** 2, weight)


class Perplexity(Averaging):
    """exp of the mean of -log(probability of the next token): of how many tokens a language model is unsure.

    >>> from monograph.metrics import Perplexity
    >>> round(Perplexity(ignore_index=-100)(mg.zeros(1, 3, 8), mg.tensor([[1, 7, -100]])).item(), 6)
    8.0
    """

    higher_is_better = False

    def __init__(self, ignore_index: int | None = None) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def update(self, preds: Any, target: Any) -> None:
        """Logits [N, T, vocabulary] and tokens [N, T]."""
        preds, target = as_values(preds), integers("Perplexity", "target", as_values(target))
        if preds.ndim != target.ndim + 1 or preds.shape[:-1] != target.shape:
            raise ValueError(
                "Perplexity: preds are logits [N, T, vocabulary] and target tokens [N, T], got "
                f"{list(preds.shape)} and {list(target.shape)}"
            )
        check_labels("Perplexity", "target", target, preds.shape[-1], self.ignore_index)
        weight = mt.ones_like(target, dtype=float64) if self.ignore_index is None else (target != self.ignore_index).to(float64)
        picked = preds.log_softmax(-1).gather(-1, (target * weight.to(int64)).unsqueeze(-1)).squeeze(-1)
        self.add(-picked, weight)

    def compute(self) -> Tensor:
        """A 0-d tensor."""
        return super().compute().exp()


class KLDivergence(Averaging):
    """The mean over rows of sum p log(p / q). Rows are scaled to sum 1; with `log_prob` they are logarithms, and taken as they are."""

    higher_is_better = False

    def __init__(self, log_prob: bool = False) -> None:
        super().__init__()
        self.log_prob = log_prob

    def update(self, p: Any, q: Any) -> None:
        """Both [N, D]."""
        p, q = value_pair("KLDivergence", p, q)
        if p.ndim != 2:
            raise ValueError(f"KLDivergence: p and q are distributions in rows [N, D], got {list(p.shape)}")
        if self.log_prob:
            self.add((p.exp() * (p - q)).sum(-1))
            return
        p, q = p / p.sum(-1, keepdim=True), q / q.sum(-1, keepdim=True)
        ratio = mt.where(p > 0, p, 1.0).log() - q.clamp(min=TINY).log()
        self.add((p * ratio).sum(-1))


class Calibration(Metric):
    """The state `bins` [3, n_bins]: how many predictions have a confidence in each bin, its sum, and how many are right."""

    higher_is_better = False

    def _keep(self, n_bins: int, norm: str, ignore_index: int | None) -> None:
        name = type(self).__name__
        self.n_bins, self.norm = positive_int(name, "n_bins", n_bins), one_of(name, "norm", norm, ("l1", "l2", "max"))
        self.ignore_index = ignore_index
        self.add_state("bins", mt.zeros((3, n_bins), dtype=float64))

    def _count(self, confidence: Tensor, right: Tensor, weight: Tensor) -> None:
        place = (confidence * self.n_bins).floor().clamp(0, self.n_bins - 1).to(int64)
        rows = [mt.zeros(self.n_bins, dtype=float64).index_add(0, place, w) for w in (weight, confidence * weight, right * weight)]
        self.bins.add_(mt.stack(rows))

    def compute(self) -> Tensor:
        """A 0-d tensor; NaN before the first sample."""
        count, confidence, right = (self.bins[i] for i in range(3))
        gaps = (divided(confidence, count) - divided(right, count)).abs()
        shares = count / count.sum()
        if self.norm == "max":
            return mt.where(count.sum() > 0, gaps.max(), float("nan"))
        return (shares * gaps).sum() if self.norm == "l1" else (shares * gaps**2).sum().sqrt()


class BinaryCalibrationError(Calibration):
    """By how much the probability of yes differs from how often it is yes, in the mean over bins of probability.

    `norm` is "l1" for the mean gap (expected calibration error), "l2" for its root mean square, "max" for the greatest.
    """

    def __init__(self, n_bins: int = 15, norm: str = "l1", ignore_index: int | None = None, *, from_logits: bool | None = None) -> None:
        super().__init__()
        self.from_logits = from_logits
        self._keep(n_bins, norm, ignore_index)

    def update(self, preds: Any, target: Any) -> None:
        """Both of one shape; `target` is 0 and 1."""
        self._count(*_binary_pair("BinaryCalibrationError", preds, target, self.from_logits, self.ignore_index))


class MulticlassCalibrationError(Calibration):
    """By how much the probability of the first choice differs from how often it is right.

    >>> from monograph.metrics import MulticlassCalibrationError
    >>> preds, target = mg.tensor([[0.25, 0.20, 0.55], [0.55, 0.05, 0.40], [0.10, 0.30, 0.60], [0.90, 0.05, 0.05]]), mg.tensor([0, 1, 2, 0])
    >>> round(MulticlassCalibrationError(num_classes=3, n_bins=3)(preds, target).item(), 4)
    0.2
    """

    def __init__(
        self, num_classes: int, n_bins: int = 15, norm: str = "l1", ignore_index: int | None = None, *, from_logits: bool | None = None
    ) -> None:
        super().__init__()
        self.num_classes, self.from_logits = positive_int("MulticlassCalibrationError", "num_classes", num_classes, 2), from_logits
        self._keep(n_bins, norm, ignore_index)

    def update(self, preds: Any, target: Any) -> None:
        """Scores [N, C, ...] and labels [N, ...]."""
        scores, target, weight = _class_pair("MulticlassCalibrationError", preds, target, self.num_classes, self.ignore_index)
        found = _shares(scores, self.from_logits).max(-1)
        self._count(found.values, (found.indices == target).to(float64), weight)


class BinaryHingeLoss(Averaging):
    """The mean of max(0, 1 - margin), the margin being the score, with its sign turned for no. `squared` squares each.

    Scores are decision values as they come, not turned into probabilities: scikit-learn's and Keras's meaning.

    >>> from monograph.metrics import BinaryHingeLoss
    >>> BinaryHingeLoss()(mg.tensor([2.0, 0.5, -0.5]), mg.tensor([1, 1, 0])).item()
    0.3333333333333333
    """

    higher_is_better = False

    def __init__(self, squared: bool = False) -> None:
        super().__init__()
        self.squared = squared

    def update(self, preds: Any, target: Any) -> None:
        """Both of one shape; `target` is 0 (or -1) and 1."""
        preds, target = value_pair("BinaryHingeLoss", preds, target)
        loss = (1 - mt.where(target > 0, preds, -preds)).clamp(min=0.0)
        self.add(loss**2 if self.squared else loss)


class MulticlassHingeLoss(Averaging):
    """The mean of max(0, 1 - margin), the margin being the score of the true class above the best other one (Crammer and Singer).

    >>> from monograph.metrics import MulticlassHingeLoss
    >>> MulticlassHingeLoss(num_classes=3)(mg.tensor([[2.0, 0.5, 0.0], [0.0, 1.0, 0.5]]), mg.tensor([0, 1])).item()
    0.25
    """

    higher_is_better = False

    def __init__(self, num_classes: int, squared: bool = False, ignore_index: int | None = None) -> None:
        super().__init__()
        self.num_classes, self.squared, self.ignore_index = num_classes, squared, ignore_index

    def update(self, preds: Any, target: Any) -> None:
        """Scores [N, C, ...] and labels [N, ...]."""
        scores, target, weight = _class_pair("MulticlassHingeLoss", preds, target, self.num_classes, self.ignore_index)
        true = target.unsqueeze(-1) == mt.arange(self.num_classes)
        own, best = mt.where(true, scores, 0.0).sum(-1), mt.where(true, float("-inf"), scores).amax(-1)
        loss = (1 - (own - best)).clamp(min=0.0)
        self.add(loss**2 if self.squared else loss, weight)


LogLoss = ByTask("LogLoss", BinaryLogLoss, MulticlassLogLoss)
CalibrationError = ByTask("CalibrationError", BinaryCalibrationError, MulticlassCalibrationError)
HingeLoss = ByTask("HingeLoss", BinaryHingeLoss, MulticlassHingeLoss)
