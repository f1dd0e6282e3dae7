"""What `monograph.compile(module)` returns, and the ties between modules and the compiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.engine.guards import watch_always, watch_epoch
from monograph.nn.hooks import GLOBAL_HOOKS
from monograph.nn.module import Module, set_compiler
from monograph.nn.registry import EPOCH
from monograph.tensor.compiling import compile, set_module_wrapper


class OptimizedModule(Module):
    """A module whose calls are compiled. Everything else (parameters, attributes, modes, state) is the original's, found as `_orig_mod`."""

    _orig_mod: Module

    def __init__(self, module: Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.__dict__["_call"] = call
        self._orig_mod = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The original's call, compiled."""
        return self.__dict__["_call"](*args, **kwargs)

    @property
    def training(self) -> bool:  # type: ignore[override]
        """Whether the original is in training mode."""
        original = self.__dict__.get("_orig_mod")
        return True if original is None else original.training

    @training.setter
    def training(self, mode: bool) -> None:
        original = self.__dict__.get("_orig_mod")
        if original is not None:
            original.training = mode

    @property
    def engine(self) -> Any:
        """What the compiler has learnt about this module's calls."""
        return self.__dict__["_call"].engine

    def __getattr__(self, name: str) -> Any:
        original = self.__dict__.get("_orig_mod")
        if original is None:
            return super().__getattr__(name)
        return getattr(original, name)

    def __setattr__(self, name: str, value: Any) -> None:
        original = self.__dict__.get("_orig_mod")
        if original is None or name in ("_orig_mod", "training"):
            super().__setattr__(name, value)
        else:
            setattr(original, name, value)

    def extra_repr(self) -> str:
        """Nothing of its own to show."""
        return ""


set_compiler(compile)
set_module_wrapper(Module, OptimizedModule)
watch_epoch(EPOCH)
for _table in vars(GLOBAL_HOOKS).values():
    if isinstance(_table, dict):
        watch_always("hooks of all modules", _table)
