"""The distributions under test: how to make each, and the same in scipy.stats."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

import monograph as mg
from monograph import distributions as D


def t(*values: float) -> Any:
    return mg.tensor(values, dtype=mg.float64)


A, B = np.array([0.7, 2.5]), np.array([1.3, 0.6])
LOC = np.array([-0.4, 1.2])
P = np.array([0.2, 0.65])
W = np.array([0.2, 0.5, 0.3])
COV = np.array([[1.5, 0.4], [0.4, 0.8]])
a, b, loc, p, w = t(*A), t(*B), t(*LOC), t(*P), t(*W)
reals, positives, units, counts = np.array([-1.3, 0.9]), np.array([0.4, 2.2]), np.array([0.3, 0.85]), np.array([1.0, 3.0])

# name: (ours, scipy's, a value)
CONTINUOUS: dict[str, tuple[Any, Any, np.ndarray]] = {
    "Normal": (D.Normal(loc, a), stats.norm(LOC, A), reals),
    "LogNormal": (D.LogNormal(loc, a), stats.lognorm(A, scale=np.exp(LOC)), positives),
    "HalfNormal": (D.HalfNormal(a), stats.halfnorm(scale=A), positives),
    "Uniform": (D.Uniform(loc, loc + 2), stats.uniform(LOC, 2), LOC + 0.5),
    "Exponential": (D.Exponential(a), stats.expon(scale=1 / A), positives),
    "Laplace": (D.Laplace(loc, a), stats.laplace(LOC, A), reals),
    "Cauchy": (D.Cauchy(loc, a), stats.cauchy(LOC, A), reals),
    "HalfCauchy": (D.HalfCauchy(a), stats.halfcauchy(scale=A), positives),
    "Gumbel": (D.Gumbel(loc, a), stats.gumbel_r(LOC, A), reals),
    "Weibull": (D.Weibull(a, b), stats.weibull_min(B, scale=A), positives),
    "Pareto": (D.Pareto(a, b + 2), stats.pareto(B + 2, scale=A), A * 1.8),
    "Gamma": (D.Gamma(a, b), stats.gamma(A, scale=1 / B), positives),
    "Chi2": (D.Chi2(a), stats.chi2(A), positives),
    "InverseGamma": (D.InverseGamma(a + 2, b), stats.invgamma(A + 2, scale=B), positives),
    "Beta": (D.Beta(a, b), stats.beta(A, B), units),
    "StudentT": (D.StudentT(a + 2, loc, b), stats.t(A + 2, LOC, B), reals),
    "FisherSnedecor": (D.FisherSnedecor(a, b + 5), stats.f(A, B + 5), positives),
    "VonMises": (D.VonMises(loc, a), stats.vonmises(A, LOC), reals),
    "GeneralizedPareto": (D.GeneralizedPareto(loc, a, b / 4), stats.genpareto(B / 4, LOC, A), LOC + 1.5),
}
DISCRETE: dict[str, tuple[Any, Any, np.ndarray]] = {
    "Bernoulli": (D.Bernoulli(p), stats.bernoulli(P), np.array([1.0, 0.0])),
    "Geometric": (D.Geometric(p), stats.geom(P, -1), counts),
    "Binomial": (D.Binomial(5, p), stats.binom(5, P), counts),
    "NegativeBinomial": (D.NegativeBinomial(4, p), stats.nbinom(4, 1 - P), counts),
    "Poisson": (D.Poisson(a), stats.poisson(A), counts),
}
VECTORS: dict[str, tuple[Any, Any, np.ndarray]] = {
    "Dirichlet": (D.Dirichlet(t(0.7, 2.0, 1.4)), stats.dirichlet([0.7, 2.0, 1.4]), W),
    "MultivariateNormal": (D.MultivariateNormal(loc, mg.tensor(COV)), stats.multivariate_normal(LOC, COV), reals),
    "Multinomial": (D.Multinomial(6, w), stats.multinomial(6, W), np.array([1.0, 3.0, 2.0])),
    "Wishart": (D.Wishart(t(3.5)[0], mg.tensor(COV)), stats.wishart(3.5, COV), COV + np.eye(2)),
}
# Those that scipy lacks, and compositions.
OTHERS: dict[str, Any] = {
    "Categorical": D.Categorical(w),
    "OneHotCategorical": D.OneHotCategorical(logits=w),
    "OneHotCategoricalStraightThrough": D.OneHotCategoricalStraightThrough(w),
    "Kumaraswamy": D.Kumaraswamy(a, b),
    "ContinuousBernoulli": D.ContinuousBernoulli(p),
    "LogisticNormal": D.LogisticNormal(loc, a),
    "LowRankMultivariateNormal": D.LowRankMultivariateNormal(loc, mg.tensor(COV[:, :1]), a),
    "Independent": D.Independent(D.Normal(loc, a), 1),
    "MixtureSameFamily": D.MixtureSameFamily(D.Categorical(p), D.Normal(loc, a)),
    "RelaxedBernoulli": D.RelaxedBernoulli(t(0.6)[0], p),
    "RelaxedOneHotCategorical": D.RelaxedOneHotCategorical(t(0.6)[0], w),
    "TransformedDistribution": D.TransformedDistribution(D.Normal(loc, a), [D.TanhTransform(), D.AffineTransform(1.0, 2.0)]),
    "LKJCholesky": D.LKJCholesky(3, t(1.5)[0]),
}
ALL = {name: made[0] for table in (CONTINUOUS, DISCRETE, VECTORS) for name, made in table.items()} | OTHERS
