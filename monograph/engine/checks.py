"""The checks that guard a captured call: places of Python's state that must hold what they held."""

from __future__ import annotations

import enum
import functools
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from monograph.core.dtype import dtype as DType

MISSING: Any = object()
ATOMS = frozenset((int, float, bool, str, bytes, complex, type(None), DType, type, range, slice, types.EllipsisType))

NUMBERS = (float, int, np.float64, np.float32, np.int64)  # what a run-time scalar may be given as


def is_numeric(value: Any) -> bool:
    """Whether a value is a number, or a tuple of numbers."""
    return type(value) in NUMBERS or (type(value) is tuple and bool(value) and all(type(v) in NUMBERS for v in value))


def same_value(a: Any, b: Any) -> bool:
    """Whether two plain values are interchangeable: one type, equal, -0.0 apart from 0.0."""
    if a is b:
        return True
    kind = type(a)
    if kind is not type(b):
        return False
    if kind is float:
        return a == b and (a != 0 or str(a) == str(b))
    if kind in ATOMS or isinstance(a, enum.Enum):
        return bool(a == b)
    if kind is tuple:
        return len(a) == len(b) and all(map(same_value, a, b))
    if isinstance(a, types.MethodType):
        return a.__self__ is b.__self__ and a.__func__ is b.__func__
    return isinstance(a, np.generic) and a.tobytes() == b.tobytes()


def _kind(value: Any) -> Any:
    """The type of a number, the types of a tuple of numbers."""
    return tuple(map(type, value)) if type(value) is tuple else type(value)


class Check:
    """One place that must hold what it held. `same()` compares in full; `tests()` says the same, by identity only, as lines of Python."""

    __slots__ = ("where",)
    where: str

    def same(self) -> bool:
        """Whether the place is as it was. Values that are equal but not identical are remembered, so that the quick test passes again."""
        raise NotImplementedError

    def tests(self, bind: Callable[[Any], str]) -> list[str]:
        """Conditions that hold when something may have changed; `bind(object)` gives a name to use in them."""
        raise NotImplementedError


class Names(Check):
    """Some names of a namespace: globals, a module's, a class's or an object's attributes."""

    __slots__ = ("names", "space", "values")

    def __init__(self, where: str, space: Any) -> None:
        self.where, self.space = where, space
        self.names: list[str] = []
        self.values: list[Any] = []

    def add(self, name: str, value: Any) -> None:
        """Watches one more name."""
        self.names.append(name)
        self.values.append(value)

    def same(self) -> bool:
        get = self.space.get
        for i, (name, value) in enumerate(zip(self.names, self.values, strict=True)):
            now = get(name, MISSING)
            if now is not value:
                if not same_value(now, value):
                    return False
                self.values[i] = now
        return True

    def tests(self, bind: Callable[[Any], str]) -> list[str]:
        space, values = bind(self.space), bind(self.values)
        tests = []
        for i, (name, value) in enumerate(zip(self.names, self.values, strict=True)):
            now = f"{space}[{name!r}]" if value is not MISSING else f"{space}.get({name!r}, MISSING)"
            tests.append(f"{now} is not {values}[{i}]")
        return tests


class Contents(Check):
    """All elements of a list, deque or set, or all items of a dict; of the keys to `skip` only the type, where they hold numbers.

    A parameter group is read by dict's own methods: it would take this for somebody's interest in its numbers.
    """

    __slots__ = ("container", "elements", "keys", "skip")

    def __init__(self, where: str, container: Any, skip: frozenset[str] = frozenset()) -> None:
        self.where, self.container, self.skip = where, container, skip
        self.keys, self.elements = self._now()

    def _now(self) -> tuple[list[Any], list[Any]]:
        c = self.container
        if not isinstance(c, dict):
            return [], list(c)
        items = dict.items(c) if hasattr(c, "tells_reads") else c.items()
        return [k for k, _ in items], [_kind(v) if k in self.skip and is_numeric(v) else v for k, v in items]

    def same(self) -> bool:
        keys, elements = self._now()
        if len(elements) != len(self.elements) or len(keys) != len(self.keys):
            return False
        if not all(map(same_value, keys, self.keys)) or not all(map(same_value, elements, self.elements)):
            return False
        self.keys[:], self.elements[:] = keys, elements
        return True

    def tests(self, bind: Callable[[Any], str]) -> list[str]:
        c, elements = bind(self.container), bind(self.elements)
        size = f"len({c}) != {len(self.elements)}"
        if not isinstance(self.container, dict):
            return [f"{size} or not all(map(is_, {c}, {elements}))" if self.elements else size]
        keys = bind(self.keys)
        if not self.skip:
            same_keys = f"not all(map(is_, {c}, {keys}))"
            return [f"{size} or {same_keys} or not all(map(is_, {c}.values(), {elements}))" if self.elements else size]
        held = bind(functools.partial(dict.__getitem__, self.container))
        tests = [f"{size} or not all(map(is_, {bind(functools.partial(dict.keys, self.container))}(), {keys}))"]
        for i, (k, kind) in enumerate(zip(self.keys, self.elements, strict=True)):
            if k not in self.skip:
                tests.append(f"{held}({k!r}) is not {elements}[{i}]")
            elif isinstance(kind, tuple):
                tests.append(f"(*map(type, {held}({k!r})),) != {elements}[{i}]")
            else:
                tests.append(f"type({held}({k!r})) is not {elements}[{i}]")
        return tests


class Value(Check):
    """A value that a function reads: a closure cell, a function's defaults, an iterator's position."""

    __slots__ = ("owner", "read", "values")

    def __init__(self, where: str, owner: Any, read: str | Callable[[Any], Any]) -> None:
        self.where, self.owner, self.read = where, owner, read
        self.values = [self._now()]

    def _now(self) -> Any:
        return getattr(self.owner, self.read, MISSING) if isinstance(self.read, str) else self.read(self.owner)

    def same(self) -> bool:
        now = self._now()
        if now is not self.values[0] and not same_value(now, self.values[0]):
            return False
        self.values[0] = now
        return True

    def tests(self, bind: Callable[[Any], str]) -> list[str]:
        if isinstance(self.read, str):
            now = (
                f"{bind(self.owner)}.{self.read}"
                if self.values[0] is not MISSING
                else f"getattr({bind(self.owner)}, {self.read!r}, MISSING)"
            )
            return [f"{now} is not {bind(self.values)}[0]"]
        return [f"{bind(self.read)}({bind(self.owner)}) != {bind(self.values)}[0]"]


class ArrayBytes(Check):
    """The elements of a NumPy array."""

    __slots__ = ("array", "copy")

    def __init__(self, where: str, array: np.ndarray) -> None:
        self.where, self.array, self.copy = where, array, array.copy()

    def same(self) -> bool:
        a, b = self.array, self.copy
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        return a.tobytes() == b.tobytes() if a.nbytes < 65536 or a.dtype.kind in "fcO" else bool(np.array_equal(a, b))

    def tests(self, bind: Callable[[Any], str]) -> list[str]:
        return [f"not {bind(self.same)}()"]


def cell_value(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return MISSING


def watched_cell(where: str, cell: Any) -> Value:
    return Value(where, cell, "cell_contents" if cell_value(cell) is not MISSING else cell_value)
