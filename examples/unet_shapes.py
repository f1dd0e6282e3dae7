"""Segmentation: a U-Net finds which pixels of a noisy picture belong to a disc and which to a rectangle. The pictures are made here."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from verdict import verdict, wants_quick

import monograph as mg
import monograph.nn.functional as F
from monograph import nn, train
from monograph.utils.data import DataLoader, TensorDataset

KINDS = ("background", "disc", "rectangle")


def twice(inputs: int, outputs: int) -> nn.Module:
    """Two convolutions with normalisation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(),
    )  # fmt: skip


class UNet(train.TrainModule):
    """Down twice, up twice, with what was seen at each size on the way down beside what comes up."""

    def __init__(self, width: int) -> None:
        super().__init__()
        w = width
        self.down1, self.down2, self.bottom = twice(1, w), twice(w, 2 * w), twice(2 * w, 4 * w)
        self.grow2, self.up2 = nn.ConvTranspose2d(4 * w, 2 * w, 2, stride=2), twice(4 * w, 2 * w)
        self.grow1, self.up1 = nn.ConvTranspose2d(2 * w, w, 2, stride=2), twice(2 * w, w)
        self.out = nn.Conv2d(w, len(KINDS), 1)

    def forward(self, x: mg.Tensor) -> mg.Tensor:
        large = self.down1(x)
        middle = self.down2(F.max_pool2d(large, 2))
        small = self.bottom(F.max_pool2d(middle, 2))
        middle = self.up2(mg.cat([middle, self.grow2(small)], 1))
        return self.out(self.up1(mg.cat([large, self.grow1(middle)], 1)))

    def training_step(self, batch: Any, batch_idx: int) -> mg.Tensor:
        loss = F.cross_entropy(self(batch[0]), batch[1])
        self.log("loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        found, y = self(batch[0]).argmax(1), batch[1]
        for kind, name in enumerate(KINDS[1:], 1):
            both, either = ((found == kind) & (y == kind)).sum(), ((found == kind) | (y == kind)).sum()
            self.log(f"iou_{name}", both / either, prog_bar=True)

    def configure_optimizers(self) -> Any:
        adam = mg.optim.Adam(self.parameters(), lr=3e-3)
        # Small steps at the end: after a large one, batch normalisation evaluates with averages of another model.
        return [adam], [mg.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=self.trainer.max_epochs)]


def pictures(count: int, size: int, seed: int) -> TensorDataset:
    """A disc and a rectangle over it in each, of any brightness, under noise; with the kind of every pixel."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 0.15, (count, 1, size, size)).astype(np.float32)
    y = np.zeros((count, size, size), np.int64)
    down, right = np.mgrid[:size, :size]
    for picture, kinds in zip(x[:, 0], y, strict=True):
        a, b = rng.uniform(0.2, 0.8, 2) * size
        disc = (down - a) ** 2 + (right - b) ** 2 < (rng.uniform(0.12, 0.25) * size) ** 2
        a, b, height, width = rng.uniform(0.1, 0.6, 4) * size
        rectangle = (abs(down - a) < height / 2) & (abs(right - b) < width / 2)
        for kind, inside in enumerate((disc, rectangle), 1):
            kinds[inside] = kind
            picture[inside] += rng.uniform(0.5, 1) - picture[inside] * 0.5
    return TensorDataset(mg.from_numpy(x), mg.from_numpy(y))


def main() -> int:
    quick = wants_quick(__doc__)
    mg.manual_seed(0)
    size, count = (32, 256) if quick else (64, 1500)
    model = UNet(6 if quick else 12)
    trainer = train.Trainer(max_epochs=10 if quick else 8, logger=False, enable_checkpointing=False, enable_model_summary=False)
    learn, look = DataLoader(pictures(count, size, 0), batch_size=32, shuffle=True), DataLoader(pictures(128, size, 1), batch_size=128)
    trainer.fit(model, learn, look)

    x, y = (part[:1] for part in next(iter(look)))
    with mg.no_grad():
        found = model.eval()(x).argmax(1)
    for one, other in zip(y[0].tolist(), found[0].tolist(), strict=True):
        print("".join(" o#"[k] for k in one) + "|" + "".join(" o#"[k] for k in other))
    worst = min(trainer.callback_metrics[f"iou_{name}"].item() for name in KINDS[1:])
    return verdict("intersection over union of the harder kind", worst, at_least=0.6 if quick else 0.85)


if __name__ == "__main__":
    sys.exit(main())
