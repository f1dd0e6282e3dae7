"""The functions of linear algebra that torch has at its top level, with their older signatures; most are methods of tensors, too."""

from __future__ import annotations

from typing import Any, NamedTuple

from monograph.linalg import decompositions, products, solving
from monograph.linalg.checks import transposed, write_all
from monograph.linalg.solving import cholesky_inverse, cholesky_solve, det, logdet, matrix_exp, matrix_power, slogdet
from monograph.tensor.core import Tensor
from monograph.tensor.pointwise import FUNCTIONS

lu_unpack = decompositions.lu_unpack
inverse = solving.inv


class SVD(NamedTuple):
    """A = U diag(S) V^T."""

    U: Tensor
    S: Tensor
    V: Tensor


def cholesky(input: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:  # noqa: A002 - torch's name
    """`linalg.cholesky` with `upper` by position."""
    return decompositions.cholesky(input, upper=upper, out=out)


def qr(input: Tensor, some: bool = True, *, out: Any = None) -> decompositions.QR:  # noqa: A002
    """`linalg.qr`; some=False for a square Q."""
    return decompositions.qr(input, "reduced" if some else "complete", out=out)


def svd(input: Tensor, some: bool = True, compute_uv: bool = True, *, out: Any = None) -> SVD:  # noqa: A002
    """U, S and V (not V^T) of `linalg.svd`; some=False for square U and V."""
    u, s, vh = decompositions.svd(input, full_matrices=not some)
    if not compute_uv:
        u, vh = FUNCTIONS["zeros_like"](u), FUNCTIONS["zeros_like"](vh)
    return write_all(SVD(u, s, transposed(vh)), out)


def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:  # noqa: A002
    """`linalg.pinv` with a relative cutoff."""
    return solving.pinv(input, rtol=rcond)


def lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor, *, out: Tensor | None = None) -> Tensor:
    """X with A X = b, of the result of `linalg.lu_factor(A)`."""
    return solving.lu_solve(LU_data, LU_pivots, b, out=out)


def cross(input: Tensor, other: Tensor, dim: int | None = None, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """The cross product along `dim`, by default the first dimension of 3 elements."""
    if dim is None:
        dim = next((d for d, n in enumerate(input.shape) if n == 3), None)
        if dim is None:
            raise RuntimeError(f"no dimension of size 3 in input: shape {list(input.shape)}")
    return products.cross(input, other, dim=dim, out=out)


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """Vandermonde's matrix of a vector, by default with falling powers."""
    if x.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    n = x.shape[0] if N is None else N
    steps = [FUNCTIONS["ones_like"](x)]
    for _ in range(n - 1):
        steps.append(steps[-1] * x)  # type: ignore[operator]
    if not n:
        return FUNCTIONS["empty"](x.shape[0], 0, dtype=x.dtype)
    return FUNCTIONS["stack"](steps if increasing else steps[::-1], -1)


__all__ = [
    "cholesky",
    "cholesky_inverse",
    "cholesky_solve",
    "cross",
    "det",
    "inverse",
    "logdet",
    "lu_solve",
    "lu_unpack",
    "matrix_exp",
    "matrix_power",
    "pinverse",
    "qr",
    "slogdet",
    "svd",
    "vander",
]
