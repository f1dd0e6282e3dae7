"""The plain interpreter: walks a graph, inputs before users, and computes each node by its op's reference, else by its decomposition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs
from monograph.core.dtype import from_numpy
from monograph.core.errors import message_of
from monograph.core.modes import MODES
from monograph.core.shape import numel
from monograph.graph.node import Node, provenance, topological
from monograph.graph.op import OpDef
from monograph.ops.source import placeholder
from monograph.ops.source import source as source_op


def run(outputs: Sequence[Node], values: Mapping[Node, np.ndarray]) -> list[Any]:
    """The values of `outputs`, where `values` gives those of inputs (or of any node); a held value is not computed again.

    A node with several outputs yields a tuple of arrays.

    Raises RuntimeError for a source without a value, and whatever an op's reference raises (IndexError for an index out of range), with the
    line that recorded the op.
    """

    def known(node: Node) -> bool:
        return node in values or node.value is not None

    results: dict[Node, Any] = {}
    with np.errstate(all="ignore"):
        for node in topological(outputs, known):
            results[node] = _given(node, values) if known(node) else _compute(node, [results[i] for i in node.inputs])
    return [results[node] for node in outputs]


def apply(op: OpDef, attributes: Attrs, *arrays: np.ndarray) -> Any:
    """What `op` gives for these arrays: an array, or a tuple of them."""
    if op.reference is not None:
        result = op.reference(attributes, *arrays)
        return tuple(map(np.asarray, result)) if isinstance(result, tuple) else np.asarray(result)
    inputs = [placeholder(a.shape, from_numpy(a.dtype)) for a in arrays]
    result = _decomposition(op, attributes, inputs)
    values = run(result if isinstance(result, tuple) else [result], dict(zip(inputs, arrays, strict=True)))
    return tuple(values) if isinstance(result, tuple) else values[0]


def _given(node: Node, values: Mapping[Node, np.ndarray]) -> Any:
    if node in values:
        return np.asarray(values[node])
    return node.value.array(node.shape, node.dtype.np)


def _compute(node: Node, inputs: list[Any]) -> Any:
    if node.op is source_op:
        raise RuntimeError(
            f"an input of type {node.dtype.name}{list(node.shape)} ({numel(node.shape)} elements) has no value: give one in `values`"
        )
    try:
        return apply(node.op, node.attrs, *inputs)
    except (IndexError, ValueError) as error:
        line = provenance(node)
        if line:
            raise type(error)(f"{message_of(error)} (op {node.op.name}, recorded at {line})") from error
        raise


def _decomposition(op: OpDef, attributes: Attrs, inputs: Sequence[Node]) -> Any:
    """The op in simpler ops, recorded apart: these nodes are not the user's and never wait for evaluation."""
    pending, grad = MODES.pending, MODES.grad
    MODES.pending, MODES.grad = [], False
    try:
        return op.decompose(attributes, *inputs)  # type: ignore[misc]  # asked only of composites
    finally:
        MODES.pending, MODES.grad = pending, grad
