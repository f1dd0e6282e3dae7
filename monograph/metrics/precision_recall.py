"""Precision, recall, F-beta, specificity, negative predictive value, Jaccard index (IoU), Dice: ratios of the same counts."""

from __future__ import annotations

from monograph.metrics.counting import BinaryCounts, ByTask, MulticlassCounts, MultilabelCounts
from monograph.metrics.inputs import one_of
from monograph.metrics.scores import averaged, f_beta, f_one, found, negative_precise, overlapping, precise, specific
from monograph.metrics.tensors import mt
from monograph.tensor.core import Tensor


class BinaryPrecision(BinaryCounts):
    """Right among what was called yes.

    >>> from monograph.metrics import BinaryPrecision
    >>> BinaryPrecision()(mg.tensor([0.9, 0.2, 0.6]), mg.tensor([1, 0, 0])).item()
    0.5
    """

    parts = staticmethod(precise)


class MulticlassPrecision(MulticlassCounts):
    """Right among what was given to a class."""

    parts = staticmethod(precise)


class MultilabelPrecision(MultilabelCounts):
    """Right among what was given a label."""

    parts = staticmethod(precise)


class BinaryRecall(BinaryCounts):
    """Found among all yes: sensitivity.

    >>> from monograph.metrics import BinaryRecall
    >>> BinaryRecall()(mg.tensor([0.9, 0.2, 0.6]), mg.tensor([1, 1, 0])).item()
    0.5
    """

    parts = staticmethod(found)


class MulticlassRecall(MulticlassCounts):
    """Found among all of a class."""

    parts = staticmethod(found)


class MultilabelRecall(MultilabelCounts):
    """Found among all with a label."""

    parts = staticmethod(found)


class BinarySpecificity(BinaryCounts):
    """Found among all no: the true negative rate.

    >>> from monograph.metrics import BinarySpecificity
    >>> BinarySpecificity()(mg.tensor([0.9, 0.2, 0.6]), mg.tensor([1, 0, 0])).item()
    0.5
    """

    parts = staticmethod(specific)


class MulticlassSpecificity(MulticlassCounts):
    """Of all that are not of a class, those that were not given to it."""

    parts = staticmethod(specific)


class MultilabelSpecificity(MultilabelCounts):
    """Of all without a label, those that were not given it."""

    parts = staticmethod(specific)


class BinaryNegativePredictiveValue(BinaryCounts):
    """Right among what was called no."""

    parts = staticmethod(negative_precise)


class MulticlassNegativePredictiveValue(MulticlassCounts):
    """Right among what was not given to a class."""

    parts = staticmethod(negative_precise)


class MultilabelNegativePredictiveValue(MultilabelCounts):
    """Right among what was not given a label."""

    parts = staticmethod(negative_precise)


class BinaryF1Score(BinaryCounts):
    """The harmonic mean of precision and recall; of sets it is the Dice score.

    >>> from monograph.metrics import BinaryF1Score
    >>> BinaryF1Score()(mg.tensor([1, 1, 0, 0]), mg.tensor([1, 0, 1, 0])).item()
    0.5
    """

    parts = staticmethod(f_one)


class MulticlassF1Score(MulticlassCounts):
    """The harmonic mean of precision and recall of each class."""

    parts = staticmethod(f_one)


class MultilabelF1Score(MultilabelCounts):
    """The harmonic mean of precision and recall of each label."""

    parts = staticmethod(f_one)


class _Beta:
    """F-beta's setting, which comes first: recall counts `beta` times as much as precision."""

    counts: Tensor
    average: str | None
    zero_division: float
    every_class: bool

    def __init__(self, beta: float, *settings: object, **named: object) -> None:
        if not beta > 0:
            raise ValueError(f"{type(self).__name__}: beta must be above 0, got {beta}")
        super().__init__(*settings, **named)
        self.beta = float(beta)

    def compute(self) -> Tensor:
        """The score; one for each class with average="none"."""
        return averaged(self.counts, f_beta(self.beta), self.average, self.zero_division, self.every_class)


class BinaryFBetaScore(_Beta, BinaryCounts):
    """Precision and recall in one, recall `beta` times as important.

    >>> from monograph.metrics import BinaryFBetaScore
    >>> BinaryFBetaScore(beta=2.0)(mg.tensor([1, 1, 0, 0]), mg.tensor([1, 0, 1, 0])).item()
    0.5
    """


class MulticlassFBetaScore(_Beta, MulticlassCounts):
    """The same for each class: MulticlassFBetaScore(beta, num_classes)."""


class MultilabelFBetaScore(_Beta, MultilabelCounts):
    """The same for each label: MultilabelFBetaScore(beta, num_labels)."""


class BinaryJaccardIndex(BinaryCounts):
    """Intersection over union of the positives: IoU.

    >>> from monograph.metrics import BinaryJaccardIndex
    >>> BinaryJaccardIndex()(mg.tensor([1, 1, 0, 0]), mg.tensor([1, 0, 1, 0])).item()
    0.3333333333333333
    """

    parts = staticmethod(overlapping)


class MulticlassJaccardIndex(MulticlassCounts):
    """Intersection over union of each class; "macro" is the mean IoU of segmentation. The class `ignore_index` is no part of the mean."""

    parts = staticmethod(overlapping)

    def __init__(
        self, num_classes: int, average: str | None = "macro", ignore_index: int | None = None, *, zero_division: float = 0.0
    ) -> None:
        super().__init__(num_classes, 1, average, ignore_index, zero_division=zero_division)
        self.left_out = ignore_index


class MultilabelJaccardIndex(MultilabelCounts):
    """Intersection over union of each label."""

    parts = staticmethod(overlapping)


class DiceScore(MulticlassCounts):
    """Twice the intersection over the sum of sizes, for masks of classes: labels [N, ...] or scores [N, C, ...].

    Over the pixels of all pictures together, as everything here. `include_background=False` leaves class 0 out.

    >>> from monograph.metrics import DiceScore
    >>> DiceScore(num_classes=2, average="none")(mg.tensor([[1, 1, 0, 0]]), mg.tensor([[1, 0, 1, 0]])).tolist()
    [0.5, 0.5]
    """

    parts = staticmethod(f_one)

    def __init__(
        self, num_classes: int, average: str | None = "macro", ignore_index: int | None = None, *, include_background: bool = True
    ) -> None:
        super().__init__(num_classes, 1, one_of("DiceScore", "average", average, ("macro", "weighted", "none", None)), ignore_index)
        self.include_background = include_background

    def compute(self) -> Tensor:
        """The score; one for each class with average="none"."""
        return averaged(self.counts if self.include_background else self.counts[:, 1:], f_one, self.average, 0.0, False)


class BinaryStatScores(BinaryCounts):
    """The counts themselves: [true positives, false positives, true negatives, false negatives, support].

    >>> from monograph.metrics import BinaryStatScores
    >>> BinaryStatScores()(mg.tensor([1, 1, 0]), mg.tensor([1, 0, 1])).tolist()
    [1, 1, 0, 1, 2]
    """

    higher_is_better = None

    def compute(self) -> Tensor:
        """[5], int64."""
        return mt.cat([self.counts, self.counts[:1] + self.counts[3:]])


class MulticlassStatScores(MulticlassCounts):
    """The counts themselves; one row for each class with average="none"."""

    higher_is_better = None

    def __init__(self, num_classes: int, top_k: int = 1, average: str | None = "none", ignore_index: int | None = None) -> None:
        super().__init__(num_classes, top_k, one_of("MulticlassStatScores", "average", average, ("micro", "none", None)), ignore_index)

    def compute(self) -> Tensor:
        """[5] or [C, 5], int64."""
        return mt.cat([self.counts, self.counts[:1] + self.counts[3:]]).movedim(0, -1)


Precision = ByTask("Precision", BinaryPrecision, MulticlassPrecision, MultilabelPrecision)
Recall = ByTask("Recall", BinaryRecall, MulticlassRecall, MultilabelRecall)
Specificity = ByTask("Specificity", BinarySpecificity, MulticlassSpecificity, MultilabelSpecificity)
NegativePredictiveValue = ByTask(
    "NegativePredictiveValue", BinaryNegativePredictiveValue, MulticlassNegativePredictiveValue, MultilabelNegativePredictiveValue
)
F1Score = ByTask("F1Score", BinaryF1Score, MulticlassF1Score, MultilabelF1Score)
FBetaScore = ByTask("FBetaScore", BinaryFBetaScore, MulticlassFBetaScore, MultilabelFBetaScore)
JaccardIndex = ByTask("JaccardIndex", BinaryJaccardIndex, MulticlassJaccardIndex, MultilabelJaccardIndex)
StatScores = ByTask("StatScores", BinaryStatScores, MulticlassStatScores)
