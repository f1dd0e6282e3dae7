"""torch._utils: lists of tensors as one vector and back, as code for half precision and for many machines does it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from monograph.tensor import Tensor, cat


def _flatten_dense_tensors(tensors: Iterable[Tensor]) -> Tensor:
    """One vector [n] of all elements, in order. Raises RuntimeError for no tensors.

    >>> import monograph as mg
    >>> _flatten_dense_tensors([mg.zeros(2, 1), mg.ones(1)])
    tensor([0., 0., 1.])
    """
    parts = [t.reshape(-1) for t in tensors]
    if not parts:
        raise RuntimeError("_flatten_dense_tensors: expected a non-empty list of tensors")
    return parts[0] if len(parts) == 1 else cat(parts)


def _unflatten_dense_tensors(flat: Tensor, tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Views of the vector with the shapes of `tensors`, one after the other.

    >>> import monograph as mg
    >>> [list(t.shape) for t in _unflatten_dense_tensors(mg.zeros(5), [mg.ones(2, 2), mg.ones(1)])]
    [[2, 2], [1]]
    """
    found, at = [], 0
    for t in tensors:
        found.append(flat.narrow(0, at, t.numel()).view(t.shape) if t.numel() else flat.new_empty(tuple(t.shape)))
        at += t.numel()
    return tuple(found)


def _take_tensors(tensors: Sequence[Tensor], size_limit: int) -> Iterator[list[Tensor]]:
    """Groups of one dtype each, of at most about `size_limit` bytes."""
    waiting: dict[object, tuple[list[Tensor], int]] = defaultdict(lambda: ([], 0))
    for t in tensors:
        size = t.numel() * t.element_size()
        group, held = waiting[t.dtype]
        if held + size > size_limit and held > 0:
            yield group
            group, held = [], 0
        group.append(t)
        waiting[t.dtype] = group, held + size
    for group, _ in waiting.values():
        if group:
            yield group


def _reorder_tensors_as(tensors: Iterable[Tensor], ordered_tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """`tensors` with the dtypes in the order of `ordered_tensors`."""
    by_dtype: dict[object, list[Tensor]] = defaultdict(list)
    for t in tensors:
        by_dtype[t.dtype].append(t)
    rows = {dtype: iter(group) for dtype, group in by_dtype.items()}
    return tuple(next(rows[t.dtype]) for t in ordered_tensors)
