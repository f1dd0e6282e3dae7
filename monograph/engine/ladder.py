"""The debug ladder: MONOGRAPH_DEBUG=1..6 prints each stage of compiling as it happens: graph, passes, kernels, LLVM IR,
assembly, timings.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from monograph.core import knobs
from monograph.core.errors import ArtifactError
from monograph.graph.node import Node
from monograph.graph.text import to_text

RUNGS = {1: "graph", 2: "passes", 3: "kernels", 4: "LLVM IR", 5: "assembly", 6: "timings"}


def show(rung: int, text: Callable[[], str]) -> None:
    """Prints a stage on stderr, if the `debug` knob reaches up to it."""
    if knobs.debug.get() >= rung:
        sys.stderr.write(f"-- {RUNGS[rung]} --\n{text().rstrip()}\n")


def show_graph(sources: Sequence[Node], outputs: Sequence[Node]) -> None:
    """The first rung: what is about to be compiled."""
    show(1, lambda: graph_text(sources, outputs))


def show_plan(plan: Any) -> None:
    """The rungs from kernels to assembly, of a plan that can tell."""
    if knobs.debug.get() < 3 or not hasattr(plan, "describe"):
        return
    kernels = plan.describe()
    show(3, lambda: table(kernels))
    for k in {k.name: k for k in kernels if k.kind != "host"}.values():
        show(4, k.ir)
        show(5, k.assembly)


def show_timings(plan: Any, buffers: Sequence[Any], numbers: Sequence[Any]) -> None:
    """The last rung: one run with a clock at every kernel."""
    if knobs.debug.get() >= 6 and hasattr(plan, "profile"):
        times = plan.profile(buffers, numbers)
        show(6, lambda: table(plan.describe(), times))


def graph_text(sources: Sequence[Node], outputs: Sequence[Node], names: dict[Node, str] | None = None) -> str:
    """A graph as text; one that the text form cannot hold (a Python function inside) says so."""
    try:
        return to_text(sources, outputs, names)
    except ArtifactError as error:
        return f"(no text: {error})\n"


def table(kernels: Sequence[Any], times: Sequence[int] | None = None, peak: Any = None) -> str:
    """Kernel calls in rows: what is fused, bytes and FLOPs; with times also rates, and with the machine's limits what binds each kernel
    (arithmetic or memory), the time that this limit allows, and the share of it that is reached."""
    head = ["", "kernel", "what", "writes", "MB", "MFLOP"]
    if times is not None:
        head += ["us", "GB/s", "GFLOP/s", *(["bound by", "limit us", "of peak"] if peak is not None else [])]
    rows = [head]
    for i, k in enumerate(kernels):
        ops = " ".join(k.ops)
        row = [
            str(i),
            k.kind,
            ops if len(ops) <= 60 else ops[:57] + "...",
            ", ".join(k.outputs),
            f"{k.nbytes / 1e6:.3f}",
            f"{k.flops / 1e6:.3f}",
        ]
        if times is not None:
            ns = max(times[i], 1)
            row += [f"{ns / 1000:.1f}", f"{k.nbytes / ns:.1f}", f"{k.flops / ns:.1f}"]
            if peak is not None:
                row += [bound_by(k, peak), f"{limit(k, peak) * 1e6:.1f}", f"{share(k, ns, peak):.0%}"]
        rows.append(row)
    widths = [max(len(r[c]) for r in rows) for c in range(len(head))]
    left = {1, 2, 3, *(i for i, title in enumerate(head) if title == "bound by")}
    lines = [
        "  ".join(v.ljust(w) if c in left else v.rjust(w) for c, (v, w) in enumerate(zip(r, widths, strict=True))).rstrip() for r in rows
    ]
    if times is not None:
        allowed = f"; the machine's limits allow {sum(limit(k, peak) for k in kernels) * 1e6:.1f} us" if peak is not None else ""
        lines.append(f"total {sum(times) / 1000:.1f} us in {len(times)} kernels{allowed}")
    return "\n".join(lines)


def bound_by(kernel: Any, peak: Any) -> str:
    """What keeps a kernel from being faster: "compute", "memory", or "nothing known" where no work was counted."""
    arithmetic, traffic = kernel.flops / peak.flops, kernel.nbytes / peak.read_bw
    return "nothing known" if not arithmetic and not traffic else "compute" if arithmetic >= traffic else "memory"


def limit(kernel: Any, peak: Any) -> float:
    """The seconds that the machine needs at least: for the arithmetic or for the memory traffic, whichever is longer."""
    return float(max(kernel.flops / peak.flops, kernel.nbytes / peak.read_bw))


def share(kernel: Any, nanoseconds: float, peak: Any) -> float:
    """The time that the machine's limits allow over the time taken.

    Can pass 100 %: small operands come from the caches, which are faster than memory.
    """
    return limit(kernel, peak) / (nanoseconds * 1e-9)
