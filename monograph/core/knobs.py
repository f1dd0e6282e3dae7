"""Every knob there is: one registry, typed and documented, read from the environment, scoped with contextvars."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Knob:
    """One setting: `get()` reads it, `set()` changes it for this context, `scoped()` for a block."""

    name: str
    default: Any
    doc: str
    variable: ContextVar[Any]

    def get(self) -> Any:
        return self.variable.get()

    def set(self, value: Any) -> None:
        self.variable.set(type(self.default)(value))

    @contextmanager
    def scoped(self, value: Any) -> Iterator[None]:
        token = self.variable.set(type(self.default)(value))
        try:
            yield
        finally:
            self.variable.reset(token)


KNOBS: dict[str, Knob] = {}


def define_knob(name: str, default: Any, doc: str) -> Knob:
    """Declares a knob; its environment variable is MONOGRAPH_<NAME>."""
    text = os.environ.get("MONOGRAPH_" + name.upper())
    value = default
    if text is not None:
        try:
            value = text.lower() in ("1", "true", "yes", "on") if isinstance(default, bool) else type(default)(text)
        except ValueError:
            raise ValueError(f"MONOGRAPH_{name.upper()}={text!r}: expected a value of type {type(default).__name__} ({doc})") from None
    knob = Knob(name, default, doc, ContextVar(name, default=value))
    KNOBS[name] = knob
    return knob


target = define_knob("target", "cpu", "target that evaluates graphs: 'cpu' (compiled) or 'reference' (NumPy, slow and plain)")
eager = define_knob("eager", False, "evaluate every op at once, for debugging")
verify = define_knob("verify", False, "verify the graph before and after every pass")
debug = define_knob("debug", 0, "print the ladder while compiling: 1 graph, 2 passes, 3 kernels, 4 LLVM IR, 5 assembly, 6 timings")
winograd = define_knob("winograd", True, "3x3 convolutions may use Winograd's algorithm: faster, its rounding error some times as large")
pending_nodes = define_knob("pending_nodes", 4000, "evaluate by itself once so many ops are pending")
pending_megabytes = define_knob("pending_megabytes", 512, "evaluate by itself once pending ops hold so many MiB of inputs")


PLANNING = (target.variable, winograd.variable)  # what plans depend on besides their graph


def planning() -> tuple[str, bool]:
    """What plans depend on besides their graph: part of the key under which a plan is kept."""
    return target.variable.get(), winograd.variable.get()
