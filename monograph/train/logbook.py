"""What a step logs, and what becomes of it over an epoch.

`log` may be called inside of a compiled step. There it only hands values to the collection that is open; the values come back as outputs of
the step, whether it is replayed or not, and the epoch's mean is taken here, weighted by the number of samples.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from monograph.tensor.core import Tensor

REDUCTIONS = ("mean", "sum", "min", "max")


@dataclass(frozen=True)
class LogOptions:
    """How one name is logged."""

    prog_bar: bool = False
    logger: bool = True
    on_step: bool = False
    on_epoch: bool = True
    reduce: str = "mean"
    batch_size: int | None = None


class _Open(threading.local):
    """The collection that `log` writes to, one for each thread."""

    values: dict[str, Any] | None = None
    options: dict[str, LogOptions] | None = None
    metrics: dict[str, Any] | None = None


_open = _Open()


@contextmanager
def collecting(options: dict[str, LogOptions], metrics: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Opens a collection of numbers. `options` is told how each name wants to be logged, `metrics` of the metrics that are logged."""
    before = _open.values, _open.options, _open.metrics
    values: dict[str, Any] = {}
    _open.values, _open.options, _open.metrics = values, options, metrics
    try:
        yield values
    finally:
        _open.values, _open.options, _open.metrics = before


def collect(name: str, value: Any, options: LogOptions) -> None:
    """Adds a value to the open collection. RuntimeError where there is none: outside of a trainer's step."""
    if _open.values is None or _open.options is None or _open.metrics is None:
        raise RuntimeError(f"log({name!r}, ...) works inside the steps and hooks that a Trainer calls; there is no trainer at work here")
    if options.reduce not in REDUCTIONS:
        raise ValueError(f"log({name!r}): reduce_fx must be one of {', '.join(REDUCTIONS)}, got {options.reduce!r}")
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise ValueError(
                f"log({name!r}) takes a single number, got a tensor of shape {list(value.shape)}; log its mean, or a histogram"
            )
        value = value.detach()
    elif hasattr(value, "compute"):
        _open.metrics[name], _open.options[name] = value, options
        return
    elif not isinstance(value, int | float | bool):
        raise TypeError(f"log({name!r}) takes a number, a tensor with one element or a metric, got {type(value).__name__}")
    _open.values[name] = value
    _open.options[name] = options


def number(value: Any) -> float:
    """A logged value as a Python number."""
    if not isinstance(value, Tensor) and hasattr(value, "compute"):
        value = value.compute()
    return float(value.item()) if isinstance(value, Tensor) else float(value)


class Means:
    """Running reductions of one epoch. Values are looked at in batches: looking at each at once would wait for each step."""

    LOOK_AFTER = 64

    def __init__(self) -> None:
        self._waiting: dict[str, list[tuple[Any, int]]] = {}
        self._reduce: dict[str, str] = {}
        self.totals: dict[str, list[float]] = {}  # name -> [sum or extreme, weight]

    def add(self, name: str, value: Any, rows: int, reduce: str = "mean") -> None:
        """One step's value for a batch of `rows` samples."""
        self._reduce[name] = reduce
        waiting = self._waiting.setdefault(name, [])
        waiting.append((value, rows))
        if len(waiting) >= self.LOOK_AFTER:
            self._look(name)

    def _look(self, name: str) -> None:
        how = self._reduce[name]
        total = self.totals.get(name)
        for value, rows in self._waiting.pop(name, ()):
            x = number(value)
            if total is None:
                total = [x * rows if how == "mean" else x, float(rows)]
            elif how in ("mean", "sum"):
                total[0] += x * rows if how == "mean" else x
                total[1] += rows
            else:
                total[0] = min(total[0], x) if how == "min" else max(total[0], x)
        if total is not None:
            self.totals[name] = total

    def current(self, name: str) -> float:
        """The reduction so far of one name."""
        self._look(name)
        total, weight = self.totals[name]
        return total / weight if self._reduce[name] == "mean" else total

    def results(self) -> dict[str, float]:
        """All reductions."""
        return {name: self.current(name) for name in [*dict.fromkeys([*self.totals, *self._waiting])]}

    def state(self) -> dict[str, Any]:
        """Plain data for a checkpoint in the middle of an epoch."""
        for name in list(self._waiting):
            self._look(name)
        return {"totals": {k: list(v) for k, v in self.totals.items()}, "reduce": dict(self._reduce)}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from `state()`."""
        self.totals = {k: list(v) for k, v in state["totals"].items()}
        self._reduce = dict(state["reduce"])
