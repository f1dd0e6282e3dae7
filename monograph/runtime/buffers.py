"""Memory for tensors: aligned blocks that are recycled, because giving big blocks back to the system costs more than computing on them.

A block belongs to a size class (at most 12.5 % above the size asked for). A dead `Buffer` leaves its block on its class's free list, where
the next `Buffer` of that class finds it, its pages already mapped. Small blocks are cut from slabs; large ones are mapped one by one, on
huge pages where the system has them, and unmapped only when live and cached bytes together pass a high-water mark.
Free lists are Python lists: their `append` and `pop` are atomic, so the hot path takes no lock and `__del__` can run at any point.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import threading
import weakref
from collections.abc import Container, Sequence
from typing import Any

import numpy as np

ALIGNMENT = 64
SMALL = 256 * 1024
SLAB = 4 * 1024 * 1024
HUGE_PAGE = 2 * 1024 * 1024
SLACK = 1024 * 1024 * 1024
SLACK_RATIO = 0.25
REMEMBERED_SIZES = 65536


def class_size(nbytes: int) -> int:
    """The size of the class that serves `nbytes`: multiples of 64 up to 1 KiB, then eight sizes to each doubling."""
    if nbytes <= 1024:
        return (nbytes + 63) & -64 or 64
    step = 1 << (nbytes - 1).bit_length() - 4
    return (nbytes + step - 1) & -step


class Allocator:
    """The recycling allocator (one for the process: `allocator`). `Buffer` does the common case, a free block, by itself."""

    def __init__(self) -> None:
        self.free: dict[int, list[int]] = {}
        self.sizes: dict[int, int] = {}
        self.live = self.peak = self.high_water = 0
        self.total = self.mapped = 0
        self._maps: dict[int, tuple[mmap.mmap, int]] = {}
        self._slab, self._slab_left = 0, 0
        self._lock = threading.RLock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew_lock)

    def _renew_lock(self) -> None:
        """In a forked child: the thread that held the lock is not there."""
        self._lock = threading.RLock()

    @property
    def cached(self) -> int:
        """Bytes of blocks that lie on free lists."""
        return self.total - self.live

    def size_for(self, nbytes: int) -> int:
        """`class_size`, remembered: programs ask for the same sizes again and again."""
        if nbytes < 0:
            raise ValueError(f"a buffer cannot have {nbytes} bytes")
        if len(self.sizes) > REMEMBERED_SIZES:
            self.sizes.clear()
        size = self.sizes[nbytes] = class_size(nbytes)
        self.free.setdefault(size, [])
        return size

    def new_peak(self, live: int) -> None:
        """Notes that more is live than ever since `reset_peak`."""
        self.peak = live
        if live > self.high_water:
            self.high_water = live

    def _limit(self) -> int:
        """Bytes that may be live or cached: what a step once needed is kept for the next step, with some room for other shapes."""
        return max(self.high_water, self.live) + max(SLACK, int(self.high_water * SLACK_RATIO))

    def make(self, size: int) -> int:
        """A new block of class size `size`, cut from a slab or mapped from the system."""
        with self._lock:
            if size <= SMALL:
                address = self._cut(size)
            else:
                if self.total + size > self._limit():
                    self.shrink(max(0, self._limit() - size))
                try:
                    address = self._map(size)
                except (OSError, ValueError, OverflowError):
                    self.shrink(0)
                    address = self._map_or_fail(size)
            self.total += size
            return address

    def _map_or_fail(self, size: int) -> int:
        try:
            return self._map(size)
        except (OSError, ValueError, OverflowError) as error:
            raise MemoryError(
                f"no memory for a block of {size / 2**20:.1f} MiB ({error}); "
                f"live now {self.live / 2**20:.1f} MiB, peak {self.peak / 2**20:.1f} MiB; "
                "use a smaller batch or drop references to results that are no longer needed"
            ) from None

    def _cut(self, size: int) -> int:
        if self._slab_left < size:
            self._slab, self._slab_left = self._map_or_fail(SLAB), SLAB
        address = self._slab
        self._slab += size
        self._slab_left -= size
        return address

    def _map(self, size: int) -> int:
        huge = size >= 2 * HUGE_PAGE
        length = size + (HUGE_PAGE if huge else 0)
        # Private: a forked child must not write into its parent's tensors.
        private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
        memory = mmap.mmap(-1, length, **private)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        if huge and hasattr(mmap, "MADV_HUGEPAGE"):
            address = (address + HUGE_PAGE - 1) & -HUGE_PAGE
            try:
                memory.madvise(mmap.MADV_HUGEPAGE)
            except OSError:
                huge = False  # a kernel without them: ordinary pages serve as well
        self._maps[address] = memory, length
        self.mapped += length
        return address

    def shrink(self, target: int) -> None:
        """Unmaps large free blocks, the largest first, until live and cached bytes together are at most `target`."""
        if not self._lock.acquire(blocking=False):
            return  # another thread is at it
        try:
            for size in sorted((s for s in self.free if s > SMALL), reverse=True):
                blocks = self.free[size]
                while blocks and self.total > target:
                    try:
                        address = blocks.pop()
                    except IndexError:
                        break
                    self._unmap(address, size)
        finally:
            self._lock.release()

    def unmap(self, nbytes: int) -> None:
        """Gives one large free block of this size back to the system: nobody will want its like soon."""
        size = class_size(nbytes)
        if size <= SMALL:
            return
        with self._lock:
            try:
                address = self.free.get(size, []).pop()
            except IndexError:
                return
            self._unmap(address, size)

    def _unmap(self, address: int, size: int) -> None:
        memory, length = self._maps.pop(address)
        memory.close()
        self.total -= size
        self.mapped -= length


allocator = Allocator()


class Buffer:
    """A block of memory: `ptr` (address), `nbytes`. Alive as long as it or a NumPy view from `array` is."""

    __slots__ = ("__weakref__", "_class_size", "_keep", "nbytes", "ptr", "writable")

    ptr: int
    nbytes: int
    writable: bool
    _class_size: int
    _keep: np.ndarray

    def __init__(self, nbytes: int, _allocator: Allocator = allocator) -> None:
        self._class_size = 0  # so that __del__ is right if what follows raises
        size = _allocator.sizes.get(nbytes) or _allocator.size_for(nbytes)
        try:
            self.ptr = _allocator.free[size].pop()
        except IndexError:
            self.ptr = _allocator.make(size)
        self._class_size = size
        self.nbytes = nbytes
        self.writable = True
        live = _allocator.live = _allocator.live + size
        if live > _allocator.peak:
            _allocator.new_peak(live)

    @classmethod
    def from_array(cls, array: np.ndarray) -> Buffer:
        """The memory of a C-contiguous array, not copied; the array lives as long as the buffer."""
        if not array.flags.c_contiguous:
            raise ValueError(
                f"the array of shape {array.shape} and strides {array.strides} is not C-contiguous, "
                "its memory cannot be shared as one block; pass np.ascontiguousarray(array)"
            )
        self = cls.__new__(cls)
        self._class_size = 0
        self._keep = array
        self.ptr = array.__array_interface__["data"][0]
        self.nbytes = array.nbytes
        self.writable = array.flags.writeable
        return self

    def __del__(self, _allocator: Allocator = allocator) -> None:
        size = self._class_size
        if size:
            _allocator.live -= size
            _allocator.free[size].append(self.ptr)

    def take_over(self, old: Buffer) -> None:
        """Owns the memory of `old` from now on, at whose address it lies already. May be done twice."""
        size = old._class_size
        if size:
            old._class_size = 0
            self._class_size = size

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return {"version": 3, "shape": (self.nbytes,), "typestr": "|u1", "data": (self.ptr, not self.writable)}

    @property
    def owned(self) -> bool:
        """Whether the memory is the allocator's (else it belongs to a wrapped array)."""
        return self._class_size != 0

    def array(self, shape: tuple[int, ...], dtype: Any, offset: int = 0) -> np.ndarray:
        """A C-contiguous view of this dtype and shape, `offset` bytes in; it keeps the buffer alive."""
        dtype = np.dtype(dtype)
        needed = offset + dtype.itemsize * math.prod(shape)
        if offset < 0 or needed > self.nbytes:
            raise ValueError(f"a view of {shape} {dtype} at byte {offset} needs {needed} bytes, the buffer has {self.nbytes}")
        if self.nbytes == 0:
            return np.empty(shape, dtype)
        return np.ndarray(shape, dtype, np.asarray(self), offset)

    def __repr__(self) -> str:
        return f"Buffer({self.nbytes} bytes at {self.ptr:#x}{'' if self.owned else ', wrapped array'})"


class Several:
    """Buffers of given sizes that are made together again and again: what the run of a plan returns. `bare`: numbers of those that get no
    memory of their own, and no `ptr`: that is given to them.
    """

    __slots__ = ("_kinds",)

    def __init__(self, sizes: Sequence[int], bare: Container[int] = ()) -> None:
        kinds = [(n, allocator.sizes.get(n) or allocator.size_for(n)) for n in sizes]
        self._kinds = [(nbytes, 0 if i in bare else size, allocator.free[size]) for i, (nbytes, size) in enumerate(kinds)]

    def make(self, _allocator: Allocator = allocator) -> list[Buffer]:
        """New buffers, as `Buffer(size)` of each would be; the search for a free block is written out, since small programs return many."""
        made = []
        for nbytes, size, free in self._kinds:
            buffer = _new_buffer(Buffer)
            buffer._class_size = 0
            buffer.nbytes = nbytes
            buffer.writable = True
            made.append(buffer)
            if size:
                try:
                    buffer.ptr = free.pop()
                except IndexError:
                    buffer.ptr = _allocator.make(size)
                buffer._class_size = size
                _allocator.live += size
        if _allocator.live > _allocator.peak:
            _allocator.new_peak(_allocator.live)
        return made


_new_buffer = Buffer.__new__


class Exposed:
    """Buffers whose memory others can write to, through a NumPy array or an address: what they held once may not be what they hold now."""

    def __init__(self) -> None:
        self.buffers: weakref.WeakSet[Buffer] = weakref.WeakSet()
        self.changes = 0

    def add(self, buffer: Any) -> None:
        """Notes a buffer (of a region, the buffer that it is a part of), for as long as it lives."""
        self.buffers.add(getattr(buffer, "buffer", buffer))
        self.changes += 1


exposed = Exposed()


def stats() -> dict[str, int]:
    """Bytes `live` in buffers, `cached` on free lists, the `peak` of live bytes, and `mapped` from the system in large blocks and slabs."""
    return {"live": allocator.live, "cached": allocator.cached, "peak": allocator.peak, "mapped": allocator.mapped}


def reset_peak() -> None:
    """Starts a new measurement of the peak."""
    allocator.peak = allocator.live


def trim() -> None:
    """Gives all large cached blocks back to the system (also those of idle arenas)."""
    arenas.clear()
    with allocator._lock:
        allocator.high_water = allocator.live
        allocator.shrink(0)


class Arenas:
    """Blocks for the temporaries of programs: a run takes one and gives it back, so concurrent runs never share."""

    def __init__(self) -> None:
        self.idle: list[Buffer] = []

    def take(self, nbytes: int) -> Buffer:
        """An arena of at least `nbytes`; one that is too small is let go and a larger one takes its place."""
        try:
            arena = self.idle.pop()
        except IndexError:
            return Buffer(nbytes)
        if arena.nbytes >= nbytes:
            return arena
        outgrown = arena.nbytes
        del arena
        allocator.unmap(outgrown)  # arenas only grow: a block of this size would lie idle from now on
        return Buffer(nbytes)

    def give(self, arena: Buffer) -> None:
        """Takes an arena back for the next run."""
        self.idle.append(arena)

    def clear(self) -> None:
        """Lets all idle arenas go."""
        self.idle.clear()


arenas = Arenas()
