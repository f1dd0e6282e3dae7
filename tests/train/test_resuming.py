"""A run that was broken off and goes on ends with the same bits as one that was not, wherever it was broken off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import monograph as mg
from monograph import nn, train
from monograph.core.errors import ArtifactError
from monograph.data.loader import DataLoader
from monograph.nn import functional as F
from monograph.train.checkpoint import read
from monograph.utils.data import TensorDataset

RUN = Path(__file__).with_name("long_run.py")


class Net(train.TrainModule):
    """Everything with state: dropout, batch norm, momentum, a scheduler that counts steps and one that counts epochs."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.layers(x), y)
        self.log("train_loss", loss, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.cross_entropy(self.layers(x), y))

    def configure_optimizers(self):
        optimizer = mg.optim.Adam(self.parameters(), lr=0.01)
        every_step = {"scheduler": mg.optim.lr_scheduler.ExponentialLR(optimizer, 0.99), "interval": "step"}
        return [optimizer], [every_step, mg.optim.lr_scheduler.StepLR(optimizer, 1, 0.9)]


def loaders():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 6)).astype(np.float32)
    data = TensorDataset(mg.from_numpy(x), mg.from_numpy((x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 1)))
    return DataLoader(data, batch_size=9, shuffle=True), DataLoader(data, batch_size=45)


def trained(folder, ckpt_path=None, **settings) -> tuple[dict, train.Trainer]:
    train.seed_everything(3)
    keep = train.ModelCheckpoint(dirpath=folder, every_n_train_steps=settings.pop("every", 1), save_top_k=-1, asynchronous=False)
    trainer = train.Trainer(
        max_epochs=3, callbacks=[keep, train.EarlyStopping("val_loss", patience=10)], logger=False, enable_progress_bar=False, **settings
    )
    model = Net()
    trainer.fit(model, *loaders(), ckpt_path=ckpt_path)
    return {k: v.numpy().copy() for k, v in model.state_dict().items()}, trainer


def same(a: dict, b: dict) -> bool:
    return all(np.array_equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("settings", [{}, {"accumulate_grad_batches": 3, "val_check_interval": 4}], ids=["plain", "accumulating"])
def test_from_any_step_the_same_bits(tmp_path, settings) -> None:
    whole, trainer = trained(tmp_path / "whole", **settings)
    files = sorted((tmp_path / "whole").glob("*.ckpt"), key=lambda p: p.stat().st_mtime_ns)
    assert len(files) >= trainer.global_step
    means = trainer.callback_metrics["train_loss"].item()
    for file in files[1 :: max(1, len(files) // 6)]:
        again, resumed = trained(tmp_path / "again", ckpt_path=file, **settings)
        assert same(whole, again), file.name
        assert resumed.global_step == trainer.global_step and resumed.callback_metrics["train_loss"].item() == means
        assert resumed.early_stopping_callback.best == trainer.early_stopping_callback.best


def test_last_is_the_newest_whole_file(tmp_path) -> None:
    whole, _ = trained(tmp_path / "whole")
    folder = tmp_path / "broken"
    train.seed_everything(3)
    keep = train.ModelCheckpoint(dirpath=folder, every_n_train_steps=4, save_top_k=2, asynchronous=False)
    trainer = train.Trainer(max_epochs=3, max_steps=17, callbacks=[keep], logger=False, enable_progress_bar=False)
    trainer.fit(Net(), *loaders())
    newest = folder / "epoch=1-step=16.ckpt"
    assert sorted(p.name for p in folder.iterdir()) == ["epoch=1-step=12.ckpt", newest.name]
    newest.write_bytes(newest.read_bytes()[:-40])  # as a disk that filled up would leave it
    with pytest.raises(ArtifactError):
        read(newest)
    train.seed_everything(99)
    model = Net()
    keep = train.ModelCheckpoint(dirpath=folder, every_n_train_steps=4, save_top_k=2)
    callbacks = [keep, train.EarlyStopping("val_loss", patience=10)]
    train.Trainer(max_epochs=3, callbacks=callbacks, logger=False, enable_progress_bar=False).fit(model, *loaders(), ckpt_path="last")
    assert same(whole, {k: v.numpy() for k, v in model.state_dict().items()})


def test_killed_at_random_moments(tmp_path) -> None:
    kills = int(os.environ.get("MONOGRAPH_TEST_KILLS", "2"))
    environment = {**os.environ, "PYTHONPATH": str(Path(mg.__file__).parents[1])}

    def start(folder: str) -> subprocess.Popen:
        command = [sys.executable, str(RUN), str(tmp_path / folder), str(8 + 12 * kills)]  # so long that the last kill finds it training
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finished(folder: str) -> None:
        with start(folder) as process:
            out, _ = process.communicate(timeout=600)
        assert process.returncode == 0, out

    finished("whole")
    rng = np.random.default_rng(0)
    reached = [0]
    for _ in range(kills):
        with start("killed") as process:
            first = process.stdout.readline()
            assert first.startswith("training"), first + process.stdout.read()
            time.sleep(float(rng.uniform(0.0, 0.3)))
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL, "the run had ended before it could be killed"
        steps = [read(file)["global_step"] for file in (tmp_path / "killed").glob("*.ckpt")]  # no unreadable checkpoint, ever
        reached.append(max(steps, default=0))
    assert reached == sorted(reached) and (reached[-1] > 0 or kills < 3), "a kill lost a checkpoint that had been there"
    finished("killed")
    assert (tmp_path / "whole" / "weights.npz").read_bytes() == (tmp_path / "killed" / "weights.npz").read_bytes()
