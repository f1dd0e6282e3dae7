"""softmax over the rows of a 4096x4096 float32 matrix."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from benchmarks.arrays import contenders
from benchmarks.harness import compare, table

N = 4096
TITLE = f"softmax over rows, {N}x{N} float32"
BARS = {"monograph, 2 threads": "<= 0.3x"}


def build(frame: Any) -> Callable[[], Any]:
    x = frame.randn(N, N)
    softmax = frame.nn.functional.softmax
    return lambda: softmax(x, dim=-1)


def note(seconds: float) -> str:
    return f"{2 * 4 * N * N / seconds / 1e9:.0f} GB/s if read once and written once"


CONTENDERS = contenders(build)

if __name__ == "__main__":
    print(table(compare(sys.modules[__name__])))
