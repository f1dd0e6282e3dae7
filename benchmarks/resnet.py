"""ResNet-18 for 1000 classes: a training step at batch 16 on 64x64 images with Adam; inference on 224x224 images, one and 16 at a time."""

from __future__ import annotations

from typing import Any

from benchmarks import frames, functional
from benchmarks.onnx_models import onnx_inference
from benchmarks.workload import COMPILED, Workload, integers, normal

WIDTHS = (64, 128, 256, 512)
CLASSES = 1000


def network(frame: Any) -> Any:
    nn = frame.nn

    class Block(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self, width: int, out: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(width, out, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(out)
            self.relu = nn.ReLU(inplace=True)
            self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(out)
            changes = stride > 1 or width != out
            self.downsample = nn.Sequential(nn.Conv2d(width, out, 1, stride, bias=False), nn.BatchNorm2d(out)) if changes else None

        def forward(self, x: Any) -> Any:
            y = self.relu(self.bn1(self.conv1(x)))
            return self.relu(self.bn2(self.conv2(y)) + (x if self.downsample is None else self.downsample(x)))

    blocks: list[Any] = []
    before = 64
    for stage, width in enumerate(WIDTHS):
        blocks += [Block(before, width, 2 if stage else 1), Block(width, width, 1)]
        before = width
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
        nn.Sequential(*blocks),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(512, CLASSES),
    )


def forward(ops: Any, x: Any) -> Any:
    x = ops.max_pool(ops.relu(ops.batch_norm("1", ops.conv("0", x, 64, 7, 2, 3))), 3, 2, 1)
    for stage, width in enumerate(WIDTHS):
        for block in range(2):
            name, stride = f"4.{2 * stage + block}", 2 if stage and not block else 1
            y = ops.relu(ops.batch_norm(f"{name}.bn1", ops.conv(f"{name}.conv1", x, width, 3, stride, 1)))
            y = ops.batch_norm(f"{name}.bn2", ops.conv(f"{name}.conv2", y, width, 3, 1, 1))
            if stride > 1:
                x = ops.batch_norm(f"{name}.downsample.1", ops.conv(f"{name}.downsample.0", x, width, 1, stride))
            x = ops.relu(y + x)
    return ops.linear("7", ops.average(x), CLASSES)


def batch() -> list[Any]:
    return [normal("x", 16, 3, 64, 64), integers("y", CLASSES, 16)]


def one() -> list[Any]:
    return [normal("x", 1, 3, 224, 224)]


def sixteen() -> list[Any]:
    return [normal("x", 16, 3, 224, 224)]


def inference(inputs: Any) -> dict[str, Any]:
    return {**frames.inference(network, inputs), **functional.inference(forward, inputs), **onnx_inference(network, inputs)}


WORKLOADS = {
    "resnet_training": Workload(
        "ResNet-18, training, batch 16, 64x64",
        {**frames.training(network, batch), **functional.training(forward, batch)},
        {COMPILED: 0.6},
        threads=(2,),
        training=True,
        checked_steps=2,
        tolerance=2e-2,
    ),
    "resnet_one": Workload("ResNet-18, inference, batch 1, 224x224", inference(one), {COMPILED: 0.85}, threads=(2,), tolerance=1e-3),
    "resnet_sixteen": Workload(
        "ResNet-18, inference, batch 16, 224x224", inference(sixteen), {COMPILED: 0.85}, threads=(2,), tolerance=1e-3, rounds=5
    ),
}
