"""The native thread pool and program runner of this process: made on first use, remade in forked children.

`native_entry()` is what `runtime.program.Program` needs to run. Workers are started by the first run that can use them, and no more of them
than `get_num_threads() - 1`. While one run owns the pool, a run from another Python thread (or from inside a host step) does its
steps alone on its own thread. Workers sleep when idle and end with the process; nothing waits for them at exit.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass

from monograph.runtime.program import NativeEntry
from monograph.runtime.threads import get_num_threads
from monograph.targets.cpu.features import cpu_features
from monograph.targets.cpu.jit import jit
from monograph.targets.cpu.pool_emit import pool_ir
from monograph.targets.cpu.pool_state import WORKERS

FUNCTIONS = ("mg_run", "mg_run_timed", "mg_pool_reset", "mg_pool_start", "mg_pool_stop", "mg_pool_state")


@dataclass(frozen=True)
class Pool:
    """Addresses of the pool's native functions, and the entry made of them."""

    addresses: dict[str, int]
    entry: NativeEntry

    def call(self, name: str, *values: int) -> int:
        """Calls a pool function on ints."""
        signature = ctypes.CFUNCTYPE(ctypes.c_int64, *([ctypes.c_int64] * len(values)))
        return int(signature(self.addresses[name])(*values))

    @property
    def workers(self) -> int:
        """Pool threads alive (without the caller)."""
        return ctypes.c_int64.from_address(self.call("mg_pool_state") + 8 * WORKERS).value

    def start(self, threads: int | None = None) -> int:
        """Starts workers for runs on `threads` threads ahead of the first run; returns how many live."""
        self.call("mg_pool_start", get_num_threads() if threads is None else threads)
        return self.workers

    def stop(self) -> bool:
        """Ends the workers and waits for them (the next run starts them again); False if a run is under way."""
        return bool(self.call("mg_pool_stop"))


_pool: Pool | None = None


def pool() -> Pool:
    """The pool of this process."""
    global _pool
    if _pool is None:
        with jit().lock:  # the lock that a fork waits for: a child never finds it taken
            if _pool is None:
                architecture = cpu_features().architecture
                # All functions share one object, and with it one state.
                addresses = jit().compile_module(FUNCTIONS, pool_ir(architecture))
                made = Pool(addresses, NativeEntry.at(addresses["mg_run"], addresses["mg_run_timed"]))
                made.call("mg_pool_reset")
                if hasattr(os, "register_at_fork"):
                    os.register_at_fork(after_in_child=lambda: made.call("mg_pool_reset"))
                _pool = made
    return _pool


def native_entry() -> NativeEntry:
    """The runner to build a `Program` with."""
    return pool().entry
