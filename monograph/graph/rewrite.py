"""Functional rewriting: a new graph from an old one, bottom up. Nothing is changed in place; what is not replaced is shared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from monograph.core.modes import MODES
from monograph.graph.node import Node, copy_provenance, record, topological

Replace = Callable[[Node, tuple[Node, ...]], Node | None]


@contextmanager
def apart() -> Iterator[None]:
    """Nodes recorded inside are nobody's pending work, and no gradients are recorded for them."""
    pending, grad, anomaly = MODES.pending, MODES.grad, MODES.anomaly
    MODES.pending, MODES.grad, MODES.anomaly = [], False, False
    try:
        yield
    finally:
        MODES.pending, MODES.grad, MODES.anomaly = pending, grad, anomaly


def rebuild(outputs: Sequence[Node], replace: Replace) -> list[Node]:
    """The outputs of the rewritten graph, each node visited once, inputs before users.

    `replace(node, new_inputs)` returns what stands for `node` from now on, or None to keep it: unchanged where its inputs are, else the
    same op on the new inputs, its type inferred again. Nodes that hold a value are leaves: their history is not followed. No recursion, so
    graphs may be of any depth; the result is off the tape.
    """
    new: dict[int, Node] = {}
    with apart():
        for node in topological(outputs, _has_value):
            inputs = () if node.value is not None else tuple([new[id(i)] for i in node.inputs])
            made = replace(node, inputs)
            if made is None:
                made = (
                    node
                    if node.value is not None or all(a is b for a, b in zip(inputs, node.inputs, strict=True))
                    else record(node.op, inputs, node.attrs)
                )
            if made is not node:
                copy_provenance(node, made)
            new[id(node)] = made
    return [new[id(n)] for n in outputs]


def _has_value(node: Node) -> bool:
    return node.value is not None
