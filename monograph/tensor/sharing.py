"""Tensors on memory that is there already: buffers of Python's, storages, files."""

from __future__ import annotations

import mmap
import os
from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core.dtype import dtype as DType
from monograph.core.errors import ArgumentError
from monograph.tensor.core import Tensor
from monograph.tensor.creation import as_tensor
from monograph.tensor.pointwise import FUNCTIONS
from monograph.tensor.storage import TypedStorage, UntypedStorage


def frombuffer(buffer: Any, *, dtype: DType, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """A 1-dimensional tensor on the memory of an object with the buffer protocol: `count` elements (-1: all) from byte `offset` on.

    Raises ValueError where the buffer is empty, too short for that, or (with count=-1) no whole number of elements.

    >>> import monograph as mg
    >>> mg.frombuffer(bytearray(b"abcd"), dtype=mg.uint8).tolist()
    [97, 98, 99, 100]
    """
    length = memoryview(buffer).nbytes
    if length == 0 or count == 0:
        raise ArgumentError(f"both buffer length ({length}) and count ({count}) must not be 0")
    if not 0 <= offset < length:
        raise ArgumentError(f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({length} bytes) minus 1")
    if count < 0 and (length - offset) % dtype.itemsize:
        raise ArgumentError(
            f"buffer length ({length - offset} bytes) after offset ({offset} bytes) must be a multiple of element size ({dtype.itemsize})"
        )
    if count > 0 and offset + count * dtype.itemsize > length:
        raise ArgumentError(
            f"requested buffer length ({count} * {dtype.itemsize} bytes) after offset ({offset} bytes) must not be greater than actual "
            f"buffer length ({length} bytes)"
        )
    made: Tensor = FUNCTIONS["from_numpy"](np.frombuffer(buffer, dtype.np, count, offset))
    made.requires_grad = requires_grad
    return made


def asarray(
    obj: Any, *, dtype: DType | None = None, device: Any = None, copy: bool | None = None, requires_grad: bool | None = None
) -> Tensor:  # fmt: skip
    """A tensor with the values of a tensor, array, storage, buffer, DLPack capsule, number or sequence; on the same memory where it has
    some and the dtype fits, unless `copy` is True. With copy=False, ValueError where it would have to be copied.

    >>> import monograph as mg
    >>> mg.asarray([1, 2]).tolist()
    [1, 2]
    """
    found = obj if isinstance(obj, Tensor) else _on_memory(obj, dtype)
    if found is None:
        if copy is False:
            raise ArgumentError(
                f"can't alias arbitrary sequence into a tensor: {type(obj).__name__} has no memory to share; drop copy=False"
            )
        found = as_tensor(obj, dtype, device)
    elif dtype is not None and found.dtype is not dtype:
        if copy is False:
            raise ArgumentError(f"can't alias tensor with dtype {found.dtype.name} into dtype {dtype.name}; drop copy=False")
        found = found.to(dtype)  # type: ignore[attr-defined]
    elif copy:
        found = found.clone()  # type: ignore[attr-defined]
    if device is not None:
        found = found.to(device=device)  # type: ignore[attr-defined]
    if requires_grad is not None and requires_grad != found.requires_grad:
        found = found.detach().requires_grad_(requires_grad)
    return found


def _on_memory(obj: Any, dtype: DType | None) -> Tensor | None:
    if isinstance(obj, TypedStorage):
        flat = obj._flat
        return flat.view(dtype) if isinstance(obj, UntypedStorage) and dtype is not None else flat  # type: ignore[attr-defined]
    if isinstance(obj, np.ndarray):
        return as_tensor(obj)
    if isinstance(obj, np.generic | bool | int | float | complex | str | list | tuple):
        return None
    if hasattr(obj, "__dlpack__"):
        return FUNCTIONS["from_dlpack"](obj)  # type: ignore[no-any-return]
    try:
        memoryview(obj)
    except TypeError:
        return None
    return frombuffer(obj, dtype=dtype or dtypes.defaults.floating)


def _mapped(filename: Any, shared: bool, nbytes: int) -> Tensor:
    if nbytes == 0:
        return FUNCTIONS["empty"](0, dtype=dtypes.uint8)  # type: ignore[no-any-return]
    name = os.fspath(filename)
    try:
        with open(name, "r+b" if shared else "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < nbytes and not shared:
                raise RuntimeError(f"file <{name}> size <{size}> is smaller than the required mapping size <{nbytes}>")
            if size < nbytes:
                os.ftruncate(file.fileno(), nbytes)
            memory = mmap.mmap(file.fileno(), nbytes, access=mmap.ACCESS_WRITE if shared else mmap.ACCESS_COPY)
    except OSError as error:
        mode = "read-write" if shared else "read-only"
        raise RuntimeError(f"unable to open file <{name}> in {mode} mode: {error.strerror} ({error.errno})") from None
    return FUNCTIONS["from_numpy"](np.frombuffer(memory, np.uint8))  # type: ignore[no-any-return]


def from_file(
    filename: Any, shared: bool | None = None, size: int | None = 0, *, dtype: DType | None = None, requires_grad: bool = False
) -> Tensor:  # fmt: skip
    """A tensor of `size` elements on the memory of a file; what is written to it reaches the file if `shared`."""
    kind = dtype or dtypes.defaults.floating
    made = _mapped(filename, bool(shared), (size or 0) * kind.itemsize).view(kind)  # type: ignore[attr-defined]
    made.requires_grad = requires_grad
    return made  # type: ignore[no-any-return]


def _untyped_from_file(filename: Any, shared: bool = False, nbytes: int = 0) -> UntypedStorage:
    """The first bytes of a file; what is written to them reaches it if `shared`."""
    return UntypedStorage(_mapped(filename, shared, nbytes))


def _typed_from_file(kind: Any, filename: Any, shared: bool = False, size: int = 0) -> TypedStorage:
    """The first elements of a file; what is written to them reaches it if `shared`."""
    return TypedStorage(from_file(filename, shared, size, dtype=getattr(kind, "_kind", None)))


TypedStorage.from_file = classmethod(_typed_from_file)  # type: ignore[attr-defined]
UntypedStorage.from_file = staticmethod(_untyped_from_file)  # type: ignore[attr-defined]
FUNCTIONS.update(frombuffer=frombuffer, asarray=asarray, from_file=from_file)
