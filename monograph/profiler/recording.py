"""What is noted while a profiler records: runs of plans, named ranges, and how much memory is live."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from monograph.core.errors import user_line
from monograph.runtime.buffers import allocator
from monograph.runtime.observing import observing


@dataclass
class Range:
    """A named stretch of time of one thread, in nanoseconds of `time.perf_counter_ns`."""

    name: str
    start: int
    end: int
    thread: int
    line: str = ""


@dataclass
class KernelRun:
    """One run of a plan: `times` has the nanoseconds of each kernel call, `kernels` what the plan says about them."""

    kernels: Sequence[Any]
    start: int
    times: Sequence[int]
    thread: int
    line: str
    live: int  # bytes in buffers when it ended
    arena: int  # bytes of its temporaries


@dataclass
class Recording:
    """Everything noted between two moments."""

    runs: list[KernelRun] = field(default_factory=list)
    ranges: list[Range] = field(default_factory=list)
    memory: list[tuple[int, int]] = field(default_factory=list)
    """(time, live bytes): at the ends of ranges and around every run."""
    started: int = field(default_factory=time.perf_counter_ns)
    ended: int = 0
    wants_lines: bool = False

    def kernels(self, plan: Any, start: int, times: Sequence[int]) -> None:
        """A plan has run."""
        line = user_line(2) if self.wants_lines else ""
        arena = plan.program.arena_bytes
        self.memory.append((start, allocator.live))
        self.runs.append(KernelRun(plan.describe(), start, times, threading.get_ident(), line, allocator.live, arena))

    def range(self, name: str, start: int, end: int, line: str = "") -> None:
        """A range has ended."""
        self.ranges.append(Range(name, start, end, threading.get_ident(), line))
        self.memory.append((end, allocator.live))


_active: list[Recording] = []


def begin(wants_lines: bool = False) -> Recording:
    """Starts to note things; several recordings may be under way."""
    recording = Recording(wants_lines=wants_lines)
    recording.memory.append((recording.started, allocator.live))
    _active.append(recording)
    observing.kernels = _tell_all
    return recording


def end(recording: Recording) -> None:
    """Ends one."""
    recording.ended = time.perf_counter_ns()
    recording.memory.append((recording.ended, allocator.live))
    if recording in _active:
        _active.remove(recording)
    if not _active:
        observing.kernels = None


def active() -> Sequence[Recording]:
    """The recordings under way."""
    return _active


def _tell_all(plan: Any, start: int, times: Sequence[int]) -> None:
    for recording in list(_active):
        recording.kernels(plan, start, times)
