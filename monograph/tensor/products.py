"""Products added to a tensor (addmm and its relatives), outer and inner products, distances between rows."""

from __future__ import annotations

from typing import Any

from monograph.core.dtype import bfloat16, float16
from monograph.core.errors import ArgumentError
from monograph.core.modes import MODES
from monograph.core.shape import broadcast
from monograph.tensor.contraction import matmul, tensordot
from monograph.tensor.core import Tensor
from monograph.tensor.pointwise import FUNCTIONS, METHODS, deliver, publish


def _scaled(x: Any, factor: Any) -> Any:
    """x times a number; of integers, by its integer part."""
    if x.dtype.kind in "iu" and isinstance(factor, float):
        factor = int(factor)
    return x if factor == 1 else FUNCTIONS["mul"](x, factor)


def _sum(name: str, input: Any, product: Any, beta: Any, alpha: Any, out: Any, exact: bool = True) -> Tensor:  # noqa: A002 - torch's name
    """beta * input + alpha * product, in the shape and dtype of the product; with beta = 0, input is not read (its NaN do not count)."""
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    if input.dtype is not product.dtype and MODES.autocast is not None and input.dtype.kind == "f":
        input = input.to(product.dtype)  # type: ignore[attr-defined]  # noqa: A001
    if input.dtype is not product.dtype:
        raise RuntimeError(f"self and mat2 must have the same dtype, but got {input.dtype.name} and {product.dtype.name} ({name})")
    shape = tuple(product.shape)
    if tuple(input.shape) != shape:
        input = METHODS["expand"](input, shape)  # noqa: A001
    result = _scaled(product, alpha)
    if beta != 0:
        result = FUNCTIONS["add"](result, _scaled(input, beta))
    return deliver(result, out, exact)


def _dims(name: str, *expected: tuple[str, Any, int]) -> None:
    for what, x, ndim in expected:
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}(): argument '{what}' must be Tensor, not {type(x).__name__}")
        if x.ndim != ndim:
            kind = ("a scalar", "a vector", "a matrix", "a batch of matrices")[ndim]
            raise RuntimeError(f"{name}: {what} must be {kind}, got {x.ndim}-D tensor of shape {list(x.shape)}")


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """beta * input + alpha * (mat1 @ mat2)."""
    _dims("addmm", ("mat1", mat1, 2), ("mat2", mat2, 2))
    return _sum("addmm", input, matmul(mat1, mat2), beta, alpha, out)


def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """beta * input + alpha * (mat @ vec)."""
    _dims("addmv", ("mat", mat, 2), ("vec", vec, 1))
    return _sum("addmv", input, matmul(mat, vec), beta, alpha, out)


def baddbmm(
    input: Tensor,  # noqa: A002
    batch1: Tensor,
    batch2: Tensor,
    *,
    beta: Any = 1,
    alpha: Any = 1,
    out: Tensor | None = None,
) -> Tensor:
    """beta * input + alpha * (batch1 @ batch2), for batches of matrices."""
    kept = batch1.dtype
    if kept in (float16, bfloat16) and batch2.dtype is kept and input.dtype is kept:  # rounded once, at the end
        wide = _sum("baddbmm", input.float(), FUNCTIONS["bmm"](batch1.float(), batch2.float()), beta, alpha, None)  # type: ignore[attr-defined]
        return deliver(wide.to(kept), out, exact=True)  # type: ignore[attr-defined]
    return _sum("baddbmm", input, FUNCTIONS["bmm"](batch1, batch2), beta, alpha, out)


def addbmm(
    input: Tensor,  # noqa: A002
    batch1: Tensor,
    batch2: Tensor,
    *,
    beta: Any = 1,
    alpha: Any = 1,
    out: Tensor | None = None,
) -> Tensor:
    """beta * input + alpha * (the sum of batch1 @ batch2 over the batch)."""
    _dims("addbmm", ("batch1", batch1, 3), ("batch2", batch2, 3))
    if batch1.shape[0] != batch2.shape[0]:
        raise RuntimeError(f"batch1 and batch2 must have same number of batches, got {batch1.shape[0]} and {batch2.shape[0]}")
    # A sum over the batch and the inner dimension is one product of two matrices.
    left = METHODS["reshape"](METHODS["permute"](batch1, (1, 0, 2)), (batch1.shape[1], -1))
    right = METHODS["reshape"](batch2, (-1, batch2.shape[2]))
    if batch1.shape[2] != batch2.shape[1] or not batch1.numel() or not batch2.numel():  # type: ignore[attr-defined]
        return _sum("addbmm", input, FUNCTIONS["bmm"](batch1, batch2).sum(0, dtype=batch1.dtype), beta, alpha, out)
    return _sum("addbmm", input, matmul(left, right), beta, alpha, out)


def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """beta * input + alpha * (the outer product of vec1 and vec2)."""
    _dims("addr", ("vec1", vec1, 1), ("vec2", vec2, 1))
    dtype = FUNCTIONS["result_type"](input, FUNCTIONS["outer"](vec1, vec2))
    for name, number in (("beta", beta), ("alpha", alpha)):
        if dtype.kind in "iu" and isinstance(number, float):
            raise RuntimeError(f"For integral input tensors, argument {name} must not be a floating point number.")
        if dtype.kind == "b" and isinstance(number, float):
            raise RuntimeError(f"For bool results, argument {name} must be a bool or an int, got {number!r}")
    product: Any = FUNCTIONS["outer"](vec1, vec2)
    if dtype.kind == "b":
        made = product if alpha else FUNCTIONS["zeros_like"](product)
        made = made if not beta else made.logical_or(input)
        return deliver(made, out)
    product = FUNCTIONS["outer"](_scaled(vec1, alpha), vec2)
    return _sum("addr", input.to(dtype), product.to(dtype), beta, 1, out, exact=False)  # type: ignore[attr-defined]


def inner(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """Sums of products over the last dimensions; with a 0-d tensor, the product."""
    if input.ndim == 0 or other.ndim == 0:
        return deliver(FUNCTIONS["mul"](input, other), out)
    if input.shape[-1] != other.shape[-1]:
        raise RuntimeError(
            f"inner() the last dimension must match on both input tensors but got shapes {list(input.shape)} and {list(other.shape)}"
        )
    return deliver(tensordot(input, other, ([-1], [-1])), out, exact=True)


ALGORITHMS = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = ALGORITHMS[0]) -> Tensor:
    """Distances in p-norm between all rows of x1 and of x2; batches broadcast. `compute_mode` chooses torch's algorithm; here it is one.

    >>> import monograph as mg
    >>> mg.cdist(mg.tensor([[0.0, 0.0]]), mg.tensor([[3.0, 4.0], [0.0, 1.0]])).tolist()
    [[5.0, 1.0]]
    """
    if compute_mode is not None and compute_mode not in ALGORITHMS:
        raise ArgumentError(f"{compute_mode} is not a valid value for compute_mode; it is one of {', '.join(ALGORITHMS)}")
    for number, x in enumerate((x1, x2), 1):
        if not isinstance(x, Tensor):
            raise TypeError(f"cdist(): argument 'x{number}' must be Tensor, not {type(x).__name__}")
        if x.dtype.kind != "f" or x.dtype.itemsize < 4:
            raise RuntimeError(f"cdist only supports floating-point dtypes, X{number} got: {x.dtype.name}")
        if x.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, X{number} got: {x.ndim}D")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}")
    if x1.dtype is not x2.dtype:
        raise RuntimeError(f"expected scalar type {x1.dtype.name} but found {x2.dtype.name} (cdist)")
    if p < 0:
        raise RuntimeError(f"cdist only supports non-negative p values, got {p}")
    broadcast(tuple(x1.shape[:-2]), tuple(x2.shape[:-2]))
    difference = METHODS["unsqueeze"](x1, -2) - METHODS["unsqueeze"](x2, -3)
    if not x1.shape[-1]:
        return FUNCTIONS["sum"](difference, -1)
    return FUNCTIONS["norm"](difference, p, -1)


for _function in (addmm, addmv, addbmm, baddbmm, addr):
    publish(_function.__name__, _function, in_place=True)
publish("inner", inner)
FUNCTIONS["cdist"] = cdist
