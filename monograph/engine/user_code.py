"""Which code is the user's, and what runs while a function is captured: every user function as it is entered, every
call with an effect outside.
"""

from __future__ import annotations

import datetime
import gc
import io
import os
import random
import sys
import sysconfig
import time
import types
from collections.abc import Callable
from typing import Any

from monograph.core.errors import PACKAGE

_LIBRARY = tuple(
    {PACKAGE, "<frozen", *(p + "/" for n in ("stdlib", "platstdlib", "purelib", "platlib") if (p := sysconfig.get_paths().get(n)))},
)
_CLOCKS = (
    "time",
    "perf_counter",
    "monotonic",
    "process_time",
    "time_ns",
    "perf_counter_ns",
    "monotonic_ns",
    "sleep",
    "localtime",
    "gmtime",
)
_EFFECTS: dict[Any, str] = {getattr(time, name): f"time.{name}()" for name in _CLOCKS if hasattr(time, name)}
_EFFECTS.update({print: "print()", input: "input()", open: "open()", os.urandom: "os.urandom()"})
_EFFECTS.update({f: f"datetime.{f.__name__}()" for f in (datetime.datetime.now, datetime.datetime.utcnow, datetime.date.today)})
_library: dict[str, bool] = {}


def is_library(filename: str) -> bool:
    """Whether a source file belongs to Python, to an installed package or to monograph: such code is taken not to change."""
    found = _library.get(filename)
    if found is None:
        found = _library[filename] = filename.startswith(_LIBRARY)
    return found


def is_user_class(kind: type) -> bool:
    """Whether a class is defined by the user: in no library, and not built in."""
    module = sys.modules.get(kind.__module__)
    file = getattr(module, "__file__", None)
    if file is None:
        return kind.__module__ not in ("builtins", "_io") and (
            module is None or kind.__module__ == "__main__" or not hasattr(module, "__spec__")
        )
    return not is_library(file)


def names_of(code: types.CodeType) -> list[str]:
    """Global and attribute names that code may read, in order; strings too, which getattr and subscripts may use."""
    found = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, str) and len(constant) < 100:
            found[constant] = None
        elif isinstance(constant, tuple):
            found.update(dict.fromkeys(c for c in constant if isinstance(c, str) and len(c) < 100))
    return list(found)


class Tracer:
    """Watches Python while a function is captured (`with Tracer(...)`): tells `watch` of user functions, `refuse` of
    effects that no replay repeats.
    """

    def __init__(self, watch: Any, refuse: Callable[[str], None]) -> None:
        self._watch, self._refuse = watch, refuse
        self._codes: set[types.CodeType] = set()
        self._inner: set[types.CodeType] = set()  # code of functions that the captured code itself makes: their cells are its own
        self._before: Any = None
        self._collecting = True

    def enter(self, function: Any) -> None:
        """The captured function itself, whose cells are known."""
        while isinstance(function, types.MethodType):
            function = function.__func__
        if isinstance(function, types.FunctionType):
            self._code(function.__code__, function.__globals__, zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))

    def __enter__(self) -> Tracer:
        self._collecting = gc.isenabled()
        gc.disable()  # what others do when garbage is collected is not the function's doing
        self._before = sys.getprofile()
        if hasattr(self._before, "disable"):  # cProfile: a profiler that is no Python function is taken off and put back by its own methods
            self._before.disable()
        sys.setprofile(self._event)
        return self

    def __exit__(self, *error: object) -> None:
        if hasattr(self._before, "enable"):
            sys.setprofile(None)
            self._before.enable()
        else:
            sys.setprofile(self._before)
        if self._collecting:
            gc.enable()

    def _event(self, frame: Any, event: str, arg: Any) -> None:
        if event == "call":
            code = frame.f_code
            if code in self._codes:
                return
            if is_library(code.co_filename):
                self._codes.add(code)
                return
            if code.co_flags & 0x20 and frame.f_lasti > 8 and code not in self._codes:  # a generator that was already running
                self._refuse(f"it takes the next element of the generator {code.co_name}, which is used up by every call")
            self._code(code, frame.f_globals, self._cells(code, frame))
        elif event == "c_call":
            self._builtin(frame, arg)

    def _code(self, code: types.CodeType, space: dict[str, Any], cells: Any) -> None:
        self._codes.add(code)
        self._inner.update(c for c in code.co_consts if isinstance(c, types.CodeType))
        names = names_of(code)
        numpy = next((n for n in names if getattr(space.get(n), "__name__", "") == "numpy"), None)
        if numpy is not None and "random" in names:
            self._refuse(f"it uses {numpy}.random: a replay would repeat the numbers; use monograph's own random functions")
        self._watch.enter(names, space, cells)

    def _cells(self, code: types.CodeType, frame: Any) -> Any:
        """The closure of an entered function. A frame does not know its function, so it is looked for among those that share the code."""
        if not code.co_freevars or code in self._inner or code.co_freevars == ("__class__",):
            return ()
        found = [f for f in gc.get_referrers(code) if isinstance(f, types.FunctionType) and f.__code__ is code]
        return [
            (name, cell) for f in found for name, cell in zip(code.co_freevars, f.__closure__ or (), strict=True) if name != "__class__"
        ]

    def _builtin(self, frame: Any, function: Any) -> None:
        effect = None
        try:
            effect = _EFFECTS.get(function)
        except TypeError:
            return
        owner = getattr(function, "__self__", None)
        if effect is None and isinstance(owner, random.Random):
            effect = f"random.{function.__name__}()"
        elif effect is None and isinstance(owner, io.IOBase):
            effect = f"{function.__name__}() of a file"
        if effect is not None and not frame.f_code.co_filename.startswith((PACKAGE, "<frozen")):
            self._refuse(f"it calls {effect} ({frame.f_code.co_filename}:{frame.f_lineno}), which a replay would not repeat")
