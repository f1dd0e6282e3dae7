"""Numbers that a captured step asks for anew at every run: learning rates, momenta, weight decays.

A `LiveNumber` stands for a Python number while a function is captured. Tensor ops take it as a run-time scalar, arithmetic with other
numbers gives live numbers again. What Python decides by it (a comparison, `if decay:`), and what turns it into a plain number
(`float(rate)`), becomes a condition of the capture: a replay needs the same answer.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from monograph.core.dtype import dtype as DType

PLAIN = (int, float, np.number)


class Asking(Protocol):
    """What a capture must offer."""

    def live(self, provider: Callable[[], Any], dtype: DType) -> Any:
        """A run-time scalar."""
        ...

    def depends(self, where: str, owner: Any, read: Callable[[Any], Any]) -> None:
        """What `read(owner)` gives must be the same at a replay."""
        ...


class LiveNumber:
    """`ask()` is its value at any time, `where` its name in reports."""

    __slots__ = ("_capture", "_derived", "_known", "_nodes", "ask", "where")

    def __init__(self, capture: Asking, where: str, ask: Callable[[], Any]) -> None:
        self._capture, self.where, self.ask = capture, where, ask
        self._nodes: dict[DType, Any] = {}
        self._derived: dict[Any, LiveNumber] = {}
        self._known: set[Any] = set()

    def node(self, dtype: DType) -> Any:
        """The number as a run-time scalar of this dtype, one for the whole capture."""
        found = self._nodes.get(dtype)
        if found is None:
            found = self._nodes[dtype] = self._capture.live(self.ask, dtype)
        return found

    # ---- what Python decides by it ----
    def _decided(self, key: Any, read: Callable[[Any], Any]) -> Any:
        if key not in self._known:
            self._known.add(key)
            self._capture.depends(self.where, self.ask, read)
        return read(self.ask)

    def __float__(self) -> float:
        return float(self._decided("value", _value))

    def __int__(self) -> int:
        return int(self._decided("value", _value))

    def __bool__(self) -> bool:
        return self._decided("truth", lambda ask: bool(ask()))  # type: ignore[no-any-return]

    def __hash__(self) -> int:
        return hash(self._decided("value", _value))

    def __repr__(self) -> str:
        return repr(self._decided("value", _value))

    def __format__(self, spec: str) -> str:
        return format(self._decided("value", _value), spec)


def _value(ask: Callable[[], Any]) -> Any:
    return ask()


def _arithmetic(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    compute: Callable[..., Any] = getattr(operator, name)

    def derive(self: LiveNumber, key: Any, ask: Callable[[], Any]) -> LiveNumber:
        found = self._derived.get(key)
        if found is None:
            found = self._derived[key] = LiveNumber(self._capture, f"{name} of {self.where}", ask)
        return found

    def forwards(self: LiveNumber, other: Any) -> Any:
        mine = self.ask
        if type(other) is LiveNumber:
            return derive(self, (name, id(other)), lambda: compute(mine(), other.ask()))
        if not isinstance(other, PLAIN):
            return NotImplemented
        return derive(self, (name, "with", repr(other)), lambda: compute(mine(), other))

    def backwards(self: LiveNumber, other: Any) -> Any:
        if not isinstance(other, PLAIN):
            return NotImplemented
        mine = self.ask
        return derive(self, (name, "from", repr(other)), lambda: compute(other, mine()))

    return forwards, backwards


def _comparison(name: str) -> Callable[..., Any]:
    compare: Callable[..., Any] = getattr(operator, name)

    def method(self: LiveNumber, other: Any) -> Any:
        if type(other) is LiveNumber:
            return self._decided((name, id(other)), lambda ask: compare(ask(), other.ask()))
        if not isinstance(other, PLAIN):
            return NotImplemented
        return self._decided((name, repr(other)), lambda ask: compare(ask(), other))

    return method


def _unary(name: str) -> Callable[..., Any]:
    compute: Callable[..., Any] = getattr(operator, name)

    def method(self: LiveNumber) -> Any:
        found = self._derived.get(name)
        if found is None:
            mine = self.ask
            found = self._derived[name] = LiveNumber(self._capture, f"{name} of {self.where}", lambda: compute(mine()))
        return found

    return method


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    _forwards, _backwards = _arithmetic(_name)
    setattr(LiveNumber, f"__{_name}__", _forwards)
    setattr(LiveNumber, f"__r{_name}__", _backwards)
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(LiveNumber, f"__{_name}__", _comparison(_name))
for _name in ("neg", "pos", "abs"):
    setattr(LiveNumber, f"__{_name}__", _unary(_name))
