"""Small graphs computed op by op in NumPy, without a plan, while samples are made.

Pictures of a folder have any size, are cut at any place and mirrored by chance: a plan would hardly be used twice, and looking for one
costs more than the work. Only ops whose result NumPy and machine code agree on to the last bit, so nobody can tell which of them computed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monograph.graph.node import Node, topological
from monograph.graph.op import REGISTRY
from monograph.runtime.buffers import Buffer

EXACT = frozenset(REGISTRY[name] for name in (
    "scalar", "full", "detach", "clone", "reshape", "permute", "expand", "slice", "slice_scatter", "pad", "flip", "cat", "roll", "tril",
    "triu", "neg", "abs", "sign", "square", "sqrt", "floor", "ceil", "round", "trunc", "add", "sub", "mul", "div", "maximum",
    "minimum", "where", "cast", "clamp", "eq", "ne", "lt", "le", "gt", "ge", "isnan", "logical_not", "logical_and", "logical_or",
    "logical_xor",
))  # fmt: skip
MOST_NODES = 64


def _has_value(node: Node) -> bool:
    return node.value is not None


def interpreted(wanted: Sequence[Node]) -> bool:
    """Computes `wanted` in NumPy if all that they need is a few exact ops on real numbers, outside of any tape; says whether."""
    order = topological(wanted, stop=_has_value)
    if len(order) > MOST_NODES:
        return False
    for node in order:
        if node.value is None and (node.op not in EXACT or node.requires_grad or node.dtype is None or node.dtype.kind == "c"):
            return False
    arrays: dict[Node, np.ndarray] = {}
    with np.errstate(all="ignore"):
        for node in order:
            value = node.value
            if value is not None:
                arrays[node] = value.array(node.shape, node.dtype.np)
            else:
                arrays[node] = node.op.reference(node.attrs, *[arrays[i] for i in node.inputs])  # type: ignore[misc]  # all exact ops have one
    for node in wanted:
        array = np.asarray(arrays[node], node.dtype.np)
        if array.base is None and array.flags.c_contiguous:
            node.value = Buffer.from_array(array)
        else:  # a view of other memory is copied: no two values may lie in the same place
            node.value = Buffer(array.nbytes)
            node.value.array(array.shape, array.dtype)[...] = array
        node.inputs = ()
    return True
