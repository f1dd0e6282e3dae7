"""Accuracy and its kin: right answers among all, of one class, of one label."""

from __future__ import annotations

from typing import Any

from monograph.metrics.aggregation import Averaging
from monograph.metrics.counting import BinaryCounts, ByTask, MulticlassCounts, MultilabelCounts
from monograph.metrics.inputs import positive_int
from monograph.metrics.labels import many_questions, one_of_many
from monograph.metrics.scores import divided, found, missed, right, wrong
from monograph.tensor.core import Tensor


class BinaryAccuracy(BinaryCounts):
    """Right answers among all.

    >>> from monograph.metrics import BinaryAccuracy
    >>> BinaryAccuracy()(mg.tensor([0.9, 0.2, 0.6]), mg.tensor([1, 0, 0])).item()
    0.6666666666666666
    """

    parts = staticmethod(right)


class MulticlassAccuracy(MulticlassCounts):
    """Right answers among all with average="micro"; with "macro" the mean over the classes of how much of each is found.

    >>> from monograph.metrics import MulticlassAccuracy
    >>> preds, target = mg.tensor([[0.9, 0.1, 0.0], [0.2, 0.5, 0.3], [0.1, 0.6, 0.3], [0.7, 0.2, 0.1]]), mg.tensor([0, 1, 2, 0])
    >>> MulticlassAccuracy(num_classes=3, average="micro")(preds, target).item()
    0.75
    >>> MulticlassAccuracy(num_classes=3, average="none")(preds, target).tolist()
    [1.0, 1.0, 0.0]
    >>> MulticlassAccuracy(num_classes=3, average="micro", top_k=2)(preds, target).item()
    1.0
    """

    parts = staticmethod(found)


class MultilabelAccuracy(MultilabelCounts):
    """Right answers among all, label by label.

    >>> from monograph.metrics import MultilabelAccuracy
    >>> MultilabelAccuracy(num_labels=2, average="none")(mg.tensor([[0.9, 0.8], [0.1, 0.7]]), mg.tensor([[1, 0], [0, 1]])).tolist()
    [1.0, 0.5]
    """

    parts = staticmethod(right)


class BinaryHammingDistance(BinaryCounts):
    """Wrong answers among all: 1 - accuracy."""

    higher_is_better = False
    parts = staticmethod(wrong)


class MulticlassHammingDistance(MulticlassCounts):
    """1 - accuracy."""

    higher_is_better = False
    parts = staticmethod(missed)


class MultilabelHammingDistance(MultilabelCounts):
    """Wrong answers among all: scikit-learn's hamming_loss.

    >>> from monograph.metrics import MultilabelHammingDistance
    >>> MultilabelHammingDistance(num_labels=2)(mg.tensor([[1, 1], [0, 1]]), mg.tensor([[1, 0], [0, 1]])).item()
    0.25
    """

    higher_is_better = False
    parts = staticmethod(wrong)


class BalancedAccuracy(MulticlassCounts):
    """The mean over the classes that there are of how much of each is found; with `adjusted` 0 for guesses and 1 for no mistake.

    >>> from monograph.metrics import BalancedAccuracy
    >>> BalancedAccuracy(num_classes=3)(mg.tensor([0, 1, 1, 0]), mg.tensor([0, 1, 0, 0])).item()
    0.8333333333333333
    """

    parts = staticmethod(found)

    def __init__(self, num_classes: int, top_k: int = 1, ignore_index: int | None = None, *, adjusted: bool = False) -> None:
        super().__init__(num_classes, top_k, "macro", ignore_index)
        self.adjusted = adjusted

    def compute(self) -> Tensor:
        """A 0-d tensor; 0 before the first sample."""
        tp, fn = self.counts[0], self.counts[3]
        there = (tp + fn > 0).sum()
        value = divided(divided(tp, tp + fn).sum(), there)
        if not self.adjusted:
            return value
        chance = divided(there * 0 + 1, there)
        return divided(value - chance, 1 - chance)


class MultilabelExactMatch(Averaging):
    """Samples of which every label is right, among all: scikit-learn's accuracy_score of label matrices.

    >>> from monograph.metrics import MultilabelExactMatch
    >>> MultilabelExactMatch(num_labels=2)(mg.tensor([[1, 1], [0, 1]]), mg.tensor([[1, 0], [0, 1]])).item()
    0.5
    """

    higher_is_better = True

    def __init__(self, num_labels: int, threshold: float = 0.5, ignore_index: int | None = None) -> None:
        super().__init__()
        self.num_labels = positive_int("MultilabelExactMatch", "num_labels", num_labels)
        self.threshold, self.ignore_index = threshold, ignore_index

    def update(self, preds: Any, target: Any) -> None:
        """Both [N, L, ...]; labels that are ignored are right."""
        yes, true, counts = many_questions(type(self).__name__, preds, target, self.num_labels, self.threshold, self.ignore_index)
        self.add(((yes == true) | ~counts).all(-1))


class MulticlassExactMatch(Averaging):
    """Samples (texts, pictures) of which every position is right, among all.

    >>> from monograph.metrics import MulticlassExactMatch
    >>> MulticlassExactMatch(num_classes=3)(mg.tensor([[0, 1], [2, 1]]), mg.tensor([[0, 1], [2, 2]])).item()
    0.5
    """

    higher_is_better = True

    def __init__(self, num_classes: int, ignore_index: int | None = None) -> None:
        super().__init__()
        self.num_classes, self.ignore_index = positive_int("MulticlassExactMatch", "num_classes", num_classes, 2), ignore_index

    def update(self, preds: Any, target: Any) -> None:
        """Labels [N, ...] or scores [N, C, ...], and labels [N, ...]."""
        rows = len(target)
        labels, true, counts = one_of_many(type(self).__name__, preds, target, self.num_classes, 1, self.ignore_index)
        self.add(((labels == true) | ~counts).reshape(rows, -1).all(-1) if rows else labels.reshape(0))


Accuracy = ByTask("Accuracy", BinaryAccuracy, MulticlassAccuracy, MultilabelAccuracy)
HammingDistance = ByTask("HammingDistance", BinaryHammingDistance, MulticlassHammingDistance, MultilabelHammingDistance)
ExactMatch = ByTask("ExactMatch", None, MulticlassExactMatch, MultilabelExactMatch)
