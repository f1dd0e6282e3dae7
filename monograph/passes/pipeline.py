"""The order of passes: a list that can be printed, each entry with what it promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from monograph.core import knobs
from monograph.graph.node import Node
from monograph.graph.verify import verify
from monograph.passes.decompose import decompose
from monograph.passes.graph import Graph, quiet
from monograph.passes.simplify import simplify
from monograph.passes.sink_gathers import sink_gathers
from monograph.passes.split_reductions import split_reductions


@dataclass(frozen=True)
class Pass:
    """One step of the pipeline: what it needs to hold before, and what holds after."""

    name: str
    run: Callable[[Graph], Graph]
    needs: frozenset[str] = frozenset()
    gives: frozenset[str] = frozenset()


def pipeline(keeps: Callable[[Node], bool]) -> list[Pass]:
    """The graph-to-graph passes for a target that keeps some composites whole."""
    return [
        Pass("simplify", simplify),
        Pass("decompose", lambda g: decompose(g, keeps), gives=frozenset({"primitive"})),
        Pass("sink_gathers", sink_gathers, needs=frozenset({"primitive"})),
        Pass("split_reductions", split_reductions, needs=frozenset({"primitive"})),
        Pass("simplify", simplify, needs=frozenset({"primitive"})),
    ]


def optimise(graph: Graph, passes: Sequence[Pass], watch: Callable[[str, Graph], None] | None = None) -> Graph:
    """Runs the passes in order. `watch(name, graph)` sees every stage. The `verify` knob checks each one."""
    known: set[str] = set()
    checking = knobs.verify.get()
    with quiet():
        for step in passes:
            lacking = step.needs - known
            if lacking:
                raise ValueError(
                    f"pass {step.name} needs {sorted(lacking)}, which no earlier pass gives: the order of the pipeline is wrong"
                )
            graph = step.run(graph)
            known |= step.gives
            if checking:
                verify(graph.outputs)
            if watch is not None:
                watch(step.name, graph)
    return graph
