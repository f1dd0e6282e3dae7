"""A training step of the classic MNIST network (2 convolutions, 2 linear layers) at batch 128 on 28x28 images, Adam."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from benchmarks.harness import compare, table
from benchmarks.training import contenders, trainer

TITLE = "CNN 32-64-128-10, batch 128, 28x28, Adam step"
BARS = {"monograph, compiled": "<= 0.8x"}


def build(frame: Any) -> Callable[[], Any]:
    nn = frame.nn
    frame.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip
    optimizer = frame.optim.Adam(model.parameters(), lr=1e-3)
    return trainer(frame, model, optimizer, frame.randn(128, 1, 28, 28), frame.randint(0, 10, (128,)))


CONTENDERS = contenders(build)

if __name__ == "__main__":
    print(table(compare(sys.modules[__name__])))
