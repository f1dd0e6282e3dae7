"""torch._dynamo: what scripts set on it before they compile."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from monograph.compat.compiler import allow_in_graph, assume_constant_result, disable, is_compiling, list_backends, reset
from monograph.compat.modules import module


class _Config:
    """Settings of torch's compiler: any can be assigned, none has an effect; one that was not assigned is None."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


config = _Config()


def mark_dynamic(t: Any, index: Any, **kwargs: Any) -> None:
    """Nothing to mark: sizes are run-time arguments of the kernels."""


def mark_static(t: Any, index: Any = None) -> None:
    """Nothing to mark."""


def mark_static_address(t: Any, guard: bool = True) -> None:
    """Nothing to mark: a storage that is written in place stays where it is."""


maybe_mark_dynamic = mark_dynamic


def graph_break(msg: str = "") -> None:
    """Nothing breaks: results are the same either way."""


def is_dynamo_supported() -> bool:
    """True: `compile` works."""
    return True


class TransformGetItemToIndex(nullcontext[None]):
    """A context in which torch's vmap may index with tensors; here it always may."""


_trace_wrapped_higher_order_op = module(f"{__name__}._trace_wrapped_higher_order_op", TransformGetItemToIndex=TransformGetItemToIndex)
utils = module(f"{__name__}.utils", is_compile_supported=lambda device_type: device_type == "cpu")
eval_frame = module(f"{__name__}.eval_frame", OptimizedModule=type("OptimizedModule", (), {"__doc__": "Only a name for isinstance()."}))

__all__ = [
    "allow_in_graph", "assume_constant_result", "config", "disable", "graph_break", "is_compiling", "is_dynamo_supported", "list_backends",
    "mark_dynamic",
    "mark_static", "mark_static_address", "maybe_mark_dynamic", "reset",
]  # fmt: skip
