"""Affine views: which strided walk through which materialised value a chain of movements is.

A `View` reads element `offset + sum(stride_d * i_d)` (in elements) of the row-major value of `root`. Movements compose into one view
without touching data; a reshape that no strides can express is preceded by a copy (`materialise_reshapes`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from monograph.core.shape import contiguous_strides, numel
from monograph.graph.node import Node
from monograph.ops import index, movement, source
from monograph.passes.graph import Graph, rewrite


@dataclass(frozen=True)
class View:
    """A strided walk through the value of `root`."""

    root: Node
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def contiguous(self) -> bool:
        """Whether the walk is the root's own order from its start, whole or in part."""
        want = contiguous_strides(self.shape)
        return all(n == 1 or a == b for n, a, b in zip(self.shape, self.strides, want, strict=True)) or numel(self.shape) == 0

    @property
    def whole(self) -> bool:
        """Whether the walk is the root's value, element for element."""
        return self.offset == 0 and self.contiguous and numel(self.shape) == numel(self.root.shape)


def restride(shape: tuple[int, ...], strides: tuple[int, ...], new: tuple[int, ...]) -> tuple[int, ...] | None:
    """Strides of the same walk in another shape, or None if it is not affine there."""
    if numel(shape) == 0:
        return contiguous_strides(new)
    # Runs of dims that are walked evenly, innermost last: (size, stride of the innermost).
    runs: list[tuple[int, int]] = []
    for n, s in zip(shape, strides, strict=True):
        if n == 1:
            continue
        if runs and runs[-1][1] == n * s:
            runs[-1] = (runs[-1][0] * n, s)
        else:
            runs.append((n, s))
    result = [0] * len(new)
    at = len(new) - 1
    for size, stride in reversed(runs):
        filled = 1
        while filled < size:
            while at >= 0 and new[at] == 1:
                at -= 1
            if at < 0 or size % (filled * new[at]):
                return None
            result[at] = stride * filled
            filled *= new[at]
            at -= 1
    return tuple(result)


_FOLLOWED = (movement.reshape, movement.permute, movement.expand, movement.slice, movement.diagonal, movement.unfold, movement.flip)


def resolve(node: Node, memo: dict[Node, View]) -> View:
    """The view that a node is: of itself unless it is a movement."""
    chain: list[Node] = []
    while node not in memo and node.op in _FOLLOWED:
        chain.append(node)
        node = node.inputs[0]
    found = memo.get(node)
    if found is None:
        found = memo[node] = View(node, node.shape, contiguous_strides(node.shape))
    for step in reversed(chain):
        following = _step(step, found)
        if following is None:
            following = View(step, step.shape, contiguous_strides(step.shape))
        found = memo[step] = following
    return found


def _step(node: Node, v: View) -> View | None:
    op, a = node.op, node.attrs
    if op is movement.reshape:
        strides = restride(v.shape, v.strides, node.shape)
        return None if strides is None else View(v.root, node.shape, strides, v.offset)
    if op is movement.permute:
        return View(v.root, node.shape, tuple(v.strides[d] for d in a.dims), v.offset)  # type: ignore[attr-defined]
    if op is movement.expand:
        lead = len(node.shape) - len(v.shape)
        strides = tuple(0 if i < lead or (v.shape[i - lead] == 1 and n != 1) else v.strides[i - lead] for i, n in enumerate(node.shape))
        return View(v.root, node.shape, strides, v.offset)
    if op is movement.slice:
        offset = v.offset + sum(s * k for s, k in zip(v.strides, a.starts, strict=True))  # type: ignore[attr-defined]
        return View(v.root, node.shape, tuple(s * k for s, k in zip(v.strides, a.steps, strict=True)), offset)  # type: ignore[attr-defined]
    if op is movement.flip:
        offset = v.offset + sum(v.strides[d] * (v.shape[d] - 1) for d in a.dims if v.shape[d])  # type: ignore[attr-defined]
        return View(v.root, node.shape, tuple(-s if i in a.dims else s for i, s in enumerate(v.strides)), offset)  # type: ignore[attr-defined]
    if op is movement.diagonal:
        d1, d2, k = a.dim1, a.dim2, a.offset  # type: ignore[attr-defined]
        rest = [v.strides[i] for i in range(len(v.shape)) if i not in (d1, d2)]
        offset = v.offset + (k * v.strides[d2] if k >= 0 else -k * v.strides[d1])
        return View(v.root, node.shape, (*rest, v.strides[d1] + v.strides[d2]), offset)
    d = a.dim  # type: ignore[attr-defined]
    strides = (*v.strides[:d], v.strides[d] * a.step, *v.strides[d + 1 :], v.strides[d])  # type: ignore[attr-defined]
    return View(v.root, node.shape, strides, v.offset)


def broadcast_to(v: View, shape: tuple[int, ...]) -> View:
    """The view under NumPy's broadcasting."""
    if v.shape == shape:
        return v
    lead = len(shape) - len(v.shape)
    strides = tuple(0 if i < lead or (v.shape[i - lead] == 1 and n != 1) else v.strides[i - lead] for i, n in enumerate(shape))
    return View(v.root, shape, strides, v.offset)


def index_position(node: Node) -> tuple[int, int]:
    """Where the dims of the index tensors lie in the result of an `index` or `index_select`: the first one, and how many."""
    a: Any = node.attrs
    if node.op is index.index_select:
        return a.dim, len(node.shape[:1])
    together = all(q - p == 1 for p, q in zip(a.dims, a.dims[1:], strict=False))
    return a.dims[0] if together else 0, max(len(i.shape) for i in node.inputs[1:])


def index_view(node: Node, v: View) -> View:
    """How the result of an `index` or `index_select` walks one of its index tensors."""
    at, width = index_position(node)
    v = broadcast_to(v, node.shape[at : at + width])
    after = len(node.shape) - at - width
    return View(v.root, (1,) * at + v.shape + (1,) * after, (0,) * at + v.strides + (0,) * after, v.offset)


def materialise_reshapes(graph: Graph) -> Graph:
    """Puts a copy in front of each reshape that strides cannot express."""
    memo: dict[Node, View] = {}

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        if node.op is not movement.reshape:
            return None
        v = resolve(inputs[0], memo)
        return movement.reshape(source.clone(inputs[0]), shape=node.shape) if restride(v.shape, v.strides, node.shape) is None else None

    return rewrite(graph, rule)
