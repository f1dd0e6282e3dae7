"""Cholesky and QR factorizations. Batched; NumPy's LAPACK does the work.

Gradients: Murray (2016), Walter and Lehmann (2013). They are those of torch: Cholesky takes its input as symmetric (Hermitian).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, attrs
from monograph.core.dtype import dtype as DType
from monograph.core.errors import AutogradError
from monograph.graph.node import Node
from monograph.graph.op import Family, NotDifferentiable, OpDef, Sample, Trait, define
from monograph.ops.elementwise import add
from monograph.ops.linalg_solve import solve_triangular
from monograph.ops.matrix_parts import (
    LinAlgError,
    batch_of,
    check_matrix,
    columns,
    definite_matrix,
    matrix_errors,
    mH,
    product,
    refusing,
    square_errors,
    without_imaginary_diagonal,
)
from monograph.ops.movement import cat, tril, triu
from monograph.ops.samples import draw
from monograph.ops.source import project, zeros_like

LINALG = Family.CONTRACTION
CHECKS = [Trait.CHECKS_VALUES]
Types = tuple[Any, DType | None]


@attrs
class QrAttrs(Attrs):
    """Whether Q is square."""

    complete: bool = False


# ---- Cholesky ----


def _cholesky_reason(a: np.ndarray) -> str:
    for k in range(1, len(a) + 1):
        try:
            np.linalg.cholesky(a[:k, :k])
        except np.linalg.LinAlgError:
            return (
                "The factorization could not be completed because the input is not positive-definite "
                f"(the leading minor of order {k} is not positive-definite)."
            )
    return "The factorization could not be completed because the input is not positive-definite."


_checked_cholesky = refusing("linalg.cholesky", np.linalg.cholesky, _cholesky_reason)


def _cholesky(a: Any, x: np.ndarray) -> np.ndarray:
    made = _checked_cholesky(x)
    if np.isnan(made).any():
        bad = np.isnan(made).reshape(-1, made.shape[-1] ** 2).any(-1)
        k = int(np.argmax(bad)) if x.ndim > 2 else None
        raise LinAlgError(f"linalg.cholesky: {batch_of(k)}{_cholesky_reason(x.reshape(-1, *x.shape[-2:])[k or 0])}")
    return made


def _cholesky_vjp(g: Node, y: Node, a: Any, x: Node) -> list[Any]:
    p = without_imaginary_diagonal(tril(product(mH(y), g), diagonal=0))
    symmetric = add(p, mH(tril(p, diagonal=-1))) * 0.5
    upper = mH(y)
    half = solve_triangular(upper, symmetric, upper=True, unitriangular=False)
    return [mH(solve_triangular(upper, mH(half), upper=True, unitriangular=False))]


def _cholesky_samples() -> Iterable[Sample]:
    for x in (
        definite_matrix(3),
        definite_matrix(2, (2,)),
        definite_matrix(2, (0,)),
        np.zeros((0, 0)),
        definite_matrix(3, dtype=np.float32),
    ):
        yield Sample((x,), grad_inputs=(), tolerance=1e-4 if x.dtype == np.float32 else 1e-5)
    yield from square_errors("linalg.cholesky")


cholesky: OpDef = define(
    "cholesky",
    family=LINALG,
    infer=lambda a, x: check_matrix("linalg.cholesky", x, square=True),
    reference=_cholesky,
    vjp=_cholesky_vjp,
    samples=_cholesky_samples,
    traits=CHECKS,
    doc="The lower triangular L with L L^H = A, of a Hermitian positive-definite A (its lower triangle).",
)


# ---- QR ----


def _qr_type(a: QrAttrs, x: Any) -> Types:
    s, d = check_matrix("linalg.qr", x)
    m, n = s[-2:]
    k = m if a.complete else (m if m < n else n)
    return (((*s[:-2], m, k), d), ((*s[:-2], k, n), d)), None


def _qr(a: QrAttrs, x: np.ndarray) -> tuple[np.ndarray, ...]:
    q, r = np.linalg.qr(x, "complete" if a.complete else "reduced")
    return q, r


def _qr_tall(gq: Node | None, gr: Node | None, q: Node, r: Node) -> Node:
    """Of A = Q R with a square R."""
    m: Any = None if gr is None else product(gr, mH(r))
    if gq is not None:
        back = product(mH(q), gq)
        m = -back if m is None else m - back
    upper = without_imaginary_diagonal(triu(m, diagonal=0))
    symmetric = add(upper, mH(triu(upper, diagonal=1)))
    inner = product(q, symmetric)
    if gq is not None:
        inner = gq + inner
    return mH(solve_triangular(r, mH(inner), upper=True, unitriangular=False))


def _qr_vjp(g: Any, y: Node, a: QrAttrs, x: Node) -> list[Any]:
    m, n = x.shape[-2:]
    if a.complete and m > n:
        raise AutogradError(
            "linalg.qr: The QR decomposition is not differentiable when mode='complete' and nrows > ncols; use mode='reduced'"
        )
    q, r = project(y, index=0), project(y, index=1)
    gq, gr = g
    if gq is None and gr is None:
        return [None]
    if m >= n:
        return [_qr_tall(gq, gr, q, r)]
    # A = [X Y] with X square: X = Q R1, Y = Q R2
    rest = columns(x, m, n - m)
    if gr is None:
        gx = _qr_tall(gq, None, q, columns(r, 0, m))
        return [cat(gx, zeros_like(rest), dim=len(x.shape) - 1)]
    gr2 = columns(gr, m, n - m)
    through = product(rest, mH(gr2))
    gq = through if gq is None else gq + through
    gx = _qr_tall(gq, columns(gr, 0, m), q, columns(r, 0, m))
    return [cat(gx, product(q, gr2), dim=len(x.shape) - 1)]


def _qr_samples() -> Iterable[Sample]:
    for shape in ((3, 3), (4, 2), (2, 4), (2, 3, 3), (0, 3, 2)):
        yield Sample((draw(shape),), QrAttrs())
    yield Sample((draw((2, 3)),), QrAttrs(True))
    yield Sample((draw((4, 2)),), QrAttrs(True), grad_inputs=())
    yield Sample((draw((3, 2), dtype=np.float32),), QrAttrs(), grad_inputs=(), tolerance=1e-4)
    yield from matrix_errors("linalg.qr", QrAttrs())


qr = define(
    "qr",
    family=LINALG,
    attrs=QrAttrs,
    infer=_qr_type,
    reference=_qr,
    vjp=_qr_vjp,
    samples=_qr_samples,
    doc="A = Q R: orthonormal columns, upper triangle.",
)


def _geqrf_type(a: Any, x: Any) -> Types:
    s, d = check_matrix("geqrf", x)
    m, n = s[-2:]
    return ((s, d), ((*s[:-2], m if m < n else n), d)), None


def _geqrf(a: Any, x: np.ndarray) -> tuple[np.ndarray, ...]:
    m, n = x.shape[-2:]
    if not x.size:
        return x.copy(), np.zeros((*x.shape[:-2], min(m, n)), x.dtype)
    h, tau = np.linalg.qr(x, "raw")
    return np.ascontiguousarray(np.swapaxes(h, -1, -2)), tau


geqrf = define(
    "geqrf",
    family=LINALG,
    infer=_geqrf_type,
    reference=_geqrf,
    vjp=NotDifferentiable("the reflectors of a QR factorization have no gradient; use linalg.qr"),
    samples=lambda: [*(Sample((draw(s),)) for s in ((3, 3), (4, 2), (2, 4), (2, 3, 3), (0, 3, 2), (2, 0))), *matrix_errors("geqrf")],
    doc="QR as LAPACK leaves it: R above, Householder's vectors below the diagonal; and their factors tau.",
)
