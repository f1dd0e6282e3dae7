"""Metrics by Keras's names, for outputs and targets as Keras has them: classes last, one-hot rows or labels, columns of one number."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any

from monograph.metrics import regression
from monograph.metrics.accuracy import BalancedAccuracy, BinaryAccuracy, MulticlassAccuracy
from monograph.metrics.aggregation import Averaging
from monograph.metrics.base import Metric
from monograph.metrics.confusion import BinaryCohenKappa, BinaryMatthewsCorrCoef, MulticlassCohenKappa, MulticlassMatthewsCorrCoef
from monograph.metrics.curves import BinaryAUROC, BinaryAveragePrecision, MulticlassAUROC, MulticlassAveragePrecision
from monograph.metrics.inputs import as_tensor
from monograph.metrics.precision_recall import (
    BinaryF1Score,
    BinaryJaccardIndex,
    BinaryPrecision,
    BinaryRecall,
    BinarySpecificity,
    MulticlassF1Score,
    MulticlassJaccardIndex,
    MulticlassPrecision,
    MulticlassRecall,
    MulticlassSpecificity,
)  # fmt: skip
from monograph.metrics.probability import BinaryHingeLoss, BinaryLogLoss, KLDivergence, MulticlassLogLoss, Perplexity
from monograph.tensor.core import Tensor

Adapt = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Adapted(Metric):
    """A metric whose batches are put into another form first."""

    def __init__(self, metric: Metric, adapt: Adapt) -> None:
        super().__init__()
        self.metric, self.adapt = metric, adapt
        self.higher_is_better = metric.higher_is_better

    def update(self, preds: Any, target: Any) -> None:
        """Outputs and targets as the model and the data have them."""
        self.metric.update(*self.adapt(as_tensor(preds), as_tensor(target)))

    def compute(self) -> Any:
        """What the metric says."""
        return self.metric.compute()

    def reset(self) -> None:
        """Resets the metric."""
        self.metric.reset()

    def state(self) -> dict[str, Any]:
        """The metric's."""
        return self.metric.state()

    def merge(self, states: Iterable[dict[str, Any] | Metric]) -> None:
        """Merges states of the metric."""
        self.metric.merge(states)

    @property
    def collects(self) -> bool:
        """Whether the metric does."""
        return self.metric.collects


class OfFunction(Averaging):
    """The mean of a function of (output, target), or (y_true, y_pred) if that is what its parameters are called."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function, self.target_first = function, target_first(function)

    def update(self, preds: Any, target: Any) -> None:
        """A value per sample, or one for the batch, which then counts as many times as it has rows."""
        value = self.function(target, preds) if self.target_first else self.function(preds, target)
        single = not isinstance(value, Tensor) or value.ndim == 0
        self.add(value, float(len(preds)) if single and isinstance(preds, Tensor) and preds.ndim else 1.0)


# ---- forms of outputs and targets ----
def _flat(outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Element by element."""
    return outputs.reshape(-1), y.reshape(-1)


def _one_hot(outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Scores [N, C] and the class of each one-hot row."""
    return outputs.reshape(-1, outputs.shape[-1]), y.reshape(-1, y.shape[-1]).argmax(-1)


def _labels(outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Scores [N, C] and labels [N], which may have been a column."""
    return outputs.reshape(-1, outputs.shape[-1]), y.reshape(-1)


def _as_given(outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Scores [N, C, ...] and labels [N, ...]: classes second, as torch has them."""
    return outputs, y


def _rows(outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors."""
    return outputs.reshape(-1, outputs.shape[-1]), y.reshape(-1, y.shape[-1])


class Form:
    """What an example of outputs and targets says about the task."""

    def __init__(self, name: str, outputs: Any, y: Any) -> None:
        if not hasattr(outputs, "shape") or not hasattr(y, "shape"):
            raise ValueError(
                f"the metric {name!r} is chosen by the shapes of one output and one target, got {type(outputs).__name__} and "
                f"{type(y).__name__}: for a model with several outputs give functions of (y_true, y_pred)"
            )
        self.name = name
        self.outputs, self.y = tuple(outputs.shape), tuple(y.shape)
        last = self.outputs[-1] if self.outputs else 1
        column = (self.outputs[:-1] == self.y and last == 1) or (self.y[:-1] == self.outputs and self.y[-1:] == (1,))
        self.same = self.outputs == self.y
        self.flat = (self.same and (len(self.y) < 2 or last == 1)) or column
        self.one_hot = self.same and not self.flat
        self.classes_last = last > 1 and self.y in (self.outputs[:-1], (*self.outputs[:-1], 1))
        self.classes_second = len(self.outputs) > 2 and self.y == (self.outputs[0], *self.outputs[2:])

    def elementwise(self) -> Adapt:
        """ValueError unless outputs and targets are of one shape, give or take a trailing 1."""
        if not (self.same or self.flat):
            raise self.mismatch("outputs and targets of one shape")
        return _flat

    def classes(self) -> tuple[int, Adapt]:
        """(number of classes, form) for scores of classes."""
        if self.one_hot or self.classes_last:
            return self.outputs[-1], _one_hot if self.one_hot else _labels
        if self.classes_second:
            return self.outputs[1], _as_given
        raise self.mismatch("scores of classes [N, C] and labels [N] or one-hot rows [N, C]")

    def sparse(self) -> bool:
        """Whether targets are labels of classes, not numbers of the outputs' shape."""
        return not (self.same or self.flat)

    def mismatch(self, wanted: str) -> ValueError:
        """The error for shapes that a metric cannot be computed of."""
        return ValueError(f"the metric {self.name!r} takes {wanted}; the model gives {list(self.outputs)} for targets {list(self.y)}")


# ---- the names ----
def _elementwise(make: Callable[[], Metric]) -> Callable[[Form], Metric]:
    return lambda form: Adapted(make(), form.elementwise())


def _by_class(make: Callable[[int], Metric]) -> Callable[[Form], Metric]:
    def made(form: Form) -> Metric:
        classes, adapt = form.classes()
        return Adapted(make(classes), adapt)

    return made


def _rowwise(make: Callable[[], Metric]) -> Callable[[Form], Metric]:
    def made(form: Form) -> Metric:
        if not form.same or not form.outputs:
            raise form.mismatch("rows of outputs and targets of one shape")
        return Adapted(make(), _rows)

    return made


def _either(binary: Callable[[], Metric], multiclass: Callable[[int], Metric]) -> Callable[[Form], Metric]:
    """By labels: many classes. Else yes or no for every element, as in Keras."""
    return lambda form: (_by_class(multiclass) if form.sparse() else _elementwise(binary))(form)


def _by_kind(binary: Callable[[], Metric], multiclass: Callable[[int], Metric]) -> Callable[[Form], Metric]:
    """One number for each target: yes or no. Else classes, as labels or one-hot rows."""
    return lambda form: (_elementwise(binary) if form.flat else _by_class(multiclass))(form)


def _accurate(classes: int) -> Metric:
    return MulticlassAccuracy(classes, average="micro")


def _top(classes: int) -> Metric:
    return MulticlassAccuracy(classes, top_k=min(5, classes), average="micro")


class _KerasPercentage(regression.MeanOf):
    """Keras counts in percent, and keeps targets 1e-7 away from 0."""

    def values(self, preds: Tensor, target: Tensor) -> Tensor:
        """100 |preds - target| / |target|."""
        return 100.0 * (preds - target).abs() / target.abs().clamp(min=1e-7)


def _binary() -> Metric:
    return BinaryAccuracy(from_logits=False)


def _probable(kind: Callable[..., Metric]) -> Callable[[], Metric]:
    return lambda: kind(from_logits=False)


NAMES: dict[str, Callable[[Form], Metric]] = {
    "accuracy": _by_kind(_binary, _accurate),
    "binary_accuracy": _elementwise(_binary),
    "categorical_accuracy": _by_class(_accurate),
    "sparse_categorical_accuracy": _by_class(_accurate),
    "top_k_categorical_accuracy": _by_class(_top),
    "sparse_top_k_categorical_accuracy": _by_class(_top),
    "balanced_accuracy": _by_kind(lambda: Adapted(BalancedAccuracy(2), lambda p, y: ((p > 0.5).long(), y)), BalancedAccuracy),
    "precision": _either(_probable(BinaryPrecision), MulticlassPrecision),
    "recall": _either(_probable(BinaryRecall), MulticlassRecall),
    "specificity": _either(_probable(BinarySpecificity), MulticlassSpecificity),
    "f1": _either(_probable(BinaryF1Score), MulticlassF1Score),
    "iou": _either(_probable(BinaryJaccardIndex), MulticlassJaccardIndex),
    "auc": _either(BinaryAUROC, MulticlassAUROC),
    "average_precision": _either(BinaryAveragePrecision, MulticlassAveragePrecision),
    "cohen_kappa": _by_kind(_probable(BinaryCohenKappa), MulticlassCohenKappa),
    "matthews_corrcoef": _by_kind(_probable(BinaryMatthewsCorrCoef), MulticlassMatthewsCorrCoef),
    "mean_squared_error": _elementwise(regression.MeanSquaredError),
    "root_mean_squared_error": _elementwise(regression.RootMeanSquaredError),
    "mean_absolute_error": _elementwise(regression.MeanAbsoluteError),
    "mean_absolute_percentage_error": _elementwise(_KerasPercentage),
    "mean_squared_logarithmic_error": _elementwise(regression.MeanSquaredLogError),
    "log_cosh": _elementwise(regression.LogCoshError),
    "r2_score": _elementwise(regression.R2Score),
    "explained_variance": _elementwise(regression.ExplainedVariance),
    "pearson_correlation": _elementwise(regression.PearsonCorrCoef),
    "concordance_correlation": _elementwise(regression.ConcordanceCorrCoef),
    "cosine_similarity": _rowwise(lambda: regression.CosineSimilarity("mean")),
    "binary_crossentropy": _elementwise(_probable(BinaryLogLoss)),
    "categorical_crossentropy": _by_class(lambda classes: MulticlassLogLoss(classes, from_logits=False)),
    "sparse_categorical_crossentropy": _by_class(lambda classes: MulticlassLogLoss(classes, from_logits=False)),
    "cross_entropy": _by_class(lambda classes: MulticlassLogLoss(classes, from_logits=True)),
    "kl_divergence": _rowwise(lambda: Adapted(KLDivergence(), lambda p, y: (y, p))),
    "hinge": _elementwise(BinaryHingeLoss),
    "squared_hinge": _elementwise(lambda: BinaryHingeLoss(squared=True)),
    "perplexity": _by_class(lambda classes: Adapted(Perplexity(), _as_given)),
}
OTHER_NAMES = {
    "acc": "accuracy", "mse": "mean_squared_error", "rmse": "root_mean_squared_error", "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error", "msle": "mean_squared_logarithmic_error", "r2": "r2_score", "auroc": "auc", "roc_auc": "auc",
    "pr_auc": "average_precision", "f1_score": "f1", "dice": "f1", "jaccard": "iou", "mean_io_u": "iou", "mean_iou": "iou",
    "mcc": "matthews_corrcoef",
    "log_loss": "cross_entropy", "logcosh": "log_cosh", "kld": "kl_divergence", "bce": "binary_crossentropy", "kappa": "cohen_kappa",
    "binary_cross_entropy": "binary_crossentropy", "log_cosh_error": "log_cosh", "pearson": "pearson_correlation",
}  # fmt: skip


def by_name(name: str, outputs: Any, y: Any) -> Metric:
    """The metric of Keras's name (snake_case or CamelCase) for a model whose outputs and targets look like these examples.

    Only shapes are looked at. "accuracy" is of yes or no for one number per target, else of classes, whose targets are labels [N] (or
    [N, 1]) or one-hot rows [N, C]. The highest score is the predicted class, so logits and probabilities are alike there. Yes or no is
    decided at 0.5, which takes probabilities: for logits give `BinaryAccuracy(threshold=0.0, from_logits=False)` in place of the name, or
    BinaryPrecision ... the same way. "precision", "recall", "f1", "iou" and "auc" are of yes or no for every element where targets have
    the shape of the outputs, and the mean over classes where targets are labels. "auc" and "average_precision" are exact.

    ValueError for a name that there is not, or shapes that the metric cannot take.

    >>> from monograph import metrics
    >>> metric = metrics.by_name("accuracy", mg.zeros(4, 3), mg.zeros(4, dtype=mg.int64))
    >>> metric(mg.tensor([[0.1, 2.0, 0.3], [3.0, 1.0, 1.0]]), mg.tensor([1, 2])).item()
    0.5
    """
    known = snake(name)
    known = OTHER_NAMES.get(known, known)
    if known not in NAMES:
        raise ValueError(f"no metric is called {name!r}; there are {', '.join([*NAMES, *OTHER_NAMES])}, any Metric, and any function")
    return NAMES[known](Form(name, outputs, y))


def from_function(function: Callable[..., Any]) -> Metric:
    """The mean over all samples of `function`: of (y_true, y_pred) if its parameters say so, else of (output, target) as torch has it.

    >>> from monograph import metrics
    >>> off = metrics.from_function(lambda y_true, y_pred: (y_true - y_pred).abs())
    >>> off(mg.tensor([1.0, 2.0]), mg.tensor([1.0, 4.0])).item()
    1.0
    """
    return OfFunction(function)


def target_first(function: Any) -> bool:
    """Whether a function takes (y_true, y_pred), as Keras's do, and not (input, target), as torch's."""
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return False
    return bool(names) and re.match(r"(y_)?true|target|label|y$|ground", names[0]) is not None


def snake(name: str) -> str:
    """CamelCase and dashes as snake_case: "MeanSquaredError" -> "mean_squared_error", "BinaryAUROC" -> "binary_auroc"."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return parted.replace("-", "_").replace(" ", "_").lower().replace("f_beta", "fbeta").replace("corr_coef", "corrcoef")


def log_name(metric: Any) -> str:
    """The name of a metric in logs: that of its class in snake_case.

    >>> from monograph import metrics
    >>> metrics.log_name(metrics.BinaryF1Score())
    'binary_f1_score'
    """
    return snake(type(metric.metric if isinstance(metric, Adapted) else metric).__name__)
