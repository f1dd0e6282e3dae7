"""Metrics in `compile`, `fit` and `evaluate`: names, functions and Metric objects; values equal scikit-learn's on what `predict` gives."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

import monograph as mg
from monograph import metrics, nn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(130, 5)).astype(np.float32)
CLASSES = (X @ RNG.normal(size=(5, 3))).argmax(1)
YES = (X[:, 0] + 0.5 * RNG.normal(size=130) > 0).astype(np.float32)
REAL = (X @ RNG.normal(size=5) + 0.1 * RNG.normal(size=130)).astype(np.float32)


def model(outputs: int, *last: nn.Module) -> nn.Module:
    mg.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, outputs), *last)


def test_accuracy_of_classes() -> None:
    m = model(3)
    m.compile("adam", "cross_entropy", metrics=["accuracy"])
    history = m.fit(X, CLASSES, epochs=3, batch_size=32, validation_split=0.25, verbose=0).history
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"} and len(history["accuracy"]) == 3
    split = int(130 * 0.75)
    predicted = m.predict(X)
    assert history["val_accuracy"][-1] == pytest.approx(sk.accuracy_score(CLASSES[split:], predicted[split:].argmax(1)))
    loss, accuracy = m.evaluate(X, CLASSES, batch_size=50, verbose=0)
    assert accuracy == pytest.approx(sk.accuracy_score(CLASSES, predicted.argmax(1))) and loss > 0
    one_hot = model(3, nn.Softmax(-1))
    one_hot.compile("adam", "categorical_crossentropy", metrics=["acc", "precision"])
    one_hot.fit(X, np.eye(3)[CLASSES], epochs=1, verbose=0)
    found = one_hot.evaluate(X, np.eye(3)[CLASSES], verbose=0, return_dict=True)
    assert found["acc"] == pytest.approx(sk.accuracy_score(CLASSES, one_hot.predict(X).argmax(1)))


@pytest.mark.parametrize("columns", [False, True])
def test_yes_or_no_with_auc(columns) -> None:
    y = YES[:, None] if columns else YES
    m = model(1, nn.Sigmoid(), *(() if columns else (nn.Flatten(0),)))
    more = [] if columns else [metrics.BinaryF1Score(from_logits=False)]  # a Metric takes outputs and targets as they are
    m.compile("adam", "binary_crossentropy", metrics=["accuracy", "auc", *more])
    history = m.fit(X, y, epochs=2, batch_size=32, validation_data=(X[:60], y[:60]), verbose=0).history
    p = m.predict(X).ravel()
    assert history["val_accuracy"][-1] == pytest.approx(sk.accuracy_score(YES[:60], p[:60] > 0.5))
    assert history["val_auc"][-1] == pytest.approx(sk.roc_auc_score(YES[:60], p[:60]))
    found = m.evaluate(X, y, verbose=0, return_dict=True)
    assert found["auc"] == pytest.approx(sk.roc_auc_score(YES, p), abs=1e-6)
    if not columns:
        assert found["binary_f1_score"] == pytest.approx(sk.f1_score(YES, p > 0.5))


def test_numbers_and_functions() -> None:
    def worst(y_true, y_pred):
        return (y_true - y_pred).abs().amax(-1)

    m = model(1)
    m.compile("adam", "mse", metrics=["mae", "r2", "RootMeanSquaredError", worst])
    history = m.fit(X, REAL[:, None], epochs=2, batch_size=40, validation_split=0.2, verbose=0).history
    assert {"val_mae", "val_r2", "val_worst"} <= set(history)
    found = m.evaluate(X, REAL[:, None], verbose=0, return_dict=True)
    p = m.predict(X).ravel()
    expected = {
        "mae": sk.mean_absolute_error(REAL, p), "r2": sk.r2_score(REAL, p), "worst": np.abs(REAL - p).mean(),
        "RootMeanSquaredError": sk.root_mean_squared_error(REAL, p),
    }  # fmt: skip
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5), name


def test_a_wrong_name_is_an_error_at_fit() -> None:
    m = model(3)
    m.compile("adam", "cross_entropy", metrics=["acuracy"])
    with pytest.raises(ValueError, match="no metric is called 'acuracy'"):
        m.fit(X, CLASSES, verbose=0)


def test_train_on_batch_tells_metrics() -> None:
    m = model(3)
    m.compile("sgd", "cross_entropy", metrics=["accuracy"])
    told = m.train_on_batch(X[:16], CLASSES[:16], return_dict=True)
    assert set(told) == {"loss", "accuracy"} and 0.0 <= told["accuracy"] <= 1.0
