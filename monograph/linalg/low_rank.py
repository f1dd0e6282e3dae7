"""Approximations of low rank by random projections: Halko, Martinsson and Tropp (2009), algorithms 4.4 and 5.1."""

from __future__ import annotations

from typing import Any

from monograph.core.errors import ArgumentError
from monograph.linalg.checks import transposed
from monograph.linalg.decompositions import SVD, qr, svd
from monograph.tensor.core import Tensor
from monograph.tensor.pointwise import FUNCTIONS


def _basis(A: Any, q: int, niter: int) -> Any:
    """Orthonormal columns that nearly span the range of A."""
    basis = qr(A @ FUNCTIONS["randn"](A.shape[-1], q, dtype=A.dtype)).Q
    for _ in range(niter):
        basis = qr(A @ qr(transposed(A) @ basis).Q).Q
    return basis


def svd_lowrank(A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None) -> SVD:
    """U, S and V (not V^T) of the `q` greatest singular values of A, or of A - M, approximately.

    `niter` power iterations make them more exact. Raises ValueError for an impossible q or niter.

    >>> import monograph as mg
    >>> U, S, V = mg.svd_lowrank(mg.ones(4, 3), q=1)
    >>> U.shape, S.shape, V.shape
    (monograph.Size([4, 1]), monograph.Size([1]), monograph.Size([3, 1]))
    """
    x: Any = A
    if M is not None:
        if x.ndim != M.ndim and x.shape[-2:] != M.shape[-2:]:
            raise ArgumentError(f"M has shape {list(M.shape)}, which does not broadcast to A's, {list(A.shape)}")
        x = x - M
    m, n = x.shape[-2:]
    q = 6 if q is None else q
    niter = 2 if niter is None else niter
    if not 0 <= q <= min(m, n):
        raise ArgumentError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    if niter < 0:
        raise ArgumentError(f"niter(={niter}) must be non-negative integer")
    wide = m < n
    if wide:
        x = transposed(x)
    basis = _basis(x, q, niter)
    u, s, vh = svd(transposed(basis) @ x, full_matrices=False)
    u, v = basis @ u, transposed(vh)
    return SVD(v, s, u) if wide else SVD(u, s, v)


def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> SVD:
    """The `q` main directions of the rows of A: U, S and V of A with its columns' means taken off, approximately.

    Raises ValueError for an impossible q or niter.
    """
    x: Any = A
    m, n = x.shape[-2:]
    q = min(6, m, n) if q is None else q
    if not 0 <= q <= min(m, n):
        raise ArgumentError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    if niter < 0:
        raise ArgumentError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(x - x.mean(-2, keepdim=True) if center else x, q, niter)
