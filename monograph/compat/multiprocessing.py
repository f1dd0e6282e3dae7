"""torch.multiprocessing: Python's, with `spawn`. Tensors travel between processes as copies."""

from __future__ import annotations

import multiprocessing as _python
import multiprocessing.connection
import signal
import sys
import traceback
from collections.abc import Callable
from multiprocessing import *  # noqa: F403
from typing import Any


class ProcessException(Exception):
    """A process that `spawn` started failed."""

    def __init__(self, msg: str, error_index: int, pid: int) -> None:
        super().__init__(msg)
        self.msg, self.error_index, self.pid = msg, error_index, pid


class ProcessRaisedException(ProcessException):
    """A process raised; the message holds its traceback."""


class ProcessExitedException(ProcessException):
    """A process ended with an exit code or by a signal."""

    def __init__(self, msg: str, error_index: int, pid: int, exit_code: int, signal_name: str | None = None) -> None:
        super().__init__(msg, error_index, pid)
        self.exit_code, self.signal_name = exit_code, signal_name


def _run(fn: Callable[..., Any], i: int, args: tuple[Any, ...], errors: Any) -> None:
    try:
        fn(i, *args)
    except KeyboardInterrupt:
        sys.exit(1)
    except Exception:
        errors.put(traceback.format_exc())
        sys.exit(1)


class ProcessContext:
    """Processes that run the same function, each with its number."""

    def __init__(self, processes: list[Any], errors: list[Any]) -> None:
        self.processes, self._errors = processes, errors

    def pids(self) -> list[int | None]:
        """The process ids."""
        return [process.pid for process in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Waits for all processes; at the first that fails, ends the others and raises. True when all are done, False at the timeout."""
        sentinels = {process.sentinel: i for i, process in enumerate(self.processes) if process.is_alive()}
        while sentinels:
            ready = _python.connection.wait(list(sentinels), timeout)
            if not ready:
                return False
            for sentinel in ready:
                self._settle(sentinels.pop(sentinel))  # type: ignore[arg-type]
        for i in range(len(self.processes)):
            self._settle(i)
        return True

    def _settle(self, i: int) -> None:
        process = self.processes[i]
        process.join()
        if process.exitcode == 0:
            return
        for other in self.processes:
            if other.is_alive():
                other.terminate()
            other.join()
        if not self._errors[i].empty():
            text = self._errors[i].get()
            raise ProcessRaisedException(f"\n\n-- Process {i} terminated with the following error:\n{text}", i, process.pid)
        name = signal.Signals(-process.exitcode).name if process.exitcode < 0 else None
        what = f"signal {name}" if name else f"exit code {process.exitcode}"
        raise ProcessExitedException(f"process {i} terminated with {what}", i, process.pid, process.exitcode, name)


SpawnContext = ProcessContext


def start_processes(
    fn: Callable[..., Any], args: Any = (), nprocs: int = 1, join: bool = True, daemon: bool = False, start_method: str = "spawn"
) -> Any:
    """Runs fn(i, *args) in nprocs processes. With `join` waits and returns None, else returns the ProcessContext."""
    context = _python.get_context(start_method)
    errors = [context.SimpleQueue() for _ in range(nprocs)]
    processes = [context.Process(target=_run, args=(fn, i, tuple(args), errors[i]), daemon=daemon) for i in range(nprocs)]  # type: ignore[attr-defined]
    for process in processes:
        process.start()
    made = ProcessContext(processes, errors)
    if not join:
        return made
    while not made.join():
        pass
    return None


def spawn(
    fn: Callable[..., Any], args: Any = (), nprocs: int = 1, join: bool = True, daemon: bool = False, start_method: str = "spawn"
) -> Any:
    """`start_processes` with freshly started interpreters."""
    return start_processes(fn, args, nprocs, join, daemon, start_method)


def get_all_sharing_strategies() -> set[str]:
    """{"file_descriptor", "file_system"}."""
    return {"file_descriptor", "file_system"}


_strategy = ["file_descriptor"]


def get_sharing_strategy() -> str:
    """The strategy that was set; tensors are copied under either."""
    return _strategy[0]


def set_sharing_strategy(new_strategy: str) -> None:
    """Sets the strategy that `get_sharing_strategy` returns."""
    if new_strategy not in get_all_sharing_strategies():
        raise AssertionError(f"invalid sharing strategy: {new_strategy!r}")
    _strategy[0] = new_strategy


def __getattr__(name: str) -> Any:
    return getattr(_python, name)
