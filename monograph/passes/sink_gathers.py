"""sink_gathers: what is picked from a computed value is computed from what is picked.

`gather(f(x, y), i)` becomes `f(gather(x, i), gather(y, i))` where f works element by element and few elements are picked: the loss of a
classifier then looks up one logit in each row, and the log-probabilities of all classes are never written to memory. No bit changes.
"""

from __future__ import annotations

from monograph.core.shape import numel
from monograph.graph.node import Node, copy_provenance
from monograph.graph.op import Trait
from monograph.ops import index, movement
from monograph.passes.graph import Graph, rewrite

FEWER = 4  # so many times fewer elements must be picked than there are
DEEPEST = 8  # operations looked through, one after another


def sink_gathers(graph: Graph) -> Graph:
    """Moves gathers towards the inputs of the elementwise operations before them."""
    return rewrite(graph, _rule)


def _rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:
    if node.op is not index.gather or FEWER * numel(node.shape) > numel(inputs[0].shape):
        return None
    dim, at = node.attrs.dim, inputs[1]  # type: ignore[attr-defined]
    if any(n != m for d, (n, m) in enumerate(zip(inputs[0].shape, at.shape, strict=True)) if d != dim):
        return None  # (a part of the rows: what is the same along `dim` would have to be cut)
    if not _follows_reduction(inputs[0], dim, inputs[0].shape, DEEPEST):
        return None
    found = _picked(inputs[0], dim, at, inputs[0].shape, DEEPEST)
    if found is not None:
        copy_provenance(node, found)
    return found


def _same_along(x: Node, dim: int, shape: tuple[int, ...]) -> bool:
    """Whether a value, seen as of this shape, is the same along `dim`."""
    missing = len(shape) - len(x.shape)
    if dim < missing or (x.shape[dim - missing] == 1 and shape[dim] != 1):
        return True
    return x.op is movement.expand and _same_along(x.inputs[0], dim, shape)


def _looked_through(x: Node, shape: tuple[int, ...], depth: int) -> bool:
    return bool(x.shape == shape and depth and Trait.POINTWISE in x.op.traits and not x.op.checks_values and x.inputs)


def _follows_reduction(x: Node, dim: int, shape: tuple[int, ...], depth: int) -> bool:
    """Whether the value is computed from a computed one that is the same along `dim`: else it would be in memory anyway."""
    if not _looked_through(x, shape, depth):
        return False
    if any(_same_along(i, dim, shape) and _unexpanded(i).inputs for i in x.inputs):
        return True
    return any(_follows_reduction(i, dim, shape, depth - 1) for i in x.inputs)


def _picked(x: Node, dim: int, at: Node, shape: tuple[int, ...], depth: int) -> Node | None:
    """The elements of x, seen as of this shape, at the positions `at` along `dim`; None where x is the same along it."""
    if _same_along(x, dim, shape):
        return None
    if _looked_through(x, shape, depth):
        picked = [_picked(i, dim, at, shape, depth - 1) for i in x.inputs]
        if any(p is not None for p in picked):
            given = [_unexpanded(i) if p is None else p for i, p in zip(x.inputs, picked, strict=True)]
            return x.op(*given, **dict(x.attrs.items()))
    if x.op is movement.reshape and x.shape == shape and depth and _keeps_rows(x, dim):
        inner = x.inputs[0].shape
        found = _picked(x.inputs[0], len(inner) - 1, movement.reshape(at, shape=(*inner[:-1], at.shape[-1])), inner, depth - 1)
        return found if found is None else movement.reshape(found, shape=at.shape)
    return index.gather(x if x.shape == shape else movement.expand(x, shape=shape), at, dim=dim)


def _keeps_rows(x: Node, dim: int) -> bool:
    """Whether a reshape leaves the last dim, which is the one that is picked along, as it is."""
    inner = x.inputs[0].shape
    return dim == len(x.shape) - 1 and len(inner) > 1 and inner[-1] == x.shape[-1]


def _unexpanded(x: Node) -> Node:
    """A value that is the same along the dim, without what `expand` made of it: it broadcasts against what is picked."""
    while x.op is movement.expand:
        x = x.inputs[0]
    return x
