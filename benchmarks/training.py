"""Training steps written once for both frameworks: torch on 1 and 2 threads, ours uncompiled and compiled."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from benchmarks.harness import Contender

Build = Callable[[Any], Callable[[], Any]]


def trainer(frame: Any, model: Any, optimizer: Any, x: Any, y: Any) -> Callable[[], Any]:
    """The step everyone writes: zero_grad, forward, loss, backward, optimizer step."""
    loss_of = frame.nn.CrossEntropyLoss()

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def contenders(build: Build) -> dict[str, Contender]:
    """`build(frame)` returns the step; compiled, the same step goes through `compile`."""

    def torch_eager() -> Callable[[], object]:
        return build(importlib.import_module("torch"))

    def uncompiled() -> Callable[[], object]:
        frame = importlib.import_module("monograph")
        step = build(frame)
        return lambda: frame.eval(step())

    def compiled() -> Callable[[], object]:
        frame = importlib.import_module("monograph")
        step = frame.compile(build(frame))
        return lambda: frame.eval(step())

    return {
        "torch eager, 1 thread": Contender(torch_eager, threads=1, baseline=True),
        "torch eager, 2 threads": Contender(torch_eager, threads=2, baseline=True),
        "monograph, uncompiled": Contender(uncompiled),
        "monograph, compiled": Contender(compiled),
    }
