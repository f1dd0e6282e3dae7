"""A training step of an LSTM 128-256 over 64 steps at batch 16, its last state classified into 10, with Adam."""

from __future__ import annotations

from typing import Any

from benchmarks import frames, functional
from benchmarks.workload import COMPILED, Case, Workload, integers, normal

BATCH, TIME, FEATURES, HIDDEN, CLASSES = 16, 64, 128, 256, 10


def network(frame: Any) -> Any:
    nn = frame.nn

    class Classifier(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = nn.LSTM(FEATURES, HIDDEN, batch_first=True), nn.Linear(HIDDEN, CLASSES)

        def forward(self, x: Any) -> Any:
            return self.head(self.lstm(x)[0][:, -1])

    return Classifier()


def forward(ops: Any, x: Any) -> Any:
    return ops.linear("head", ops.lstm("lstm", x, HIDDEN)[:, -1], CLASSES)


def batch() -> list[Any]:
    return [normal("x", BATCH, TIME, FEATURES), integers("y", CLASSES, BATCH)]


# Forward and twice that backward, less the gradient of the input, which nobody asks for.
FLOPS = 2 * BATCH * TIME * 4 * HIDDEN * (2 * FEATURES + 3 * HIDDEN)
WORKLOADS = {
    "lstm_training": Workload(
        "LSTM 128-256, training, batch 16, 64 steps", {**frames.training(network, batch), **functional.training(forward, batch)},
        {COMPILED: 0.9}, cases=(Case(flops=FLOPS),), training=True, checked_steps=3, tolerance=1e-3,
    ),
}  # fmt: skip
