"""What reaches a value from all its uses, as one gradient.

The plain sum is `a + b + c`. Two shapes of it are common and cost far more than they need to, and are written otherwise:

* parts of a value used one by one (`unbind`, `split`, `x[:, t]` in a loop): each brings a gradient of the whole size that is zero but for
  its part. Parts that do not overlap are laid side by side instead, which takes one pass where the sum takes one for each part;
* one weight used at every step of a recurrence: each step brings a product the size of the weight with few terms. One product over the
  terms of all steps does the same work without writing and adding that size again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monograph.core.symbol import Sym
from monograph.graph.node import Node
from monograph.ops import contraction, elementwise, movement, source

FEWEST_PRODUCTS = 4


class Contributions:
    """Gradients that have reached one value from several uses, in the order in which they came."""

    __slots__ = ("parts",)

    def __init__(self, first: Node, second: Node) -> None:
        self.parts = [first, second]

    def total(self) -> Node:
        """Their sum."""
        parts = self.parts
        laid = _side_by_side([p for p in parts if _is_part(p)])
        if laid is not None:
            parts = [laid, *[p for p in parts if not _is_part(p)]]
        product = _one_product([p for p in parts if p.op is contraction.matmul])
        if product is not None:
            parts = [product, *[p for p in parts if p.op is not contraction.matmul]]
        total = parts[0]
        for part in parts[1:]:
            total = elementwise.add(total, part)
        return total


def total_of(found: Any) -> Any:
    """A gradient, summed up if it came from several uses."""
    return found.total() if isinstance(found, Contributions) else found


def joined(before: Any, more: Node) -> Any:
    """One contribution more."""
    if isinstance(before, Contributions):
        before.parts.append(more)
        return before
    return Contributions(before, more)


# ---- parts laid side by side ----


def _is_part(g: Node) -> bool:
    if g.op is not movement.pad:
        return False
    a: Any = g.attrs
    amounts = (*a.low, *a.high)
    return a.value == 0 and not any(isinstance(n, Sym) or n < 0 for n in amounts) and 0 not in g.inputs[0].shape


def _side_by_side(parts: Sequence[Node]) -> Node | None:
    """Zero-padded gradients of parts that follow each other along one dim, as one concatenation; None if they overlap or lie otherwise."""
    if len(parts) < 2:
        return None
    padded = {d for p in parts for d, (low, high) in enumerate(zip(p.attrs.low, p.attrs.high, strict=True)) if low or high}  # type: ignore[attr-defined]
    if len(padded) != 1:
        return None
    (dim,) = padded
    pieces: list[Node] = []
    at = 0
    for p in sorted(parts, key=lambda p: p.attrs.low[dim]):  # type: ignore[attr-defined]
        start = p.attrs.low[dim]  # type: ignore[attr-defined]
        if start < at:
            return None
        if start > at:
            pieces.append(_zeros(p, dim, start - at))
        pieces.append(p.inputs[0])
        at = start + p.inputs[0].shape[dim]
    size = parts[0].shape[dim]
    if at < size:
        pieces.append(_zeros(parts[0], dim, size - at))
    return movement.cat(*pieces, dim=dim)


def _zeros(like: Node, dim: int, length: int) -> Node:
    shape = (*like.shape[:dim], length, *like.shape[dim + 1 :])
    return source.constant(0, like.dtype, shape)


# ---- one product over all terms ----


def _one_product(parts: Sequence[Node]) -> Node | None:
    """Products `a_t.T @ b_t` of few terms each as one over the terms of all; None where that would not pay."""
    if len(parts) < FEWEST_PRODUCTS:
        return None
    rows: list[Node] = []
    columns: list[Node] = []
    for p in parts:
        left, right = p.inputs
        if len(p.shape) != 2 or left.op is not movement.permute or len(left.shape) != 2 or left.attrs.dims != (1, 0):  # type: ignore[attr-defined]
            return None
        terms, (m, n) = right.shape[0], p.shape
        if any(isinstance(size, Sym) for size in (terms, m, n)) or not 0 < terms * (m + n) <= m * n:
            return None
        rows.append(left.inputs[0])
        columns.append(right)
    return contraction.matmul(movement.permute(movement.cat(*rows, dim=0), dims=(1, 0)), movement.cat(*columns, dim=0))
