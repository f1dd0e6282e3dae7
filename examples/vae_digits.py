"""A variational autoencoder of handwritten digits: 64 pixels as 8 numbers, and new digits from random numbers.

The digits are scikit-learn's (pip install scikit-learn).
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from verdict import package, verdict, wants_quick

import monograph as mg
import monograph.nn.functional as F
from monograph import nn, train
from monograph.utils.data import DataLoader, TensorDataset

CODE = 8


class VAE(train.TrainModule):
    """Encoder to mean and logarithm of the variance of a code, decoder to the logits of pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 2 * CODE))
        self.decoder = nn.Sequential(nn.Linear(CODE, 128), nn.ReLU(), nn.Linear(128, 64))

    def forward(self, x: mg.Tensor) -> tuple[mg.Tensor, mg.Tensor, mg.Tensor]:
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        code = mean + mg.randn_like(mean) * (log_variance / 2).exp() if self.training else mean
        return self.decoder(code), mean, log_variance

    def loss(self, batch: Any, name: str) -> mg.Tensor:
        """The negative evidence lower bound of a digit, in nats."""
        (x,) = batch
        logits, mean, log_variance = self(x)
        pixels = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum() / len(x)
        self.log_dict({f"{name}_pixels": pixels, f"{name}_divergence": divergence}, prog_bar=True)
        return pixels + divergence

    def training_step(self, batch: Any, batch_idx: int) -> mg.Tensor:
        return self.loss(batch, "train")

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.loss(batch, "val"), prog_bar=True)

    def configure_optimizers(self) -> Any:
        return mg.optim.Adam(self.parameters(), lr=2e-3)


def show(digits: mg.Tensor) -> None:
    """Digits side by side, as letters of growing darkness."""
    for row in digits.view(-1, 8, 8).permute(1, 0, 2).numpy():
        print("  ".join("".join(" .:-=+*#%@"[int(9.99 * p)] for p in one) for one in row))


def main() -> int:
    quick = wants_quick(__doc__)
    mg.manual_seed(0)
    digits = package("sklearn.datasets", "scikit-learn").load_digits().data
    x = mg.from_numpy((digits[np.random.default_rng(0).permutation(len(digits))] / 16).astype(np.float32))
    cut = len(x) * 4 // 5
    model = VAE()
    trainer = train.Trainer(max_epochs=15 if quick else 80, logger=False, enable_checkpointing=False)
    trainer.fit(model, DataLoader(TensorDataset(x[:cut]), batch_size=64, shuffle=True), DataLoader(TensorDataset(x[cut:]), batch_size=360))
    with mg.no_grad():
        show(model.decoder(mg.randn(8, CODE)).sigmoid())
    return verdict("negative evidence bound on held-out digits", trainer.callback_metrics["val_loss"].item(), at_most=26 if quick else 23)


if __name__ == "__main__":
    sys.exit(main())
