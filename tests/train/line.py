"""A small model, its data, and a trainer that writes nothing."""

from __future__ import annotations

import numpy as np

import monograph as mg
from monograph import nn, train
from monograph.data.loader import DataLoader
from monograph.nn import functional as F
from monograph.utils.data import TensorDataset


def data(rows: int = 40, batch_size: int = 8, **more) -> DataLoader:
    x = np.random.default_rng(0).normal(size=(rows, 4)).astype(np.float32)
    return DataLoader(TensorDataset(mg.from_numpy(x), mg.from_numpy(x.sum(1, keepdims=True))), batch_size=batch_size, **more)


class Line(train.TrainModule):
    def __init__(self, lr: float = 0.05) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)
        self.lr = lr

    def forward(self, x):
        return self.layer(x)

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.layer(batch[0]), batch[1])
        self.log("train_loss", loss, on_epoch=True, prog_bar=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", F.mse_loss(self.layer(batch[0]), batch[1]))

    def test_step(self, batch, batch_idx):
        self.log("test_loss", F.mse_loss(self.layer(batch[0]), batch[1]))

    def configure_optimizers(self):
        return mg.optim.SGD(self.parameters(), lr=self.lr)


def quiet(**settings) -> train.Trainer:
    return train.Trainer(**{"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, **settings})
