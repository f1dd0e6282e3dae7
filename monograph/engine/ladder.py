"""The debug ladder: MONOGRAPH_DEBUG=1..6 prints each stage of compiling as it happens."""

from __future__ import annotations

import sys
from collections.abc import Callable

from monograph.core import knobs

RUNGS = {1: "graph", 2: "passes", 3: "kernels", 4: "LLVM IR", 5: "assembly", 6: "timings"}


def show(rung: int, text: Callable[[], str]) -> None:
    """Prints a stage on stderr, if the `debug` knob reaches up to it."""
    if knobs.debug.get() >= rung:
        sys.stderr.write(f"-- {RUNGS[rung]} --\n{text()}\n")
