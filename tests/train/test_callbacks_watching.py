"""Callbacks that watch: early stopping in both frameworks' ways, tables, the machine, bars; their order, errors and second fits."""

from __future__ import annotations

import io

import numpy as np
import pytest

import monograph as mg
from monograph import nn, train
from monograph.train.callbacks.statistics import MachineReader
from tests.train.line import Line, data, quiet
from tests.train.test_callbacks_learning import Kept, keras_model


class Given(train.Callback):
    """Says what a metric is after each epoch."""

    def __init__(self, *values: float) -> None:
        self.values = values

    def on_train_epoch_end(self, trainer, module) -> None:
        trainer.callback_metrics["metric"] = self.values[trainer.current_epoch]
        with mg.no_grad():
            trainer.model.layer.bias.fill_(float(trainer.current_epoch))


def stopped_after(values, **settings) -> tuple[int, train.EarlyStopping, Line]:
    stop, model = train.EarlyStopping("metric", **settings), Line()
    trainer = quiet(max_epochs=len(values), limit_train_batches=1, callbacks=[Given(*values), stop])
    trainer.fit(model, data())
    return trainer.fitting.epoch, stop, model


@pytest.mark.parametrize(
    ("values", "settings", "epochs"),
    [
        ([3, 2, 2, 2, 1], {"patience": 0}, 3),
        ([3, 2, 2, 2, 1], {"patience": 2}, 4),
        ([3, 2, 2, 1.5, 2, 2, 2], {"patience": 2}, 6),
        ([1, 2, 3, 3, 3], {"patience": 2, "mode": "max"}, 5),
        ([3, 2.95, 2.9, 1], {"patience": 2, "min_delta": 0.5}, 3),
        ([3, 2, 1, 0], {"baseline": 0.5, "patience": 3}, 3),
        ([3, 0.4, 1, 1, 1], {"baseline": 0.5, "patience": 2}, 4),
        ([9, 9, 9, 9, 9], {"patience": 1, "start_from_epoch": 3}, 5),
        ([3, float("nan"), 1], {"patience": 9}, 2),
        ([3, float("nan"), 1], {"patience": 9, "check_finite": False}, 3),
        ([3, 0.099, 0], {"patience": 9, "stopping_threshold": 0.1, "min_delta": 5}, 2),
        ([3, 8, 1], {"patience": 9, "divergence_threshold": 7.5, "min_delta": 5}, 2),
    ],
)
def test_early_stopping(values, settings, epochs) -> None:
    assert stopped_after(values, **settings)[0] == epochs


def test_the_best_weights_come_back_even_below_the_baseline() -> None:
    _, stop, model = stopped_after([3, 1, 2, 2], patience=2, restore_best_weights=True)
    assert model.layer.bias.item() == 1.0 and stop.best_epoch == 1 and stop.best == 1
    _, _, model = stopped_after([3, 2, 2.5], patience=3, baseline=0.5, restore_best_weights=True)
    assert model.layer.bias.item() == 1.0


def test_a_callback_starts_anew_with_every_fit() -> None:
    model, x, y = keras_model(1e-9)
    stop = train.EarlyStopping("loss", patience=2, min_delta=1.0)
    for _ in range(2):
        assert len(model.fit(x, y, epochs=9, verbose=0, callbacks=[stop]).epoch) == 3


def test_state_of_early_stopping_round_trips(tmp_path) -> None:
    def run(epochs: int, ckpt_path=None) -> tuple[train.EarlyStopping, int]:
        stop = train.EarlyStopping("metric", patience=4)
        keep = train.ModelCheckpoint(tmp_path / "last.ckpt", asynchronous=False)
        trainer = quiet(max_epochs=epochs, limit_train_batches=1, callbacks=[Given(3, 2, *[5] * 9), stop, keep], enable_checkpointing=True)
        trainer.fit(Line(), data(), ckpt_path=ckpt_path)
        return stop, trainer.fitting.epoch

    assert run(4)[0].wait == 2
    stop, epoch = run(9, tmp_path / "last.ckpt")
    assert (stop.best, stop.best_epoch, stop.stopped_epoch, epoch) == (2, 1, 5, 6)


# ---- tables ----
def test_csv_of_epochs(tmp_path) -> None:
    model, x, y = keras_model()
    path = tmp_path / "logs" / "training.csv"
    model.fit(x, y, validation_data=(x, y), epochs=2, verbose=0, callbacks=[train.callbacks.CSVLogger(path, separator=";")])
    lines = path.read_text().splitlines()
    assert lines[0] == "epoch;loss;val_loss" and [line[0] for line in lines[1:]] == ["0", "1"]
    model.fit(x, y, epochs=3, initial_epoch=2, verbose=0, callbacks=[train.callbacks.CSVLogger(path, ";", append=True)])
    last = path.read_text().splitlines()[-1].split(";")
    assert last[0] == "2" and last[2] == "NA"
    model.fit(x, y, epochs=1, verbose=0, callbacks=[train.callbacks.CSVLogger(path)])
    assert path.read_text().splitlines()[0] == "epoch,loss" and len(path.read_text().splitlines()) == 2


def test_csv_of_a_resumed_run_has_each_epoch_once(tmp_path) -> None:
    def run(epochs: int, **more) -> None:
        callbacks = [train.callbacks.CSVLogger(tmp_path / "t.csv"), train.ModelCheckpoint(tmp_path / "one.ckpt", every_n_train_steps=7)]
        quiet(max_epochs=epochs, callbacks=callbacks, enable_checkpointing=True).fit(Line(), data(), **more)

    run(3)
    run(4, ckpt_path=tmp_path / "one.ckpt")  # from the middle of epoch 2
    assert [line.split(",")[0] for line in (tmp_path / "t.csv").read_text().splitlines()] == ["epoch", "0", "1", "2", "3"]


def test_a_logger_among_the_callbacks_is_told_where_it_belongs(tmp_path) -> None:
    with pytest.raises(TypeError, match=r"CSVLogger is a logger: give it as logger=.*callbacks\.CSVLogger"):
        quiet(callbacks=[train.CSVLogger(tmp_path)])


# ---- the machine ----
def test_device_stats(tmp_path) -> None:
    kept = Kept()
    quiet(max_epochs=1, logger=kept, log_every_n_steps=2, callbacks=[train.DeviceStatsMonitor()]).fit(Line(), data(48))
    rows = [(step, row) for step, row in kept.rows if any("DeviceStats" in name for name in row)]
    assert {step for step, _ in rows} == {0, 2, 4, 6}
    last = rows[-1][1]
    assert all(np.isfinite(v) and v >= 0 for v in last.values())
    assert "DeviceStatsMonitor.on_train_batch_end/process_cpu_percent" in last
    with pytest.raises(ValueError, match="DeviceStatsMonitor writes to the trainer's logger"):
        quiet(max_epochs=1, callbacks=[train.DeviceStatsMonitor()]).fit(Line(), data())


def test_the_machine_is_read_from_proc(tmp_path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "status").write_text("Name:\tpython\nVmHWM:\t 4096 kB\nVmRSS:\t  2048 kB\nThreads:\t7\n")
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemAvailable: 250 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n")
    (tmp_path / "stat").write_text("cpu  10 0 10 80 0 0 0 0 0 0\n")
    reader = MachineReader(tmp_path)
    (tmp_path / "stat").write_text("cpu  40 0 10 100 50 0 0 0 0 0\n")
    found = reader.read()
    assert found["cpu_percent"] == pytest.approx(30.0) and found["cpu_vm_percent"] == 75.0 and "cpu_swap_percent" not in found
    assert (found["process_memory_mib"], found["process_threads"]) == (2.0, 7.0)
    assert (reader.memory_left(), reader.memory_of_process()) == (256000.0, 4194304.0)
    assert set(MachineReader(tmp_path / "nothing").read()) <= {"process_cpu_percent"}


def test_throughput() -> None:
    kept = Kept()
    monitor = train.ThroughputMonitor(length_fn=lambda batch: batch[0].numel(), window_size=3)
    quiet(max_epochs=1, logger=kept, log_every_n_steps=5, callbacks=[monitor]).fit(Line(), data(80), data())
    (row,) = [row for _, row in kept.rows if row.get("train/batches") == 10]
    assert row["train/samples"] == 80 and row["train/lengths"] == 320
    assert row["train/samples_per_sec"] == pytest.approx(8 * row["train/batches_per_sec"])
    assert row["train/items_per_sec"] == pytest.approx(32 * row["train/batches_per_sec"])
    with pytest.raises(ValueError, match="window_size is at least 2"):
        train.ThroughputMonitor(window_size=1)


# ---- bars ----
def test_rich_bar_draws_and_falls_back(capsys) -> None:
    quiet(max_epochs=1, callbacks=[train.RichProgressBar()]).fit(Line(), data())
    assert "epoch 1/1" in capsys.readouterr().out  # no terminal: the plain bar
    console = pytest.importorskip("rich.console", reason="rich is the extra `train`")
    out = io.StringIO()
    bar = train.RichProgressBar(leave=True, console=console.Console(file=out, force_terminal=True, width=120))
    quiet(max_epochs=2, callbacks=[bar]).fit(Line(), data(), data())
    assert "epoch 2/2" in out.getvalue() and "5/5" in out.getvalue() and "train_loss" in out.getvalue()

    class Broken(Line):
        def training_step(self, batch, batch_idx):
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        quiet(max_epochs=1, callbacks=[bar]).fit(Broken(), data())
    assert bar._display is None


# ---- order ----
def test_callbacks_come_in_the_order_given_and_savers_last(tmp_path) -> None:
    order = []

    def noting(name: str, saves: bool = False):
        return type(name, (train.Callback,), {"saves": saves, "on_train_epoch_end": lambda self, trainer, module: order.append(name)})()

    class Keras(train.KerasCallback):
        def on_epoch_end(self, epoch, logs=None) -> None:
            order.append("keras")

    quiet(max_epochs=1, callbacks=[noting("saver", True), noting("b"), Keras(), noting("a")]).fit(Line(), data())
    assert order == ["b", "keras", "a", "saver"]


def test_an_error_in_a_hook_ends_training_and_reaches_the_others() -> None:
    told = []

    class Bad(train.Callback):
        def on_train_batch_end(self, *args) -> None:
            raise ZeroDivisionError("mine")

    class Told(train.Callback):
        def on_exception(self, trainer, module, exception) -> None:
            told.append(repr(exception))

        def teardown(self, trainer, module, stage) -> None:
            told.append(stage)

    with pytest.raises(ZeroDivisionError, match="mine"):
        quiet(max_epochs=1, callbacks=[Bad(), Told()]).fit(Line(), data())
    assert told == ["ZeroDivisionError('mine')", "fit"]


def test_two_of_one_kind_need_names_of_their_own() -> None:
    with pytest.raises(ValueError, match="two callbacks are called"):
        quiet(callbacks=[train.EMA(0.9), train.EMA(0.99)])
    quiet(callbacks=[train.EarlyStopping("a"), train.EarlyStopping("b")])


def test_stop_training_from_a_keras_callback() -> None:
    class Enough(train.KerasCallback):
        def on_epoch_end(self, epoch, logs=None) -> None:
            self.model.stop_training = epoch == 1

    model, x, y = keras_model()
    assert len(model.fit(x, y, epochs=5, verbose=0, callbacks=[Enough()]).epoch) == 2
    assert isinstance(model, nn.Linear)
