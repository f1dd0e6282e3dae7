"""Work ahead of the reader: prefetch (one thread) and map with parallel calls (several). The order is that of the work done in turn.

Threads never hold on to the run that started them: a run that is dropped or closed ends them.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from monograph.data.pipeline.elements import freeze
from monograph.data.pipeline.single import CountingRun, Map, OneInput
from monograph.data.pipeline.stage import AUTOTUNE, Run, Stage

AHEAD = 2  # what AUTOTUNE reads ahead
MOST_THREADS = 16


class _Shelf:
    """What the thread of a prefetch shares with its run."""

    def __init__(self, source: Run, size: int) -> None:
        self.source, self.size = source, size
        self.ready: deque[tuple[str, Any]] = deque()
        self.changed = threading.Condition()
        self.reading = threading.Lock()  # held while the source is asked: its state is read between two elements
        self.ended = self.stopped = False

    def fill(self) -> None:
        """The thread's work."""
        while True:
            with self.changed:
                while len(self.ready) >= self.size and not self.stopped:
                    self.changed.wait()
            with self.reading:
                if self.stopped:
                    return
                try:
                    entry: tuple[str, Any] = ("element", next(self.source))
                except StopIteration:
                    entry = ("end", None)
                except BaseException as error:
                    entry = ("error", error)
                with self.changed:
                    if entry[0] == "end":
                        self.ended = True
                    else:
                        self.ready.append(entry)
                    self.changed.notify_all()
                    if self.ended:
                        return

    def stop(self) -> None:
        """Tells the thread to end."""
        with self.changed:
            self.stopped = True
            self.changed.notify_all()


class PrefetchRun(Run):
    """Elements of another run, read ahead by a thread."""

    def __init__(self, source: Run, size: int) -> None:
        self.children = [source]
        self.shelf = _Shelf(source, size)
        self.thread: threading.Thread | None = None
        weakref.finalize(self, self.shelf.stop)

    def __next__(self) -> Any:
        shelf = self.shelf
        if self.thread is None and not shelf.ended and not shelf.stopped:
            self.thread = threading.Thread(target=shelf.fill, name="monograph-prefetch", daemon=True)
            self.thread.start()
        with shelf.changed:
            while not shelf.ready:
                if shelf.ended or shelf.stopped:
                    raise StopIteration
                shelf.changed.wait()
            kind, value = shelf.ready.popleft()
            shelf.changed.notify_all()
        if kind == "error":
            raise value
        return value

    def state(self) -> dict[str, Any]:
        """The source's, and what was read of it already."""
        shelf = self.shelf
        with shelf.reading, shelf.changed:
            ready = [freeze(value) for kind, value in shelf.ready if kind == "element"]
            return {"children": [self.children[0].state()], "ready": ready, "ended": shelf.ended}

    def restore(self, state: dict[str, Any]) -> None:
        self._end_thread()
        self.shelf = _Shelf(self.children[0], self.shelf.size)
        weakref.finalize(self, self.shelf.stop)
        self.shelf.ready.extend(("element", e) for e in state["ready"])
        self.shelf.ended = state["ended"]
        self.children[0].restore(state["children"][0])

    def _end_thread(self) -> None:
        self.shelf.stop()
        if self.thread is not None and self.thread is not threading.current_thread():
            self.thread.join()
        self.thread = None

    def close(self) -> None:
        self._end_thread()
        super().close()


class Prefetch(OneInput):
    """The next `size` elements are made while this one is used."""

    def __init__(self, source: Stage, size: int) -> None:
        super().__init__(source)
        if size < AUTOTUNE:
            raise ValueError(f"Dataset.prefetch: buffer_size must be AUTOTUNE or from 0 on, got {size}")
        self.size = AHEAD if size == AUTOTUNE else size

    def run(self) -> Run:
        """With a thread, unless nothing is to be made ahead."""
        source = self.inputs[0].run()
        return PrefetchRun(source, self.size) if self.size else source


def threads_for(parallel: int) -> int:
    """How many threads `num_parallel_calls` means."""
    if parallel == AUTOTUNE:
        return min(os.cpu_count() or 1, MOST_THREADS)
    if isinstance(parallel, bool) or not isinstance(parallel, int) or parallel < 1:
        raise ValueError(f"num_parallel_calls must be AUTOTUNE or a whole number above 0, got {parallel!r}")
    return parallel


class ParallelMap(Map):
    """function(element) in several threads; results in order, or (deterministic=False) as they come."""

    def __init__(self, source: Stage, function: Callable[..., Any], parallel: int, deterministic: bool) -> None:
        super().__init__(source, function)
        self.threads, self.deterministic = threads_for(parallel), deterministic

    class RUN(CountingRun):
        def __init__(self, stage: Any) -> None:
            super().__init__(stage)
            self.pool: ThreadPoolExecutor | None = None
            self.waiting: deque[tuple[Any, int, Future[Any]]] = deque()
            self.ended = False

        def _submit(self, element: Any, number: int) -> None:
            if self.pool is None:
                self.pool = ThreadPoolExecutor(self.stage.threads, thread_name_prefix="monograph-map")
            self.waiting.append((element, number, self.pool.submit(self.stage.function.host, element, number)))

        def __next__(self) -> Any:
            while not self.ended and len(self.waiting) < self.stage.threads + AHEAD:
                try:
                    self._submit(freeze(self.pull()), self.at - 1)
                except StopIteration:
                    self.ended = True
            if not self.waiting:
                raise StopIteration
            if self.stage.deterministic:
                return self.waiting.popleft()[2].result()
            wait([future for *_, future in self.waiting], return_when=FIRST_COMPLETED)
            entry = next(e for e in self.waiting if e[2].done())
            self.waiting.remove(entry)
            return entry[2].result()

        def state(self) -> dict[str, Any]:
            inputs = [(element, number) for element, number, _ in self.waiting]
            return {**super().state(), "waiting": inputs, "ended": self.ended}

        def restore(self, state: dict[str, Any]) -> None:
            self._end_pool()
            super().restore(state)
            self.ended = state["ended"]
            for element, number in state["waiting"]:
                self._submit(element, number)

        def _end_pool(self) -> None:
            if self.pool is not None:
                self.pool.shutdown(wait=True, cancel_futures=True)
            self.pool = None
            self.waiting.clear()

        def close(self) -> None:
            self._end_pool()
            super().close()
