"""Arrays from data, from shapes, and from other arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from monograph.array_api.array import returns_arrays
from monograph.core import dtype as dtypes
from monograph.core.dtype import dtype as DType
from monograph.tensor.core import Tensor
from monograph.tensor.pointwise import FUNCTIONS

Shape = int | tuple[int, ...]


def _on(t: Tensor, device: Any) -> Tensor:
    return t if device is None else FUNCTIONS["_check_device"](device) and t


@returns_arrays
def asarray(obj: Any, /, *, dtype: DType | None = None, device: Any = None, copy: bool | None = None) -> Any:
    """An array of `obj`: an array, a Python number, nested sequences of them, or anything with a buffer, DLPack or `__array__`.

    `copy=True` copies, `copy=False` raises ValueError where sharing memory is impossible, None copies only if it must.
    """
    if isinstance(obj, Tensor):
        made = obj if dtype is None else obj.to(dtype)
        if copy is False and made is not obj:
            raise ValueError(f"asarray: a copy is needed to turn {obj.dtype} into {dtype}, and copy=False forbids it")
        return _on(made.clone() if copy and made is obj else made, device)
    array = _shareable(obj)
    if array is None or (dtype is not None and dtypes.from_numpy(array.dtype) is not dtype):
        if copy is False:
            raise ValueError(f"asarray: {type(obj).__name__} cannot become an array of {dtype or 'its values'} without a copy")
        return _on(FUNCTIONS["tensor"](_joined(obj), dtype=dtype), device)
    shared = FUNCTIONS["from_numpy"](array)
    return _on(shared.clone() if copy else shared, device)


def _shareable(obj: Any) -> np.ndarray | None:
    """The memory of an object that has some, as a NumPy array that a tensor can share."""
    if isinstance(obj, bool | int | float | complex | np.generic | list | tuple):
        return None
    if isinstance(obj, bytes):
        return None
    array = obj if isinstance(obj, np.ndarray) else np.asarray(obj if not hasattr(obj, "__dlpack__") else np.from_dlpack(obj))
    if not array.dtype.isnative or any(s < 0 for s in array.strides) or not array.flags.writeable:
        return None
    return array


def _joined(obj: Any) -> Any:
    """Nested sequences as one NumPy array when they hold integers that only an unsigned type holds; anything else as it is."""
    if isinstance(obj, list | tuple):
        return obj
    return np.asarray(obj).copy() if not isinstance(obj, bool | int | float | complex) else obj


@returns_arrays
def from_dlpack(x: object, /, *, device: Any = None, copy: bool | None = None) -> Any:
    """An array on the memory of any object that speaks DLPack; `copy=True` copies it, `copy=False` raises ValueError where it must."""
    return FUNCTIONS["from_dlpack"](x, device=device, copy=copy)


@returns_arrays
def arange(start: float, /, stop: float | None = None, step: float = 1, *, dtype: DType | None = None, device: Any = None) -> Any:
    """start, start + step ... before stop; empty where stop lies on the other side."""
    if stop is None:
        start, stop = 0, start
    if step == 0:
        raise ValueError("arange: step must not be zero")
    if (stop - start) * step < 0:
        stop = type(stop)(start) if isinstance(stop, float) else start  # a float among them makes the result one
    return FUNCTIONS["arange"](start, stop, step, dtype=dtype, device=device)


@returns_arrays
def linspace(
    start: complex, stop: complex, /, num: int, *, dtype: DType | None = None, device: Any = None, endpoint: bool = True
) -> Any:
    """`num` evenly spaced numbers from start to stop, which is one of them if `endpoint`."""
    values = np.linspace(start, stop, num, endpoint=endpoint)
    default = dtypes.default_float()
    return FUNCTIONS["tensor"](values, dtype=dtype or (default.to_complex() if values.dtype.kind == "c" else default), device=device)


@returns_arrays
def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: DType | None = None, device: Any = None) -> Any:
    """Ones on the k-th diagonal of a matrix of zeros."""
    return FUNCTIONS["tensor"](np.eye(n_rows, n_cols, k), dtype=dtype or dtypes.default_float(), device=device)


@returns_arrays
def full(shape: Shape, fill_value: complex, *, dtype: DType | None = None, device: Any = None) -> Any:
    """An array of one value; its dtype is that of the value unless given."""
    return FUNCTIONS["full"](_shape(shape), fill_value, dtype=dtype, device=device)


@returns_arrays
def zeros(shape: Shape, *, dtype: DType | None = None, device: Any = None) -> Any:
    """An array of zeros."""
    return FUNCTIONS["zeros"](_shape(shape), dtype=dtype, device=device)


@returns_arrays
def ones(shape: Shape, *, dtype: DType | None = None, device: Any = None) -> Any:
    """An array of ones."""
    return FUNCTIONS["ones"](_shape(shape), dtype=dtype, device=device)


@returns_arrays
def empty(shape: Shape, *, dtype: DType | None = None, device: Any = None) -> Any:
    """An array of unspecified values."""
    return FUNCTIONS["empty"](_shape(shape), dtype=dtype, device=device)


def _shape(shape: Shape) -> tuple[int, ...]:
    return tuple(shape) if isinstance(shape, Sequence) else (shape,)


@returns_arrays
def full_like(x: Tensor, /, fill_value: complex, *, dtype: DType | None = None, device: Any = None) -> Any:
    """An array of one value with the shape and dtype of `x`."""
    return FUNCTIONS["full_like"](x, fill_value, dtype=dtype, device=device)


@returns_arrays
def zeros_like(x: Tensor, /, *, dtype: DType | None = None, device: Any = None) -> Any:
    """Zeros with the shape and dtype of `x`."""
    return FUNCTIONS["zeros_like"](x, dtype=dtype, device=device)


@returns_arrays
def ones_like(x: Tensor, /, *, dtype: DType | None = None, device: Any = None) -> Any:
    """Ones with the shape and dtype of `x`."""
    return FUNCTIONS["ones_like"](x, dtype=dtype, device=device)


@returns_arrays
def empty_like(x: Tensor, /, *, dtype: DType | None = None, device: Any = None) -> Any:
    """Unspecified values with the shape and dtype of `x`."""
    return FUNCTIONS["empty_like"](x, dtype=dtype, device=device)


@returns_arrays
def meshgrid(*arrays: Tensor, indexing: Literal["xy", "ij"] = "xy") -> Any:
    """Coordinate grids of vectors, a tuple; "xy" exchanges the first two dimensions."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing is 'xy' or 'ij', got {indexing!r}")
    return tuple(FUNCTIONS["meshgrid"](*arrays, indexing=indexing)) if arrays else ()


@returns_arrays
def tril(x: Tensor, /, *, k: int = 0) -> Any:
    """The triangles below the k-th diagonal of a stack of matrices; zeros elsewhere."""
    return FUNCTIONS["tril"](x, k)


@returns_arrays
def triu(x: Tensor, /, *, k: int = 0) -> Any:
    """The triangles above the k-th diagonal of a stack of matrices; zeros elsewhere."""
    return FUNCTIONS["triu"](x, k)
