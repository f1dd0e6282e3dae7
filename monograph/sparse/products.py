"""Products with sparse matrices: the rows that a value meets are gathered, scaled and added up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from monograph.sparse.layout import COO, SparseTensor, added, compress, of_pattern, pointers_of
from monograph.tensor import FUNCTIONS, METHODS, Tensor
from monograph.tensor.gathering import from_host, host_array


def _is_sparse(x: Any) -> bool:
    return isinstance(x, SparseTensor)


def _inner(a: Any, b: Any, name: str) -> None:
    if a.ndim < 2 or a.shape[-1] != b.shape[0 if b.ndim == 1 else -2]:
        raise RuntimeError(f"{name}: size mismatch, got {list(a.shape)} @ {list(b.shape)}: the inner sizes must be equal")
    if a.dtype is not b.dtype:
        raise RuntimeError(f"{name}: expected both factors to have the same dtype, but got {a.dtype.name} and {b.dtype.name}")


def _sparse_dense(a: SparseTensor, b: Tensor) -> Tensor:
    """[*batch, m, k] sparse times [*batch, k, n]."""
    if a.sparse_dim() != a.ndim:
        raise NotImplementedError(f"a product with a sparse tensor that has dense dimensions ({a.dense_dim()}) is not supported")
    _inner(a, b, "matmul")
    batch = tuple(a.shape[:-2])
    if tuple(b.shape[:-2]) != batch:
        raise RuntimeError(f"matmul: the batch sizes of a sparse factor {list(batch)} and a dense one {list(b.shape[:-2])} must be equal")
    m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
    rows, columns = a._indices_now[-2], a._indices_now[-1]
    for d in reversed(range(len(batch))):  # the place within the batch, as more rows
        below = int(np.prod(batch[d + 1 :], dtype=np.int64))
        rows, columns = rows + a._indices_now[d] * (below * m), columns + a._indices_now[d] * (below * k)
    flat = b.reshape(-1, n)  # type: ignore[attr-defined]
    count = int(np.prod(batch, dtype=np.int64)) * m
    zeros = FUNCTIONS["zeros"]((count, n), dtype=b.dtype)
    if not a._nnz():
        return zeros.reshape(*batch, m, n)
    return added(zeros, rows, FUNCTIONS["index_select"](flat, 0, columns) * a._values_now.unsqueeze(-1)).reshape(*batch, m, n)  # type: ignore[attr-defined]


def _sparse_sparse(a: SparseTensor, b: SparseTensor) -> SparseTensor:
    """Every value of `a` meets the values in the row of `b` that its column names."""
    _inner(a, b, "matmul")
    if a.ndim != 2 or b.ndim != 2:
        raise RuntimeError(f"matmul of two sparse tensors takes matrices, got {list(a.shape)} and {list(b.shape)}")
    kind = a._layout
    a, b = a.to_sparse().coalesce(), b.to_sparse().coalesce()
    ia, ib = host_array(a._indices_now), host_array(b._indices_now)
    starts = pointers_of(ib[0], b.shape[0])
    counts = (starts[1:] - starts[:-1])[ia[1]]
    left = np.repeat(np.arange(len(counts)), counts)
    right = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + starts[ia[1][left]]
    pick = FUNCTIONS["index_select"]
    values = pick(a._values_now, 0, from_host(left.astype(np.int64))) * pick(b._values_now, 0, from_host(right.astype(np.int64)))
    indices = from_host(np.stack([ia[0][left], ib[1][right]]).astype(np.int64))
    product = of_pattern(indices, values, (a.shape[0], b.shape[1]))
    return product if kind is COO else compress(product, kind)


def matmul(input: Any, other: Any, *, out: Any = None) -> Any:  # noqa: A002
    """The product of a sparse and a dense tensor (dense), or of two sparse matrices (sparse). Differentiable in both."""
    if out is not None:
        raise NotImplementedError("a product with a sparse factor takes no out=")
    if _is_sparse(input) and _is_sparse(other):
        return _sparse_sparse(input, other)
    if _is_sparse(input):
        if other.ndim == 1:
            return _sparse_dense(input, other.unsqueeze(1)).squeeze(-1)  # type: ignore[attr-defined]
        return _sparse_dense(input, other)
    if input.ndim == 1:
        return matmul(transposed(other, -2, -1), input)
    return _sparse_dense(transposed(other, -2, -1), input.transpose(-2, -1)).transpose(-2, -1)  # type: ignore[attr-defined]


def mm(input: Any, mat2: Any, *, out: Any = None) -> Any:  # noqa: A002
    """`matmul` of two matrices."""
    if not isinstance(input, Tensor) or not isinstance(mat2, Tensor):
        raise TypeError(f"mm(): expected two Tensors, got {type(input).__name__} and {type(mat2).__name__}")
    if input.ndim != 2 or mat2.ndim != 2:
        raise RuntimeError(f"mm: expected matrices, got {list(input.shape)} and {list(mat2.shape)}")
    return matmul(input, mat2, out=out)


def mv(input: Any, vec: Any, *, out: Any = None) -> Any:  # noqa: A002
    """The product of a sparse matrix and a vector."""
    return matmul(input, vec, out=out)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1, out: Any = None) -> Any:  # noqa: A002
    """beta * input + alpha * (mat1 @ mat2)."""
    product = matmul(mat1, mat2, out=out)
    return product * alpha + input * beta if _is_sparse(product) else input * beta + product * alpha


def transposed(s: SparseTensor, dim0: int, dim1: int) -> SparseTensor:
    """Two sparse dimensions exchanged: new positions for the same values."""
    a, b = sorted((dim0 % s.ndim, dim1 % s.ndim))
    if a == b:
        return s
    if b >= s.sparse_dim():
        if a < s.sparse_dim():
            raise RuntimeError(f"transpose: cannot exchange a sparse dimension ({a}) with a dense one ({b})")
        k = s.sparse_dim() - 1
        size = _swapped(s._size, a, b)
        return SparseTensor(s._indices_now, METHODS["transpose"](s._values_now, a - k, b - k), size, s._coalesced)
    order = from_host(np.array(_swapped(tuple(range(s.sparse_dim())), a, b), np.int64))
    other = SparseTensor(FUNCTIONS["index_select"](s._indices_now, 0, order), s._values_now, _swapped(s._size, a, b))
    return other if s._layout is COO else compress(other, s._layout)


def _swapped(items: tuple[int, ...], a: int, b: int) -> tuple[int, ...]:
    made = list(items)
    made[a], made[b] = made[b], made[a]
    return tuple(made)


def sampled_addmm(input: SparseTensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1, out: Any = None) -> SparseTensor:  # noqa: A002
    """beta * input + alpha * (mat1 @ mat2) at the positions of `input` alone; only those products are computed."""
    rows, columns = input._indices_now[0], input._indices_now[1]
    pick = FUNCTIONS["index_select"]
    products = (pick(mat1, 0, rows) * pick(mat2.t(), 0, columns)).sum(-1)  # type: ignore[attr-defined]
    return input._with(input._values_now * beta + products * alpha)  # type: ignore[operator]


RULES: dict[str, Callable[..., Any]] = {"matmul": matmul, "mm": mm, "mv": mv, "addmm": addmm}
