"""A training step of an MLP 784-128-10 at batch 64 with Adam: small enough that dispatch, not arithmetic, decides."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from benchmarks.harness import compare, table
from benchmarks.training import contenders, trainer

TITLE = "MLP 784-128-10, batch 64, Adam step"
BARS = {"monograph, uncompiled": "<= 1.3x", "monograph, compiled": "<= 0.8x"}


def build(frame: Any) -> Callable[[], Any]:
    nn = frame.nn
    frame.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = frame.optim.Adam(model.parameters(), lr=1e-3)
    return trainer(frame, model, optimizer, frame.randn(64, 784), frame.randint(0, 10, (64,)))


CONTENDERS = contenders(build)

if __name__ == "__main__":
    print(table(compare(sys.modules[__name__])))
