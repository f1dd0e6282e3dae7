"""Callbacks that watch the machine: how much of it training takes, and how fast it goes."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from monograph.train.batches import batch_rows
from monograph.train.hooks import Callback


def _need_logger(trainer: Any, who: str) -> None:
    if not trainer.loggers:
        raise ValueError(f"{who} writes to the trainer's logger, and there is none: Trainer(logger=...)")


class DeviceStatsMonitor(Callback):
    """Logs processor time, memory and threads, every `log_every_n_steps` steps.

    Of the process: `process_cpu_percent` (100 is one core), `process_memory_mib`, `process_threads`; of the machine: `cpu_percent` (100 is
    all cores), `cpu_vm_percent`, `cpu_swap_percent`. What the system does not tell (/proc of Linux) is left out. `cpu_stats` is
    Lightning's; there is only a CPU here.

    >>> from monograph import train
    >>> machine = train.DeviceStatsMonitor()
    """

    def __init__(self, cpu_stats: bool | None = None) -> None:
        self.cpu_stats = cpu_stats
        self._reader = MachineReader()

    def setup(self, trainer: Any, module: Any, stage: str) -> None:
        """See Callback."""
        if stage == "fit":
            _need_logger(trainer, "DeviceStatsMonitor")
            self._reader = MachineReader()

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        """See Callback."""
        self._log(trainer, "on_train_batch_start")

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """See Callback."""
        self._log(trainer, "on_train_batch_end")

    def _log(self, trainer: Any, moment: str) -> None:
        if self.cpu_stats is not False and trainer.global_step % trainer.log_every_n_steps == 0:
            trainer.log_metrics({f"DeviceStatsMonitor.{moment}/{name}": value for name, value in self._reader.read().items()})


class MachineReader:
    """What the machine and this process do, from /proc and the clock; shares of time are since the last reading."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self.proc = proc
        self._wall, self._own, self._busy = time.monotonic(), self._own_seconds(), self._ticks()

    def read(self) -> dict[str, float]:
        """Everything that is known."""
        wall, own, busy = time.monotonic(), self._own_seconds(), self._ticks()
        found: dict[str, float] = {}
        if wall > self._wall:
            found["process_cpu_percent"] = 100.0 * (own - self._own) / (wall - self._wall)
        if busy is not None and self._busy is not None and busy[1] > self._busy[1]:
            found["cpu_percent"] = 100.0 * (busy[0] - self._busy[0]) / (busy[1] - self._busy[1])
        self._wall, self._own, self._busy = wall, own, busy
        status = self._table("self/status")
        if "VmRSS" in status:
            found["process_memory_mib"] = status["VmRSS"] / 1024
        if "Threads" in status:
            found["process_threads"] = status["Threads"]
        memory = self._table("meminfo")
        if memory.get("MemTotal") and "MemAvailable" in memory:
            found["cpu_vm_percent"] = 100.0 * (1 - memory["MemAvailable"] / memory["MemTotal"])
        if memory.get("SwapTotal") and "SwapFree" in memory:
            found["cpu_swap_percent"] = 100.0 * (1 - memory["SwapFree"] / memory["SwapTotal"])
        return found

    def memory_left(self) -> float | None:
        """Bytes that can still be taken without swapping; None if nobody knows."""
        left = self._table("meminfo").get("MemAvailable")
        return None if left is None else left * 1024

    def memory_of_process(self) -> float | None:
        """The most bytes this process has held; None if nobody knows."""
        peak = self._table("self/status").get("VmHWM")
        return None if peak is None else peak * 1024

    def _own_seconds(self) -> float:
        times = os.times()
        return times.user + times.system

    def _ticks(self) -> tuple[float, float] | None:
        try:
            numbers = [float(n) for n in (self.proc / "stat").read_text().split("\n", 1)[0].split()[1:9]]
        except (OSError, ValueError):
            return None
        return (sum(numbers) - numbers[3] - numbers[4], sum(numbers)) if len(numbers) >= 5 else None

    def _table(self, name: str) -> dict[str, float]:
        """Lines of "Name:   123 kB"."""
        try:
            lines = (self.proc / name).read_text().splitlines()
        except OSError:
            return {}
        pairs = [(key, rest.split()) for key, colon, rest in (line.partition(":") for line in lines) if colon]
        return {key: float(words[0]) for key, words in pairs if words and words[0].isdigit()}


class ThroughputMonitor(Callback):
    """Logs how fast training goes: `train/batches_per_sec`, `train/samples_per_sec` over the last `window_size` steps, and totals.

    `batch_size_fn(batch)` counts samples (the first dim, if not given), `length_fn(batch)` items such as tokens: `train/items_per_sec`.

    >>> from monograph import train
    >>> speed = train.ThroughputMonitor(window_size=50)
    """

    def __init__(
        self, batch_size_fn: Callable[[Any], int] | None = None, length_fn: Callable[[Any], int] | None = None, window_size: int = 100,
        separator: str = "/",
    ) -> None:  # fmt: skip
        if window_size < 2:
            raise ValueError(f"a speed needs two steps: window_size is at least 2, got {window_size}")
        self.batch_size_fn, self.length_fn = batch_size_fn or batch_rows, length_fn
        self.window_size, self.separator = window_size, separator
        self._begin()

    def _begin(self) -> None:
        self._window: deque[tuple[float, int, int]] = deque(maxlen=self.window_size)  # (time, samples so far, items so far)
        self.batches = self.samples = self.items = 0
        self._waiting = self._paused = 0.0
        self._begun = time.monotonic()

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        _need_logger(trainer, "ThroughputMonitor")
        self._begin()

    def on_validation_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self._waiting = time.monotonic()

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self._paused += time.monotonic() - self._waiting if self._waiting else 0.0

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """See Callback."""
        self.batches += 1
        self.samples += int(self.batch_size_fn(batch))
        if self.length_fn is not None:
            self.items += int(self.length_fn(batch))
        self._window.append((time.monotonic() - self._paused, self.samples, self.items))
        if trainer.global_step % trainer.log_every_n_steps == 0:
            trainer.log_metrics({f"train{self.separator}{name}": value for name, value in self.rates().items()})

    def rates(self) -> dict[str, float]:
        """What is logged: totals, and speeds once there are two steps to compare."""
        found = {"time": time.monotonic() - self._begun - self._paused, "batches": float(self.batches), "samples": float(self.samples)}
        if self.length_fn is not None:
            found["lengths"] = float(self.items)
        if len(self._window) > 1:
            (first, samples, items), (last, all_samples, all_items) = self._window[0], self._window[-1]
            seconds = max(1e-9, last - first)
            found["batches_per_sec"] = (len(self._window) - 1) / seconds
            found["samples_per_sec"] = (all_samples - samples) / seconds
            if self.length_fn is not None:
                found["items_per_sec"] = (all_items - items) / seconds
        return found
