"""Search: a learning rate, a batch size, and Optuna's pruning. What they try is undone."""

from __future__ import annotations

import numpy as np
import pytest

import monograph as mg
from monograph import train
from monograph.data.loader import DataLoader
from monograph.train import finders
from tests.train.line import Line, data, quiet
from tests.train.test_callbacks_learning import keras_model, weights


def test_lr_find_in_both_styles_and_everything_is_as_before() -> None:
    model, x, y = keras_model(0.1)
    model.fit(x, y, epochs=1, verbose=0)
    before, stream = weights(model), mg.get_rng_state().clone()
    found = train.lr_find(model, x, y, batch_size=4, min_lr=1e-4, max_lr=10.0, num_training=60)
    assert all(np.array_equal(before[name], value) for name, value in weights(model).items())
    assert mg.equal(stream, mg.get_rng_state())
    rates, losses = found.results["lr"], found.results["loss"]
    assert len(rates) == len(losses) < 60  # it diverged, and the test ended there
    np.testing.assert_allclose(rates, 1e-4 * (1e5) ** (np.arange(len(rates)) / 59), rtol=1e-6)
    assert found.suggestion() in rates and rates[0] < found.suggestion() < 1.0
    rate = train.lr_find(model, x, y, batch_size=4, min_lr=1e-4, max_lr=10.0, num_training=60, update_attr=True).suggestion()
    history = model.fit(x, y, epochs=1, verbose=0, callbacks=[train.LearningRateScheduler(lambda epoch, lr: lr)])
    assert history.history["learning_rate"] == [pytest.approx(rate)]

    line, trainer = Line(0.05), quiet(max_epochs=1)
    found = train.Tuner(trainer).lr_find(line, data(80), min_lr=1e-4, max_lr=1.0, num_training=40, mode="exponential")
    assert line.lr == found.suggestion() and "suggests" in repr(found)
    # Smoothed as Lightning smooths.
    linear = train.lr_find(Line(), data(80), num_training=20, mode="linear", early_stop_threshold=None)
    assert linear.results["lr"][-1] == pytest.approx(1.0) and len(linear.results["lr"]) == 20


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"mode": "log"}, ValueError, "mode is 'exponential' or 'linear'"),
        ({"min_lr": 1.0, "max_lr": 0.1}, ValueError, "from min_lr up to max_lr"),
        ({"num_training": 1}, ValueError, "at least 2 steps"),
        ({"update_attr": True, "attr_name": "rate"}, AttributeError, "Line has no attribute rate"),
    ],
)
def test_lr_find_refuses(settings, error, message) -> None:
    with pytest.raises(error, match=message):
        train.lr_find(Line(), data(), **settings)


def test_too_few_losses_suggest_nothing() -> None:
    assert train.lr_find(Line(), data(), num_training=5).suggestion() is None


class Sized(Line):
    def __init__(self, most: int) -> None:
        super().__init__()
        self.batch_size, self.most, self.tried = 1, most, []

    def train_dataloader(self):
        self.tried.append(self.batch_size)
        if self.batch_size > self.most:
            raise MemoryError
        return DataLoader(data(64).dataset, batch_size=self.batch_size)


def test_batch_size_until_memory_ends() -> None:
    model = Sized(20)
    before = weights(model)
    assert train.scale_batch_size(model) == 16 and model.batch_size == 16 and model.tried == [2, 4, 8, 16, 32]
    assert train.Tuner(quiet()).scale_batch_size(model, mode="binsearch") == 20 and model.batch_size == 20
    assert all(np.array_equal(before[name], value) for name, value in weights(model).items())
    assert train.scale_batch_size(Sized(10**9), max_trials=3) == 8
    with pytest.raises(MemoryError, match="not even one sample"):
        train.scale_batch_size(Sized(0))
    with pytest.raises(AttributeError, match="Line has no attribute batch_size"):
        train.scale_batch_size(Line())
    with pytest.raises(ValueError, match="mode is 'power' or 'binsearch'"):
        train.scale_batch_size(Line(), mode="fast")
    with pytest.raises(ValueError, match="a loader has its batch size already"):
        train.scale_batch_size(Line(), data())
    model, x, y = keras_model()
    assert train.scale_batch_size(model, x, y) == 32


def test_a_size_that_would_not_fit_is_not_tried(monkeypatch) -> None:
    class Full(finders.MachineReader):
        def memory_left(self) -> float:
            return 900.0

        def memory_of_process(self) -> float:
            return held[0]

    held, tried = [0.0], []

    def run(size: int) -> None:
        tried.append(size)
        held[0] += 100.0 * size

    monkeypatch.setattr(finders, "MachineReader", Full)
    assert finders._search(run, 2, 25, "power", None, 0.8) == 4 and tried == [2, 4]


# ---- Optuna ----
class Trial:
    """What a trial does, as far as the callback sees."""

    def __init__(self, prune_at: int) -> None:
        self.prune_at, self.reported = prune_at, []

    def report(self, value: float, step: int) -> None:
        self.reported.append((step, value))

    def should_prune(self) -> bool:
        return len(self.reported) > self.prune_at


def test_pruning_reports_each_validated_epoch() -> None:
    trial = Trial(9)
    quiet(max_epochs=4, check_val_every_n_epoch=2, callbacks=[train.OptunaPruningCallback(trial)]).fit(Line(), data(), data())
    assert [step for step, _ in trial.reported] == [1, 3]
    with pytest.raises(KeyError, match="OptunaPruningCallback watches 'accuracy'"):
        quiet(max_epochs=1, callbacks=[train.OptunaPruningCallback(Trial(9), "accuracy")]).fit(Line(), data())


def test_optuna_for_real() -> None:
    optuna = pytest.importorskip("optuna", reason="optuna is an extra")
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial) -> float:
        model, x, y = keras_model(trial.suggest_categorical("lr", [0.1, 1e-6, 1e-5]))
        prune = train.OptunaPruningCallback(trial, monitor="loss")
        return model.fit(x, y, batch_size=4, epochs=6, verbose=0, callbacks=[prune]).history["loss"][-1]

    sampler = optuna.samplers.GridSampler({"lr": [0.1, 1e-6, 1e-5]}, seed=0)
    study = optuna.create_study(sampler=sampler, pruner=optuna.pruners.ThresholdPruner(upper=1.0, n_warmup_steps=2))
    study.optimize(objective, n_trials=3)
    assert study.best_params == {"lr": 0.1}
    states = sorted(trial.state.name for trial in study.trials)
    assert states == ["COMPLETE", "PRUNED", "PRUNED"]
    assert [len(t.intermediate_values) for t in study.trials if t.state.name == "PRUNED"] == [3, 3]
