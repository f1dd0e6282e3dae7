"""decompose: composites that the target does not take whole become simpler ops."""

from __future__ import annotations

from collections.abc import Callable

from monograph.graph.node import Node, copy_provenance, topological
from monograph.ops import source
from monograph.passes.graph import Graph, rewrite


def decompose(graph: Graph, keeps: Callable[[Node], bool]) -> Graph:
    """Replaces composites, again and again, until only primitives and ops that the target keeps are left."""
    parts: dict[Node, tuple[Node, ...]] = {}

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        if node.op is source.project and inputs[0] in parts:
            return parts[inputs[0]][node.attrs.index]  # type: ignore[attr-defined]
        if node.op.decompose is None or keeps(node):
            return None
        made = node.op.decompose(node.attrs, *inputs)
        if isinstance(made, tuple):
            # The node itself goes when its projections are replaced; until then it stands for its parts.
            stand_in = node if inputs == node.inputs else Node(node.op, inputs, node.attrs, node.shape, node.dtype)
            parts[stand_in] = made
            return stand_in
        for new in topological([made], stop=lambda n: n in inputs):
            if new not in inputs:
                copy_provenance(node, new)
        return made

    while True:
        before = graph
        graph = rewrite(graph, rule)
        if graph.outputs == before.outputs:
            return graph
        if not any(n.op.decompose is not None and not keeps(n) for n in graph.nodes()):
            return graph
