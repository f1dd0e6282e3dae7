"""Batches from samples: tensors and arrays are stacked, numbers become tensors, containers are collated item by item."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from monograph.core.dtype import float64, from_numpy
from monograph.core.modes import MODES
from monograph.ops import source
from monograph.runtime.buffers import Buffer
from monograph.tensor import Tensor, stack, tensor
from monograph.tensor.core import wrap
from monograph.tensor.interop import host_array

CollateFn = Callable[[list[Any]], Any]
_empty: Callable[..., np.ndarray] = np.empty
_NOT_NUMBERS = re.compile(r"[SaUO]")


def collate_into(empty: Callable[..., np.ndarray]) -> None:
    """From now on batches are stacked in arrays that `empty(shape, dtype)` gives, as in worker processes."""
    global _empty
    _empty = empty


def stacked(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Equally shaped arrays along a new first dimension."""
    return np.stack(arrays, out=_empty((len(arrays), *arrays[0].shape), np.result_type(*{a.dtype for a in arrays})))


def taken(array: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """Some rows of an array."""
    if not array.flags.c_contiguous or array.ndim < 2:
        return array[rows]  # type: ignore[no-any-return]
    return np.take(array, rows, 0, out=_empty((len(rows), *array.shape[1:]), array.dtype), mode="raise")


def tensor_of_owned(array: np.ndarray) -> Tensor:
    """A tensor on the memory of an array that nobody else will write to (unlike `from_numpy`, whose memory stays shared)."""
    array = np.ascontiguousarray(array).reshape(array.shape)
    return wrap(source.from_value(Buffer.from_array(array), tuple(array.shape), from_numpy(array.dtype)))


def default_collate(batch: Sequence[Any]) -> Any:
    """One batch from a list of samples.

    Tensors and NumPy arrays are stacked along a new first dimension, floats become a float64 tensor, ints an int64 tensor, strings stay as
    they are; dicts, tuples, namedtuples and lists are collated item by item. Raises TypeError for anything else.
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return _stacked(batch)
    if isinstance(first, np.ndarray):
        if _NOT_NUMBERS.search(first.dtype.str):
            raise TypeError(_complaint(first.dtype))
        return tensor_of_owned(_stacked_arrays(batch))
    if isinstance(first, np.generic) and not isinstance(first, np.str_ | np.bytes_):
        return tensor_of_owned(np.asarray(batch))
    if isinstance(first, bool):
        return tensor(list(batch))
    if isinstance(first, float):
        return tensor(list(batch), dtype=float64)
    if isinstance(first, int):
        return tensor(list(batch))
    if isinstance(first, str | bytes):
        return batch
    if isinstance(first, Mapping):
        collated = {key: default_collate([sample[key] for sample in batch]) for key in first}
        return collated if type(first) is dict else _like_mapping(first, collated)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(default_collate(samples) for samples in _transposed(batch)))
    if isinstance(first, tuple):
        return [default_collate(samples) for samples in _transposed(batch)]
    if isinstance(first, Sequence):
        parts = [default_collate(samples) for samples in _transposed(batch)]
        return parts if type(first) is list else _like_sequence(first, parts)
    raise TypeError(_complaint(type(first)))


def _complaint(what: Any) -> str:
    return f"default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {what}"


def _stacked(batch: Sequence[Any]) -> Tensor:
    shapes = {tuple(t.shape) for t in batch}
    if len(shapes) > 1:
        first = tuple(batch[0].shape)
        entry = next(i for i, t in enumerate(batch) if tuple(t.shape) != first)
        raise RuntimeError(
            f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 and {list(batch[entry].shape)} "
            f"at entry {entry}; "
            "pad or crop the samples to one size, or give the DataLoader a collate_fn"
        )
    if MODES.capture is None and not any(t.requires_grad for t in batch):
        return tensor_of_owned(stacked([host_array(t) for t in batch]))
    return stack(list(batch), 0)


def _stacked_arrays(batch: Sequence[np.ndarray]) -> np.ndarray:
    first = batch[0].shape
    for entry, array in enumerate(batch):
        if array.shape != first:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 and {list(array.shape)} at entry {entry}; "
                "pad or crop the samples to one size, or give the DataLoader a collate_fn"
            )
    return stacked(batch)


def _transposed(batch: Sequence[Any]) -> list[tuple[Any, ...]]:
    size = len(batch[0])
    if not all(len(sample) == size for sample in batch):
        raise RuntimeError("each element in list of batch should be of equal size")
    return list(zip(*batch, strict=True))


def _like_mapping(first: Any, collated: dict[Any, Any]) -> Any:
    try:
        return type(first)(collated)
    except TypeError:
        return collated


def _like_sequence(first: Any, parts: list[Any]) -> Any:
    try:
        return type(first)(parts)
    except TypeError:
        return parts


def default_convert(data: Any) -> Any:
    """Arrays inside containers become tensors; nothing is stacked."""
    if isinstance(data, np.ndarray | np.generic) and not _NOT_NUMBERS.search(data.dtype.str):
        return tensor_of_owned(np.array(data))
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(default_convert(value) for value in data))
    if isinstance(data, tuple):
        return [default_convert(value) for value in data]
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return _like_sequence(data, [default_convert(value) for value in data])
    return data
