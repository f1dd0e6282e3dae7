"""Averages as text, in torch.profiler's columns, with bytes and the distance to the machine's limits beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

UNITS = {"s": 1e6, "ms": 1e3, "us": 1.0}
SORTABLE = (
    "cpu_time",
    "cpu_time_total",
    "self_cpu_time_total",
    "cpu_memory_usage",
    "self_cpu_memory_usage",
    "count",
    "flops",
    "nbytes",
    "key",
    "device_time",
    "device_time_total",
    "self_device_time_total",
    "device_memory_usage",
    "self_device_memory_usage",
    "cuda_time",
    "cuda_time_total",
    "self_cuda_time_total",
)


def duration(microseconds: float, unit: str | None = None) -> str:
    """A time in the unit that suits it, or in the one given."""
    name = unit or ("s" if microseconds >= 1e6 else "ms" if microseconds >= 1e3 else "us")
    return f"{microseconds / UNITS[name]:.3f}{name}"


def amount(number: float, unit: str) -> str:
    """A large count with its prefix."""
    for prefix, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(number) >= scale:
            return f"{number / scale:.3f} {prefix}{unit}"
    return f"{number:.0f} {unit}" if number else "--"


def table(
    events: Sequence[Any],
    total: float,
    sort_by: str | None,
    row_limit: int,
    widths: tuple[int, int, int],
    header: str | None,
    profile_memory: bool,
    time_unit: str | None,
) -> str:
    """See `EventList.table`."""
    if sort_by is not None:
        if sort_by not in SORTABLE:
            raise ValueError(f"sort_by={sort_by!r}: there is {', '.join(SORTABLE)}")
        events = sorted(events, key=lambda e: getattr(e, sort_by), reverse=sort_by != "key")
    shown = list(events)[: row_limit if row_limit >= 0 else None]
    name_width, line_width, shape_width = widths
    stacks, shapes = any(e.stack for e in shown), any(e.input_shapes for e in shown)
    head = ["Name", "Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg", "# of Calls", "FLOPs", "Bytes", "GFLOP/s", "GB/s"]
    head += ["CPU Mem"] if profile_memory else []
    head += ["Shapes"] if shapes else []
    head += ["Source Location"] if stacks else []
    rows = [head]
    for e in shown:
        row = [
            _cut(e.key, name_width),
            f"{_percent(e.self_cpu_time_total, total)}",
            duration(e.self_cpu_time_total, time_unit),
            _percent(e.cpu_time_total, total),
            duration(e.cpu_time_total, time_unit),
            duration(e.cpu_time, time_unit),
            str(e.count),
            amount(e.flops, "FLOP"),
            amount(e.nbytes, "B"),
            _rate(e.flops, e.cpu_time_total),
            _rate(e.nbytes, e.cpu_time_total),
        ]
        row += [amount(e.cpu_memory_usage, "B")] if profile_memory else []
        row += [_cut(" ".join(e.input_shapes), shape_width)] if shapes else []
        row += [_cut(e.stack[0] if e.stack else "", line_width, from_left=True)] if stacks else []
        rows.append(row)
    sizes = [max(len(row[i]) for row in rows) for i in range(len(head))]
    rule = "  ".join("-" * size for size in sizes)
    left = {0, *(i for i, title in enumerate(head) if title in ("Shapes", "Source Location"))}
    lines = [
        "  ".join(c.ljust(s) if i in left else c.rjust(s) for i, (c, s) in enumerate(zip(row, sizes, strict=True))).rstrip() for row in rows
    ]
    top = [header] if header is not None else []
    return "\n".join([*top, rule, lines[0], rule, *lines[1:], rule, f"Self CPU time total: {duration(total, time_unit)}", ""])


def _percent(part: float, total: float) -> str:
    return f"{100 * part / total:.2f}%" if total else "--"


def _rate(count: float, microseconds: float) -> str:
    return f"{count / microseconds / 1e3:.1f}" if count and microseconds else "--"


def _cut(text: str, width: int, from_left: bool = False) -> str:
    if width <= 3 or len(text) <= width:
        return text
    return "..." + text[3 - width :] if from_left else text[: width - 3] + "..."
