"""Whole modules in a file: the name of the class and the state of the object. No code is written; the reader must have imported the class.

`save(model, f)` of a torch script works so, and `load(f, weights_only=False)` gives the module back. Reading makes objects of classes
that are subclasses of Module and already imported by the program, without calling them, and refers to functions of monograph only, so a
file can name nothing that runs while it is read. What such a module then computes is still for its author to answer, hence the explicit
argument.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType
from typing import Any

from monograph.core.errors import ArtifactError
from monograph.nn.module import Module

PACKAGE = "monograph"
_trusted: list[Any] = []


def add_safe_globals(safe_globals: list[Any]) -> None:
    """From now on, whole modules of these classes (and of monograph's own layers) are read from our files without weights_only=False."""
    _trusted.extend(safe_globals)


def get_safe_globals() -> list[Any]:
    """What was added."""
    return list(_trusted)


def clear_safe_globals() -> None:
    """Forgets what was added."""
    _trusted.clear()


class safe_globals:  # noqa: N801 - torch's name
    """`add_safe_globals` for a block."""

    def __init__(self, safe_globals: list[Any]) -> None:
        self._globals = list(safe_globals)
        self._before: list[list[Any]] = []

    def __enter__(self) -> None:
        self._before.append(get_safe_globals())
        add_safe_globals(self._globals)

    def __exit__(self, *error: object) -> None:
        _trusted[:] = self._before.pop()


def is_trusted(name: str) -> bool:
    """Whether the program said that modules of the class of that name may be read."""
    own = name.partition(".")[0].partition(":")[0] == PACKAGE
    return bool(_trusted) and (own or any(full_name(known) == name for known in _trusted if isinstance(known, type)))


def full_name(value: Any) -> str:
    """module:qualified name, by which a class or function is found again."""
    return f"{value.__module__}:{value.__qualname__}"


def _found(name: str) -> Any:
    """What a program that imported the module finds under the name; None if nothing."""
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def state_of(module: Module, place: str) -> dict[str, Any]:
    """The state to write. Raises TypeError for a class that cannot be found by its name and for a module with hooks."""
    if _found(full_name(type(module))) is not type(module):
        raise TypeError(
            f"save: {place} is a module of the class {type(module).__qualname__}, which is defined inside a function and cannot be found "
            f"again by its name; "
            "save model.state_dict(), or define the class at the top of its file"
        )
    state = {}
    for name, value in module.__getstate__().items():
        if "hooks" in name:
            if value:
                raise TypeError(f"save: {place} has hooks ({name}), which are code; remove them, or save model.state_dict()")
            continue
        state[name] = dict(value) if isinstance(value, dict) and name in ("_parameters", "_buffers", "_modules") else value
    return state


def is_reference(value: Any) -> bool:
    """Whether it is a function or class of monograph, which a file may name."""
    named = isinstance(value, FunctionType | BuiltinFunctionType | type)
    if not named or value.__module__.partition(".")[0] != PACKAGE:
        return False
    found = _found(full_name(value))
    # What is public may stand in front of the function that bears its name (nn.functional reads its arguments first).
    return found is value or (found is not None and found is getattr(value, "__wrapped__", None))


def class_of(name: Any) -> type:
    """The module class of that name, if the program has imported it. Raises ArtifactError otherwise."""
    found = _found(str(name))
    if not (isinstance(found, type) and issubclass(found, Module)):
        raise ArtifactError(
            f"the file holds a module of the class {str(name).replace(':', '.')}, which this program has not imported (or which is no "
            f"nn.Module): import it before load()"
        )
    return found


def reference(name: Any) -> Callable[..., Any]:
    """The function or class of monograph of that name. Raises ArtifactError for any other."""
    found = _found(str(name))
    if found is None or not is_reference(found):
        raise ArtifactError(f"the file names {str(name)[:80]!r}; functions and classes of monograph may be named, and nothing else")
    return found


def restore(module: Module, state: Any) -> Module:
    """Puts a state into a module that was made without being called."""
    if not isinstance(state, dict) or not all(isinstance(k, str) and "hooks" not in k for k in state):
        raise ArtifactError(f"the state of a {type(module).__name__} in the file is damaged")
    module.__setstate__(state)
    return module
