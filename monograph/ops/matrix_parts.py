"""What the linear algebra ops share: checks of their operands, their error, batches of matrices, and small matrices written in ops."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import NO_ATTRS, Attrs
from monograph.core.dtype import dtype as DType
from monograph.core.dtype import int64
from monograph.core.errors import DTypeError, MonographError, ShapeError
from monograph.core.shape import Shape
from monograph.graph.node import Node
from monograph.graph.op import Sample
from monograph.ops.compare import eq
from monograph.ops.complex_parts import conj
from monograph.ops.contraction import matmul, transpose_last
from monograph.ops.elementwise import as_dtype, where
from monograph.ops.samples import draw
from monograph.ops.source import arange, constant
from monograph.ops.views import reshape, slice


class LinAlgError(MonographError):
    """A matrix that an algorithm cannot work with: singular, not positive-definite, not converging (torch.linalg.LinAlgError)."""


def check_matrix(name: str, x: Any, square: bool = False) -> tuple[Shape, DType]:
    """Shape and dtype of a batch of matrices; raises for vectors, dtypes LAPACK does not take and, if wanted, for what is not square."""
    s, d = x.shape, x.dtype
    if len(s) < 2:
        raise ShapeError(f"{name}: The input tensor A must have at least 2 dimensions, got shape {list(s)}.")
    if square and s[-1] != s[-2]:
        raise ShapeError(f"{name}: A must be batches of square matrices, but they are {s[-2]} by {s[-1]} matrices")
    if d.name not in ("float32", "float64", "complex64", "complex128"):
        raise DTypeError(
            f"{name}: Expected a floating point tensor of float32 or float64 or a complex one as input, got {d.name}: cast it first, e.g. "
            "A.float()"
        )
    return s, d


def batch_of(index: Any) -> str:
    """`(Batch element i): ` as torch words it; nothing for a single matrix."""
    return f"(Batch element {index}): " if index is not None else ""


def first_failing(function: Callable[[np.ndarray], Any], a: np.ndarray) -> tuple[int | None, np.ndarray]:
    """The first matrix of a batch that NumPy refuses (its number, None if there is but one matrix) and the matrix."""
    if a.ndim == 2:
        return None, a
    for k, matrix in enumerate(a.reshape(-1, *a.shape[-2:])):
        try:
            function(matrix)
        except np.linalg.LinAlgError:
            return k, matrix
    return None, a.reshape(-1, *a.shape[-2:])[0]


def refusing(
    name: str, function: Callable[..., Any], reason: Callable[[np.ndarray], str], probe: Callable[[np.ndarray], Any] | None = None
) -> Callable[..., Any]:
    """`function(a, ...)` of NumPy, its refusals told in torch's words; `probe` finds the matrix it refuses (default: `function` itself)."""

    def computed(a: np.ndarray, *more: Any) -> Any:
        try:
            return function(a, *more)
        except np.linalg.LinAlgError:
            k, matrix = first_failing(probe or function, a)
            raise LinAlgError(f"{name}: {batch_of(k)}{reason(matrix)}") from None

    return computed


def zero_pivot(a: np.ndarray) -> int:
    """Which diagonal element of U (from 1) is zero when `a` is eliminated with row exchanges."""
    u = np.array(a, np.complex128 if np.iscomplexobj(a) else np.float64)
    n = len(u)
    for k in range(n):
        p = k + int(np.argmax(np.abs(u[k:, k])))
        if u[p, k] == 0:
            return k + 1
        u[[k, p]] = u[[p, k]]
        u[k + 1 :, k:] -= np.outer(u[k + 1 :, k] / u[k, k], u[k, k:])
    return n


# ---- matrices in ops ----


def identity_mask(n: Any) -> Node:
    """True on the diagonal of an n x n matrix."""
    from_rows = reshape(arange(start=0, step=1, length=n, dtype=int64), shape=(n, 1))
    return eq(from_rows, arange(start=0, step=1, length=n, dtype=int64))


def diagonal_matrix(v: Node) -> Node:
    """The matrix with `v` (its last dimension) on the diagonal."""
    n = v.shape[-1]
    return where(identity_mask(n), row(v), constant(0, v.dtype))


def with_diagonal(x: Node, v: Node | None) -> Node:
    """x with its diagonal replaced by `v` (None: by zeros)."""
    zero = constant(0, x.dtype)
    return where(identity_mask(x.shape[-1]), zero if v is None else row(v), x)


def row(v: Node) -> Node:
    """[..., n] as [..., 1, n]."""
    return reshape(v, shape=(*v.shape[:-1], 1, v.shape[-1]))


def column(v: Node) -> Node:
    """[..., n] as [..., n, 1]."""
    return reshape(v, shape=(*v.shape, 1))


def differences(v: Node) -> Node:
    """D[i, j] = v[j] - v[i], with ones on the diagonal: to divide by."""
    return where(identity_mask(v.shape[-1]), constant(1, v.dtype), row(v) - column(v))


def product(*matrices: Node) -> Node:
    """The product of matrices, from the left."""
    result = matrices[0]
    for m in matrices[1:]:
        result = matmul(result, m)
    return result


mT = transpose_last


def conjugate(x: Node) -> Node:
    """The complex conjugates; real values as they are."""
    return conj(x) if x.dtype.kind == "c" else x


def mH(x: Node) -> Node:
    """The adjoint: transposed and conjugated."""
    return conjugate(mT(x))


def without_imaginary_diagonal(x: Node) -> Node:
    """x with a real diagonal."""
    if x.dtype.kind != "c":
        return x
    return where(identity_mask(x.shape[-1]), as_dtype(as_dtype(x, x.dtype.to_real()), x.dtype), x)


def columns(x: Node, start: Any, length: Any) -> Node:
    """Some columns of a matrix."""
    lead = x.shape[:-1]
    return slice(x, starts=(*(0 for _ in lead), start), steps=(*(1 for _ in lead), 1), lengths=(*lead, length))


def rows_of(x: Node, start: Any, length: Any) -> Node:
    """Some rows of a matrix."""
    return mT(columns(mT(x), start, length))


# ---- samples ----


def definite_matrix(n: int, shape: tuple[int, ...] = (), seed: int = 0, dtype: Any = np.float64) -> np.ndarray:
    """A fixed symmetric positive-definite matrix, or a batch of them."""
    x = draw((*shape, n, n), seed=seed)
    return (x @ np.swapaxes(x, -1, -2) + n * np.eye(n)).astype(dtype)


def matrix_errors(name: str, attributes: Attrs = NO_ATTRS) -> Iterable[Sample]:
    """Bad samples of an op on matrices."""
    yield Sample((np.ones(3),), attributes, error=ShapeError, match=f"{name}: The input tensor A must have at least 2 dimensions")
    yield Sample((np.ones((2, 2), np.int64),), attributes, error=DTypeError, match="cast it first")


def square_errors(name: str, attributes: Attrs = NO_ATTRS) -> Iterable[Sample]:
    """Bad samples of an op on square matrices."""
    yield from matrix_errors(name, attributes)
    yield Sample((np.ones((2, 3)),), attributes, error=ShapeError, match="square matrices, but they are 2 by 3")
