"""Ten million float32 numbers: sort, topk, cumsum, gather, scatter_add."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks import frames
from benchmarks.workload import COMPILED, TORCH, TORCH_COMPILE, Case, Workload, integers, normal

N = 10_000_000
CASES = (
    Case("sort", payload="sort", nbytes=4.0 * N + 12 * N),
    Case("topk 100", payload="topk", nbytes=4.0 * N),
    Case("cumsum", payload="cumsum", nbytes=8.0 * N),
    Case("gather", payload="gather", nbytes=16.0 * N),
    Case("scatter_add", payload="scatter_add", nbytes=16.0 * N),
)


def build(frame: Any, payload: str) -> tuple[Callable[..., Any], Sequence[np.ndarray]]:
    x, index = normal("x", N), integers("i", N, N)
    found: dict[str, tuple[Callable[..., Any], Sequence[np.ndarray]]] = {
        "sort": (lambda x: frame.sort(x)[0], [x]),
        "topk": (lambda x: frame.topk(x, 100)[0], [x]),
        "cumsum": (lambda x: frame.cumsum(x, 0), [x]),
        "gather": (lambda x, i: frame.gather(x, 0, i), [x, index]),
        "scatter_add": (lambda x, i: frame.zeros(N).scatter_add(0, i, x), [x, index]),
    }
    return found[payload]


SETUPS = frames.expression(build)
del SETUPS[TORCH_COMPILE]
WORKLOADS = {
    "indexing": Workload(
        "1e7 numbers", SETUPS, {COMPILED: 1.0}, CASES, threads=(2,), against=(TORCH,), worst=1.0, rounds=3, tolerance=1e-3
    ),
}
