"""Plans: a graph of nodes made ready to run, whoever runs it. Uncompiled evaluation, `compile` and loaded artifacts all end here.

A plan is made for one structure with known sizes. `run` takes the buffers of its sources and the numbers of its scalars and gives a buffer
for each output. The target knob decides what kind of plan is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from monograph.core import knobs
from monograph.graph.node import Node
from monograph.passes.graph import extract
from monograph.runtime.buffers import Buffer
from monograph.targets import reference
from monograph.targets.base import KernelInfo


class Plan(Protocol):
    """What every target gives."""

    def run(self, sources: Sequence[Buffer], scalars: Sequence[Any]) -> list[Buffer]:
        """The outputs' values from the sources' values and the scalars' numbers, each in the order the plan was made for."""
        ...


class ExplainedPlan(Plan, Protocol):
    """A plan that can tell what it does (the CPU's can; the reference has nothing to tell)."""

    def describe(self) -> list[KernelInfo]:
        """The kernel calls of one run, in order."""
        ...

    def profile(self, sources: Sequence[Buffer], scalars: Sequence[Any]) -> list[int]:
        """Runs once and returns the nanoseconds of every kernel call."""
        ...


class ReferencePlan:
    """NumPy, op by op: the meaning of a graph."""

    def __init__(self, sources: Sequence[Node], scalars: Sequence[Node], outputs: Sequence[Node]) -> None:
        # Cut loose: the nodes of the user's program get values and lose their inputs as it runs on.
        graph = extract(sources, scalars, outputs)
        self.sources, self.scalars, self.outputs = graph.sources, graph.scalars, graph.outputs

    def run(self, sources: Sequence[Buffer], scalars: Sequence[Any]) -> list[Buffer]:
        """See Plan."""
        values = {n: b.array(n.shape, n.dtype.np) for n, b in zip(self.sources, sources, strict=True)}
        for n, value in zip(self.scalars, scalars, strict=True):
            values[n] = np.asarray(value).astype(n.dtype.np)
        out = []
        for node, array in zip(self.outputs, reference.run(self.outputs, values), strict=True):
            buffer = Buffer(array.nbytes)
            buffer.array(array.shape, node.dtype.np)[...] = array
            out.append(buffer)
        return out


Maker = Callable[[Sequence[Node], Sequence[Node], Sequence[Node]], Plan]


def _cpu(sources: Sequence[Node], scalars: Sequence[Node], outputs: Sequence[Node]) -> Plan:
    # Imported when the first graph is computed: the compiler would cost every `import monograph` a tenth of a second.
    from monograph.targets.cpu.plan import CpuPlan  # noqa: PLC0415

    _makers["cpu"] = CpuPlan
    return CpuPlan(sources, scalars, outputs)


_makers: dict[str, Maker] = {"reference": ReferencePlan, "cpu": _cpu}


def register_target(name: str, maker: Maker) -> None:
    """Makes a target usable: `maker(sources, scalars, outputs)` gives its plans."""
    _makers[name] = maker


def make_plan(sources: Sequence[Node], scalars: Sequence[Node], outputs: Sequence[Node]) -> Plan:
    """A plan of the target that the `target` knob names.

    `sources` are nodes whose values come from outside (op `source`, or any node that is already computed), `scalars` nodes of op `scalar`.
    """
    name = knobs.target.get()
    maker = _makers.get(name)
    if maker is None:
        raise KeyError(f"no target is called {name!r}; there are {', '.join(_makers)}")
    if not knobs.debug.get():
        return maker(sources, scalars, outputs)
    from monograph.engine import ladder  # noqa: PLC0415 - only when debugging: it would cost every import some milliseconds

    ladder.show_graph(sources, outputs)
    plan = maker(sources, scalars, outputs)
    ladder.show_plan(plan)
    return plan
