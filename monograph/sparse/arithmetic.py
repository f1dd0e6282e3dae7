"""Arithmetic on sparse tensors: what keeps zeros zero, sums, softmax over the pattern, selecting and joining."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from monograph.core.shape import normalize_dim, normalize_dims
from monograph.sparse.layout import COO, SparseTensor, added, of_pattern
from monograph.sparse.products import transposed
from monograph.tensor import FUNCTIONS, Tensor
from monograph.tensor.gathering import from_host, host_array

KEEP_ZERO = "abs asin asinh atan ceil erf expm1 floor log1p neg relu round sign sin sinh sqrt square tan tanh trunc atanh".split()
Number = int | float | bool | complex


def _on_values(name: str) -> Callable[..., SparseTensor]:
    """A function that keeps zero, of the values of a coalesced tensor."""

    def function(input: SparseTensor, *args: Any, **kwargs: Any) -> SparseTensor:  # noqa: A002
        coo = input.coalesce() if input._layout is COO and name != "neg" else input
        return coo._with(FUNCTIONS[name](coo._values_now, *args, **kwargs))

    function.__name__, function.__doc__ = name, f"`{name}` of the stored values; zeros stay zero."
    return function


def _is_number(x: Any) -> bool:
    return isinstance(x, Number) or (isinstance(x, Tensor) and not isinstance(x, SparseTensor) and not x.ndim)


def add(input: Any, other: Any, *, alpha: Any = 1, out: Any = None) -> Any:  # noqa: A002
    """Two sparse tensors (the union of their patterns), or a dense tensor plus a sparse one (dense)."""
    if not isinstance(input, SparseTensor):
        if not isinstance(input, Tensor):
            raise TypeError("add: a number plus a sparse tensor is dense; write number + x.to_dense()")
        return input + other.to_dense() * alpha  # type: ignore[operator]
    if not isinstance(other, SparseTensor):
        raise RuntimeError("add(sparse, dense) is not supported. Use add(dense, sparse) instead.")
    if input._size != other._size or input.sparse_dim() != other.sparse_dim():
        raise RuntimeError(f"add: expected sizes of sparse tensors to match, but {list(input._size)} != {list(other._size)}")
    kind = input._layout
    a, b = input.to_sparse(), other.to_sparse()
    to = FUNCTIONS["result_type"](a._values_now, b._values_now)
    values = [a._values_now.to(to), (b._values_now if isinstance(alpha, int) and alpha == 1 else b._values_now * alpha).to(to)]
    indices = FUNCTIONS["cat"]([a._indices_now, b._indices_now], 1)
    made = of_pattern(indices, FUNCTIONS["cat"](values, 0), a._size)
    return made if kind is COO else made.to_sparse(layout=kind)


def sub(input: Any, other: Any, *, alpha: Any = 1, out: Any = None) -> Any:  # noqa: A002
    """As `add`, with the sign of `other` turned."""
    return add(input, other, alpha=-alpha)


def mul(input: Any, other: Any, *, out: Any = None) -> Any:  # noqa: A002
    """Times a number, a dense tensor (the pattern stays) or a sparse one (the patterns' intersection)."""
    if not isinstance(input, SparseTensor):
        input, other = other, input  # noqa: A001
    if _is_number(other):
        return input._with(input._values_now * other)
    if isinstance(other, SparseTensor):
        return _both(input, other)
    if tuple(other.shape) != input._size:
        other = other.expand(input._size)
    n = input.sparse_dim()
    met = FUNCTIONS["index_select"](other.reshape(-1, *input._size[n:]), 0, input.keys())
    return input._with(input._values_now * met)


def _both(a: SparseTensor, b: SparseTensor) -> SparseTensor:
    if a._size != b._size or a.sparse_dim() != b.sparse_dim():
        raise RuntimeError(f"mul: expected sizes of sparse tensors to match, but {list(a._size)} != {list(b._size)}")
    kind = a._layout
    a, b = a.to_sparse().coalesce(), b.to_sparse().coalesce()
    _, left, right = np.intersect1d(host_array(a.keys()), host_array(b.keys()), assume_unique=True, return_indices=True)
    pick, at = FUNCTIONS["index_select"], [from_host(k.astype(np.int64)) for k in (left, right)]
    made = SparseTensor(pick(a._indices_now, 1, at[0]), pick(a._values_now, 0, at[0]) * pick(b._values_now, 0, at[1]), a._size, True)
    return made if kind is COO else made.to_sparse(layout=kind)


def div(input: Any, other: Any, *, rounding_mode: str | None = None, out: Any = None) -> Any:  # noqa: A002
    """A sparse tensor divided by a number."""
    if not isinstance(input, SparseTensor) or not _is_number(other):
        raise RuntimeError("Sparse division requires a scalar or zero-dim dense tensor divisor (got a divisor that is neither)")
    return input._with(FUNCTIONS["div"](input._values_now, other, rounding_mode=rounding_mode))


def power(input: SparseTensor, exponent: Any, *, out: Any = None) -> SparseTensor:  # noqa: A002
    """A positive power: zeros stay zero."""
    if not isinstance(exponent, Number) or complex(exponent).real <= 0:
        raise RuntimeError(f"pow of a sparse tensor keeps its zeros for positive exponents only, got {exponent}; use x.to_dense()")
    coo = input.coalesce() if input._layout is COO else input
    return coo._with(FUNCTIONS["pow"](coo._values_now, exponent))


def sum(input: Any, dim: Any = None, keepdim: Any = False, dtype: Any = None, *, out: Any = None) -> Any:  # noqa: A001, A002
    """The sum of all elements (dense, 0-d), or over `dim`: sparse while a sparse dimension remains."""
    if not isinstance(keepdim, bool):  # torch.sparse.sum(input, dim, dtype)
        keepdim, dtype = False, keepdim
    if not isinstance(input, SparseTensor):
        raise TypeError(f"sparse.sum takes a sparse tensor, got a dense one of size {list(input.shape)}; use x.sum()")
    values = input._values_now if dtype is None else input._values_now.to(dtype)
    if dim is None or dim == ():
        return values.sum()  # type: ignore[attr-defined]
    n = input.sparse_dim()
    dims = normalize_dims(dim, input.ndim)
    dense = tuple(d - n + 1 for d in dims if d >= n)
    if dense:
        values = values.sum(dense, keepdim)  # type: ignore[attr-defined]
    gone = [d for d in dims if d < n]
    left = [d for d in range(n) if d not in gone]
    tail = tuple(values.shape[1:])
    if not left and not keepdim:
        return values.sum(0)  # type: ignore[attr-defined]
    if keepdim:
        rows = [input._indices_now[d] * int(d not in gone) for d in range(n)]
        return of_pattern(FUNCTIONS["stack"](rows, 0), values, (*[1 if d in gone else input._size[d] for d in range(n)], *tail))
    kept = FUNCTIONS["stack"]([input._indices_now[d] for d in left], 0)
    size = (*[input._size[d] for d in left], *tail)
    return SparseTensor(kept, values, size, input._coalesced) if not gone else of_pattern(kept, values, size)


def _grouped(s: SparseTensor, dim: int) -> tuple[Tensor, int]:
    """For each value the number of its line along a sparse `dim`."""
    indices = np.delete(host_array(s._indices_now), dim, 0)
    sizes = tuple(n for d, n in enumerate(s._size[: s.sparse_dim()]) if d != dim)
    keys = np.ravel_multi_index(tuple(indices), sizes) if sizes else np.zeros(indices.shape[1], np.int64)
    lines, number = np.unique(keys, return_inverse=True)
    return from_host(number.reshape(-1).astype(np.int64)), len(lines)


def _softmax(input: SparseTensor, dim: int, dtype: Any, log: bool) -> SparseTensor:  # noqa: A002
    s = input.coalesce()
    values = s._values_now if dtype is None else s._values_now.to(dtype)
    d = normalize_dim(dim, s.ndim)
    if d >= s.sparse_dim():
        return s._with(FUNCTIONS["log_softmax" if log else "softmax"](values, d - s.sparse_dim() + 1))
    if not s._nnz():
        return s._with(values)
    lines, count = _grouped(s, d)
    pick = FUNCTIONS["index_select"]
    expanded = lines.reshape(-1, *[1] * (values.ndim - 1)).expand(values.shape)  # type: ignore[attr-defined]
    lowest = FUNCTIONS["full"]((count, *values.shape[1:]), -float("inf"), dtype=values.dtype)
    largest = FUNCTIONS["scatter_reduce"](lowest, 0, expanded, values.detach(), "amax")
    centred = values - pick(largest, 0, lines)  # type: ignore[operator]
    total = added(FUNCTIONS["zeros"]((count, *values.shape[1:]), dtype=values.dtype), lines, centred.exp())
    return s._with(centred - pick(total.log(), 0, lines) if log else centred.exp() / pick(total, 0, lines))  # type: ignore[attr-defined]


def softmax(input: SparseTensor, dim: int, *, dtype: Any = None) -> SparseTensor:  # noqa: A002
    """Softmax along `dim` over the stored values: what is not stored counts as minus infinity."""
    return _softmax(input, dim, dtype, False)


def log_softmax(input: SparseTensor, dim: int, *, dtype: Any = None) -> SparseTensor:  # noqa: A002
    """The logarithm of `softmax`."""
    return _softmax(input, dim, dtype, True)


def _only_coo(s: Any, name: str) -> None:
    if s._layout is not COO:
        raise NotImplementedError(f"{name} of a {s._layout.name} tensor is not supported; use x.to_sparse_coo()")


def index_select(input: SparseTensor, dim: int, index: Tensor) -> SparseTensor:  # noqa: A002
    """The slices of a sparse tensor at `index` along `dim`, in that order."""
    _only_coo(input, "index_select")
    d, n = normalize_dim(dim, input.ndim), input.sparse_dim()
    wanted = host_array(index).reshape(-1)
    size = (*input._size[:d], len(wanted), *input._size[d + 1 :])
    if d >= n:
        values = FUNCTIONS["index_select"](input._values_now, d - n + 1, index)
        return SparseTensor(input._indices_now, values, size, input._coalesced)
    if wanted.size and not (wanted.min() >= 0 and wanted.max() < input._size[d]):
        raise IndexError(f"index_select(): index out of range for a dimension of size {input._size[d]}: {wanted.tolist()}")
    indices = host_array(input._indices_now)
    order = np.argsort(indices[d], kind="stable")
    counts = np.bincount(indices[d], minlength=input._size[d]).astype(np.int64)
    starts = np.cumsum(counts) - counts
    many = counts[wanted]
    target = np.repeat(np.arange(len(wanted)), many)
    taken = order[np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many) + starts[wanted][target]]
    found = indices[:, taken].copy()
    found[d] = target
    values = FUNCTIONS["index_select"](input._values_now, 0, from_host(taken.astype(np.int64)))
    return SparseTensor(from_host(found.astype(np.int64)), values, size)


def select(input: SparseTensor, dim: int, index: int) -> Any:  # noqa: A002
    """One slice along `dim`."""
    d = normalize_dim(dim, input.ndim)
    if not -input._size[d] <= index < input._size[d]:
        raise IndexError(f"select(): index {index} out of range for tensor of size {list(input._size)} at dimension {d}")
    return sum(index_select(input, d, from_host(np.array([index % input._size[d]]))), d)


def unsqueeze(input: SparseTensor, dim: int) -> SparseTensor:  # noqa: A002
    """A new sparse dimension of size 1."""
    _only_coo(input, "unsqueeze")
    d = normalize_dim(dim, input.ndim + 1)
    size = (*input._size[:d], 1, *input._size[d:])
    if d > input.sparse_dim():
        return SparseTensor(input._indices_now, input._values_now.unsqueeze(d - input.sparse_dim() + 1), size, input._coalesced)  # type: ignore[attr-defined]
    rows = [input._indices_now[k] for k in range(input.sparse_dim())]
    rows.insert(d, FUNCTIONS["zeros"](input._nnz(), dtype=input._indices_now.dtype))
    return SparseTensor(FUNCTIONS["stack"](rows, 0), input._values_now, size, input._coalesced)


def cat(tensors: Any, dim: int = 0, *, out: Any = None) -> SparseTensor:
    """Sparse tensors joined along `dim`."""
    parts = list(tensors)
    if not all(isinstance(t, SparseTensor) for t in parts):
        raise RuntimeError("cat: sparse and dense tensors cannot be joined; convert with to_sparse() or to_dense() first")
    first = parts[0]
    _only_coo(first, "cat")
    d, n = normalize_dim(dim, first.ndim), first.sparse_dim()
    rows, at = [], 0
    for t in parts:
        if t.ndim != first.ndim or t.sparse_dim() != n or any(t._size[k] != first._size[k] for k in range(first.ndim) if k != d):
            raise RuntimeError(f"cat: sizes must match except in dimension {d}, got {list(first._size)} and {list(t._size)}")
        shift = [[at if k == d else 0] for k in range(n)]
        rows.append(t._indices_now + FUNCTIONS["tensor"](shift, dtype=t._indices_now.dtype))
        at += t._size[d]
    if d >= n:
        raise NotImplementedError("cat along a dense dimension of sparse tensors is not supported")
    size = (*first._size[:d], at, *first._size[d + 1 :])
    return SparseTensor(FUNCTIONS["cat"](rows, 1), FUNCTIONS["cat"]([t._values_now for t in parts], 0), size)


def transpose(input: SparseTensor, dim0: int, dim1: int) -> SparseTensor:  # noqa: A002
    """Two dimensions exchanged."""
    return transposed(input, dim0, dim1)


def t(input: SparseTensor) -> SparseTensor:  # noqa: A002
    """The transposed matrix."""
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 sparse and 0 dense dimensions, but self is {input.ndim}D")
    return transposed(input, 0, 1) if input.ndim == 2 else input


def clone(input: SparseTensor, *, memory_format: Any = None) -> SparseTensor:  # noqa: A002
    """A copy."""
    return input._with(input._values_now.clone())  # type: ignore[attr-defined]


RULES: dict[str, Callable[..., Any]] = {
    **{name: _on_values(name) for name in KEEP_ZERO},
    "add": add, "sub": sub, "mul": mul, "div": div, "true_divide": div, "pow": power, "sum": sum, "index_select": index_select,
    "select": select, "unsqueeze": unsqueeze, "cat": cat, "transpose": transpose, "t": t, "clone": clone,
}  # fmt: skip
