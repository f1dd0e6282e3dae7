"""Image classification: a small convolutional network on Fashion-MNIST, with `compile` and `fit`.

The 70 000 pictures are in Debian's package dataset-fashion-mnist (apt-get install dataset-fashion-mnist). Where they are not installed,
scikit-learn's handwritten digits are learned instead.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
from verdict import package, verdict, wants_quick

import monograph as mg
from monograph import nn

FOLDER = Path("/usr/share/datasets/fashion-mnist")


def idx(name: str) -> np.ndarray:
    """An array in MNIST's file format: two zero bytes, the type (8: uint8), the number of dims, the dims, the numbers."""
    data = gzip.decompress((FOLDER / f"{name}.gz").read_bytes())
    shape = np.frombuffer(data, ">u4", data[3], 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pictures (n, 1, 28, 28) in 0..1 with their classes, for training and for testing."""
    if FOLDER.is_dir():
        kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
        x, y = (np.concatenate([idx(f"{part}-{kind}") for part in ("train", "t10k")]) for kind in kinds)
        images, cut = x[:, None].astype(np.float32) / 255, 60_000
    else:
        digits = package("sklearn.datasets", "scikit-learn").load_digits()
        order = np.random.default_rng(0).permutation(len(digits.target))
        larger = digits.images[order].repeat(3, axis=1).repeat(3, axis=2) / 16  # 8x8 -> 24x24
        images, y, cut = np.pad(larger, ((0, 0), (2, 2), (2, 2))).astype(np.float32)[:, None], digits.target[order], len(order) * 4 // 5
    return images[:cut], y[:cut].astype(np.int64), images[cut:], y[cut:].astype(np.int64)


def network(width: int = 32) -> nn.Module:
    """Two convolutions with normalisation, two linear layers."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(2 * width * 49, 128), nn.ReLU(), nn.Dropout(0.25), nn.Linear(128, 10),
    )  # fmt: skip


def main() -> int:
    quick = wants_quick(__doc__)
    mg.manual_seed(0)
    x, y, test_x, test_y = load()
    if quick:
        x, y, test_x, test_y = x[:3000], y[:3000], test_x[:1000], test_y[:1000]

    model = network(8 if quick else 32)
    model.compile(optimizer=mg.optim.Adam(model.parameters(), lr=2e-3), loss=nn.CrossEntropyLoss(), metrics=["accuracy"])
    slower = mg.train.LearningRateScheduler(lambda epoch, rate: 2e-3 * 0.5**epoch)
    model.fit(x, y, batch_size=128, epochs=3 if quick else 5, validation_data=(test_x, test_y), callbacks=[slower], verbose=2)

    accuracy = model.evaluate(test_x, test_y, batch_size=500, verbose=0, return_dict=True)["accuracy"]
    return verdict("test accuracy", accuracy, at_least=0.74 if quick else 0.91)


if __name__ == "__main__":
    sys.exit(main())
