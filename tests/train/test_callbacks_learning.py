"""Callbacks that change how a model learns: its rate, its accumulation, averages of its weights. And that a resumed run does the same."""

from __future__ import annotations

import numpy as np
import pytest

import monograph as mg
from monograph import nn, train
from monograph.data.loader import DataLoader
from monograph.nn import functional as F
from monograph.train.checkpoint import read
from monograph.utils.data import TensorDataset
from tests.train.line import Line, data, quiet


class Noting(train.Callback):
    """Notes what a function of the trainer says, after each step or epoch."""

    def __init__(self, what, each: str = "epoch") -> None:
        self.what, self.seen = what, []
        setattr(self, "on_train_epoch_end" if each == "epoch" else "on_train_batch_end", self._note)

    def _note(self, trainer, *args) -> None:
        self.seen.append(self.what(trainer))


def rate(trainer) -> float:
    return float(trainer.optimizers[0].param_groups[0]["lr"])


def weights(model) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy().copy() for name, value in model.state_dict().items()}


def keras_model(lr: float = 0.1):
    mg.manual_seed(0)
    model = nn.Linear(4, 1)
    model.compile(mg.optim.SGD(model.parameters(), lr=lr), "mse")
    x = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
    return model, x, x.sum(1, keepdims=True)


# ---- the learning rate ----
def test_learning_rate_scheduler_is_keras() -> None:
    model, x, y = keras_model()
    history = model.fit(x, y, epochs=4, verbose=0, callbacks=[train.LearningRateScheduler(lambda epoch, lr: lr if epoch < 2 else lr * 0.5)])
    np.testing.assert_allclose(history.history["learning_rate"], [0.1, 0.1, 0.05, 0.025])
    history = model.fit(x, y, epochs=2, verbose=0, callbacks=[train.LearningRateScheduler(lambda epoch: 0.25 * (epoch + 1))])
    assert history.history["learning_rate"] == [0.25, 0.5]
    with pytest.raises(ValueError, match=r"The output of the `schedule` function should be a float. Got: 'fast'"):
        model.fit(x, y, verbose=0, callbacks=[train.LearningRateScheduler(lambda epoch: "fast")])


def test_the_compiled_step_uses_the_new_rate() -> None:
    def after(callbacks, **settings) -> np.ndarray:
        mg.manual_seed(0)
        model = Line(0.1)
        quiet(max_epochs=2, callbacks=callbacks, **settings).fit(model, data())
        return model.layer.weight.detach().numpy()

    halve = train.LearningRateScheduler(lambda epoch, lr: 0.02 if epoch else lr)
    assert np.array_equal(after([halve]), after([halve], compile=False))
    assert not np.array_equal(after([halve]), after([]))


def test_reduce_on_plateau_counts_as_keras_does() -> None:
    values = iter([5.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 3.0, 3.0, 3.0])

    class Given(train.Callback):
        def on_train_epoch_end(self, trainer, module) -> None:
            trainer.callback_metrics["metric"] = next(values)

    # Improvement at 0 and 1; epochs 2, 3 wait; reduced after 3; 4 cools down; 5 and 6 wait, reduced after 6; 7 improves.
    noting = Noting(rate)
    slower = train.ReduceLROnPlateau("metric", factor=0.5, patience=2, cooldown=2, min_lr=0.02)
    quiet(max_epochs=10, limit_train_batches=1, callbacks=[Given(), slower, noting]).fit(Line(0.08), data())
    np.testing.assert_allclose(noting.seen, [0.08, 0.08, 0.08, 0.04, 0.04, 0.04, 0.02, 0.02, 0.02, 0.02])
    with pytest.raises(ValueError, match="does not support a factor >= 1"):
        train.ReduceLROnPlateau(factor=1.0)
    with pytest.warns(UserWarning, match="watches 'nothing', which is not available; there are: .*train_loss"):
        quiet(max_epochs=1, callbacks=[train.ReduceLROnPlateau("nothing")]).fit(Line(), data())


class Kept(train.Logger):
    def __init__(self) -> None:
        self.rows: list[tuple[int | None, dict]] = []

    def log_metrics(self, metrics, step=None) -> None:
        self.rows.append((step, dict(metrics)))


def test_learning_rate_monitor_names_and_intervals() -> None:
    class Scheduled(Line):
        def configure_optimizers(self):
            groups = [{"params": [self.layer.weight]}, {"params": [self.layer.bias], "lr": 0.5, "name": "bias"}]
            optimizer = mg.optim.Adam(groups, lr=0.1, weight_decay=0.01)
            return [optimizer], [{"scheduler": mg.optim.lr_scheduler.StepLR(optimizer, 1, 0.1), "name": "rate", "interval": "epoch"}]

    def logged(**settings) -> list[tuple[int | None, dict]]:
        kept = Kept()
        monitor = train.LearningRateMonitor(**settings)
        quiet(max_epochs=2, logger=kept, log_every_n_steps=2, limit_train_batches=4, callbacks=[monitor]).fit(Scheduled(), data())
        return [(step, row) for step, row in kept.rows if "rate/pg1" in row]

    assert logged() == [(0, {"rate/pg1": 0.1, "rate/bias": 0.5}), (4, {"rate/pg1": pytest.approx(0.01), "rate/bias": pytest.approx(0.05)})]
    assert [step for step, _ in logged(logging_interval="step")] == [0, 2, 4, 6]
    assert set(logged(log_momentum=True, log_weight_decay=True)[0][1]) == {
        "rate/pg1", "rate/bias", "rate/pg1-momentum", "rate/bias-momentum", "rate/pg1-weight_decay", "rate/bias-weight_decay",
    }  # fmt: skip
    with pytest.raises(ValueError, match="writes to the trainer's logger, and there is none"):
        quiet(max_epochs=1, callbacks=[train.LearningRateMonitor()]).fit(Line(), data())
    with pytest.raises(ValueError, match="should be `step` or `epoch`"):
        train.LearningRateMonitor("batch")


# ---- accumulation ----
def test_gradient_accumulation_by_epoch() -> None:
    noting = Noting(lambda trainer: trainer.global_step)
    trainer = quiet(max_epochs=4, callbacks=[train.GradientAccumulationScheduler({1: 2, 3: 5}), noting])
    trainer.fit(Line(), data(80))
    assert noting.seen == [10, 15, 20, 22] and trainer.accumulate_grad_batches == 1

    def weight(size: int, callbacks) -> np.ndarray:
        mg.manual_seed(0)
        model = Line()
        quiet(max_epochs=2, callbacks=callbacks).fit(model, data(48, size))
        return model.layer.weight.detach().numpy()

    np.testing.assert_allclose(weight(16, []), weight(4, [train.GradientAccumulationScheduler(4)]), rtol=1e-5)


@pytest.mark.parametrize(("scheduling", "error"), [({}, TypeError), ({-1: 2}, ValueError), ({0: 0}, ValueError), ({0: 1.5}, ValueError)])
def test_accumulation_refuses(scheduling, error) -> None:
    with pytest.raises(error, match="scheduling"):
        train.GradientAccumulationScheduler(scheduling)


def test_accumulation_is_given_once() -> None:
    with pytest.raises(ValueError, match="give one of them"):
        quiet(accumulate_grad_batches=4, callbacks=[train.GradientAccumulationScheduler({2: 2})]).fit(Line(), data())


# ---- averages ----
def test_ema_is_the_formula_and_stands_in() -> None:
    during, steps = [], Noting(lambda trainer: weights(trainer.model)["layer.weight"], "step")

    class Looking(train.Callback):
        def on_validation_batch_start(self, trainer, *args) -> None:
            if not trainer.sanity_checking:
                during.append(weights(trainer.model)["layer.weight"])

    mg.manual_seed(0)
    model = Line()
    ema = train.EMA(decay=0.8)
    quiet(max_epochs=2, callbacks=[ema, steps, Looking()], limit_val_batches=1).fit(model, data(), data())
    expected, shown = steps.seen[0].copy(), []
    for number, weight in enumerate(steps.seen[1:], 2):
        expected = 0.8 * expected + 0.2 * weight
        if number % 5 == 0:
            shown.append(expected.copy())
    np.testing.assert_allclose(during, shown, rtol=1e-5)
    np.testing.assert_allclose(weights(model)["layer.weight"], expected, rtol=1e-5)
    # Training itself saw nothing of it.
    mg.manual_seed(0)
    plain, other = Line(), Noting(lambda trainer: weights(trainer.model)["layer.weight"], "step")
    quiet(max_epochs=2, callbacks=[other], limit_val_batches=1).fit(plain, data(), data())
    assert np.array_equal(steps.seen, other.seen)


def test_ema_starts_late_and_rarely() -> None:
    counts = Noting(lambda trainer: (ema.count, bool(ema.averages)), "step")
    ema = train.EMA(0.5, every_n_steps=3, starting_at_step=4)
    quiet(max_steps=10, callbacks=[ema, counts]).fit(Line(), data(80))
    assert [count for count, _ in counts.seen] == [0, 0, 0, 0, 0, 0, 1, 1, 1, 2] and counts.seen[5][1] is False
    ema = train.EMA(0.5, every_n_steps=0, starting_at_epoch=1)
    quiet(max_epochs=3, callbacks=[ema]).fit(Line(), data())
    assert ema.count == 2
    with pytest.raises(ValueError, match="decay is from 0"):
        train.EMA(1.5)


@pytest.mark.parametrize("average_first", [True, False])
def test_the_best_weights_are_the_averages_that_validation_saw(average_first: bool) -> None:
    seen: list[tuple[float, np.ndarray]] = []

    class Looking(train.Callback):
        def on_validation_batch_end(self, trainer, *args) -> None:
            self.weight = weights(trainer.model)["layer.weight"]

        def on_validation_end(self, trainer, module) -> None:
            if not trainer.sanity_checking:
                seen.append((float(trainer.callback_metrics["val_loss"]), self.weight))

    class Worsening(Line):
        def validation_step(self, batch, batch_idx):  # best in the middle
            self.log("val_loss", (self.trainer.current_epoch - 2) ** 2 + F.mse_loss(self.layer(batch[0]), batch[1]) * 1e-3)

    model = Worsening()
    stop = train.EarlyStopping("val_loss", patience=2, restore_best_weights=True)
    both = [train.EMA(0.8), stop] if average_first else [stop, train.EMA(0.8)]
    quiet(max_epochs=9, callbacks=[*both, Looking()], limit_val_batches=1).fit(model, data(), data())
    assert stop.best_epoch == 2 and len(seen) == 5
    assert np.array_equal(weights(model)["layer.weight"], min(seen)[1])
    assert not np.array_equal(weights(model)["layer.weight"], seen[-1][1])


def test_an_error_in_validation_puts_the_weights_back() -> None:
    class Broken(Line):
        def validation_step(self, batch, batch_idx):
            raise RuntimeError("no")

    mg.manual_seed(0)
    model, plain = Broken(), None
    with pytest.raises(RuntimeError, match="no"):
        quiet(max_epochs=1, num_sanity_val_steps=0, callbacks=[train.EMA(0.5)]).fit(model, data(), data())
    mg.manual_seed(0)
    plain = Line()
    quiet(max_epochs=1).fit(plain, data())
    assert np.array_equal(weights(model)["layer.weight"], weights(plain)["layer.weight"])


class Normed(train.TrainModule):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.layers(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        optimizer = mg.optim.SGD(self.parameters(), lr=0.1)
        return [optimizer], [mg.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]


def test_swa_averages_anneals_and_renews_statistics() -> None:
    mg.manual_seed(0)
    model, ends, rates = Normed(), Noting(lambda trainer: weights(trainer.model)), Noting(rate, "step")
    loader = data(40, 10)
    swa = train.StochasticWeightAveraging(0.2, swa_epoch_start=0.5, annealing_epochs=2, annealing_strategy="linear")
    quiet(max_epochs=6, callbacks=[ends, swa, rates]).fit(model, loader)
    np.testing.assert_allclose(rates.seen[::4], [0.1, 0.05, 0.025, (0.0125 + 0.2) / 2, 0.2, 0.2])
    for name in ("layers.0.weight", "layers.3.bias"):
        np.testing.assert_allclose(weights(model)[name], np.mean([end[name] for end in ends.seen[3:]], 0), rtol=1e-5, atol=1e-7)
    x = loader.dataset.tensors[0]
    hidden = model.layers[0](x).detach().numpy().reshape(4, 10, 8)
    np.testing.assert_allclose(weights(model)["layers.1.running_mean"], hidden.mean((0, 1)), rtol=1e-4, atol=1e-6)
    assert model.layers[1].momentum == 0.1
    for wrong in ({"swa_lrs": -1.0}, {"swa_lrs": 0.1, "swa_epoch_start": 1.5}, {"swa_lrs": 0.1, "annealing_strategy": "step"}):
        with pytest.raises(ValueError, match=r"swa_|annealing"):
            train.StochasticWeightAveraging(**wrong)


# ---- all of it, broken off and resumed ----
def stateful():
    return [
        train.EMA(decay=0.9), train.ReduceLROnPlateau("train_loss", factor=0.5, patience=1, min_delta=10.0),
        train.GradientAccumulationScheduler({1: 2}),
    ]  # fmt: skip


@pytest.mark.parametrize("make", [stateful, lambda: [train.StochasticWeightAveraging(0.05, 2, 3)]], ids=["ema and rates", "swa"])
def test_resumed_runs_end_the_same(tmp_path, make) -> None:
    def run(folder, ckpt_path=None):
        train.seed_everything(1)
        x = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
        loader = DataLoader(TensorDataset(mg.from_numpy(x), mg.from_numpy(x.sum(1, keepdims=True))), batch_size=5, shuffle=True)
        keep = train.ModelCheckpoint(dirpath=folder, every_n_train_steps=1, save_top_k=-1, asynchronous=False)
        model, callbacks = Normed(), make()
        trainer = quiet(max_epochs=4, callbacks=[*callbacks, keep], enable_checkpointing=True)
        trainer.fit(model, loader, ckpt_path=ckpt_path)
        return weights(model), rate(trainer)

    whole, last_rate = run(tmp_path / "whole")
    files = sorted((tmp_path / "whole").glob("*.ckpt"), key=lambda p: p.stat().st_mtime_ns)
    for file in files[1::4]:
        again, rate_again = run(tmp_path / "again", file)
        assert rate_again == last_rate and all(np.array_equal(whole[k], again[k]) for k in whole), file.name


def test_a_checkpoint_has_the_averages_and_the_weights(tmp_path) -> None:
    ema = train.EMA(decay=0.5)
    keep = train.ModelCheckpoint(tmp_path / "last.ckpt", asynchronous=False)
    noting = Noting(lambda trainer: weights(trainer.model)["layer.weight"])
    quiet(max_epochs=1, callbacks=[ema, keep, noting], enable_checkpointing=True).fit(Line(), data())
    state = read(tmp_path / "last.ckpt")
    assert np.array_equal(state["current_model_state"]["layer.weight"].numpy(), noting.seen[-1])
    assert np.array_equal(state["state_dict"]["layer.weight"].numpy(), ema.averages["layer.weight"].numpy())
    assert not np.array_equal(state["state_dict"]["layer.weight"].numpy(), noting.seen[-1])
