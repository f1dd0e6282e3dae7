"""A training step of the classic MNIST network (2 convolutions, 2 linear layers) at batch 128 on 28x28 images, with Adam."""

from __future__ import annotations

from typing import Any

from benchmarks import frames, functional
from benchmarks.workload import COMPILED, Workload, integers, normal


def network(frame: Any) -> Any:
    nn = frame.nn
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


def forward(ops: Any, x: Any) -> Any:
    x = ops.relu(ops.conv("0", x, 32, 3, bias=True))
    x = ops.max_pool(ops.relu(ops.conv("2", x, 64, 3, bias=True)), 2, 2)
    return ops.linear("8", ops.relu(ops.linear("6", ops.flatten(x), 128, image=(64, 12, 12))), 10)


def batch() -> list[Any]:
    return [normal("x", 128, 1, 28, 28), integers("y", 10, 128)]


WORKLOADS = {
    "cnn_training": Workload(
        "CNN 32-64-128-10, training, batch 128, 28x28", {**frames.training(network, batch), **functional.training(forward, batch)},
        {COMPILED: 0.6}, threads=(2,), training=True, checked_steps=3, tolerance=1e-3,
    ),
}  # fmt: skip
