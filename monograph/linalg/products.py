"""Products of vectors and matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monograph.core.shape import broadcast, normalize_dim
from monograph.linalg.checks import write_all
from monograph.tensor.core import Tensor
from monograph.tensor.delivery import deliver
from monograph.tensor.pointwise import FUNCTIONS


def cross(input: Tensor, other: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """The cross product of vectors of 3 elements along `dim`; the other dimensions broadcast.

    >>> import monograph as mg
    >>> mg.linalg.cross(mg.tensor([1.0, 0.0, 0.0]), mg.tensor([0.0, 1.0, 0.0])).tolist()
    [0.0, 0.0, 1.0]
    """
    if input.ndim != other.ndim:
        raise RuntimeError(f"linalg.cross: inputs must have the same number of dimensions, got {input.ndim} and {other.ndim}")
    d = normalize_dim(dim, input.ndim)
    if input.shape[d] != 3 or other.shape[d] != 3:
        raise RuntimeError(f"linalg.cross: inputs dimension {dim} must have length 3. Got {input.shape[d]} and {other.shape[d]}")
    shape = broadcast(tuple(input.shape), tuple(other.shape))
    a, b = input.expand(shape), other.expand(shape)  # type: ignore[attr-defined]
    return deliver(a.roll(-1, d) * b.roll(-2, d) - a.roll(-2, d) * b.roll(-1, d), out, exact=True)


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """The inner product of vectors along `dim`, of complex ones with x conjugated; the other dimensions broadcast.

    Raises RuntimeError for vectors of two dtypes.
    """
    if x.dtype is not y.dtype:
        raise RuntimeError(
            f"linalg.vecdot: expected x and y to have the same dtype, but found {x.dtype} and {y.dtype}: write y.to(x.dtype)"
        )
    return write_all((FUNCTIONS["conj"](x) * y).sum(dim), out)  # type: ignore[operator]


def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """The matrix product."""
    return FUNCTIONS["matmul"](input, other, out=out)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of matrices, as a view."""
    return A.diagonal(offset, dim1, dim2)  # type: ignore[attr-defined]


def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """Vandermonde's matrices: the powers 0 ... N - 1 of every element."""
    if x.ndim == 0:
        x = x.unsqueeze(0)  # type: ignore[attr-defined]
    n = x.shape[-1] if N is None else N
    if n <= 1 and N is not None:
        raise RuntimeError("N must be greater than 1.")
    powers = x.unsqueeze(-1).expand(*x.shape, n - 1).cumprod(-1)  # type: ignore[attr-defined]
    return FUNCTIONS["cat"]([FUNCTIONS["ones"]((*x.shape, 1), dtype=powers.dtype), powers], -1)


def multi_dot(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """The product of matrices in the order that needs the fewest multiplications; the first and last may be vectors.

    >>> import monograph as mg
    >>> mg.linalg.multi_dot([mg.ones(2), mg.ones(2, 3), mg.ones(3)]).item()
    6.0
    """
    matrices = list(tensors)
    if len(matrices) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(matrices)}")
    row, column = matrices[0].ndim == 1, matrices[-1].ndim == 1
    if row:
        matrices[0] = matrices[0].unsqueeze(0)  # type: ignore[attr-defined]
    if column:
        matrices[-1] = matrices[-1].unsqueeze(1)  # type: ignore[attr-defined]
    for i, m in enumerate(matrices):
        if m.ndim != 2:
            raise RuntimeError(f"multi_dot(): tensor {i} must be 2D but got {m.ndim}D")
    result = _ordered(matrices, _splits([m.shape[0] for m in matrices] + [matrices[-1].shape[1]]), 0, len(matrices) - 1)
    result = result.squeeze(-1) if column else result
    return deliver(result.squeeze(0) if row else result, out, exact=True)


def _splits(sizes: list[Any]) -> dict[tuple[int, int], int]:
    """Where to split each run of factors, by dynamic programming."""
    n = len(sizes) - 1
    cost = {(i, i): 0 for i in range(n)}
    split: dict[tuple[int, int], int] = {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            options = [(cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)]
            cost[i, j], split[i, j] = min(options)
    return split


def _ordered(matrices: list[Any], split: dict[tuple[int, int], int], i: int, j: int) -> Any:
    if i == j:
        return matrices[i]
    k = split[i, j]
    return _ordered(matrices, split, i, k) @ _ordered(matrices, split, k + 1, j)
