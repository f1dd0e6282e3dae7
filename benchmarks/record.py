"""What one operation on a tiny tensor costs in Python, gradients on: 200 multiplications and additions in a row, then dropped."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.harness import Contender, compare, table

TITLE = "one op on a tiny tensor, grad on"
OPS = 200
SCALE = (1e6 / OPS, "us")
BARS = {"monograph, recorded": "<= 4 us"}


def chain(frame: Any, finish: Callable[[Any], object] | None = None) -> Callable[[], object]:
    x, w, b = (frame.tensor([0.1, 0.2, 0.3, 0.4], requires_grad=True) for _ in range(3))

    def step() -> object:
        y = x
        for _ in range(OPS // 2):
            y = y * w + b
        return finish(y) if finish else None

    return step


def with_torch() -> Callable[[], object]:
    return chain(importlib.import_module("torch"))


def recorded() -> Callable[[], object]:
    return chain(importlib.import_module("monograph"))


def evaluated() -> Callable[[], object]:
    frame = importlib.import_module("monograph")
    return chain(frame, frame.eval)


CONTENDERS = {
    "torch eager": Contender(with_torch, threads=1, baseline=True),
    "monograph, recorded": Contender(recorded, threads=1),
    "monograph, recorded and evaluated": Contender(evaluated, threads=1),
}

if __name__ == "__main__":
    print(table(compare(sys.modules[__name__])))
