"""The continuous Bernoulli distribution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from monograph.distributions import constraints
from monograph.distributions.distribution import ExponentialFamily, drawn_open
from monograph.distributions.parameters import broadcast_all, clamp_probs, lazy_property, logits_to_probs, probs_to_logits, softplus
from monograph.distributions.tensors import mt


class ContinuousBernoulli(ExponentialFamily):
    """Density proportional to p^x (1 - p)^(1 - x) on [0, 1] (Loaiza-Ganem and Cunningham 2019). `lims`: where 1/2 is too near."""

    arg_constraints: ClassVar[Any] = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self, probs: Any = None, logits: Any = None, lims: tuple[float, float] = (0.499, 0.501), validate_args: bool | None = None
    ) -> None:
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        self._lims = lims
        if probs is not None:
            (self.probs,) = broadcast_all(probs)
            self.probs = clamp_probs(self.probs)
        else:
            (self.logits,) = broadcast_all(logits)
        super().__init__((self.probs if probs is not None else self.logits).shape, validate_args=validate_args)

    def _complete(self, new: Any) -> None:
        new._lims = self._lims

    @lazy_property
    def logits(self) -> Any:
        """log(p / (1 - p))."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Any:
        """p."""
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._batch_shape

    def _outside(self) -> Any:
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _safe(self) -> Any:
        """p, moved away from 1/2 where series are used."""
        return mt.where(self._outside(), self.probs, self._lims[0])

    def _log_normaliser(self) -> Any:
        p = self._safe()
        below, above = p.clamp(max=0.5), p.clamp(min=0.5)
        exact = (abs((-p).log1p() - p.log())).log() - mt.where(p <= 0.5, (-2.0 * below).log1p(), (2.0 * above - 1.0).log())
        x2 = (self.probs - 0.5) ** 2
        series = math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x2) * x2
        return mt.where(self._outside(), exact, series)

    @property
    def mean(self) -> Any:
        p = self._safe()
        exact = p / (2.0 * p - 1.0) + 1.0 / ((-p).log1p() - p.log())
        x = self.probs - 0.5
        return mt.where(self._outside(), exact, 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x**2) * x)

    @property
    def variance(self) -> Any:
        p = self._safe()
        exact = p * (p - 1.0) / (1.0 - 2.0 * p) ** 2 + 1.0 / ((-p).log1p() - p.log()) ** 2
        x2 = (self.probs - 0.5) ** 2
        return mt.where(self._outside(), exact, 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x2) * x2)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.icdf(drawn_open(self.probs, self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return value * logits - softplus(logits) + self._log_normaliser()

    def cdf(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        p = self._safe()
        exact = (p**value * (1.0 - p) ** (1.0 - value) + p - 1.0) / (2.0 * p - 1.0)
        return mt.where(self._outside(), exact, value).clamp(min=0.0, max=1.0)

    def icdf(self, value: Any) -> Any:
        p = self._safe()
        exact = ((-p + value * (2.0 * p - 1.0)).log1p() - (-p).log1p()) / (p.log() - (-p).log1p())
        return mt.where(self._outside(), exact, value)

    def entropy(self) -> Any:
        return -(-self.probs).log1p() - self.mean * self.logits - self._log_normaliser()
