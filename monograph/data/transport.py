"""Batches on their way from a worker process: the pickled structure through a pipe, the arrays through shared anonymous memory.

The memory has no name, so nothing is left behind when a process is killed. It comes in segments that travel back and forth: a batch is
collated in one (`Sender.empty`), the other process computes on it where it lies, and when nobody there holds it any more the segment goes
back with the next question. Fresh pages are the greater part of what a batch costs otherwise. A segment costs no open file once it is
mapped, so that any number of batches may be kept. Where the system lacks such memory, arrays travel in the pipe.
"""

from __future__ import annotations

import ctypes
import functools
import math
import mmap
import os
import pickle
import weakref
from dataclasses import dataclass, field
from multiprocessing import reduction
from typing import Any

import numpy as np

from monograph.data.collate import tensor_of_owned
from monograph.runtime.buffers import class_size
from monograph.tensor import Tensor
from monograph.tensor.interop import host_array

INLINE_BYTES = 32 * 1024
MOST_IDLE = 4  # of the segments that wait, for each that a batch takes; more are given up
_HAS_MEMORY_FILES = hasattr(os, "memfd_create") and hasattr(reduction, "send_handle")


@functools.cache
def _libc() -> Any:
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype, library.munmap.restype = ctypes.c_void_p, ctypes.c_int
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return library


def _mapped(handle: int, length: int) -> np.ndarray:
    """The bytes of shared memory, mapped as long as an array looks at them. (Python's mmap keeps a file open for each, before 3.13.)"""
    address = _libc().mmap(None, length, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, handle, 0)
    if address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), f"a batch's {length} bytes of shared memory could not be mapped")
    memory = (ctypes.c_ubyte * length).from_address(address)
    weakref.finalize(memory, _libc().munmap, address, length).atexit = False
    return np.frombuffer(memoryview(memory), np.uint8)


def _start_of(memory: np.ndarray, size: int) -> np.ndarray:
    """The first bytes, as an array that lives as long as any view of it: of a slice, views would hold what it is a slice of instead."""
    return np.frombuffer(memory.data, np.uint8, size)


def _rebuild(array: np.ndarray, requires_grad: bool) -> Tensor:
    made = tensor_of_owned(array)
    return made.requires_grad_() if requires_grad else made


class _Pickler(pickle.Pickler):
    """Tensors travel as arrays."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Tensor) and value.device.type != "meta":
            array = host_array(value.detach() if value.requires_grad else value)
            return (_rebuild, (np.ascontiguousarray(array).reshape(array.shape), value.requires_grad))
        return NotImplemented


class _Sink:
    """A file in memory that keeps what is written as it comes."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.chunks.append(bytes(data))
        return len(data)


@dataclass
class _Segment:
    """Shared memory, as the sender sees it."""

    number: int
    memory: np.ndarray
    length: int
    handle: int | None  # until it has been sent
    array: Any = field(default=lambda: None)  # a weak reference to what was last handed out; dead once nobody here holds it

    @property
    def address(self) -> int:
        """Where it lies in this process."""
        return int(self.memory.__array_interface__["data"][0])


class Sender:
    """A worker's end: makes room for batches and sends them."""

    def __init__(self, connection: Any, receiver_pid: int) -> None:
        self._connection, self._receiver_pid = connection, receiver_pid
        self._made = 0
        self._away: dict[int, _Segment] = {}  # with the receiver
        self._idle: list[_Segment] = []
        self._lent: dict[int, _Segment] = {}  # handed out by `empty` and not sent yet, by address

    def take_back(self, numbers: list[int]) -> None:
        """Segments that the receiver does not use any more. May be called by another thread than the one that sends."""
        for number in numbers:
            self._idle.append(self._away.pop(number))

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """An array to be filled and sent; what lies in a segment is not copied on its way."""
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        if size <= INLINE_BYTES or not _HAS_MEMORY_FILES:
            return np.empty(shape, dtype)
        segment = self._segment(size)
        self._lent[segment.address] = segment
        whole = _start_of(segment.memory, size)
        segment.array = weakref.ref(whole)
        return np.ndarray(shape, dtype, whole.data)  # a memoryview of it: an array as base would be skipped and die

    def _segment(self, size: int) -> _Segment:
        for address, segment in list(self._lent.items()):  # of batches that were never sent
            if segment.array() is None:
                self._idle.append(self._lent.pop(address))
        fitting = [s for s in self._idle if size <= s.length <= 4 * size and s.array() is None]
        if fitting:
            best = min(fitting, key=lambda s: s.length)
            self._idle.remove(best)
            return best
        length = -(-class_size(size) // mmap.PAGESIZE) * mmap.PAGESIZE
        handle = os.memfd_create("batch")
        try:
            os.ftruncate(handle, length)
            segment = _Segment(self._made, _mapped(handle, length), length, handle)
        except BaseException:
            os.close(handle)
            raise
        self._made += 1
        return segment

    def _copied(self, view: memoryview) -> _Segment:
        segment = self._segment(view.nbytes)
        segment.memory[: view.nbytes] = np.frombuffer(view, np.uint8)
        return segment

    def send(self, message: Any) -> None:
        """Sends a message; big arrays in it go through shared memory."""
        parts: list[pickle.PickleBuffer] = []
        sink = _Sink()
        _Pickler(sink, protocol=5, buffer_callback=parts.append).dump(message)
        segments: list[_Segment] = []
        places: list[Any] = []
        for part in parts:
            view = part.raw()
            if view.nbytes <= INLINE_BYTES or not _HAS_MEMORY_FILES:
                places.append(view.tobytes())
                continue
            address = np.frombuffer(view, np.uint8).__array_interface__["data"][0]
            segment = self._lent.pop(address, None) or self._copied(view)
            places.append((segment.number, view.nbytes, segment.length if segment.handle is not None else 0))
            segments.append(segment)
        for segment in segments:
            self._away[segment.number] = segment
        too_many = len(self._idle) - MOST_IDLE * max(1, len(segments))
        gone = [self._idle.pop(0).number for _ in range(too_many)]
        self._connection.send_bytes(pickle.dumps((b"".join(sink.chunks), places, gone)))
        for segment in segments:
            if segment.handle is not None:
                reduction.send_handle(self._connection, segment.handle, self._receiver_pid)
                os.close(segment.handle)
                segment.handle = None


class Receiver:
    """The other end: gives messages out, and notes which segments come free."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._memory: dict[int, np.ndarray] = {}
        self._free: list[int] = []

    def freed(self) -> list[int]:
        """The segments that nobody here holds any more, for `Sender.take_back`."""
        return [self._free.pop() for _ in range(len(self._free))]

    def receive(self) -> Any:
        """The next message; its big arrays lie in shared memory, which is theirs until they go."""
        body, places, gone = pickle.loads(self.connection.recv_bytes())
        for number in gone:
            self._memory.pop(number, None)
        buffers: list[Any] = []
        for place in places:
            if isinstance(place, bytes):
                buffers.append(bytearray(place))
                continue
            number, size, length = place
            if length:
                handle = reduction.recv_handle(self.connection)
                try:
                    self._memory[number] = _mapped(handle, length)
                finally:
                    os.close(handle)
            array = _start_of(self._memory[number], size)
            weakref.finalize(array, self._free.append, number).atexit = False
            buffers.append(array)
        return pickle.loads(body, buffers=buffers)
