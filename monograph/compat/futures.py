"""torch.futures: results that somebody will set."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class Future:
    """A result that is set once, by `set_result` or `set_exception`, and waited for by others."""

    def __init__(self, *, devices: Any = None) -> None:
        self._ready = threading.Event()
        self._lock = threading.Lock()
        self._result: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Future], Any]] = []

    def done(self) -> bool:
        """Whether there is a result."""
        return self._ready.is_set()

    def wait(self) -> Any:
        """The result, once it is there; raises what was set as an exception."""
        self._ready.wait()
        return self.value()

    def value(self) -> Any:
        """The result. Raises RuntimeError if there is none yet."""
        if not self.done():
            raise RuntimeError("Future.value() was called before the future has a result; wait() for it")
        if self._error is not None:
            raise self._error
        return self._result

    def set_result(self, result: Any) -> None:
        """Gives the result. Raises RuntimeError the second time."""
        self._set(result, None)

    def set_exception(self, result: BaseException) -> None:
        """Gives an exception for a result."""
        if not isinstance(result, BaseException):
            raise AssertionError(f"{result} is of type {type(result)}, not an Exception.")
        self._set(None, result)

    def _set(self, result: Any, error: BaseException | None) -> None:
        with self._lock:
            if self.done():
                raise RuntimeError("Future can only be marked completed once")
            self._result, self._error = result, error
            callbacks, self._callbacks = self._callbacks, []
            self._ready.set()
        for callback in callbacks:
            callback(self)

    def add_done_callback(self, callback: Callable[[Future], Any]) -> None:
        """Calls callback(self) when there is a result, at once if there is one."""
        with self._lock:
            if not self.done():
                self._callbacks.append(callback)
                return
        callback(self)

    def then(self, callback: Callable[[Future], Any]) -> Future:
        """A future of callback(self)."""
        following = Future()

        def go_on(done: Future) -> None:
            try:
                following.set_result(callback(done))
            except Exception as error:
                following.set_exception(error)

        self.add_done_callback(go_on)
        return following


def collect_all(futures: list[Future]) -> Future:
    """A future of the list of futures, done when all are."""
    all_of_them, left, lock = Future(), [len(futures)], threading.Lock()
    if not futures:
        all_of_them.set_result([])

    def one_is_done(_: Future) -> None:
        with lock:
            left[0] -= 1
            last = left[0] == 0
        if last:
            all_of_them.set_result(futures)

    for future in futures:
        future.add_done_callback(one_is_done)
    return all_of_them


def wait_all(futures: list[Future]) -> list[Any]:
    """The results of all."""
    return [future.wait() for future in collect_all(futures).wait()]
