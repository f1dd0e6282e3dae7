"""Modes of the current thread: gradient recording, inference, anomaly detection, the capture in progress.

One thread-local object, because every recorded op looks here. `MODES.grad` reads and sets a mode; what runs for every op fetches
`MODES.now` once, since a look into a thread-local costs three times as much as an attribute.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

from monograph.core import knobs

EAGER = knobs.eager.get()
# Dead nodes that stay pending for long are moved from one generation of Python's collector to the next, which costs more than recording.
ROOM = min(400, knobs.pending_nodes.get())


class Now:
    """What is switched on in one thread."""

    __slots__ = (
        "anomaly", "autocast", "capture", "grad", "inference", "lines", "pending", "pending_bytes", "room", "sampling", "saving",
        "special", "traced",
    )  # fmt: skip

    def __init__(self) -> None:
        self.grad = True
        self.inference = False
        self.anomaly = False
        self.autocast: Any = None  # the low dtype that products and convolutions are cast to, see tensor/autocasting
        self.capture: Any = None  # the engine's capture in progress, told of every tensor that ops read
        self.lines = False  # the user's line is noted for every node: anomaly mode, a capture, hooks on saved tensors, or a profiler asked
        self.traced = False  # a profiler asked
        self.saving: Any = None  # what hooks on saved tensors want called with every node on the tape, see autodiff/saving
        self.pending: list[Any] = []  # nodes recorded and not yet evaluated
        self.room = ROOM  # so many may be pending before those that nobody holds any more are let go
        self.pending_bytes = 0  # bytes of new buffers that pending nodes may hold on to
        self.sampling = False  # samples are being made: one differs from the next, so small work is done without a plan
        self.special = EAGER  # recording is not all: anomaly mode, the eager knob, or the op reads memory that NumPy may change soon


def _forward(name: str) -> Any:
    def get(self: Modes) -> Any:
        return getattr(self.now, name)

    def put(self: Modes, value: Any) -> None:
        setattr(self.now, name, value)

    return property(get, put)


class Modes(threading.local):
    """The `Now` of the current thread, and its modes by name."""

    grad: Any = _forward("grad")
    inference: Any = _forward("inference")
    anomaly: Any = property(lambda self: self.now.anomaly, lambda self, value: self._watch(value))
    autocast: Any = _forward("autocast")
    capture: Any = property(lambda self: self.now.capture, lambda self, value: self._note_capture(value))
    traced: Any = property(lambda self: self.now.traced, lambda self, value: self._trace(value))
    saving: Any = property(lambda self: self.now.saving, lambda self, value: self._save(value))
    pending: Any = _forward("pending")
    pending_bytes: Any = _forward("pending_bytes")

    def __init__(self) -> None:
        self.now = Now()

    def _watch(self, anomaly: bool) -> None:
        self.now.anomaly = anomaly
        self.now.special = anomaly or EAGER
        self._settle_lines()

    def _note_capture(self, capture: Any) -> None:
        self.now.capture = capture
        self._settle_lines()

    def _trace(self, traced: bool) -> None:
        self.now.traced = traced
        self._settle_lines()

    def _save(self, saving: Any) -> None:
        self.now.saving = saving
        self._settle_lines()

    def _settle_lines(self) -> None:
        now = self.now
        now.lines = now.anomaly or now.traced or now.capture is not None or now.saving is not None


MODES = Modes()
_GENERATOR = 0x20  # inspect.CO_GENERATOR


class _Switch:
    """A context manager and decorator that sets one mode."""

    name = "grad"
    value: Any = True

    def __init__(self, function: Callable[..., Any] | None = None) -> None:
        self._before: list[Any] = []
        self._function = function
        if function is not None:
            wraps(function)(self)

    def __enter__(self) -> None:
        self._before.append(getattr(MODES, self.name))
        setattr(MODES, self.name, self.value)

    def __exit__(self, *error: object) -> None:
        setattr(MODES, self.name, self._before.pop())

    def _clone(self) -> _Switch:
        return type(self)()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._function is not None:
            with self._clone():
                return self._function(*args, **kwargs)
        function = args[0]
        code = getattr(function, "__code__", None)
        if code is not None and code.co_flags & _GENERATOR:
            return self._generator(function)

        @wraps(function)
        def inside(*a: Any, **k: Any) -> Any:
            with self._clone():
                return function(*a, **k)

        return inside

    def _generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Of a generator function: the mode is on while its body runs, not while its user does."""

        @wraps(function)
        def inside(*a: Any, **k: Any) -> Any:
            generator = function(*a, **k)
            resume, sent = generator.send, None
            while True:
                try:
                    with self._clone():
                        item = resume(sent)
                except StopIteration as end:
                    return end.value
                try:
                    resume, sent = generator.send, (yield item)
                except GeneratorExit:
                    generator.close()
                    raise
                except BaseException as error:
                    resume, sent = generator.throw, error

        return inside

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else (lambda *a, **k: self(instance, *a, **k))


class no_grad(_Switch):  # noqa: N801
    """Ops inside record no gradient. A context manager and a decorator, with or without parentheses."""

    name, value = "grad", False


class enable_grad(_Switch):  # noqa: N801
    """Ops inside record gradients again, also within no_grad."""

    name, value = "grad", True


class set_grad_enabled(_Switch):  # noqa: N801
    """Switches gradient recording; acts at once, and as a context manager it restores the previous state."""

    name = "grad"

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self.value = bool(mode)
        self._before.append(MODES.grad)
        MODES.grad = self.value

    def __enter__(self) -> None:
        MODES.grad = self.value

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._undo()
        return super().__call__(*args, **kwargs)

    def _undo(self) -> None:
        """As a decorator it says nothing about the code around."""
        MODES.grad = self._before.pop()

    def _clone(self) -> _Switch:
        return _Scoped(self.name, self.value)


class _Scoped(_Switch):
    """A mode set to any value for a block."""

    def __init__(self, name: str, value: Any) -> None:
        super().__init__()
        self.name, self.value = name, value


class inference_mode(_Switch):  # noqa: N801
    """no_grad for code that will never ask for gradients."""

    name, value = "grad", False

    def __init__(self, mode: Any = True) -> None:
        super().__init__(mode if callable(mode) else None)
        self.value = False if callable(mode) or mode else MODES.grad

    def __enter__(self) -> None:
        super().__enter__()
        self._before.append(MODES.inference)
        MODES.inference = not self.value

    def __exit__(self, *error: object) -> None:
        MODES.inference = self._before.pop()
        super().__exit__(*error)


class set_detect_anomaly(_Switch):  # noqa: N801
    """Evaluates every op at once and raises at the one that makes a NaN; names the user's line."""

    name = "anomaly"

    def __init__(self, mode: bool = True, check_nan: bool = True) -> None:
        super().__init__()
        self.value = bool(mode) and check_nan
        self._before.append(MODES.anomaly)
        MODES.anomaly = self.value

    def __enter__(self) -> None:
        MODES.anomaly = self.value

    def _clone(self) -> _Switch:
        return type(self)(self.value)


class detect_anomaly(_Switch):  # noqa: N801
    """Context manager form of `set_detect_anomaly`."""

    name, value = "anomaly", True

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__()
        self.value = check_nan


def is_grad_enabled() -> bool:
    """Whether ops of this thread record gradients now."""
    return MODES.grad


def is_inference_mode_enabled() -> bool:
    """Whether inference_mode is on in this thread."""
    return MODES.inference


def is_anomaly_enabled() -> bool:
    """Whether NaNs are hunted in this thread."""
    return MODES.anomaly
