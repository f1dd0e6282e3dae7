"""Keras's verbs on any module."""

from __future__ import annotations

import copy
import gc
import weakref

import numpy as np
import pytest

import monograph as mg
from monograph import nn, train
from monograph.data.loader import DataLoader
from monograph.nn import functional as F
from monograph.utils.data import TensorDataset

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 5))
Y = (X @ RNG.normal(size=(5, 3))).argmax(1)


def model(*last: nn.Module) -> nn.Module:
    mg.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 3), *last)


def test_fit_evaluate_predict() -> None:
    m = model()
    m.compile(optimizer="adam", loss="cross_entropy")
    history = m.fit(X, Y, epochs=40, batch_size=16, validation_split=0.25, verbose=0)
    assert isinstance(history, train.History) and set(history.history) == {"loss", "val_loss"} and len(history.epoch) == 40
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
    loss = m.evaluate(X, Y, verbose=0)
    predicted = m.predict(X, batch_size=50)
    assert predicted.shape == (120, 3) and predicted.dtype == np.float32 and not m.training
    exact = F.cross_entropy(mg.from_numpy(predicted), mg.from_numpy(Y)).item()
    assert loss == pytest.approx(exact, rel=1e-5) and m.evaluate(X, Y, verbose=0, return_dict=True) == {"loss": loss}
    first = m.train_on_batch(X[:16], Y[:16])
    assert m.test_on_batch(X[:16], Y[:16]) < first and m.predict_on_batch(X[:2]).shape == (2, 3)


def test_the_same_seed_gives_the_same_run_and_a_second_fit_goes_on() -> None:
    def weights(*epochs: int) -> np.ndarray:
        m = model(nn.Dropout(0.1))
        m.compile("sgd", "cross_entropy")
        for n in epochs:
            m.fit(X, Y, epochs=n, verbose=0)
        return m[0].weight.detach().numpy()

    assert np.array_equal(weights(3), weights(3)) and not np.array_equal(weights(3), weights(3, 1))


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "SparseCategoricalCrossentropy"])
def test_keras_losses_take_probabilities(loss) -> None:
    m = model(nn.Softmax(-1))
    m.compile("adam", loss)
    with_logits = model()
    with_logits.compile("adam", loss, from_logits=True)
    plain = model()
    plain.compile("adam", F.cross_entropy)
    values = [k.evaluate(X, Y, verbose=0) for k in (m, with_logits, plain)]
    assert values == pytest.approx([values[0]] * 3, rel=1e-5)
    wrong = model()
    wrong.compile("adam", loss)
    with pytest.raises(ValueError, match=r"takes probabilities.*use loss='cross_entropy', or from_logits=True"):
        wrong.fit(X, Y, verbose=0)


def test_weights_of_samples_and_classes() -> None:
    def loss(**weights) -> float:
        m = model()
        m.compile(mg.optim.SGD(m.parameters(), lr=0.0), "cross_entropy")
        return m.fit(X, Y, verbose=0, batch_size=120, **weights).history["loss"][0]

    m = model()
    each = F.cross_entropy(m(mg.from_numpy(X).float()), mg.from_numpy(Y), reduction="none").detach().numpy()
    of_class = np.array([1.0, 1.0, 5.0])
    assert loss(class_weight={2: 5.0}) == pytest.approx((each * of_class[Y]).mean(), rel=1e-5)
    of_sample = np.linspace(0, 2, 120)
    assert loss(sample_weight=of_sample) == pytest.approx((each * of_sample).mean(), rel=1e-5)
    assert loss(class_weight={0: 2.0}, sample_weight=of_sample) == pytest.approx(
        (each * of_sample * np.where(Y == 0, 2, 1)).mean(), rel=1e-5
    )


def test_loaders_dicts_and_several_inputs() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(5, 3), nn.Linear(5, 3)

        def forward(self, first, second):
            return self.a(first) + self.b(second)

    m = Two()
    m.compile("sgd", nn.CrossEntropyLoss())
    m.fit((X, X), Y, verbose=0)
    m.fit({"first": X, "second": X}, Y, verbose=0)
    assert m.predict((X, X)).shape == (120, 3)
    one = model()
    one.compile("sgd", "cross_entropy")
    loader = DataLoader(TensorDataset(mg.from_numpy(X.astype(np.float32)), mg.from_numpy(Y)), batch_size=32, shuffle=True)
    history = one.fit(loader, epochs=2, validation_data=loader, validation_steps=2, steps_per_epoch=3, initial_epoch=1, verbose=0)
    assert history.epoch == [1] and set(history.history) == {"loss", "val_loss"}
    assert isinstance(one.evaluate(loader, verbose=0), float)


def test_callbacks_of_keras() -> None:
    seen = []

    class Noting(train.KerasCallback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, sorted(logs)))
            if epoch == 1:
                self.model.stop_training = True

    m = model()
    m.compile("sgd", "cross_entropy")
    ended = []
    m.fit(X, Y, epochs=9, verbose=0, callbacks=[Noting(), train.LambdaCallback(on_train_end=lambda logs: ended.append(logs["loss"]))])
    assert seen == [(0, ["loss"]), (1, ["loss"])] and len(ended) == 1
    with pytest.raises(TypeError, match="LambdaCallback\\(\\) has no hook 'on_epoch'"):
        train.LambdaCallback(on_epoch=print)


def test_torch_meaning_of_compile_stays() -> None:
    m = model()
    m.compile()
    assert m(mg.from_numpy(X).float()).shape == (120, 3)
    m.add_module("predict", nn.Linear(3, 1))
    assert isinstance(m.predict, nn.Linear)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.fit(X, Y), RuntimeError, "call model.compile"),
        (lambda m: m.compile(optimizer="adm", loss="mse") or m.fit(X, Y), ValueError, "no optimiser is called 'adm'"),
        (lambda m: m.compile(optimizer="adam", loss="mss"), ValueError, "no loss is called 'mss'"),
        (lambda m: m.compile("adam", "cross_entropy") or m.fit(X, Y[:5]), ValueError, "the same number of rows"),
        (lambda m: m.compile("adam", "cross_entropy") or m.fit(np.array(["a"]), Y[:1]), TypeError, "training data must be numbers"),
        (lambda m: m.compile("adam", "cross_entropy") or m.fit(X, Y, validation_split=2.0), ValueError, "validation_split"),
        (
            lambda m: m.compile("adam", lambda a, b: (a - b).mean()) or m.fit(X, X[:, :3], sample_weight=np.ones(120), verbose=0),
            ValueError,
            "tells samples",
        ),
    ],
)
def test_errors_say_what_to_do(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call(model())


def test_a_trained_module_is_let_go_and_copied_without_its_training() -> None:
    m = model()
    m.compile("sgd", "cross_entropy")
    m.fit(X, Y, verbose=0)
    copied = copy.deepcopy(m)
    with pytest.raises(RuntimeError, match="call model"):
        copied.fit(X, Y)
    alive = weakref.ref(m)
    del m
    gc.collect()
    assert alive() is None
