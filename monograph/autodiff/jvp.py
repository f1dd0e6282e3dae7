"""Forward mode: pushes tangents through a graph, node by node, from the inputs to the outputs.

No op has a rule for it. The vjp of an op is linear in its cotangent, so the gradient of the vjp *by its cotangent*, in the direction of a
tangent, is the Jacobian-vector product: for a sum that is the sum of the tangent, for exp it is t * exp(x), for a product of matrices
t_a @ b + a @ t_b. What the transposition records on the way is not used and never computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monograph.autodiff.vjp import gradients, pulled
from monograph.core.modes import MODES
from monograph.graph.node import Node, record, topological
from monograph.ops import elementwise, source


def push_forward(outputs: Sequence[Node], inputs: Sequence[Node], tangents: Sequence[Node]) -> list[Node | None]:
    """The tangents of `outputs` when `inputs` (nodes on the tape) move along `tangents`; None for those that do not move.

    Whether the tangents are themselves on the tape is decided by the grad mode of the caller.
    """
    known: dict[int, Any] = {}
    for node, tangent in zip(inputs, tangents, strict=True):
        before = known.get(id(node))
        known[id(node)] = tangent if before is None else elementwise.add(before, tangent)
    order = topological([o for o in outputs if o.requires_grad], stop=lambda n: not n.requires_grad or id(n) in known)
    for node in order:
        if id(node) in known or not node.requires_grad:
            continue
        if node.op is source.project:
            parts = known.get(id(node.inputs[0]))
            moved = None if parts is None else parts[node.attrs.index]  # type: ignore[attr-defined]
        else:
            along = [known.get(id(i)) for i in node.inputs]
            moved = None if all(t is None for t in along) else _pushed(node, along)
        if moved is not None:
            known[id(node)] = moved
    return [known.get(id(o)) for o in outputs]


def _pushed(node: Node, tangents: list[Node | None]) -> Any:
    """The tangent of a node's output, a tuple of them for a node with several."""
    if node.op is source.leaf:
        return tangents[0]
    push = getattr(node.owner, "push", None)
    if push is not None:  # a custom function with a jvp of its own
        return push(tangents)
    enabled = MODES.grad
    MODES.grad = True
    try:
        seeds = [_seed(shape, dtype) if dtype.kind in "fc" else None for shape, dtype in node.outputs]
        back = pulled(node, tuple(seeds) if node.dtype is None else seeds[0])
        pairs = [(g, t) for g, t in zip(back, tangents, strict=True) if g is not None and t is not None and g.requires_grad]
        MODES.grad = enabled
        wanted = [s for s in seeds if s is not None]
        found = iter(gradients([g for g, _ in pairs], wanted, [t for _, t in pairs], partial=True))
        moved = [None if s is None else next(found) for s in seeds]
    finally:
        MODES.grad = enabled
    if node.dtype is not None:
        return moved[0]
    return None if all(m is None for m in moved) else tuple(moved)


def _seed(shape: Any, dtype: Any) -> Node:
    seed = record(source.clone, (source.constant(0, dtype, shape),))
    seed.requires_grad = True
    return seed
