"""Factorizations with torch.linalg's signatures."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from monograph.core.dtype import int32
from monograph.core.modes import MODES
from monograph.linalg.checks import LinAlgError, adjoint, matrix, outputs, settled, write_all
from monograph.ops import linalg as factorizations
from monograph.ops import linalg_ldl, linalg_lu, linalg_spectral
from monograph.tensor.core import Tensor, wrap
from monograph.tensor.dispatch import emit
from monograph.tensor.interop import host_array
from monograph.tensor.pointwise import FUNCTIONS


class QR(NamedTuple):
    """A = Q R."""

    Q: Tensor
    R: Tensor


class SVD(NamedTuple):
    """A = U diag(S) Vh."""

    U: Tensor
    S: Tensor
    Vh: Tensor


class Eigen(NamedTuple):
    """A V = V diag(L)."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class CholeskyEx(NamedTuple):
    """L, and for each matrix 0 or the order of the minor that is not positive-definite."""

    L: Tensor
    info: Tensor


class LDLFactor(NamedTuple):
    """Both factors in one matrix, and LAPACK's pivots."""

    LD: Tensor
    pivots: Tensor


class LDLFactorEx(NamedTuple):
    """As LDLFactor; info is 0, or the first block of D that is zero (from 1)."""

    LD: Tensor
    pivots: Tensor
    info: Tensor


class LUFactor(NamedTuple):
    """Both factors in one matrix, and the row exchanges (from 1)."""

    LU: Tensor
    pivots: Tensor


class LUFactorEx(NamedTuple):
    """As LUFactor; info is 0, or the diagonal element of U that is zero (from 1)."""

    LU: Tensor
    pivots: Tensor
    info: Tensor


class LU(NamedTuple):
    """A = P L U."""

    P: Tensor
    L: Tensor
    U: Tensor


def cholesky(A: Tensor, *, upper: bool = False, out: Tensor | None = None) -> Tensor:
    """The lower triangular L with A = L L^H (upper: U with A = U^H U) of symmetric or Hermitian positive-definite matrices.

    Raises LinAlgError (a RuntimeError) for a matrix that is not positive-definite.

    >>> import monograph as mg
    >>> mg.linalg.cholesky(mg.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    x = matrix(A, "cholesky")
    if upper and len(x.shape) >= 2:
        A = adjoint(A)
    made = settled(emit(factorizations.cholesky, matrix(A, "cholesky")))
    return write_all(adjoint(made) if upper else made, out)


def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False, out: Any = None) -> CholeskyEx:
    """`cholesky` that tells in `info` which matrices are not positive-definite instead of raising; their L is unspecified (zeros here)."""
    lead = tuple(A.shape[:-2])
    try:
        result = CholeskyEx(cholesky(A, upper=upper), FUNCTIONS["zeros"](lead, dtype=int32))
    except LinAlgError:
        if check_errors:
            raise
        values = host_array(A.detach())
        made, info = np.zeros(values.shape, values.dtype), np.zeros(lead, np.int32)
        for at in np.ndindex(*lead):
            m = np.conj(values[at]).T if upper else values[at]
            for order in range(1, len(m) + 1):
                try:
                    np.linalg.cholesky(m[:order, :order])
                except np.linalg.LinAlgError:
                    info[at] = order
                    break
            else:
                made[at] = np.conj(np.linalg.cholesky(m)).T if upper else np.linalg.cholesky(m)
        result = CholeskyEx(FUNCTIONS["tensor"](made), FUNCTIONS["tensor"](info))
    return write_all(result, out)


def qr(A: Tensor, mode: str = "reduced", *, out: Any = None) -> QR:
    """A = Q R with orthonormal columns and an upper triangle; mode "reduced", "complete" (a square Q) or "r" (an empty Q).

    >>> import monograph as mg
    >>> Q, R = mg.linalg.qr(mg.tensor([[3.0, 1.0], [4.0, 2.0]]))
    >>> mg.allclose(Q @ R, mg.tensor([[3.0, 1.0], [4.0, 2.0]]), atol=1e-6)
    True
    """
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'")
    node = factorizations.qr(matrix(A, "qr"), complete=mode == "complete")
    q, r = outputs(node)
    return write_all(QR(FUNCTIONS["empty"](0, dtype=A.dtype) if mode == "r" else q, r), out)


def svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None, out: Any = None) -> SVD:
    """A = U diag(S) Vh, singular values descending. `driver` chooses CUDA's algorithm in torch and must be None here.

    Raises LinAlgError for matrices with NaN or inf.
    """
    if driver is not None:
        raise RuntimeError("torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend.")
    node = linalg_spectral.svd(matrix(A, "svd"), full_matrices=bool(full_matrices))
    u, s, vh = outputs(node)
    settled(s)
    return write_all(SVD(u, s, vh), out)


def svdvals(A: Tensor, *, driver: str | None = None, out: Tensor | None = None) -> Tensor:
    """The singular values, descending."""
    return write_all(svd(A, full_matrices=False, driver=driver).S, out)


def _triangle(UPLO: str) -> bool:
    if UPLO not in ("L", "U", "l", "u"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return UPLO.upper() == "U"


def eigh(A: Tensor, UPLO: str = "L", *, out: Any = None) -> Eigen:
    """Eigenvalues, ascending, and orthonormal eigenvectors of symmetric or Hermitian matrices, of which one triangle is read.

    >>> import monograph as mg
    >>> mg.linalg.eigh(mg.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues.tolist()
    [1.0, 2.0]
    """
    w, v = outputs(linalg_spectral.eigh(matrix(A, "eigh"), upper=_triangle(UPLO)))
    settled(w)
    return write_all(Eigen(w, v), out)


def eigvalsh(A: Tensor, UPLO: str = "L", *, out: Tensor | None = None) -> Tensor:
    """The eigenvalues of symmetric matrices, ascending."""
    return write_all(eigh(A, UPLO).eigenvalues, out)


def eig(A: Tensor, *, out: Any = None) -> Eigen:
    """Complex eigenvalues and eigenvectors of square matrices.

    The vectors have length 1 and are told but for a phase: gradients are right for what does not depend on it, of distinct eigenvalues.
    """
    w, v = outputs(linalg_spectral.eig(matrix(A, "eig")))
    settled(w)
    return write_all(Eigen(w, v), out)


def eigvals(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Complex eigenvalues of square matrices."""
    return write_all(eig(A).eigenvalues, out)


def _check_pivot(pivot: bool, name: str) -> None:
    if not pivot:
        raise RuntimeError(f"linalg.{name}: LU without pivoting is not implemented on the CPU")


def lu_factor(A: Tensor, *, pivot: bool = True, out: Any = None) -> LUFactor:
    """LU factorization with row exchanges, for `lu_solve`."""
    _check_pivot(pivot, "lu_factor")
    factors, pivots, _ = outputs(linalg_lu.lu_factor(matrix(A, "lu_factor")))
    return write_all(LUFactor(factors, pivots), out)


def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False, out: Any = None) -> LUFactorEx:
    """`lu_factor` with the number of the first zero on the diagonal of U (0: none)."""
    factors, pivots = lu_factor(A, pivot=pivot)
    zero = factors.diagonal(dim1=-2, dim2=-1) == 0  # type: ignore[attr-defined]
    count = zero.shape[-1]
    numbers = FUNCTIONS["where"](zero, FUNCTIONS["arange"](1, count + 1), count + 1)
    first = numbers.amin(-1) if count else FUNCTIONS["zeros"](tuple(A.shape[:-2]), dtype=numbers.dtype)
    info = FUNCTIONS["where"](first > count, 0, first).to(int32)
    if check_errors and bool((info != 0).any().item()):
        k = int(info.max().item())
        raise LinAlgError(f"linalg.lu_factor: U[{k},{k}] is zero and using it on lu_solve would result in a division by zero.")
    return write_all(LUFactorEx(factors, pivots, info), out)


def ldl_factor(A: Tensor, *, hermitian: bool = False, out: Any = None) -> LDLFactor:
    """A = L D L^T of a symmetric matrix (hermitian: L D L^H), of which the lower triangle is read; for `ldl_solve`.

    >>> import monograph as mg
    >>> A = mg.tensor([[0.0, 2.0], [2.0, 0.0]])
    >>> mg.linalg.ldl_solve(*mg.linalg.ldl_factor(A), mg.tensor([[4.0], [6.0]]))
    tensor([[3.],
            [2.]])
    """
    factors, pivots, info = ldl_factor_ex(A, hermitian=hermitian)
    if MODES.capture is None and bool((info != 0).any().item()):
        k = int(info.max().item())
        raise LinAlgError(f"linalg.ldl_factor: D[{k},{k}] is zero and using it on ldl_solve would result in a division by zero.")
    return write_all(LDLFactor(factors, pivots), out)


def ldl_factor_ex(A: Tensor, *, hermitian: bool = False, check_errors: bool = False, out: Any = None) -> LDLFactorEx:
    """`ldl_factor` with the number of the first zero block of D (0: none)."""
    factors, pivots, info = outputs(linalg_ldl.ldl_factor(matrix(A, "ldl_factor"), hermitian=bool(hermitian)))
    if check_errors and bool((info != 0).any().item()):
        k = int(info.max().item())
        raise LinAlgError(f"linalg.ldl_factor_ex: D[{k},{k}] is zero and using it on ldl_solve would result in a division by zero.")
    return write_all(LDLFactorEx(factors, pivots, info), out)


def ldl_solve(LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False, out: Tensor | None = None) -> Tensor:
    """X with A X = B, of the result of `ldl_factor(A)`."""
    if pivots.dtype.kind not in "iu":
        raise RuntimeError(f"torch.linalg.ldl_solve: Expected pivots to be integers. Got {pivots.dtype.name}")
    inputs = [matrix(x, "ldl_solve") for x in (LD, pivots.to(int32), B)]
    return write_all(wrap(linalg_ldl.ldl_solve(*inputs, hermitian=bool(hermitian))), out)


def permutation_matrix(order: Tensor, dtype: Any) -> Tensor:
    """P with P @ (rows in `order`) = the rows as they were."""
    places = FUNCTIONS["arange"](order.shape[-1], dtype=order.dtype)
    return (order.unsqueeze(-2) == places.unsqueeze(-1)).to(dtype)  # type: ignore[attr-defined]


def lu(A: Tensor, *, pivot: bool = True, out: Any = None) -> LU:
    """A = P L U: a permutation, a unit lower and an upper triangle.

    >>> import monograph as mg
    >>> A = mg.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> P, L, U = mg.linalg.lu(A)
    >>> mg.allclose(P @ L @ U, A)
    True
    """
    _check_pivot(pivot, "lu")
    factors, _, order = outputs(linalg_lu.lu_factor(matrix(A, "lu")))
    k = min(A.shape[-2:])
    lower = factors[..., :, :k].tril(-1) + FUNCTIONS["eye"](A.shape[-2], k, dtype=A.dtype)
    return write_all(LU(permutation_matrix(order, A.dtype), lower, factors[..., :k, :].triu()), out)


def order_of_pivots(pivots: Tensor, rows: int) -> Tensor:
    """The order of rows that the exchanges `pivots` (from 1) lead to."""
    exchanges = host_array(pivots)
    flat = exchanges.reshape(math.prod(exchanges.shape[:-1]), exchanges.shape[-1])
    order = np.broadcast_to(np.arange(rows, dtype=np.int32), (len(flat), rows)).copy()
    each = np.arange(len(flat))
    for j in range(flat.shape[-1]):
        other = flat[:, j] - 1
        order[each, j], order[each, other] = order[each, other], order[each, j].copy()
    return FUNCTIONS["tensor"](order.reshape(*exchanges.shape[:-1], rows))


def lu_unpack(LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True, *, out: Any = None) -> LU:
    """P, L and U of the result of `lu_factor` (torch.lu_unpack); empty tensors for what is not wanted."""
    m, n = LU_data.shape[-2:]
    k = min(m, n)
    nothing = FUNCTIONS["empty"](0, dtype=LU_data.dtype)
    p, lower, upper = nothing, nothing, nothing
    if unpack_pivots:
        p = permutation_matrix(order_of_pivots(LU_pivots, m), LU_data.dtype)
    if unpack_data:
        lower = LU_data[..., :, :k].tril(-1) + FUNCTIONS["eye"](m, k, dtype=LU_data.dtype)  # type: ignore[index]
        upper = LU_data[..., :k, :].triu()  # type: ignore[index]
    return write_all(LU(p, lower, upper), out)


def householder_product(A: Tensor, tau: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The first n columns of H1 H2 ... Hk, where Hi = 1 - tau_i v_i v_i^H and v_i is column i of A below its diagonal, with 1 on it."""
    m, n, k = A.shape[-2], A.shape[-1], tau.shape[-1]
    if m < n or n < k:
        raise RuntimeError(
            f"linalg.householder_product: input.shape[-2] >= input.shape[-1] >= tau.shape[-1] must hold, got {m}, {n} and {k}"
        )
    vectors = A.tril(-1) + FUNCTIONS["eye"](m, n, dtype=A.dtype)  # type: ignore[attr-defined]
    q = FUNCTIONS["eye"](m, n, dtype=A.dtype).expand(*A.shape[:-2], m, n)
    for i in reversed(range(k)):
        v = vectors[..., :, i : i + 1]
        q = q - tau[..., i, None, None] * (v @ (adjoint(v) @ q))  # type: ignore[index]
    return write_all(q, out)
