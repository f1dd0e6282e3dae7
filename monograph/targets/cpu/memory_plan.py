"""Where values live: buffers from outside, or regions of one arena that are used again as soon as their value is dead."""

from __future__ import annotations

from collections.abc import Sequence

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
        self.regions.append((offset, size))
        self.regions.sort()
        merged: list[tuple[int, int]] = []
        for o, s in self.regions:
            if merged and merged[-1][0] + merged[-1][1] == o:
                merged[-1] = (merged[-1][0], merged[-1][1] + s)
            else:
                merged.append((o, s))
        self.regions = merged


def place(steps: Sequence[PlannedStep], fixed: set[Node]) -> tuple[dict[Node | TempBuffer, int], int]:
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
            size = max(ALIGNMENT, (_size(thing) + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)
            if isinstance(thing, Node) and thing in step.writes:
                for old in step.may_reuse:
                    if old not in fixed and last.get(old) == i and held.get(old) == size and old in offsets:
                        offsets[thing], held[thing] = offsets[old], size
                        del held[old]
                        break
            if thing not in offsets:
                offsets[thing], held[thing] = free.take(size), size
        for thing in ending.get(i, ()):
            if thing in held:
                free.give(offsets[thing], held.pop(thing))
    return offsets, free.top


def _size(thing: Node | TempBuffer) -> int:
    return thing.nbytes if isinstance(thing, TempBuffer) else size_of(thing)


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
