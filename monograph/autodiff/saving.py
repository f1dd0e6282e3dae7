"""What the gradient of an op will read, and hooks on it: torch's `saved_tensors_hooks` for ops that keep no tensors themselves.

An op of ours saves nothing: its gradient reads the nodes it was recorded with, and the compiler chooses what stays in memory. While hooks
are on, each node on the tape is asked, by its own rule and with stand-ins for its values, which of them the gradient reads. Those are
packed at once; the gradient is then computed from what unpacking returns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.autodiff.vjp import pulled, saved
from monograph.core.errors import MonographError
from monograph.core.modes import MODES
from monograph.graph.node import Node, topological
from monograph.ops import source

OUTPUT = -1  # the place of an op's own result among what it saves


class Saver:
    """Called with every node that is recorded while hooks are on. `pack` gets a node without history, `unpack` gives one."""

    def __init__(self, pack: Callable[[Node], Any], unpack: Callable[[Any], Node]) -> None:
        self.pack, self.unpack = pack, unpack
        self._busy = False

    def __call__(self, node: Node) -> None:
        if self._busy or node.dtype is None or MODES.capture is not None or any(x.dtype is None for x in node.inputs):
            return  # ops with several results keep them themselves
        self._busy = True  # what hooks compute is not saved in turn
        try:
            kept = {place: self.pack(_value(node if place == OUTPUT else node.inputs[place])) for place in places_read(node)}
        finally:
            self._busy = False
        if kept:
            node.packed = kept, self.unpack
            saved.add(node)


def places_read(node: Node) -> list[int]:
    """Which inputs (by place; OUTPUT: the result) the gradient of `node` reads, for those inputs that need one."""
    stand = tuple(Node(source.source, (), source.TypeAttrs(x.shape, x.dtype), x.shape, x.dtype, x.requires_grad) for x in node.inputs)
    own = Node(node.op, stand, node.attrs, node.shape, node.dtype, True)
    before, MODES.pending = MODES.pending, []
    grad, MODES.grad = MODES.grad, False
    try:
        found = pulled(own, source.placeholder(node.shape, node.dtype))
    except (MonographError, RuntimeError, ValueError):
        return []  # backward will say why there is no gradient
    finally:
        MODES.pending, MODES.grad = before, grad
    wanted = [g for g, x in zip(found, stand, strict=True) if g is not None and x.requires_grad]
    seen = {id(n) for n in topological(wanted, stop=lambda n: n is own)}
    return [place for place, x in enumerate(stand) if id(x) in seen] + ([OUTPUT] if id(own) in seen else [])


def _value(node: Node) -> Node:
    before, MODES.grad = MODES.grad, False
    try:
        return source.detach(node) if node.requires_grad else node
    finally:
        MODES.grad = before

