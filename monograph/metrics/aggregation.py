"""Aggregation: mean, sum, extremes of values."""

from __future__ import annotations

import math
from typing import Any

from monograph.core.dtype import float64
from monograph.metrics.base import Metric
from monograph.metrics.inputs import as_tensor, as_values, one_of, positive_int, values_are_there
from monograph.metrics.tensors import mt
from monograph.tensor.core import Tensor
from monograph.tensor.creation import tensor

NAN_STRATEGIES = ("disable", "ignore", "error")


class Averaging(Metric):
    """A metric that is a weighted mean: its `update` calls `add`."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", tensor(0.0, dtype=float64))
        self.add_state("weight", tensor(0.0, dtype=float64))

    def add(self, value: Any, weight: Any = 1.0) -> None:
        """Values of any shape; `weight` broadcasts to it."""
        value = as_values(value)
        weight = as_values(weight).broadcast_to(value.shape)
        self.total.add_((value * weight).sum())
        self.weight.add_(weight.sum())

    def compute(self) -> Tensor:
        """A 0-d tensor; NaN if there was nothing."""
        return self.total / self.weight


class MeanMetric(Averaging):
    """The mean of all values, each with a weight (1 by default). NaN if there were none.

    `nan_strategy` says what becomes of NaN among the values: "disable" leaves it (the mean is NaN), "ignore" leaves it out, "error" raises
    ValueError (where values are there: not within a compiled step), a number takes its place.

    >>> from monograph.metrics import MeanMetric
    >>> mean = MeanMetric(nan_strategy="ignore")
    >>> mean.update(mg.tensor([1.0, float("nan"), 4.0]), weight=mg.tensor([2.0, 1.0, 1.0]))
    >>> mean.compute().item()
    2.0
    """

    def __init__(self, nan_strategy: str | float = "disable") -> None:
        super().__init__()
        if not isinstance(nan_strategy, int | float):
            one_of("MeanMetric", "nan_strategy", nan_strategy, NAN_STRATEGIES)
        self.nan_strategy = nan_strategy

    def update(self, value: Any, weight: Any = 1.0) -> None:
        """Values of any shape; `weight` broadcasts to it."""
        value = as_values(value)
        if self.nan_strategy == "disable":
            return self.add(value, weight)
        missing = value.isnan()
        if self.nan_strategy == "error":
            if values_are_there() and bool(missing.any()):
                raise ValueError("MeanMetric: there is NaN among the values; nan_strategy='ignore' leaves it out")
            return self.add(value, weight)
        left_out = self.nan_strategy == "ignore"
        value = mt.where(missing, 0.0 if left_out else float(self.nan_strategy), value)
        self.add(value, mt.where(missing, 0.0, as_values(weight)) if left_out else weight)
        return None


class SumMetric(Metric):
    """The sum of all values."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", tensor(0.0, dtype=float64))

    def update(self, value: Any) -> None:
        """Values of any shape."""
        self.total.add_(as_values(value).sum())

    def compute(self) -> Tensor:
        """A 0-d tensor."""
        return self.total.clone()


class MaxMetric(Metric):
    """The greatest of all values, -inf if there were none."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("extreme", tensor(-math.inf, dtype=float64), "max")

    def update(self, value: Any) -> None:
        """Values of any shape."""
        self.extreme.copy_(mt.cat([as_values(value).reshape(-1), self.extreme.reshape(1)]).amax())

    def compute(self) -> Tensor:
        """A 0-d tensor."""
        return self.extreme.clone()


class MinMetric(Metric):
    """The least of all values, inf if there were none."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("extreme", tensor(math.inf, dtype=float64), "min")

    def update(self, value: Any) -> None:
        """Values of any shape."""
        self.extreme.copy_(mt.cat([as_values(value).reshape(-1), self.extreme.reshape(1)]).amin())

    def compute(self) -> Tensor:
        """A 0-d tensor."""
        return self.extreme.clone()


class CatMetric(Metric):
    """All values, one after the other.

    >>> from monograph.metrics import CatMetric
    >>> cat = CatMetric()
    >>> cat.update(mg.tensor([1.0, 2.0])); cat.update(3.0)
    >>> cat.compute().tolist()
    [1.0, 2.0, 3.0]
    """

    def __init__(self) -> None:
        super().__init__()
        self.add_state("value", [])

    def update(self, value: Any) -> None:
        """Values of any shape; single ones are rows of their own."""
        value = as_tensor(value)
        self.value.append(value.reshape(1).clone() if value.ndim == 0 else value.clone())

    def compute(self) -> Tensor:
        """Joined along the first dim; [0] if there were none."""
        return mt.cat(self.value) if self.value else mt.zeros(0)


class RunningMean(Metric):
    """The mean of the last `window` updates.

    >>> from monograph.metrics import RunningMean
    >>> mean = RunningMean(window=2)
    >>> for loss in (9.0, 1.0, 3.0): mean.update(loss)
    >>> mean.compute().item()
    2.0
    """

    def __init__(self, window: int = 5) -> None:
        super().__init__()
        self.window = positive_int("RunningMean", "window", window)
        self.recent: list[Tensor]
        self.add_state("recent", [])

    def update(self, value: Any) -> None:
        """The mean of the values counts as one."""
        self.recent = [*self.recent, as_values(value).mean()][-self.window :]

    def compute(self) -> Tensor:
        """A 0-d tensor; NaN before the first update."""
        return mt.stack(self.recent[-self.window :]).mean() if self.recent else tensor(math.nan, dtype=float64)
