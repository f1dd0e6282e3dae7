"""What a Trainer does: hooks and their order, limits, logging, accumulation, precision, stopping; errors that say what to do."""

from __future__ import annotations

import csv

import numpy as np
import pytest

import monograph as mg
from monograph import nn, train
from monograph.data.loader import DataLoader
from monograph.nn import functional as F
from monograph.utils.data import TensorDataset
from tests.train.line import Line, data, quiet


def test_it_learns_and_its_means_are_exact() -> None:
    model, trainer = Line(), quiet(max_epochs=30)
    loader = data(44)  # the last batch is smaller: a mean of batches would be another number
    trainer.fit(model, loader, loader)
    (found,) = trainer.validate(model, loader)
    x, y = (t.numpy() for t in loader.dataset.tensors)
    exact = float(np.mean((x @ model.layer.weight.detach().numpy().T + model.layer.bias.detach().numpy() - y) ** 2))
    assert found["val_loss"] == pytest.approx(exact, rel=1e-5) and exact < 1e-2
    assert trainer.global_step == 30 * 6 and trainer.test(model, loader)[0]["test_loss"] == pytest.approx(exact, rel=1e-5)
    assert np.concatenate([p.numpy() for p in trainer.predict(model, loader)]).shape == (44, 1)


def test_the_steps_are_compiled_and_the_same_as_uncompiled() -> None:
    def weights(**settings) -> np.ndarray:
        mg.manual_seed(0)
        model = Line()
        trainer = quiet(max_epochs=2, **settings)
        trainer.fit(model, data())
        if settings.get("compile", True):
            engine = trainer.fitting.stepper._update.__closure__[0].cell_contents.engine
            assert engine.reasons == [] and engine.captures <= 3
        return model.layer.weight.detach().numpy()

    assert np.array_equal(weights(), weights(compile=False))


def test_every_fit_captures_its_step_once() -> None:
    """Also with an optimiser that keeps state, with schedules of its numbers; a smaller last batch is one more."""

    class Scheduled(Line):
        def configure_optimizers(self):
            optimizer = mg.optim.Adam(self.parameters(), lr=0.05)
            steps = mg.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=int(self.trainer.estimated_stepping_batches) + 1)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": steps, "interval": "step"}}

    model = Scheduled()
    for _ in range(2):
        trainer = quiet(max_epochs=3)
        trainer.fit(model, data(44))
        engine = trainer.fitting.stepper._update.__closure__[0].cell_contents.engine
        assert engine.reasons == [] and engine.captures == 2


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}, {"dampening": 0.5}])
def test_momentum_is_there_before_the_first_step(settings) -> None:
    """So that the step is captured once; the numbers are those of steps that are not compiled, whose first one makes it."""

    class Descending(Line):
        def configure_optimizers(self):
            return mg.optim.SGD(self.parameters(), lr=0.05, **{"momentum": 0.5, **settings})

    def weights(compile: bool) -> np.ndarray:  # noqa: A002 - the trainer's name
        mg.manual_seed(0)
        model, trainer = Descending(), quiet(max_epochs=2, compile=compile)
        trainer.fit(model, data(40))
        if compile:
            engine = trainer.fitting.stepper._update.__closure__[0].cell_contents.engine
            assert engine.reasons == [] and engine.captures == (2 if "dampening" in settings else 1)
        return model.layer.weight.detach().numpy()

    assert np.array_equal(weights(True), weights(False))


def test_hooks_come_in_order() -> None:
    seen: list[str] = []
    names = [n for n in dir(train.Callback) if n.startswith("on_") or n in ("setup", "teardown")]

    def noting(who: str, name: str):
        return lambda self, *args: seen.append(f"{who}.{name}")

    hooks = [n for n in names if n not in ("on_save_checkpoint", "on_load_checkpoint", "on_exception")]
    first, last = (type(who, (train.Callback,), {n: noting(who, n) for n in hooks}) for who in ("first", "last"))
    last.saves = True
    module = type("Own", (Line,), {n: noting("own", n) for n in ("on_train_epoch_end", "on_train_batch_end")})
    quiet(max_epochs=1, callbacks=[last(), first()], limit_train_batches=1, limit_val_batches=1).fit(module(), data(), data())
    order = [s for s in seen if s.startswith("first")]
    assert order == [
        f"first.{n}"
        for n in (
            *("setup", "on_fit_start", "on_sanity_check_start", "on_validation_start", "on_validation_epoch_start"),
            *(
                "on_validation_batch_start",
                "on_validation_batch_end",
                "on_validation_epoch_end",
                "on_validation_end",
                "on_sanity_check_end",
            ),
            *("on_train_start", "on_train_epoch_start", "on_train_batch_start", "on_train_batch_end"),
            *("on_validation_start", "on_validation_epoch_start", "on_validation_batch_start", "on_validation_batch_end"),
            *("on_validation_epoch_end", "on_validation_end", "on_train_epoch_end", "on_train_end", "on_fit_end", "teardown"),
        )
    ]
    ends = [s for s in seen if s.endswith("on_train_epoch_end")]
    assert ends == ["first.on_train_epoch_end", "own.on_train_epoch_end", "last.on_train_epoch_end"]


def test_limits_and_intervals() -> None:
    class Counting(train.Callback):
        def __init__(self) -> None:
            self.batches = self.validations = 0

        def on_train_batch_end(self, *args) -> None:
            self.batches += 1

        def on_validation_end(self, trainer, module) -> None:
            self.validations += not trainer.sanity_checking

    def counted(**settings) -> tuple[int, int, int]:
        counting = Counting()
        trainer = quiet(callbacks=[counting], **settings)
        trainer.fit(Line(), data(80), data())
        return counting.batches, counting.validations, trainer.global_step

    assert counted(max_epochs=2) == (20, 2, 20)
    assert counted(max_epochs=2, limit_train_batches=0.5, limit_val_batches=0) == (10, 0, 10)
    assert counted(max_epochs=1, val_check_interval=3) == (10, 3, 10)
    assert counted(max_epochs=1, val_check_interval=0.5) == (10, 2, 10)
    assert counted(max_epochs=4, check_val_every_n_epoch=2, limit_train_batches=2) == (8, 2, 8)
    assert counted(max_steps=13) == (13, 2, 13)
    assert counted(max_epochs=1, accumulate_grad_batches=4) == (10, 1, 3)
    assert counted(fast_dev_run=True) == (1, 1, 1)
    assert counted(max_epochs=3, overfit_batches=2) == (6, 0, 6)
    assert counted(max_epochs=5, max_time={"seconds": 0})[0] == 0


def test_accumulation_is_a_larger_batch() -> None:
    def weight(batch_size: int, **settings) -> np.ndarray:
        mg.manual_seed(0)
        model = Line()
        quiet(max_epochs=2, **settings).fit(model, data(48, batch_size))
        return model.layer.weight.detach().numpy()

    np.testing.assert_allclose(weight(16), weight(4, accumulate_grad_batches=4), rtol=1e-5)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed", "64-true", "bf16-true"])
def test_precision(precision) -> None:
    mg.manual_seed(0)
    model, trainer = Line(), quiet(max_epochs=8, precision=precision)
    rows = data()
    if precision.endswith("true"):
        dtype = {"64-true": mg.float64, "bf16-true": mg.bfloat16}[precision]
        rows = DataLoader(TensorDataset(*[t.to(dtype) for t in rows.dataset.tensors]), batch_size=8)
    trainer.fit(model, rows)
    assert trainer.callback_metrics["train_loss"].item() < 1.0 and mg.get_default_dtype() is mg.float32
    assert model.layer.weight.dtype is {"64-true": mg.float64, "bf16-true": mg.bfloat16}.get(precision, mg.float32)


def test_clipping_limits_the_step() -> None:
    model = Line(lr=1.0)
    before = model.layer.weight.detach().numpy().copy()
    quiet(max_steps=1, gradient_clip_val=1e-3).fit(model, data())
    assert 0 < np.linalg.norm(model.layer.weight.detach().numpy() - before) <= 1.001e-3
    quiet(max_steps=1, gradient_clip_val=1e-3, gradient_clip_algorithm="value").fit(model, data())


def test_callbacks_that_stop() -> None:
    stop = train.EarlyStopping("val_loss", patience=2, min_delta=1e9, restore_best_weights=True)
    trainer = quiet(max_epochs=50, callbacks=[stop])
    trainer.fit(Line(), data(), data())
    assert trainer.fitting.epoch == 3 and stop.stopped_epoch == 2 and stop.best_epoch == 0
    quiet(max_epochs=3, callbacks=[train.EarlyStopping("val_loss", patience=5)]).fit(Line(), data(), data())
    with pytest.raises(KeyError, match="watches 'nothing', which nobody has logged; there are: train_loss"):
        quiet(max_epochs=2, callbacks=[train.EarlyStopping("nothing")]).fit(Line(), data())
    trainer = quiet(max_epochs=5, callbacks=[train.TerminateOnNaN()])
    trainer.fit(Line(lr=1e30), data())
    assert 1 < trainer.global_step < 5


def test_csv_logger_and_checkpoints_land_in_one_folder(tmp_path) -> None:
    trainer = train.Trainer(max_epochs=2, default_root_dir=tmp_path, enable_progress_bar=False, log_every_n_steps=2)
    trainer.fit(Line(), data(), data())
    folder = tmp_path / "monograph_logs" / "version_0"
    assert sorted(p.name for p in folder.rglob("*") if p.is_file()) == ["epoch=1-step=10.ckpt", "metrics.csv"]
    rows = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))
    assert {"step", "epoch", "train_loss_step", "train_loss_epoch", "val_loss"} == set(rows[0])
    assert sum(bool(row["train_loss_step"]) for row in rows) == 5 and rows[-1]["val_loss"] == ""


def test_a_step_that_reads_the_epoch_is_recorded_once_an_epoch() -> None:
    class Annealed(Line):
        def training_step(self, batch, batch_idx):
            return super().training_step(batch, 0) * (1.0 + self.current_epoch)

    def weight(compiling: bool) -> np.ndarray:
        mg.manual_seed(0)
        model = Annealed(0.005)
        trainer = quiet(max_epochs=3, compile=compiling)
        trainer.fit(model, data())
        return model.layer.weight.detach().numpy()

    assert np.array_equal(weight(True), weight(False))


def test_manual_optimisation() -> None:
    class Two(train.TrainModule):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 1), nn.Linear(4, 1)
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            for optimizer, layer in zip(self.optimizers(), (self.a, self.b), strict=True):
                loss = F.mse_loss(layer(batch[0]), batch[1])
                optimizer.zero_grad()
                self.manual_backward(loss)
                optimizer.step()
            self.log("loss", loss)

        def configure_optimizers(self):
            return [mg.optim.SGD(self.a.parameters(), lr=0.05), mg.optim.SGD(self.b.parameters(), lr=0.05)]

    trainer = quiet(max_epochs=20)
    trainer.fit(Two(), data())
    assert trainer.callback_metrics["loss"].item() < 0.1


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: quiet().fit(nn.Linear(1, 1), data()), TypeError, "use model.compile\\(optimizer, loss\\) and model.fit"),
        (lambda: quiet().fit(Line()), ValueError, "fit\\(\\) needs training data"),
        (lambda: quiet().fit(Line(), mg.ones(3)), TypeError, "arrays go to fit\\(x, y\\)"),
        (lambda: quiet(accelerator="gpu"), ValueError, "computes on the CPU"),
        (lambda: quiet(precision="8"), ValueError, "none of 32-true"),
        (lambda: quiet(limit_train_batches=1.5), ValueError, "limit_train_batches is a number of batches"),
        (lambda: quiet(max_time="soon"), ValueError, "dd:hh:mm:ss"),
        (lambda: quiet(max_epochs=1).fit(Line(), data(), ckpt_path="missing.ckpt"), FileNotFoundError, "no checkpoint missing.ckpt"),
        (lambda: quiet(max_epochs=1, val_check_interval=99).fit(Line(), data(), data()), ValueError, "more than the 5 batches"),
        (lambda: quiet(max_epochs=2).fit(Line(), (b for b in data())), ValueError, "a generator is read once"),
        (lambda: quiet(callbacks=[object()]), TypeError, "is no callback"),
        (lambda: Line().log("x", 1.0), RuntimeError, "there is no trainer at work"),
        (lambda: Line().trainer, RuntimeError, "not attached to a Trainer"),
    ],
)
def test_errors_say_what_to_do(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


def test_an_error_in_a_step_reaches_callbacks_and_user() -> None:
    class Broken(Line):
        def training_step(self, batch, batch_idx):
            return {"los": 1}

    told = []
    noting = type("Noting", (train.Callback,), {"on_exception": lambda self, trainer, module, e: told.append(type(e))})
    with pytest.raises(KeyError, match="without the key 'loss'; it has 'los'"):
        quiet(callbacks=[noting()]).fit(Broken(), data())
    assert told == [KeyError]


def test_the_number_of_steps_is_known_when_schedules_are_made() -> None:
    class Scheduled(Line):
        def configure_optimizers(self):
            self.steps = self.trainer.estimated_stepping_batches
            return super().configure_optimizers()

    model = Scheduled()
    quiet(max_epochs=3, limit_train_batches=4, accumulate_grad_batches=2).fit(model, data())
    assert model.steps == 6
