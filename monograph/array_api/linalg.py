"""The standard's linalg extension over `monograph.linalg`."""

from __future__ import annotations

from collections import namedtuple
from typing import Any, Literal

from monograph import linalg as torch_linalg
from monograph.array_api.array import returns_arrays
from monograph.array_api.manipulation import Axes, as_tuple
from monograph.array_api.products import matmul, matrix_transpose, tensordot, vecdot
from monograph.array_api.promotion import common
from monograph.array_api.statistics import sum as total
from monograph.core.dtype import dtype as DType
from monograph.core.dtype import finfo, int64
from monograph.core.shape import normalize_dim
from monograph.tensor.core import Tensor
from monograph.tensor.pointwise import FUNCTIONS, METHODS

EigResult = namedtuple("EigResult", "eigenvalues eigenvectors")
EighResult = namedtuple("EighResult", "eigenvalues eigenvectors")
QRResult = namedtuple("QRResult", "Q R")
SlogdetResult = namedtuple("SlogdetResult", "sign logabsdet")
SVDResult = namedtuple("SVDResult", "U S Vh")


@returns_arrays
def cholesky(x: Tensor, /, *, upper: bool = False) -> Any:
    """The triangular L with x = L @ L^H, or its upper counterpart. Raises LinAlgError for matrices that are not positive definite."""
    return torch_linalg.cholesky(x, upper=upper)


@returns_arrays
def cross(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Any:
    """The cross products of vectors of 3 elements along `axis`; the other axes broadcast."""
    a, b = common(x1, x2)
    if axis >= 0 and a.ndim != b.ndim:
        raise ValueError(f"cross: a non-negative axis needs arrays of one rank, got {a.ndim} and {b.ndim} dimensions")
    rank = max(a.ndim, b.ndim)
    a, b = (METHODS["reshape"](t, (1,) * (rank - t.ndim) + tuple(t.shape)) for t in (a, b))
    return torch_linalg.cross(a, b, dim=axis)


@returns_arrays
def det(x: Tensor, /) -> Any:
    """The determinants of a stack of matrices."""
    return torch_linalg.det(x)


@returns_arrays
def diagonal(x: Tensor, /, *, offset: int = 0) -> Any:
    """The diagonals of a stack of matrices, as a view."""
    return METHODS["diagonal"](x, offset, -2, -1)


@returns_arrays
def eig(x: Tensor, /) -> Any:
    """Eigenvalues and eigenvectors of square matrices, complex, in no particular order."""
    return EigResult(*torch_linalg.eig(x))


@returns_arrays
def eigvals(x: Tensor, /) -> Any:
    """The eigenvalues of square matrices, complex, in no particular order."""
    return torch_linalg.eigvals(x)


@returns_arrays
def eigh(x: Tensor, /) -> Any:
    """Eigenvalues in rising order and eigenvectors of symmetric (Hermitian) matrices."""
    return EighResult(*torch_linalg.eigh(x))


@returns_arrays
def eigvalsh(x: Tensor, /) -> Any:
    """The eigenvalues of symmetric (Hermitian) matrices in rising order."""
    return torch_linalg.eigvalsh(x)


@returns_arrays
def inv(x: Tensor, /) -> Any:
    """The inverses of a stack of matrices. Raises LinAlgError for singular ones."""
    return torch_linalg.inv(x)


@returns_arrays
def matrix_norm(
    x: Tensor, /, *, keepdims: bool = False, ord: float | Literal["fro", "nuc"] | None = "fro"
) -> Any:  # noqa: A002
    """A norm of each matrix of a stack: "fro", "nuc", 1, -1, 2, -2, inf or -inf."""
    return torch_linalg.matrix_norm(x, "fro" if ord is None else ord, (-2, -1), keepdims)


@returns_arrays
def matrix_power(x: Tensor, n: int, /) -> Any:
    """Square matrices multiplied with themselves n times; inverted first for a negative n."""
    return torch_linalg.matrix_power(x, n)


@returns_arrays
def matrix_rank(x: Tensor, /, *, rtol: float | Tensor | None = None) -> Any:
    """How many singular values of each matrix exceed rtol times the greatest (max(M, N) * eps by default)."""
    if x.ndim < 2:
        raise ValueError(f"matrix_rank: matrices have two dimensions or more, got {x.ndim}")
    values = torch_linalg.svdvals(x)
    if not values.shape[-1]:
        return FUNCTIONS["zeros"](tuple(x.shape[:-2]), dtype=int64)
    limit = METHODS["amax"](values, -1, keepdim=True) * _column(rtol, x)
    return FUNCTIONS["sum"](FUNCTIONS["gt"](values, limit), -1)


def _column(rtol: float | Tensor | None, x: Tensor) -> Any:
    if rtol is None:
        return finfo(x.dtype).eps * max(x.shape[-2:])
    return METHODS["unsqueeze"](rtol, -1) if isinstance(rtol, Tensor) else rtol


@returns_arrays
def outer(x1: Tensor, x2: Tensor, /) -> Any:
    """All products of the elements of two vectors."""
    return FUNCTIONS["outer"](*common(x1, x2))


@returns_arrays
def pinv(x: Tensor, /, *, rtol: float | Tensor | None = None) -> Any:
    """The Moore-Penrose pseudo-inverses; singular values up to rtol times the greatest count as 0."""
    u, s, vh = torch_linalg.svd(x, full_matrices=False)
    if not s.shape[-1]:
        return _adjoint(x)
    kept = FUNCTIONS["gt"](s, METHODS["amax"](s, -1, keepdim=True) * _column(rtol, x))
    inverted = FUNCTIONS["where"](kept, FUNCTIONS["reciprocal"](s), FUNCTIONS["zeros_like"](s))
    return FUNCTIONS["matmul"](FUNCTIONS["mul"](_adjoint(vh), METHODS["unsqueeze"](inverted, -2)), _adjoint(u))


def _adjoint(x: Tensor) -> Any:
    turned = METHODS["transpose"](x, -2, -1)
    return FUNCTIONS["conj"](turned) if x.dtype.is_complex else turned


@returns_arrays
def qr(x: Tensor, /, *, mode: Literal["reduced", "complete"] = "reduced") -> Any:
    """x = Q @ R with Q orthonormal and R upper triangular."""
    if mode not in ("reduced", "complete"):
        raise ValueError(f"qr: mode is 'reduced' or 'complete', got {mode!r}")
    return QRResult(*torch_linalg.qr(x, mode))


@returns_arrays
def slogdet(x: Tensor, /) -> Any:
    """The sign and the logarithm of the absolute value of the determinants."""
    return SlogdetResult(*torch_linalg.slogdet(x))


@returns_arrays
def solve(x1: Tensor, x2: Tensor, /) -> Any:
    """The solutions of x1 @ y = x2; x2 is a vector if it has one dimension, else a stack of matrices."""
    a, b = common(x1, x2)
    if b.ndim == 1:
        return METHODS["squeeze"](torch_linalg.solve(a, METHODS["unsqueeze"](b, -1)), -1)
    lead = FUNCTIONS["broadcast_shapes"](a.shape[:-2], b.shape[:-2])
    return torch_linalg.solve(METHODS["expand"](a, (*lead, *a.shape[-2:])), METHODS["expand"](b, (*lead, *b.shape[-2:])))


@returns_arrays
def svd(x: Tensor, /, *, full_matrices: bool = True) -> Any:
    """x = U @ diag(S) @ Vh."""
    return SVDResult(*torch_linalg.svd(x, full_matrices))


@returns_arrays
def svdvals(x: Tensor, /) -> Any:
    """The singular values in falling order."""
    return torch_linalg.svdvals(x)


@returns_arrays
def trace(x: Tensor, /, *, offset: int = 0, dtype: DType | None = None) -> Any:
    """The sums of the diagonals of a stack of matrices."""
    return total(METHODS["diagonal"](x, offset, -2, -1), axis=-1, dtype=dtype)


@returns_arrays
def vector_norm(x: Tensor, /, *, axis: Axes = None, keepdims: bool = False, ord: float = 2) -> Any:  # noqa: A002
    """(sum |x|^ord)^(1/ord) over axes (all by default); ord may be inf, -inf or 0."""
    if axis == ():
        size = FUNCTIONS["abs"](x)
        return FUNCTIONS["ne"](x, 0).to(size.dtype) if ord == 0 else size
    dims = tuple(range(x.ndim)) if axis is None else tuple(normalize_dim(a, x.ndim) for a in as_tuple(axis))
    if not dims:
        return vector_norm(METHODS["unsqueeze"](x, 0), axis=0, ord=ord)
    return torch_linalg.vector_norm(x, ord, dims, keepdims)


__all__ = [
    "cholesky", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "inv", "matmul", "matrix_norm", "matrix_power",
    "matrix_rank", "matrix_transpose", "outer", "pinv", "qr", "slogdet", "solve", "svd", "svdvals", "tensordot", "trace", "vecdot",
    "vector_norm",
]  # fmt: skip
