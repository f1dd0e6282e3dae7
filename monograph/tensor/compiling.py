"""`compile`: a function, a module or a whole training step, captured once per signature and replayed without its Python."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from monograph.engine.compiled import Compiled
from monograph.engine.explain import Explanation
from monograph.engine.explain import explain as run_explain
from monograph.tensor.core import Tensor, view_of, wrap

BACKENDS = ("inductor", "monograph", "eager", "aot_eager", "reference")
MODES_OF_COMPILING = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")


class _Front:
    wrap = staticmethod(wrap)
    view_of = staticmethod(view_of)


FRONT: Any = _Front()


def _is_tensor(x: Any) -> bool:
    return isinstance(x, Tensor)


class CompiledFunction:
    """What `compile` returns for a function: call it as the function. `engine` shows what it has learnt."""

    def __init__(self, function: Callable[..., Any], fullgraph: bool) -> None:
        self.engine = Compiled(function, FRONT, _is_tensor, fullgraph)
        functools.update_wrapper(self, function)
        self._torchdynamo_orig_callable = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.engine.call(args, kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __repr__(self) -> str:
        return f"<compiled {self.engine.function!r}>"


# Set by nn, which tensor does not know: (is this a module?, its compiled wrapper).
_module_wrapper: list[tuple[type, Callable[[Any, Callable[..., Any]], Any]]] = []


def set_module_wrapper(kind: type, wrapper: Callable[[Any, Callable[..., Any]], Any]) -> None:
    """Tells what `compile` returns for an instance of `kind`: wrapper(module, compiled call)."""
    _module_wrapper[:] = [(kind, wrapper)]


def compile(  # noqa: A001 - torch's name
    model: Any = None, *, fullgraph: bool = False, dynamic: bool | None = None, backend: Any = "inductor", mode: str | None = None,
    options: dict[str, Any] | None = None, disable: bool = False,
) -> Any:  # fmt: skip
    """A function, method, module or training step that is recorded once per signature and then replayed as one native program.

    Tensors that it reads from outside (parameters, running statistics, an optimiser's state) are inputs of the program, those it writes are
    outputs; the learning rate and random numbers are asked for at every call. Plain values that the code could read are watched, and where
    Python looks at a tensor's value the trace splits, so results are those of the uncompiled function, always. What cannot be replayed (a
    print, a counter that the function increments, NumPy's random numbers) runs uncompiled; `explain` says why.

    Usable as a decorator, with or without arguments. `fullgraph=True` makes a split or an uncompilable function a CaptureError. Plans serve
    all sizes of a structure, so `dynamic` has nothing to do; of a function that is called with ever new sizes, those that come once run
    uncompiled. Backends of torch's name are all this one; "eager" runs the function as it is.

    >>> import monograph as mg
    >>> f = mg.compile(lambda x: (x * 2).sum())
    >>> f(mg.ones(3)).item()
    6.0
    """
    if mode is not None and mode not in MODES_OF_COMPILING:
        raise RuntimeError(f"Unrecognized mode={mode}, should be one of: {', '.join(MODES_OF_COMPILING)}")
    if mode is not None and options is not None:
        raise RuntimeError("Either mode or options can be specified, but both can't be specified at the same time.")
    if isinstance(backend, str) and backend not in BACKENDS:
        raise RuntimeError(f"Invalid backend: {backend!r}; known are {', '.join(BACKENDS)}")
    if not isinstance(backend, str):
        raise TypeError("backend= takes a name: graphs are compiled by monograph itself, a callable backend would have nothing to receive")
    if model is None:
        return lambda m: compile(m, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode, options=options, disable=disable)
    if not callable(model):
        raise TypeError(f"compile() takes a callable or a module, got {type(model).__name__}")
    if disable or backend in ("eager", "aot_eager") or isinstance(model, CompiledFunction):
        return model
    for kind, wrapper in _module_wrapper:
        if isinstance(model, kind):
            return wrapper(model, CompiledFunction(model, fullgraph))  # type: ignore[arg-type]
    return CompiledFunction(model, fullgraph)


def explain(function: Any, *args: Any, **kwargs: Any) -> Explanation:
    """What `compile` makes of `function(*args, **kwargs)`: its graphs, every split with its reason and line, kernels with bytes, FLOPs,
    time and share of
    the machine's peak, and why it runs uncompiled if it does. `print` the result; `.ir(i)` and `.assembly(i)` show the code of kernel i.

    A function that is compiled already and has seen such a call is only looked at; another one is called, up to four times, until it is
    captured.

    >>> import monograph as mg
    >>> "sum" in str(mg.explain(lambda x: (x * 2).sum(), mg.ones(3)))
    True
    """
    engine = getattr(function, "engine", None)
    if not isinstance(engine, Compiled):
        engine = Compiled(function, FRONT, _is_tensor)
    name = getattr(function, "__qualname__", None) or type(getattr(function, "_orig_mod", function)).__name__
    return run_explain(engine, name, args, kwargs)
