"""The verifier that stands between passes: a graph that passes it is well formed and well typed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from monograph.core.errors import MonographError
from monograph.graph.node import Node, provenance
from monograph.graph.op import REGISTRY
from monograph.graph.rewrite import apart


class GraphError(MonographError):
    """A graph that breaks a rule: a fault of the pass that made it."""


def verify(outputs: Sequence[Node], level: int = 2, inputs: Iterable[Node] | None = None) -> None:
    """Raises GraphError naming the first node that breaks a rule.

    Level 1: no cycles, every op is in the vocabulary, every source has a value (or is one of `inputs`, if given). Level 2: each node's type
    is what its op's own rule says of its inputs' types. Level 0 checks nothing.
    """
    if level < 1:
        return
    allowed = None if inputs is None else {id(n) for n in inputs}
    order = _acyclic(outputs)
    for node in order:
        if REGISTRY.get(node.op.name) is not node.op:
            raise GraphError(f"{_called(node)} has an op that is not in the vocabulary")
        if node.op.name == "source" and node.value is None and allowed is not None and id(node) not in allowed:
            raise GraphError(f"{_called(node)} is a placeholder without a value that is no input of the graph")
    if level >= 2:
        with apart():
            for node in order:
                if node.value is None:
                    _check_type(node)


def _check_type(node: Node) -> None:
    try:
        shape, dtype = node.op.infer(node.attrs, *node.inputs)
    except Exception as error:
        raise GraphError(f"{_called(node)} is refused by its op's own rule: {error}") from error
    if (shape, dtype) != (node.shape, node.dtype):
        raise GraphError(f"{_called(node)} is recorded as {node.dtype}{node.shape}, but its op's rule says {dtype}{shape}")


def _called(node: Node) -> str:
    line = provenance(node)
    ins = ", ".join(repr(i) for i in node.inputs)
    return f"node {node!r} = {node.op.name}({ins}) {node.attrs}" + (f", recorded at {line}," if line else "")


def _acyclic(outputs: Sequence[Node]) -> list[Node]:
    """Inputs before users; a node that is its own ancestor is an error."""
    order: list[Node] = []
    state: dict[int, bool] = {}  # False: being visited, True: done
    stack: list[tuple[Node, bool]] = [(n, False) for n in outputs]
    while stack:
        node, finished = stack.pop()
        if finished:
            state[id(node)] = True
            order.append(node)
            continue
        if id(node) in state:
            continue
        state[id(node)] = False
        stack.append((node, True))
        if node.value is None:
            for i in node.inputs:
                if state.get(id(i)) is False:
                    raise GraphError(f"{_called(node)} is part of a cycle")
                if id(i) not in state:
                    stack.append((i, False))
    return order
