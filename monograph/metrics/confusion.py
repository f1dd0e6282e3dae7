"""The confusion matrix, and what needs all of it: Cohen's kappa, Matthews' correlation."""

from __future__ import annotations

from typing import Any

from monograph.core.dtype import float64, int64
from monograph.metrics.base import Metric
from monograph.metrics.counting import ByTask
from monograph.metrics.inputs import one_of, positive_int
from monograph.metrics.labels import Labelled, many_questions, one_of_many, yes_or_no
from monograph.metrics.scores import divided
from monograph.metrics.tensors import mt
from monograph.tensor.core import Tensor

NORMALIZE = ("true", "pred", "all", "none", None)


class Confusion(Metric):
    """The state `confmat` counts samples by true class (rows) and predicted class (columns)."""

    def _keep(self, classes: int, ignore_index: int | None) -> None:
        self.num_classes, self.ignore_index = classes, ignore_index
        self.add_state("confmat", mt.zeros((classes, classes), dtype=int64))

    def _count(self, labelled: Labelled) -> None:
        preds, target, counts = (t.reshape(-1) for t in labelled)
        weight = counts.to(int64)
        place = (target * self.num_classes + preds) * weight
        self.confmat.add_(mt.zeros(self.num_classes**2, dtype=int64).index_add(0, place, weight).reshape(self.confmat.shape))


class BinaryConfusion(Confusion):
    """Of two classes."""

    def __init__(self, threshold: float = 0.5, ignore_index: int | None = None, *, from_logits: bool | None = None) -> None:
        super().__init__()
        self.threshold, self.from_logits = threshold, from_logits
        self._keep(2, ignore_index)

    def update(self, preds: Any, target: Any) -> None:
        """Both of one shape; `target` is 0 and 1."""
        self._count(yes_or_no(type(self).__name__, preds, target, self.threshold, self.ignore_index, self.from_logits))


class MulticlassConfusion(Confusion):
    """Of many classes."""

    def __init__(self, num_classes: int, ignore_index: int | None = None) -> None:
        super().__init__()
        self._keep(positive_int(type(self).__name__, "num_classes", num_classes, 2), ignore_index)

    def update(self, preds: Any, target: Any) -> None:
        """Scores [N, C, ...] or labels [N, ...], and labels [N, ...]."""
        self._count(one_of_many(type(self).__name__, preds, target, self.num_classes, 1, self.ignore_index))


def normalized(confmat: Tensor, how: str | None) -> Tensor:
    """Counts as shares of the true class, of the predicted class or of all."""
    if how in (None, "none"):
        return confmat.clone()
    total = confmat.sum(-1, keepdim=True) if how == "true" else confmat.sum(-2, keepdim=True)
    return divided(confmat, confmat.sum((-1, -2), keepdim=True) if how == "all" else total)


class BinaryConfusionMatrix(BinaryConfusion):
    """[[true negatives, false positives], [false negatives, true positives]], in shares with `normalize` "true", "pred" or "all".

    >>> from monograph.metrics import BinaryConfusionMatrix
    >>> BinaryConfusionMatrix()(mg.tensor([0.9, 0.2, 0.6]), mg.tensor([1, 0, 0])).tolist()
    [[1, 1], [0, 1]]
    """

    def __init__(
        self, threshold: float = 0.5, ignore_index: int | None = None, normalize: str | None = None, *, from_logits: bool | None = None
    ) -> None:
        super().__init__(threshold, ignore_index, from_logits=from_logits)
        self.normalize = one_of(type(self).__name__, "normalize", normalize, NORMALIZE)

    def compute(self) -> Tensor:
        """[2, 2]."""
        return normalized(self.confmat, self.normalize)


class MulticlassConfusionMatrix(MulticlassConfusion):
    """Counts by true class (rows) and predicted class (columns), in shares with `normalize` "true", "pred" or "all".

    >>> from monograph.metrics import MulticlassConfusionMatrix
    >>> MulticlassConfusionMatrix(num_classes=3)(mg.tensor([0, 1, 1, 2]), mg.tensor([0, 1, 2, 2])).tolist()
    [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    """

    def __init__(self, num_classes: int, ignore_index: int | None = None, normalize: str | None = None) -> None:
        super().__init__(num_classes, ignore_index)
        self.normalize = one_of(type(self).__name__, "normalize", normalize, NORMALIZE)

    def compute(self) -> Tensor:
        """[C, C]."""
        return normalized(self.confmat, self.normalize)


class MultilabelConfusionMatrix(Metric):
    """A 2 by 2 matrix for each label, as BinaryConfusionMatrix's."""

    def __init__(self, num_labels: int, threshold: float = 0.5, ignore_index: int | None = None, normalize: str | None = None) -> None:
        super().__init__()
        self.num_labels = positive_int(type(self).__name__, "num_labels", num_labels)
        self.threshold, self.ignore_index = threshold, ignore_index
        self.normalize = one_of(type(self).__name__, "normalize", normalize, NORMALIZE)
        self.add_state("confmat", mt.zeros((num_labels, 2, 2), dtype=int64))

    def update(self, preds: Any, target: Any) -> None:
        """Both [N, L, ...]."""
        yes, true, counts = many_questions(type(self).__name__, preds, target, self.num_labels, self.threshold, self.ignore_index)
        cells = [((true == t) & (yes == y) & counts).sum(0) for t in (0, 1) for y in (0, 1)]
        self.confmat.add_(mt.stack(cells, -1).reshape(self.num_labels, 2, 2))

    def compute(self) -> Tensor:
        """[L, 2, 2]."""
        return normalized(self.confmat, self.normalize)


def kappa(confmat: Tensor, weights: str | None) -> Tensor:
    """How much better than chance preds and target agree: 1 - disagreement / the disagreement of independent ones. NaN without samples."""
    counts = confmat.to(float64)
    expected = counts.sum(1, keepdim=True) * counts.sum(0, keepdim=True) / counts.sum()
    place = mt.arange(len(counts), dtype=float64)
    distance = (place.unsqueeze(0) - place.unsqueeze(1)).abs()
    cost = distance if weights == "linear" else distance**2 if weights == "quadratic" else (distance > 0).to(float64)
    return 1 - (cost * counts).sum() / (cost * expected).sum()


def matthews(confmat: Tensor) -> Tensor:
    """The correlation of preds and target as indicators of classes; 0 where one of them has a single class."""
    counts = confmat.to(float64)
    true, said, total = counts.sum(1), counts.sum(0), counts.sum()
    below = (total**2 - (said * said).sum()) * (total**2 - (true * true).sum())
    return divided(counts.diagonal().sum() * total - (true * said).sum(), below.sqrt())


class BinaryCohenKappa(BinaryConfusion):
    """Cohen's kappa. `weights` is None, "linear" or "quadratic"."""

    higher_is_better = True

    def __init__(
        self, threshold: float = 0.5, ignore_index: int | None = None, weights: str | None = None, *, from_logits: bool | None = None
    ) -> None:
        super().__init__(threshold, ignore_index, from_logits=from_logits)
        self.weights = one_of(type(self).__name__, "weights", weights, ("linear", "quadratic", "none", None))

    def compute(self) -> Tensor:
        """A 0-d tensor."""
        return kappa(self.confmat, self.weights)


class MulticlassCohenKappa(MulticlassConfusion):
    """Cohen's kappa; with `weights` "linear" or "quadratic" a mistake costs more the further away the class is.

    >>> from monograph.metrics import MulticlassCohenKappa
    >>> round(MulticlassCohenKappa(num_classes=3)(mg.tensor([0, 1, 1, 2]), mg.tensor([0, 1, 2, 2])).item(), 6)
    0.636364
    """

    higher_is_better = True

    def __init__(self, num_classes: int, ignore_index: int | None = None, weights: str | None = None) -> None:
        super().__init__(num_classes, ignore_index)
        self.weights = one_of(type(self).__name__, "weights", weights, ("linear", "quadratic", "none", None))

    def compute(self) -> Tensor:
        """A 0-d tensor."""
        return kappa(self.confmat, self.weights)


class BinaryMatthewsCorrCoef(BinaryConfusion):
    """Matthews' correlation coefficient."""

    higher_is_better = True

    def compute(self) -> Tensor:
        """A 0-d tensor."""
        return matthews(self.confmat)


class MulticlassMatthewsCorrCoef(MulticlassConfusion):
    """Matthews' correlation coefficient of many classes.

    >>> from monograph.metrics import MulticlassMatthewsCorrCoef
    >>> round(MulticlassMatthewsCorrCoef(num_classes=3)(mg.tensor([0, 1, 1, 2]), mg.tensor([0, 1, 2, 2])).item(), 6)
    0.7
    """

    higher_is_better = True

    def compute(self) -> Tensor:
        """A 0-d tensor."""
        return matthews(self.confmat)


ConfusionMatrix = ByTask("ConfusionMatrix", BinaryConfusionMatrix, MulticlassConfusionMatrix, MultilabelConfusionMatrix)
CohenKappa = ByTask("CohenKappa", BinaryCohenKappa, MulticlassCohenKappa)
MatthewsCorrCoef = ByTask("MatthewsCorrCoef", BinaryMatthewsCorrCoef, MulticlassMatthewsCorrCoef)
