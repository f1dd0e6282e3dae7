"""DLPack: tensors lent to other libraries and borrowed from them without copying.

NumPy speaks the protocol (versioned capsules, read-only memory, all our dtypes but bfloat16), so a tensor is lent and borrowed as the array
that shares its memory. bfloat16, which NumPy does not know, passes as uint16 whose type is rewritten in the capsule on the way.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from monograph.core.dtype import bfloat16
from monograph.tensor.core import CPU, Tensor
from monograph.tensor.interop import from_numpy, numpy
from monograph.tensor.pointwise import FUNCTIONS, METHODS

CPU_DEVICE = (1, 0)  # kDLCPU
UINT, BFLOAT = 1, 4  # DLDataTypeCode
# Where the type code lies: after data pointer, device and rank; a versioned capsule has version, context, deleter and flags in front.
CODE_AT = {b"dltensor": 20, b"dltensor_versioned": 32 + 20}

_name_of = ctypes.pythonapi.PyCapsule_GetName
_name_of.restype, _name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype, _pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


def _type_code(capsule: Any) -> Any:
    """The type code and the number of bits in a capsule's tensor, as bytes that may be written."""
    name = _name_of(capsule)
    if name not in CODE_AT:
        raise BufferError(f"from_dlpack: the capsule is called {name!r}; a capsule can be consumed only once")
    return (ctypes.c_uint8 * 2).from_address(_pointer_of(capsule, name) + CODE_AT[name])


def to_capsule(
    self: Tensor, *, stream: Any = None, max_version: tuple[int, int] | None = None, dl_device: Any = None, copy: bool | None = None
) -> Any:
    """A DLPack capsule of the tensor's memory; versioned if the consumer asks for version 1 or later, a copy only with copy=True.

    Raises BufferError for tensors that require grad, are not on the CPU, or are wanted elsewhere.
    """
    if self.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    if self.device is not CPU:
        raise BufferError(f"Can't export a tensor on device {self.device}: only memory of the CPU can be lent")
    if stream not in (None, -1):
        raise BufferError(f"__dlpack__: the CPU has no streams, got stream={stream!r}; pass None")
    if dl_device is not None and tuple(dl_device) != CPU_DEVICE:
        raise BufferError(f"__dlpack__: the tensor is on device {CPU_DEVICE} and cannot be lent to {tuple(dl_device)}")
    lent = numpy(self)
    low = self.dtype is bfloat16
    capsule = (lent.view(np.uint16) if low else lent).__dlpack__(max_version=max_version, dl_device=dl_device, copy=copy)
    if low:
        _type_code(capsule)[0] = BFLOAT
    return capsule


class _Borrowed:
    """What NumPy is shown of another library's tensor: its capsule, with bfloat16 called uint16."""

    def __init__(self, other: Any) -> None:
        self.other = other
        self.low = False

    def __dlpack_device__(self) -> Any:
        return self.other.__dlpack_device__() if hasattr(self.other, "__dlpack_device__") else CPU_DEVICE

    def __dlpack__(self, **kwargs: Any) -> Any:
        capsule = self.other.__dlpack__(**kwargs) if hasattr(self.other, "__dlpack__") else self.other
        code = _type_code(capsule)
        if (code[0], code[1]) == (BFLOAT, 16):
            code[0], self.low = UINT, True
        return capsule


class _Writable:
    """The memory of an array that NumPy takes for read-only because its capsule, from before version 1, could not say what it is."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.__array_interface__ = {**array.__array_interface__, "data": (array.ctypes.data, False)}


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor on the memory of any object that speaks DLPack (or of a capsule), copied only with copy=True or where it must.

    Memory that its owner lends read-only is read where it lies; what is written into the tensor goes elsewhere.
    Raises RuntimeError for objects without DLPack, BufferError or ValueError for memory that cannot be shared.

    >>> import numpy as np
    >>> from_dlpack(np.arange(3)).tolist()
    [0, 1, 2]
    """
    if device is not None:
        FUNCTIONS["_check_device"](device)
    bare = not hasattr(ext_tensor, "__dlpack__")
    if bare and type(ext_tensor).__name__ != "PyCapsule":
        raise RuntimeError(f"from_dlpack: expected an object with __dlpack__ or a capsule, got {type(ext_tensor).__name__}")
    old = bare and _name_of(ext_tensor) == b"dltensor"
    borrowed = _Borrowed(ext_tensor)
    array = np.from_dlpack(borrowed, copy=copy) if copy is not None else np.from_dlpack(borrowed)  # type: ignore[arg-type]
    if old:  # who hands over a bare capsule shares it both ways, as torch does; objects without versions (jax) mean constants
        array = np.asarray(_Writable(array))
    return from_numpy(array.view(bfloat16.np) if borrowed.low else array)


METHODS.update(__dlpack__=to_capsule, __dlpack_device__=lambda self: CPU_DEVICE)
FUNCTIONS["from_dlpack"] = from_dlpack
