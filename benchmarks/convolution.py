"""Convolutions at batch 32, forward and backward: 3x3 of 64 channels at 56x56 and of 256 at 14x14, a 7x7 stem, a 1x1, a depthwise 3x3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks import frames, functional
from benchmarks.workload import COMPILED, TORCH, TORCH_COMPILE, UNCOMPILED, Case, Workload, normal

BATCH = 32


def _cases(name: str, width: int, out: int, size: int, image: int, stride: int = 1, groups: int = 1) -> list[Case]:
    side = (image + 2 * (size // 2) - size) // stride + 1
    flops = 2.0 * BATCH * out * side * side * width // groups * size * size
    shape = (width, out, size, image, stride, groups, side)
    return [
        Case(f"{name}, forward", flops, payload=(*shape, False)),
        Case(f"{name}, backward", flops * (1 if width == 3 else 2), payload=(*shape, True)),
    ]


CASES = (
    *_cases("3x3 64ch 56x56", 64, 64, 3, 56),
    *_cases("3x3 256ch 14x14", 256, 256, 3, 14),
    *_cases("7x7 stem 3-64ch 224x224", 3, 64, 7, 224, 2),
    *_cases("1x1 64-256ch 56x56", 64, 256, 1, 56),
    *_cases("depthwise 3x3 96ch 56x56", 96, 96, 3, 56, 1, 96),
)


def inputs(payload: Any) -> list[np.ndarray]:
    width, out, size, image, _, groups, side, backward = payload
    x, w = (
        normal("x", BATCH, width, image, image),
        normal("w", out, width // groups, size, size) * np.float32((width // groups * size * size) ** -0.5),
    )
    return [x, w, normal("g", BATCH, out, side, side)] if backward else [x, w]


def build(frame: Any, payload: Any) -> tuple[Callable[..., Any], Sequence[np.ndarray]]:
    width, _, size, _, stride, groups, _, backward = payload
    gradients = (width != 3, True, False)

    def forward(x: Any, w: Any) -> Any:
        return frame.nn.functional.conv2d(x, w, stride=stride, padding=size // 2, groups=groups)

    def backwards(x: Any, w: Any, g: Any) -> Any:
        found = frame.ops.aten.convolution_backward(
            g, x, w, None, (stride, stride), (size // 2, size // 2), (1, 1), False, (0, 0), groups, gradients
        )
        return [gradient for gradient in found if gradient is not None]

    def differentiated(x: Any, w: Any, g: Any) -> Any:
        with frame.enable_grad():
            x, w = x.detach().requires_grad_(width != 3), w.detach().requires_grad_()
            return list(frame.autograd.grad(forward(x, w), [x, w] if width != 3 else [w], g))

    if not backward:
        return forward, inputs(payload)
    return backwards if frame.__name__ == "torch" else differentiated, inputs(payload)


def peer(name: str, module: Any, payload: Any) -> tuple[Callable[..., Any], Sequence[np.ndarray]]:
    width, _, size, _, stride, groups, _, backward = payload
    p = size // 2

    def forward(x: Any, w: Any) -> Any:
        if name == "jax":
            return module.lax.conv_general_dilated(
                x, w, (stride, stride), [(p, p), (p, p)], dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups
            )
        around = [[0, 0], [p, p], [p, p], [0, 0]]
        if groups > 1:
            return module.nn.depthwise_conv2d(x, w, [1, stride, stride, 1], around)
        return module.nn.conv2d(x, w, stride, around)

    def backwards(x: Any, w: Any, g: Any) -> Any:
        wanted = (0, 1) if width != 3 else (1,)
        if name == "jax":
            found = module.vjp(forward, x, w)[1](g)
            return [found[i] for i in wanted]
        given = [(x, w)[i] for i in wanted]
        with module.GradientTape() as tape:
            tape.watch(given)
            y = forward(x, w)
        return tape.gradient(y, given, g)

    images = inputs(payload)
    order = (2, 3, 0, 1) if name == "tensorflow" and groups > 1 else (2, 3, 1, 0)
    given = [np.ascontiguousarray(array.transpose(order if i == 1 else (0, 2, 3, 1))) for i, array in enumerate(images)]
    return backwards if backward else forward, given


SETUPS = {**frames.expression(build), **functional.expression(peer)}
del SETUPS[TORCH_COMPILE], SETUPS[UNCOMPILED]  # the same kernels
WORKLOADS = {
    "convolution": Workload(
        "convolution, batch 32", SETUPS, {COMPILED: 1 / 1.3}, CASES, threads=(2,), against=(TORCH,), worst=1 / 0.95, rounds=5
    ),
}
