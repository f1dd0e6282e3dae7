"""Full backward hooks: an identity around a module's inputs and outputs that shows their gradients to the hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.core.modes import is_grad_enabled
from monograph.tensor import Tensor
from monograph.tensor.function import Function


class _Watched(Function):
    """The identity on any number of tensors; their gradients pass through `on_gradients` together."""

    @staticmethod
    def forward(ctx: Any, on_gradients: Callable[[tuple[Any, ...]], tuple[Any, ...]], *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.on_gradients = on_gradients
        ctx.set_materialize_grads(False)
        return tuple(t.view_as(t) for t in tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        return (None, *ctx.on_gradients(grads))


def _watch(values: Any, on_gradients: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> tuple[Any, bool]:
    """The tuple with its tensors that require gradients watched, and whether there are any."""
    places = [i for i, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]
    if not places or not is_grad_enabled():
        return values, False
    watched = _Watched.apply(on_gradients, *[values[i] for i in places])
    replaced = list(values)
    for i, t in zip(places, watched if isinstance(watched, tuple) else (watched,), strict=True):
        replaced[i] = t
    return tuple(replaced), True


class BackwardHook:
    """The hooks of one call of one module."""

    def __init__(self, module: Any, hooks: list[Callable[..., Any]], pre_hooks: list[Callable[..., Any]]) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_outputs: tuple[Any, ...] | None = None
        self.input_places: list[int] = []
        self.n_inputs = 0
        self.watches_inputs = False

    def watch_inputs(self, args: Any) -> Any:
        """The positional arguments, with those that require gradients watched."""
        self.n_inputs = len(args)
        self.input_places = [i for i, v in enumerate(args) if isinstance(v, Tensor) and v.requires_grad]
        if not self.hooks:
            return args
        args, self.watches_inputs = _watch(args, self._on_input_gradients)
        return args

    def watch_outputs(self, result: Any) -> Any:
        """The module's result, a tensor or a tuple or list of them, watched."""
        if isinstance(result, Tensor):
            return _watch((result,), lambda grads: self._on_output_gradients(grads, 1, [0]))[0][0]
        if not isinstance(result, tuple | list):
            return result  # as in torch, hooks see gradients of tensors and of tuples of tensors only
        places = [i for i, v in enumerate(result) if isinstance(v, Tensor) and v.requires_grad]
        watched, _ = _watch(tuple(result), lambda grads: self._on_output_gradients(grads, len(result), places))
        kind = type(result)
        return kind(*watched) if hasattr(kind, "_fields") else kind(watched)

    def _on_output_gradients(self, grads: tuple[Any, ...], n: int, places: list[int]) -> tuple[Any, ...]:
        full = _spread(grads, n, places)
        for hook in self.pre_hooks:
            changed = hook(self.module, full)
            if changed is not None:
                full = _checked(changed, full, "Backward pre hook")
        self.grad_outputs = full
        if not self.watches_inputs:
            for hook in self.hooks:
                if hook(self.module, (None,) * self.n_inputs, full) is not None:
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires gradient should always return None or None for all gradients."
                    )
        return tuple(full[i] for i in places)

    def _on_input_gradients(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        full = _spread(grads, self.n_inputs, self.input_places)
        outputs = self.grad_outputs
        if outputs is None:
            return grads
        for hook in self.hooks:
            changed = hook(self.module, full, outputs)
            if changed is not None:
                full = _checked(changed, full, "Backward hook")
        self.grad_outputs = None
        return tuple(full[i] for i in self.input_places)


def _spread(grads: tuple[Any, ...], n: int, places: list[int]) -> tuple[Any, ...]:
    full: list[Any] = [None] * n
    for i, g in zip(places, grads, strict=True):
        full[i] = g
    return tuple(full)


def _checked(changed: Any, before: tuple[Any, ...], what: str) -> tuple[Any, ...]:
    changed = changed if isinstance(changed, tuple) else (changed,)
    if len(changed) != len(before):
        raise RuntimeError(f"{what} returned an invalid number of grad, got {len(changed)}, but expected {len(before)}")
    return changed
