"""What passes work on: a graph cut loose from the user's program, and the one way to rewrite it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from monograph.core.modes import MODES
from monograph.graph.node import Node, copy_provenance, record, topological
from monograph.graph.op import Trait
from monograph.ops import source


@dataclass(frozen=True)
class Graph:
    """`sources` and `scalars` are placeholders for what comes from outside; `outputs` may repeat and may be sources."""

    sources: tuple[Node, ...]
    scalars: tuple[Node, ...]
    outputs: tuple[Node, ...]

    def nodes(self) -> list[Node]:
        """All nodes, inputs before users."""
        return topological(self.outputs)


@contextmanager
def quiet() -> Iterator[None]:
    """Nodes recorded inside belong to a compilation, not to the user's program: no tape, nothing pending."""
    grad, pending, anomaly = MODES.grad, MODES.pending, MODES.anomaly
    MODES.grad, MODES.pending, MODES.anomaly = False, [], False
    try:
        yield
    finally:
        MODES.grad, MODES.pending, MODES.anomaly = grad, pending, anomaly


def extract(sources: Sequence[Node], scalars: Sequence[Node], outputs: Sequence[Node]) -> Graph:
    """The graph between live nodes, cut loose: values become placeholders, roles (leaf, detach, clone, custom functions) fall away."""
    made: dict[Node, Node] = {}
    for s in sources:
        made[s] = source.placeholder(s.shape, s.dtype)
    for s in scalars:
        made[s] = source.number(0, s.dtype)
    for node in topological(outputs, stop=lambda n: n in made):
        if node in made:
            continue
        inputs = tuple([made[i] for i in node.inputs])
        if Trait.ALIAS in node.op.traits:
            if node.op is source.project and Trait.ALIAS in node.inputs[0].op.traits:
                made[node] = made[node.inputs[0].inputs[node.attrs.index]]  # type: ignore[attr-defined]
                continue
            if node.op is not source.project:
                made[node] = inputs[0]
                continue
        new = Node(node.op, inputs, node.attrs, node.shape, node.dtype)
        copy_provenance(node, new)
        made[node] = new
    return Graph(tuple(made[s] for s in sources), tuple(made[s] for s in scalars), tuple(made[o] for o in outputs))


def rewrite(graph: Graph, rule: Callable[[Node, tuple[Node, ...]], Node | None]) -> Graph:
    """The graph with every node, from the sources on, replaced by `rule(node, new inputs)`; None keeps it (on its new inputs)."""
    made: dict[Node, Node] = {}
    for node in graph.nodes():
        inputs = tuple([made[i] for i in node.inputs])
        new = rule(node, inputs)
        if new is None:
            new = node if inputs == node.inputs else record(node.op, inputs, node.attrs)
            if new is not node:
                copy_provenance(node, new)
        made[node] = new
    return Graph(graph.sources, graph.scalars, tuple(made.get(o, o) for o in graph.outputs))


Rule = Callable[[Node, tuple[Node, ...]], Any]
