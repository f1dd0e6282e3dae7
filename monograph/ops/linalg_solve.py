"""Linear systems and what is made of them: inverses, determinants, pseudo-inverses, least squares. Batched; NumPy's LAPACK works."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import NO_ATTRS, Attrs, attrs
from monograph.core.dtype import dtype as DType
from monograph.core.errors import ShapeError
from monograph.core.shape import Shape, broadcast
from monograph.graph.node import Node
from monograph.graph.op import Family, OpDef, Sample, Trait, define
from monograph.ops.broadcasting import fixed, mismatch, sum_to
from monograph.ops.complex_parts import conj
from monograph.ops.elementwise import as_dtype
from monograph.ops.matrix_parts import (
    check_matrix,
    column,
    definite_matrix,
    matrix_errors,
    mH,
    mT,
    product,
    refusing,
    square_errors,
    zero_pivot,
)
from monograph.ops.movement import tril, triu
from monograph.ops.reduce import sum as sum_dims
from monograph.ops.samples import draw
from monograph.ops.source import constant, project

LINALG = Family.CONTRACTION
CHECKS = [Trait.CHECKS_VALUES]
BLOCK = 32


@attrs
class TriangularAttrs(Attrs):
    """Which triangle is read, and whether its diagonal counts as ones."""

    upper: bool
    unitriangular: bool = False


@attrs
class CutoffAttrs(Attrs):
    """Singular values up to max(atol, rtol * the greatest) count as zero."""

    atol: float
    rtol: float


def _system(name: str, a: Any, b: Any) -> tuple[Shape, DType]:
    s, d = check_matrix(name, a, square=True)
    t = b.shape
    if b.dtype is not d:
        raise mismatch(name, a, b)
    if len(t) < 2 or t[-2] != s[-1]:
        raise ShapeError(
            f"{name}: Incompatible shapes of A and B for the equation AX = B ({s[-2]}x{s[-1]} and {'x'.join(map(str, t[-2:]))})"
        )
    return (*broadcast(s[:-2], t[:-2]), *t[-2:]), d


def _system_errors(name: str, attributes: Attrs) -> Iterable[Sample]:
    yield Sample((np.ones(3), np.ones((3, 1))), attributes, error=ShapeError, match="at least 2 dimensions")
    yield Sample((np.ones((2, 3)), np.ones((2, 1))), attributes, error=ShapeError, match="square matrices, but they are 2 by 3")
    yield Sample((np.ones((2, 2)), np.ones((3, 1))), attributes, error=ShapeError, match="Incompatible shapes of A and B")
    yield Sample((np.ones((2, 2)), np.ones((2, 1), np.float32)), attributes, error=RuntimeError, match="same dtype")


# ---- triangular systems ----


def _substitute(t: np.ndarray, b: np.ndarray, upper: bool, unit: bool) -> np.ndarray:
    """Solves T X = B by halves: rows one by one in small blocks, products between them."""
    n = t.shape[-1]
    if n <= BLOCK:
        x = b.copy()
        for i in reversed(range(n)) if upper else range(n):
            known = slice(i + 1, n) if upper else slice(0, i)
            if i + 1 < n if upper else i > 0:
                x[..., i, :] -= np.matmul(t[..., i, None, known], x[..., known, :])[..., 0, :]
            if not unit:
                x[..., i, :] /= t[..., i, i, None]
        return x
    h = n // 2
    first, last = (slice(h, n), slice(0, h)) if upper else (slice(0, h), slice(h, n))
    solved = _substitute(t[..., first, first], b[..., first, :], upper, unit)
    rest = _substitute(t[..., last, last], b[..., last, :] - np.matmul(t[..., last, first], solved), upper, unit)
    return np.concatenate([rest, solved] if upper else [solved, rest], axis=-2)


def _solve_triangular(a: TriangularAttrs, t: np.ndarray, b: np.ndarray) -> np.ndarray:
    lead = np.broadcast_shapes(t.shape[:-2], b.shape[:-2])
    with np.errstate(all="ignore"):
        return _substitute(np.broadcast_to(t, lead + t.shape[-2:]), np.broadcast_to(b, lead + b.shape[-2:]), a.upper, a.unitriangular)


def _solve_triangular_vjp(g: Node, x: Node, a: TriangularAttrs, t: Node, b: Node) -> list[Any]:
    gb = solve_triangular(mT(t), g, upper=not a.upper, unitriangular=a.unitriangular)
    gt = None
    if not fixed(t):
        full = -product(gb, mT(x))
        inner = triu(full, diagonal=int(a.unitriangular)) if a.upper else tril(full, diagonal=-int(a.unitriangular))
        gt = sum_to(inner, t.shape)
    return [gt, None if fixed(b) else sum_to(gb, b.shape)]


def _triangular_samples() -> Iterable[Sample]:
    for upper in (False, True):
        for unit in (False, True):
            a = TriangularAttrs(upper, unit)
            yield Sample((definite_matrix(3), draw((3, 2))), a)
            yield Sample((definite_matrix(2, (2,)), draw((3, 1, 2, 1))), a)
    yield Sample((definite_matrix(70), draw((70, 1))), TriangularAttrs(True), grad_inputs=())
    yield Sample((np.zeros((0, 0)), np.zeros((0, 2))), TriangularAttrs(False))
    yield Sample(
        (definite_matrix(3, dtype=np.float32), draw((3, 2), dtype=np.float32)), TriangularAttrs(False), grad_inputs=(), tolerance=1e-4
    )
    yield from _system_errors("linalg.solve_triangular", TriangularAttrs(False))


solve_triangular: OpDef = define(
    "solve_triangular",
    family=LINALG,
    attrs=TriangularAttrs,
    infer=lambda a, t, b: _system("linalg.solve_triangular", t, b),
    reference=_solve_triangular,
    vjp=_solve_triangular_vjp,
    samples=_triangular_samples,
    traits=[Trait.HOLOMORPHIC],
    doc="X with T X = B for a triangular T; inf or NaN where T is singular. The other triangle of T is not read.",
)


# ---- general systems ----


def _singular(a: np.ndarray) -> str:
    return "The solver failed because the input matrix is singular."


def _solve_vjp(g: Node, x: Node, attributes: Any, a: Node, b: Node) -> list[Any]:
    gb = solve(mT(a), g)
    return [None if fixed(a) else sum_to(-product(gb, mT(x)), a.shape), None if fixed(b) else sum_to(gb, b.shape)]


def _solve_samples() -> Iterable[Sample]:
    yield Sample((draw((3, 3)), draw((3, 2))))
    yield Sample((draw((2, 2, 2)), draw((3, 1, 2, 1))))
    yield Sample((np.zeros((0, 0)), np.zeros((0, 2))))
    yield Sample((definite_matrix(3, dtype=np.float32), draw((3, 2), dtype=np.float32)), grad_inputs=(), tolerance=1e-4)
    yield from _system_errors("linalg.solve", NO_ATTRS)


_checked_solve = refusing("linalg.solve", np.linalg.solve, _singular, np.linalg.inv)

solve: OpDef = define(
    "solve",
    family=LINALG,
    infer=lambda attributes, a, b: _system("linalg.solve", a, b),
    reference=lambda attributes, a, b: _checked_solve(a, b),
    vjp=_solve_vjp,
    samples=_solve_samples,
    traits=[*CHECKS, Trait.HOLOMORPHIC],
    doc="X with A X = B.",
)


def _not_invertible(a: np.ndarray) -> str:
    return f"The diagonal element {zero_pivot(a)} is zero, the inversion could not be completed because the input matrix is singular."


def inverse_samples(name: str) -> Iterable[Sample]:
    """Samples of an op on square matrices."""
    for x in (draw((3, 3)), draw((2, 2, 2)), np.zeros((0, 0)), draw((0, 2, 2))):
        yield Sample((x,))
    yield Sample((definite_matrix(3, dtype=np.float32),), grad_inputs=(), tolerance=1e-4)
    yield from square_errors(name)


_checked_inv = refusing("linalg.inv", np.linalg.inv, _not_invertible)

inv: OpDef = define(
    "inv",
    family=LINALG,
    infer=lambda a, x: check_matrix("linalg.inv", x, square=True),
    reference=lambda a, x: _checked_inv(x),
    vjp=lambda g, y, a, x: [-product(mT(y), g, mT(y))],
    samples=lambda: inverse_samples("linalg.inv"),
    traits=[*CHECKS, Trait.HOLOMORPHIC],
    doc="The inverse of a square matrix.",
)


# ---- determinants ----


def _det_type(name: str) -> Any:
    def infer(a: Any, x: Any) -> tuple[Shape, DType]:
        s, d = check_matrix(name, x, square=True)
        return s[:-2], d

    return infer


def _cofactors(x: np.ndarray) -> np.ndarray:
    """By singular values, so that singular matrices have them too: C = det(U V) U diag(products of the other values) V."""
    u, s, vh = np.linalg.svd(x)
    n = s.shape[-1]
    others = np.repeat(s[..., None, :], n, axis=-2)
    others[..., np.arange(n), np.arange(n)] = 1
    sign = np.linalg.det(u) * np.linalg.det(vh)
    sign = sign if x.dtype.kind == "c" else np.round(sign)
    return (sign[..., None, None] * (np.conj(u) * np.prod(others, -1)[..., None, :]) @ np.conj(vh)).astype(x.dtype)


def _cofactor_vjp(g: Node, y: Node, a: Any, x: Node) -> list[Any]:
    """C = det(A) A^-T, hence dC = det(A) (tr(A^-1 dA) A^-T - A^-T dA^T A^-T)."""
    inverse = mT(inv(x))
    along = sum_dims(g * inverse, dims=(len(x.shape) - 2, len(x.shape) - 1), keepdim=True)
    return [column(column(det(x))) * (inverse * along - product(inverse, mT(g), inverse))]


cofactors: OpDef = define(
    "cofactors",
    family=LINALG,
    infer=lambda a, x: check_matrix("linalg.det", x, square=True),
    reference=lambda a, x: _cofactors(x),
    vjp=_cofactor_vjp,
    samples=lambda: inverse_samples("linalg.det"),
    traits=[Trait.HOLOMORPHIC],
    doc="The matrix of cofactors: the gradient of the determinant, of singular matrices too.",
)

det: OpDef = define(
    "det",
    family=LINALG,
    infer=_det_type("linalg.det"),
    reference=lambda a, x: np.asarray(np.linalg.det(x)),
    vjp=lambda g, y, a, x: [column(column(g)) * cofactors(x)],
    samples=lambda: [*inverse_samples("linalg.det"), Sample((np.ones((2, 2)),), grad_inputs=())],
    traits=[Trait.HOLOMORPHIC],
    doc="The determinant.",
)


def _slogdet_type(a: Any, x: Any) -> tuple[Any, Any]:
    s, d = check_matrix("linalg.slogdet", x, square=True)
    return ((s[:-2], d), (s[:-2], d.to_real())), None


def _slogdet(a: Any, x: np.ndarray) -> tuple[np.ndarray, ...]:
    sign, value = np.linalg.slogdet(x)
    return np.asarray(sign, x.dtype), np.asarray(value, x.real.dtype)


def _slogdet_vjp(g: Any, y: Node, a: Any, x: Node) -> list[Any]:
    """d log det(A) = tr(A^-1 dA): its real part moves the logarithm, its imaginary one turns a complex sign."""
    gs, gl = g
    if x.dtype.kind != "c":
        return [None if gl is None else column(column(gl)) * mT(inv(x))]
    total = None if gl is None else as_dtype(gl, x.dtype)
    if gs is not None:
        turned = conj(project(y, index=0)) * gs * constant(-1j, x.dtype)
        turn = as_dtype(as_dtype(turned, x.dtype.to_real()), x.dtype) * constant(1j, x.dtype)
        total = turn if total is None else total + turn
    return [None if total is None else column(column(total)) * mH(inv(x))]


slogdet = define(
    "slogdet",
    family=LINALG,
    infer=_slogdet_type,
    reference=_slogdet,
    vjp=_slogdet_vjp,
    samples=lambda: inverse_samples("linalg.slogdet"),
    doc="Sign and logarithm of the absolute value of the determinant.",
)


# ---- pseudo-inverse and least squares ----


def _spectrum(a: CutoffAttrs, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    greatest = s.max(-1, keepdims=True, initial=0)
    kept = s > np.maximum(a.atol, a.rtol * greatest)
    return u, np.where(kept, 1 / np.where(kept, s, 1), 0).astype(s.dtype), vh


def _adjoint(a: np.ndarray) -> np.ndarray:
    return np.conj(np.swapaxes(a, -1, -2))


def _pinv(a: CutoffAttrs, x: np.ndarray) -> np.ndarray:
    u, inverse, vh = _spectrum(a, x)
    return (_adjoint(vh) * inverse[..., None, :]) @ _adjoint(u)


def _pinv_type(a: Any, x: Any) -> tuple[Shape, DType]:
    s, d = check_matrix("linalg.pinv", x)
    return (*s[:-2], s[-1], s[-2]), d


def _pinv_gradient(g: Node, p: Node, x: Node) -> Node:
    """Golub and Pereyra (1973): dP = -P dA P + P P^H dA^H (1 - A P) + (1 - P A) dA^H P^H P."""
    pt, gt = mH(p), mH(g)
    outer = product(gt, p, pt)
    inner = product(pt, p, gt)
    return outer - product(x, p, outer) + inner - product(inner, p, x) - product(pt, g, pt)


def _pinv_samples() -> Iterable[Sample]:
    a = CutoffAttrs(0.0, 1e-12)
    for shape in ((3, 3), (4, 2), (2, 4), (2, 3, 2), (0, 3, 2), (0, 2)):
        yield Sample((draw(shape),), a, tolerance=1e-4)
    yield Sample((np.outer(draw((3,)), draw((2,))),), a, grad_inputs=())
    yield Sample((draw((3, 2), dtype=np.float32),), CutoffAttrs(0.0, 1e-6), grad_inputs=(), tolerance=1e-4)
    yield from matrix_errors("linalg.pinv", a)


pinv: OpDef = define(
    "pinv",
    family=LINALG,
    attrs=CutoffAttrs,
    infer=_pinv_type,
    reference=_pinv,
    vjp=lambda g, y, a, x: [_pinv_gradient(g, y, x)],
    samples=_pinv_samples,
    doc="The Moore-Penrose inverse.",
)


def _lstsq_type(attributes: Any, a: Any, b: Any) -> tuple[Shape, DType]:
    s, d = check_matrix("linalg.lstsq", a)
    t = b.shape
    if b.dtype is not d:
        raise mismatch("linalg.lstsq", a, b)
    if len(t) < 2 or t[-2] != s[-2]:
        raise ShapeError(f"linalg.lstsq: input.size(-2) should match other.size(-2), got shapes {list(s)} and {list(t)}")
    return (*broadcast(s[:-2], t[:-2]), s[-1], t[-1]), d


def _lstsq(a: CutoffAttrs, x: np.ndarray, b: np.ndarray) -> np.ndarray:
    u, inverse, vh = _spectrum(a, x)
    return _adjoint(vh) @ (inverse[..., None] * (_adjoint(u) @ b))


def _lstsq_vjp(g: Node, y: Node, attributes: CutoffAttrs, a: Node, b: Node) -> list[Any]:
    p = pinv(a, atol=attributes.atol, rtol=attributes.rtol)
    ga = None if fixed(a) else sum_to(_pinv_gradient(product(g, mH(b)), p, a), a.shape)
    return [ga, None if fixed(b) else sum_to(product(mH(p), g), b.shape)]


def _lstsq_samples() -> Iterable[Sample]:
    a = CutoffAttrs(0.0, 1e-12)
    yield Sample((draw((4, 2)), draw((4, 3))), a, tolerance=1e-4)
    yield Sample((draw((2, 4)), draw((2, 1))), a, tolerance=1e-4)
    yield Sample((draw((2, 3, 2)), draw((3, 1))), a, tolerance=1e-4)
    yield Sample((draw((0, 3, 2)), draw((3, 1))), a)
    yield Sample((draw((4, 2), dtype=np.float32), draw((4, 3), dtype=np.float32)), CutoffAttrs(0.0, 1e-6), grad_inputs=(), tolerance=1e-4)
    yield Sample((np.ones((2, 2)), np.ones((3, 1))), a, error=ShapeError, match="should match other.size")


lstsq = define(
    "lstsq",
    family=LINALG,
    attrs=CutoffAttrs,
    infer=_lstsq_type,
    reference=_lstsq,
    vjp=_lstsq_vjp,
    samples=_lstsq_samples,
    doc="The shortest X that minimises |A X - B|.",
)
