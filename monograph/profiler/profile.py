"""`profile`: when to record. torch.profiler's surface; what is recorded is in `recording.py`."""

from __future__ import annotations

import enum
import functools
import json
import os
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from monograph.core.errors import user_line
from monograph.core.modes import MODES
from monograph.profiler import trace, xplane
from monograph.profiler.events import EventList, events_of
from monograph.profiler.recording import Recording, active, begin, end


class ProfilerActivity(enum.Enum):
    """What to record. There is only the CPU here; the others may be named and record nothing."""

    CPU = 0
    CUDA = 1
    XPU = 2
    MTIA = 3
    HPU = 4
    PrivateUse1 = 5


class ProfilerAction(enum.Enum):
    """What a schedule says about a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


_RECORDING = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)


class profile:  # noqa: N801 - torch's name
    """Records what runs inside: kernels with their times, FLOPs and bytes, ranges named by `record_function`, live memory.

    `schedule` says what to do at each step (see `schedule()`), then `step()` ends a step and `on_trace_ready(self)` is called at the end of
    every recorded cycle; without one everything is recorded, and it is called at the end. `record_shapes` keeps what kernels write,
    `with_stack` the user's lines, `profile_memory` live memory over time. `acc_events` keeps the events of earlier cycles.

    >>> with mg.profiler.profile(record_shapes=True) as prof:
    ...     with mg.profiler.record_function("work"):
    ...         mg.eval(mg.ones(8, 8) @ mg.ones(8, 8))
    >>> [e.key for e in prof.key_averages() if e.kind == "range"]
    ['work']
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[profile], Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        acc_events: bool = False,
        enabled: bool = True,
        use_cuda: bool | None = None,
        experimental_config: Any = None,
        execution_trace_observer: Any = None,
        custom_trace_id_callback: Callable[[], str] | None = None,
    ) -> None:
        self.activities = set(activities) if activities is not None else supported_activities()
        if not all(isinstance(a, ProfilerActivity) for a in self.activities) or not self.activities:
            raise ValueError(f"activities: expected members of ProfilerActivity, got {self.activities}")
        self.schedule = schedule
        self.on_trace_ready = on_trace_ready
        self.record_shapes, self.profile_memory, self.with_stack, self.with_flops = record_shapes, profile_memory, with_stack, with_flops
        self.acc_events, self.enabled = acc_events, enabled
        self.step_num = 0
        self.current_action = ProfilerAction.NONE
        self._metadata: dict[str, Any] = {}
        self._recording: Recording | None = None
        self._kept: list[Recording] = []
        self._events: EventList | None = None
        self._step_began = 0
        self._traced_before = False

    # ---- when ----
    def start(self) -> None:
        """Begins; with a schedule, with its action for step 0."""
        if not self.enabled:
            return
        self._enter(self.schedule(0) if self.schedule is not None else ProfilerAction.RECORD)
        self._step_began = time.perf_counter_ns()

    def stop(self) -> None:
        """Ends what is being recorded."""
        if not self.enabled:
            return
        self._end_step()
        recorded = self._recording is not None
        self._finish()
        self.current_action = ProfilerAction.NONE
        if recorded and self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def step(self) -> None:
        """The next step: the schedule's action for it begins; a cycle that is over goes to `on_trace_ready`."""
        if not self.enabled:
            return
        self._end_step()
        self.step_num += 1
        before = self.current_action
        now = self.schedule(self.step_num) if self.schedule is not None else ProfilerAction.RECORD
        if before is ProfilerAction.RECORD_AND_SAVE:
            self._finish()
            if self.on_trace_ready is not None:
                self.on_trace_ready(self)
        self._enter(now)
        self._step_began = time.perf_counter_ns()

    def _enter(self, action: ProfilerAction) -> None:
        self.current_action = action
        if action in _RECORDING and self._recording is None:
            if not self.acc_events:
                self._kept.clear()
            self._events = None
            self._traced_before, MODES.traced = MODES.traced, MODES.traced or self.with_stack
            self._recording = begin(self.with_stack)
        elif action not in _RECORDING:
            self._finish()

    def _finish(self) -> None:
        if self._recording is not None:
            end(self._recording)
            MODES.traced = self._traced_before
            self._kept.append(self._recording)
            self._recording = None

    def _end_step(self) -> None:
        if self._recording is not None and self.schedule is not None:
            self._recording.range(f"ProfilerStep#{self.step_num}", max(self._step_began, self._recording.started), time.perf_counter_ns())

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    # ---- what was found ----
    def events(self) -> EventList:
        """Every range, kernel call and op of the recording, in the order in which they began."""
        if self._events is None:
            lists = [events_of(r, self.record_shapes, self.with_stack, self.profile_memory, self.with_flops) for r in self._recordings()]
            found = EventList(
                (e for events in lists for e in events),
                self.profile_memory,
                self.with_flops,
                [m for events in lists for m in events.memory],
            )
            if self._recording is not None:
                return found  # more is to come
            self._events = found
        return self._events

    def _recordings(self) -> list[Recording]:
        return [*self._kept, *([self._recording] if self._recording is not None else [])]

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0, group_by_overload_name: bool = False
    ) -> EventList:
        """Events of one name taken together: ranges, kernels ("kernel::matmul[matmul add]") and ops ("aten::add")."""
        return self.events().key_averages(group_by_input_shape, group_by_stack_n)

    def line_averages(self) -> EventList:
        """The time of kernels by the user's line; needs `with_stack`."""
        return self.events().line_averages()

    @property
    def profiler(self) -> profile:
        """torch keeps the events in an object of its own; here it is this one."""
        return self

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of all kernels and ranges."""
        return self.events().self_cpu_time_total

    def table(self, *args: Any, **kwargs: Any) -> str:
        """The events in rows."""
        return self.events().table(*args, **kwargs)

    def __str__(self) -> str:
        return str(self.key_averages())

    # ---- files ----
    def add_metadata(self, key: str, value: str) -> None:
        """A note that the trace carries."""
        self._metadata[key] = value

    def add_metadata_json(self, key: str, value: str) -> None:
        """A note in JSON that the trace carries."""
        self._metadata[key] = json.loads(value)

    preset_metadata_json = add_metadata_json

    def export_chrome_trace(self, path: str) -> None:
        """Writes a trace for chrome://tracing, Perfetto or TensorBoard (compressed if the name ends in .gz)."""
        events = self.events()
        trace.write_chrome_trace(path, events, events.memory, self._metadata)

    def export_xplane(self, dir_name: str, worker_name: str | None = None) -> str:
        """Writes the events below a folder for TensorBoard's profile tab (`pip install xprof`); returns the path of the file.

        The tab has the trace, a table of ops, and an overview of the steps that `step()` ended.
        """
        run = time.strftime("%Y_%m_%d_%H_%M_%S") + f"_{time.time_ns() % 10**9:09d}"
        return xplane.write_xspace(dir_name, self.events(), run, worker_name or _this_worker())

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Writes lines for flame graph tools: stacks of source lines with their microseconds. Needs `with_stack`."""
        if not self.with_stack:
            raise ValueError("export_stacks() needs the lines that profile(with_stack=True) notes")
        trace.write_stacks(path, [event for event in self.events() if event.kind == "op"], metric)

    def memory_timeline(self) -> list[tuple[float, int]]:
        """(microseconds since the start, live bytes) around every run and at the ends of ranges. Needs `profile_memory`."""
        if not self.profile_memory:
            raise ValueError("the memory timeline needs profile(profile_memory=True)")
        return self.events().memory

    def export_memory_timeline(self, path: str, device: str | None = None) -> None:
        """Writes the memory timeline as .html, .json or .json.gz. Needs `profile_memory`."""
        trace.write_memory_timeline(path, self.memory_timeline())


class record_function:  # noqa: N801 - torch's name
    """Names a range of the profile: context manager and decorator. Costs next to nothing while nobody records.

    >>> with mg.profiler.profile() as prof:
    ...     with mg.profiler.record_function("load"):
    ...         pass
    >>> prof.key_averages()[0].key
    'load'
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name, self.args = name, args
        self._since: list[int] = []

    def __enter__(self) -> record_function:
        self._since.append(time.perf_counter_ns())
        return self

    def __exit__(self, *error: object) -> None:
        start = self._since.pop()
        for recording in active():
            recording.range(self.name, max(start, recording.started), time.perf_counter_ns(), user_line(1) if recording.wants_lines else "")

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def named(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name):
                return function(*args, **kwargs)

        return named


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, skip_first_wait: int = 0
) -> Callable[[int], ProfilerAction]:
    """What to do at each step: after `skip_first`, cycles of `wait` idle, `warmup` unrecorded and `active` recorded steps.

    There are `repeat` cycles (0: no end); with `skip_first_wait` the first one does not wait.

    >>> [mg.profiler.schedule(wait=1, warmup=1, active=2)(i).name for i in range(5)]
    ['NONE', 'WARMUP', 'RECORD', 'RECORD_AND_SAVE', 'NONE']
    """
    if wait < 0 or warmup < 0 or active <= 0 or repeat < 0 or skip_first < 0:
        given = f"wait={wait}, warmup={warmup}, active={active}, repeat={repeat}, skip_first={skip_first}"
        raise ValueError(f"schedule({given}): there must be at least one active step, and no negative count")
    cycle = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        if step < 0:
            raise ValueError(f"step {step}: steps count from 0")
        if step < skip_first:
            return ProfilerAction.NONE
        step -= skip_first
        if skip_first_wait:  # the first cycle does not wait
            step += wait
        number, place = divmod(step, cycle)
        if (repeat and number >= repeat) or place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD_AND_SAVE if place == cycle - 1 else ProfilerAction.RECORD

    return action


def tensorboard_trace_handler(dir_name: str, worker_name: str | None = None, use_gzip: bool = False) -> Callable[[profile], None]:
    """For `on_trace_ready`: writes each trace into a folder, in both forms that TensorBoard's profilers read.

    `plugins/profile/...xplane.pb` is for the tab "Profile" (`pip install xprof`, or monograph's extra `profile`), which works without the
    net. `*.pt.trace.json` is for `torch-tb-profiler`, whose page fetches libraries from the net; chrome://tracing and Perfetto open it too.
    """
    worker = worker_name or _this_worker()

    def write(done: profile) -> None:
        os.makedirs(dir_name, exist_ok=True)
        done.export_chrome_trace(os.path.join(dir_name, f"{worker}.{time.time_ns()}.pt.trace.json{'.gz' if use_gzip else ''}"))
        done.export_xplane(dir_name, worker)

    return write


def _this_worker() -> str:
    return f"{socket.gethostname()}_{os.getpid()}"


def supported_activities() -> set[ProfilerActivity]:
    """The CPU."""
    return {ProfilerActivity.CPU}
