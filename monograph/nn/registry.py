"""What a module owns by name, and the count of changes that compiled programs watch."""

from __future__ import annotations

import weakref
from typing import Any


class Epoch:
    """Counts every change of any module's structure or attributes: a compiled program compares one integer instead of looking
    at everything.
    """

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


EPOCH = Epoch()

_MISSING = object()


class Registered(dict[str, Any]):
    """The parameters, buffers or submodules of one module: a dict that keeps the module's own `__dict__` in step.

    An entry is reachable as a plain attribute, at the price of a plain attribute (an `__getattr__` would cost 20 times that); a write
    to the dict itself (`module._parameters["weight"] = p`) is seen by the attribute, and counted.
    """

    __slots__ = ("_owner",)

    def __init__(self, owner: Any, entries: dict[str, Any] | None = None) -> None:
        super().__init__()
        self._owner = weakref.ref(owner)
        if entries:
            for name, value in entries.items():
                self[name] = value

    def _attributes(self) -> dict[str, Any]:
        owner = self._owner()
        return {} if owner is None else owner.__dict__

    def __setitem__(self, name: str, value: Any) -> None:
        if self.get(name, _MISSING) is not value:
            EPOCH.value += 1
        super().__setitem__(name, value)
        self._attributes()[name] = value

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        EPOCH.value += 1
        self._attributes().pop(name, None)

    def pop(self, name: str, default: Any = _MISSING) -> Any:  # type: ignore[override]
        if name in self:
            value = self[name]
            del self[name]
            return value
        if default is _MISSING:
            raise KeyError(name)
        return default

    def popitem(self) -> tuple[str, Any]:
        if not self:
            raise KeyError("popitem(): dictionary is empty")
        name = next(reversed(self))
        return name, self.pop(name)

    def clear(self) -> None:
        for name in list(self):
            del self[name]

    def update(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def __ior__(self, other: Any) -> Registered:  # type: ignore[override,misc]
        self.update(other)
        return self

    def setdefault(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self[name] = default
        return self[name]

    def copy(self) -> dict[str, Any]:
        return dict(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        # Copies and pickles are plain dicts: Module.__setstate__ ties them to their new owner.
        return (dict, (dict(self),))

    def move_to_end(self, name: str) -> None:
        """Makes `name` the last entry."""
        value = super().__getitem__(name)
        super().__delitem__(name)
        super().__setitem__(name, value)
