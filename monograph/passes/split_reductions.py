"""split_reductions: a long reduction to few results becomes two, so that all threads and all lanes have work.

Whether and how a reduction is cut depends on its shape alone, so the order of summation, and with it every bit of the result, is the
same in any graph and for any number of threads.
"""

from __future__ import annotations

from monograph.core.shape import numel
from monograph.graph.node import Node
from monograph.ops import movement, reduce
from monograph.passes.graph import Graph, rewrite

FEW_RESULTS = 32  # from here on the results themselves keep the threads busy
LONG = 1 << 14  # shorter reductions are left whole
PIECES = (256, 128, 64, 32, 16, 8, 4, 2)
SPLITTABLE = (reduce.sum, reduce.amax, reduce.amin, reduce.any, reduce.all)


def split_reductions(graph: Graph) -> Graph:
    """sum(x) -> sum(sum(pieces of x)), for sums, maxima and their kin over long contiguous dims."""
    return rewrite(graph, _rule)


def _rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:
    if node.op not in SPLITTABLE:
        return None
    x, dims, keepdim = inputs[0], node.attrs.dims, node.attrs.keepdim  # type: ignore[attr-defined]
    if numel(node.shape) >= FEW_RESULTS or not dims or numel(x.shape) < LONG * max(1, numel(node.shape)):
        return None
    if dims != tuple(range(dims[0], dims[0] + len(dims))):
        return _split_first(node, x, dims, keepdim)
    first, last = dims[0], dims[-1]
    n = numel(x.shape[first : last + 1])
    pieces = next((p for p in PIECES if n % p == 0 and n // p >= 1024), 0)
    if not pieces:
        return None
    cut = movement.reshape(x, shape=(*x.shape[:first], pieces, n // pieces, *x.shape[last + 1 :]))
    partial = node.op(cut, dims=(first + 1,), keepdim=False)
    total = node.op(partial, dims=(first,), keepdim=False)
    return movement.reshape(total, shape=node.shape)


def _split_first(node: Node, x: Node, dims: tuple[int, ...], keepdim: bool) -> Node | None:
    """Reduced dims that are not neighbours (batch and positions of a batch norm): the last ones first, then the rest."""
    run = [dims[-1]]
    while run[0] - 1 in dims:
        run.insert(0, run[0] - 1)
    rest = tuple(d for d in dims if d not in run)
    if numel(tuple(x.shape[d] for d in rest)) < 2:
        return None
    partial = node.op(x, dims=tuple(run), keepdim=True)
    total = node.op(partial, dims=dims, keepdim=False)
    return movement.reshape(total, shape=node.shape)
