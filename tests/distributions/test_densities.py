"""Densities, distribution functions and moments against scipy.stats; samples against the distribution functions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import monograph as mg
from monograph import distributions as D
from tests.distributions.families import ALL, CONTINUOUS, DISCRETE, VECTORS

SCALAR = {**CONTINUOUS, **DISCRETE}


@pytest.mark.parametrize("name", {**SCALAR, **VECTORS})
def test_log_prob(name: str) -> None:
    ours, theirs, value = {**SCALAR, **VECTORS}[name]
    x = mg.tensor(value)
    expected = getattr(theirs, "logpmf" if name in DISCRETE or name == "Multinomial" else "logpdf")(value)
    np.testing.assert_allclose(ours.log_prob(x).numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_distribution_function_and_its_inverse(name: str) -> None:
    ours, theirs, value = CONTINUOUS[name]
    try:
        got = ours.cdf(mg.tensor(value))
    except NotImplementedError:
        assert name in ("Beta", "StudentT", "FisherSnedecor", "VonMises")  # torch has none either
        return
    np.testing.assert_allclose(got.numpy(), theirs.cdf(value), rtol=1e-9)
    try:
        back = ours.icdf(got)
    except NotImplementedError:
        assert name in ("Gamma", "Chi2", "InverseGamma")
        return
    np.testing.assert_allclose(back.numpy(), value, rtol=1e-9)


@pytest.mark.parametrize("name", SCALAR)
def test_moments_and_entropy(name: str) -> None:
    ours, theirs, _ = SCALAR[name]
    if name == "VonMises":
        np.testing.assert_allclose(ours.entropy().numpy(), theirs.entropy(), rtol=1e-9)
        return
    if "Cauchy" not in name:
        np.testing.assert_allclose(ours.mean.numpy(), theirs.mean(), rtol=1e-9)
        np.testing.assert_allclose(ours.variance.numpy(), theirs.var(), rtol=1e-9)
        np.testing.assert_allclose(ours.stddev.numpy(), theirs.std(), rtol=1e-9)
    try:
        entropy = ours.entropy()
    except NotImplementedError:
        assert name in ("FisherSnedecor", "NegativeBinomial", "Poisson")
        return
    expected = [_scalar(name, i).entropy() for i in range(2)] if name in ("GeneralizedPareto", "Geometric") else theirs.entropy()
    np.testing.assert_allclose(entropy.numpy(), expected, rtol=1e-6)


def _scalar(name: str, i: int) -> object:
    """One of a batch: scipy sums the entropy of some distributions numerically, one by one."""
    theirs = SCALAR[name][1]
    return theirs.dist(*[np.broadcast_to(v, 2)[i] for v in theirs.args], **{k: np.broadcast_to(v, 2)[i] for k, v in theirs.kwds.items()})


@pytest.mark.parametrize("name", CONTINUOUS)
def test_samples_follow_the_distribution(name: str) -> None:
    """Kolmogorov and Smirnov's test, with a fixed seed."""
    ours, theirs, _ = CONTINUOUS[name]
    mg.manual_seed(5)
    x = ours.sample((2000,)).numpy()
    for i in range(2):
        one = theirs.dist(*[np.broadcast_to(v, 2)[i] for v in theirs.args], **{k: np.broadcast_to(v, 2)[i] for k, v in theirs.kwds.items()})
        assert stats.kstest(x[:, i], one.cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", DISCRETE)
def test_counts_follow_the_distribution(name: str) -> None:
    ours, theirs, _ = DISCRETE[name]
    mg.manual_seed(6)
    x = ours.sample((4000,)).numpy()
    assert (x == np.floor(x)).all()
    deviation = np.abs(x.mean(0) - theirs.mean()) / (theirs.std() / np.sqrt(4000))
    assert (deviation < 4).all()
    np.testing.assert_allclose(x.var(0), theirs.var(), rtol=0.2)


def test_moments_of_vectors() -> None:
    mg.manual_seed(7)
    for name in ("Dirichlet", "MultivariateNormal", "Multinomial", "Wishart", "OneHotCategorical", "LowRankMultivariateNormal"):
        d = ALL[name]
        x = d.sample((6000,)).numpy()
        scale = d.stddev.numpy()
        np.testing.assert_array_less(np.abs(x.mean(0) - d.mean.numpy()), 5 * scale / np.sqrt(6000) + 1e-9)
        np.testing.assert_allclose(x.var(0), d.variance.numpy(), rtol=0.15, atol=1e-3)


def test_categorical_frequencies_and_log_prob() -> None:
    mg.manual_seed(8)
    d = D.Categorical(probs=mg.tensor([[1.0, 1.0, 2.0], [3.0, 1.0, 0.0]]))
    x = d.sample((4000,)).numpy()
    frequencies = np.stack([(x == k).mean(0) for k in range(3)], -1)
    np.testing.assert_allclose(frequencies, d.probs.numpy(), atol=0.03)
    np.testing.assert_allclose(d.log_prob(mg.tensor([2, 0])).numpy(), np.log([0.5, 0.75]), rtol=1e-5)
    assert d.entropy().isfinite().all()


@pytest.mark.parametrize("name", ALL)
def test_shapes_support_and_expansion(name: str) -> None:
    d = ALL[name]
    mg.manual_seed(9)
    full = tuple(d.batch_shape) + tuple(d.event_shape)
    assert tuple(d.sample().shape) == full
    x = d.sample((3, 2))
    assert tuple(x.shape) == (3, 2, *full)
    assert bool(d.support.check(x).all())
    assert tuple(d.log_prob(x).shape) == (3, 2, *d.batch_shape)
    wider = d.expand((4, *d.batch_shape))
    assert tuple(wider.batch_shape) == (4, *d.batch_shape)
    assert tuple(wider.sample((2,)).shape) == (2, 4, *full)
    value = x[0, 0]
    np.testing.assert_allclose(wider.log_prob(value).numpy(), np.broadcast_to(d.log_prob(value).numpy(), (4, *d.batch_shape)), rtol=1e-6)
    assert type(d).__name__ in repr(d)


def test_the_seed_decides() -> None:
    for name in ("Normal", "Gamma", "Poisson", "Categorical", "VonMises"):
        draws = []
        for _ in range(2):
            mg.manual_seed(3)
            draws.append(ALL[name].sample((5,)).numpy())
        np.testing.assert_array_equal(*draws)
        assert (ALL[name].sample((5,)).numpy() != draws[0]).any()


def test_half_precision_and_defaults() -> None:
    assert D.Normal(0, 1).sample().dtype is mg.float32
    assert D.Normal(mg.zeros(2, dtype=mg.float64), 1).sample().dtype is mg.float64
    assert D.Gamma(mg.ones(2, dtype=mg.float16), 1.0).sample().dtype is mg.float16
    assert D.Normal(0.0, 1.0).batch_shape == ()
