"""Metrics of pictures: peak signal-to-noise ratio, structural similarity."""

from __future__ import annotations

import math
from typing import Any

from monograph.core.dtype import float64
from monograph.metrics.aggregation import Averaging
from monograph.metrics.base import Metric
from monograph.metrics.inputs import value_pair
from monograph.metrics.tensors import mt
from monograph.nn import functional as F
from monograph.tensor.core import Tensor
from monograph.tensor.creation import tensor


class PeakSignalNoiseRatio(Metric):
    """The square of the range of values over the mean squared error, as a logarithm: decibels with base 10.

    `data_range` is the range (1.0, 255), or (least, greatest), between which values are then kept. Without it, the range of all targets
    seen and 0.

    >>> from monograph.metrics import PeakSignalNoiseRatio
    >>> round(PeakSignalNoiseRatio(data_range=1.0)(mg.tensor([[0.5, 0.5]]), mg.tensor([[0.4, 0.6]])).item(), 4)
    20.0
    """

    higher_is_better = True

    def __init__(self, data_range: float | tuple[float, float] | None = None, base: float = 10.0) -> None:
        super().__init__()
        self.data_range, self.base = data_range, float(base)
        self.add_state("errors", tensor(0.0, dtype=float64))
        self.add_state("count", tensor(0.0, dtype=float64))
        self.add_state("least", tensor(0.0, dtype=float64), "min")
        self.add_state("greatest", tensor(0.0, dtype=float64), "max")

    def update(self, preds: Any, target: Any) -> None:
        """Both of one shape."""
        preds, target = value_pair("PeakSignalNoiseRatio", preds, target)
        if isinstance(self.data_range, tuple):
            preds, target = preds.clamp(*self.data_range), target.clamp(*self.data_range)
        self.errors.add_(((preds - target) ** 2).sum())
        self.count.add_(float(target.numel()))
        self.least.copy_(mt.cat([target.reshape(-1), self.least.reshape(1)]).amin())
        self.greatest.copy_(mt.cat([target.reshape(-1), self.greatest.reshape(1)]).amax())

    def compute(self) -> Tensor:
        """A 0-d tensor; inf for equal pictures."""
        known = self.data_range[1] - self.data_range[0] if isinstance(self.data_range, tuple) else self.data_range
        span = self.greatest - self.least if known is None else tensor(float(known), dtype=float64)
        return 10.0 * (span * span * self.count / self.errors).log() / math.log(self.base)


def _window(sigma: float) -> Tensor:
    reach = int(3.5 * sigma + 0.5)
    place = mt.arange(-reach, reach + 1, dtype=float64)
    weights = (-((place / sigma) ** 2) / 2).exp()
    return weights / weights.sum()


class StructuralSimilarityIndexMeasure(Averaging):
    """SSIM with a Gaussian window: the mean over the pictures [N, C, H, W] of the mean over places where the whole window fits.

    `data_range` is the range of values (1.0, 255); without it, the greater of both batches' ranges.

    >>> from monograph.metrics import StructuralSimilarityIndexMeasure
    >>> picture = mg.linspace(0, 1, 256).reshape(1, 1, 16, 16)
    >>> round(StructuralSimilarityIndexMeasure(data_range=1.0)(picture, picture).item(), 6)
    1.0
    """

    higher_is_better = True

    def __init__(
        self, data_range: float | tuple[float, float] | None = None, sigma: float = 1.5, k1: float = 0.01, k2: float = 0.03
    ) -> None:
        super().__init__()
        if not sigma > 0:
            raise ValueError(f"StructuralSimilarityIndexMeasure: sigma must be above 0, got {sigma}")
        self.data_range, self.sigma, self.k1, self.k2 = data_range, float(sigma), k1, k2

    def update(self, preds: Any, target: Any) -> None:
        """Both [N, C, H, W]. ValueError for pictures smaller than the window."""
        preds, target = value_pair("StructuralSimilarityIndexMeasure", preds, target)
        window = _window(self.sigma)
        size = window.shape[0]
        if preds.ndim != 4 or min(preds.shape[2:]) < size:
            raise ValueError(
                f"StructuralSimilarityIndexMeasure: pictures are [N, C, H, W] with H and W from {size}, the window's size for "
                f"sigma={self.sigma:g}; got {list(preds.shape)}"
            )
        if not preds.numel():
            return
        if isinstance(self.data_range, tuple):
            low, high = self.data_range
            preds, target, span = preds.clamp(low, high), target.clamp(low, high), high - low
        elif self.data_range is not None:
            span = self.data_range
        else:
            span = mt.maximum(preds.amax() - preds.amin(), target.amax() - target.amin())
        n, _, h, w = preds.shape
        maps = mt.cat([preds, target, preds * preds, target * target, preds * target]).reshape(-1, 1, h, w)
        maps = F.conv2d(F.conv2d(maps, window.reshape(1, 1, size, 1)), window.reshape(1, 1, 1, size)).reshape(5, n, -1)
        mean_p, mean_t = maps[0], maps[1]
        var_p, var_t = (maps[2] - mean_p**2).clamp(min=0.0), (maps[3] - mean_t**2).clamp(min=0.0)
        c1, c2 = (self.k1 * span) ** 2, (self.k2 * span) ** 2
        alike = (2 * mean_p * mean_t + c1) * (2 * (maps[4] - mean_p * mean_t) + c2)
        self.add((alike / ((mean_p**2 + mean_t**2 + c1) * (var_p + var_t + c2))).mean(1))
