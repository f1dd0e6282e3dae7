"""Counts, scores and matrices: what is ignored, pictures, logits, nothing at all. (Random cases: `test_table.py`.)"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

import monograph as mg
from monograph import metrics
from tests.metrics.streaming import plain, streamed


def many(seed: int, classes: int = 5, rows: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, classes)), rng.integers(0, classes - (seed % 2), rows)  # every other time one class never occurs


def two(seed: int, rows: int = 50) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random(rows), rng.integers(0, 2, rows)


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
