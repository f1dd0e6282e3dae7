"""Eigenvalues and singular values. Batched; NumPy's LAPACK does the work.

Gradients: Giles (2008), Townsend (2016). Vectors are differentiable where their values are distinct; eigh takes its input as symmetric.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, attrs
from monograph.core.dtype import dtype as DType
from monograph.graph.node import Node
from monograph.graph.op import Family, NotDifferentiable, Sample, Trait, define
from monograph.ops.matrix_parts import (
    LinAlgError,
    batch_of,
    check_matrix,
    column,
    columns,
    definite_matrix,
    differences,
    matrix_errors,
    mT,
    product,
    refusing,
    row,
    rows_of,
    square_errors,
    with_diagonal,
)
from monograph.ops.samples import draw
from monograph.ops.source import project

LINALG = Family.CONTRACTION
CHECKS = [Trait.CHECKS_VALUES]
Types = tuple[Any, DType | None]


@attrs
class TriangleReadAttrs(Attrs):
    """Which triangle of a symmetric matrix is read."""

    upper: bool = False


@attrs
class SvdAttrs(Attrs):
    """Whether U and V are square."""

    full_matrices: bool = False


# ---- eigenvalues of symmetric matrices ----


def _not_converged(a: np.ndarray) -> str:
    extra = "; the input holds NaN or inf" if not np.isfinite(a).all() else ""
    return f"The algorithm failed to converge because the input matrix is ill-conditioned or has too many repeated eigenvalues{extra}."


def _finite(name: str, x: np.ndarray) -> None:
    if not np.isfinite(x).all():
        k = None if x.ndim == 2 else int(np.argmin(np.isfinite(x).reshape(-1, x.shape[-2] * x.shape[-1]).all(-1)))
        raise LinAlgError(f"{name}: {batch_of(k)}{_not_converged(x)}")


def _eigh(a: TriangleReadAttrs, x: np.ndarray) -> tuple[np.ndarray, ...]:
    _finite("linalg.eigh", x)
    w, v = refusing("linalg.eigh", lambda m: np.linalg.eigh(m, "U" if a.upper else "L"), _not_converged)(x)
    return w, v


def _eigh_type(a: Any, x: Any) -> Types:
    s, d = check_matrix("linalg.eigh", x, square=True)
    return ((s[:-1], d), (s, d)), None


def _symmetric(x: Node) -> Node:
    return (x + mT(x)) * 0.5


def _eigh_vjp(g: Any, y: Node, a: Any, x: Node) -> list[Any]:
    gw, gv = g
    if gw is None and gv is None:
        return [None]
    v = project(y, index=1)
    if gv is None:
        return [_symmetric(product(v * row(gw), mT(v)))]
    inner = product(mT(v), gv) / differences(project(y, index=0))
    return [_symmetric(product(v, with_diagonal(inner, gw), mT(v)))]


def _eigh_samples() -> Iterable[Sample]:
    for upper in (False, True):
        yield Sample((definite_matrix(3),), TriangleReadAttrs(upper), grad_inputs=())
        yield Sample((definite_matrix(2, (2,)),), TriangleReadAttrs(upper), grad_inputs=())
    yield Sample((np.zeros((0, 0)),), TriangleReadAttrs(), grad_inputs=())
    yield Sample((definite_matrix(3, dtype=np.float32),), TriangleReadAttrs(), grad_inputs=(), tolerance=1e-3)
    yield from square_errors("linalg.eigh", TriangleReadAttrs())


eigh = define(
    "eigh",
    family=LINALG,
    attrs=TriangleReadAttrs,
    infer=_eigh_type,
    reference=_eigh,
    vjp=_eigh_vjp,
    samples=_eigh_samples,
    traits=CHECKS,
    doc="Eigenvalues, ascending, and orthonormal eigenvectors (columns) of symmetric matrices.",
)


# ---- singular values ----


def _svd_type(a: SvdAttrs, x: Any) -> Types:
    s, d = check_matrix("linalg.svd", x)
    m, n = s[-2:]
    k = m if m < n else n
    batch = s[:-2]
    return (((*batch, m, m if a.full_matrices else k), d), ((*batch, k), d), ((*batch, n if a.full_matrices else k, n), d)), None


def _svd(a: SvdAttrs, x: np.ndarray) -> tuple[np.ndarray, ...]:
    _finite("linalg.svd", x)
    u, s, vh = refusing("linalg.svd", lambda m: np.linalg.svd(m, full_matrices=a.full_matrices), _not_converged)(x)
    return u, s, vh


def _skew(x: Node) -> Node:
    return x - mT(x)


def _svd_vjp(g: Any, y: Node, a: SvdAttrs, x: Node) -> list[Any]:
    gu, gs, gvh = g
    u, s, vh = (project(y, index=i) for i in range(3))
    m, n = x.shape[-2:]
    if gu is None and gvh is None:
        if gs is None:
            return [None]
        k = s.shape[-1]
        if a.full_matrices:
            u, vh = columns(u, 0, k), rows_of(vh, 0, k)
        return [product(u * row(gs), vh)]
    if a.full_matrices and m != n:  # torch's choice too: the vectors beyond the thin factorization pass no gradient
        k = s.shape[-1]
        u, gu = columns(u, 0, k), None if gu is None else columns(gu, 0, k)
        vh, gvh = rows_of(vh, 0, k), None if gvh is None else rows_of(gvh, 0, k)
    gap = differences(s * s)
    inner: Node | None = None
    if gu is not None:
        inner = _skew(product(mT(u), gu)) / gap * row(s)
    if gvh is not None:
        right = column(s) * (_skew(product(vh, mT(gvh))) / gap)
        inner = right if inner is None else inner + right
    assert inner is not None
    middle = with_diagonal(inner, gs)
    result = product(u, middle, vh)
    if gu is not None and m > n:
        scaled = gu / row(s)
        result = result + product(scaled - product(u, mT(u), scaled), vh)
    if gvh is not None and n > m:
        scaled = gvh / column(s)
        result = result + product(u, scaled - product(scaled, mT(vh), vh))
    return [result]


def _svd_samples() -> Iterable[Sample]:
    for shape in ((3, 3), (4, 2), (2, 4), (2, 3, 2), (0, 3, 2)):
        yield Sample((draw(shape),), SvdAttrs())
    yield Sample((draw((4, 2)),), SvdAttrs(True), grad_inputs=())
    yield Sample((draw((3, 2), dtype=np.float32),), SvdAttrs(), grad_inputs=(), tolerance=1e-3)
    yield from matrix_errors("linalg.svd", SvdAttrs())


svd = define(
    "svd",
    family=LINALG,
    attrs=SvdAttrs,
    infer=_svd_type,
    reference=_svd,
    vjp=_svd_vjp,
    samples=_svd_samples,
    traits=CHECKS,
    doc="A = U diag(S) Vh: orthonormal columns, descending singular values, orthonormal rows.",
)


# ---- eigenvalues of general matrices ----


def _eig_type(a: Any, x: Any) -> Types:
    s, d = check_matrix("linalg.eig", x, square=True)
    c = d.to_complex()
    return ((s[:-1], c), (s, c)), None


def _eig(a: Any, x: np.ndarray) -> tuple[np.ndarray, ...]:
    _finite("linalg.eig", x)
    w, v = refusing("linalg.eig", np.linalg.eig, _not_converged)(x)
    c = np.complex64 if x.dtype == np.float32 else np.complex128
    return w.astype(c), v.astype(c)


eig = define(
    "eig",
    family=LINALG,
    infer=_eig_type,
    reference=_eig,
    traits=CHECKS,
    doc="Complex eigenvalues and eigenvectors (columns) of square matrices.",
    vjp=NotDifferentiable("general eigenvalues are complex; use eigh for symmetric matrices, whose eigenvalues have gradients"),
    samples=lambda: [Sample((draw((3, 3)),)), Sample((draw((2, 2, 2)),)), Sample((np.zeros((0, 0)),)), *square_errors("linalg.eig")],
)
