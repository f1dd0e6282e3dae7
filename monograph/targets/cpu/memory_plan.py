"""Where values live: buffers from outside, or regions of one arena that are used again as soon as their value is dead."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monograph.graph.node import Node
from monograph.targets.cpu.steps import PlannedStep, Ref
from monograph.targets.llvm.kernels.call import TempBuffer

ALIGNMENT = 64


def size_of(node: Node) -> int:
    """Bytes of a node's stored value."""
    count = node.dtype.itemsize
    for n in node.shape:
        count *= n
    return count


class KnownSizes:
    """How large values are. The default: as large as their nodes say; a plan made from a template brings what its symbols are."""

    def __init__(self, nbytes: Mapping[Node, int] | None = None, number: Callable[[Any], int] = int) -> None:
        self._nbytes = {} if nbytes is None else nbytes
        self.number = number  # of a dim

    def of(self, node: Node) -> int:
        """Bytes of a node's stored value."""
        found = self._nbytes.get(node)
        return size_of(node) if found is None else found


class _Free:
    """Free regions of the arena, by offset."""

    def __init__(self) -> None:
        self.regions: list[tuple[int, int]] = []  # (offset, size)
        self.top = 0

    def take(self, size: int) -> int:
        best = None
        for i, (_, have) in enumerate(self.regions):
            if have >= size and (best is None or have < self.regions[best][1]):
                best = i
        if best is None:
            if self.regions and self.regions[-1][0] + self.regions[-1][1] == self.top:
                offset, _ = self.regions.pop()
            else:
                offset = self.top
            self.top = offset + size
            return offset
        offset, have = self.regions.pop(best)
        if have > size:
            self.regions.insert(best, (offset + size, have - size))
        return offset

    def give(self, offset: int, size: int) -> None:
        regions = self.regions  # in order, no two of them neighbours
        at = bisect(regions, (offset, size))
        if at < len(regions) and regions[at][0] == offset + size:
            size += regions.pop(at)[1]
        if at and sum(regions[at - 1]) == offset:
            at -= 1
            before, more = regions.pop(at)
            offset, size = before, size + more
        regions.insert(at, (offset, size))


def place(steps: Sequence[PlannedStep], fixed: set[Node], sizes: KnownSizes) -> tuple[dict[Node | TempBuffer, int], int]:
    """Arena offsets of every value that is not `fixed` (an input or output), and the arena's size.

    A step's result takes over the memory of an input that dies there, where the step allows it.
    """
    last: dict[Node | TempBuffer, int] = {}
    touched = [_touched(step) for step in steps]
    for i, things in enumerate(touched):
        for thing in things:
            if thing not in fixed:
                last[thing] = i
    free = _Free()
    offsets: dict[Node | TempBuffer, int] = {}
    held: dict[Node | TempBuffer, int] = {}
    ending: dict[int, list[Node | TempBuffer]] = {}
    for thing, i in last.items():
        ending.setdefault(i, []).append(thing)
    for i, step in enumerate(steps):
        for thing in touched[i]:
            if thing in fixed or thing in offsets:
                continue
            nbytes = thing.nbytes if type(thing) is TempBuffer else sizes.of(thing)  # type: ignore[arg-type]
            size = max(ALIGNMENT, (nbytes + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)
            if isinstance(thing, Node) and thing in step.writes:
                for written, old in step.may_reuse:
                    if written is thing and old not in fixed and last.get(old) == i and held.get(old) == size and old in offsets:
                        offsets[thing], held[thing] = offsets[old], size
                        del held[old]
                        break
            if thing not in offsets:
                offsets[thing], held[thing] = free.take(size), size
        for thing in ending.get(i, ()):
            if thing in held:
                free.give(offsets[thing], held.pop(thing))
    return offsets, free.top


def _touched(step: PlannedStep) -> list[Node | TempBuffer]:
    out: dict[Node | TempBuffer, None] = {}
    for w in step.words:
        kind = type(w)
        if kind is int:
            continue
        if kind is Ref:
            out[w.node] = None
        elif kind is TempBuffer:
            out[w] = None
    return list(out)
