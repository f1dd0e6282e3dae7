"""The end of functions with `out=`: the result written where the caller wants it, by torch's rules for shapes, dtypes and gradients."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from monograph.core import dtype as dtypes
from monograph.core.errors import AutogradError, DTypeError
from monograph.core.modes import MODES
from monograph.engine.evaluator import evaluate_now
from monograph.tensor.core import Tensor
from monograph.tensor.dispatch import cast_node, read, store
from monograph.tensor.rollback import may_refuse
from monograph.tensor.strides import share_elements


def deliver(result: Any, out: Any, exact: bool = False) -> Any:
    """Writes the result into `out` (resizing as torch does) and returns `out`; without `out` the result itself.

    `exact`: the dtypes have to be equal, otherwise the result is cast within its category. Several results go into as many tensors.
    """
    if out is None:
        return result
    if isinstance(result, tuple):
        if not isinstance(out, tuple | list) or len(out) != len(result):
            raise TypeError(f"out= expects a tuple of {len(result)} Tensors, got {type(out).__name__}")
        parts = [deliver(part, target, exact) for part, target in zip(result, out, strict=True)]
        return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
    if not isinstance(out, Tensor):
        raise TypeError(f"out= expects a Tensor, got {type(out).__name__}")
    node = read(result)
    if MODES.now.grad and (node.requires_grad or out.requires_grad):
        raise AutogradError(
            "functions with out=... arguments don't support automatic differentiation, but one of the arguments requires grad. "
            "Assign the result instead, or call it within no_grad()"
        )
    if exact and node.dtype is not out.dtype:
        raise DTypeError(f"Expected out tensor to have dtype {node.dtype.name}, but got {out.dtype.name} instead")
    if MODES.capture is None and may_refuse(node):
        evaluate_now(node)  # a refused result leaves `out` as it was
    if tuple(out.shape) != tuple(node.shape) and out._base is None:
        if not dtypes.can_cast(node.dtype, out.dtype):
            raise DTypeError(f"result type {node.dtype.name} can't be cast to the desired output type {out.dtype.name}")
        out._write(cast_node(node, out.dtype))
        return out
    store(out, node, "out=")
    return out


def keep_apart(out: Any, *inputs: Any) -> None:
    """Raises RuntimeError where `out` and an input share elements: torch's rule for functions that read where they do not write.

    Here it would do no harm, since nothing is written before everything is read; a program should not depend on it.
    """
    for target in out if isinstance(out, tuple | list) else (out,):
        for x in inputs:
            if isinstance(x, Tensor) and isinstance(target, Tensor) and (x is target or share_elements(x, target)):
                raise RuntimeError(
                    "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory location. "
                    "Please clone() the tensor before performing the operation."
                )


def creates_into_out(function: Callable[..., Any]) -> Callable[..., Any]:
    """A creation function with `out=`, which then also tells the dtype."""

    @wraps(function)
    def into(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        if out is None:
            return function(*args, **kwargs)
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = out.dtype
        elif kwargs["dtype"] is not out.dtype:
            raise DTypeError(f"dtype {kwargs['dtype'].name} does not match dtype of out parameter ({out.dtype.name})")
        kwargs.pop("requires_grad", None)
        return deliver(function(*args, **kwargs), out, exact=True)

    return into


def takes_out(function: Callable[..., Any], exact: bool = True, apart: bool = False) -> Callable[..., Any]:
    """`function` with a keyword `out`; see `deliver`. `apart`: its memory may not be that of an argument."""

    @wraps(function)
    def with_out(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        if apart and out is not None:
            keep_apart(out, *args, *kwargs.values())
        result = function(*args, **kwargs)
        return result if out is None else deliver(result, out, exact)

    signature = inspect.signature(function)
    if "out" not in signature.parameters:
        added = inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None, annotation="Tensor | None")
        parameters = list(signature.parameters.values())
        last = next((i for i, p in enumerate(parameters) if p.kind is p.VAR_KEYWORD), len(parameters))
        with_out.__signature__ = signature.replace(parameters=[*parameters[:last], added, *parameters[last:]])  # type: ignore[attr-defined]
    return with_out
