"""Dropout of elements, of channels, and the self-normalising kind."""

from __future__ import annotations

from monograph.nn import functional as F
from monograph.nn.module import Module
from monograph.tensor import Tensor


class _DropoutNd(Module):
    """The probability of dropping."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd):
    """In training zeroes elements with probability p and scales the rest by 1 / (1 - p)."""

    def forward(self, input: Tensor) -> Tensor:
        """The input, thinned out in training."""
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_DropoutNd):
    """Drops whole channels of [N, C, L]."""

    def forward(self, input: Tensor) -> Tensor:
        """The input, thinned out in training."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_DropoutNd):
    """Drops whole channels of [N, C, H, W]."""

    def forward(self, input: Tensor) -> Tensor:
        """The input, thinned out in training."""
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_DropoutNd):
    """Drops whole channels of [N, C, D, H, W]."""

    def forward(self, input: Tensor) -> Tensor:
        """The input, thinned out in training."""
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_DropoutNd):
    """Dropout that keeps mean and variance, for SELU networks (Klambauer et al. 2017)."""

    def forward(self, input: Tensor) -> Tensor:
        """The input, thinned out in training."""
        return F.alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(_DropoutNd):
    """AlphaDropout of whole channels."""

    def forward(self, input: Tensor) -> Tensor:
        """The input, thinned out in training."""
        return F.feature_alpha_dropout(input, self.p, self.training)
