"""decompose: composites that the target does not take whole become simpler ops."""

from __future__ import annotations

from collections.abc import Callable

from monograph.graph.node import Node, copy_provenance, record, topological
from monograph.ops import source
from monograph.passes.graph import Graph, rewrite


def decompose(graph: Graph, keeps: Callable[[Node], bool]) -> Graph:
    """Replaces composites by their decompositions, and the composites in these, until only primitives and kept ops are left."""
    parts: dict[Node, tuple[Node, ...]] = {}  # of a composite with several outputs: what its projections become

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        if node.op is source.project and inputs[0] in parts:
            return parts[inputs[0]][node.attrs.index]  # type: ignore[attr-defined]
        if node.op.decompose is None or keeps(node):
            return None
        made = node.op.decompose(node.attrs, *inputs)
        results = expand(node, inputs, made if isinstance(made, tuple) else (made,))
        if not isinstance(made, tuple):
            return results[0]
        # The node itself goes when its projections are replaced; until then it stands for its parts.
        stand_in = Node(node.op, inputs, node.attrs, node.shape, node.dtype)
        parts[stand_in] = results
        return stand_in

    def expand(node: Node, inputs: tuple[Node, ...], made: tuple[Node, ...]) -> tuple[Node, ...]:
        """The decomposition with its own composites decomposed."""
        given = set(inputs)
        new: dict[Node, Node] = {i: i for i in inputs}
        for n in topological(made, stop=given.__contains__):
            if n in new:
                continue
            mapped = tuple([new[i] for i in n.inputs])
            result = rule(n, mapped)
            if result is None:
                result = n if mapped == n.inputs else record(n.op, mapped, n.attrs)
                copy_provenance(node, result)
            new[n] = result
        return tuple([new[m] for m in made])

    return rewrite(graph, rule)
