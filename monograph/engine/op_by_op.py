"""Long graphs that never come again, run op by op.

An episode of a game, a sequence rolled out step by step: the graph has another number of ops each time, so a plan for the whole of it would
be used once, and making it takes longer than running it. Its ops are old acquaintances, though. An `OpByOpPlan` runs them one by one, each
by a plan of its own that is remembered; what only moves numbers about, or computes what NumPy agrees on to the last bit, NumPy does.

What is computed is the same to the last bit; what is lost are fusions. So graphs are run in this way only while long ones keep coming that
differ (`Ledger`), and one that does come again is planned whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from monograph.core.shape import numel
from monograph.engine.interpreting import EXACT
from monograph.engine.plans import Plan
from monograph.graph.node import Node
from monograph.ops import source
from monograph.passes.graph import extract, quiet
from monograph.runtime.buffers import Buffer
from monograph.runtime.regions import Region

LONG = 300  # nodes: shorter graphs are planned soon enough
RUNS = 8  # of a long graph op by op, before it is planned whole
PATIENCE = 3  # long structures in a row that were planned and not met again
LARGE = 1 << 13  # numbers: more of them are worth a plan and threads, whatever the op
PLANS_KEPT = 4000

Finder = Callable[[Sequence[Node], Sequence[Node], Sequence[Node], Sequence[Node]], Plan]
Value = Buffer | Region | np.ndarray


class Ledger:
    """How the plans of long graphs have paid."""

    def __init__(self) -> None:
        self.wasted = 0

    def used_again(self, plan: Plan, nodes: int) -> None:
        """A plan was found for a graph of so many nodes."""
        if nodes >= LONG and self.wasted and type(plan) is not OpByOpPlan:
            self.wasted -= 1

    def avoids(self, nodes: int) -> bool:
        """Whether a graph of so many nodes, of a structure that was never seen, had better not be planned."""
        if nodes < LONG:
            return False
        self.wasted += 1
        return self.wasted > PATIENCE


class _Step(NamedTuple):
    """One op. Values are numbered; `dead` are read here for the last time. `plan` is None for what NumPy computes."""

    plan: Plan | None
    node: Node
    inputs: tuple[int, ...]
    results: tuple[int, ...]
    dead: tuple[int, ...]


class OpByOpPlan:
    """See the module. `find` makes the plans of single ops, `whole` that of a graph that comes more than RUNS times."""

    def __init__(
        self, sources: Sequence[Node], scalars: Sequence[Node], outputs: Sequence[Node], find: Finder, whole: Callable[..., Plan]
    ) -> None:
        self.graph = extract(sources, scalars, outputs)
        self.number: dict[Node, int] = {}
        self.kinds: list[tuple[tuple[int, ...], Any]] = []  # shape and NumPy's dtype by number
        for node in dict.fromkeys((*self.graph.sources, *self.graph.scalars)):
            self._name(node)
        self.steps = self._steps(find)
        self.make_whole = whole
        self.whole: Plan | None = None
        self.runs = 0

    # ---- making ----
    def _name(self, node: Node) -> int:
        self.number[node] = number = len(self.kinds)
        self.kinds.append((node.shape, node.dtype.np))
        return number

    def _steps(self, find: Finder) -> list[_Step]:
        order = [n for n in self.graph.nodes() if n not in self.number]
        projections: dict[Node, list[Node]] = {}
        for node in order:
            if node.op is source.project:
                projections.setdefault(node.inputs[0], []).append(node)
        last: dict[Node, Node] = {}
        for node in order:
            for x in node.inputs:
                last[x] = node
        kept = {*self.graph.outputs, *self.graph.sources, *self.graph.scalars}
        steps = []
        for node in order:
            if node.op is source.project:
                continue
            results = [node] if node.dtype is not None else projections[node]
            inputs = tuple([self.number[x] for x in node.inputs])
            dead = tuple([self.number[x] for x in dict.fromkeys(node.inputs) if last[x] is node and x not in kept])
            small = node.op in EXACT and node.dtype is not None and node.dtype.kind != "c" and _small(node)
            plan = None if small else _plan_of(node, results, find)
            steps.append(_Step(plan, node, inputs, tuple([self._name(r) for r in results]), dead))
        return steps

    # ---- running ----
    def run(self, sources: Sequence[Buffer], scalars: Sequence[Any]) -> list[Buffer]:
        """See engine.plans.Plan."""
        self.runs += 1
        if self.runs > RUNS:  # it does come again
            if self.whole is None:
                self.whole = self.make_whole(self.graph.sources, self.graph.scalars, self.graph.outputs)
                self.steps.clear()
            return self.whole.run(sources, scalars)
        values: list[Any] = [None] * len(self.kinds)
        for node, buffer in zip(self.graph.sources, sources, strict=True):
            values[self.number[node]] = buffer
        for node, value in zip(self.graph.scalars, scalars, strict=True):
            values[self.number[node]] = np.asarray(value).astype(node.dtype.np)
        with np.errstate(all="ignore"):
            for plan, node, inputs, results, dead in self.steps:
                if plan is None:
                    reference: Any = node.op.reference
                    values[results[0]] = np.asarray(reference(node.attrs, *[self._array(values[i], i) for i in inputs]))
                else:
                    made = plan.run([_block(values[i]) for i in inputs], ())
                    for i, buffer in zip(results, made, strict=True):
                        values[i] = buffer
                for i in dead:
                    values[i] = None
        return self._returned(values, sources)

    def _array(self, value: Value, number: int) -> np.ndarray:
        return value if isinstance(value, np.ndarray) else value.array(*self.kinds[number])

    def _returned(self, values: Sequence[Any], sources: Sequence[Buffer]) -> list[Buffer]:
        """The outputs' values, no two in the same memory, and none in that of a source."""
        taken = {id(b) for b in sources}
        out = []
        for node in self.graph.outputs:
            value = values[self.number[node]]
            if isinstance(value, np.ndarray) or id(value) in taken:
                value = _copied(self._array(value, self.number[node]))
            taken.add(id(value))
            out.append(value)
        return out


def _small(node: Node) -> bool:
    return numel(node.shape) <= LARGE and all(numel(x.shape) <= LARGE for x in node.inputs)


def _block(value: Value) -> Any:
    return _copied(value) if isinstance(value, np.ndarray) else value


def _copied(array: np.ndarray) -> Buffer:
    buffer = Buffer(array.nbytes)
    buffer.array(array.shape, array.dtype)[...] = array
    return buffer


def _plan_of(node: Node, results: Sequence[Node], find: Finder) -> Plan:
    """The plan of one op on inputs of these types."""
    wanted = () if node.dtype is not None else tuple([r.attrs.index for r in results])  # type: ignore[attr-defined]
    key = (node.op.number, node.attrs.token, tuple([(x.shape, x.dtype.number) for x in node.inputs]), wanted)
    plan = _plans.get(key)
    if plan is None:
        if len(_plans) >= PLANS_KEPT:
            _plans.clear()
        inputs = [source.placeholder(x.shape, x.dtype) for x in node.inputs]
        with quiet():
            alone = Node(node.op, tuple(inputs), node.attrs, node.shape, node.dtype)
            outputs = [Node(r.op, (alone,), r.attrs, r.shape, r.dtype) for r in results] if node.dtype is None else [alone]
        order = [*inputs, alone, *(outputs if node.dtype is None else ())]
        plan = _plans[key] = find(order, inputs, (), outputs)
    return plan


_plans: dict[Any, Plan] = {}
