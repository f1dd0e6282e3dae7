"""Where batches come from: arrays, loaders, datasets. One epoch is an iterator that can start at any batch, so that a run can be resumed.

A source of arrays is a function of (seed, epoch, batch): nothing has to be replayed. A loader draws its order from random generators; their
states at the start of the epoch are its position. Anything else that can be iterated is read again up to the batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core.trees import flatten, unflatten
from monograph.data.dataset import IterableDataset
from monograph.data.loader import DataLoader
from monograph.ops.source import from_value
from monograph.runtime.buffers import Buffer
from monograph.tensor.core import Tensor, wrap
from monograph.tensor.random import Generator
from monograph.train.random_state import default_generator


class BatchSource(Protocol):
    """What every kind of data becomes."""

    def steps(self) -> int | None:
        """How many batches an epoch has; None if only reading it tells."""
        ...

    def epoch(self, number: int, start: int = 0, state: Any = None) -> Iterator[Any]:
        """The batches of epoch `number` (from 0), without the first `start`; `state` is what `state()` said during that epoch."""
        ...

    def state(self) -> Any:
        """The position that a checkpoint needs besides epoch and batch: plain data."""
        ...


class Arrays:
    """Batches of rows of arrays or tensors (any nesting of tuples, lists and dicts), as `fit(x, y)` takes them.

    The order of an epoch is drawn from `seed` and the epoch's number alone. Batches are tuples in the order given; None is left out at the
    end: (x,), (x, y) or (x, y, sample_weight).
    """

    def __init__(self, columns: Sequence[Any], batch_size: int, shuffle: bool, seed: int = 0, drop_last: bool = False) -> None:
        while columns and columns[-1] is None:
            columns = columns[:-1]
        leaves, self._structure = flatten(tuple(columns))
        self._arrays = [as_array(leaf) for leaf in leaves]
        lengths = {len(a) if a.ndim else -1 for a in self._arrays}
        if len(lengths) != 1 or -1 in lengths:
            shapes = ", ".join(str(list(a.shape)) for a in self._arrays)
            raise ValueError(f"all arrays need the same number of rows (their first dim), got shapes {shapes}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        (self.rows,) = lengths
        self.batch_size, self.shuffle, self.seed, self.drop_last = batch_size, shuffle, seed, drop_last

    def steps(self) -> int:
        """See BatchSource."""
        return self.rows // self.batch_size if self.drop_last else -(-self.rows // self.batch_size)

    def epoch(self, number: int, start: int = 0, state: Any = None) -> Iterator[Any]:
        """See BatchSource."""
        order = np.random.Generator(np.random.Philox(key=[self.seed % 2**64, number])).permutation(self.rows) if self.shuffle else None
        for step in range(start, self.steps()):
            rows = slice(step * self.batch_size, min((step + 1) * self.batch_size, self.rows))
            picked = [_copied(a[rows]) for a in self._arrays] if order is None else [a.take(order[rows], 0) for a in self._arrays]
            yield unflatten(self._structure, [owning(a) for a in picked])

    def state(self) -> Any:
        """See BatchSource."""
        return None


def as_array(value: Any) -> np.ndarray:
    """A column as an array: tensors without a copy, float64 NumPy data in single precision (the dtype of parameters)."""
    if isinstance(value, Tensor):
        return value.detach().numpy()
    array = np.asarray(value)
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    if array.dtype.kind not in "biufc":
        raise TypeError(
            f"training data must be numbers, got an array of dtype {array.dtype} with shape {list(array.shape)}; "
            "turn text or objects into numbers first, or give a DataLoader"
        )
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def owning(array: np.ndarray) -> Tensor:
    """A tensor in the memory of a C-contiguous array that nobody else holds.

    What `from_numpy` makes is looked at for changes whenever it is read, because its array is in somebody's hands.
    """
    return wrap(from_value(Buffer.from_array(array), array.shape, dtypes.from_numpy(array.dtype)))


class Loader:
    """A `DataLoader`: its order comes from its generator, its sampler's, or the default one."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self.loader = loader
        self._states: list[Any] = []

    def steps(self) -> int | None:
        """See BatchSource."""
        return length_of(self.loader)

    def _generators(self) -> list[Generator]:
        made = [default_generator()]
        sampler = self.loader.sampler
        for owner in (self.loader, sampler, getattr(self.loader.batch_sampler, "sampler", None), self.loader.batch_sampler):
            generator = getattr(owner, "generator", None)
            if isinstance(generator, Generator) and not any(generator is g for g in made):
                made.append(generator)
        return made

    def epoch(self, number: int, start: int = 0, state: Any = None) -> Iterator[Any]:
        """See BatchSource."""
        generators = self._generators()
        if state is not None:
            if len(state) != len(generators):
                raise ValueError(f"the checkpoint's loader drew from {len(state)} random generators, this one from {len(generators)}")
            for generator, saved in zip(generators, state, strict=True):
                generator.set_state(saved)
        self._states = [g.get_state() for g in generators]
        for owner in (self.loader.sampler, self.loader.batch_sampler):
            if hasattr(owner, "set_epoch"):
                owner.set_epoch(number)  # type: ignore[union-attr]
        if isinstance(self.loader.dataset, IterableDataset):
            return itertools.islice(iter(self.loader), start, None)
        return self.loader.iterate_from(start)

    def state(self) -> Any:
        """See BatchSource."""
        return self._states


class Repeatable:
    """Anything that gives a new iterator each time: lists of batches, `data.Dataset`, user's classes.

    Iterators with `state_dict` and `load_state_dict` (those of `data.Dataset`) go straight to their place; others read up to it.
    """

    def __init__(self, data: Iterable[Any]) -> None:
        self.data = data
        self._iterator: Any = None

    def steps(self) -> int | None:
        """See BatchSource."""
        cardinality = getattr(self.data, "cardinality", None)
        if cardinality is not None:
            count = int(cardinality())
            return count if count >= 0 else None
        return length_of(self.data)

    def epoch(self, number: int, start: int = 0, state: Any = None) -> Iterator[Any]:
        """See BatchSource."""
        self._iterator = iter(self.data)
        if state is not None and hasattr(self._iterator, "load_state_dict"):
            self._iterator.load_state_dict(state)
            return iter(self._iterator)
        return itertools.islice(self._iterator, start, None)

    def state(self) -> Any:
        """See BatchSource."""
        return self._iterator.state_dict() if hasattr(self._iterator, "state_dict") else None


class Stream(Repeatable):
    """A generator: it can be read once, so an epoch goes on where the last one ended."""

    def __init__(self, data: Iterator[Any]) -> None:
        super().__init__(data)
        self._read = 0

    def steps(self) -> int | None:
        """See BatchSource."""
        return None

    def epoch(self, number: int, start: int = 0, state: Any = None) -> Iterator[Any]:
        """See BatchSource."""
        for _ in range((state or {}).get("read", 0) - self._read if start else 0):
            next(self.data, None)  # type: ignore[call-overload]
            self._read += 1
        for batch in self.data:
            self._read += 1
            yield batch

    def state(self) -> Any:
        """See BatchSource."""
        return {"read": self._read}


def length_of(data: Any) -> int | None:
    """`len(data)`, None where it has none."""
    try:
        return len(data)
    except (TypeError, NotImplementedError):
        return None


def source_of(data: Any) -> BatchSource:
    """The source for anything that gives batches by itself."""
    if isinstance(data, Arrays | Loader | Repeatable):
        return data
    if isinstance(data, DataLoader):
        return Loader(data)
    if isinstance(data, Iterator):
        return Stream(data)
    if isinstance(data, Iterable) and not isinstance(data, str | bytes | Mapping | Tensor | np.ndarray):
        return Repeatable(data)
    raise TypeError(
        f"expected a DataLoader, a data.Dataset or another iterable of batches, got {type(data).__name__}; "
        "arrays go to fit(x, y), or into a DataLoader(TensorDataset(...))"
    )


def batch_rows(batch: Any) -> int:
    """How many samples a batch has: the first dim of its first tensor (1 if there is none)."""
    first = batch[0] if type(batch) in (tuple, list) and batch else batch
    for leaf in (first,) if isinstance(first, Tensor) else flatten(batch)[0]:
        if isinstance(leaf, Tensor | np.ndarray) and leaf.ndim:
            return int(leaf.shape[0])
    return 1


def as_tensors(batch: Any) -> Any:
    """The batch with NumPy arrays as tensors. They are copied: whoever made them may fill them anew for the next batch."""
    if type(batch) in (tuple, list) and all([isinstance(part, Tensor) for part in batch]):
        return batch
    leaves, structure = flatten(batch)
    if not any(isinstance(leaf, np.ndarray) for leaf in leaves):
        return batch
    return unflatten(structure, [owning(_copied(v)) if isinstance(v, np.ndarray) and v.dtype.kind in "biufc" else v for v in leaves])


def _copied(array: np.ndarray) -> np.ndarray:
    return np.array(array, array.dtype.newbyteorder("="), order="C")
