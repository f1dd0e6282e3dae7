"""`DataLoader`: batches of a dataset, in this process or from worker processes, in an order that does not depend on their number."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import time
import warnings
from collections.abc import Callable, Iterator
from multiprocessing import connection as mp_connection
from typing import Any, Generic, TypeVar

from monograph.data.collate import CollateFn, default_collate, default_convert
from monograph.data.dataset import Dataset, IterableDataset
from monograph.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, draw_seed
from monograph.data.seeding import batch_seed
from monograph.data.transport import Receiver
from monograph.data.worker import EndOfStream, Failure, Fetcher, Job, run_worker
from monograph.tensor.random import Generator

T_co = TypeVar("T_co", covariant=True)
POLL_SECONDS = 5.0


class _InfiniteSampler(Sampler[None]):
    """For iterable datasets: the stream knows its order itself."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)


class DataLoader(Generic[T_co]):
    """Iterates over a dataset in batches.

    With `num_workers` > 0, processes fetch and collate ahead (`prefetch_factor` batches each); the order and the contents of batches are
    the same for any number of workers. `pin_memory` is accepted and does nothing: there is no device to copy to.

    Random numbers drawn from monograph's default generator while a batch is made (in `__getitem__` and `collate_fn`) come from a stream of
    that batch, which follows from the epoch's seed and the batch's number: augmentation gives the same values with 0, 1 or any number of
    workers, also where an epoch is taken up in its middle, and the caller's own stream does not move. The epoch's seed is drawn from
    `generator`, or the default one, when iteration begins. In workers Python's `random` and `numpy.random` are started anew for each batch
    in the same way, so their numbers do not depend on the number of workers either; without workers they are the caller's own streams, as
    in torch, and NumPy code that wants the same numbers there too starts from monograph's: `np.random.default_rng(mg.initial_seed())`
    (the seed of the batch, there). A stream that `worker_init_fn` seeds is left to it. Iterable datasets share out their work themselves:
    their workers have seeds of their own (`get_worker_info().seed`), as in torch.

    An exception of a dataset names the sample's index, and arrives with the worker's traceback; a worker that is killed is a RuntimeError.

    >>> import monograph as mg
    >>> class Noisy(mg.utils.data.Dataset):
    ...     def __len__(self):
    ...         return 6
    ...     def __getitem__(self, i):
    ...         return i + mg.rand(())
    >>> def values(workers):
    ...     mg.manual_seed(0)
    ...     return [batch.tolist() for batch in mg.utils.data.DataLoader(Noisy(), batch_size=2, num_workers=workers)]
    >>> values(0) == values(2)
    True
    """

    def __init__(
        self, dataset: Dataset[T_co], batch_size: int | None = 1, shuffle: bool | None = None, sampler: Any = None,
        batch_sampler: Any = None,
        num_workers: int = 0, collate_fn: CollateFn | None = None, pin_memory: bool = False, drop_last: bool = False, timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None, multiprocessing_context: Any = None, generator: Generator | None = None, *,
        prefetch_factor: int | None = None, persistent_workers: bool = False, pin_memory_device: str = "", in_order: bool = True,
    ) -> None:  # fmt: skip
        if num_workers < 0:
            raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError(
                "prefetch_factor option could only be specified in multiprocessing.let num_workers > 0 to enable "
                "multiprocessing, otherwise set prefetch_factor to None."
            )
        if prefetch_factor is not None and prefetch_factor < 0:
            raise ValueError("prefetch_factor option should be non-negative")
        if persistent_workers and num_workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0")
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = 2 if num_workers > 0 and prefetch_factor is None else prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = _context(multiprocessing_context)
        self.in_order = in_order
        self.persistent_workers = persistent_workers
        self.generator = generator
        self._is_stream = isinstance(dataset, IterableDataset)
        if self._is_stream:
            if shuffle not in (False, None):
                raise ValueError(f"DataLoader with IterableDataset: expected unspecified shuffle option, but got shuffle={shuffle}")
            if sampler is not None:
                raise ValueError(f"DataLoader with IterableDataset: expected unspecified sampler option, but got sampler={sampler}")
            if batch_sampler is not None:
                raise ValueError(
                    f"DataLoader with IterableDataset: expected unspecified batch_sampler option, but got batch_sampler={batch_sampler}"
                )
        shuffle = bool(shuffle)
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError("batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last")
            batch_size, drop_last = None, False
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if sampler is None:
            if self._is_stream:
                sampler = _InfiniteSampler()
            else:
                sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)  # type: ignore[arg-type]
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.collate_fn: CollateFn = (
            collate_fn if collate_fn is not None else (default_collate if self._auto_collation else default_convert)
        )
        self._iterator: _Workers | None = None

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        return self.batch_sampler if self._auto_collation else self.sampler

    def __iter__(self) -> Iterator[Any]:
        return self.iterate_from(0)

    def iterate_from(self, start: int) -> Iterator[Any]:
        """An epoch without its first `start` batches: their indices are drawn and left out, their samples are not loaded."""
        if self.num_workers == 0:
            return _InThisProcess(self, start)
        if not self.persistent_workers:
            return _Workers(self, start)
        if self._iterator is None or self._iterator.closed:
            self._iterator = _Workers(self, start)
        else:
            self._iterator.restart(start)
        return self._iterator

    def __len__(self) -> int:
        if self._is_stream:
            n = len(self.dataset)  # type: ignore[arg-type]
            if self.batch_size is None:
                return n
            return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
        return len(self._index_sampler)

    def check_worker_number_rationality(self) -> None:
        """Warns when there are more workers than processors."""
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
        if self.num_workers > available:
            warnings.warn(
                f"This DataLoader will create {self.num_workers} worker processes in total. Our suggested max number of "
                "worker in current system is "
                f"{available}, which is smaller than what this DataLoader is going to create.",
                stacklevel=2,
            )


def _context(given: Any) -> Any:
    """The multiprocessing context: by default workers are forked where that exists, so that datasets need not be pickled."""
    if given is None:
        return multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn")
    if isinstance(given, str):
        valid = multiprocessing.get_all_start_methods()
        if given not in valid:
            raise ValueError(
                f"multiprocessing_context option should specify a valid start method in {valid!r}, but got "
                f"multiprocessing_context={given!r}"
            )
        return multiprocessing.get_context(given)
    return given


def _indices_from(loader: DataLoader[Any], start: int) -> Iterator[Any]:
    """What the sampler gives, the first `start` left out. They are drawn now: whoever resumes sets the random state after this."""
    indices = iter(loader._index_sampler)
    for _ in range(start):
        next(indices, None)
    return indices


class _InThisProcess:
    """The iterator without workers."""

    def __init__(self, loader: DataLoader[Any], start: int) -> None:
        self._length = loader
        self._seed = draw_seed(loader.generator)
        self._number = start
        self._indices = _indices_from(loader, start)
        self._fetcher = Fetcher(loader.dataset, loader.collate_fn, loader._auto_collation, loader.drop_last)

    def __iter__(self) -> _InThisProcess:
        return self

    def __len__(self) -> int:
        return len(self._length)

    def __next__(self) -> Any:
        indices = next(self._indices)
        seed = batch_seed(self._seed, self._number)
        self._number += 1
        try:
            return self._fetcher.fetch(indices, seed)
        except StopIteration:
            raise
        except Exception as error:
            if self._fetcher.at:
                error.add_note(f"DataLoader: {self._fetcher.at}")
            raise


class _Workers:
    """The iterator with worker processes. Batch i is made by worker i mod n and is read from it in its turn."""

    def __init__(self, loader: DataLoader[Any], start: int) -> None:
        self.loader = loader
        self.closed = False
        self._processes: list[Any] = []
        self._pipes: list[Any] = []
        self._receivers: list[Receiver] = []
        seed = draw_seed(loader.generator)
        context = loader.multiprocessing_context
        try:
            for i in range(loader.num_workers):
                ours, theirs = context.Pipe(duplex=True)
                job = Job(
                    loader.dataset,
                    loader.collate_fn,
                    loader._auto_collation,
                    loader.drop_last,
                    loader.worker_init_fn,
                    i,
                    loader.num_workers,
                    seed,
                )
                process = context.Process(target=run_worker, args=(job, theirs, os.getpid()), daemon=True)
                self._pipes.append(ours)
                self._receivers.append(Receiver(ours))
                with warnings.catch_warnings():  # Python warns of forking with threads; ours know how to start anew in a child
                    warnings.simplefilter("ignore", DeprecationWarning)
                    process.start()
                self._processes.append(process)
                theirs.close()
        except BaseException:
            self.close()
            raise
        self._begin(start)

    def restart(self, start: int) -> None:
        """Another epoch with the same processes."""
        while self._waiting:  # an epoch that was broken off: its batches are thrown away
            self._receive(*self._waiting.pop(0))
        seed = draw_seed(self.loader.generator)
        for pipe, receiver in zip(self._pipes, self._receivers, strict=True):
            pipe.send(("again", seed, receiver.freed()))
        self._begin(start)

    def _begin(self, start: int) -> None:
        n = self.loader.num_workers
        self._indices = _indices_from(self.loader, start)
        self._next_number = start
        self._waiting: list[tuple[int, int]] = []  # (number of the batch, worker), in the order in which batches are given out
        self._alive = [True] * n  # whose stream has not ended
        self._turn = 0
        for _ in range(n * max(self.loader.prefetch_factor or 1, 1)):
            self._ask()

    def __iter__(self) -> _Workers:
        return self

    def __len__(self) -> int:
        return len(self.loader)

    def _ask(self) -> None:
        """Gives the next batch's indices to the next worker."""
        n = self.loader.num_workers
        for _ in range(n):
            worker = self._turn
            self._turn = (worker + 1) % n
            if self._alive[worker]:
                break
        else:
            return
        try:
            indices = next(self._indices)
        except StopIteration:
            return
        try:
            self._pipes[worker].send((self._next_number, indices, self._receivers[worker].freed()))
        except (BrokenPipeError, ConnectionResetError, OSError):
            self._died(worker)
        self._waiting.append((self._next_number, worker))
        self._next_number += 1

    def __next__(self) -> Any:
        if self.closed:
            raise StopIteration
        try:
            while self._waiting:
                number, worker = self._waiting.pop(0)
                answer = self._receive(number, worker)
                if isinstance(answer, EndOfStream):
                    self._alive[worker] = False
                    self._ask()
                    continue
                self._ask()
                if isinstance(answer, Failure):
                    answer.reraise()
                return answer
        except BaseException:
            if not self.loader.persistent_workers:
                self.close()
            raise
        if not self.loader.persistent_workers:
            self.close()
        raise StopIteration

    def _receive(self, number: int, worker: int) -> Any:
        """The answer of a worker to a question; reports a worker that is gone, and one that takes too long."""
        pipe, process = self._pipes[worker], self._processes[worker]
        deadline = time.monotonic() + self.loader.timeout if self.loader.timeout > 0 else None
        while True:
            patience = POLL_SECONDS if deadline is None else max(0.0, min(POLL_SECONDS, deadline - time.monotonic()))
            ready = mp_connection.wait([pipe, process.sentinel], patience)
            if pipe in ready:
                try:
                    answered, answer = self._receivers[worker].receive()
                except (EOFError, ConnectionResetError, OSError):
                    self._died(worker)
                if answered == number:
                    return answer
            elif process.sentinel in ready:
                self._died(worker)
            elif deadline is not None and time.monotonic() >= deadline:
                self.close()
                raise RuntimeError(f"DataLoader timed out after {self.loader.timeout} seconds (worker {worker}, batch {number})")

    def _died(self, worker: int) -> None:
        """Raises: a worker process is gone."""
        process = self._processes[worker]
        process.join(1)
        code = process.exitcode
        how = f"killed by signal {-code}" if isinstance(code, int) and code < 0 else f"exit code {code}"
        self.close()
        hint = " It may have been killed for using too much memory: try fewer workers or smaller batches." if code == -9 else ""
        raise RuntimeError(f"DataLoader worker (pid(s) {process.pid}) exited unexpectedly: worker {worker}, {how}.{hint}")

    def close(self) -> None:
        """Stops the workers."""
        if self.closed:
            return
        self.closed = True
        for pipe in self._pipes:
            try:
                pipe.send(None)
            except (OSError, ValueError):
                continue
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(0.05)
            if process.is_alive():
                process.terminate()
        for process in self._processes:
            process.join()

    def __del__(self) -> None:
        try:
            self.close()
        except (AttributeError, TypeError, ImportError, ValueError, AssertionError):  # the interpreter is shutting down
            return


# Torch's names.
_BaseDataLoaderIter, _SingleProcessDataLoaderIter, _MultiProcessingDataLoaderIter = _InThisProcess, _InThisProcess, _Workers
