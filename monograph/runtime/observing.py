"""Who watches programs run: nobody, or a profiler that wants the time of every kernel call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


class Observing:
    """`kernels(plan, start, times)` is told of each run of a plan: when it began (`time.perf_counter_ns`), the nanoseconds of each call."""

    __slots__ = ("kernels",)

    def __init__(self) -> None:
        self.kernels: Callable[[Any, int, Sequence[int]], None] | None = None


observing = Observing()
