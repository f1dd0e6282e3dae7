"""LU factorization with row exchanges, of square, tall and wide matrices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from monograph.core.dtype import dtype as DType
from monograph.core.dtype import int32
from monograph.graph.node import Node
from monograph.graph.op import Family, Sample, Trait, define
from monograph.ops.compare import eq
from monograph.ops.elementwise import add, cast
from monograph.ops.linalg_solve import solve_triangular
from monograph.ops.matrix_parts import check_matrix, column, columns, matrix_errors, mT, product, rows_of, with_diagonal
from monograph.ops.movement import cat, tril, triu
from monograph.ops.samples import draw
from monograph.ops.source import arange, constant, project

LINALG = Family.CONTRACTION
Types = tuple[Any, DType | None]

# ---- LU ----


def _lu_type(a: Any, x: Any) -> Types:
    s, d = check_matrix("linalg.lu_factor", x)
    k = s[-2] if s[-2] < s[-1] else s[-1]
    return ((s, d), ((*s[:-2], k), int32), ((*s[:-2], s[-2]), int32)), None


def _size(column: np.ndarray) -> np.ndarray:
    """What the pivot is the largest of: |x|, of complex numbers |re| + |im|, as LAPACK chooses."""
    return np.abs(column.real) + np.abs(column.imag) if np.iscomplexobj(column) else np.abs(column)


def _lu(a: Any, x: np.ndarray) -> tuple[np.ndarray, ...]:
    """Elimination with row exchanges, a column at a time for all matrices of the batch."""
    m, n = x.shape[-2:]
    lu = x.reshape(-1, m, n).copy()
    batch, k = len(lu), min(m, n)
    every = np.arange(batch)
    pivots = np.zeros((batch, k), np.int32)
    rows = np.broadcast_to(np.arange(m, dtype=np.int32), (batch, m)).copy()
    with np.errstate(all="ignore"):
        for j in range(k):
            p = j + np.argmax(_size(lu[:, j:, j]), -1)
            pivots[:, j] = p + 1
            for table in (lu, rows):
                upper = table[every, j].copy()
                table[every, j] = table[every, p]
                table[every, p] = upper
            d = lu[:, j, j][:, None]
            factors = np.where(d == 0, 0, lu[:, j + 1 :, j] / np.where(d == 0, 1, d))
            lu[:, j + 1 :, j] = factors
            lu[:, j + 1 :, j + 1 :] -= factors[:, :, None] * lu[:, None, j, j + 1 :]
    lead = x.shape[:-2]
    return lu.reshape(x.shape), pivots.reshape(*lead, k), rows.reshape(*lead, m)


def _lu_vjp(g: Any, y: Node, a: Any, x: Node) -> list[Any]:
    gf = g[0]
    if gf is None:
        return [None]
    factors, order = project(y, index=0), project(y, index=2)
    m, n = x.shape[-2:]
    k = m if m < n else n
    square = columns(rows_of(factors, 0, k), 0, k)
    lower = with_diagonal(tril(square, diagonal=-1), _ones(square))
    upper = triu(square, diagonal=0)
    gs = columns(rows_of(gf, 0, k), 0, k)
    gl, gu = tril(gs, diagonal=-1), triu(gs, diagonal=0)
    below = beside = None
    if m > n:  # the rows below: L2 = A2 U^-1
        below = mT(solve_triangular(upper, mT(rows_of(gf, k, m - k)), upper=True, unitriangular=False))
        gu = gu - triu(product(mT(rows_of(factors, k, m - k)), below), diagonal=0)
    if n > m:  # the columns beside: U2 = L^-1 A2
        beside = solve_triangular(mT(lower), columns(gf, k, n - k), upper=True, unitriangular=True)
        gl = gl - tril(product(beside, mT(columns(factors, k, n - k))), diagonal=-1)
    inner = add(tril(product(mT(lower), gl), diagonal=-1), triu(product(gu, mT(upper)), diagonal=0))
    left = solve_triangular(mT(lower), inner, upper=True, unitriangular=True)
    ga = mT(solve_triangular(upper, mT(left), upper=True, unitriangular=False))
    if below is not None:
        ga = cat(ga, below, dim=len(x.shape) - 2)
    if beside is not None:
        ga = cat(ga, beside, dim=len(x.shape) - 1)
    return [_unpermute(ga, order)]


def _ones(square: Node) -> Node:
    return constant(1, square.dtype, square.shape[:-1])


def _unpermute(ga: Node, order: Node) -> Node:
    """P^T times `ga`: row i of `ga` belongs to row order[i] of A."""
    places = arange(start=0, step=1, length=order.shape[-1], dtype=int32)
    return product(mT(cast(eq(column(order), places), dtype=ga.dtype)), ga)


def _lu_samples() -> Iterable[Sample]:
    for shape in ((3, 3), (4, 2), (2, 4), (2, 3, 3), (0, 2, 2)):
        yield Sample((draw(shape),))
    yield Sample((np.ones((2, 2)),), grad_inputs=())
    yield Sample((draw((3, 2), dtype=np.float32),), grad_inputs=(), tolerance=1e-4)
    yield from matrix_errors("linalg.lu_factor")


lu_factor = define(
    "lu_factor",
    family=LINALG,
    infer=_lu_type,
    reference=_lu,
    vjp=_lu_vjp,
    samples=_lu_samples,
    traits=[Trait.HOLOMORPHIC],
    doc="P A = L U: both factors in one matrix, the row exchanges (from 1, as LAPACK tells them) and the order of rows they lead to.",
)
