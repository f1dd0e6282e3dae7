"""A region of a buffer: the same memory seen from some byte on."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from monograph.runtime.buffers import Buffer


class Region:
    """Memory of `buffer` from `offset` bytes on. Has what programs and observers use of a Buffer: `ptr`, `nbytes`, `array`."""

    __slots__ = ("__weakref__", "buffer", "nbytes", "offset", "ptr")

    buffer: Buffer
    offset: int

    def __init__(self, buffer: Buffer | Region, offset: int) -> None:
        whole = buffer.buffer if isinstance(buffer, Region) else buffer
        start = buffer.offset + offset if isinstance(buffer, Region) else offset
        self.buffer, self.offset = whole, start
        self.ptr = whole.ptr + start
        self.nbytes = whole.nbytes - start

    @property
    def writable(self) -> bool:
        """Whether the memory may be written."""
        return self.buffer.writable

    def array(self, shape: tuple[int, ...], dtype: Any, offset: int = 0) -> np.ndarray:
        """A C-contiguous view that keeps the memory alive; if it would reach beyond the buffer's end, a copy with zeros there."""
        dtype = np.dtype(dtype)
        if prod(shape) * dtype.itemsize + offset <= self.nbytes:
            return self.buffer.array(shape, dtype, self.offset + offset)
        return self._clipped(shape, dtype)

    def _clipped(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        flat = np.zeros(prod(shape), dtype)
        have = self.nbytes // dtype.itemsize
        flat[:have] = self.buffer.array((have,), dtype, self.offset)
        return flat.reshape(shape)
