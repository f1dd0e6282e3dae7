"""What runs in a worker process of a DataLoader."""

from __future__ import annotations

import ctypes
import gc
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from monograph.core.modes import MODES
from monograph.core.trees import flatten
from monograph.data.collate import CollateFn, collate_into, default_collate
from monograph.data.dataset import IterableDataset, Subset, TensorDataset
from monograph.data.seeding import WorkerStreams, making_samples
from monograph.data.transport import Sender
from monograph.engine import evaluator
from monograph.tensor import Tensor
from monograph.tensor.by_layout import SparseOperand
from monograph.tensor.core import node_of

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


def settle(sample: Any) -> Any:
    """Computes what the tensors of a sample are; returns the sample.

    One small program serves all samples that are made alike. Together, the samples of a batch would be a new program for every combination
    of what was done to them by chance. Views of tensors that have values are left alone: they are addresses.
    """
    if MODES.capture is None and isinstance(sample, Tensor | tuple | list | dict):
        tensors = [t for t in flatten(sample)[0] if isinstance(t, Tensor)]
        nodes = [node_of(t) for t in tensors if _is_pending(t)]
        if nodes:
            evaluator.evaluate(nodes)
    return sample


def _is_pending(t: Tensor) -> bool:
    base = t if t._base is None else t._base
    try:
        return base._node.value is None and t.device.type != "meta"
    except SparseOperand:
        return False


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

    @property
    def is_stream(self) -> bool:
        """Whether the dataset says itself what comes next."""
        return self._stream is not None

    def fetch(self, indices: Any, seed: int | None) -> Any:
        """The batch of these indices, drawn with a seed (of an iterable dataset: the next batch). StopIteration at the end of a stream."""
        if self._stream is not None:
            with making_samples(None):
                return self._fetch_stream(indices)
        with making_samples(seed):
            return self._fetch(indices)

    def _fetch(self, indices: Any) -> Any:
        if not self.auto_collation:
            self.at = f"at sample index {indices!r}"
            return self.collate_fn(settle(self.dataset[indices]))
        self.at = f"at sample indices {indices!r}"
        if self.collate_fn is default_collate and isinstance(self.dataset, TensorDataset | Subset):
            batch = self.dataset.collated(indices)
            if batch is not None:
                return batch
        at_once = getattr(self.dataset, "__getitems__", None)
        if at_once is not None:
            samples = settle(at_once(indices))
        else:
            samples = []
            for i in indices:
                self.at = f"at sample index {i!r}"
                samples.append(settle(self.dataset[i]))
        self.at = f"while collating samples {indices!r}"
        return self.collate_fn(samples)

    def _fetch_stream(self, indices: Any) -> Any:
        stream: Any = self._stream
        if self._ended:
            raise StopIteration
        self.at = "while iterating over the dataset"
        if not self.auto_collation:
            return self.collate_fn(settle(next(stream)))
        samples = []
        for _ in indices:
            try:
                samples.append(settle(next(stream)))
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
    gc.freeze()  # what was inherited stays: looking through it again and again would copy its pages
    gc.set_threshold(20_000)
    _keep_freed_memory()
    seed = job.base_seed + job.worker_id
    streams = WorkerStreams(seed)
    epoch_seed = job.base_seed
    where = f"in DataLoader worker process {job.worker_id}"
    trouble: Failure | None = None
    fetcher: Fetcher | None = None
    _worker_info = WorkerInfo(job.worker_id, job.num_workers, seed, job.dataset)
    try:
        if job.worker_init_fn is not None:
            job.worker_init_fn(job.worker_id)
            streams.after_init()
        fetcher = _fetcher(job)
    except Exception:
        trouble = _failure(where)
    sender = Sender(connection, parent_pid)
    collate_into(sender.empty)
    tasks = _incoming(connection, sender, parent_pid)
    while True:
        task = tasks.get()
        if task is None:
            break
        number, indices = task
        answer: Any
        if number == "again":  # a persistent worker starts another epoch
            epoch_seed = indices
            try:
                fetcher, trouble = _fetcher(job), None
                _worker_info.seed = epoch_seed + job.worker_id
            except Exception:
                trouble = _failure(where)
            continue
        if trouble is not None:
            answer = trouble
            trouble = None
        else:
            try:
                of_batch = None if fetcher.is_stream else streams.seed_of_batch(epoch_seed, number)  # type: ignore[union-attr]
                answer = fetcher.fetch(indices, of_batch)  # type: ignore[union-attr]
            except StopIteration:
                answer = EndOfStream()
            except Exception:
                answer = _failure(where, f" {fetcher.at}" if fetcher is not None and fetcher.at else "")
        try:
            sender.send((number, answer))
        except (BrokenPipeError, ConnectionResetError):
            break
        except Exception:
            sender.send((number, _failure(where, " while sending the batch")))
        del answer
    os._exit(0)  # no atexit handlers of the parent, no waiting for its threads


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, KEPT_BYTES = -1, -3, 256 << 20


def _keep_freed_memory() -> None:
    """Tells glibc, where it is the C library, not to give freed memory back: the next sample needs as much, and fresh pages are slow."""
    try:
        configure = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    configure(M_MMAP_THRESHOLD, 32 << 20)  # the most that it takes
    configure(M_TRIM_THRESHOLD, KEPT_BYTES)


def _fetcher(job: Job) -> Fetcher:
    return Fetcher(job.dataset, job.collate_fn, job.auto_collation, job.drop_last)


def _failure(where: str, what: str = "") -> Failure:
    kind, value, _ = sys.exc_info()
    return Failure(kind or type(value), where, traceback.format_exc(), what)  # type: ignore[arg-type]


def _incoming(connection: Any, sender: Sender, parent_pid: int) -> queue.SimpleQueue[Any]:
    """The tasks, read by a thread of their own: the parent never waits for a busy worker, and a dead parent is noticed."""
    tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def read() -> None:
        try:
            while True:
                if connection.poll(PARENT_CHECK_SECONDS):
                    task = connection.recv()
                    if task is None:
                        tasks.put(None)
                        return
                    *task, freed = task
                    sender.take_back(freed)
                    tasks.put(task)
                elif os.getppid() != parent_pid:
                    os._exit(1)
        except (EOFError, OSError):
            os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    return tasks
