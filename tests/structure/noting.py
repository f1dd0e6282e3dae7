"""The structure of a compiled step as text: how many kernels of which kind, their FLOPs and bytes; nothing that a clock could move."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import monograph as mg
from monograph.targets.cpu.features import cpu_features
from tests.structure.models import Step

SNAPSHOT = Path(__file__).parent / "snapshot.txt"
HEADING = """\
# The kernels of each model's step: how many calls of each kind, the FLOPs and bytes that they compute and move in all.
# More kernels or bytes than before mean that a fusion was lost. `python scripts/write_structure.py` writes this file anew.
# Written for {processor}.
"""


def processor() -> str:
    """What of this processor templates look at when they choose how to compute."""
    cpu = cpu_features()
    return f"{8 * cpu.vector_bytes}-bit vectors, {cpu.l1d >> 10} KiB L1, {cpu.l2 >> 10} KiB L2"


def structure(make: Callable[[], Step]) -> str:
    """Compiles the step and describes its kernels."""
    mg.manual_seed(0)
    step, inputs = make()
    explained = mg.explain(mg.compile(step), *inputs)
    kernels = [kernel for piece in explained.pieces for kernel in piece.kernels]
    kinds: dict[str, list[int]] = {}
    for kernel in kernels:
        entry = kinds.setdefault(kernel.kind, [0, 0, 0])
        for i, figure in enumerate((1, kernel.flops, kernel.nbytes)):
            entry[i] += figure
    totals = [sum(entry[i] for entry in kinds.values()) for i in range(3)]
    rows = [("all", totals), *sorted(kinds.items())]
    lines = [f"  {kind:<28}{count:>5} calls{flops:>14} FLOP{nbytes:>14} bytes" for kind, (count, flops, nbytes) in rows]
    return "\n".join([f"  {len(explained.pieces)} pieces", *lines])


def written_for() -> str:
    """The processor of the snapshot."""
    return SNAPSHOT.read_text(encoding="utf-8").split("# Written for ", 1)[1].split(".\n", 1)[0]


def written() -> dict[str, str]:
    """The snapshot, by model."""
    sections = SNAPSHOT.read_text(encoding="utf-8").split("\n\n")[1:]
    return dict(section.strip("\n").split("\n", 1) for section in sections)  # type: ignore[misc]


def text(structures: dict[str, str]) -> str:
    """The whole file."""
    return HEADING.format(processor=processor()) + "".join(f"\n{name}\n{lines}\n" for name, lines in structures.items())
