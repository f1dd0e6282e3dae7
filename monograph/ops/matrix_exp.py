"""The matrix exponential."""

from __future__ import annotations

from typing import Any

import numpy as np

from monograph.graph.node import Node
from monograph.graph.op import Family, OpDef, Sample, Trait, define
from monograph.ops.linalg_solve import inverse_samples
from monograph.ops.matrix_parts import check_matrix, columns, mT, rows_of
from monograph.ops.movement import cat
from monograph.ops.samples import draw
from monograph.ops.source import zeros_like

LINALG = Family.CONTRACTION

PADE = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0, 10559470521600.0, 670442572800.0,
    33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip
PADE_RADIUS = 5.371920351148152


def _matrix_exp(a: Any, x: np.ndarray) -> np.ndarray:
    """Scaling and squaring of Padé's approximant of degree 13 (Higham 2005), in float64."""
    shape = x.shape
    n = shape[-1]
    if not x.size:
        return x.copy()
    m = x.reshape(-1, n, n).astype(np.complex128 if np.iscomplexobj(x) else np.float64)
    size = np.abs(m).sum(-2).max(-1)
    bad = ~np.isfinite(size)
    with np.errstate(all="ignore"):
        doublings = np.where(size > PADE_RADIUS, np.ceil(np.log2(size / PADE_RADIUS)), 0)
    doublings = np.where(bad, 0, doublings).astype(np.int64)
    m = np.where(bad[:, None, None], 0, m) / (2.0**doublings)[:, None, None]
    one = np.eye(n)
    b = PADE
    m2 = m @ m
    m4 = m2 @ m2
    m6 = m2 @ m4
    odd = m @ (m6 @ (b[13] * m6 + b[11] * m4 + b[9] * m2) + b[7] * m6 + b[5] * m4 + b[3] * m2 + b[1] * one)
    even = m6 @ (b[12] * m6 + b[10] * m4 + b[8] * m2) + b[6] * m6 + b[4] * m4 + b[2] * m2 + b[0] * one
    result = np.linalg.solve(even - odd, even + odd)
    with np.errstate(all="ignore"):
        for k in range(int(doublings.max(initial=0))):
            result = np.where((doublings > k)[:, None, None], result @ result, result)
        return np.where(bad[:, None, None], np.nan, result).reshape(shape).astype(x.dtype)


def _matrix_exp_vjp(g: Node, y: Node, a: Any, x: Node) -> list[Any]:
    """The upper right block of exp([[A^T, G], [0, A^T]]) (Mathias 1996)."""
    from_columns, n = len(x.shape) - 1, x.shape[-1]
    t = mT(x)
    top = cat(t, g, dim=from_columns)
    bottom = cat(zeros_like(t), t, dim=from_columns)
    whole = matrix_exp(cat(top, bottom, dim=from_columns - 1))
    return [columns(rows_of(whole, 0, n), n, n)]


matrix_exp: OpDef = define(
    "matrix_exp",
    family=LINALG,
    infer=lambda a, x: check_matrix("linalg.matrix_exp", x, square=True),
    reference=_matrix_exp,
    vjp=_matrix_exp_vjp,
    samples=lambda: [*inverse_samples("linalg.matrix_exp"), Sample((draw((2, 2), -9, 9),), grad_inputs=())],
    traits=[Trait.HOLOMORPHIC],
    doc="The exponential of a square matrix.",
)
