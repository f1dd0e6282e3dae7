"""One expression, evaluated again and again, in both frameworks: what `matmul`, `gelu` and `softmax` have in common."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from benchmarks.harness import Contender


def contenders(build: Callable[[Any], Callable[[], Any]], threads: tuple[int, ...] = (2,)) -> dict[str, Contender]:
    """`build(frame)` makes the inputs and returns the expression as a function without arguments. No gradients."""

    def torch_eager() -> Callable[[], object]:
        frame = importlib.import_module("torch")
        frame.set_grad_enabled(False)
        return build(frame)

    def ours() -> Callable[[], object]:
        frame = importlib.import_module("monograph")
        frame.set_grad_enabled(False)
        expression = build(frame)
        return lambda: frame.eval(expression())

    found = {}
    for count in threads:
        found[f"torch eager, {count} threads"] = Contender(torch_eager, count, baseline=True)
        found[f"monograph, {count} threads"] = Contender(ours, count)
    return found
