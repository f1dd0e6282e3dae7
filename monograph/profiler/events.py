"""Events of a recording: ranges, kernel calls in them, ops in these; and their averages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from monograph.profiler.recording import KernelRun, Range, Recording
from monograph.profiler.table import table
from monograph.profiler.trace import write_chrome_trace

LOOPS = ("map", "reduce", "copy")
"""Kinds of kernels whose ops share the time equally; in all others it belongs to the first op."""


class Interval:
    """A stretch of time in microseconds since the recording began."""

    def __init__(self, start: float, end: float) -> None:
        self.start, self.end = start, end

    def elapsed_us(self) -> float:
        """How long it is."""
        return self.end - self.start

    def __repr__(self) -> str:
        return f"Interval({self.start:.1f}, {self.end:.1f})"


class _Times:
    """What events and averages share: torch's names for times, of which the CPU's are the only ones here."""

    key: str
    count: int
    cpu_time_total: float
    self_cpu_time_total: float
    device_time_total = self_device_time_total = device_time = 0.0
    cuda_time_total = self_cuda_time_total = cuda_time = 0.0
    device_memory_usage = self_device_memory_usage = 0
    is_async = is_remote = is_legacy = False
    use_device: str | None = None
    node_id = -1
    overload_name = ""

    @property
    def cpu_time(self) -> float:
        """Microseconds of one call."""
        return self.cpu_time_total / self.count if self.count else 0.0

    @property
    def cpu_time_str(self) -> str:
        """Microseconds of one call, as text."""
        return f"{self.cpu_time:.3f}us"

    @property
    def cpu_time_total_str(self) -> str:
        """Microseconds in all, as text."""
        return f"{self.cpu_time_total:.3f}us"

    @property
    def self_cpu_time_total_str(self) -> str:
        """Microseconds less those of children, as text."""
        return f"{self.self_cpu_time_total:.3f}us"


class FunctionEvent(_Times):
    """One range, kernel call or op: `kind` is "range", "kernel" or "op"."""

    def __init__(
        self,
        name: str,
        kind: str,
        start: float,
        end: float,
        thread: int,
        *,
        flops: int = 0,
        nbytes: int = 0,
        shapes: Sequence[str] = (),
        stack: Sequence[str] = (),
        memory: int = 0,
    ) -> None:
        self.name = self.key = name
        self.kind, self.thread, self.count = kind, thread, 1
        self.time_range = Interval(start, end)
        self.flops, self.nbytes = flops, nbytes
        self.input_shapes = self.output_shapes = list(shapes)
        self.stack = list(stack)
        self.cpu_memory_usage = self.self_cpu_memory_usage = memory
        self.cpu_children: list[FunctionEvent] = []
        self.cpu_parent: FunctionEvent | None = None
        self.id = 0
        self.is_user_annotation = kind == "range"

    @property
    def cpu_time_total(self) -> float:  # type: ignore[override]
        """Microseconds, those of children included."""
        return self.time_range.elapsed_us()

    @property
    def self_cpu_time_total(self) -> float:  # type: ignore[override]
        """Microseconds less those of children."""
        return max(0.0, self.cpu_time_total - sum(child.cpu_time_total for child in self.cpu_children))

    def append_cpu_child(self, child: FunctionEvent) -> None:
        """Makes `child` a part of this event."""
        self.cpu_children.append(child)
        child.cpu_parent = self

    def __repr__(self) -> str:
        return f"<FunctionEvent name={self.name} kind={self.kind} time={self.cpu_time_total_str} stack={self.stack}>"


class FunctionEventAvg(_Times):
    """Events of one name taken together."""

    def __init__(self, key: str = "", kind: str = "") -> None:
        self.key, self.kind = key, kind
        self.count = self.flops = self.nbytes = 0
        self.cpu_time_total = self.self_cpu_time_total = 0.0
        self.cpu_memory_usage = self.self_cpu_memory_usage = 0
        self.input_shapes: list[str] = []
        self.stack: list[str] = []
        self.is_user_annotation = kind == "range"

    def add(self, other: Any) -> FunctionEventAvg:
        """Takes one more event, or average, in."""
        if not self.count:
            self.key, self.kind = self.key or other.key, self.kind or other.kind
            self.input_shapes, self.stack = list(other.input_shapes), list(other.stack)
        self.count += other.count
        for name in ("cpu_time_total", "self_cpu_time_total", "flops", "nbytes", "cpu_memory_usage", "self_cpu_memory_usage"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    __iadd__ = add

    def __repr__(self) -> str:
        times = f"cpu_time={self.cpu_time_str} self_cpu_time={self.self_cpu_time_total_str}"
        return f"<FunctionEventAvg key={self.key} count={self.count} {times}>"


class EventList(list[Any]):
    """Events, or averages of them; `str()` is their table. `limits` are the machine's, measured if a share of them can be told."""

    def __init__(
        self, events: Iterable[Any] = (), profile_memory: bool = False, with_flops: bool = False, memory: Sequence[tuple[float, int]] = ()
    ) -> None:
        super().__init__(events)
        self.profile_memory, self.with_flops, self.memory = profile_memory, with_flops, list(memory)

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds in all."""
        return float(sum(event.self_cpu_time_total for event in self))

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int = 75,
        max_name_column_width: int = 55,
        max_shapes_column_width: int = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
        time_unit: str | None = None,
    ) -> str:
        """The events in rows, the largest `sort_by` first ("self_cpu_time_total", "cpu_time_total", "count", "flops", "nbytes" ...)."""
        events = [e for e in self if getattr(e, "cpu_parent", None) is None] if top_level_events_only else list(self)
        return table(
            events,
            self.self_cpu_time_total,
            sort_by,
            row_limit,
            (max_name_column_width, max_src_column_width, max_shapes_column_width),
            header,
            self.profile_memory,
            time_unit,
        )

    def __str__(self) -> str:
        return self.table()

    def key_averages(
        self, group_by_input_shapes: bool = False, group_by_stack_n: int = 0, group_by_overload_name: bool = False
    ) -> EventList:
        """Events of one name (and shapes, and innermost lines, if asked) taken together."""
        return self._grouped(lambda e: (e.key, tuple(e.input_shapes) if group_by_input_shapes else (), tuple(e.stack[:group_by_stack_n])))

    def line_averages(self) -> EventList:
        """The time of kernels by the user's line that asked for them."""
        kernels = EventList((e for e in self if e.kind == "kernel"), self.profile_memory, self.with_flops)
        return kernels._grouped(lambda e: e.stack[0] if e.stack else "(line not noted)", named=True)

    def _grouped(self, key_of: Callable[[Any], Any], named: bool = False) -> EventList:
        found: dict[Any, FunctionEventAvg] = {}
        for event in self:
            key = key_of(event)
            average = found.get(key)
            if average is None:
                average = found[key] = FunctionEventAvg(key if named else "", event.kind)
            average.add(event)
            if named:
                average.self_cpu_time_total = average.cpu_time_total
        return EventList(found.values(), self.profile_memory, self.with_flops)

    def total_average(self) -> FunctionEventAvg:
        """All events as one."""
        total = FunctionEventAvg("Total")
        for event in self:
            total.add(event)
        return total

    def export_chrome_trace(self, path: str) -> None:
        """Writes the events for a trace viewer."""
        write_chrome_trace(path, [event for event in self if isinstance(event, FunctionEvent)], self.memory)


def events_of(recording: Recording, record_shapes: bool, with_stack: bool, profile_memory: bool, with_flops: bool) -> EventList:
    """The events of a recording, parents before children, with their tree."""
    zero = recording.started
    ranges = [_of_range(r, zero, with_stack) for r in sorted(recording.ranges, key=lambda r: (r.start, -r.end))]
    calls = [event for run in recording.runs for event in _of_run(run, zero, record_shapes, with_stack)]
    ordered = sorted([*ranges, *calls], key=lambda e: (e.time_range.start, -e.time_range.end))
    open_ranges: dict[int, list[FunctionEvent]] = {}
    found: list[FunctionEvent] = []
    for event in ordered:
        stack = open_ranges.setdefault(event.thread, [])
        while stack and stack[-1].time_range.end < event.time_range.end:
            stack.pop()
        if stack:
            stack[-1].append_cpu_child(event)
        if event.kind == "range":
            stack.append(event)
        found += [event, *event.cpu_children]
    for number, event in enumerate(found):
        event.id = number
    memory = [((at - zero) / 1e3, live) for at, live in sorted(recording.memory)] if profile_memory else []
    return EventList(found, profile_memory, with_flops, memory)


def _of_range(r: Range, zero: int, with_stack: bool) -> FunctionEvent:
    return FunctionEvent(
        r.name, "range", (r.start - zero) / 1e3, (r.end - zero) / 1e3, r.thread, stack=[r.line] if with_stack and r.line else []
    )


def _of_run(run: KernelRun, zero: int, record_shapes: bool, with_stack: bool) -> list[FunctionEvent]:
    """The kernel calls of one run, each with its ops as children."""
    found = []
    at = (run.start - zero) / 1e3
    for kernel, nanoseconds in zip(run.kernels, run.times, strict=True):
        length = nanoseconds / 1e3
        stack = [*kernel.lines, *([run.line] if run.line else [])] if with_stack else []
        shapes = kernel.outputs if record_shapes else ()
        event = FunctionEvent(
            f"kernel::{kernel.kind}[{' '.join(kernel.ops)}]",
            "kernel",
            at,
            at + length,
            run.thread,
            flops=kernel.flops,
            nbytes=kernel.nbytes,
            shapes=shapes,
            stack=stack,
        )
        event.kernel = kernel  # type: ignore[attr-defined]
        sharing = len(kernel.ops) if kernel.kind in LOOPS else 1
        for number, op in enumerate(kernel.ops):
            share = length / sharing if number < sharing else 0.0
            begin = at + min(number, sharing) * length / sharing
            event.append_cpu_child(FunctionEvent(f"aten::{op}", "op", begin, begin + share, run.thread, shapes=shapes, stack=stack))
        if kernel.ops and kernel.kind not in LOOPS:
            event.cpu_children[0].flops, event.cpu_children[0].nbytes = kernel.flops, kernel.nbytes
        found.append(event)
        at += length
    return found
