"""LDL factorization of symmetric or Hermitian matrices with Bunch and Kaufman's pivots, and systems solved with it.

The format is LAPACK's (xSYTRF, xHETRF, lower triangle): L below the diagonal, D's blocks of one or two rows on and next to it, and in the
pivots the row (from 1) that was exchanged with this one, negative twice for a block of two.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, attrs
from monograph.core.dtype import dtype as DType
from monograph.core.dtype import int32
from monograph.core.errors import ArgumentError, ShapeError
from monograph.core.shape import Shape, broadcast
from monograph.graph.node import Node
from monograph.graph.op import Family, NotDifferentiable, Sample, define
from monograph.ops.broadcasting import mismatch, sum_to
from monograph.ops.complex_parts import conj
from monograph.ops.matrix_parts import check_matrix
from monograph.ops.samples import draw

GROWTH = (1 + 17**0.5) / 8  # the bound on the growth of elements that blocks of one and of two share


@attrs
class LdlAttrs(Attrs):
    """Whether L D L^H is meant, or L D L^T."""

    hermitian: bool = False


def _size(x: np.ndarray) -> np.ndarray:
    """LAPACK's cheap absolute value of complex numbers."""
    return np.abs(x.real) + np.abs(x.imag)


def _exchange(a: np.ndarray, first: int, second: int, hermitian: bool) -> None:
    """Exchanges rows and columns `first` < `second` of the lower triangle, from column `first` on."""
    a[second + 1 :, [first, second]] = a[second + 1 :, [second, first]]
    between = slice(first + 1, second)
    column, row = a[between, first].copy(), a[second, between].copy()
    a[between, first], a[second, between] = (row.conj(), column.conj()) if hermitian else (row, column)
    if hermitian:
        a[second, first] = a[second, first].conj()
    a[first, first], a[second, second] = a[second, second], a[first, first]


def _pivot(a: np.ndarray, k: int) -> tuple[int, int]:
    """The row to exchange and the size of the next block: (row, 1 or 2)."""
    own, below = _size(a[k, k]), _size(a[k + 1 :, k])
    greatest = below.max(initial=0.0)
    if own >= GROWTH * greatest:
        return k, 1
    row = k + 1 + int(np.argmax(below))
    widest = max(_size(a[row, k:row]).max(), _size(a[row + 1 :, row]).max(initial=0.0))
    if own >= GROWTH * greatest * (greatest / widest):
        return k, 1
    return (row, 1) if _size(a[row, row]) >= GROWTH * widest else (row, 2)


def _factor(a: np.ndarray, hermitian: bool) -> tuple[np.ndarray, int]:
    """Writes the factors over the lower triangle of `a`; returns the pivots and the number of the first zero block."""
    n, k, info = len(a), 0, 0
    pivots = np.zeros(n, np.int32)
    while k < n:
        if hermitian:
            a[k, k] = a[k, k].real
        if not max(_size(a[k, k]), _size(a[k + 1 :, k]).max(initial=0.0)) > 0:
            info = info or k + 1
            pivots[k] = k + 1
            k += 1
            continue
        row, steps = _pivot(a, k)
        last = k + steps - 1
        if row != last:
            _exchange(a, last, row, hermitian)
            if steps == 2:
                a[[last, row], k] = a[[row, last], k]
        block = slice(k, last + 1)
        d = _block(a, k, steps, hermitian)
        below = a[last + 1 :, block].copy()
        scaled = below @ np.linalg.inv(d) if steps == 2 else below / d
        a[last + 1 :, last + 1 :] -= np.tril(scaled @ (below.conj().T if hermitian else below.T))
        a[last + 1 :, block] = scaled
        pivots[block] = row + 1 if steps == 1 else -(row + 1)
        k += steps
    return pivots, info


def _block(a: np.ndarray, k: int, steps: int, hermitian: bool) -> np.ndarray:
    """The block of D at row k."""
    if steps == 1:
        return a[k : k + 1, k : k + 1]
    beside = a[k + 1, k].conj() if hermitian else a[k + 1, k]
    return np.array([[a[k, k], beside], [a[k + 1, k], a[k + 1, k + 1]]], a.dtype)


def _ldl_type(a: LdlAttrs, x: Any) -> tuple[Any, DType | None]:
    s, d = check_matrix("linalg.ldl_factor", x, square=True)
    return ((s, d), (s[:-1], int32), (s[:-2], int32)), None


def _ldl(a: LdlAttrs, x: np.ndarray) -> tuple[np.ndarray, ...]:
    n = x.shape[-1]
    factors = np.tril(x).reshape(int(np.prod(x.shape[:-2])), n, n)
    pivots, info = np.zeros((len(factors), n), np.int32), np.zeros(len(factors), np.int32)
    with np.errstate(all="ignore"):
        for i, matrix in enumerate(factors):
            pivots[i], info[i] = _factor(matrix, a.hermitian)
    return factors.reshape(x.shape), pivots.reshape(x.shape[:-1]), info.reshape(x.shape[:-2])


def _symmetric(shape: Shape, hermitian: bool = False, kind: str = "") -> np.ndarray:
    x: np.ndarray = draw(shape, dtype=np.dtype(kind)) if kind else draw(shape)
    if x.dtype.kind == "c":
        x = x + 1j * draw(shape, seed=1)
    return x + (x.conj() if hermitian else x).swapaxes(-1, -2)


def _ldl_samples() -> Iterable[Sample]:
    for shape in ((3, 3), (5, 5), (2, 3, 3), (0, 2, 2), (1, 1)):
        yield Sample((_symmetric(shape),), LdlAttrs())
    yield Sample((np.array([[0.0, 1], [1, 0]]),), LdlAttrs())
    yield Sample((np.zeros((2, 2)),), LdlAttrs(True))
    yield Sample((np.ones((2, 3)),), LdlAttrs(), error=ShapeError, match="square matrices, but they are 2 by 3")


ldl_factor = define(
    "ldl_factor", family=Family.CONTRACTION, attrs=LdlAttrs, infer=_ldl_type, reference=_ldl, samples=_ldl_samples,
    vjp=NotDifferentiable("pivots jump where two elements are equally large; solve with linalg.solve to differentiate through a system"),
    doc="A = L D L^T (or L^H) of the lower triangle: both factors in one matrix, the pivots, the number of the first zero block (0: none).",
)  # fmt: skip


# ---- systems ----


def _solve_type(a: LdlAttrs, factors: Any, pivots: Any, b: Any) -> tuple[Shape, DType]:
    s, d = check_matrix("linalg.ldl_solve", factors, square=True)
    if b.dtype is not d:
        raise mismatch("linalg.ldl_solve", factors, b)
    if len(b.shape) < 2 or b.shape[-2] != s[-1] or pivots.shape != s[:-1]:
        raise ShapeError(
            f"linalg.ldl_solve: factors {list(s)}, pivots {list(pivots.shape)} and B {list(b.shape)} do not fit: for factors [..., n, n] "
            "the pivots are [..., n] and B is [..., n, k]"
        )
    return (*broadcast(s[:-2], b.shape[:-2]), *b.shape[-2:]), d


def _substitute(a: np.ndarray, pivots: np.ndarray, b: np.ndarray, hermitian: bool) -> None:
    """Writes the solution over `b`: forward through L, through the blocks of D, back through L^T."""
    n, k = len(a), 0
    starts = []
    while k < n:
        steps = 2 if pivots[k] < 0 and k + 1 < n else 1
        last, other = k + steps - 1, abs(int(pivots[k])) - 1
        starts.append((k, last, other))
        b[[last, other]] = b[[other, last]]
        block = slice(k, last + 1)
        b[last + 1 :] -= a[last + 1 :, block] @ b[block]
        d = _block(a, k, steps, hermitian)
        b[block] = np.linalg.inv(d) @ b[block] if steps == 2 else b[block] / d
        k += steps
    for k, last, other in reversed(starts):
        below = a[last + 1 :, k : last + 1].T
        b[k : last + 1] -= (below.conj() if hermitian else below) @ b[last + 1 :]
        b[[last, other]] = b[[other, last]]


def _solve(a: LdlAttrs, factors: np.ndarray, pivots: np.ndarray, b: np.ndarray) -> np.ndarray:
    n, k = b.shape[-2:]
    lead = np.broadcast_shapes(factors.shape[:-2], b.shape[:-2])
    count = int(np.prod(lead))
    wide = np.broadcast_to(factors, (*lead, n, n)).reshape(count, n, n)
    orders = np.broadcast_to(pivots, (*lead, n)).reshape(count, n)
    found = np.broadcast_to(b, (*lead, n, k)).reshape(count, n, k).copy()
    if n and (np.abs(orders).max(initial=1) > n or np.abs(orders).min(initial=1) < 1):
        raise ArgumentError(f"linalg.ldl_solve: pivots count rows from 1 to {n}; give those that linalg.ldl_factor returned")
    with np.errstate(all="ignore"):
        for i in range(count):
            _substitute(wide[i], orders[i], found[i], a.hermitian)
    return found.reshape(*lead, n, k)


def _solve_vjp(g: Node, y: Node, a: LdlAttrs, factors: Node, pivots: Node, b: Node) -> list[Node | None]:
    """The adjoint system: the same one, but of the conjugate if L D L^T is complex."""
    if a.hermitian or b.dtype.kind != "c":
        return [None, None, sum_to(ldl_solve(factors, pivots, g, hermitian=a.hermitian), b.shape)]
    return [None, None, sum_to(conj(ldl_solve(factors, pivots, conj(g), hermitian=False)), b.shape)]


def _solve_samples() -> Iterable[Sample]:
    for shape, right in (((3, 3), (3, 2)), ((2, 4, 4), (4, 1)), ((2, 2), (3, 2, 2)), ((0, 0), (0, 2))):
        factors, pivots, _ = _ldl(LdlAttrs(), _symmetric(shape))
        yield Sample((factors, pivots, draw(right, seed=2)), LdlAttrs(), grad_inputs=(2,))
    factors, pivots, _ = _ldl(LdlAttrs(), np.array([[0.0, 1], [1, 0]]))
    yield Sample((factors, pivots, draw((2, 1), seed=2)), LdlAttrs(), grad_inputs=(2,))
    yield Sample((factors, pivots, np.ones((3, 1))), LdlAttrs(), error=ShapeError, match="do not fit: for factors")
    yield Sample((factors, pivots, np.ones((2, 1), np.float32)), LdlAttrs(), error=RuntimeError, match="same dtype")


ldl_solve = define(
    "ldl_solve", family=Family.CONTRACTION, attrs=LdlAttrs, infer=_solve_type, reference=_solve, vjp=_solve_vjp, samples=_solve_samples,
    doc="X with A X = B, of A's factors and pivots from ldl_factor.",
)  # fmt: skip
