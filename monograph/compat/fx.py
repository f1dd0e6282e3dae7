"""torch.fx: names that libraries touch when they are imported. A graph of monograph's is `explain(fn, *args)`."""

from __future__ import annotations

from typing import Any, TypeVar

from monograph.compat.modules import module
from monograph.nn.module import Module

T = TypeVar("T")
_ADVICE = "monograph has no torch.fx: functions are captured as they run (compile), and explain(function, *args) shows the graph"


def wrap(fn_or_name: T) -> T:
    """Marks a function that symbolic tracing must not enter; nothing traces symbolically here, so it stays as it is."""
    if not callable(fn_or_name) and not isinstance(fn_or_name, str):
        raise RuntimeError("Unsupported type for global function! Must be either a callable or string name")
    return fn_or_name


def symbolic_trace(root: Any, concrete_args: Any = None) -> Any:
    """Refused: there is no symbolic tracing."""
    raise NotImplementedError(_ADVICE)


def _refuse(self: Any, *args: Any, **kwargs: Any) -> None:
    raise NotImplementedError(_ADVICE)


def _name(name: str, base: type = object) -> type:
    return type(
        name,
        (base,),
        {"__init__": _refuse, "__doc__": "Only a name for annotations and isinstance(); it cannot be made.", "__module__": __name__},
    )


Graph, Node, Proxy, Tracer, Interpreter, Transformer = (
    _name(n) for n in ("Graph", "Node", "Proxy", "Tracer", "Interpreter", "Transformer")
)
GraphModule = _name("GraphModule", Module)
node = module(f"{__name__}.node", Node=Node, Target=Any, Argument=Any)
proxy = module(f"{__name__}.proxy", Proxy=Proxy)
graph = module(f"{__name__}.graph", Graph=Graph)
graph_module = module(
    f"{__name__}.graph_module", GraphModule=GraphModule, _CodeOnlyModule=_name("_CodeOnlyModule", Module),
    _USER_PRESERVED_ATTRIBUTES_KEY="_user_preserved_attributes",
    _copy_attr=_refuse,
)  # fmt: skip
