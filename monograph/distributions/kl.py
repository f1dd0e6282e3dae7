"""The Kullback-Leibler divergence between distributions, by pairs of classes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from monograph import linalg
from monograph.distributions import continuous as c
from monograph.distributions import discrete as d
from monograph.distributions import gamma_family as g
from monograph.distributions import powers
from monograph.distributions.categorical import Categorical, OneHotCategorical
from monograph.distributions.compound import Independent, TransformedDistribution
from monograph.distributions.continuous_bernoulli import ContinuousBernoulli
from monograph.distributions.distribution import EULER
from monograph.distributions.multivariate import LowRankMultivariateNormal, MultivariateNormal, half_log_det, mahalanobis
from monograph.distributions.normal import HalfNormal, Normal, Uniform
from monograph.distributions.parameters import softplus, sum_rightmost
from monograph.distributions.tensors import mt
from monograph.special import digamma, lgamma, xlogy

REGISTERED: dict[tuple[type, type], Callable[[Any, Any], Any]] = {}
_found: dict[tuple[type, type], Callable[[Any, Any], Any]] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Any], Any]:
    """Decorates the function that gives KL(p | q) for p and q of these classes (or subclasses).

    >>> import monograph as mg
    >>> class Mine(mg.distributions.Normal):
    ...     pass
    >>> @mg.distributions.register_kl(Mine, Mine)
    ... def _(p, q):
    ...     return mg.tensor(7.0)
    >>> mg.distributions.kl_divergence(Mine(0.0, 1.0), Mine(0.0, 1.0)).item()
    7.0
    """
    if not isinstance(type_p, type) or not isinstance(type_q, type):
        raise TypeError(f"Expected type_p and type_q to be distribution classes but got {type_p} and {type_q}")

    def decorate(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        REGISTERED[type_p, type_q] = function
        _found.clear()
        return function

    return decorate


def _nearest(p: type, q: type) -> Callable[[Any, Any], Any]:
    """The function registered for the nearest superclasses, p's first."""
    found = _found.get((p, q))
    if found is None:
        fits = [(p.__mro__.index(a), q.__mro__.index(b), a, b) for a, b in REGISTERED if issubclass(p, a) and issubclass(q, b)]
        if not fits:
            raise NotImplementedError(f"No KL(p || q) is implemented for p type {p.__name__} and q type {q.__name__}")
        _, _, a, b = min(fits, key=lambda fit: fit[:2])
        found = _found[p, q] = REGISTERED[a, b]
    return found


def kl_divergence(p: Any, q: Any) -> Any:
    """KL(p | q), of the batch shape.

    Raises NotImplementedError for a pair of classes that nobody registered.
    """
    return _nearest(type(p), type(q))(p, q)


def _infinite(x: Any) -> Any:
    return mt.full_like(x, math.inf)


def _x_log_x(x: Any) -> Any:
    return xlogy(x, x)


# ---- one family ----


@register_kl(d.Bernoulli, d.Bernoulli)
def _(p: Any, q: Any) -> Any:
    t1 = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    t1 = mt.where(q.probs == 0, math.inf, t1)
    t1 = mt.where(p.probs == 0, 0.0, t1)
    t2 = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    t2 = mt.where(q.probs == 1, math.inf, t2)
    return t1 + mt.where(p.probs == 1, 0.0, t2)


@register_kl(g.Beta, g.Beta)
def _(p: Any, q: Any) -> Any:
    a, b, u, v = p.concentration1, p.concentration0, q.concentration1, q.concentration0
    sum_p, sum_q = a + b, u + v
    normalisers = lgamma(u) + lgamma(v) + lgamma(sum_p) - lgamma(sum_q) - lgamma(a) - lgamma(b)
    return normalisers + (a - u) * digamma(a) + (b - v) * digamma(b) + (sum_q - sum_p) * digamma(sum_p)


@register_kl(d.Binomial, d.Binomial)
def _(p: Any, q: Any) -> Any:
    value = p.total_count * (p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p())
    return mt.where(p.total_count > q.total_count, math.inf, value)


@register_kl(Categorical, Categorical)
def _(p: Any, q: Any) -> Any:
    t = p.probs * (p.logits - q.logits)
    t = mt.where(q.probs == 0, math.inf, t)
    return mt.where(p.probs == 0, 0.0, t).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _(p: Any, q: Any) -> Any:
    return kl_divergence(p._categorical, q._categorical)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _(p: Any, q: Any) -> Any:
    ours = p._log_normaliser() + (-p.probs).log1p()
    theirs = -q._log_normaliser() - (-q.probs).log1p()
    return p.mean * (p.logits - q.logits) + ours + theirs


@register_kl(g.Dirichlet, g.Dirichlet)
def _(p: Any, q: Any) -> Any:
    a, b = p.concentration, q.concentration
    normalisers = lgamma(a.sum(-1)) - lgamma(b.sum(-1)) - (lgamma(a) - lgamma(b)).sum(-1)
    return normalisers + ((a - b) * (digamma(a) - digamma(a.sum(-1, keepdim=True)))).sum(-1)


@register_kl(c.Exponential, c.Exponential)
def _(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return -ratio.log() + ratio - 1


@register_kl(g.Gamma, g.Gamma)
def _(p: Any, q: Any) -> Any:
    rates = q.concentration * (p.rate / q.rate).log()
    shapes = lgamma(q.concentration) - lgamma(p.concentration) + (p.concentration - q.concentration) * digamma(p.concentration)
    return rates + shapes + (q.rate - p.rate) * (p.concentration / p.rate)


@register_kl(c.Gumbel, c.Gumbel)
def _(p: Any, q: Any) -> Any:
    scales, at, moved = p.scale / q.scale, q.loc / q.scale, p.loc / q.scale
    start = -scales.log() - at + moved
    return start + scales * EULER + (at + lgamma(1 + scales) - moved).exp() - (1 + EULER)


@register_kl(d.Geometric, d.Geometric)
def _(p: Any, q: Any) -> Any:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(HalfNormal, HalfNormal)
def _(p: Any, q: Any) -> Any:
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(c.Laplace, c.Laplace)
def _(p: Any, q: Any) -> Any:
    ratio, far = p.scale / q.scale, abs(p.loc - q.loc)
    return -ratio.log() + far / q.scale + ratio * (-far / p.scale).exp() - 1


@register_kl(Normal, Normal)
def _(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale) ** 2
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - ratio.log())


@register_kl(powers.Pareto, powers.Pareto)
def _(p: Any, q: Any) -> Any:
    ratio = p.alpha / q.alpha
    value = q.alpha * (p.scale / q.scale).log() + ratio.log() + ratio.reciprocal() - 1
    return mt.where(p.scale < q.scale, math.inf, value)


@register_kl(d.Poisson, d.Poisson)
def _(p: Any, q: Any) -> Any:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Uniform, Uniform)
def _(p: Any, q: Any) -> Any:
    value = ((q.high - q.low) / (p.high - p.low)).log()
    return mt.where((q.low > p.low) | (q.high < p.high), math.inf, value)


@register_kl(c.Cauchy, c.Cauchy)
def _(p: Any, q: Any) -> Any:
    return ((p.scale + q.scale) ** 2 + (p.loc - q.loc) ** 2).log() - (4 * p.scale * q.scale).log()


@register_kl(Independent, Independent)
def _(p: Any, q: Any) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _(p: Any, q: Any) -> Any:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError
    return kl_divergence(p.base_dist, q.base_dist)


# ---- normal vectors ----


def _trace_of_quotient(lower: Any, factor: Any) -> Any:
    """tr((L L^T)^-1 F F^T)."""
    return (linalg.solve_triangular(lower, factor, upper=False) ** 2).sum((-2, -1))


def _same_size(p: Any, q: Any, what: str) -> None:
    if p.event_shape != q.event_shape:
        raise ValueError(f"KL-divergence between two {what} with different event shapes cannot be computed")


@register_kl(MultivariateNormal, MultivariateNormal)
def _(p: Any, q: Any) -> Any:
    _same_size(p, q, "Multivariate Normals")
    logs = half_log_det(q._lower) - half_log_det(p._lower)
    return logs + 0.5 * (_trace_of_quotient(q._lower, p._lower) + mahalanobis(q._lower, q.loc - p.loc) - p.event_shape[0])


@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _(p: Any, q: Any) -> Any:
    _same_size(p, q, "Low Rank Multivariate Normals")
    return _dense(p, q.scale_tril, q.loc, q._half_log_det())


@register_kl(MultivariateNormal, LowRankMultivariateNormal)
def _(p: Any, q: Any) -> Any:
    _same_size(p, q, "(Low Rank) Multivariate Normals")
    return _dense(p, q.scale_tril, q.loc, q._half_log_det())


@register_kl(LowRankMultivariateNormal, MultivariateNormal)
def _(p: Any, q: Any) -> Any:
    _same_size(p, q, "(Low Rank) Multivariate Normals")
    return _dense(p, q._lower, q.loc, half_log_det(q._lower))


def _dense(p: Any, lower: Any, loc: Any, log_det: Any) -> Any:
    ours = p._half_log_det() if isinstance(p, LowRankMultivariateNormal) else half_log_det(p._lower)
    distance = mahalanobis(lower, loc - p.loc)
    return log_det - ours + 0.5 * (_trace_of_quotient(lower, p.scale_tril) + distance - p.event_shape[0])


# ---- between families ----


@register_kl(g.Beta, ContinuousBernoulli)
def _(p: Any, q: Any) -> Any:
    return -p.entropy() - p.mean * q.logits - (-q.probs).log1p() - q._log_normaliser()


@register_kl(g.Beta, c.Exponential)
def _(p: Any, q: Any) -> Any:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


@register_kl(g.Beta, g.Gamma)
def _(p: Any, q: Any) -> Any:
    logs = digamma(p.concentration1) - digamma(p.concentration1 + p.concentration0)
    return -p.entropy() - xlogy(q.concentration, q.rate) + lgamma(q.concentration) - (q.concentration - 1) * logs + q.rate * p.mean


@register_kl(g.Beta, Normal)
def _(p: Any, q: Any) -> Any:
    return -p.entropy() + _normal_cross(q, p.mean, p.variance)


def _normal_cross(q: Any, mean: Any, variance: Any) -> Any:
    """Minus the expectation of log q under a distribution of that mean and variance."""
    square = q.scale**2
    return 0.5 * (2 * math.pi * square).log() + (variance + (mean - q.loc) ** 2) / (2 * square)


@register_kl(Uniform, Normal)
@register_kl(g.Gamma, Normal)
@register_kl(c.Exponential, Normal)
@register_kl(c.Gumbel, Normal)
@register_kl(c.Laplace, Normal)
@register_kl(ContinuousBernoulli, Normal)
def _(p: Any, q: Any) -> Any:
    return -p.entropy() + _normal_cross(q, p.mean, p.variance)


@register_kl(c.Exponential, g.Gamma)
def _(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return -q.concentration * ratio.log() + ratio + lgamma(q.concentration) + q.concentration * EULER - (1 + EULER)


@register_kl(g.Gamma, c.Exponential)
def _(p: Any, q: Any) -> Any:
    return -p.entropy() - q.rate.log() + q.rate * p.concentration / p.rate


@register_kl(c.Exponential, c.Gumbel)
def _(p: Any, q: Any) -> Any:
    rate_scale, moved = p.rate * q.scale, q.loc / q.scale
    return rate_scale.log() - 1 + (moved.exp() * rate_scale / (rate_scale + 1)) - moved + rate_scale.reciprocal()


@register_kl(g.Gamma, c.Gumbel)
def _(p: Any, q: Any) -> Any:
    beta_scale, moved = p.rate * q.scale, q.loc / q.scale
    start = (p.concentration - 1) * digamma(p.concentration) - lgamma(p.concentration) - p.concentration
    return start + beta_scale.log() + p.concentration / beta_scale + moved.exp() * (1 + beta_scale.reciprocal()) ** -p.concentration - moved


@register_kl(Normal, c.Gumbel)
def _(p: Any, q: Any) -> Any:
    mean, spread, moved = p.loc / q.scale, (p.scale / q.scale) ** 2, q.loc / q.scale
    return mean - moved + (-mean + 0.5 * spread + moved).exp() - 0.5 * (1 + math.log(2 * math.pi)) - 0.5 * spread.log()


@register_kl(Normal, c.Laplace)
def _(p: Any, q: Any) -> Any:
    moved = p.loc - q.loc
    ratio, t = p.scale / q.scale, moved / p.scale
    near = math.sqrt(2 / math.pi) * p.scale * (-0.5 * t**2).exp()
    return -ratio.log() + (near + moved * (math.sqrt(0.5) * t).erf()) / q.scale + (math.log(2) - 0.5 * (1 + math.log(2 * math.pi)))


@register_kl(Uniform, c.Exponential)
def _(p: Any, q: Any) -> Any:
    value = q.rate * (p.high + p.low) / 2 - ((p.high - p.low) * q.rate).log()
    return mt.where(p.low < 0, math.inf, value)


@register_kl(Uniform, g.Gamma)
def _(p: Any, q: Any) -> Any:
    span = p.high - p.low
    logs = (_x_log_x(p.high) - _x_log_x(p.low) - span) / span
    start = -span.log() - q.concentration * q.rate.log() + lgamma(q.concentration)
    value = start + (1 - q.concentration) * logs + q.rate * (p.high + p.low) / 2
    return mt.where(p.low < 0, math.inf, value)


@register_kl(Uniform, c.Gumbel)
def _(p: Any, q: Any) -> Any:
    """-H(p) + log scale + E[z] + E[exp(-z)] with z = (x - loc) / scale."""
    span = p.high - p.low
    mean = ((p.high + p.low) / 2 - q.loc) / q.scale
    falls = ((q.loc - p.low) / q.scale).exp() - ((q.loc - p.high) / q.scale).exp()
    return -span.log() + q.scale.log() + mean + q.scale / span * falls


@register_kl(g.Beta, Uniform)
def _(p: Any, q: Any) -> Any:
    value = -p.entropy() + (q.high - q.low).log()
    return mt.where((q.low > 0) | (q.high < 1), math.inf, value)


@register_kl(Uniform, g.Beta)
def _(p: Any, q: Any) -> Any:
    span = p.high - p.low
    inside = (q.concentration1 - 1) * (_x_log_x(p.high) - _x_log_x(p.low) - span) / span
    other = (q.concentration0 - 1) * (_x_log_x(1 - p.high) - _x_log_x(1 - p.low) + span) / span
    normalisers = lgamma(q.concentration1) + lgamma(q.concentration0) - lgamma(q.concentration1 + q.concentration0)
    value = other - inside + normalisers - span.log()
    return mt.where((p.high > 1) | (p.low < 0), math.inf, value)


def _never(*pairs: tuple[type, type]) -> None:
    """Pairs whose supports differ: the divergence is infinite."""
    for a, b in pairs:
        register_kl(a, b)(lambda p, q: _infinite(p.mean + q.mean if hasattr(q, "mean") else p.mean))


_never(
    (g.Beta, powers.Pareto), (c.Exponential, g.Beta), (c.Exponential, powers.Pareto), (c.Exponential, Uniform), (g.Gamma, g.Beta),
    (g.Gamma, powers.Pareto), (g.Gamma, Uniform), (c.Gumbel, g.Beta), (c.Gumbel, c.Exponential), (c.Gumbel, g.Gamma),
    (c.Gumbel, powers.Pareto), (c.Gumbel, Uniform), (c.Laplace, g.Beta), (c.Laplace, c.Exponential), (c.Laplace, g.Gamma),
    (c.Laplace, powers.Pareto), (c.Laplace, Uniform), (Normal, g.Beta), (Normal, c.Exponential), (Normal, g.Gamma),
    (Normal, powers.Pareto), (Normal, Uniform), (powers.Pareto, g.Beta), (powers.Pareto, Uniform), (c.Exponential, ContinuousBernoulli),
    (g.Gamma, ContinuousBernoulli), (c.Gumbel, ContinuousBernoulli), (c.Laplace, ContinuousBernoulli), (Normal, ContinuousBernoulli),
    (powers.Pareto, ContinuousBernoulli), (ContinuousBernoulli, powers.Pareto), (d.Poisson, d.Bernoulli), (d.Poisson, d.Binomial),
)  # fmt: skip


@register_kl(ContinuousBernoulli, c.Exponential)
def _(p: Any, q: Any) -> Any:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


@register_kl(ContinuousBernoulli, Uniform)
def _(p: Any, q: Any) -> Any:
    return mt.where((q.low > 0) | (q.high < 1), math.inf, -p.entropy() + (q.high - q.low).log())


@register_kl(Uniform, ContinuousBernoulli)
def _(p: Any, q: Any) -> Any:
    value = -p.entropy() - p.mean * q.logits - (-q.probs).log1p() - q._log_normaliser()
    return mt.where((p.low < 0) | (p.high > 1), math.inf, value)


@register_kl(Uniform, powers.Pareto)
def _(p: Any, q: Any) -> Any:
    span = p.high - p.low
    logs = (_x_log_x(p.high) - _x_log_x(p.low) - span) / span
    value = -span.log() - (q.alpha * q.scale**q.alpha).log() + (q.alpha + 1) * logs
    return mt.where(p.low < q.scale, math.inf, value)


@register_kl(d.Bernoulli, d.Poisson)
def _(p: Any, q: Any) -> Any:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(powers.Pareto, c.Exponential)
def _(p: Any, q: Any) -> Any:
    scale_rate = p.scale * q.rate
    value = (p.alpha / scale_rate).log() - p.alpha.reciprocal() + p.alpha * scale_rate / (p.alpha - 1) - 1
    return mt.where(p.alpha <= 1, math.inf, value)


@register_kl(powers.Pareto, g.Gamma)
def _(p: Any, q: Any) -> Any:
    logs = p.scale.log() + p.alpha.reciprocal()
    start = -p.entropy() - xlogy(q.concentration, q.rate) + lgamma(q.concentration)
    value = start - (q.concentration - 1) * logs + q.rate * p.mean
    return mt.where(p.alpha <= 1, math.inf, value)


@register_kl(powers.Pareto, Normal)
def _(p: Any, q: Any) -> Any:
    value = -p.entropy() + _normal_cross(q, p.mean, p.variance)
    return mt.where(p.alpha <= 2, math.inf, value)
