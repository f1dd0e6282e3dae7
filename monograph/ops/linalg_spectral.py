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
from monograph.graph.op import Family, Sample, Trait, define
from monograph.ops.elementwise import as_dtype
from monograph.ops.linalg_solve import solve
from monograph.ops.matrix_parts import (
    LinAlgError,
    batch_of,
    check_matrix,
    column,
    columns,
    conjugate,
    definite_matrix,
    diagonal_matrix,
    differences,
    matrix_errors,
    mH,
    product,
    refusing,
    row,
    rows_of,
    square_errors,
    with_diagonal,
)
from monograph.ops.samples import draw, draw_complex
from monograph.ops.source import project
from monograph.ops.views import diagonal

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
    return ((s[:-1], d.to_real()), (s, d)), None


def _symmetric(x: Node) -> Node:
    return (x + mH(x)) * 0.5


def _eigh_vjp(g: Any, y: Node, a: Any, x: Node) -> list[Any]:
    gw, gv = g
    if gw is None and gv is None:
        return [None]
    v, d = project(y, index=1), x.dtype
    if gv is None:
        return [_symmetric(product(v * row(as_dtype(gw, d)), mH(v)))]
    gw = None if gw is None else as_dtype(gw, d)
    inner = product(mH(v), gv) / as_dtype(differences(project(y, index=0)), d)
    return [_symmetric(product(v, with_diagonal(inner, gw), mH(v)))]


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
    return (((*batch, m, m if a.full_matrices else k), d), ((*batch, k), d.to_real()), ((*batch, n if a.full_matrices else k, n), d)), None


def _svd(a: SvdAttrs, x: np.ndarray) -> tuple[np.ndarray, ...]:
    _finite("linalg.svd", x)
    u, s, vh = refusing("linalg.svd", lambda m: np.linalg.svd(m, full_matrices=a.full_matrices), _not_converged)(x)
    return u, s, vh


def _skew(x: Node) -> Node:
    return x - mH(x)


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
        return [product(u * row(as_dtype(gs, x.dtype)), vh)]
    if a.full_matrices and m != n:  # torch's choice too: the vectors beyond the thin factorization pass no gradient
        k = s.shape[-1]
        u, gu = columns(u, 0, k), None if gu is None else columns(gu, 0, k)
        vh, gvh = rows_of(vh, 0, k), None if gvh is None else rows_of(gvh, 0, k)
    gap = as_dtype(differences(s * s), x.dtype)
    s, gs = as_dtype(s, x.dtype), None if gs is None else as_dtype(gs, x.dtype)
    inner: Node | None = None
    if gu is not None:
        left = _skew(product(mH(u), gu))
        inner = left / gap * row(s)
        if gvh is not None and x.dtype.kind == "c":  # the phases of a left and a right vector turn together
            phases = diagonal(left, offset=0, dim1=len(left.shape) - 2, dim2=len(left.shape) - 1) / (s * 2)
            gs = phases if gs is None else gs + phases
    if gvh is not None:
        right = column(s) * (_skew(product(vh, mH(gvh))) / gap)
        inner = right if inner is None else inner + right
    assert inner is not None
    middle = with_diagonal(inner, gs)
    result = product(u, middle, vh)
    if gu is not None and m > n:
        scaled = gu / row(s)
        result = result + product(scaled - product(u, mH(u), scaled), vh)
    if gvh is not None and n > m:
        scaled = gvh / column(s)
        result = result + product(u, scaled - product(scaled, mH(vh), vh))
    return [result]


def _svd_samples() -> Iterable[Sample]:
    for shape in ((3, 3), (4, 2), (2, 4), (2, 3, 2), (0, 3, 2)):
        yield Sample((draw(shape),), SvdAttrs())
    yield Sample((draw((4, 2)),), SvdAttrs(True), grad_inputs=())
    for shape in ((3, 3), (4, 2), (2, 4)):  # the phase of complex vectors is no function of the matrix: no gradients of each by itself
        yield Sample((draw_complex(shape),), SvdAttrs(), grad_inputs=())
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
    c = np.complex64 if x.dtype in (np.float32, np.complex64) else np.complex128
    return w.astype(c), v.astype(c)


def _eig_vjp(g: Any, y: Node, a: Any, x: Node) -> list[Any]:
    """Boeddeker et al. (2017), with eigenvectors of length 1; a real matrix gets the real part."""
    gw, gv = g
    if gw is None and gv is None:
        return [None]
    w, v = project(y, index=0), project(y, index=1)
    adjoint = mH(v)
    if gv is None:
        inner = diagonal_matrix(gw)
    else:
        turned = product(adjoint, gv)
        n = len(turned.shape)
        along = as_dtype(as_dtype(diagonal(turned, offset=0, dim1=n - 2, dim2=n - 1), w.dtype.to_real()), w.dtype)
        inner = with_diagonal((turned - product(adjoint, v) * row(along)) / conjugate(differences(w)), gw)
    return [as_dtype(solve(adjoint, product(inner, adjoint)), x.dtype)]


def _eig_samples() -> Iterable[Sample]:
    """Vectors are told but for a phase, which is no function of the matrix: gradients are checked where it does not matter."""
    for x in (draw((3, 3)), draw((2, 2, 2)), draw_complex((2, 3, 3)), np.zeros((0, 0))):
        yield Sample((x,), grad_inputs=())
    yield from square_errors("linalg.eig")


eig = define(
    "eig",
    family=LINALG,
    infer=_eig_type,
    reference=_eig,
    traits=CHECKS,
    doc="Complex eigenvalues and eigenvectors (columns) of square matrices.",
    vjp=_eig_vjp,
    samples=_eig_samples,
)
