"""What memory should bound, on 4096x4096 float32: gelu(x*w+b), softmax, layer norm, sum; as a share of the stream bandwidth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks import frames, functional
from benchmarks.workload import COMPILED, Case, Workload, normal

N = 4096
PASS = 4.0 * N * N
CASES = (
    Case("gelu(x*w+b)", nbytes=2 * PASS, payload="gelu"), Case("softmax", nbytes=2 * PASS, payload="softmax"),
    Case("layer norm", nbytes=2 * PASS, payload="layer_norm"), Case("sum", nbytes=PASS, payload="sum"),
)  # fmt: skip


def inputs() -> list[np.ndarray]:
    return [normal("x", N, N), normal("w", N), normal("b", N)]


def build(frame: Any, payload: str) -> tuple[Callable[..., Any], Sequence[np.ndarray]]:
    functions = frame.nn.functional
    found: dict[str, Callable[..., Any]] = {
        "gelu": lambda x, w, b: functions.gelu(x * w + b),
        "softmax": lambda x, w, b: functions.softmax(x, dim=-1),
        "layer_norm": lambda x, w, b: functions.layer_norm(x, (N,), w, b),
        "sum": lambda x, w, b: x.sum(),
    }
    return found[payload], inputs()


def peer(name: str, module: Any, payload: str) -> tuple[Callable[..., Any], Sequence[np.ndarray]]:
    nn = module.nn

    def layer_norm(x: Any, w: Any, b: Any) -> Any:
        if name == "tensorflow":
            mean, variance = nn.moments(x, -1, keepdims=True)
            return nn.batch_normalization(x, mean, variance, b, w, 1e-5)
        return (x - x.mean(-1, keepdims=True)) * module.lax.rsqrt(x.var(-1, keepdims=True) + 1e-5) * w + b

    exact = {"approximate": False}
    total = module.reduce_sum if name == "tensorflow" else module.numpy.sum
    found: dict[str, Callable[..., Any]] = {
        "gelu": lambda x, w, b: nn.gelu(x * w + b, **exact),
        "softmax": lambda x, w, b: nn.softmax(x, axis=-1),
        "layer_norm": layer_norm,
        "sum": lambda x, w, b: total(x),
    }
    return found[payload], inputs()


WORKLOADS = {
    "rows": Workload(
        "4096x4096",
        {**frames.expression(build), **functional.expression(peer)},
        {COMPILED: 1.0},
        CASES,
        threads=(2,),
        of_limit=0.75,
        tolerance=1e-3,
    ),
}
