"""Regression and probabilities equal scikit-learn's and SciPy's, over batches and merges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

import monograph as mg
from monograph import metrics
from tests.metrics.streaming import plain, streamed


def numbers(seed: int, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.normal(size=shape or (70,))
    return target + 0.3 * rng.normal(size=target.shape), target


def probable(seed: int, classes: int = 4, rows: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.random((rows, classes))
    return p / p.sum(1, keepdims=True), rng.integers(0, classes, rows)


@pytest.mark.parametrize("seed", range(2))
def test_regression(seed) -> None:
    p, t = numbers(seed)
    for metric, expected in [
        (metrics.MeanSquaredError(), sk.mean_squared_error(t, p)),
        (metrics.RootMeanSquaredError(), sk.root_mean_squared_error(t, p)),
        (metrics.MeanAbsoluteError(), sk.mean_absolute_error(t, p)),
        (metrics.MeanAbsolutePercentageError(), sk.mean_absolute_percentage_error(t, p)),
        (metrics.R2Score(), sk.r2_score(t, p)),
        (metrics.R2Score(adjusted=3), 1 - (1 - sk.r2_score(t, p)) * 69 / 66),
        (metrics.ExplainedVariance(), sk.explained_variance_score(t, p)),
        (metrics.PearsonCorrCoef(), stats.pearsonr(t, p)[0]),
        (metrics.SpearmanCorrCoef(), stats.spearmanr(t, p)[0]),
        (metrics.LogCoshError(), np.log(np.cosh(p - t)).mean()),
        (metrics.MinkowskiDistance(3), (np.abs(p - t) ** 3).sum() ** (1 / 3)),
        (metrics.WeightedMeanAbsolutePercentageError(), np.abs(p - t).sum() / np.abs(t).sum()),
        (metrics.SymmetricMeanAbsolutePercentageError(), (2 * np.abs(p - t) / (np.abs(p) + np.abs(t))).mean()),
        (metrics.ConcordanceCorrCoef(), 2 * np.cov(p, t, ddof=0)[0, 1] / (p.var() + t.var() + (p.mean() - t.mean()) ** 2)),
    ]:
        assert streamed(metric, p, t, seed=seed) == pytest.approx(expected, rel=1e-9), type(metric).__name__
    p, t = np.abs(p), np.abs(t)
    assert streamed(metrics.MeanSquaredLogError(), p, t) == pytest.approx(sk.mean_squared_log_error(t, p))
    rounded = np.round(p), np.round(t)  # ties
    assert streamed(metrics.SpearmanCorrCoef(), *rounded) == pytest.approx(stats.spearmanr(*rounded)[0])


def test_several_outputs() -> None:
    p, t = numbers(0, 40, 3)
    for how in ("uniform_average", "raw_values", "variance_weighted"):
        got = streamed(metrics.R2Score(num_outputs=3, multioutput=how), p, t)
        np.testing.assert_allclose(got, sk.r2_score(t, p, multioutput=how))
        got = streamed(metrics.ExplainedVariance(num_outputs=3, multioutput=how), p, t)
        np.testing.assert_allclose(got, sk.explained_variance_score(t, p, multioutput=how))
    cosines = 1 - np.diag(sk.pairwise.cosine_distances(p, t))
    assert streamed(metrics.CosineSimilarity("mean"), p, t) == pytest.approx(cosines.mean())
    assert streamed(metrics.CosineSimilarity(), p, t) == pytest.approx(cosines.sum())
    assert metrics.CosineSimilarity("none")(mg.tensor(p), mg.tensor(t)).numpy() == pytest.approx(cosines)


def test_great_means_lose_nothing() -> None:
    p, t = numbers(0)
    far = 1e7
    assert streamed(metrics.PearsonCorrCoef(), p + far, t + far) == pytest.approx(stats.pearsonr(t, p)[0], rel=1e-7)
    assert streamed(metrics.R2Score(), p + far, t + far) == pytest.approx(sk.r2_score(t, p), rel=1e-7)


def test_without_variance_or_samples() -> None:
    same = mg.ones(4)
    assert metrics.R2Score()(same, same).item() == 1.0 and metrics.R2Score()(same * 2, same).item() == 0.0
    assert metrics.ExplainedVariance()(same * 2, same).item() == sk.explained_variance_score(np.ones(4), np.full(4, 2.0))
    for nothing in (metrics.R2Score(), metrics.MeanSquaredError(), metrics.PearsonCorrCoef(), metrics.SpearmanCorrCoef()):
        assert np.isnan(nothing.compute().item()), type(nothing).__name__
    assert np.isnan(metrics.R2Score()(mg.ones(1), mg.ones(1)).item())
    assert np.isnan(metrics.PearsonCorrCoef()(same, mg.arange(4.0)).item())
    assert np.isnan(metrics.MeanSquaredError()(mg.tensor([float("nan")]), mg.ones(1)).item())
    with pytest.raises(ValueError, match=r"preds and target are \[N\] or \[N, 1\], got \[3, 2\]: say num_outputs=2"):
        metrics.R2Score().update(mg.ones(3, 2), mg.ones(3, 2))
    with pytest.raises(ValueError, match="must have the same shape"):
        metrics.MeanSquaredError().update(mg.ones(3, 1), mg.ones(3))


@pytest.mark.parametrize("seed", range(2))
def test_probabilities(seed) -> None:
    p, t = probable(seed)
    expected = sk.log_loss(t, p)
    assert streamed(metrics.LogLoss(task="multiclass", num_classes=4), p, t) == pytest.approx(expected)
    assert streamed(metrics.MulticlassLogLoss(4, from_logits=True), np.log(p), t) == pytest.approx(expected)
    assert streamed(metrics.Perplexity(), np.log(p), t) == pytest.approx(np.exp(expected))
    hidden = np.where(np.arange(60) % 3 == 0, -1, t)
    kept = hidden >= 0
    got = streamed(metrics.MulticlassLogLoss(4, ignore_index=-1), p, hidden)
    assert got == pytest.approx(sk.log_loss(t[kept], p[kept], labels=range(4)))
    margins = np.random.default_rng(seed).normal(size=(60, 4))
    got = streamed(metrics.HingeLoss(task="multiclass", num_classes=4), margins, t)
    assert got == pytest.approx(sk.hinge_loss(t, margins, labels=range(4)))
    yes, q = t % 2, p[:, 0] / p[:, 0].max()
    assert streamed(metrics.BinaryLogLoss(), q, yes) == pytest.approx(sk.log_loss(yes, np.clip(q, 0, 1)))
    assert streamed(metrics.BrierScore(), q, yes) == pytest.approx(sk.brier_score_loss(yes, q))
    assert streamed(metrics.BinaryHingeLoss(), margins[:, 0], yes) == pytest.approx(sk.hinge_loss(yes, margins[:, 0]))
    assert streamed(metrics.KLDivergence(), p, p[::-1].copy()) == pytest.approx(stats.entropy(p, p[::-1], axis=1).mean())


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_calibration(norm) -> None:
    p, t = probable(0, rows=200)
    confidence, right = p.max(1), p.argmax(1) == t
    place = np.minimum((confidence * 10).astype(int), 9)
    gaps, shares = [], []
    for b in np.unique(place):
        gaps.append(abs(confidence[place == b].mean() - right[place == b].mean()))
        shares.append((place == b).mean())
    gaps, shares = np.array(gaps), np.array(shares)
    expected = {"l1": (shares * gaps).sum(), "l2": np.sqrt((shares * gaps**2).sum()), "max": gaps.max()}[norm]
    assert streamed(metrics.MulticlassCalibrationError(4, n_bins=10, norm=norm), p, t) == pytest.approx(expected)
    sure = metrics.CalibrationError(task="binary", norm=norm)
    assert plain(sure(mg.tensor([1.0, 0.0]), mg.tensor([1, 0]))) == 0.0
    assert np.isnan(metrics.BinaryCalibrationError(norm=norm).compute().item())
