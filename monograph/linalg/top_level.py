"""The functions of linear algebra that torch has at its top level, with their older signatures; most are methods of tensors, too."""

from __future__ import annotations

from typing import Any, NamedTuple

from monograph.linalg import decompositions, products, solving
from monograph.linalg.checks import adjoint, matrix, outputs, transposed, write_all
from monograph.linalg.low_rank import pca_lowrank, svd_lowrank
from monograph.linalg.solving import cholesky_inverse, cholesky_solve, det, logdet, matrix_exp, matrix_power, slogdet
from monograph.ops import linalg as factorizations
from monograph.tensor.core import Tensor
from monograph.tensor.foreign import all_refuse_foreign
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
    return write_all(SVD(u, s, adjoint(vh)), out)


class Geqrf(NamedTuple):
    """R above the diagonal and Householder's vectors below it; their factors."""

    a: Tensor
    tau: Tensor


class TriangularSolve(NamedTuple):
    """The solution, and the matrix."""

    solution: Tensor
    cloned_coefficient: Tensor


def geqrf(input: Tensor, *, out: Any = None) -> Geqrf:  # noqa: A002
    """A QR factorization as LAPACK leaves it, for `linalg.householder_product` and `ormqr`. Without gradients."""
    return write_all(Geqrf(*outputs(factorizations.geqrf(matrix(input, "geqrf")))), out)


def ormqr(
    input: Tensor,  # noqa: A002
    tau: Tensor,
    other: Tensor,
    left: bool = True,
    transpose: bool = False,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Q @ other (left=False: other @ Q; transpose: Q^H instead of Q) for the square Q of the result of `geqrf`."""
    x: Any = input
    if x.ndim < 2 or other.ndim < 2:
        raise RuntimeError(f"torch.ormqr: input and other must have at least 2 dimensions, got {x.ndim} and {other.ndim}")
    m, k = x.shape[-2], tau.shape[-1]
    if tuple(tau.shape[:-1]) != tuple(x.shape[:-2]) or k > x.shape[-1]:
        raise RuntimeError(f"torch.ormqr: tau of shape {list(tau.shape)} does not belong to reflectors of shape {list(x.shape)}")
    if other.shape[-2 if left else -1] != m:
        raise RuntimeError(
            f"torch.ormqr: other.shape[{-2 if left else -1}] must be equal to input.shape[-2], got shape {list(other.shape)} and {m}"
        )
    if tau.dtype is not x.dtype or other.dtype is not x.dtype:
        raise RuntimeError(f"torch.ormqr: Expected one dtype, but got {x.dtype.name}, {tau.dtype.name} and {other.dtype.name}")
    vectors = x[..., :, :k].tril(-1) + FUNCTIONS["eye"](m, k, dtype=x.dtype)
    y: Any = other if left else adjoint(other)
    # Q = H1 H2 ... Hk: applied from the last; and Q^H = Hk^H ... H1^H, from the first.
    from_first = transpose is left
    factors: Any = FUNCTIONS["conj"](tau) if from_first else tau
    for i in range(k) if from_first else reversed(range(k)):
        v = vectors[..., :, i : i + 1]
        y = y - factors[..., i, None, None] * (v @ (adjoint(v) @ y))
    return write_all(y if left else adjoint(y), out)


def triangular_solve(
    b: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False, *, out: Any = None
) -> TriangularSolve:
    """X with A X = b for a triangular A (transpose: A^T X = b), and a copy of A; see `linalg.solve_triangular`."""
    for x in (b, A):
        if x.ndim < 2:
            raise RuntimeError(f"torch.triangular_solve: Expected matrices, but got a tensor of shape {list(x.shape)}")
    matrix_, upper = (transposed(A), not upper) if transpose else (A, upper)
    solution = solving.solve_triangular(matrix_, b, upper=upper, unitriangular=unitriangular)
    return write_all(TriangularSolve(solution, A.clone()), out)  # type: ignore[attr-defined]


def lu(input: Tensor, pivot: bool = True, get_infos: bool = False, out: Any = None) -> tuple[Tensor, ...]:  # noqa: A002
    """(LU, pivots) of `linalg.lu_factor`; with get_infos also what `lu_factor_ex` tells."""
    factors, pivots, info = decompositions.lu_factor_ex(input, pivot=pivot)
    found = decompositions.LUFactorEx(factors, pivots, info) if get_infos else decompositions.LUFactor(factors, pivots)
    if out is None:
        return found
    if not isinstance(out, tuple | list) or len(out) != len(found):
        raise TypeError(f"argument 'out' must be tuple of Tensors, one for each of {len(found)} results, got {type(out).__name__}")
    for target, part in zip(out, found, strict=True):  # copied, whatever the dtypes are
        target.resize_as_(part).copy_(part)
    return tuple(out)


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
    "geqrf",
    "inverse",
    "logdet",
    "lu",
    "lu_solve",
    "lu_unpack",
    "matrix_exp",
    "matrix_power",
    "ormqr",
    "pca_lowrank",
    "pinverse",
    "qr",
    "slogdet",
    "svd",
    "svd_lowrank",
    "triangular_solve",
    "vander",
]

all_refuse_foreign(globals(), names=__all__)
