"""Regression: means of errors, and what follows from the moments of predictions and targets (R2, explained variance, correlations)."""

from __future__ import annotations

from typing import Any

import numpy as np

from monograph.core.dtype import float64
from monograph.metrics.aggregation import Averaging
from monograph.metrics.base import Metric
from monograph.metrics.inputs import one_of, pair, positive_int, value_pair
from monograph.metrics.scores import divided
from monograph.metrics.tensors import mt
from monograph.tensor.core import Tensor
from monograph.tensor.creation import tensor

EPSILON = 1.17e-06  # torchmetrics' least target of relative errors


class MeanOf(Averaging):
    """The mean of `values(preds, target)` over everything."""

    higher_is_better = False

    def values(self, preds: Tensor, target: Tensor) -> Tensor:
        """An error for each element, in float64."""
        raise NotImplementedError

    def update(self, preds: Any, target: Any) -> None:
        """Both of one shape."""
        self.add(self.values(*value_pair(type(self).__name__, preds, target)))


class MeanSquaredError(MeanOf):
    """The mean of squared errors; its root with `squared=False`.

    >>> from monograph.metrics import MeanSquaredError
    >>> MeanSquaredError()(mg.tensor([2.5, 5.0]), mg.tensor([3.0, 5.0])).item()
    0.125
    """

    def __init__(self, squared: bool = True) -> None:
        super().__init__()
        self.squared = squared

    def values(self, preds: Tensor, target: Tensor) -> Tensor:
        """(preds - target) ** 2."""
        return (preds - target) ** 2

    def compute(self) -> Tensor:
        """A 0-d tensor."""
        return super().compute() if self.squared else super().compute().sqrt()


class RootMeanSquaredError(MeanSquaredError):
    """The root of the mean of squared errors.

    >>> from monograph.metrics import RootMeanSquaredError
    >>> RootMeanSquaredError()(mg.tensor([1.0, 5.0]), mg.tensor([3.0, 7.0])).item()
    2.0
    """

    def __init__(self) -> None:
        super().__init__(squared=False)


class MeanAbsoluteError(MeanOf):
    """The mean of absolute errors.

    >>> from monograph.metrics import MeanAbsoluteError
    >>> MeanAbsoluteError()(mg.tensor([2.5, 5.0]), mg.tensor([3.0, 5.0])).item()
    0.25
    """

    def values(self, preds: Tensor, target: Tensor) -> Tensor:
        """|preds - target|."""
        return (preds - target).abs()


class MeanAbsolutePercentageError(MeanOf):
    """The mean of errors relative to the target: 0.1 is 10 %. A target nearer to 0 than 1.17e-6 counts as that far."""

    def values(self, preds: Tensor, target: Tensor) -> Tensor:
        """|preds - target| / |target|."""
        return (preds - target).abs() / target.abs().clamp(min=EPSILON)


class SymmetricMeanAbsolutePercentageError(MeanOf):
    """The mean of errors relative to the mean of prediction and target."""

    def values(self, preds: Tensor, target: Tensor) -> Tensor:
        """2 |preds - target| / (|target| + |preds|)."""
        return 2 * (preds - target).abs() / (target.abs() + preds.abs()).clamp(min=EPSILON)


class WeightedMeanAbsolutePercentageError(Metric):
    """The sum of absolute errors over the sum of absolute targets."""

    higher_is_better = False

    def __init__(self) -> None:
        super().__init__()
        self.add_state("errors", tensor(0.0, dtype=float64))
        self.add_state("scale", tensor(0.0, dtype=float64))

    def update(self, preds: Any, target: Any) -> None:
        """Both of one shape."""
        preds, target = value_pair(type(self).__name__, preds, target)
        self.errors.add_((preds - target).abs().sum())
        self.scale.add_(target.abs().sum())

    def compute(self) -> Tensor:
        """A 0-d tensor."""
        return self.errors / self.scale.clamp(min=EPSILON)


class MeanSquaredLogError(MeanOf):
    """The mean of squared errors of log(1 + x)."""

    def values(self, preds: Tensor, target: Tensor) -> Tensor:
        """(log(1 + preds) - log(1 + target)) ** 2."""
        return (preds.log1p() - target.log1p()) ** 2


class LogCoshError(MeanOf):
    """The mean of log(cosh(error)), which is quadratic for small errors and linear for great ones."""

    def values(self, preds: Tensor, target: Tensor) -> Tensor:
        """Without the overflow of cosh."""
        error = (preds - target).abs()
        return error + (-2 * error).exp().log1p() - float(np.log(2.0))


class MinkowskiDistance(Metric):
    """The sum of |error| ** p, to the power 1 / p."""

    higher_is_better = False

    def __init__(self, p: float) -> None:
        super().__init__()
        if not p >= 1:
            raise ValueError(f"MinkowskiDistance: p must be at least 1, got {p}")
        self.p = float(p)
        self.add_state("total", tensor(0.0, dtype=float64))

    def update(self, preds: Any, target: Any) -> None:
        """Both of one shape."""
        preds, target = value_pair(type(self).__name__, preds, target)
        self.total.add_(((preds - target).abs() ** self.p).sum())

    def compute(self) -> Tensor:
        """A 0-d tensor."""
        return self.total ** (1 / self.p)


class CosineSimilarity(Metric):
    """The cosine of the angle between rows of preds and target; `reduction` is "sum", "mean" or "none".

    >>> from monograph.metrics import CosineSimilarity
    >>> CosineSimilarity(reduction="mean")(mg.tensor([[1.0, 0.0], [3.0, 4.0]]), mg.tensor([[2.0, 0.0], [4.0, -3.0]])).item()
    0.5
    """

    higher_is_better = True

    def __init__(self, reduction: str | None = "sum") -> None:
        super().__init__()
        self.reduction = one_of("CosineSimilarity", "reduction", reduction, ("sum", "mean", "none", None))
        if reduction in (None, "none"):
            self.add_state("rows", [])
        else:
            self.add_state("total", tensor(0.0, dtype=float64))
            self.add_state("count", tensor(0.0, dtype=float64))

    def update(self, preds: Any, target: Any) -> None:
        """Both [N, D]."""
        preds, target = value_pair("CosineSimilarity", preds, target)
        if preds.ndim < 1:
            raise ValueError("CosineSimilarity: preds and target are rows of features [N, D], got single numbers")
        rows = divided((preds * target).sum(-1), preds.norm(dim=-1) * target.norm(dim=-1)).reshape(-1)
        if self.collects:
            self.rows.append(rows)
            return
        self.total.add_(rows.sum())
        self.count.add_(mt.ones_like(rows).sum())

    def compute(self) -> Tensor:
        """A 0-d tensor; [N] with reduction="none"."""
        if self.collects:
            return mt.cat(self.rows) if self.rows else mt.zeros(0, dtype=float64)
        return self.total.clone() if self.reduction == "sum" else self.total / self.count


# ---- from moments ----
def merged_moments(a: Tensor, b: Tensor) -> Tensor:
    """The moments over two sets of samples (Chan, Golub and LeVeque): exact also where means are great and variances small."""
    n = a[0] + b[0]
    share = b[0] / n.clamp(min=1.0)
    dp, dt = b[1] - a[1], b[2] - a[2]
    between = a[0] * share
    return mt.stack([
        n, a[1] + dp * share, a[2] + dt * share, a[3] + b[3] + dp * dp * between, a[4] + b[4] + dt * dt * between,
        a[5] + b[5] + dp * dt * between,
    ])  # fmt: skip


class Moments(Metric):
    """The state `moments` [6, outputs]: the number of samples, both means, and the sums of squares and products about the means."""

    higher_is_better = True

    def __init__(self, num_outputs: int = 1) -> None:
        super().__init__()
        self.num_outputs = positive_int(type(self).__name__, "num_outputs", num_outputs)
        self.add_state("moments", mt.zeros((6, num_outputs), dtype=float64), merged_moments)

    def update(self, preds: Any, target: Any) -> None:
        """Both [N], or [N, outputs]."""
        name = type(self).__name__
        preds, target = pair(name, preds, target)
        columns = preds.shape[1] if preds.ndim == 2 else 1
        if preds.ndim > 2 or columns != self.num_outputs:
            raise ValueError(
                f"{name}: preds and target are [N]" + (f" or [N, {self.num_outputs}]" if self.num_outputs > 1 else " or [N, 1]")
                + f", got {list(preds.shape)}"
                + (f": say num_outputs={columns}" if preds.ndim == 2 else ": use .flatten()")
            )  # fmt: skip
        p, t = (x.to(float64).reshape(-1, self.num_outputs) for x in (preds, target))
        n = mt.ones_like(p).sum(0)
        mean_p, mean_t = (x.sum(0) / n.clamp(min=1.0) for x in (p, t))
        p, t = p - mean_p, t - mean_t
        batch = mt.stack([n, mean_p, mean_t, (p * p).sum(0), (t * t).sum(0), (p * t).sum(0)])
        self.moments.copy_(merged_moments(self.moments, batch))

    def _single(self, values: Tensor) -> Tensor:
        return values[0] if self.num_outputs == 1 else values


def _over_outputs(values: Tensor, variances: Tensor, how: str) -> Tensor:
    if how == "raw_values":
        return values
    return values.mean() if how == "uniform_average" else (values * variances).sum() / variances.sum()


def explained(errors: Tensor, total: Tensor) -> Tensor:
    """1 - errors / total; without variance 1 for no error and 0 else, as scikit-learn says."""
    return mt.where(total == 0, (errors == 0).to(float64), 1 - errors / mt.where(total == 0, mt.ones_like(total), total))


MULTIOUTPUT = ("uniform_average", "raw_values", "variance_weighted")


class R2Score(Moments):
    """The part of the variance of the target that predictions explain. `adjusted` is a number of regressors to adjust for.

    NaN for fewer than two samples. The number of outputs, if there are several, is said as `num_outputs`.

    >>> from monograph.metrics import R2Score
    >>> round(R2Score()(mg.tensor([2.5, 0.0, 2.0, 8.0]), mg.tensor([3.0, -0.5, 2.0, 7.0])).item(), 6)
    0.948608
    """

    def __init__(self, num_outputs: int = 1, adjusted: int = 0, multioutput: str = "uniform_average") -> None:
        super().__init__(num_outputs)
        self.adjusted = positive_int("R2Score", "adjusted", adjusted, 0)
        self.multioutput = one_of("R2Score", "multioutput", multioutput, MULTIOUTPUT)

    def compute(self) -> Tensor:
        """A 0-d tensor; [outputs] with multioutput="raw_values"."""
        n, mean_p, mean_t, pp, tt, pt = (self.moments[i] for i in range(6))
        errors = (pp + tt - 2 * pt).clamp(min=0.0) + n * (mean_p - mean_t) ** 2
        values = mt.where(n < 2, float("nan"), explained(errors, tt))
        score = _over_outputs(self._single(values), self._single(tt), self.multioutput)
        if not self.adjusted:
            return score
        return 1 - (1 - score) * (n[0] - 1) / (n[0] - self.adjusted - 1)


class ExplainedVariance(Moments):
    """As R2, but a constant error costs nothing.

    >>> from monograph.metrics import ExplainedVariance
    >>> round(ExplainedVariance()(mg.tensor([2.5, 0.0, 2.0, 8.0]), mg.tensor([3.0, -0.5, 2.0, 7.0])).item(), 6)
    0.957173
    """

    def __init__(self, num_outputs: int = 1, multioutput: str = "uniform_average") -> None:
        super().__init__(num_outputs)
        self.multioutput = one_of("ExplainedVariance", "multioutput", multioutput, MULTIOUTPUT)

    def compute(self) -> Tensor:
        """A 0-d tensor; [outputs] with multioutput="raw_values"."""
        pp, tt, pt = (self.moments[i] for i in range(3, 6))
        values = explained((pp + tt - 2 * pt).clamp(min=0.0), tt)
        return _over_outputs(self._single(values), self._single(tt), self.multioutput)


class PearsonCorrCoef(Moments):
    """Pearson's correlation; NaN where preds or target do not vary.

    >>> from monograph.metrics import PearsonCorrCoef
    >>> round(PearsonCorrCoef()(mg.tensor([2.5, 0.0, 2.0, 8.0]), mg.tensor([3.0, -0.5, 2.0, 7.0])).item(), 6)
    0.98487
    """

    def compute(self) -> Tensor:
        """A 0-d tensor; [outputs] for several."""
        pp, tt, pt = (self.moments[i] for i in range(3, 6))
        return self._single((pt / (pp.sqrt() * tt.sqrt())).clamp(-1.0, 1.0))


class ConcordanceCorrCoef(Moments):
    """Lin's concordance: correlation that a shift or another scale lowers."""

    def compute(self) -> Tensor:
        """A 0-d tensor; [outputs] for several."""
        n, mean_p, mean_t, pp, tt, pt = (self.moments[i] for i in range(6))
        return self._single(2 * pt / (pp + tt + n * (mean_p - mean_t) ** 2))


def _ranks(values: np.ndarray) -> np.ndarray:
    """From 1, and their mean for equal values."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]


class SpearmanCorrCoef(Metric):
    """The correlation of ranks; equal values share the mean of theirs.

    >>> from monograph.metrics import SpearmanCorrCoef
    >>> SpearmanCorrCoef()(mg.tensor([1.0, 2.0, 30.0]), mg.tensor([1.0, 4.0, 5.0])).item()
    1.0
    """

    higher_is_better = True

    def __init__(self) -> None:
        super().__init__()
        self.add_state("preds", [])
        self.add_state("target", [])

    def update(self, preds: Any, target: Any) -> None:
        """Both of one shape."""
        preds, target = value_pair("SpearmanCorrCoef", preds, target)
        self.preds.append(preds.reshape(-1).clone())
        self.target.append(target.reshape(-1).clone())

    def compute(self) -> Tensor:
        """A 0-d tensor; NaN where one side does not vary, or holds NaN."""
        both = [mt.cat(t).numpy() if t else np.empty(0) for t in (self.preds, self.target)]
        a, b = (_ranks(x) - (len(x) + 1) / 2.0 for x in both)
        scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
        defined = scale > 0 and not any(np.isnan(x).any() for x in both)
        return tensor(float((a * b).sum()) / scale if defined else float("nan"), dtype=float64)
