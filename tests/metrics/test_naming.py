"""Keras's names: which metric they choose for which shapes, and its value."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

import monograph as mg
from monograph import metrics

RNG = np.random.default_rng(0)
SCORES, LABELS = RNG.normal(size=(50, 4)), RNG.integers(0, 4, 50)
SHARES = np.exp(SCORES) / np.exp(SCORES).sum(1, keepdims=True)
ONE_HOT = np.eye(4)[LABELS]
YES, P = RNG.integers(0, 2, 50), RNG.random(50)
REAL, GUESS = RNG.normal(size=50), RNG.normal(size=50)


def value(name: str, outputs: np.ndarray, y: np.ndarray) -> float:
    outputs, y = mg.tensor(outputs), mg.tensor(y)
    metric = metrics.by_name(name, outputs[:1], y[:1])
    other = metric.clone()
    metric.update(outputs[:30], y[:30])
    other.update(outputs[30:], y[30:])
    metric.merge([other.state()])
    return metric.compute().item()


def test_accuracy_is_chosen_by_shapes() -> None:
    right = sk.accuracy_score(LABELS, SCORES.argmax(1))
    for y in (LABELS, LABELS[:, None], LABELS.astype(np.float64), ONE_HOT):
        for outputs in (SCORES, SHARES):
            assert value("accuracy", outputs, y) == pytest.approx(right)
    assert value("sparse_categorical_accuracy", SCORES, LABELS) == value("CategoricalAccuracy", SCORES, ONE_HOT) == pytest.approx(right)
    yes = sk.accuracy_score(YES, P > 0.5)
    for outputs, y in ((P, YES), (P[:, None], YES), (P[:, None], YES[:, None]), (P, YES.astype(np.float32))):
        assert value("acc", outputs, y) == value("binary_accuracy", outputs, y) == pytest.approx(yes)
    assert value("binary_accuracy", SHARES, ONE_HOT) == pytest.approx(((SHARES > 0.5) == (ONE_HOT > 0.5)).mean())
    wide = RNG.normal(size=(50, 7))
    top = sk.top_k_accuracy_score(LABELS, wide, k=5, labels=range(7))
    assert value("sparse_top_k_categorical_accuracy", wide, LABELS) == pytest.approx(top)
    assert value("top_k_categorical_accuracy", wide, np.eye(7)[LABELS]) == pytest.approx(top)
    words = RNG.normal(size=(50, 3, 4))
    spoken = RNG.integers(0, 4, (50, 3))
    assert value("accuracy", words, spoken) == pytest.approx((words.argmax(-1) == spoken).mean())
    pictures = RNG.normal(size=(50, 4, 3, 5))
    assert value("accuracy", pictures, np.zeros((50, 3, 5), np.int64)) == pytest.approx((pictures.argmax(1) == 0).mean())


def test_other_scores() -> None:
    chosen = SCORES.argmax(1)
    for name, of in [("precision", sk.precision_score), ("Recall", sk.recall_score), ("f1", sk.f1_score), ("F1Score", sk.f1_score),
                     ("iou", sk.jaccard_score)]:  # fmt: skip
        assert value(name, SCORES, LABELS) == pytest.approx(of(LABELS, chosen, average="macro"))
        assert value(name, P[:, None], YES) == pytest.approx(of(YES, P > 0.5))
        assert value(name, SHARES, ONE_HOT) == pytest.approx(of(ONE_HOT.ravel(), SHARES.ravel() > 0.5))
    assert value("auc", P, YES) == value("AUROC", P[:, None], YES) == pytest.approx(sk.roc_auc_score(YES, P))
    assert value("AUC", SHARES, LABELS) == pytest.approx(sk.roc_auc_score(LABELS, SHARES, multi_class="ovr"))
    assert value("average_precision", P, YES) == pytest.approx(sk.average_precision_score(YES, P))
    assert value("mcc", SCORES, ONE_HOT) == pytest.approx(sk.matthews_corrcoef(LABELS, chosen))
    assert value("cohen_kappa", P, YES) == pytest.approx(sk.cohen_kappa_score(YES, P > 0.5))
    assert value("balanced_accuracy", P, YES) == pytest.approx(sk.balanced_accuracy_score(YES, P > 0.5))
    assert value("balanced_accuracy", SCORES, LABELS) == pytest.approx(sk.balanced_accuracy_score(LABELS, chosen))


def test_numbers() -> None:
    for name, expected in {
        "mse": sk.mean_squared_error(REAL, GUESS), "MeanSquaredError": sk.mean_squared_error(REAL, GUESS),
        "RootMeanSquaredError": sk.root_mean_squared_error(REAL, GUESS), "mae": sk.mean_absolute_error(REAL, GUESS),
        "mape": 100 * sk.mean_absolute_percentage_error(REAL, GUESS), "r2": sk.r2_score(REAL, GUESS), "R2Score": sk.r2_score(REAL, GUESS),
        "explained_variance": sk.explained_variance_score(REAL, GUESS), "pearson": np.corrcoef(REAL, GUESS)[0, 1],
        "logcosh": np.log(np.cosh(REAL - GUESS)).mean(),
    }.items():  # fmt: skip
        assert value(name, GUESS, REAL) == value(name, GUESS[:, None], REAL) == pytest.approx(expected), name
    assert value("binary_crossentropy", P, YES) == pytest.approx(sk.log_loss(YES, P))
    loss = sk.log_loss(LABELS, SHARES)
    assert value("sparse_categorical_crossentropy", SHARES, LABELS) == pytest.approx(loss)
    assert value("categorical_crossentropy", SHARES, ONE_HOT) == pytest.approx(loss)
    assert value("cross_entropy", SCORES, LABELS) == pytest.approx(loss)
    assert value("perplexity", SCORES, LABELS) == pytest.approx(np.exp(loss))
    cosines = 1 - sk.pairwise.paired_cosine_distances(SCORES, SHARES)
    assert value("cosine_similarity", SCORES, SHARES) == pytest.approx(cosines.mean())
    turned = SHARES[::-1].copy()
    assert value("kl_divergence", SHARES, turned) == pytest.approx((turned * np.log(turned / SHARES)).sum(1).mean())
    assert value("hinge", GUESS, YES) == pytest.approx(np.maximum(0, 1 - (2 * YES - 1) * GUESS).mean())


def test_functions() -> None:
    def off(y_true, y_pred):
        return (y_true - y_pred).abs().mean()

    def torch_order(output, target):
        return (output - 2 * target).mean(-1)

    x, y = mg.tensor([[1.0, 3.0], [2.0, 2.0], [0.0, 5.0]]), mg.zeros(3, 2)
    batchwise = metrics.from_function(off)
    batchwise.update(x[:1], y[:1])
    batchwise.update(x[1:], y[1:])
    assert batchwise.compute().item() == pytest.approx(13 / 6)
    assert metrics.from_function(torch_order)(x, y + 1).item() == pytest.approx(13 / 6 - 2)
    assert metrics.from_function(lambda output, target: 2.5)(x, y).item() == 2.5


def test_names_in_logs() -> None:
    assert metrics.log_name(metrics.MulticlassAUROC(3)) == "multiclass_auroc" and metrics.log_name(metrics.R2Score()) == "r2_score"
    assert metrics.log_name(metrics.BinaryFBetaScore(2.0)) == "binary_fbeta_score"
    assert metrics.log_name(metrics.by_name("mse", mg.zeros(2), mg.zeros(2))) == "mean_squared_error"


def test_errors_say_what_to_write() -> None:
    with pytest.raises(ValueError, match="no metric is called 'acuracy'; there are accuracy, binary_accuracy"):
        metrics.by_name("acuracy", mg.zeros(2), mg.zeros(2))
    with pytest.raises(ValueError, match=r"'mse' takes outputs and targets of one shape; the model gives \[5, 3\] for targets \[5\]"):
        metrics.by_name("mse", mg.zeros(5, 3), mg.zeros(5))
    with pytest.raises(ValueError, match=r"'categorical_accuracy' takes scores of classes .* gives \[5\]"):
        metrics.by_name("categorical_accuracy", mg.zeros(5), mg.zeros(5))
    with pytest.raises(ValueError, match="for a model with several outputs give functions"):
        metrics.by_name("accuracy", [mg.zeros(5)], mg.zeros(5))
