"""What a captured function could have read of Python's state, and the cheap test that it is still as it was.

A `Watch` starts from roots (globals, closure cells, defaults, `self`) and follows them through modules, plain objects, containers and
optimisers. Of the user's own objects only attributes are watched whose names occur in the user's code that ran. Every check compares
identities first, at C speed, and values only where an identity changed.
"""

from __future__ import annotations

import functools
import itertools
import operator
import types
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from monograph.engine.checks import ATOMS, MISSING, ArrayBytes, Check, Contents, Names, Value, cell_value, is_numeric, watched_cell
from monograph.engine.user_code import is_library, is_user_class

LIMIT = 100_000  # containers and objects looked at before a function counts as too entangled to be watched


class Epoch:
    """Counts changes of some kind of object (modules): while it stands still, none of them needs to be looked at."""

    value: int


EPOCHS: list[Any] = []


def watch_epoch(epoch: Any) -> None:
    """Tells of a counter that moves whenever any module changes; without one, modules are compared at every call."""
    if epoch not in EPOCHS:
        EPOCHS.append(epoch)


ALWAYS: list[tuple[str, Any]] = []


def watch_always(where: str, container: Any) -> None:
    """Tells of a container that every captured function may read."""
    ALWAYS.append((where, container))


def _is_module(x: Any) -> bool:
    own = getattr(x, "__dict__", None)
    return type(own) is dict and "_parameters" in own and "_modules" in own and "_buffers" in own


def _is_optimizer(x: Any) -> bool:
    own = getattr(x, "__dict__", None)
    return type(own) is dict and type(own.get("param_groups")) is list and "state" in own


def _is_tensor(x: Any) -> bool:
    return hasattr(type(x), "_steps") and hasattr(type(x), "_read")


class Watch:
    """The checks of one captured call. `enter` is told of each user function as it is first entered, before its body runs."""

    def __init__(self) -> None:
        self.checks: list[Check] = []
        self.module_checks: list[Check] = []
        self.at_exit: list[Check] = []  # compared once, at the end of the capture: live values must not be changed by the function itself
        self.refusals: list[str] = []
        self.tensors: dict[int, Any] = {}  # tensors met on the way: they are bound to a place, whoever else passes them in
        self.where: dict[int, str] = {}  # where each was met first, for reports
        self.parameters: list[Any] = []  # tensors whose having a gradient decides what an optimiser does
        self.names: set[str] = set()
        self.seen: dict[int, Any] = {}
        self._spaces: dict[int, tuple[Any, Names]] = {}  # with their owners, so that no other gets the number of one
        self._plain: list[tuple[str, Any]] = []
        self._classes: set[type] = set()
        self._queue: deque[tuple[str, Any]] = deque()
        self._epochs: list[int] = []
        self._quick: Callable[[], bool] = self._same_in_full
        self.module_checks.extend(Contents(where, container) for where, container in ALWAYS)

    # ---- where things are read from ----
    def enter(self, names: Iterable[str], space: dict[str, Any], closure: Iterable[tuple[str, Any]] = ()) -> None:
        """A user function is entered: its global names, the attribute names it may read, its closure cells."""
        fresh = [n for n in names if n not in self.names]
        self.names.update(fresh)
        for name in names:
            if name in space:
                self._name("global ", space, name)
        for name, cell in closure:
            if id(cell) not in self.seen:
                self.seen[id(cell)] = cell
                self._add(watched_cell(f"closure variable {name}", cell))
                self._queue.append((name, cell_value(cell)))
        if fresh:
            for where, owner in list(self._plain):
                self._attributes(where, owner, fresh)
        self._follow()

    def root(self, where: str, value: Any) -> None:
        """A value that reaches the function in another way: an argument, `self`."""
        self._queue.append((where, value))
        self._follow()

    def unchanged(self, where: str, containers: list[Any]) -> None:
        """Arguments' lists and dicts, which belong to this call only: the function must leave them as they are."""
        for c in containers:
            if isinstance(c, list | dict):
                self.at_exit.append(Contents(where, c))
            if isinstance(c, list | dict | tuple):
                self.unchanged(where, list(c.values()) if isinstance(c, dict) else list(c))

    def attribute(self, where: str, owner: Any, name: str) -> None:
        """An attribute of an object that is not followed otherwise."""
        self._add(Value(where, owner, name))
        self._queue.append((where, getattr(owner, name)))
        self._follow()

    def condition(self, where: str, owner: Any, read: Callable[[Any], Any]) -> None:
        """What Python has found by looking at a run-time number."""
        self._add(Value(where, owner, read))

    def _name(self, where: str, space: Any, name: str, owner: Any = None) -> None:
        """A name of a namespace; `owner` is the class whose it is (a class gives another view of it each time it is asked)."""
        owner = space if owner is None else owner
        _, names = self._spaces.get(id(owner), (owner, None))
        if names is None:
            names = Names(where, space)
            self._spaces[id(owner)] = owner, names
            self._add(names)
        if name not in names.names:
            value = space.get(name, MISSING)
            names.add(name, value)
            self._queue.append((where + name, value))

    def _add(self, check: Check) -> None:
        self.checks.append(check)
        if len(self.seen) > LIMIT and not self.refusals:
            self.refusals.append(f"it can reach more than {LIMIT} objects, too many to watch: pass what it needs as arguments")

    # ---- following values ----
    def _follow(self) -> None:
        while self._queue and not self.refusals:
            where, value = self._queue.popleft()
            kind = type(value)
            if (kind in ATOMS and kind is not type) or value is MISSING or id(value) in self.seen:
                continue
            self.seen[id(value)] = value
            declared = getattr(kind, "__watched__", None)
            if declared is not None:
                self._queue.extend((where, v) for v in declared(value))
                continue
            if kind.__module__ == "monograph.tensor.compiling":  # a compiled function, maybe this one: what it learns is no change
                self._queue.append((where, value.__dict__["_torchdynamo_orig_callable"]))
            elif _is_tensor(value):
                self.tensors[id(value)] = value
                self.where.setdefault(id(value), where)
            elif isinstance(value, types.FunctionType | types.MethodType | functools.partial):
                self._function(where, value)
            elif kind is tuple or (isinstance(value, tuple) and not _is_tensor(value)):
                self._queue.extend((f"{where}[{i}]", v) for i, v in enumerate(value))
            elif _is_module(value):
                self._module(where, value)
            elif _is_optimizer(value):
                self._optimizer(where, value)
            elif isinstance(value, types.ModuleType):
                self._plain.append((where + ".", value))
                self._attributes(where + ".", value, self.names)
            elif isinstance(value, dict):
                self._add(Contents(where, value))
                self._queue.extend((f"{where}[{k!r}]" if type(k) in ATOMS else f"{where}[...]", v) for k, v in list(value.items()))
            elif isinstance(value, list | deque | set | frozenset):
                self._add(Contents(where, value))
                self._queue.extend((f"{where}[{i}]", v) for i, v in enumerate(list(value)))
            elif isinstance(value, np.ndarray):
                self._add(ArrayBytes(where, value))
            elif isinstance(value, np.random.Generator | np.random.RandomState):
                self.refusals.append(
                    f"it can draw from NumPy's generator {where}: a replay would repeat the numbers; use monograph's own random functions"
                )
            elif isinstance(value, type):
                self._class(where, value)
            elif isinstance(value, itertools.count | itertools.cycle):
                self._add(Value(where, value, repr))
            elif hasattr(value, "__length_hint__"):
                self._add(Value(where, value, operator.length_hint))
            elif hasattr(value, "__dict__") or hasattr(kind, "__slots__"):
                self._object(where, value)

    def _function(self, where: str, f: Any) -> None:
        if isinstance(f, functools.partial):
            self._queue.extend([(where, f.func), (where, f.args), (where, f.keywords)])
            return
        if isinstance(f, types.MethodType):
            self._queue.extend([(where, f.__self__), (where, f.__func__)])
            return
        if is_library(f.__code__.co_filename) and not f.__closure__:
            return
        self._add(Value(f"code of {where}", f, "__code__"))
        self._add(Value(f"defaults of {where}", f, "__defaults__"))
        self._queue.extend((f"default of {where}", d) for d in f.__defaults__ or ())
        if f.__kwdefaults__:
            self._queue.append((f"defaults of {where}", f.__kwdefaults__))
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            if id(cell) not in self.seen:
                self.seen[id(cell)] = cell
                self._add(watched_cell(f"closure variable {name} of {where}", cell))
                self._queue.append((name, cell_value(cell)))
        if "__wrapped__" in f.__dict__:
            self._queue.append((where, f.__dict__["__wrapped__"]))

    def _module(self, where: str, m: Any) -> None:
        """One module of a tree: all attributes, registered tensors and hooks. Looked at only when some module has changed."""
        own = m.__dict__
        target = self.module_checks if EPOCHS else self.checks
        target.append(Contents(where, own))
        for name, value in list(own.items()):
            if isinstance(value, dict | set) and name.startswith("_") and not hasattr(value, "__watched__"):
                if id(value) not in self.seen:
                    self.seen[id(value)] = value
                    target.append(Contents(f"{where}.{name}", value))
                    if isinstance(value, dict) and (value or name in ("_parameters", "_buffers", "_modules")):
                        self._queue.extend((f"{where}.{k}" if isinstance(k, str) else where, v) for k, v in value.items())
            elif name not in ("_compiled_call_impl",):
                self._queue.append((f"{where}.{name}", value))
        self._class(f"type of {where}", type(m), ("forward", "__call__"))
        if is_user_class(type(m)):
            self._plain.append((where + ".", m))
            self._attributes(where + ".", m, self.names)

    def _optimizer(self, where: str, o: Any) -> None:
        groups = o.__dict__["param_groups"]
        self._add(Value(f"{where}.param_groups", o, "param_groups"))
        self._add(Value(f"{where}.state", o, "state"))
        self._add(Contents(f"{where}.param_groups", groups))
        for i, group in enumerate(groups):
            # Numbers of a group that tells who reads them are watched as far as somebody does: the rest are run-time numbers.
            skip = frozenset(k for k, v in dict.items(group) if is_numeric(v)) if hasattr(group, "tells_reads") else frozenset()
            self._add(Contents(f"{where}.param_groups[{i}]", group, skip))
            if skip:
                self.at_exit.append(Contents(f"{where}.param_groups[{i}]", group))
            for key, value in dict.items(group):
                if key == "params":
                    self._add(Contents(f"{where}.param_groups[{i}]['params']", value))
                    self.parameters.extend(value)
                    self.tensors.update((id(p), p) for p in value)
                else:
                    self._queue.append((f"{where}.param_groups[{i}][{key!r}]", value))
        state = o.__dict__["state"]
        self._queue.append((f"{where}.state", state))
        for name, value in o.__dict__.items():
            if name not in ("param_groups", "state", "_touched", "_in_step", "_opt_called"):
                self._name(f"{where}.", o.__dict__, name)
                self._queue.append((f"{where}.{name}", value))
        self._class(f"type of {where}", type(o), ("step", "zero_grad"))

    def _object(self, where: str, x: Any) -> None:
        """A plain object: of the user's own classes the attributes that the code names, of library classes all."""
        if is_user_class(type(x)):
            self._plain.append((where + ".", x))
            self._attributes(where + ".", x, self.names)
            return
        own = getattr(x, "__dict__", None)
        if isinstance(own, dict):
            self._add(Contents(where, own))
            self._queue.extend((f"{where}.{k}", v) for k, v in list(own.items()))
        elif type(x).__module__.split(".")[0] == "monograph":
            for name in self._slots(type(x)):
                self._add(Value(f"{where}.{name}", x, name))

    @staticmethod
    def _slots(kind: type) -> list[str]:
        found: list[str] = []
        for k in kind.__mro__:
            slots = k.__dict__.get("__slots__", ())
            found += [slots] if isinstance(slots, str) else [s for s in slots if not s.startswith("__")]
        return found

    def _attributes(self, where: str, owner: Any, names: Iterable[str]) -> None:
        own = getattr(owner, "__dict__", None)
        if own is not None and not isinstance(owner, type):
            module = _is_module(owner)
            for name in names:
                if name in own:
                    if not module:
                        self._name(where, own, name)
                elif not isinstance(owner, types.ModuleType):
                    self._class_name(where, type(owner), name)
                    if not module:
                        self._name(where, own, name)
        elif not isinstance(owner, type):
            for name in self._slots(type(owner)):
                if name in names:
                    self._add(Value(where + name, owner, name))
                    self._queue.append((where + name, getattr(owner, name, MISSING)))

    def _class(self, where: str, kind: type, names: Iterable[str] = ()) -> None:
        if is_user_class(kind) and kind not in self._classes:
            self._classes.add(kind)
            self._plain.append((where + ".", kind))
            names = [*names, *self.names]
        for name in names:
            self._class_name(where + ".", kind, name)

    def _class_name(self, where: str, kind: type, name: str) -> None:
        for k in kind.__mro__:
            if name in k.__dict__:
                self._name(where, k.__dict__, name, k)
                return

    # ---- asking ----
    def settle(self) -> None:
        """The checks are complete: from now on `same` compares."""
        self._epochs[:] = [e.value for e in EPOCHS]
        self._quick = self._compiled()

    def join(self, other: Watch) -> None:
        """Takes over the checks of another run of the same function."""
        self.checks += other.checks
        self.module_checks += other.module_checks
        self.parameters += other.parameters
        self.where.update(other.where)

    def _compiled(self) -> Callable[[], bool]:
        """All quick tests as one function: a few dozen identity comparisons, without a call for each."""
        space: dict[str, Any] = {"MISSING": MISSING, "is_": operator.is_, "epochs": self._epochs}
        names: dict[int, str] = {}

        def bind(value: Any) -> str:
            name = names.get(id(value))
            if name is None:
                name = names[id(value)] = f"v{len(names)}"
                space[name] = value
            return name

        tests = [t for check in self.checks for t in check.tests(bind)]
        tests += [f"{bind(e)}.value != epochs[{i}]" for i, e in enumerate(EPOCHS)]
        lines = ["def quick():", "    try:", *(f"        if {t}: return False" for t in tests), "        return True"]
        lines += ["    except (KeyError, AttributeError, ValueError, RuntimeError):", "        return False"]
        exec("\n".join(lines), space)
        return space["quick"]

    def same(self) -> bool:
        """Whether everything is as it was. The hot path of a compiled call."""
        return self._quick() or self._same_in_full()

    def _same_in_full(self) -> bool:
        for check in self.checks:
            if not check.same():
                return False
        now = [e.value for e in EPOCHS]
        if now != self._epochs:
            for check in self.module_checks:
                if not check.same():
                    return False
            self._epochs[:] = now
        return True

    def changed(self) -> str | None:
        """Where something is not as it was, None if nothing changed."""
        for check in (*self.checks, *self.module_checks, *self.at_exit):
            if not check.same():
                return check.where
        return None
