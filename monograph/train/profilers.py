"""`Trainer(profiler=...)`: where the time of training goes, by what the trainer does, by Python's functions, or by kernels.

The trainer tells a profiler what it does: hooks by their names, "training_step" (with the backward pass and the update: it is one
program), "validation_step" ..., and "train_dataloader_next" ..., where it waits for data.
"""

from __future__ import annotations

import contextlib
import cProfile
import io
import pstats
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from monograph.profiler import profile, record_function, schedule, tensorboard_trace_handler

T = TypeVar("T")


class Profiler:
    """What `Trainer(profiler=...)` takes: `start` and `stop` are called around everything that the trainer does.

    `dirpath` and `filename`: where `summary()` is written at the end of a run; without them it is printed.
    """

    def __init__(self, dirpath: str | Path | None = None, filename: str | None = None) -> None:
        self.dirpath, self.filename = (Path(dirpath) if dirpath is not None else None), filename

    def setup(self, stage: str) -> None:
        """A run of the trainer begins."""

    def start(self, action_name: str) -> None:
        """Something begins."""

    def stop(self, action_name: str) -> None:
        """It has ended."""

    def step(self) -> None:
        """A training step is over."""

    def summary(self) -> str:
        """What was found, as text."""
        return ""

    def teardown(self, stage: str) -> None:
        """A run is over, also by an error."""

    @contextlib.contextmanager
    def profile(self, action_name: str) -> Iterator[str]:
        """Something of the user's own, told like what the trainer does."""
        self.start(action_name)
        try:
            yield action_name
        finally:
            self.stop(action_name)

    def timed(self, action_name: str, call: Callable[..., T], *args: Any) -> T:
        """`call(*args)`, told under a name."""
        self.start(action_name)
        try:
            return call(*args)
        finally:
            self.stop(action_name)

    def describe(self) -> None:
        """Writes or prints the summary."""
        text = self.summary()
        if not text:
            return
        if self.dirpath is None and self.filename is None:
            print(text)
            return
        folder = self.dirpath or Path.cwd()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.filename or 'profiler'}.txt").write_text(text + "\n", encoding="utf-8")


class SimpleProfiler(Profiler):
    """How often and how long: one row for each thing that the trainer does.

    >>> from monograph import train
    >>> profiler = train.SimpleProfiler()
    >>> with profiler.profile("reading"):
    ...     pass
    >>> len(profiler.durations["reading"])
    1
    """

    def __init__(self, dirpath: str | Path | None = None, filename: str | None = None, extended: bool = True) -> None:
        super().__init__(dirpath, filename)
        self.extended = extended
        self.durations: dict[str, list[float]] = {}
        self._since: dict[str, list[float]] = {}
        self._began = time.monotonic()

    def setup(self, stage: str) -> None:
        """See Profiler."""
        self._began = time.monotonic()

    def start(self, action_name: str) -> None:
        """See Profiler."""
        self._since.setdefault(action_name, []).append(time.perf_counter())

    def stop(self, action_name: str) -> None:
        """See Profiler."""
        if not self._since.get(action_name):
            raise ValueError(f"stop({action_name!r}): nothing of that name was started")
        self.durations.setdefault(action_name, []).append(time.perf_counter() - self._since[action_name].pop())

    def summary(self) -> str:
        """The rows, the longest first. What happens inside of something else counts for both."""
        whole = max(time.monotonic() - self._began, 1e-9)
        rows = sorted(((name, len(times), sum(times)) for name, times in self.durations.items()), key=lambda row: -row[2])
        width = max((len(name) for name, _, _ in rows), default=6)
        counted = f"  {'mean ms':>10}  {'calls':>7}" if self.extended else ""
        lines = [f"{'action':<{width}}{counted}  {'total s':>9}  {'share':>6}"]
        for name, calls, total in rows:
            counted = f"  {total / calls * 1e3:>10.4f}  {calls:>7}" if self.extended else ""
            lines.append(f"{name:<{width}}{counted}  {total:>9.4f}  {total / whole:>6.1%}")
        return "\n".join([*lines, f"{'all':<{width}}{'' if not self.extended else ' ' * 21}  {whole:>9.4f}  {1:>6.1%}"])


class AdvancedProfiler(Profiler):
    """Python's functions in each thing that the trainer does, by cProfile. What is inside of something else is part of that."""

    def __init__(self, dirpath: str | Path | None = None, filename: str | None = None, line_count_restriction: float = 1.0) -> None:
        super().__init__(dirpath, filename)
        self.line_count_restriction = line_count_restriction
        self.profiled: dict[str, cProfile.Profile] = {}
        self._open: list[str] = []

    def start(self, action_name: str) -> None:
        """See Profiler."""
        if not self._open:  # Python has one profile at a time
            self.profiled.setdefault(action_name, cProfile.Profile()).enable()
        self._open.append(action_name)

    def stop(self, action_name: str) -> None:
        """See Profiler."""
        if not self._open or self._open[-1] != action_name:
            raise ValueError(f"stop({action_name!r}): what was started last is {self._open[-1] if self._open else 'nothing'}")
        self._open.pop()
        if not self._open:
            self.profiled[action_name].disable()

    def summary(self) -> str:
        """cProfile's tables, by cumulative time."""
        parts = []
        for name, profiled in self.profiled.items():
            text = io.StringIO()
            pstats.Stats(profiled, stream=text).strip_dirs().sort_stats("cumulative").print_stats(self.line_count_restriction)
            parts.append(f"{name}\n{text.getvalue()}")
        return "\n".join(parts)


class PyTorchProfiler(Profiler):
    """Kernels: `mg.profiler.profile` around some training steps. Named as users of Lightning know it.

    By default the first step is left out (it plans), two warm up and three are recorded. `profile_kwargs` are those of
    `mg.profiler.profile`; `schedule` and `on_trace_ready` among them replace what is done here. With `dirpath`, the traces are written for
    TensorBoard's tab "Profile". What the trainer does are ranges of the trace.
    """

    def __init__(
        self, dirpath: str | Path | None = None, filename: str | None = None, sort_by_key: str = "self_cpu_time_total", row_limit: int = 20,
        **profile_kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(dirpath, filename)
        self.sort_by_key, self.row_limit = sort_by_key, row_limit
        self.profile_kwargs: dict[str, Any] = {"schedule": schedule(wait=1, warmup=2, active=3, repeat=1), "record_shapes": True}
        if dirpath is not None:
            self.profile_kwargs["on_trace_ready"] = tensorboard_trace_handler(str(dirpath))
        self.profile_kwargs.update(profile_kwargs)
        self.profiler: profile | None = None
        self._ranges: list[record_function] = []

    def setup(self, stage: str) -> None:
        """See Profiler."""
        if stage == "fit":
            self.profiler = profile(**self.profile_kwargs)
            self.profiler.start()

    def start(self, action_name: str) -> None:
        """See Profiler."""
        self._ranges.append(record_function(action_name).__enter__())

    def stop(self, action_name: str) -> None:
        """See Profiler."""
        self._ranges.pop().__exit__()

    def step(self) -> None:
        """See Profiler."""
        if self.profiler is not None:
            self.profiler.step()

    def teardown(self, stage: str) -> None:
        """See Profiler."""
        if self.profiler is not None and stage == "fit":
            self.profiler.stop()

    def summary(self) -> str:
        """The table of kernels and ranges; empty before a fit."""
        if self.profiler is None:
            return ""
        return self.profiler.key_averages().table(sort_by=self.sort_by_key, row_limit=self.row_limit)


def told(profiler: Profiler | None, action_name: str, items: Iterator[T]) -> Iterator[T]:
    """The items; the profiler is told how long each took to come."""
    return items if profiler is None else _told(profiler, action_name, items)


def _told(profiler: Profiler, action_name: str, items: Iterator[T]) -> Iterator[T]:
    end: Any = object()
    while (item := profiler.timed(action_name, next, items, end)) is not end:
        yield item


NAMES: dict[str, type[Profiler]] = {"simple": SimpleProfiler, "advanced": AdvancedProfiler, "pytorch": PyTorchProfiler}


def profiler_of(given: Any) -> Profiler | None:
    """What `Trainer(profiler=...)` means."""
    if given is None or isinstance(given, Profiler):
        return given
    if isinstance(given, str) and given in NAMES:
        return NAMES[given]()
    raise ValueError(f"profiler={given!r}: give {', '.join(map(repr, NAMES))}, None, or a train.Profiler")
