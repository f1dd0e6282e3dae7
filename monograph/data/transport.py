"""Batches on their way from a worker process: the pickled structure through a pipe, the arrays through shared anonymous memory.

The memory has no name, so nothing is left behind when a process is killed. Where the system lacks it, arrays travel in the pipe.
"""

from __future__ import annotations

import mmap
import os
import pickle
from multiprocessing import reduction
from typing import Any

import numpy as np

from monograph.data.collate import tensor_of_owned
from monograph.tensor import Tensor
from monograph.tensor.interop import host_array

ALIGNMENT = 64
INLINE_BYTES = 32 * 1024
_HAS_MEMORY_FILES = hasattr(os, "memfd_create") and hasattr(reduction, "send_handle")


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


def send(connection: Any, message: Any, receiver_pid: int) -> None:
    """Sends a message; big arrays in it go through shared memory."""
    parts: list[pickle.PickleBuffer] = []

    class Sink:
        def __init__(self) -> None:
            self.chunks: list[bytes] = []

        def write(self, data: bytes) -> int:
            self.chunks.append(bytes(data))
            return len(data)

    sink = Sink()
    _Pickler(sink, protocol=5, buffer_callback=parts.append).dump(message)
    body = b"".join(sink.chunks)
    views = [part.raw() for part in parts]
    sizes = [view.nbytes for view in views]
    total = len(body) + sum(sizes)
    if total <= INLINE_BYTES or not _HAS_MEMORY_FILES:
        connection.send_bytes(pickle.dumps((body, [view.tobytes() for view in views], None)))
        return
    places, end = [], 0
    for size in (len(body), *sizes):
        places.append((end, size))
        end += -(-size // ALIGNMENT) * ALIGNMENT
    handle = os.memfd_create("batch")
    try:
        os.ftruncate(handle, max(end, 1))
        with mmap.mmap(handle, max(end, 1)) as memory:
            for (start, size), view in zip(places, (memoryview(body), *views), strict=True):
                memory[start : start + size] = view
        connection.send_bytes(pickle.dumps((None, places, max(end, 1))))
        reduction.send_handle(connection, handle, receiver_pid)
    finally:
        os.close(handle)


def receive(connection: Any) -> Any:
    """The next message; its big arrays lie in memory that is private from now on and goes when they go."""
    body, places, length = pickle.loads(connection.recv_bytes())
    if length is None:
        return pickle.loads(body, buffers=[bytearray(view) for view in places])
    handle = reduction.recv_handle(connection)
    try:
        memory = memoryview(mmap.mmap(handle, length))
    finally:
        os.close(handle)
    (start, size), *rest = places
    return pickle.loads(memory[start : start + size], buffers=[memory[at : at + n] for at, n in rest])
