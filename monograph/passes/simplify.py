"""simplify: rules that take work away and never change a bit of the result; equal work is done once."""

from __future__ import annotations

from typing import Any

from monograph.core.shape import numel
from monograph.graph.node import Node, copy_provenance
from monograph.graph.op import Trait
from monograph.ops import elementwise, movement, reduce, source
from monograph.passes.graph import Graph, rewrite


def _constant(node: Node) -> Any:
    """The value of a constant node, else None."""
    while node.op is movement.expand or node.op is movement.reshape:
        node = node.inputs[0]
    return node.attrs.value if node.op is source.full else None  # type: ignore[attr-defined]


def _is_one(node: Node) -> bool:
    value = _constant(node)
    return value is not None and value == 1 and not isinstance(value, complex)


def _rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:
    op = node.op
    if op is elementwise.mul:
        a, b = inputs
        if _is_one(b) and a.shape == node.shape:
            return a
        if _is_one(a) and b.shape == node.shape:
            return b
    elif op is elementwise.div:
        if _is_one(inputs[1]) and inputs[0].shape == node.shape:
            return inputs[0]
    elif op is elementwise.cast:
        if inputs[0].dtype is node.dtype:
            return inputs[0]
    elif op is source.detach:  # a decomposition may have left one; gradients are taken by now
        return inputs[0]
    elif op is movement.reshape:
        x = inputs[0]
        if x.shape == node.shape:
            return x
        if x.op is movement.reshape:
            return x.inputs[0] if x.inputs[0].shape == node.shape else movement.reshape(x.inputs[0], shape=node.shape)
    elif op is movement.expand:
        x = inputs[0]
        if x.shape == node.shape:
            return x
        if x.op is movement.expand:
            return movement.expand(x.inputs[0], shape=node.shape)
    elif op is movement.permute:
        x = inputs[0]
        dims = node.attrs.dims  # type: ignore[attr-defined]
        if dims == tuple(range(len(dims))):
            return x
        if x.op is movement.permute:
            both = tuple(x.attrs.dims[d] for d in dims)  # type: ignore[attr-defined]
            return x.inputs[0] if both == tuple(range(len(dims))) else movement.permute(x.inputs[0], dims=both)
    elif op in (reduce.sum, reduce.prod, reduce.amax, reduce.amin):
        x = inputs[0]
        if all(x.shape[d] == 1 for d in node.attrs.dims):  # type: ignore[attr-defined]
            return x if x.shape == node.shape else movement.reshape(x, shape=node.shape)
    elif op in (reduce.any, reduce.all):
        x = inputs[0]
        if all(x.shape[d] == 1 for d in node.attrs.dims):  # type: ignore[attr-defined]
            y = x if x.dtype is node.dtype else elementwise.cast(x, dtype=node.dtype)
            return y if y.shape == node.shape else movement.reshape(y, shape=node.shape)
    elif op in (reduce.argmax, reduce.argmin):
        d = node.attrs.dim  # type: ignore[attr-defined]
        if numel(inputs[0].shape if d is None else inputs[0].shape[d : d + 1]) == 1:
            return source.constant(0, node.dtype, node.shape)
    elif op is movement.slice:
        cut: Any = node.attrs
        if inputs[0].shape == node.shape and not any(cut.starts) and all(s == 1 for s in cut.steps):
            return inputs[0]
    return None


def simplify(graph: Graph) -> Graph:
    """Identities go (multiplying by one, casts and movements that do nothing, movements of movements), and equal nodes become one node."""
    seen: dict[Any, Node] = {}

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        simpler = _rule(node, inputs)
        if simpler is not None:
            return seen.setdefault((simpler.op, simpler.attrs, simpler.inputs, simpler.dtype), simpler) if _mergeable(simpler) else simpler
        if not _mergeable(node):
            return None
        key = (node.op, node.attrs, inputs, node.dtype)
        found = seen.get(key)
        if found is None:
            found = seen[key] = node if inputs == node.inputs else Node(node.op, inputs, node.attrs, node.shape, node.dtype)
            if found is not node:
                copy_provenance(node, found)
        return found

    return rewrite(graph, rule)


def _mergeable(node: Node) -> bool:
    return Trait.IMPURE not in node.op.traits and node.op is not source.scalar
