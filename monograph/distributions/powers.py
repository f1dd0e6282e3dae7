"""Distributions of powers: Weibull, Pareto, generalized Pareto, Kumaraswamy."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from monograph.core.dtype import finfo
from monograph.distributions import constraints
from monograph.distributions.compound import TransformedDistribution
from monograph.distributions.continuous import Exponential
from monograph.distributions.distribution import EULER, Distribution, drawn
from monograph.distributions.elementwise_transforms import AffineTransform, ExpTransform, PowerTransform
from monograph.distributions.normal import Uniform
from monograph.distributions.parameters import broadcast_all
from monograph.distributions.tensors import mt
from monograph.special import digamma, lgamma


class Weibull(TransformedDistribution):
    """scale times a power of an exponential variable."""

    arg_constraints: ClassVar[Any] = {"scale": constraints.positive, "concentration": constraints.positive}
    support = constraints.positive
    has_rsample = True

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = broadcast_all(scale, concentration)
        base = Exponential(mt.ones_like(self.scale), validate_args=validate_args)
        transforms = [PowerTransform(self.concentration.reciprocal()), AffineTransform(0, self.scale)]
        super().__init__(base, transforms, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(Weibull, _instance)
        new.scale, new.concentration = self.scale.expand(*batch_shape), self.concentration.expand(*batch_shape)
        TransformedDistribution.__init__(
            new,
            self.base_dist.expand(batch_shape),
            [PowerTransform(new.concentration.reciprocal()), AffineTransform(0, new.scale)],
            validate_args=False,
        )
        new._validate_args = self._validate_args
        return new

    def rsample(self, sample_shape: Any = ()) -> Any:
        return super().rsample(sample_shape).clamp(min=finfo(self.scale.dtype).tiny)

    @property
    def mean(self) -> Any:
        return self.scale * lgamma(1 + 1 / self.concentration).exp()

    @property
    def mode(self) -> Any:
        k = self.concentration
        return mt.where(k > 1, self.scale * ((k - 1) / k).clamp(min=0) ** (1 / k), 0.0)

    @property
    def variance(self) -> Any:
        k = self.concentration
        return self.scale**2 * (lgamma(1 + 2 / k).exp() - (2 * lgamma(1 + 1 / k)).exp())

    def entropy(self) -> Any:
        inverse = self.concentration.reciprocal()
        return EULER * (1 - inverse) + (self.scale * inverse).log() + 1


class Pareto(TransformedDistribution):
    """scale times the exponential of an exponential variable."""

    arg_constraints: ClassVar[Any] = {"alpha": constraints.positive, "scale": constraints.positive}
    has_rsample = True

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        self.scale, self.alpha = broadcast_all(scale, alpha)
        base = Exponential(self.alpha, validate_args=validate_args)
        super().__init__(base, [ExpTransform(), AffineTransform(0, self.scale)], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(Pareto, _instance)
        new.scale, new.alpha = self.scale.expand(*batch_shape), self.alpha.expand(*batch_shape)
        return super().expand(batch_shape, new)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        """From `scale` on."""
        return constraints.greater_than_eq(self.scale)

    @property
    def mean(self) -> Any:
        a = self.alpha.clamp(min=1)
        return a * self.scale / (a - 1)

    @property
    def mode(self) -> Any:
        return self.scale

    @property
    def variance(self) -> Any:
        a = self.alpha.clamp(min=2)
        return self.scale**2 * a / ((a - 1) ** 2 * (a - 2))

    def entropy(self) -> Any:
        return (self.scale / self.alpha).log() + (1 + self.alpha.reciprocal())


class GeneralizedPareto(Distribution):
    """Excesses over a threshold `loc`: (1 + concentration z)^(-1 / concentration - 1) / scale with z = (x - loc) / scale."""

    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "scale": constraints.positive, "concentration": constraints.real}
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        """From `loc` on; up to loc - scale / concentration for negative concentrations."""
        k = self.concentration
        upper = mt.where(k < 0, self.loc - self.scale / mt.where(k < 0, k, -1.0), math.inf)
        return constraints.interval(self.loc, upper)

    def _flat(self) -> Any:
        return abs(self.concentration) < finfo(self.concentration.dtype).eps ** 0.5

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.icdf(drawn(self.loc, self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        z, flat = (value - self.loc) / self.scale, self._flat()
        k = mt.where(flat, 1.0, self.concentration)
        body = mt.where(flat, -z, -(1 + 1 / k) * (mt.where(flat, 0.0, k * z)).log1p())
        return body - self.scale.log()

    def log_survival_function(self, value: Any) -> Any:
        """The logarithm of the probability of a greater value."""
        z, flat = (value - self.loc) / self.scale, self._flat()
        k = mt.where(flat, 1.0, self.concentration)
        return mt.where(flat, -z, -(mt.where(flat, 0.0, k * z)).log1p() / k)

    def cdf(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        return -self.log_survival_function(value).expm1()

    def icdf(self, value: Any) -> Any:
        flat = self._flat()
        k = mt.where(flat, 1.0, self.concentration)
        log = (-value).log1p()
        return self.loc + self.scale * mt.where(flat, -log, (-k * log).expm1() / k)

    @property
    def mean(self) -> Any:
        k = self.concentration
        return mt.where(k < 1, self.loc + self.scale / (1 - mt.where(k < 1, k, 0.0)), math.inf)

    @property
    def variance(self) -> Any:
        k = mt.where(self.concentration < 0.5, self.concentration, 0.0)
        return mt.where(self.concentration < 0.5, self.scale**2 / ((1 - k) ** 2 * (1 - 2 * k)), math.inf)

    @property
    def mode(self) -> Any:
        return self.loc

    def entropy(self) -> Any:
        return self.scale.log() + self.concentration + 1


class Kumaraswamy(TransformedDistribution):
    """Much like Beta, with a distribution function in closed form."""

    arg_constraints: ClassVar[Any] = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        base = Uniform(mt.full_like(self.concentration0, 0), mt.full_like(self.concentration0, 1), validate_args=validate_args)
        super().__init__(base, self._maps(), validate_args=validate_args)

    def _maps(self) -> list[Any]:
        return [
            PowerTransform(self.concentration0.reciprocal()),
            AffineTransform(1.0, -1.0),
            PowerTransform(self.concentration1.reciprocal()),
        ]

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(Kumaraswamy, _instance)
        new.concentration1, new.concentration0 = self.concentration1.expand(*batch_shape), self.concentration0.expand(*batch_shape)
        return super().expand(batch_shape, new)

    def rsample(self, sample_shape: Any = ()) -> Any:
        info = finfo(self.concentration0.dtype)
        x = self.base_dist.rsample(sample_shape).clamp(min=info.tiny, max=1 - info.eps)
        for t in self.transforms:
            x = t(x)
        return x.clamp(min=info.tiny, max=1 - info.eps / 2)

    def _moment(self, n: int) -> Any:
        a, b = self.concentration1, self.concentration0
        return (lgamma(1 + n / a) + lgamma(b) + b.log() - lgamma(1 + n / a + b)).exp()

    @property
    def mean(self) -> Any:
        return self._moment(1)

    @property
    def mode(self) -> Any:
        a, b = self.concentration1, self.concentration0
        value = ((a - 1) / (a * b - 1)) ** a.reciprocal()
        return mt.where((a < 1) | (b < 1), math.nan, value)

    @property
    def variance(self) -> Any:
        return self._moment(2) - self.mean**2

    def entropy(self) -> Any:
        a, b = self.concentration1, self.concentration0
        t0, t1 = 1 - b.reciprocal(), 1 - a.reciprocal()
        harmonic = digamma(b + 1) + EULER
        return t0 + t1 * harmonic - a.log() - b.log()
