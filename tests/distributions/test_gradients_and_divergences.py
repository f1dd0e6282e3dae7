"""Gradients of samples, divergences, transforms, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

import monograph as mg
from monograph import distributions as D
from tests.distributions.families import ALL, LOC, A, B, a, b, loc, p, t, w

OF_A_SCALE = {
    "Normal": lambda s: D.Normal(loc, s),
    "LogNormal": lambda s: D.LogNormal(loc, s),
    "Laplace": lambda s: D.Laplace(loc, s),
    "Gamma": lambda s: D.Gamma(s, b),
    "Beta": lambda s: D.Beta(s, b),
    "StudentT": lambda s: D.StudentT(s, loc, b),
    "Dirichlet": lambda s: D.Dirichlet(s),
    "Weibull": lambda s: D.Weibull(s, b),
    "Gumbel": lambda s: D.Gumbel(loc, s),
}


@pytest.mark.parametrize("name", OF_A_SCALE)
def test_samples_are_differentiable(name: str) -> None:
    """The gradient of a sample exists, where a plain sample has none."""
    leaf = mg.tensor(A, requires_grad=True)
    mg.manual_seed(1)
    (g,) = mg.autograd.grad((OF_A_SCALE[name](leaf).rsample((3,)) ** 2).sum(), leaf)
    assert g.isfinite().all()
    assert (g != 0).any()
    assert not OF_A_SCALE[name](leaf).sample().requires_grad


def test_gamma_samples_move_along_their_quantiles() -> None:
    """d sample / d concentration is that of the quantile function at a fixed probability."""
    for alpha in (0.05, 0.4, 1.0, 3.0, 50.0):
        concentration = mg.full((20,), alpha, dtype=mg.float64, requires_grad=True)
        mg.manual_seed(2)
        x = D.Gamma(concentration, 1.0).rsample()
        (g,) = mg.autograd.grad(x.sum(), concentration)
        q, step = special.gammainc(alpha, x.detach().numpy()), alpha * 1e-5
        expected = (special.gammaincinv(alpha + step, q) - special.gammaincinv(alpha - step, q)) / (2 * step)
        usual = (q > 1e-9) & (q < 1 - 1e-6)
        np.testing.assert_allclose(g.numpy()[usual], expected[usual], rtol=1e-4)


def test_gradient_of_an_expectation() -> None:
    """E[x^2] of Gamma(a, 1) is a (a + 1): the mean of the samples' gradients goes to 2 a + 1."""
    concentration = mg.tensor(2.5, dtype=mg.float64, requires_grad=True)
    mg.manual_seed(3)
    (g,) = mg.autograd.grad((D.Gamma(concentration, 1.0).rsample((20000,)) ** 2).mean(), concentration)
    np.testing.assert_allclose(g.item(), 6.0, rtol=0.05)


def test_log_prob_gradients() -> None:
    x = mg.tensor([0.3, 1.1], dtype=mg.float64)
    scale = mg.tensor(A, requires_grad=True)
    (g,) = mg.autograd.grad(D.Normal(loc, scale).log_prob(x).sum(), scale)
    np.testing.assert_allclose(g.numpy(), ((x.numpy() - LOC) ** 2 - A**2) / A**3)


def test_straight_through() -> None:
    probs = mg.tensor([0.2, 0.3, 0.5], requires_grad=True)
    mg.manual_seed(4)
    sample = D.OneHotCategoricalStraightThrough(probs).rsample()
    assert sorted(sample.detach().numpy().round(6).tolist()) == [0.0, 0.0, 1.0]
    (sample * mg.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert (probs.grad.numpy() != 0).all()


# ---- divergences ----

CLOSED = {
    "Normal": (D.Normal(loc, a), D.Normal(loc + 1, b)),
    "Gamma": (D.Gamma(a, b), D.Gamma(b, a)),
    "Beta": (D.Beta(a, b), D.Beta(b, a)),
    "Exponential": (D.Exponential(a), D.Exponential(b)),
    "Laplace": (D.Laplace(loc, a), D.Laplace(loc + 1, b)),
    "Gumbel": (D.Gumbel(loc, a), D.Gumbel(loc + 1, b)),
    "Cauchy": (D.Cauchy(loc, a), D.Cauchy(loc + 1, b)),
    "Poisson": (D.Poisson(a), D.Poisson(b)),
    "Bernoulli": (D.Bernoulli(p), D.Bernoulli(1 - p)),
    "Geometric": (D.Geometric(p), D.Geometric(1 - p)),
    "Binomial": (D.Binomial(5, p), D.Binomial(5, 1 - p)),
    "Categorical": (D.Categorical(w), D.Categorical(w.flip(0))),
    "Dirichlet": (D.Dirichlet(a), D.Dirichlet(b)),
    "ContinuousBernoulli": (D.ContinuousBernoulli(p), D.ContinuousBernoulli(1 - p)),
    "LogNormal": (D.LogNormal(loc, a), D.LogNormal(loc, b)),
    "HalfNormal": (D.HalfNormal(a), D.HalfNormal(b)),
    "Pareto": (D.Pareto(a, b + 2), D.Pareto(a / 2, a + 2)),
    "Independent": (D.Independent(D.Normal(loc, a), 1), D.Independent(D.Normal(loc, b), 1)),
    "MultivariateNormal": (D.MultivariateNormal(loc, mg.eye(2, dtype=mg.float64) * 2), ALL["MultivariateNormal"]),
    "LowRankMultivariateNormal": (ALL["LowRankMultivariateNormal"], ALL["MultivariateNormal"]),
    "Uniform": (D.Uniform(loc, loc + 1), D.Uniform(loc - 1, loc + 2)),
    "Uniform-Beta": (D.Uniform(p / 2, p), D.Beta(a, b)),
    "Uniform-Gamma": (D.Uniform(p / 2, p), D.Gamma(a, b)),
    "Uniform-Gumbel": (D.Uniform(p / 2, p), D.Gumbel(loc, a)),
    "Uniform-Pareto": (D.Uniform(a + 1, a + 2), D.Pareto(a, b)),
    "Beta-Normal": (D.Beta(a, b), D.Normal(loc, a)),
    "Beta-Gamma": (D.Beta(a, b), D.Gamma(b, a)),
    "Gamma-Gumbel": (D.Gamma(a, b), D.Gumbel(loc, a)),
    "Exponential-Gumbel": (D.Exponential(a), D.Gumbel(loc, b)),
    "Normal-Laplace": (D.Normal(loc, a), D.Laplace(loc + 1, b)),
    "Normal-Gumbel": (D.Normal(loc, a / 2), D.Gumbel(loc + 1, b)),
    "Pareto-Gamma": (D.Pareto(a, b + 4), D.Gamma(b, a)),
}


@pytest.mark.parametrize("name", CLOSED)
def test_divergence_is_the_mean_log_ratio(name: str) -> None:
    """Against a Monte Carlo estimate with a fixed seed."""
    ours, other = CLOSED[name]
    mg.manual_seed(11)
    x = ours.sample((20000,))
    ratio = (ours.log_prob(x) - other.log_prob(x)).numpy()
    noise = 5 * ratio.std(0) / np.sqrt(20000)
    got = D.kl_divergence(ours, other).numpy()
    np.testing.assert_array_less(np.abs(got - ratio.mean(0)), noise + 1e-9)
    np.testing.assert_allclose(D.kl_divergence(ours, ours).numpy() if "-" not in name else 0.0, 0.0, atol=1e-9)


def test_divergences_without_a_meeting() -> None:
    assert D.kl_divergence(D.Normal(loc, a), D.Gamma(a, b)).isinf().all()
    assert D.kl_divergence(D.Uniform(t(0.0), t(2.0)), D.Uniform(t(0.0), t(1.0))).isinf().all()
    with pytest.raises(NotImplementedError, match="p type Normal and q type Bernoulli"):
        D.kl_divergence(D.Normal(0.0, 1.0), D.Bernoulli(0.5))


# ---- transforms ----

x = mg.tensor(np.random.default_rng(0).normal(size=(3, 4)))
TRANSFORMS = {
    "exp": D.ExpTransform(), "sigmoid": D.SigmoidTransform(), "softplus": D.SoftplusTransform(), "tanh": D.TanhTransform(),
    "affine": D.AffineTransform(1.0, -2.0), "stick breaking": D.StickBreakingTransform(),
    "composition": D.ComposeTransform([D.SigmoidTransform(), D.AffineTransform(1.0, 2.0)]), "reshape": D.ReshapeTransform((4,), (2, 2)),
    "independent": D.IndependentTransform(D.ExpTransform(), 1), "cat": D.CatTransform([D.ExpTransform(), D.TanhTransform()], -1, [1, 3]),
    "stack": D.StackTransform([D.ExpTransform(), D.TanhTransform(), D.SigmoidTransform()], 0),
    "distribution": D.CumulativeDistributionTransform(D.Normal(0.0, 1.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name: str) -> None:
    f = TRANSFORMS[name]
    y = f(x)
    np.testing.assert_allclose(f.inv(y).numpy(), x.numpy(), rtol=1e-6, atol=1e-9)
    slope = f.log_abs_det_jacobian(x, y)
    if name in ("reshape", "stick breaking"):
        return
    (g,) = mg.autograd.grad(f(z := x.clone().requires_grad_()).sum(), z)
    expected = g.abs().log()
    np.testing.assert_allclose(slope.numpy(), (expected.sum(-1) if slope.ndim < 2 else expected).numpy(), rtol=1e-6, atol=1e-9)


def test_stick_breaking_and_correlation_jacobians() -> None:
    for f, size in ((D.StickBreakingTransform(), 3), (D.CorrCholeskyTransform(), 3)):
        v = x[0, :size]
        jacobian = mg.func.jacrev(f)(v)
        if size == 3 and f.codomain.event_dim == 1:
            rows = jacobian[:-1]
        else:
            rows = mg.stack([jacobian[1, 0], jacobian[2, 0], jacobian[2, 1]])
        np.testing.assert_allclose(f.log_abs_det_jacobian(v, f(v)).item(), mg.linalg.slogdet(rows).logabsdet.item(), rtol=1e-9)


@pytest.mark.parametrize(
    "name",
    ["real", "positive", "nonnegative", "unit_interval", "simplex", "real_vector", "lower_cholesky", "corr_cholesky", "positive_definite"],
)
def test_transforms_reach_their_constraint(name: str) -> None:
    constraint = getattr(D.constraints, name)
    free = x[:, :3] if name in ("lower_cholesky", "positive_definite", "corr_cholesky") else x
    for registry in (D.biject_to, D.transform_to):
        assert bool(constraint.check(registry(constraint)(free)).all())


def test_cached_transforms_return_the_very_input() -> None:
    f = D.ExpTransform(cache_size=1)
    assert f.inv(f(x)) is x
    assert f.inv.inv is f


# ---- refusals ----


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: D.Normal(0.0, -1.0), r"parameter scale .* of distribution Normal.* the constraint GreaterThan\(lower_bound=0.0\)"),
        (lambda: D.Bernoulli(1.5), r"Interval\(lower_bound=0.0, upper_bound=1.0\)"),
        (lambda: D.Bernoulli(0.5, 0.5), "but not both"),
        (lambda: D.Uniform(1.0, 0.0), "low>= high"),
        (lambda: D.Normal(mg.zeros(3), 1.0).log_prob(mg.zeros(4)), "not broadcastable with batch_shape"),
        (lambda: D.Normal(0.0, 1.0).log_prob(mg.tensor(math.nan)), "within the support"),
        (lambda: D.Categorical(mg.ones(3)).log_prob(mg.tensor(3)), "IntegerInterval"),
        (lambda: D.MultivariateNormal(mg.zeros(2), -mg.eye(2)), "PositiveDefinite"),
        (lambda: D.MultivariateNormal(mg.zeros(2)), "Exactly one of"),
        (lambda: D.Independent(D.Normal(0.0, 1.0), 1), "reinterpreted_batch_ndims"),
        (lambda: D.Dirichlet(mg.tensor(1.0)), "at least one-dimensional"),
        (lambda: D.Normal("a", 1.0), "Number or Tensor"),
    ],
)
def test_wrong_parameters_and_values(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_validation_can_be_left_out() -> None:
    assert D.Uniform(0.0, 1.0, validate_args=False).log_prob(mg.tensor(2.0)).item() == -math.inf
    D.Distribution.set_default_validate_args(False)
    try:
        D.Normal(0.0, -1.0)
    finally:
        D.Distribution.set_default_validate_args(True)


def test_in_a_compiled_step() -> None:
    """Parameters are not looked at inside a capture, and samples are drawn anew at each replay."""

    @mg.compile
    def step(mean: Any) -> Any:
        d = D.Normal(mean, 1.0)
        z = d.rsample()
        return z, d.log_prob(z)

    draws = [step(mg.zeros(3)) for _ in range(3)]
    assert len({tuple(z.tolist()) for z, _ in draws}) == 3
    for z, value in draws:
        np.testing.assert_allclose(value.numpy(), stats.norm.logpdf(z.numpy()), rtol=1e-4)


def test_mixture_equals_its_sum() -> None:
    mixture = D.MixtureSameFamily(D.Categorical(t(0.3, 0.7)), D.Normal(loc, a))
    v = np.array([-1.0, 0.2, 2.0])
    expected = 0.3 * stats.norm(LOC[0], A[0]).pdf(v) + 0.7 * stats.norm(LOC[1], A[1]).pdf(v)
    np.testing.assert_allclose(mixture.log_prob(mg.tensor(v)).exp().numpy(), expected)
    assert B.shape == (2,)
