"""torch.classes: classes that C++ extensions register. There are none."""

from __future__ import annotations

from types import ModuleType
from typing import Any


class _Namespace(ModuleType):
    """The classes of one extension."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(
            f"Class {self.__name__.rpartition('.')[2]}.{name} could not be instantiated: it is registered by an extension compiled against "
            "torch's C++, and torch is monograph here"
        )


class _Classes(ModuleType):
    """`torch.classes`."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        namespace = _Namespace(f"torch.classes.{name}")
        setattr(self, name, namespace)
        return namespace

    def load_library(self, path: Any) -> None:
        """Refused with OSError, as a file that does not load."""
        raise OSError(f"Could not load this library: {path}: it is compiled against torch's C++, and torch is monograph here")


classes = _Classes("torch.classes")
