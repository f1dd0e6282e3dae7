"""Matrix product of two 1024x1024 float32 matrices."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from benchmarks.arrays import contenders
from benchmarks.harness import compare, table

N = 1024
TITLE = f"matmul {N}x{N} float32"
BARS = {"monograph, 2 threads": "<= 1.05x (0.95 of its speed)"}


def build(frame: Any) -> Callable[[], Any]:
    a, b = frame.randn(N, N), frame.randn(N, N)
    return lambda: a @ b


def note(seconds: float) -> str:
    return f"{2 * N**3 / seconds / 1e9:.0f} GFLOP/s"


CONTENDERS = contenders(build)

if __name__ == "__main__":
    print(table(compare(sys.modules[__name__])))
