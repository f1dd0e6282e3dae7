"""torch.profiler: wall times of a region and of the ranges named in it. What a program does inside is shown by `MONOGRAPH_DEBUG` and
`monograph.explain`: one native call computes many operations, so there is no time per operation to give.
"""

from __future__ import annotations

import enum
import functools
import json
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

ProfilerActivity = enum.Enum("ProfilerActivity", ["CPU", "CUDA", "XPU", "MTIA", "HPU", "PrivateUse1"], start=0)
ProfilerAction = enum.Enum("ProfilerAction", ["NONE", "WARMUP", "RECORD", "RECORD_AND_SAVE"], start=0)
_running: list[profile] = []


class FunctionEvent:
    """A named range: how often it was passed, and its seconds in all."""

    def __init__(self, key: str) -> None:
        self.key = self.name = key
        self.count, self._seconds = 0, 0.0

    @property
    def cpu_time_total(self) -> float:
        """Microseconds in all."""
        return self._seconds * 1e6

    self_cpu_time_total = cpu_time_total

    @property
    def cpu_time(self) -> float:
        """Microseconds of one pass."""
        return self.cpu_time_total / max(1, self.count)


class EventList(list[FunctionEvent]):
    """Ranges, that print as a table."""

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds in all."""
        return sum(event.cpu_time_total for event in self)

    def table(self, sort_by: str | None = None, row_limit: int = 100, *args: Any, **kwargs: Any) -> str:
        """A line per range."""
        ordered = sorted(self, key=lambda event: -event.cpu_time_total) if sort_by else self
        width = max([len(event.key) for event in self] + [4])
        lines = [f"{'Name':<{width}}  {'CPU total':>12}  {'# of Calls':>10}"]
        lines += [f"{event.key:<{width}}  {event.cpu_time_total:>10.1f}us  {event.count:>10}" for event in list(ordered)[:row_limit]]
        return "\n".join(lines) + "\n"

    def total_average(self) -> FunctionEvent:
        """All ranges as one."""
        total = FunctionEvent("Total")
        total.count, total._seconds = sum(event.count for event in self), self.self_cpu_time_total / 1e6
        return total


class profile:  # noqa: N801 - torch's name
    """Times a region: `with profile() as p: ...`, then `p.key_averages()`; with a schedule, `p.step()` after every step."""

    def __init__(
        self, *args: Any, activities: Iterable[Any] | None = None, schedule: Callable[[int], Any] | None = None,
        on_trace_ready: Callable[[Any], Any] | None = None, enabled: bool = True, **options: Any,
    ) -> None:  # fmt: skip
        self.activities, self.schedule, self.on_trace_ready, self.enabled = activities, schedule, on_trace_ready, enabled
        self.step_num = 0
        self._events: dict[str, FunctionEvent] = {}
        self._spans: list[tuple[str, float, float]] = []
        self._since = 0.0

    def start(self) -> None:
        """Begins to note named ranges."""
        self._since = time.perf_counter()
        if self.enabled:
            _running.append(self)

    def stop(self) -> None:
        """Ends it."""
        if self in _running:
            _running.remove(self)
        if self.on_trace_ready is not None and self.schedule is None:
            self.on_trace_ready(self)

    def step(self) -> None:
        """The next step of the schedule."""
        done = self.schedule(self.step_num) if self.schedule is not None else ProfilerAction.RECORD
        self._note(f"ProfilerStep#{self.step_num}", self._since, time.perf_counter())
        self._since = time.perf_counter()
        self.step_num += 1
        if done is ProfilerAction.RECORD_AND_SAVE and self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def _note(self, name: str, start: float, end: float) -> None:
        event = self._events.setdefault(name, FunctionEvent(name))
        event.count += 1
        event._seconds += end - start
        self._spans.append((name, start, end))

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def events(self) -> EventList:
        """The ranges that were passed."""
        return EventList(self._events.values())

    def key_averages(self, *args: Any, **kwargs: Any) -> EventList:
        """The ranges that were passed, by name."""
        return self.events()

    def export_chrome_trace(self, path: str) -> None:
        """Writes the ranges for a trace viewer."""
        spans = [{"name": n, "ph": "X", "ts": a * 1e6, "dur": (b - a) * 1e6, "pid": 0, "tid": 0} for n, a, b in self._spans]
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": spans}, file)


class record_function:  # noqa: N801 - torch's name
    """Names a range: context manager and decorator."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name, self.args = name, args
        self._since: list[float] = []

    def __enter__(self) -> record_function:
        self._since.append(time.perf_counter())
        return self

    def __exit__(self, *error: object) -> None:
        start, end = self._since.pop(), time.perf_counter()
        for running in _running:
            running._note(self.name, start, end)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def named(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name):
                return function(*args, **kwargs)

        return named


def schedule(*, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, **more: Any) -> Callable[[int], Any]:
    """What to do at each step: pass over some, warm up, record, again."""

    def action(step: int) -> Any:
        if step < skip_first:
            return ProfilerAction.NONE
        round_, place = divmod(step - skip_first, wait + warmup + active)
        if (repeat and round_ >= repeat) or place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD_AND_SAVE if place == wait + warmup + active - 1 else ProfilerAction.RECORD

    return action


def tensorboard_trace_handler(dir_name: str, worker_name: str | None = None, use_gzip: bool = False) -> Callable[[profile], None]:
    """Writes each trace into a folder."""
    def write(done: profile) -> None:
        os.makedirs(dir_name, exist_ok=True)
        done.export_chrome_trace(os.path.join(dir_name, f"{worker_name or 'worker'}.{done.step_num}.pt.trace.json"))

    return write


def supported_activities() -> set[Any]:
    """The CPU."""
    return {ProfilerActivity.CPU}


_KinetoProfile = profile
__all__ = [
    "EventList", "FunctionEvent", "ProfilerAction", "ProfilerActivity", "profile", "record_function", "schedule", "supported_activities",
    "tensorboard_trace_handler",
]  # fmt: skip
