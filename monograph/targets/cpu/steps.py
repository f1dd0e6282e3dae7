"""What lowering produces: steps on values, before memory is laid out and kernels are compiled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from monograph.graph.node import Node
from monograph.runtime.program import HostKernel
from monograph.targets.llvm.kernels.call import ConstBuffer, KernelSource, TempBuffer


@dataclass(frozen=True)
class Ref:
    """The address of a node's stored value, plus some bytes. `SCALARS` is where the run-time numbers of a call lie."""

    node: Node
    offset: int = 0


@dataclass(frozen=True)
class ErrorWords:
    """The address of two words that a step sets when it refuses an index."""

    node: Node


# A negative index of an op that does not count from the end: kernels see it 2 ** 63 higher, which is at least this.
REFUSED = 1 << 62

Word = int | float | Ref | ErrorWords | TempBuffer | ConstBuffer


@dataclass(eq=False)
class PlannedStep:
    """One kernel call. `reads` and `writes` are the values it touches; `may_reuse` pairs (written, read) that may share memory."""

    kernel: KernelSource | HostKernel
    words: list[Any]
    units: int
    grain: int
    reads: list[Node]
    writes: list[Node]
    scratch: int = 0
    flops: int = 0
    nbytes: int = 0
    kind: str = ""
    ops: tuple[str, ...] = ()
    may_reuse: list[tuple[Node, Node]] = field(default_factory=list)
