"""An MLP 784-128-10: a training step at batch 64 with Adam, and one image. Small enough that dispatch, not arithmetic, decides."""

from __future__ import annotations

from typing import Any

from benchmarks import frames, functional
from benchmarks.onnx_models import onnx_inference
from benchmarks.workload import COMPILED, TORCH, UNCOMPILED, Workload, integers, normal


def network(frame: Any) -> Any:
    nn = frame.nn
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def forward(ops: Any, x: Any) -> Any:
    return ops.linear("2", ops.relu(ops.linear("0", x, 128)), 10)


def batch() -> list[Any]:
    return [normal("x", 64, 784), integers("y", 10, 64)]


def one() -> list[Any]:
    return [normal("x", 1, 784)]


TRAINING = frames.training(network, batch)
WORKLOADS = {
    "mlp_training": Workload(
        "MLP 784-128-10, training, batch 64", {**TRAINING, **functional.training(forward, batch)}, {COMPILED: 0.65}, training=True,
        checked_steps=3,
    ),
    "mlp_uncompiled": Workload(
        "MLP, training, uncompiled against torch eager", {name: TRAINING[name] for name in (UNCOMPILED, TORCH)}, {UNCOMPILED: 1.0},
        against=(TORCH,), checked_steps=3,
    ),
    "mlp_inference": Workload(
        "MLP 784-128-10, inference, batch 1",
        {**frames.inference(network, one), **functional.inference(forward, one), **onnx_inference(network, one)}, {COMPILED: 0.8},
    ),
}  # fmt: skip
