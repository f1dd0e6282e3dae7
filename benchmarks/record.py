"""What one operation on a tiny tensor costs in Python, gradients on: 200 multiplications and additions in a row, then dropped or evaluated.

A case is 200 operations, so 1 ms is 5 us for one.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from benchmarks.workload import TORCH, UNCOMPILED, Case, Running, Setup, Workload

OPS = 200
CASES = (Case("200 ops recorded", payload=False), Case("200 ops and their value", payload=True))


def chain(name: str) -> Setup:
    def start(case: Case) -> Running:
        frame: Any = importlib.import_module(name)
        x, w, b = (frame.tensor([0.1, 0.2, 0.3, 0.4], requires_grad=True) for _ in range(3))

        def step() -> Any:
            y = x
            for _ in range(OPS // 2):
                y = y * w + b
            if case.payload and name == "monograph":
                frame.eval(y)
            return y

        return Running(step, lambda y: [np.asarray(y.detach().numpy())])

    return start


WORKLOADS = {
    "record": Workload(
        "ops on 4 numbers, grad on", {UNCOMPILED: chain("monograph"), TORCH: chain("torch")}, {}, CASES, against=(TORCH,), threads=(1,)
    ),
}
