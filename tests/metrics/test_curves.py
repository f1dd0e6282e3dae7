"""Curves and areas equal scikit-learn's, exactly, and nearly with thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

import monograph as mg
from monograph import metrics
from tests.metrics.streaming import plain, streamed


def two(seed: int, rows: int = 80) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 2, rows)
    return np.round(np.clip(rng.random(rows) * 0.7 + 0.3 * target, 0, 1), 2), target  # rounded, for ties


def probable(seed: int, classes: int = 4, rows: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.random((rows, classes))
    return p / p.sum(1, keepdims=True), rng.integers(0, classes, rows)


@pytest.mark.parametrize("seed", range(2))
def test_two_classes(seed) -> None:
    p, t = two(seed)
    assert streamed(metrics.BinaryAUROC(), p, t, seed=seed) == pytest.approx(sk.roc_auc_score(t, p), abs=1e-12)
    assert streamed(metrics.BinaryAUROC(max_fpr=0.3), p, t, seed=seed) == pytest.approx(sk.roc_auc_score(t, p, max_fpr=0.3), abs=1e-12)
    assert streamed(metrics.AveragePrecision(task="binary"), p, t) == pytest.approx(sk.average_precision_score(t, p), abs=1e-12)
    for got, expected in zip(streamed(metrics.BinaryROC(), p, t), sk.roc_curve(t, p, drop_intermediate=False), strict=True):
        np.testing.assert_allclose(got, expected)
    for got, expected in zip(streamed(metrics.BinaryPrecisionRecallCurve(), p, t), sk.precision_recall_curve(t, p), strict=True):
        np.testing.assert_allclose(got, expected)
    # The scores are multiples of 0.01, and so are these thresholds: counts lose nothing.
    counted = metrics.BinaryAUROC(thresholds=[round(i / 100, 2) for i in range(101)])
    assert not counted.collects and streamed(counted, p, t) == pytest.approx(sk.roc_auc_score(t, p), abs=1e-12)
    rough = streamed(metrics.BinaryAveragePrecision(thresholds=50), p, t)
    assert rough == pytest.approx(sk.average_precision_score(t, p), abs=0.02)


@pytest.mark.parametrize("seed", range(2))
def test_many_classes_and_labels(seed) -> None:
    p, t = probable(seed)
    for average in ("macro", "weighted"):
        got = streamed(metrics.AUROC(task="multiclass", num_classes=4, average=average), p, t, seed=seed)
        assert got == pytest.approx(sk.roc_auc_score(t, p, multi_class="ovr", average=average), abs=1e-12)
    one_hot = np.eye(4)[t]
    np.testing.assert_allclose(
        streamed(metrics.MulticlassAveragePrecision(4, average="none"), p, t), sk.average_precision_score(one_hot, p, average=None)
    )
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, p.shape)
    for average in ("micro", "macro", "weighted", "none"):
        kind = None if average == "none" else average
        got = streamed(metrics.MultilabelAUROC(4, average=average), p, truth)
        np.testing.assert_allclose(got, sk.roc_auc_score(truth, p, average=kind), atol=1e-12)
        got = streamed(metrics.MultilabelAveragePrecision(4, average=average), p, truth)
        np.testing.assert_allclose(got, sk.average_precision_score(truth, p, average=kind), atol=1e-12)
    fpr, tpr, _ = streamed(metrics.ROC(task="multiclass", num_classes=4), p, t)
    np.testing.assert_allclose(metrics.AUC()(mg.tensor(fpr[2]), mg.tensor(tpr[2])).item(), sk.roc_auc_score(one_hot[:, 2], p[:, 2]))


def test_what_has_no_area() -> None:
    for empty in (metrics.BinaryAUROC(), metrics.BinaryAveragePrecision(), metrics.MulticlassAUROC(3), metrics.BinaryAUROC(thresholds=5)):
        assert np.isnan(empty.compute().item())
    assert np.isnan(metrics.BinaryAUROC()(mg.tensor([0.1, 0.9]), mg.tensor([1, 1])).item())
    assert np.isnan(metrics.BinaryAUROC()(mg.tensor([0.1, float("nan")]), mg.tensor([0, 1])).item())
    assert np.isnan(metrics.BinaryROC()(mg.tensor([0.1, float("nan")]), mg.tensor([0, 1]))[0].item())
    some = metrics.MulticlassAUROC(3, average="none")(mg.eye(3)[:2], mg.tensor([0, 1])).tolist()
    assert some[:2] == [1.0, 1.0] and np.isnan(some[2])
    assert metrics.MulticlassAUROC(3)(mg.eye(3)[:2], mg.tensor([0, 1])).item() == 1.0


def test_ignored_targets_and_logits() -> None:
    p, t = two(0)
    hidden = np.where(np.arange(80) % 3 == 0, -1, t)
    for how in ({}, {"thresholds": 20}):
        got = streamed(metrics.BinaryAUROC(ignore_index=-1, **how), p, hidden)
        assert got == pytest.approx(streamed(metrics.BinaryAUROC(**how), p[hidden >= 0], t[hidden >= 0]))
    logits = mg.tensor([-2.0, 3.0, 0.5])
    assert plain(metrics.BinaryAUROC(thresholds=[0.0, 0.5, 1.0])(logits, mg.tensor([0, 1, 1]))) == 1.0


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="thresholds are None, a number of them, or values from 0 to 1"):
        metrics.BinaryAUROC(thresholds=[0.5, 2.0])
    with pytest.raises(ValueError, match="max_fpr must be above 0"):
        metrics.BinaryAUROC(max_fpr=0.0)
    with pytest.raises(ValueError, match="target has the label 2"):
        metrics.BinaryAUROC().update(mg.zeros(2), mg.tensor([0, 2]))
    up_and_down = metrics.AUC()
    up_and_down.update(mg.tensor([0.0, 1.0, 0.5]), mg.tensor([0.0, 1.0, 0.5]))
    with pytest.raises(ValueError, match="goes up and down"):
        up_and_down.compute()
