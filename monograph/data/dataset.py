"""Datasets: by index, by iteration, of tensors, and made of other datasets."""

from __future__ import annotations

import bisect
import itertools
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from monograph.core.modes import MODES
from monograph.data.collate import taken, tensor_of_owned
from monograph.tensor import Tensor, randperm
from monograph.tensor.interop import host_array
from monograph.tensor.random import Generator, default_generator

T_co = TypeVar("T_co", covariant=True)


CONSTRUCTORS: list[Any] = []  # the class of pipelines, which is made above this file and announces itself


class _Constructor:
    """A way to begin a pipeline, seen on `Dataset` itself only: subclasses and their objects keep these names for themselves."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is not None or owner is not Dataset:
            raise AttributeError(f"{owner.__name__!r} has no attribute {self.name!r}")
        return getattr(CONSTRUCTORS[0], self.name)


class Dataset(Generic[T_co]):
    """Samples by index: a subclass gives `__getitem__`, and `__len__` for the samplers. `__getitems__(indices)` fetches a batch at once.

    `Dataset.from_tensor_slices` and the other constructors of tf.data begin pipelines with its verbs (`pipeline/`).
    """

    from_tensor_slices: Any = _Constructor("from_tensor_slices")
    from_tensors: Any = _Constructor("from_tensors")
    from_generator: Any = _Constructor("from_generator")
    from_source: Any = _Constructor("from_source")
    range: Any = _Constructor("range")
    random: Any = _Constructor("random")
    counter: Any = _Constructor("counter")
    list_files: Any = _Constructor("list_files")
    zip: Any = _Constructor("zip")
    sample_from_datasets: Any = _Constructor("sample_from_datasets")
    choose_from_datasets: Any = _Constructor("choose_from_datasets")
    load: Any = _Constructor("load")

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other: Dataset[Any]) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """Samples in a stream: a subclass gives `__iter__`. With workers each iterates its own copy: split the work with
    `get_worker_info()`.
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError("Subclasses of IterableDataset should implement __iter__.")

    def __add__(self, other: Dataset[Any]) -> ChainDataset:  # type: ignore[override]
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Rows of tensors of equal length: sample i is the tuple of their i-th rows."""

    def __init__(self, *tensors: Tensor) -> None:
        if any(tensors[0].size(0) != t.size(0) for t in tensors):
            raise AssertionError(f"Size mismatch between tensors: lengths {[t.size(0) for t in tensors]} along dimension 0")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].size(0)

    def collated(self, indices: list[int]) -> list[Tensor] | None:
        """The batch that `default_collate` would make of these samples, taken at once; None if it must be made the long way."""
        changed = type(self).__getitem__ is not TensorDataset.__getitem__
        if changed or MODES.capture is not None or any(t.requires_grad for t in self.tensors):
            return None
        return [tensor_of_owned(taken(host_array(t), indices)) for t in self.tensors]


class StackDataset(Dataset[Any]):
    """Samples of several datasets side by side: tuples, or dicts if the datasets are named."""

    def __init__(self, *args: Dataset[Any], **kwargs: Dataset[Any]) -> None:
        if args and kwargs:
            raise ValueError(
                "Supported either ``tuple``- (via ``args``) or``dict``- (via ``kwargs``) like input/output, but both types are given."
            )
        if not args and not kwargs:
            raise ValueError("At least one dataset should be passed")
        self.datasets: Any = args or kwargs
        parts = list(args) or list(kwargs.values())
        self._length = len(parts[0])  # type: ignore[arg-type]
        if any(self._length != len(d) for d in parts):  # type: ignore[arg-type]
            raise ValueError("Size mismatch between datasets")

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: d[index] for name, d in self.datasets.items()}
        return tuple(d[index] for d in self.datasets)

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Dataset[T_co]):
    """Datasets one after the other."""

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        if any(isinstance(d, IterableDataset) for d in self.datasets):
            raise AssertionError("ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = list(itertools.accumulate(len(d) for d in self.datasets))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, idx: int) -> T_co:
        if idx < 0:
            if -idx > len(self):
                raise ValueError("absolute value of index should not exceed dataset length")
            idx += len(self)
        which = bisect.bisect_right(self.cumulative_sizes, idx)
        return self.datasets[which][idx - (self.cumulative_sizes[which - 1] if which else 0)]


class ChainDataset(IterableDataset[Any]):
    """Streams one after the other."""

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[Any]:
        for d in self.datasets:
            if not isinstance(d, IterableDataset):
                raise AssertionError("ChainDataset only supports IterableDataset")
            yield from d

    def __len__(self) -> int:
        return sum(len(d) for d in self.datasets)  # type: ignore[arg-type, misc]


class Subset(Dataset[T_co]):
    """Some samples of a dataset, by their indices."""

    def __init__(self, dataset: Dataset[Any], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, idx: Any) -> Any:
        if isinstance(idx, list):
            return self.dataset[[self.indices[i] for i in idx]]
        return self.dataset[self.indices[idx]]

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """A batch of samples."""
        inner = [self.indices[i] for i in indices]
        fetch = getattr(self.dataset, "__getitems__", None)
        return fetch(inner) if fetch is not None else [self.dataset[i] for i in inner]

    def __len__(self) -> int:
        return len(self.indices)

    def collated(self, indices: list[int]) -> Any:
        """As `TensorDataset.collated`."""
        at_once = getattr(self.dataset, "collated", None)
        if at_once is None or type(self).__getitems__ is not Subset.__getitems__ or type(self).__getitem__ is not Subset.__getitem__:
            return None
        return at_once([self.indices[i] for i in indices])


def random_split(dataset: Dataset[Any], lengths: Sequence[float], generator: Generator | None = default_generator) -> list[Subset[Any]]:
    """Random, disjoint subsets of the given lengths; fractions that sum to 1 are of the dataset's length, remainders going round."""
    n = len(dataset)  # type: ignore[arg-type]
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        sizes = []
        for i, fraction in enumerate(lengths):
            if fraction < 0 or fraction > 1:
                raise ValueError(f"Fraction at index {i} is not between 0 and 1")
            sizes.append(math.floor(n * fraction))
        for i in range(n - sum(sizes)):
            sizes[i % len(sizes)] += 1
        for i, size in enumerate(sizes):
            if size == 0:
                warnings.warn(f"Length of split at index {i} is 0. This might result in an empty dataset.", stacklevel=2)
        lengths = sizes
    if sum(lengths) != n:
        raise ValueError("Sum of input lengths does not equal the length of the input dataset!")
    order = randperm(n, generator=generator).tolist()
    ends = itertools.accumulate(int(size) for size in lengths)
    return [Subset(dataset, order[end - int(size) : end]) for end, size in zip(ends, lengths, strict=True)]
