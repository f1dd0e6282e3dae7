"""MobileNet-v3-small for 1000 classes at 224x224: depthwise separable blocks with squeeze and excitation; inference and training."""

from __future__ import annotations

from typing import Any

from benchmarks import frames, functional
from benchmarks.onnx_models import onnx_inference
from benchmarks.workload import COMPILED, Case, Workload, integers, normal

# kernel, expanded, out, squeeze and excitation, hard swish (else ReLU), stride
BLOCKS = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)
STEM, LAST, HEAD, CLASSES = 16, 576, 1024, 1000
EPSILON, MOMENTUM = 1e-3, 0.01


def squeezed(expanded: int) -> int:
    """A quarter of the channels, rounded to a multiple of 8 but not below 90 % of it."""
    wanted = expanded // 4
    rounded = max(8, (wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def network(frame: Any) -> Any:
    nn = frame.nn

    def conv(width: int, out: int, size: int, stride: int, groups: int, activation: Any) -> list[Any]:
        layers = [
            nn.Conv2d(width, out, size, stride, size // 2, groups=groups, bias=False),
            nn.BatchNorm2d(out, eps=EPSILON, momentum=MOMENTUM),
        ]
        return layers + ([activation()] if activation else [])

    class Excite(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self, width: int) -> None:
            super().__init__()
            self.down, self.up = nn.Conv2d(width, squeezed(width), 1), nn.Conv2d(squeezed(width), width, 1)
            self.pool, self.relu, self.gate = nn.AdaptiveAvgPool2d(1), nn.ReLU(), nn.Hardsigmoid()

        def forward(self, x: Any) -> Any:
            return x * self.gate(self.up(self.relu(self.down(self.pool(x)))))

    class Block(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self, width: int, size: int, expanded: int, out: int, excite: bool, swish: bool, stride: int) -> None:
            super().__init__()
            activation = nn.Hardswish if swish else nn.ReLU
            self.expand = nn.Sequential(*(conv(width, expanded, 1, 1, 1, activation) if expanded != width else []))
            self.depthwise = nn.Sequential(*conv(expanded, expanded, size, stride, expanded, activation))
            self.excite = Excite(expanded) if excite else nn.Identity()
            self.project = nn.Sequential(*conv(expanded, out, 1, 1, 1, None))
            self.residual = stride == 1 and width == out

        def forward(self, x: Any) -> Any:
            y = self.project(self.excite(self.depthwise(self.expand(x))))
            return x + y if self.residual else y

    blocks: list[Any] = []
    width = STEM
    for size, expanded, out, excite, swish, stride in BLOCKS:
        blocks.append(Block(width, size, expanded, out, excite, swish, stride))
        width = out
    return nn.Sequential(
        nn.Sequential(*conv(3, STEM, 3, 2, 1, nn.Hardswish)),
        nn.Sequential(*blocks),
        nn.Sequential(*conv(width, LAST, 1, 1, 1, nn.Hardswish)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(LAST, HEAD),
        nn.Hardswish(),
        nn.Linear(HEAD, CLASSES),
    )


def forward(ops: Any, x: Any) -> Any:
    def conv(name: str, x: Any, out: int, size: int, stride: int, groups: int, activation: Any) -> Any:
        y = ops.batch_norm(f"{name}.1", ops.conv(f"{name}.0", x, out, size, stride, size // 2, groups), EPSILON, MOMENTUM)
        return activation(y) if activation else y

    x = conv("0", x, STEM, 3, 2, 1, ops.hard_swish)
    width = STEM
    for number, (size, expanded, out, excite, swish, stride) in enumerate(BLOCKS):
        name, activation = f"1.{number}", ops.hard_swish if swish else ops.relu
        y = conv(f"{name}.expand", x, expanded, 1, 1, 1, activation) if expanded != width else x
        y = conv(f"{name}.depthwise", y, expanded, size, stride, expanded, activation)
        if excite:
            gate = ops.conv(f"{name}.excite.down", ops.average(y, keep=True), squeezed(expanded), 1, bias=True)
            y = y * ops.hard_sigmoid(ops.conv(f"{name}.excite.up", ops.relu(gate), expanded, 1, bias=True))
        y = conv(f"{name}.project", y, out, 1, 1, 1, None)
        x = x + y if stride == 1 and width == out else y
        width = out
    x = ops.average(conv("2", x, LAST, 1, 1, 1, ops.hard_swish))
    return ops.linear("7", ops.hard_swish(ops.linear("5", x, HEAD)), CLASSES)


def batch() -> list[Any]:
    return [normal("x", 16, 3, 224, 224), integers("y", CLASSES, 16)]


def one() -> list[Any]:
    return [normal("x", 1, 3, 224, 224)]


def multiplications() -> float:
    """What the network needs for one image: of the convolutions and the two linear layers."""
    side, width = 112, STEM
    total = side * side * 3 * STEM * 9
    for size, expanded, out, excite, _, stride in BLOCKS:
        total += side * side * width * expanded * (expanded != width)
        side //= stride
        total += side * side * expanded * (size * size + out) + 2 * expanded * squeezed(expanded) * excite
        width = out
    return total + side * side * width * LAST + LAST * HEAD + HEAD * CLASSES


# torch's counter takes the backward pass of a depthwise convolution for that of a dense one. Backward: twice the forward pass.
TRAINED, ONE = Case(flops=2.0 * 16 * 3 * multiplications()), Case(flops=2.0 * multiplications())
WORKLOADS = {
    "mobilenet_training": Workload(
        "MobileNet-v3-small, training, batch 16, 224x224",
        {**frames.training(network, batch), **functional.training(forward, batch)},
        {COMPILED: 0.85},
        (TRAINED,),
        threads=(2,),
        training=True,
        checked_steps=2,
        tolerance=2e-2,
    ),
    "mobilenet_inference": Workload(
        "MobileNet-v3-small, inference, batch 1, 224x224",
        {**frames.inference(network, one), **functional.inference(forward, one), **onnx_inference(network, one)},
        {COMPILED: 0.85},
        (ONE,),
        tolerance=1e-3,
    ),
}
