"""Which values a loop's results may take over the memory of: those that are read for the last time where the result is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from monograph.graph.node import Node
from monograph.targets.llvm.loop_spec import Instr


class Walked(Protocol):
    """An operand of a loop: a value, and the walk through it."""

    strides: Any
    extras: Any
    itemsize: int
    written: bool

    @property
    def ref(self) -> Any: ...


def takeovers(accesses: Sequence[Walked], instrs: Sequence[Instr], reduced: Sequence[int]) -> list[tuple[Node, Node]]:
    """(written value, read value) pairs that may share memory. `reduced`: the dims that reductions run over.

    Both are walked alike, element by element, and a kernel reads all that it needs of a position before it writes there. Where there are
    reductions it walks each row several times, so the value must not be read in a later walk than the one that writes the result.
    """
    written = [k for k, a in enumerate(accesses) if a.written and (not reduced or any(_moves(a.strides[d]) for d in reduced))]
    if not written:
        return []
    by_node: dict[Node, list[Walked]] = {}
    for a in accesses:
        if not a.written:
            by_node.setdefault(a.ref.node, []).append(a)
    last, stored = _walks(instrs) if reduced else ({}, {})
    operand = {id(a): k for k, a in enumerate(accesses)}
    out = []
    for k in written:
        w = accesses[k]
        for node, mine in by_node.items():
            alike = all(
                a.strides == w.strides and a.ref.offset == w.ref.offset == 0 and not a.extras and a.itemsize == w.itemsize for a in mine
            )
            if alike and all(last.get(operand[id(a)], 0) <= stored.get(k, 0) for a in mine):
                out.append((w.ref.node, node))
    return out


def _moves(stride: Any) -> bool:
    return not (type(stride) is int and stride == 0)


def _walks(instrs: Sequence[Instr]) -> tuple[dict[int, int], dict[int, int]]:
    """The last walk over the rows that reads each operand, and the one that writes it. A walk waits for as many reductions, in a row."""
    depth: list[int] = []
    read: list[set[int]] = []  # the operands that a value is computed from again in each walk that needs it
    last: dict[int, int] = {}
    stored: dict[int, int] = {}
    for instr in instrs:
        walk = max([depth[a] for a in instr.args], default=0)
        needs = set().union(*[read[a] for a in instr.args])
        if instr.op == "load":
            needs.add(instr.attrs[0])
        if instr.op == "reduce" or instr.op == "store":
            for k in needs:
                last[k] = max(last.get(k, 0), walk)
            if instr.op == "store":
                stored[instr.attrs[0]] = walk
            needs = set()
        depth.append(walk + (instr.op == "reduce"))
        read.append(needs)
    return last, stored
