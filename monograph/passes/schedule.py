"""schedule: units that free memory run as soon as they can.

The order that a graph is recorded in is that of its results: all gradients of weights come after the whole backward pass, and everything
they read (activations, gradients of activations) would wait for them. Here each unit that takes no more memory than it lets go of is moved
up to where its last input is made. Units that take memory stay in the order they had. The values do not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush

from monograph.graph.node import Node
from monograph.passes.fuse import Unit

SMALL = 4096  # bytes that are nothing: bias corrections, means of rows


def schedule(
    units: Sequence[Unit], reads: Callable[[Unit], Iterable[Node]], writes: Callable[[Unit], Iterable[Node]], nbytes: Callable[[Node], int]
) -> list[Unit]:
    """The units in an order that needs less memory. `nbytes`: of a value that dies with its last reader, 0 of one that lives on."""
    return _Schedule(units, reads, writes, nbytes).run()


class _Schedule:
    def __init__(
        self,
        units: Sequence[Unit],
        reads: Callable[[Unit], Iterable[Node]],
        writes: Callable[[Unit], Iterable[Node]],
        nbytes: Callable[[Node], int],
    ) -> None:
        self.units = units
        self.place = {unit: i for i, unit in enumerate(units)}
        maker = {node: unit for unit in units for node in writes(unit)}
        self.reads = {unit: [n for n in dict.fromkeys(reads(unit)) if n in maker and maker[n] is not unit] for unit in units}
        self.waits = {unit: len({maker[n] for n in self.reads[unit]}) for unit in units}  # for so many units
        self.taken = {unit: sum(nbytes(n) for n in dict.fromkeys(writes(unit))) for unit in units}
        self.nbytes = nbytes
        self.readers: dict[Node, set[Unit]] = {}  # that have not run
        self.followers: dict[Unit, dict[Unit, None]] = {unit: {} for unit in units}
        for unit in units:
            for node in self.reads[unit]:
                self.readers.setdefault(node, set()).add(unit)
                self.followers[maker[node]][unit] = None
        self.done: set[Unit] = set()
        self.order: list[Unit] = []
        self.early: list[tuple[int, int]] = []  # (bytes taken less bytes freed, place) of units that may be moved up

    def run(self) -> list[Unit]:
        for unit in self.units:
            if unit in self.done:
                continue
            self.emit(unit)
            while self.early:
                _, place = heappop(self.early)
                if self.units[place] not in self.done:
                    self.emit(self.units[place])
        return self.order

    def emit(self, unit: Unit) -> None:
        """Runs a unit next, and notes whom that makes ready."""
        self.done.add(unit)
        self.order.append(unit)
        for other in self.followers[unit]:
            self.waits[other] -= 1
            self.consider(other)
        for node in self.reads[unit]:
            left = self.readers[node]
            left.discard(unit)
            if len(left) == 1:
                self.consider(next(iter(left)))

    def consider(self, unit: Unit) -> None:
        if self.waits[unit] or unit in self.done:
            return
        freed = sum(self.nbytes(n) for n in self.reads[unit] if len(self.readers[n]) == 1)
        if self.taken[unit] <= freed + SMALL:
            heappush(self.early, (self.taken[unit] - freed, self.place[unit]))
