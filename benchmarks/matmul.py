"""Matrix products in float32: squares from 256 to 2048, skinny ones (a vector, few rows, few columns, a short sum), transposes, batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks import frames, functional
from benchmarks.workload import COMPILED, TORCH, TORCH_COMPILE, Case, Workload, normal


def _case(name: str, m: int, k: int, n: int, transposed: str = "", batch: int = 1) -> Case:
    traffic = 4 * batch * (m * k + k * n + m * n)
    return Case(name, 2.0 * batch * m * k * n, traffic, (m, k, n, transposed, batch))


CASES = (
    *(_case(f"{n}x{n}", n, n, n) for n in (256, 512, 1024, 2048)),
    _case("1024x1024, first transposed", 1024, 1024, 1024, "a"),
    _case("1024x1024, second transposed", 1024, 1024, 1024, "b"),
    _case("1x1024 @ 1024x1024", 1, 1024, 1024),
    _case("1x1024 @ its transpose", 1, 1024, 1024, "b"),
    _case("8x1024 @ 1024x1024", 8, 1024, 1024),
    _case("1024x1024 @ 1024x8", 1024, 1024, 8),
    _case("2048x64 @ 64x2048", 2048, 64, 2048),
    _case("64x8192 @ 8192x64", 64, 8192, 64),
    _case("64 of 128x128", 128, 128, 128, batch=64),
    _case("512 of 32x32", 32, 32, 32, batch=512),
)


def inputs(payload: Any) -> list[np.ndarray]:
    m, k, n, transposed, batch = payload
    a, b = (k, m) if transposed == "a" else (m, k), (n, k) if transposed == "b" else (k, n)
    return [normal("a", *((batch,) if batch > 1 else ()), *a), normal("b", *((batch,) if batch > 1 else ()), *b)]


def build(frame: Any, payload: Any) -> tuple[Callable[..., Any], Sequence[np.ndarray]]:
    transposed = payload[3]
    return lambda a, b: (a.mT if transposed == "a" else a) @ (b.mT if transposed == "b" else b), inputs(payload)


def peer(name: str, module: Any, payload: Any) -> tuple[Callable[..., Any], Sequence[np.ndarray]]:
    transposed = payload[3]
    if name == "tensorflow":
        return lambda a, b: module.matmul(a, b, transpose_a=transposed == "a", transpose_b=transposed == "b"), inputs(payload)
    return lambda a, b: (a.mT if transposed == "a" else a) @ (b.mT if transposed == "b" else b), inputs(payload)


SETUPS = {**frames.expression(build), **functional.expression(peer)}
del SETUPS[TORCH_COMPILE]  # it calls the same library
WORKLOADS = {
    "matmul": Workload("matmul", SETUPS, {COMPILED: 1 / 1.03}, CASES, against=(TORCH,), worst=1 / 0.9, rounds=5),
}
