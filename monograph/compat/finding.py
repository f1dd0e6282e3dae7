"""From a path below torch to the module of ours that answers to it, and the finders that ask.

`import monograph.cuda` works through a finder at the end of `sys.meta_path`, which is asked about what has no file; `import torch.cuda`
through one at its head (`alias.py`).
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from monograph.compat.modules import Forwarding
from monograph.compat.paths import FORWARDS, MODULES, ROOM
from monograph.core.naming import OURS

_forwardings: dict[str, ModuleType] = {}  # made once; the import system enters them into sys.modules
_opened: set[str] = set()
_KNOWN = frozenset((*MODULES, *FORWARDS))
_PARENTS = {path.rpartition(".")[0] for path in (*MODULES, *FORWARDS)}


def find(path: str) -> ModuleType | None:
    """The module that answers to `path` below torch ("nn.functional"); None if there is none."""
    if path in MODULES:
        first, _, rest = MODULES[path].partition(".")
        found: Any = importlib.import_module(ROOM + first)
        for name in rest.split(".") if rest else ():
            found = getattr(found, name)
    else:
        found = real(path) or forwarding(path)
    if found is not None and path in _PARENTS:
        _open(found, path)
    return found


def _open(found: Any, path: str) -> None:
    """Makes a module a package, below which modules may be looked for: by import, and as attributes (`torch.utils.data.sampler`)."""
    if not hasattr(found, "__path__"):
        found.__path__ = []
    own = vars(found).get("__getattr__")
    if isinstance(found, Forwarding) or path in _opened:
        return
    _opened.add(path)

    def below(name: str) -> Any:
        if own is not None:
            try:
                return own(name)
            except AttributeError:
                pass
        module = find(f"{path}.{name}") if not name.startswith("__") and f"{path}.{name}" in _KNOWN else None
        if module is None:
            raise AttributeError(f"module {found.__name__!r} has no attribute {name!r}")
        return module

    found.__getattr__ = below


def real(path: str) -> ModuleType | None:
    """monograph's own module of that path, one with a file."""
    name = f"{OURS}.{path}"
    if name in sys.modules:
        return sys.modules[name]
    parent = path.rpartition(".")[0]
    above = real(parent) if parent else sys.modules[OURS]
    if above is None or not hasattr(above, "__path__"):
        return None
    spec = importlib.machinery.PathFinder.find_spec(name, above.__path__)
    return None if spec is None else importlib.import_module(name)


def forwarding(path: str) -> ModuleType | None:
    """A module without a file whose names live in rooms of ours."""
    sources = FORWARDS.get(path)
    parent, _, name = path.rpartition(".")
    if sources is None and parent == "nn.modules":
        sources = (f"nn.{name}", "nn") if real(f"nn.{name}") is not None else None
    if sources is None:
        return None
    if path not in _forwardings:
        _forwardings[path] = Forwarding(f"{OURS}.{path}", *[module for module in map(real, sources) if module is not None])
    return _forwardings[path]


class Finder:
    """Answers for the names below one prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """A spec for a module that `find` knows; None for all others."""
        if not fullname.startswith(self.prefix + "."):
            return None
        found = find(fullname[len(self.prefix) + 1 :])
        if found is None:
            return None
        spec = ModuleSpec(fullname, self, is_package=hasattr(found, "__path__"))  # type: ignore[arg-type]
        spec.loader_state = (found, found.__spec__)
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module itself: it exists already."""
        return spec.loader_state[0]

    def exec_module(self, module: ModuleType) -> None:
        """The module is whole; the import system wrote the new spec into it, and the old one goes back."""
        state = module.__spec__.loader_state if module.__spec__ is not None else None
        if state is not None:
            module.__spec__ = state[1]


class _WithoutFile(Finder):
    """The finder behind all others: torch's paths below monograph."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """As `Finder.find_spec`, for paths that have no file of their own."""
        below = fullname[len(self.prefix) + 1 :]
        if not fullname.startswith(self.prefix + ".") or not (below in MODULES or below in FORWARDS or below.startswith("nn.modules.")):
            return None
        return super().find_spec(fullname, path, target)


def answer_below_monograph() -> None:
    """Makes `import monograph.cuda` and its like work (once, by the front door)."""
    if not any(isinstance(finder, _WithoutFile) for finder in sys.meta_path):
        sys.meta_path.append(_WithoutFile(OURS))  # type: ignore[arg-type]
