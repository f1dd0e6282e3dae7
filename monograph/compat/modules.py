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
        # Once imported it hides the function of its name in the module above (`nn.parallel.data_parallel` is both): it keeps and is it.
        own = name.rpartition(".")[2]
        for source in sources:
            if callable(vars(source).get(own)):
                vars(self).setdefault(own, vars(source)[own])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function of the same name."""
        function = vars(self).get(self.__name__.rpartition(".")[2])
        if function is None:
            raise TypeError(f"{self.__name__!r} is a module, it cannot be called")
        return function(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__"):
            for source in vars(self).get("_sources", ()):
                if hasattr(source, name):
                    return getattr(source, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *(name for source in self._sources for name in dir(source) if not name.startswith("_"))})
