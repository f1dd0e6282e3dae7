"""Loggers of other programs, run for real on files of their own; what every logger is told, and when."""

from __future__ import annotations

import json
import sys
import warnings

import pytest

from monograph import train
from monograph.train.loggers.base import flat
from tests.train.line import Line, data, quiet


class Described(Line):
    def __init__(self) -> None:
        super().__init__()
        self.save_hyperparameters(lr=0.05, nested={"a": 1})


class Told(train.Logger):
    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def log_metrics(self, metrics, step=None) -> None:
        self.calls.append(("metrics", step, *sorted(metrics)))

    def log_hyperparams(self, params, *args, **kwargs) -> None:
        self.calls.append(("settings", dict(params)))

    def log_graph(self, model, input_array=None) -> None:
        self.calls.append(("graph", type(model).__name__))

    def finalize(self, status: str) -> None:
        self.calls.append(("end", status))


def test_what_a_logger_is_told() -> None:
    told, second = Told(), Told()
    quiet(max_epochs=1, logger=[told, second], log_every_n_steps=4).fit(Described(), data(), data())
    assert told.calls == [
        ("settings", {"lr": 0.05, "nested": {"a": 1}}), ("graph", "Described"), ("metrics", 4, "epoch", "train_loss_step"),
        ("metrics", 5, "epoch", "val_loss"), ("metrics", 5, "epoch", "train_loss_epoch"), ("end", "finished"),
    ]  # fmt: skip
    assert second.calls == told.calls

    class Broken(Line):
        def training_step(self, batch, batch_idx):
            raise KeyboardInterrupt

    told.calls.clear()
    with pytest.raises(KeyboardInterrupt):
        quiet(max_epochs=1, logger=told).fit(Broken(), data())
    assert told.calls[-1] == ("end", "interrupted")


def test_settings_are_flattened() -> None:
    assert flat({"a": {"b": {"c": 1}, "d": 2}, "e": {}}) == {"a/b/c": 1, "a/d": 2, "e": {}}


def test_the_error_names_the_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match=r"MLflowLogger needs mlflow: pip install 'monograph\[mlflow\]'"):
        _ = train.MLflowLogger().experiment
    with pytest.raises(ImportError, match=r"pip install 'monograph\[wandb\]'"):
        _ = train.WandbLogger().experiment


@pytest.mark.filterwarnings("ignore")  # of MLflow's own making
def test_mlflow_on_a_database_file(tmp_path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow = pytest.importorskip("mlflow", reason="mlflow is an extra")
    uri = f"sqlite:///{tmp_path / 'runs.db'}"

    def logger(**more) -> train.MLflowLogger:
        return train.MLflowLogger("lines", tracking_uri=uri, artifact_location=str(tmp_path / "artifacts"), prefix="p", **more)

    log = logger(run_name="one", tags={"team": 3})
    quiet(max_epochs=2, logger=log, log_every_n_steps=5).fit(Described(), data(), data())
    client = mlflow.tracking.MlflowClient(uri)
    run = client.get_run(log.run_id)
    assert run.data.params == {"lr": "0.05", "nested/a": "1"} and run.data.tags["team"] == "3"
    assert (run.info.status, run.info.run_name) == ("FINISHED", "one")
    assert [m.step for m in client.get_metric_history(log.run_id, "p-val_loss")] == [5, 10]
    again = logger(run_id=log.run_id)
    again.log_metrics({"later": 1.0}, 11)
    (tmp_path / "note.txt").write_text("hello")
    again.log_artifact(tmp_path / "note.txt")
    assert client.get_run(log.run_id).data.metrics["p-later"] == 1.0 and again.version == log.version
    assert [a.path for a in client.list_artifacts(log.run_id)] == ["note.txt"]


@pytest.mark.filterwarnings("ignore")  # of wandb's own making
@pytest.mark.slow
def test_wandb_offline(tmp_path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wandb = pytest.importorskip("wandb", reason="wandb is an extra")
    log = train.WandbLogger("one", tmp_path, offline=True, project="lines", settings={"silent": True, "console": "off"})
    quiet(max_epochs=1, logger=log, log_every_n_steps=5).fit(Described(), data(), data())
    wandb.teardown()  # its process writes behind our back until it ends
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    (file,) = folder.glob("*.wandb")
    content = file.read_bytes()
    assert all(name in content for name in (b"val_loss", b"train_loss_epoch", b"trainer/global_step", b"lr"))
    assert log._run is None and json.dumps(log._arguments["id"])
