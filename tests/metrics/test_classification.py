"""Counts, scores and matrices equal scikit-learn's, over batches and merges."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

import monograph as mg
from monograph import metrics
from tests.metrics.streaming import plain, streamed

SEEDS = range(2)


def many(seed: int, classes: int = 5, rows: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, classes)), rng.integers(0, classes - (seed % 2), rows)  # every other time one class never occurs


def two(seed: int, rows: int = 50) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random(rows), rng.integers(0, 2, rows)


def labels(seed: int, rows: int = 40, width: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((rows, width)), rng.integers(0, 2, (rows, width))


SCORES = {
    "Precision": lambda t, p, **how: sk.precision_score(t, p, zero_division=0, **how),
    "Recall": lambda t, p, **how: sk.recall_score(t, p, zero_division=0, **how),
    "F1Score": lambda t, p, **how: sk.f1_score(t, p, zero_division=0, **how),
    "JaccardIndex": lambda t, p, **how: sk.jaccard_score(t, p, zero_division=0, **how),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", SCORES)
def test_scores_of_classes_and_labels(name, seed) -> None:
    scores, target = many(seed)
    for average in ("micro", "macro", "weighted", "none"):
        expected = SCORES[name](target, scores.argmax(1), average=None if average == "none" else average)
        got = streamed(getattr(metrics, name)(task="multiclass", num_classes=5, average=average), scores, target, seed=seed)
        np.testing.assert_allclose(got[: len(expected)] if average == "none" else got, expected, atol=1e-12)
    probability, truth = labels(seed)
    for average in ("micro", "macro", "weighted", "none"):
        expected = SCORES[name](truth, probability > 0.5, average=None if average == "none" else average)
        got = streamed(getattr(metrics, name)(task="multilabel", num_labels=4, average=average), probability, truth, seed=seed)
        np.testing.assert_allclose(got, expected, atol=1e-12)
    p, t = two(seed)
    got = streamed(getattr(metrics, name)(task="binary", threshold=0.3), p, t, seed=seed)
    assert got == pytest.approx(SCORES[name](t, p > 0.3), abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_accuracies(seed) -> None:
    scores, target = many(seed)
    right = scores.argmax(1)
    assert streamed(metrics.MulticlassAccuracy(5, average="micro"), scores, target, seed=seed) == pytest.approx(
        sk.accuracy_score(target, right)
    )
    for k in (1, 2, 4):
        got = streamed(metrics.MulticlassAccuracy(5, average="micro", top_k=k), scores, target, seed=seed)
        assert got == pytest.approx(sk.top_k_accuracy_score(target, scores, k=k, labels=range(5)))
    for adjusted in (False, True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a class that is predicted and never there
            expected = sk.balanced_accuracy_score(target, right, adjusted=adjusted)
        assert streamed(metrics.BalancedAccuracy(5, adjusted=adjusted), scores, target, seed=seed) == pytest.approx(expected)
    p, t = two(seed)
    assert streamed(metrics.Accuracy(task="binary"), p, t, seed=seed) == pytest.approx(sk.accuracy_score(t, p > 0.5))
    assert streamed(metrics.BinarySpecificity(), p, t, seed=seed) == pytest.approx(sk.recall_score(1 - t, p <= 0.5))
    assert streamed(metrics.BinaryNegativePredictiveValue(), p, t, seed=seed) == pytest.approx(sk.precision_score(1 - t, p <= 0.5))
    assert streamed(metrics.BinaryFBetaScore(beta=2.0), p, t, seed=seed) == pytest.approx(sk.fbeta_score(t, p > 0.5, beta=2.0))
    expected = sk.fbeta_score(target, right, beta=0.5, average="macro", zero_division=0)
    assert streamed(metrics.FBetaScore(task="multiclass", beta=0.5, num_classes=5), scores, target, seed=seed) == pytest.approx(expected)
    probability, truth = labels(seed)
    assert streamed(metrics.MultilabelHammingDistance(4), probability, truth) == pytest.approx(sk.hamming_loss(truth, probability > 0.5))
    assert streamed(metrics.MultilabelExactMatch(4), probability, truth) == pytest.approx(sk.accuracy_score(truth, probability > 0.5))


@pytest.mark.parametrize("seed", SEEDS)
def test_matrices_and_agreement(seed) -> None:
    scores, target = many(seed)
    right = scores.argmax(1)
    for how in (None, "true", "pred", "all"):
        got = streamed(metrics.ConfusionMatrix(task="multiclass", num_classes=5, normalize=how), scores, target, seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            np.testing.assert_allclose(got, sk.confusion_matrix(target, right, labels=range(5), normalize=how))
    for weights in (None, "linear", "quadratic"):
        got = streamed(metrics.MulticlassCohenKappa(5, weights=weights), scores, target, seed=seed)
        assert got == pytest.approx(sk.cohen_kappa_score(target, right, weights=weights, labels=range(5)))
    assert streamed(metrics.MatthewsCorrCoef(task="multiclass", num_classes=5), scores, target) == pytest.approx(
        sk.matthews_corrcoef(target, right)
    )
    p, t = two(seed)
    assert streamed(metrics.BinaryMatthewsCorrCoef(), p, t) == pytest.approx(sk.matthews_corrcoef(t, p > 0.5))
    probability, truth = labels(seed)
    got = streamed(metrics.MultilabelConfusionMatrix(4), probability, truth)
    np.testing.assert_array_equal(got, sk.multilabel_confusion_matrix(truth, probability > 0.5))


def test_what_is_ignored_counts_nowhere() -> None:
    scores, target = many(0)
    ignored = np.where(np.arange(60) % 3 == 0, -100, target)
    kept = ignored >= 0
    kinds = (metrics.MulticlassAccuracy, metrics.MulticlassF1Score, metrics.MulticlassConfusionMatrix, metrics.MulticlassMatthewsCorrCoef)
    for made in kinds:
        for how in ({}, {"average": "micro"}) if made is metrics.MulticlassAccuracy else ({},):
            got = streamed(made(5, ignore_index=-100, **how), scores, ignored)
            np.testing.assert_allclose(got, streamed(made(5, **how), scores[kept], target[kept]))
    p, t = two(0)
    hidden = np.where(np.arange(50) % 4 == 0, -1, t)
    assert streamed(metrics.BinaryF1Score(ignore_index=-1), p, hidden) == streamed(metrics.BinaryF1Score(), p[hidden >= 0], t[hidden >= 0])
    by_pixel = metrics.JaccardIndex(task="multiclass", num_classes=3, ignore_index=0)
    assert by_pixel(mg.tensor([0, 1, 2, 2]), mg.tensor([0, 1, 2, 1])).item() == 0.5


def test_pictures_of_classes_and_dice() -> None:
    rng = np.random.default_rng(0)
    scores, target = rng.normal(size=(3, 4, 5, 6)), rng.integers(0, 4, (3, 5, 6))
    flat = scores.argmax(1).ravel(), target.ravel()
    assert streamed(metrics.MulticlassJaccardIndex(4), scores, target) == pytest.approx(sk.jaccard_score(flat[1], flat[0], average="macro"))
    dice = metrics.DiceScore(4, include_background=False)
    assert streamed(dice, scores, target) == pytest.approx(sk.f1_score(flat[1], flat[0], average=None)[1:].mean())
    assert plain(metrics.MulticlassExactMatch(3)(mg.tensor([[0, 1], [2, 2]]), mg.tensor([[0, 1], [2, 1]]))) == 0.5


def test_logits_are_seen_or_told() -> None:
    p, t = two(1)
    logits = np.log(p / (1 - p))
    assert streamed(metrics.BinaryAccuracy(), logits * 10, t) == streamed(metrics.BinaryAccuracy(), p, t)
    told = metrics.BinaryAccuracy(from_logits=True)
    assert told(mg.tensor([0.2, 0.4]), mg.tensor([1, 1])).item() == 1.0
    assert metrics.BinaryAccuracy(from_logits=False)(mg.tensor([0.2, 0.4, 3.0]), mg.tensor([1, 1, 1])).item() == pytest.approx(1 / 3)


def test_nothing_and_one_class() -> None:
    assert metrics.MulticlassAccuracy(3).compute().item() == 0.0
    empty = metrics.MulticlassAccuracy(3, average="micro")
    empty.update(mg.zeros(0, 3), mg.zeros(0, dtype=mg.int64))
    assert empty.compute().item() == 0.0
    assert metrics.BinaryPrecision()(mg.tensor([0.1, 0.2]), mg.tensor([1, 1])).item() == 0.0
    assert metrics.BinaryPrecision(zero_division=1.0)(mg.tensor([0.1, 0.2]), mg.tensor([1, 1])).item() == 1.0
    assert metrics.BinaryMatthewsCorrCoef()(mg.tensor([0.9, 0.8]), mg.tensor([1, 1])).item() == 0.0
    assert np.isnan(metrics.MulticlassCohenKappa(3).compute().item())
    assert metrics.BinaryStatScores()(mg.tensor([float("nan"), 0.9]), mg.tensor([1, 1])).tolist() == [1, 0, 0, 1, 2]
    assert metrics.StatScores(task="multiclass", num_classes=3)(mg.tensor([0, 1, 2]), mg.tensor([0, 1, 1])).tolist() == [
        [1, 0, 2, 0, 1], [1, 0, 1, 1, 2], [0, 1, 2, 0, 0],
    ]  # fmt: skip


def test_errors_say_what_is_wrong() -> None:
    acc = metrics.MulticlassAccuracy(3)
    with pytest.raises(ValueError, match="target has the label 3, but labels run from 0 to 2"):
        acc.update(mg.zeros(2, 3), mg.tensor([0, 3]))
    with pytest.raises(ValueError, match=r"num_classes is 3, but preds of shape \[2, 4\] have 4 classes"):
        acc.update(mg.zeros(2, 4), mg.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"one-hot rows use target\.argmax"):
        acc.update(mg.zeros(2, 3), mg.zeros(2, 3))
    with pytest.raises(ValueError, match=r"must have the same shape, got \[2, 1\] and \[2\].*squeeze"):
        metrics.BinaryAccuracy().update(mg.zeros(2, 1), mg.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"target are labels, whole numbers, but there is 0\.5"):
        metrics.BinaryAccuracy().update(mg.zeros(2), mg.tensor([0.5, 1]))
    with pytest.raises(ValueError, match="average must be one of 'micro', 'macro', 'weighted', 'none', None, got 'mean'"):
        metrics.MulticlassAccuracy(3, average="mean")
    with pytest.raises(ValueError, match="task must be one of 'binary', 'multiclass', 'multilabel', got 'multi'"):
        metrics.Accuracy(task="multi")
    with pytest.raises(ValueError, match="needs num_classes"):
        metrics.Accuracy(task="multiclass")
    with pytest.raises(ValueError, match="top_k=4 of num_classes=3"):
        metrics.MulticlassAccuracy(3, top_k=4)
    with pytest.raises(ValueError, match="beta must be above 0"):
        metrics.BinaryFBetaScore(beta=0.0)
