"""Norms, condition numbers and ranks."""

from __future__ import annotations

import math
from typing import Any

from monograph.core.dtype import bfloat16, finfo, float16, promote
from monograph.core.dtype import dtype as DType
from monograph.core.errors import DimensionError
from monograph.core.shape import normalize_dim, normalize_dims
from monograph.linalg.checks import LinAlgError, matrix, write_all
from monograph.linalg.decompositions import eigvalsh, svdvals
from monograph.linalg.solving import inv
from monograph.tensor.core import Tensor
from monograph.tensor.pointwise import FUNCTIONS


def _where(condition: Any, x: Any, y: Any) -> Any:
    return FUNCTIONS["where"](condition, x, y)


def _floating(x: Any, name: str, dtype: DType | None) -> Any:
    if not isinstance(x, Tensor):
        raise TypeError(f"linalg_{name}(): argument 'x' must be Tensor, not {type(x).__name__}")
    if x.dtype.kind not in "fc":
        raise RuntimeError(f"linalg.{name}: Expected a floating point or complex tensor as input. Got {x.dtype.name}")
    if dtype is not None and promote(x.dtype, dtype) is not dtype:
        raise RuntimeError(
            f"linalg.{name}: the dtype of the input ({x.dtype.name}) should be convertible without narrowing to the specified dtype "
            f"({dtype.name})"
        )
    return x if dtype is None else x.to(dtype)  # type: ignore[attr-defined]


def vector_norm(
    x: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: DType | None = None, out: Tensor | None = None
) -> Tensor:  # noqa: A002
    """(sum |x|^ord)^(1/ord) over dimensions (all by default); ord may be inf, -inf or 0 (how many elements are not 0).

    The gradient of the Euclidean norm at 0 is 0.

    >>> import monograph as mg
    >>> mg.linalg.vector_norm(mg.tensor([3.0, 4.0])).item()
    5.0
    """
    t = _floating(x, "vector_norm", dtype)
    if t.dtype in (float16, bfloat16) and ord not in (0, math.inf, -math.inf):  # the sum of powers would overflow
        return write_all(vector_norm(t.float(), ord, dim, keepdim).to(t.dtype), out)  # type: ignore[attr-defined]
    p = float(ord)
    dims = normalize_dims(tuple(dim) if isinstance(dim, list) else dim, t.ndim)
    size = abs(t)
    if math.isinf(p):
        if any(t.shape[d] == 0 for d in dims) or (not dims and t.numel() == 0):
            raise RuntimeError(
                f"linalg.vector_norm cannot compute the {ord} norm on an empty tensor because the operation does not have an identity"
            )
        result = (size.amax if p > 0 else size.amin)(dims, keepdim=keepdim)
    elif p == 0:
        result = (t != 0).sum(dims, keepdim=keepdim).to(size.dtype)
    elif p == 1:
        result = size.sum(dims, keepdim=keepdim)
    else:
        total = (t * t if p == 2 and t.dtype.kind == "f" else size**p).sum(dims, keepdim=keepdim)
        if p < 0:
            result = total ** (1 / p)
        else:
            zero = total == 0
            safe = _where(zero, 1.0, total)
            result = _where(zero, 0.0, safe.sqrt() if p == 2 else safe ** (1 / p))
    return write_all(result.to(t.dtype) if t.dtype.kind == "f" else result, out)


def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: DType | None = None, out: Tensor | None = None
) -> Tensor:  # noqa: A002
    """A norm of matrices: "fro", "nuc", 1, -1, inf, -inf (sums of columns or rows), 2, -2 (singular values)."""
    t = _floating(A, "matrix_norm", dtype)
    if t.ndim < 2:
        raise RuntimeError("linalg.matrix_norm: The input tensor A must have at least 2 dimensions.")
    if not isinstance(dim, tuple | list) or len(dim) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {dim}")
    rows, columns = (normalize_dim(d, t.ndim) for d in dim)
    if rows == columns:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({dim[0]}, {dim[1]})")
    if ord == "fro":
        return write_all(vector_norm(t, 2, (rows, columns), keepdim), out)
    if ord == "nuc" or abs(_number(ord)) == 2:
        values = svdvals(t.movedim((rows, columns), (-2, -1)))
        result: Any = values.sum(-1) if ord == "nuc" else _greatest(values, -1) if float(ord) > 0 else values.amin(-1)  # type: ignore[attr-defined]
        if keepdim:
            for d in sorted((rows, columns)):
                result = result.unsqueeze(d)
        return write_all(result, out)
    p = _number(ord)
    if abs(p) != 1 and not math.isinf(p):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    summed, compared = (rows, columns) if abs(p) == 1 else (columns, rows)
    totals = abs(t).sum(summed, keepdim=True)
    result = _greatest(totals, compared, True) if p > 0 else totals.amin(compared, keepdim=True)
    if not keepdim:
        for d in sorted((rows, columns), reverse=True):
            result = result.squeeze(d)
    return write_all(result, out)


def _greatest(values: Any, dim: int, keepdim: bool = False) -> Any:
    """The maximum of values that are never negative; of none of them, 0."""
    return values.sum(dim, keepdim=keepdim) if values.shape[dim] == 0 else values.amax(dim, keepdim=keepdim)


def _number(ord: Any) -> float:  # noqa: A002
    if isinstance(ord, str):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    return float(ord)


def norm(
    A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, out: Tensor | None = None, dtype: DType | None = None
) -> Tensor:  # noqa: A002
    """A vector or matrix norm, as torch.linalg.norm decides: matrices for a string, a pair of dims, or 2 dimensions with an `ord`."""
    if ord is None:
        if dim is None or isinstance(dim, int) or len(dim) <= 2:
            flat = dim is None
            t = _floating(A, "norm", dtype)
            if flat and keepdim:
                return write_all(vector_norm(t, 2, None, True), out)
            return write_all(vector_norm(t, 2, dim, keepdim), out)
        raise RuntimeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dim)}")
    if isinstance(dim, int):
        dim = (dim,)
    if dim is not None and len(dim) not in (1, 2):
        raise RuntimeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dim)}")
    if dim is None and A.ndim not in (1, 2):
        raise RuntimeError("linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got " + f"{A.ndim}D.")
    if isinstance(ord, str) or (len(dim) == 2 if dim is not None else A.ndim == 2):
        return matrix_norm(A, ord, (-2, -1) if dim is None else tuple(dim), keepdim, dtype=dtype, out=out)
    return vector_norm(A, ord, dim, keepdim, dtype=dtype, out=out)


def cond(A: Tensor, p: Any = None, *, out: Tensor | None = None) -> Tensor:
    """The condition number in norm p (None and 2: of singular values); inf for singular matrices."""
    x = matrix(A, "cond")
    if len(x.shape) < 2:
        raise RuntimeError("linalg.cond: The input tensor A must have at least 2 dimensions.")
    if p is None or p in (2, -2):
        values = svdvals(A)
        greatest, least = values[..., 0], values[..., -1]  # type: ignore[index]
        return write_all(least / greatest if p == -2 else greatest / least, out)
    if x.shape[-1] != x.shape[-2]:
        raise RuntimeError(
            f"linalg.cond(ord={p}): A must be batches of square matrices, but they are {x.shape[-2]} by {x.shape[-1]} matrices"
        )
    try:
        return write_all(matrix_norm(A, p) * matrix_norm(inv(A), p), out)  # type: ignore[operator]
    except LinAlgError:
        return write_all(FUNCTIONS["full"](tuple(A.shape[:-2]), math.inf, dtype=A.dtype), out)


def matrix_rank(
    A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None, out: Tensor | None = None
) -> Tensor:
    """How many singular values (hermitian: eigenvalues) exceed max(atol, rtol * the greatest)."""
    values: Any = abs(eigvalsh(A)) if hermitian else svdvals(A)  # type: ignore[arg-type]
    absolute = atol if atol is not None else tol if tol is not None else 0.0
    if rtol is None:
        given = atol is not None or tol is not None
        rtol = 0.0 if given else finfo(A.dtype).eps * max(A.shape[-2:])
    if not values.shape[-1]:
        return write_all(FUNCTIONS["zeros"](tuple(A.shape[:-2]), dtype=None).long(), out)
    limit = values.amax(-1, keepdim=True) * rtol
    limit = FUNCTIONS["maximum"](
        limit, FUNCTIONS["full_like"](limit, absolute) if not isinstance(absolute, Tensor) else absolute.unsqueeze(-1)
    )  # type: ignore[attr-defined]
    return write_all((values > limit).sum(-1), out)


__all__ = ["DimensionError", "cond", "matrix_norm", "matrix_rank", "norm", "vector_norm"]
