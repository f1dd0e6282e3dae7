"""Aggregation: mean, sum, extremes of values."""

from __future__ import annotations

import math
from typing import Any

from monograph.core.dtype import float64
from monograph.metrics.base import Metric
from monograph.tensor.core import Tensor
from monograph.tensor.creation import tensor


def _values(value: Any) -> Tensor:
    return value.detach().to(float64) if isinstance(value, Tensor) else tensor(value, dtype=float64)


class MeanMetric(Metric):
    """The mean of all values, each with a weight (1 by default). NaN if there were none."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", tensor(0.0, dtype=float64))
        self.add_state("weight", tensor(0.0, dtype=float64))

    def update(self, value: Any, weight: Any = 1.0) -> None:
        """Values of any shape; `weight` broadcasts to it."""
        value, weight = _values(value), _values(weight).broadcast_to(_values(value).shape)
        self.total.add_((value * weight).sum())
        self.weight.add_(weight.sum())

    def compute(self) -> Tensor:
        """A 0-d tensor."""
        return self.total / self.weight


class SumMetric(Metric):
    """The sum of all values."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", tensor(0.0, dtype=float64))

    def update(self, value: Any) -> None:
        """Values of any shape."""
        self.total.add_(_values(value).sum())

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
        self.extreme.copy_(_values(value).amax().maximum(self.extreme))

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
        self.extreme.copy_(_values(value).amin().minimum(self.extreme))

    def compute(self) -> Tensor:
        """A 0-d tensor."""
        return self.extreme.clone()
