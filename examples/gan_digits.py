"""A generative adversarial network draws digits: two networks, two optimisers, and a training step that calls them itself.

The digits are scikit-learn's (pip install scikit-learn). A drawing counts as a digit if a real one is as near to it as real ones are to
each other.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from vae_digits import show
from verdict import package, verdict, wants_quick

import monograph as mg
import monograph.nn.functional as F
from monograph import nn, train
from monograph.utils.data import DataLoader, TensorDataset

NOISE = 16


class GAN(train.TrainModule):
    """The generator makes pictures of noise; the critic says which pictures are real."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator = nn.Sequential(
            nn.Linear(NOISE, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 128), nn.BatchNorm1d(128), nn.ReLU(),
            nn.Linear(128, 64), nn.Sigmoid(),
        )  # fmt: skip
        self.critic = nn.Sequential(
            nn.Linear(64, 128), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(128, 64), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(64, 1)
        )

    def training_step(self, batch: Any, batch_idx: int) -> None:
        (real,) = batch
        for_generator, for_critic = self.optimizers()
        made = self.generator(mg.randn(len(real), NOISE))

        # softplus(-logit) is the loss for "this is real", softplus(logit) for "this is made".
        critic_loss = F.softplus(-self.critic(real)).mean() + F.softplus(self.critic(made.detach())).mean()
        for_critic.zero_grad()
        self.manual_backward(critic_loss)
        for_critic.step()

        generator_loss = F.softplus(-self.critic(made)).mean()
        for_generator.zero_grad()
        self.manual_backward(generator_loss)
        for_generator.step()
        self.log_dict({"critic": critic_loss, "generator": generator_loss}, prog_bar=True)

    def configure_optimizers(self) -> Any:
        return [mg.optim.Adam(net.parameters(), lr=5e-4, betas=(0.5, 0.999)) for net in (self.generator, self.critic)]


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Between all rows of `a` and all of `b`."""
    return np.sqrt(np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T, 0))


def main() -> int:
    quick = wants_quick(__doc__)
    mg.manual_seed(0)
    digits = package("sklearn.datasets", "scikit-learn").load_digits()
    real = (digits.data / 16).astype(np.float32)
    model = GAN()
    trainer = train.Trainer(max_epochs=25 if quick else 150, logger=False, enable_checkpointing=False)
    trainer.fit(model, DataLoader(TensorDataset(mg.from_numpy(real)), batch_size=64, shuffle=True, drop_last=True))

    model.eval()
    with mg.no_grad():
        drawings = model.generator(mg.randn(500, NOISE)).numpy()
    show(mg.from_numpy(drawings[:8].copy()))
    between = distances(real, real)
    np.fill_diagonal(between, np.inf)
    near = distances(drawings, real)
    kinds = np.bincount(digits.target[near.argmin(1)], minlength=10)
    print("drawings of each digit:", ", ".join(f"{digit}: {count}" for digit, count in enumerate(kinds)))
    if (kinds > 0).sum() < 5:
        return verdict("different digits", int((kinds > 0).sum()), at_least=5)
    like_real = float((near.min(1) <= np.quantile(between.min(1), 0.99)).mean())
    return verdict("drawings that look like digits", like_real, at_least=0.3 if quick else 0.6)


if __name__ == "__main__":
    sys.exit(main())
