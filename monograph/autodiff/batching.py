"""Batching: a graph recorded for one example, recorded again for a whole batch, with the batch as the first dimension of every value.

Each op is batched by a rule of its kind (`batching_rules.py`): elementwise ops align dimensions, reductions and movements shift them,
products and convolutions take the batch into their own. A composite without a rule is batched through its decomposition. What has
neither is computed example by example and stacked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from monograph.autodiff.batching_rules import RULES, every_example, rule_of_kind
from monograph.core.errors import MonographError
from monograph.core.modes import MODES
from monograph.graph.node import Node, record, topological
from monograph.graph.op import Family
from monograph.ops import movement, source
from monograph.ops.reduce import sum as sum_dims

Redraw = Callable[[Node, Any], tuple[Node, Node]]


class RandomnessError(MonographError):
    """A random op was met where the caller has not said whether examples share their numbers."""


class Batch:
    """The batched values of a traced graph. `place` says what stands for its inputs, `run` records the rest.

    `size` is the number of examples. `is_draw` tells whether a key node was drawn while tracing; `redraw(key, count)` gives fresh numbers
    for all examples; `randomness` is "error", "same" or "different".
    """

    def __init__(
        self, size: Any, randomness: str = "error", is_draw: Callable[[Node], bool] = lambda key: False, redraw: Redraw | None = None
    ) -> None:
        self.size, self.randomness, self.is_draw, self.redraw = size, randomness, is_draw, redraw
        self._known: dict[int, tuple[Node, bool]] = {}
        self._parts: dict[int, tuple[Node, ...]] = {}  # of a decomposed op with several outputs, one example's outputs
        self._joined: dict[int, tuple[Node, ...]] = {}  # of an op computed example by example, its stacked outputs
        self._alive: list[Node] = []  # ids are of living nodes only

    def place(self, node: Node, batched: Node) -> None:
        """`batched` (batch first) stands for `node`."""
        self._keep(node, batched, True)

    def _keep(self, node: Node, new: Node, flag: bool) -> None:
        self._known[id(node)] = (new, flag)
        self._alive.append(node)

    def value(self, node: Node) -> tuple[Node, bool]:
        """What stands for a node that `run` has seen, and whether it is batched (or the same for all examples)."""
        return self._known[id(node)]

    def run(self, outputs: Sequence[Node]) -> None:
        """Records everything that `outputs` need."""
        for node in topological(outputs, stop=lambda n: id(n) in self._known or n.value is not None):
            if id(node) not in self._known:
                self._visit(node)

    def _visit(self, node: Node) -> None:
        if node.value is not None:
            self._keep(node, node, False)
            return
        if node.op is source.project and id(node.inputs[0]) in self._parts:
            part = self._parts[id(node.inputs[0])][node.attrs.index]  # type: ignore[attr-defined]
            self.run([part])
            self._keep(node, *self.value(part))
            return
        if node.op is source.project and id(node.inputs[0]) in self._joined:
            self._keep(node, self._joined[id(node.inputs[0])][node.attrs.index], True)  # type: ignore[attr-defined]
            return
        found = [self._known[id(i)] for i in node.inputs]
        if node.op.family is Family.RANDOM and self._drawn_inside(node):
            self._random(node, found)
            return
        if not any(flag for _, flag in found):
            self._keep(node, node, False)
            return
        enabled = MODES.grad
        MODES.grad = enabled and bool(node.requires_grad)  # what was off the tape for one example stays off it
        try:
            self._keep(node, *self._batched(node, [n for n, _ in found], [f for _, f in found]))
        finally:
            MODES.grad = enabled

    def _batched(self, node: Node, xs: list[Node], flags: list[bool]) -> tuple[Node, bool]:
        if node.op is source.project:
            return source.project(xs[0], index=node.attrs.index), True  # type: ignore[attr-defined]
        if node.op is source.leaf:
            return xs[0], True
        if node.op.name == "custom_function":
            return self._custom(node, xs, flags), True
        rule = RULES.get(node.op.name) or rule_of_kind(node.op)
        if rule is not None:
            new = rule(self, node, xs, flags)
            if new is not None and self._fits(node, new):
                return new, True
        if node.op.decompose is not None:
            return self._decomposed(node)
        return self._one_by_one(node, xs, flags), True

    def _fits(self, node: Node, new: Node) -> bool:
        want = tuple([(self.size, *shape) for shape, _ in node.outputs])
        return tuple([shape for shape, _ in new.outputs]) == want

    def _decomposed(self, node: Node) -> tuple[Node, bool]:
        made = self._quietly(lambda: node.op.decompose(node.attrs, *node.inputs))  # type: ignore[misc]
        if isinstance(made, tuple):
            self._parts[id(node)] = made
            self._alive.extend(made)
            return node, True
        self.run([made])
        return self.value(made)

    @staticmethod
    def _quietly(record_nodes: Callable[[], Any]) -> Any:
        """Nodes for one example are never computed: they do not wait for evaluation."""
        pending = MODES.pending
        MODES.pending = []
        try:
            return record_nodes()
        finally:
            MODES.pending = pending

    def _one_by_one(self, node: Node, xs: list[Node], flags: list[bool]) -> Node:
        """Every example on its own, then stacked."""
        made = []
        for i in range(self.size):
            inputs = [example(x, i) if flag else x for x, flag in zip(xs, flags, strict=True)]
            made.append(record(node.op, tuple(inputs), node.attrs))
        if node.dtype is not None:
            return stacked(made)
        stand_in = tuple(stacked([source.project(m, index=k) for m in made]) for k in range(len(node.outputs)))
        self._joined[id(node)] = stand_in
        return node

    # ---- random numbers ----
    def _drawn_inside(self, node: Node) -> bool:
        return len(node.inputs) >= 2 and self.is_draw(node.inputs[-2])

    def _random(self, node: Node, found: list[tuple[Node, bool]]) -> None:
        if self.randomness == "error":
            raise RandomnessError(
                "vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' "
                "randomness flags on vmap or perform the randomness operation out of vmap"
            )
        given = found[:-2]
        if self.randomness == "same":
            if not any(flag for _, flag in given):
                self._keep(node, node, False)
                return
            if node.op.name == "dropout":  # the mask is shared: it is drawn for one example
                self._keep(node, *self._decomposed(node))
                return
        if node.op.name == "random_permutation":
            made = []
            for _ in range(self.size):
                key, offset = self.redraw(node.inputs[-2], node.numel)  # type: ignore[misc]
                made.append(record(node.op, (key, offset), node.attrs))
            self._keep(node, stacked(made), True)
            return
        key, offset = self.redraw(node.inputs[-2], node.numel * self.size)  # type: ignore[misc]
        inputs = [every_example(self, x, flag) for x, flag in given]
        attrs = node.attrs
        if "shape" in attrs.FIELDS:
            attrs = node.op.attrs(**{**dict(attrs.items()), "shape": (self.size, *node.shape)})  # type: ignore[arg-type]
        self._keep(node, record(node.op, (*inputs, key, offset), attrs), True)

    # ---- custom functions ----
    def _custom(self, node: Node, xs: list[Node], flags: list[bool]) -> Node:
        """A user's autograd.Function: its backward, which is written for one example, is batched when it is asked for."""
        outputs = node.attrs.outputs  # type: ignore[attr-defined]
        inputs = tuple(every_example(self, x, f) if k < outputs else x for k, (x, f) in enumerate(zip(xs, flags, strict=True)))
        new = record(node.op, inputs, node.attrs)
        new.owner = _BatchedBackward(self, node, flags[outputs:])
        return new


class _BatchedBackward:
    """The backward of a custom function (see `Function`), for a batch."""

    def __init__(self, batch: Batch, node: Node, taped: list[bool]) -> None:
        self._batch, self._node, self._taped = batch, node, taped
        self.name, self.saves = node.owner.name, node.owner.saves

    def __call__(self, g: tuple[Node | None, ...]) -> list[Node | None]:
        batch = self._batch
        stand_ins = []
        for part in g:
            one = None if part is None else source.placeholder(part.shape[1:], part.dtype)
            if one is not None and part is not None:
                one.requires_grad = part.requires_grad
                batch.place(one, part)
            stand_ins.append(one)
        found = batch._quietly(lambda: self._node.owner(tuple(stand_ins)))
        batch.run([n for n in found if n is not None])
        results: list[Node | None] = []
        for n, was_batched in zip(found, self._taped, strict=True):
            if n is None:
                results.append(None)
                continue
            full = every_example(batch, *batch.value(n))
            results.append(full if was_batched else sum_dims(full, dims=(0,), keepdim=False))
        return results


def example(x: Node, i: int) -> Node:
    """The i-th example."""
    n = len(x.shape)
    taken = movement.slice(x, starts=(i, *(0,) * (n - 1)), steps=(1,) * n, lengths=(1, *x.shape[1:]))
    return movement.reshape(taken, shape=x.shape[1:])


def stacked(examples: Sequence[Node]) -> Node:
    """Examples along a new first dimension."""
    return movement.stack(*examples, dim=0)
