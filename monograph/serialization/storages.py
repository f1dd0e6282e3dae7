"""Storages and the tensors that look at them: tensors of a file that shared memory share it again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from monograph.core.dtype import dtype as DType
from monograph.core.errors import ArtifactError
from monograph.ops import source
from monograph.runtime.buffers import Buffer
from monograph.tensor import FUNCTIONS
from monograph.tensor.core import Tensor, wrap

LARGEST = 2**46  # bytes; more is a damaged size, not a tensor


class Storage:
    """A block of memory of a file: `location` is the device it was saved from."""

    def __init__(self, buffer: Buffer, dtype: DType | None, location: str) -> None:
        self.buffer = buffer
        self.dtype = dtype  # None: untyped, the tensors say
        self.location = location
        self.meta = False  # map_location="meta": shapes without values
        self._roots: dict[DType, Tensor] = {}

    def tensor(self, offset: Any, size: Any, stride: Any, dtype: DType | None = None) -> Tensor:
        """The tensor of that geometry (in elements) on this storage.

        Raises ArtifactError if the geometry is nonsense or reaches outside the storage.
        """
        d = dtype or self.dtype
        if d is None:
            raise ArtifactError("a tensor on an untyped storage does not say its dtype")
        size, stride = _numbers("sizes", size), _numbers("strides", stride)
        (offset,) = _numbers("an offset", (offset,))
        if len(size) != len(stride):
            raise ArtifactError(f"a tensor has {len(size)} sizes and {len(stride)} strides")
        available = self.buffer.nbytes // d.itemsize
        total = math.prod(size)
        if total:
            last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
            if last >= available:
                raise ArtifactError(
                    f"a {d.name} tensor of sizes {list(size)} and strides {list(stride)} reaches element {last} of a storage that has "
                    f"{available}"
                )
            if total * d.itemsize > LARGEST:
                raise ArtifactError(f"a {d.name} tensor of sizes {list(size)} would have {total * d.itemsize:,} bytes")
        if self.meta:
            return FUNCTIONS["empty"](size, dtype=d, device="meta")
        if total == 0:
            return FUNCTIONS["zeros"](size, dtype=d)
        root = self._roots.get(d)
        if root is None:
            if offset == 0 and total == available and stride_is_row_major(size, stride):
                made = wrap(source.from_value(self.buffer, size, d))
                self._roots[d] = made
                return made
            root = self._roots[d] = wrap(source.from_value(self.buffer, (available,), d))
        flat = root.detach().view(-1)  # type: ignore[attr-defined]
        seen = strided_view(flat, offset, size, stride)
        return self._copy(d, offset, size, stride) if seen is None else seen

    def _copy(self, d: DType, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
        flat = self.buffer.array((self.buffer.nbytes // d.itemsize,), d.np)[offset:]
        picture = np.lib.stride_tricks.as_strided(flat, size, tuple(s * d.itemsize for s in stride), writeable=False)
        return FUNCTIONS["_from_host"](picture, d)


def _numbers(what: str, values: Any) -> tuple[int, ...]:
    if not isinstance(values, tuple | list) or len(values) > 64 or not all(type(v) is int and 0 <= v < 2**60 for v in values):
        raise ArtifactError(f"a tensor has {what} that are not small non-negative integers: {str(values)[:80]}")
    return tuple(values)


def stride_is_row_major(size: Sequence[int], stride: Sequence[int]) -> bool:
    """Whether the elements lie one after the other; strides of dims of size 1 do not matter."""
    expected = 1
    for n, s in zip(reversed(size), reversed(stride), strict=True):
        if n != 1 and s != expected:
            return False
        expected *= n
    return True


def strided_view(flat: Tensor, offset: int, size: Sequence[int], stride: Sequence[int]) -> Tensor | None:
    """The view of a vector with that geometry through slices, reshapes and permutations; None where there is none (overlapping windows).

    The dims are peeled off from the largest stride to the smallest: rows of `s` elements, of which the next dims see a part.
    """
    real = sorted((i for i in range(len(size)) if size[i] != 1 and stride[i] != 0), key=lambda i: -stride[i])
    t: Any = flat
    start, length = offset, flat.shape[0]
    done: list[int] = []
    for position, i in enumerate(real):
        n, s = size[i], stride[i]
        needed = 1 + sum((size[j] - 1) * stride[j] for j in real[position + 1 :])
        if position == len(real) - 1:
            if start + (n - 1) * s + 1 > length:
                return None
            t = t[(slice(None),) * len(done) + (slice(start, start + (n - 1) * s + 1, s),)]
            done.append(i)
            start, length = 0, 1
            break
        shift = max(0, start + n * s - length)  # rows may have to begin earlier, so that the last one ends inside
        if shift > start or shift + needed > s:
            return None
        t = t.narrow(len(done), start - shift, n * s)
        t = t.view(*t.shape[:-1], n, s)
        done.append(i)
        start, length = shift, s
    if not real:
        t = t[start : start + 1]
        t = t.view(())
    order = [done.index(i) for i in sorted(done)]
    if order != list(range(len(done))):
        t = t.permute(order)
    shape = [size[i] if i in done else 1 for i in range(len(size))]
    if list(t.shape) != shape:
        for i in range(len(size)):
            if i not in done:
                t = t.unsqueeze(i)
    if any(size[i] != 1 and stride[i] == 0 for i in range(len(size))):
        t = t.expand(*size)
    return t
