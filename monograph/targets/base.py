"""What every target can say about a plan, for `explain` and the debug ladder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class KernelInfo:
    """One kernel call of a plan.

    `ops` are the ops fused into it, `outputs` the types it writes ("float32[64, 10]"); `flops` and `nbytes` are estimates of its
    arithmetic and of the memory it touches; `ir` and `assembly` write its code out when asked. `lines` are the user's lines that asked for
    what it writes, where they were noted: of compiled functions, and under a profiler with `with_stack`.
    """

    name: str
    kind: str
    ops: tuple[str, ...]
    outputs: tuple[str, ...]
    units: int
    flops: int
    nbytes: int
    ir: Callable[[], str]
    assembly: Callable[[], str]
    key: Any = None  # the kernel's structure: what its code depends on
    lines: tuple[str, ...] = ()
