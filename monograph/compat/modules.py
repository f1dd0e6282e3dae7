"""Modules without a file: made from names, or looking their names up in other modules."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def module(name: str, doc: str = "", **content: Any) -> ModuleType:
    """A module with that content, importable by its name from now on."""
    made = ModuleType(name, doc or f"{name}: names that torch has here.")
    made.__spec__ = ModuleSpec(name, None)
    vars(made).update(content)
    sys.modules[name] = made
    return made


class Forwarding(ModuleType):
    """A module whose names are those of other modules, the first that has one."""

    def __init__(self, name: str, *sources: ModuleType, **content: Any) -> None:
        super().__init__(name, f"The names of {', '.join(source.__name__ for source in sources)} under another path.")
        self.__spec__ = ModuleSpec(name, None)
        self.__path__: list[str] = []
        self._sources = sources
        vars(self).update(content)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__"):
            for source in vars(self).get("_sources", ()):
                if hasattr(source, name):
                    return getattr(source, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *(name for source in self._sources for name in dir(source) if not name.startswith("_"))})
