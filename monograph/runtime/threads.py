"""How many threads a program may use: the default from the machine, changed by `set_num_threads`."""

from __future__ import annotations

import math
import os

from monograph.core.knobs import define_knob

num_threads_knob = define_knob("num_threads", 0, "threads that run kernels (0: one for each core this process may use)")

MAX_THREADS = 256
CGROUP_LIMIT = "/sys/fs/cgroup/cpu.max"


def available_cores() -> int:
    """Cores this process may use: its affinity mask, cut by a container's CPU quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open(CGROUP_LIMIT) as file:
            quota, period = file.read().split()[:2]
        if quota != "max":
            # More threads than the quota pays for are stopped by the kernel in the middle of a step.
            cores = min(cores, max(1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError, ZeroDivisionError):
        return cores
    return cores


def _checked(n: int, source: str) -> int:
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError(f"{source}: expected a number of threads (an int), got {n!r}")
    if n < 1:
        raise ValueError(f"{source}: expected at least 1 thread, got {n}; write set_num_threads(1) to run on the calling thread alone")
    return min(n, MAX_THREADS)


class _Setting:
    """The number in force; an attribute of an object, so that readers on the hot path need no function call."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        asked = num_threads_knob.get()
        self.count = _checked(asked, "MONOGRAPH_NUM_THREADS") if asked else min(available_cores(), MAX_THREADS)


setting = _Setting()


def set_num_threads(n: int) -> None:
    """Lets every later run use up to `n` threads (the caller counts as one; at most 256)."""
    setting.count = _checked(n, "set_num_threads")


def get_num_threads() -> int:
    """The number of threads a run may use."""
    return setting.count
