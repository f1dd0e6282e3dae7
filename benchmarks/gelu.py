"""gelu(x*w+b) on 4096x4096 float32 with w and b of 4096: three passes over memory, or one where they are fused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from benchmarks.arrays import contenders
from benchmarks.harness import compare, table

N = 4096
TITLE = f"gelu(x*w+b), {N}x{N} float32"
BARS = {"monograph, 2 threads": "<= 0.3x"}


def build(frame: Any) -> Callable[[], Any]:
    x, w, b = frame.randn(N, N), frame.randn(N), frame.randn(N)
    gelu = frame.nn.functional.gelu
    return lambda: gelu(x * w + b)


def note(seconds: float) -> str:
    return f"{2 * 4 * N * N / seconds / 1e9:.0f} GB/s if read once and written once"


CONTENDERS = contenders(build)

if __name__ == "__main__":
    print(table(compare(sys.modules[__name__])))
