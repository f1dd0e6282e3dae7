"""torch.autograd.graph: the chain of grad_fns, hooks on several gradients, and hooks on what is saved for backward."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from monograph.autodiff.saving import Saver
from monograph.core.modes import MODES
from monograph.tensor.autograd import AccumulateGrad, GradFn, RemovableHandle
from monograph.tensor.core import Tensor, node_of, wrap
from monograph.tensor.function import SAVING


class _NodeMeta(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, GradFn | AccumulateGrad)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, GradFn | AccumulateGrad)


class Node(metaclass=_NodeMeta):
    """What `Tensor.grad_fn` returns: `name()`, `next_functions`, `metadata`, `register_hook`, `register_prehook`."""


class GradientEdge(NamedTuple):
    """A place where a gradient flows: output number `output_nr` of a node."""

    node: Any
    output_nr: int
    ownership_token: Any = None


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """The place where the gradient of a tensor flows. Raises RuntimeError if it has none."""
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    if tensor.grad_fn is None:
        return GradientEdge((tensor * 1).grad_fn.next_functions[0][0], 0)
    return GradientEdge(tensor.grad_fn, tensor.output_nr)


class saved_tensors_hooks:  # noqa: N801 - torch's name
    """Within the block `pack_hook(tensor)` is called for every tensor that the gradient of an op will read, and for those that a custom
    Function saves; backward gets what `unpack_hook` makes of the result.

    What a compiled function records is not packed: there the compiler chooses, for the whole graph, what stays and what is computed again.
    """

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        if _disabled.message is not None:
            raise RuntimeError(_disabled.message)
        SAVING.hooks.append((self.pack_hook, self.unpack_hook))
        self._outer, MODES.saving = MODES.saving, Saver(lambda node: self.pack_hook(wrap(node)), self._unpacked)

    def __exit__(self, *error: object) -> None:
        SAVING.hooks.pop()
        MODES.saving = self._outer

    def _unpacked(self, kept: Any) -> Any:
        tensor = self.unpack_hook(kept)
        if not isinstance(tensor, Tensor):
            raise TypeError(f"Output of saved tensor unpack_hook expected to be a Tensor but got result of type {type(tensor).__name__}")
        return node_of(tensor)


class save_on_cpu(saved_tensors_hooks):  # noqa: N801 - torch's name
    """Saved tensors are kept on the CPU within the block, where they are."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda tensor: tensor.clone(), lambda packed: packed)  # type: ignore[attr-defined]


class _Disabled(threading.local):
    message: str | None = None


_disabled = _Disabled()


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Within the block `saved_tensors_hooks` raises RuntimeError with this message."""
    if SAVING.hooks:
        raise RuntimeError(error_message)
    before, _disabled.message = _disabled.message, error_message
    try:
        yield
    finally:
        _disabled.message = before


@contextlib.contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[None]:
    """Within the block copies are saved for backward, so that the originals may be overwritten."""
    with saved_tensors_hooks(lambda tensor: tensor.clone(), lambda packed: packed):  # type: ignore[attr-defined]
        yield


class _Handles:
    """Takes several hooks away at once."""

    def __init__(self, handles: list[RemovableHandle]) -> None:
        self.handles = handles

    def remove(self) -> None:
        """Takes the hooks away."""
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> _Handles:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def register_multi_grad_hook(tensors: Sequence[Tensor], fn: Callable[..., None], *, mode: str = "all") -> _Handles:
    """Calls `fn` when the gradients of tensors are known: of "all" with their list (None for those without, as far as backward reaches
    them), or with that of "any" one, the first.

    >>> import monograph as mg
    >>> a, b = mg.ones(1, requires_grad=True), mg.ones(1, requires_grad=True)
    >>> handle = mg.autograd.graph.register_multi_grad_hook([a, b], lambda grads: print([g.item() for g in grads]))
    >>> (a * 2 + b * 3).sum().backward()
    [2.0, 3.0]
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    found: list[Any] = [None] * len(tensors)
    seen: list[int] = []

    def told(i: int, gradient: Tensor) -> None:
        if mode == "any":
            if not seen:
                fn(gradient)
            seen.append(i)
            if len(seen) == len(tensors):
                seen.clear()
            return
        found[i] = gradient
        seen.append(i)
        if len(seen) == len(tensors):
            result = list(found)
            found[:] = [None] * len(tensors)
            seen.clear()
            fn(result)

    hooks = [t.register_hook(lambda g, i=i: told(i, g)) for i, t in enumerate(tensors)]  # type: ignore[attr-defined, misc]
    return _Handles(hooks)


def increment_version(tensor: Any) -> None:
    """Counts a write to a tensor, or to several, that happened elsewhere."""
    for t in [tensor] if isinstance(tensor, Tensor) else tensor:
        base = t if t._base is None else t._base
        base._version_count += 1


__all__ = [
    "GradientEdge", "Node", "allow_mutation_on_saved_tensors", "disable_saved_tensors_hooks", "get_gradient_edge", "increment_version",
    "register_multi_grad_hook", "save_on_cpu", "saved_tensors_hooks",
]  # fmt: skip
