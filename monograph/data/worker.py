"""What runs in a worker process of a DataLoader."""

from __future__ import annotations

import os
import queue
import random
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from monograph.data import transport
from monograph.data.collate import CollateFn, default_collate
from monograph.data.dataset import IterableDataset, Subset, TensorDataset
from monograph.tensor.random import manual_seed

PARENT_CHECK_SECONDS = 2.0


@dataclass
class WorkerInfo:
    """Who a worker process is: see `get_worker_info`."""

    id: int
    num_workers: int
    seed: int
    dataset: Any

    def __repr__(self) -> str:
        return f"WorkerInfo(id={self.id}, num_workers={self.num_workers}, seed={self.seed}, dataset={self.dataset!r})"


_worker_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a worker process its id, the number of workers, its seed and its copy of the dataset; None in the main process."""
    return _worker_info


@dataclass
class Failure:
    """An exception of a worker, as text, with what it was doing."""

    kind: type[BaseException]
    where: str
    text: str
    what: str = ""

    def reraise(self) -> None:
        """Raises the exception in this process, with the worker's traceback in its message."""
        message = f"Caught {self.kind.__name__} {self.where}{self.what}.\nOriginal {self.text}"
        try:
            error = self.kind(message)
        except Exception:  # an exception class with arguments of its own
            raise RuntimeError(message) from None
        if isinstance(error, KeyError):  # whose text is shown quoted, with the line ends escaped
            error = type("KeyErrorOfWorker", (KeyError,), {"__str__": lambda self: message})(message)
        raise error


@dataclass
class EndOfStream:
    """An iterable dataset has come to its end in this worker."""


class Fetcher:
    """Gets samples and makes batches of them; knows which sample it is at."""

    def __init__(self, dataset: Any, collate_fn: CollateFn, auto_collation: bool, drop_last: bool) -> None:
        self.dataset = dataset
        self.collate_fn = collate_fn
        self.auto_collation = auto_collation
        self.drop_last = drop_last
        self.at = ""
        self._stream: Iterator[Any] | None = iter(dataset) if isinstance(dataset, IterableDataset) else None
        self._ended = False

    def fetch(self, indices: Any) -> Any:
        """The batch of these indices (of an iterable dataset: the next batch). Raises StopIteration at the end of a stream."""
        if self._stream is not None:
            return self._fetch_stream(indices)
        if not self.auto_collation:
            self.at = f"at sample index {indices!r}"
            return self.collate_fn(self.dataset[indices])
        self.at = f"at sample indices {indices!r}"
        if self.collate_fn is default_collate and isinstance(self.dataset, TensorDataset | Subset):
            batch = self.dataset.collated(indices)
            if batch is not None:
                return batch
        at_once = getattr(self.dataset, "__getitems__", None)
        if at_once is not None:
            samples = at_once(indices)
        else:
            samples = []
            for i in indices:
                self.at = f"at sample index {i!r}"
                samples.append(self.dataset[i])
        self.at = f"while collating samples {indices!r}"
        return self.collate_fn(samples)

    def _fetch_stream(self, indices: Any) -> Any:
        stream: Any = self._stream
        if self._ended:
            raise StopIteration
        self.at = "while iterating over the dataset"
        if not self.auto_collation:
            return self.collate_fn(next(stream))
        samples = []
        for _ in indices:
            try:
                samples.append(next(stream))
            except StopIteration:
                self._ended = True
                break
        if not samples or (self.drop_last and len(samples) < len(indices)):
            raise StopIteration
        self.at = "while collating samples"
        return self.collate_fn(samples)


@dataclass
class Job:
    """Everything a worker needs to start."""

    dataset: Any
    collate_fn: CollateFn
    auto_collation: bool
    drop_last: bool
    worker_init_fn: Callable[[int], None] | None
    worker_id: int
    num_workers: int
    base_seed: int


def run_worker(job: Job, connection: Any, parent_pid: int) -> None:
    """The main function of a worker: answers (number, indices) with (number, batch) until told to stop, or until the parent is gone."""
    global _worker_info
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the parent, which stops its workers
    seed = job.base_seed + job.worker_id
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - the generator that users' transforms share
    manual_seed(seed)
    where = f"in DataLoader worker process {job.worker_id}"
    trouble: Failure | None = None
    fetcher: Fetcher | None = None
    _worker_info = WorkerInfo(job.worker_id, job.num_workers, seed, job.dataset)
    try:
        if job.worker_init_fn is not None:
            job.worker_init_fn(job.worker_id)
        fetcher = _fetcher(job)
    except Exception:
        trouble = _failure(where)
    tasks = _incoming(connection, parent_pid)
    while True:
        task = tasks.get()
        if task is None:
            break
        number, indices = task
        answer: Any
        if number == "again":  # a persistent worker starts another epoch
            seed_of_epoch = indices + job.worker_id
            try:
                fetcher, trouble = _fetcher(job), None
                _worker_info.seed = seed_of_epoch
            except Exception:
                trouble = _failure(where)
            continue
        if trouble is not None:
            answer = trouble
            trouble = None
        else:
            try:
                answer = fetcher.fetch(indices)  # type: ignore[union-attr]
            except StopIteration:
                answer = EndOfStream()
            except Exception:
                answer = _failure(where, f" {fetcher.at}" if fetcher is not None and fetcher.at else "")
        try:
            transport.send(connection, (number, answer), parent_pid)
        except (BrokenPipeError, ConnectionResetError):
            break
        except Exception:
            transport.send(connection, (number, _failure(where, " while sending the batch")), parent_pid)
        del answer
    os._exit(0)  # no atexit handlers of the parent, no waiting for its threads


def _fetcher(job: Job) -> Fetcher:
    return Fetcher(job.dataset, job.collate_fn, job.auto_collation, job.drop_last)


def _failure(where: str, what: str = "") -> Failure:
    kind, value, _ = sys.exc_info()
    return Failure(kind or type(value), where, traceback.format_exc(), what)  # type: ignore[arg-type]


def _incoming(connection: Any, parent_pid: int) -> queue.SimpleQueue[Any]:
    """The tasks, read by a thread of their own: the parent never waits for a busy worker, and a dead parent is noticed."""
    tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def read() -> None:
        try:
            while True:
                if connection.poll(PARENT_CHECK_SECONDS):
                    task = connection.recv()
                    tasks.put(task)
                    if task is None:
                        return
                elif os.getppid() != parent_pid:
                    os._exit(1)
        except (EOFError, OSError):
            os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    return tasks
