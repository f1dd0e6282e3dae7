"""The alias: `import torch` finds monograph, for scripts and packages that were written for torch.

A finder at the head of `sys.meta_path` answers for `torch` and everything below it. `torch` is a module of its own that passes every name
on to monograph's front door, with torch's version; `torch.nn`, `torch.optim` ... *are* monograph's modules, so classes are the same under
both names. A path that we do not have is a ModuleNotFoundError that says so.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from email.message import Message
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from monograph.compat.finding import Finder, find
from monograph.compat.paths import HIDDEN, MODULES
from monograph.compat.version import __version__
from monograph.core.naming import OURS, naming

NAME = "torch"
SHIM = os.path.join(os.path.dirname(__file__), "shim")
_NONE = ("newaxis",)  # names whose value is None


class Front(ModuleType):
    """The module `torch`: monograph's front door with torch's version."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in MODULES:
            raise AttributeError(name)
        found = getattr(importlib.import_module(OURS), name, None)
        if name in HIDDEN and isinstance(found, ModuleType):
            found = None
        if isinstance(found, ModuleType) or (found is None and (name not in HIDDEN or name in MODULES)):
            found = find(name) or found
        if found is None and name in _NONE:
            return None
        if found is None:
            raise AttributeError(f"module 'torch' (monograph under that name) has no attribute {name!r}")
        return found

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *dir(importlib.import_module(OURS))})


class _Distribution(importlib.metadata.Distribution):
    """What `importlib.metadata.version("torch")` asks."""

    def read_text(self, filename: str) -> str | None:
        """The metadata file; there are no others."""
        return f"Metadata-Version: 2.1\nName: torch\nVersion: {__version__!s}\n" if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        """Refused: torch is monograph under another name."""
        raise FileNotFoundError(f"torch is monograph under another name, it has no file {path}")

    @property
    def metadata(self) -> Any:
        """Name and version."""
        message = Message()
        message["Metadata-Version"], message["Name"], message["Version"] = "2.1", NAME, str(__version__)
        return message


class TorchFinder(Finder):
    """Finds and loads `torch` and what is below it."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """A spec for torch's names; None for others. Raises ModuleNotFoundError for a path that monograph does not have."""
        if fullname == NAME:
            return ModuleSpec(fullname, self, is_package=True)  # type: ignore[arg-type]
        below = fullname.partition(".")[2]
        hidden = below.partition(".")[0] in HIDDEN and below not in MODULES
        spec = None if hidden else super().find_spec(fullname, path, target)
        if spec is None and fullname.startswith(NAME + "."):  # or the import system would load our files a second time under torch's name
            raise ModuleNotFoundError(f"No module named {fullname!r}: torch is monograph here, which does not have it", name=fullname)
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The front for torch itself, our own module for a path below."""
        if spec.name != NAME:
            return super().create_module(spec)
        front = Front(NAME, "monograph under torch's name.")
        vars(front).update(__version__=__version__, __path__=[])
        return front

    def find_distributions(self, context: Any = None) -> Iterable[importlib.metadata.Distribution]:
        """torch's version, for packages that ask which one is installed."""
        if getattr(context, "name", None) in (None, NAME):
            yield _Distribution()

    def invalidate_caches(self) -> None:
        """Nothing is cached."""


_finder: Any = TorchFinder(NAME)


def install() -> None:
    """From now on `import torch` gives monograph, in this process. Doing it again changes nothing.

    Raises RuntimeError if the real torch was imported before: the two cannot be mixed under one name.
    """
    if NAME in sys.modules and not isinstance(sys.modules[NAME], Front):
        raise RuntimeError(
            "torch itself is imported already; call monograph.install() before anything imports it, or start with `monograph run --as "
            "torch`"
        )
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
        sys.path.append(SHIM)  # handed on to processes that multiprocessing spawns, in which nobody called this
        naming.package = NAME


def _names() -> list[str]:
    return [name for name in sys.modules if name == NAME or name.startswith(NAME + ".")]


def uninstall() -> None:
    """`import torch` means torch again. Modules that were imported meanwhile keep what they have."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
        naming.package = OURS
    if SHIM in sys.path:
        sys.path.remove(SHIM)
    for name in _names():
        del sys.modules[name]


@contextmanager
def as_torch() -> Iterator[ModuleType]:
    """Inside, `import torch` gives monograph; afterwards it means again what it meant before. Yields the module.

    >>> import monograph as mg
    >>> with mg.as_torch():
    ...     from torch.nn import functional
    >>> functional is mg.nn.functional
    True
    """
    nested = _finder in sys.meta_path
    before = {} if nested else {name: sys.modules.pop(name) for name in _names()}
    if not nested:
        sys.meta_path.insert(0, _finder)
        naming.package = NAME
    try:
        yield importlib.import_module(NAME)
    finally:
        if not nested:
            uninstall()
            sys.modules.update(before)


__all__ = ["Front", "TorchFinder", "as_torch", "install", "uninstall"]
