"""A recording as files: Chrome's trace format (also Perfetto and TensorBoard), stacks for flame graphs, the memory timeline."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

CATEGORIES = {"range": "user_annotation", "kernel": "kernel", "op": "cpu_op"}


def _open(path: str) -> Any:
    return gzip.open(path, "wt", encoding="utf-8") if str(path).endswith(".gz") else open(path, "w", encoding="utf-8")


def write_chrome_trace(
    path: str, events: Sequence[Any], memory: Sequence[tuple[float, int]] = (), metadata: Mapping[str, Any] | None = None
) -> None:
    """One complete event per range, kernel call and op; live memory as a counter."""
    process = os.getpid()
    threads = {thread: number for number, thread in enumerate(dict.fromkeys(e.thread for e in events))}
    rows: list[dict[str, Any]] = [{"name": "process_name", "ph": "M", "pid": process, "args": {"name": "monograph"}}]
    rows += [{"name": "thread_name", "ph": "M", "pid": process, "tid": n, "args": {"name": f"thread {n}"}} for n in threads.values()]
    for e in events:
        arguments: dict[str, Any] = {"External id": e.id}
        if e.flops or e.nbytes:
            arguments |= {"flops": e.flops, "bytes": e.nbytes}
        if e.output_shapes:
            arguments["outputs"] = e.output_shapes
        if e.stack:
            arguments["lines"] = e.stack
        rows.append({
            "name": e.name, "cat": CATEGORIES[e.kind], "ph": "X", "ts": e.time_range.start, "dur": e.time_range.elapsed_us(),
            "pid": process, "tid": threads[e.thread], "args": arguments,
        })  # fmt: skip
    rows += [{"name": "live memory", "ph": "C", "ts": at, "pid": process, "args": {"bytes": live}} for at, live in memory]
    with _open(path) as file:
        json.dump({"schemaVersion": 1, "displayTimeUnit": "ms", **(metadata or {}), "traceEvents": rows}, file)


def write_stacks(path: str, events: Sequence[Any], metric: str) -> None:
    """A line per stack of source lines, outermost first, with its microseconds: what flame graph tools read."""
    totals: dict[str, float] = {}
    for e in events:
        if e.stack:
            key = ";".join(reversed(e.stack))
            totals[key] = totals.get(key, 0.0) + getattr(e, metric)
    with _open(path) as file:
        file.writelines(f"{stack} {int(value)}\n" for stack, value in totals.items() if int(value) > 0)


def write_memory_timeline(path: str, memory: Sequence[tuple[float, int]]) -> None:
    """Live bytes over time: `.json` (also `.json.gz`) has [times in microseconds, bytes], `.html` a page with the curve."""
    name = str(path)
    if name.endswith(".html"):
        with _open(name) as file:
            file.write(_page(memory))
    elif name.endswith((".json", ".json.gz")):
        with _open(name) as file:
            json.dump([[at for at, _ in memory], [live for _, live in memory]], file)
    else:
        raise ValueError(f"{name!r}: a memory timeline is written as .html, .json or .json.gz")


def _page(memory: Sequence[tuple[float, int]]) -> str:
    width, height = 960, 320
    last = max((at for at, _ in memory), default=0.0) or 1.0
    top = max((live for _, live in memory), default=0) or 1
    corners: list[str] = []
    before = None
    for at, live in memory:  # a step: memory is what it was until it changes
        x, y = width * at / last, height - height * live / top
        corners += [f"{x:.1f},{before:.1f}"] if before is not None else []
        corners.append(f"{x:.1f},{y:.1f}")
        before = y
    return (
        "<!DOCTYPE html><html><head><meta charset='utf-8'><title>Memory</title></head><body style='font-family:sans-serif'>"
        f"<h3>Live memory: at most {top / 2**20:.1f} MiB, over {last / 1e3:.1f} ms</h3>"
        f"<svg width='{width}' height='{height}' style='border:1px solid #bbb'>"
        f"<polyline fill='none' stroke='#36c' stroke-width='1.5' points='{' '.join(corners)}'/></svg></body></html>"
    )
