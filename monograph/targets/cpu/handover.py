"""Runs in which results take over the memory of values that they replace: a parameter's new value lies where the old one lay.

A training step would otherwise hold every parameter and every number of its optimiser's twice, and write to memory that is in no cache.
Which result may take over which source is a matter of the plan's steps (`heirs`); whether nobody else holds the source is known to the
caller, at each call. Nothing may fail once the first such result is being written: a plan that calls back into Python has no heirs, and the
runner looks for refused indices before (`Program`'s outcome).
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_int64
from typing import Any

from monograph.graph.node import Node
from monograph.runtime.buffers import Buffer
from monograph.runtime.program import HostKernel
from monograph.targets.cpu.steps import ErrorWords, PlannedStep, Ref

Pair = tuple[int, int]  # (number of an output, number of a source)


def last_check(steps: Sequence[PlannedStep]) -> int:
    """The last step that may refuse an index; -1 if none does."""
    return max((i for i, step in enumerate(steps) if any(type(w) is ErrorWords for w in step.words)), default=-1)


def heirs(steps: Sequence[PlannedStep], sources: Sequence[Node], outputs: Sequence[Node]) -> frozenset[Pair]:
    """The pairs of an output and a source that may share memory where they are of equal size (which is not looked at here).

    The source must have been read for the last time when the output is first written, or be read by that very step where it is written.
    """
    if any(isinstance(step.kernel, HostKernel) for step in steps):
        return frozenset()
    first: dict[Node, int] = {}
    last: dict[Node, int] = {}
    for i, step in enumerate(steps):
        for w in step.words:
            if type(w) is Ref:
                first.setdefault(w.node, i)
                last[w.node] = i
    checked = last_check(steps)
    by_type: dict[Any, list[int]] = {}
    for k, node in enumerate(sources):
        by_type.setdefault((node.dtype, len(node.shape)), []).append(k)
    found = set()
    for o, node in enumerate(outputs):
        at = first.get(node, -1)
        if at <= checked:
            continue
        shared = {read for made, read in steps[at].may_reuse if made is node}
        for k in by_type.get((node.dtype, len(node.shape)), ()):
            read = last.get(sources[k], -1)
            if read < at or (read == at and sources[k] in shared):
                found.add((o, k))
    return frozenset(found)


class Handover:
    """One run of a plan in which outputs take over sources: made, then run, then settled by whoever puts the outputs in their place.

    Until it is settled the sources own their memory, so a run that is given up leaves everything as it was.
    """

    __slots__ = ("_addresses", "_keep", "_pairs", "_plan", "_sources", "outputs")

    def __init__(self, plan: Any, sources: Sequence[Buffer], scalars: Sequence[Any], pairs: Sequence[Pair]) -> None:
        self._plan, self._sources, self._pairs = plan, sources, pairs
        self.outputs, self._addresses, self._keep = plan.prepare(sources, scalars, pairs)

    def run(self) -> None:
        """Computes the outputs; raises what a run of the plan raises."""
        self._plan.launch(self._sources, self._addresses, self._keep)

    def settle(self) -> None:
        """The outputs own the memory that they have taken over. May be done twice."""
        for output, source in self._pairs:
            self.outputs[output].take_over(self._sources[source])

    def done(self) -> bool:
        """Whether everything has been computed: asked after an interrupt, which may have come before the run or after."""
        return bool(c_int64.from_address(self._keep[-1].ptr + 16 * len(self._plan.checked)).value)
