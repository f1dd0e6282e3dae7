"""Products of arrays: matmul and its relatives, which the namespace and its linalg extension share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monograph.array_api.array import returns_arrays
from monograph.array_api.promotion import common
from monograph.core.shape import broadcast_all, normalize_dim
from monograph.tensor.core import Tensor
from monograph.tensor.pointwise import FUNCTIONS, METHODS


@returns_arrays
def matmul(x1: Tensor, x2: Tensor, /) -> Any:
    """The matrix product, with vectors, matrices and stacks of them."""
    return FUNCTIONS["matmul"](*common(x1, x2))


@returns_arrays
def matrix_transpose(x: Tensor, /) -> Any:
    """The transposes of a stack of matrices."""
    return METHODS["transpose"](x, -2, -1)


@returns_arrays
def tensordot(x1: Tensor, x2: Tensor, /, *, axes: int | tuple[Sequence[int], Sequence[int]] = 2) -> Any:
    """The sum of products over the last `axes` of x1 and the first of x2, or over two lists of axes."""
    return FUNCTIONS["tensordot"](*common(x1, x2), axes)


@returns_arrays
def vecdot(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Any:
    """The inner products of the vectors along `axis` (x1 conjugated); the other axes broadcast."""
    a, b = common(x1, x2)
    if axis >= 0 and a.ndim != b.ndim:
        raise ValueError(f"vecdot: a non-negative axis needs arrays of one rank, got {a.ndim} and {b.ndim} dimensions")
    if a.shape[axis] != b.shape[axis]:
        raise ValueError(f"vecdot: vectors of {a.shape[axis]} and {b.shape[axis]} elements")
    shape = broadcast_all([tuple(a.shape), tuple(b.shape)])
    rows, columns = (METHODS["movedim"](METHODS["expand"](t, shape), normalize_dim(axis, len(shape)), -1) for t in (a, b))
    rows = FUNCTIONS["conj"](rows) if rows.dtype.is_complex else rows
    return FUNCTIONS["sum"](FUNCTIONS["mul"](rows, columns), -1, dtype=a.dtype)


__all__ = ["matmul", "matrix_transpose", "tensordot", "vecdot"]
