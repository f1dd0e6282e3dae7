"""torch.jit: scripting and tracing. Every program of monograph is captured as it runs, so these keep the Python that they are given.

`script` and `trace` return the function or module itself: it runs as before, and `compile` makes it one program. What TorchScript adds as
a file format is `export`.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from monograph.compat.modules import module
from monograph.core.modes import no_grad
from monograph.nn.module import Module
from monograph.tensor.core import Tensor

T = TypeVar("T")
_ADVICE = "monograph writes no TorchScript: save the weights with save(module.state_dict(), path), or the program through monograph.export"


class ScriptModule(Module):
    """A base for modules written for TorchScript; here a Module like any other."""


class ScriptFunction:
    """Only a name for isinstance(): `script` returns functions as they are."""


class RecursiveScriptModule(ScriptModule):
    """Only a name for isinstance(): `script` returns modules as they are."""


TopLevelTracedModule = RecursiveScriptModule
TracerWarning = type("TracerWarning", (Warning,), {"__doc__": "Only a name for filters of warnings: nothing is traced away."})
ScriptWarning = type("ScriptWarning", (Warning,), {"__doc__": "Only a name for filters of warnings."})
TracedModule = RecursiveScriptModule
Error = type("Error", (RuntimeError,), {"__doc__": "What TorchScript raises; here only a name for `except`."})


def script(obj: T, optimize: Any = None, _frames_up: int = 0, _rcb: Any = None, example_inputs: Any = None) -> T:
    """The function, class or module itself: its Python is the program."""
    if not callable(obj):
        raise TypeError(f"script() takes a function, a class or a module, got {type(obj).__name__}")
    return obj


def trace(
    func: T, example_inputs: Any = None, optimize: Any = None, check_trace: bool = True, check_inputs: Any = None,
    check_tolerance: float = 1e-5,
    strict: bool = True, _force_outplace: bool = False, _module_class: Any = None, example_kwarg_inputs: dict[str, Any] | None = None,
    _store_inputs: bool = True,
) -> T:  # fmt: skip
    """The function or module itself, after one call with the example inputs that shows whether it runs. Branches stay branches."""
    if not callable(func):
        raise TypeError(f"trace() takes a function or a module, got {type(func).__name__}")
    args = example_inputs if isinstance(example_inputs, tuple) else () if example_inputs is None else (example_inputs,)
    with no_grad():
        func(*args, **(example_kwarg_inputs or {}))
    return func


def trace_module(mod: T, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> T:
    """The module itself, after one call of each method with its example inputs."""
    with no_grad():
        for name, example in inputs.items():
            getattr(mod, name)(*(example if isinstance(example, tuple) else (example,)))
    return mod


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """Marks a function that TorchScript must leave to Python: all are."""
    return drop if callable(drop) else lambda function: function


def _same(function: T) -> T:
    """The function as it is."""
    return function


unused = export = interface = _overload = _overload_method = _script_if_tracing = script_if_tracing = script_method = _same


def is_scripting() -> bool:
    """False: Python always runs as Python."""
    return False


def is_tracing() -> bool:
    """False: shapes and values may be looked at."""
    return False


def annotate(the_type: Any, the_value: T) -> T:
    """The value."""
    return the_value


def isinstance(obj: Any, target_type: Any) -> bool:  # noqa: A001 - torch's name
    """Python's isinstance, for one type or a tuple of them."""
    return builtins.isinstance(obj, target_type)


Attribute = type(
    "Attribute", (), {"__doc__": "A typed value for a ScriptModule: the value.", "__new__": lambda cls, value, kind=None: value}
)


class Future:
    """The result of `fork`, which runs at once."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def wait(self) -> Any:
        """The result."""
        return self._value

    value = wait


def fork(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Future:
    """func(*args, **kwargs), computed when the result is looked at, as everything is."""
    return Future(func(*args, **kwargs))


def wait(future: Future) -> Any:
    """The result of a `fork`."""
    return future.wait()


def freeze(mod: T, preserved_attrs: Any = None, optimize_numerics: bool = True) -> T:
    """The module in eval mode; `compile` folds what does not change."""
    if builtins.isinstance(mod, Module) and mod.training:
        raise RuntimeError(
            "Freezing is currently only implemented for modules in eval mode. Please call .eval() on your module before freezing."
        )
    return mod


def optimize_for_inference(mod: T, other_methods: Any = None) -> T:
    """The module as it is."""
    return mod


def save(m: Any, f: Any, _extra_files: Any = None) -> None:
    """Refused: there is no TorchScript here to write."""
    raise NotImplementedError(_ADVICE)


def load(f: Any, map_location: Any = None, _extra_files: Any = None, _restore_shapes: bool = False) -> Any:
    """Refused: a TorchScript file holds code."""
    raise NotImplementedError(
        "a TorchScript file holds code, which monograph does not run; save the state in torch, torch.save(module.state_dict(), path), "
        "and load that"
    )


def set_fusion_strategy(strategy: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Without effect; returns what was set before: nothing."""
    return []


@contextmanager
def optimized_execution(should_optimize: bool) -> Iterator[None]:
    """Without effect."""
    yield


fuser = optimized_execution
_lists: dict[str, Any] = {f"BroadcastingList{n}": list for n in (1, 2, 3, 4, 5, 6)}
types_for_scripting = module(f"{__name__}.annotations", List=list, Tensor=Tensor, **_lists)

__all__ = [
    "Attribute", "Error", "Final", "Future", "ScriptFunction", "ScriptModule", "annotate", "export", "fork", "freeze", "ignore",
    "interface", "is_scripting",
    "is_tracing", "isinstance", "load", "optimize_for_inference", "save", "script", "script_if_tracing", "script_method", "trace",
    "trace_module", "unused",
    "wait",
]  # fmt: skip
