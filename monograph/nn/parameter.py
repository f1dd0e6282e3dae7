"""`Parameter` and `Buffer`: tensors that a module registers when they are assigned to it."""

from __future__ import annotations

import weakref
from typing import Any

from monograph.tensor import Tensor, empty


def _as_subclass(cls: type, data: Tensor) -> Any:
    """A tensor of class `cls` that shares memory with `data`, without its history."""
    twin = data.detach()
    made: Any = Tensor.__new__(cls)
    made._node, made._simple = twin._node, twin._simple
    made.__dict__.update(twin.__dict__)
    if made._base is None and made._twins is not None:
        made._twins.append(weakref.ref(made))
    return made


class Parameter(Tensor):
    """A tensor that is trained: assigned to a module it becomes one of its parameters, and by default it collects gradients.

    It shares memory with `data`.
    """

    __slots__ = ()

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        if data is None:
            data = empty(0)
        if not isinstance(data, Tensor):
            raise TypeError(f"Parameter takes a Tensor, got {type(data).__name__}; make one first, e.g. nn.Parameter(tensor(data))")
        made = _as_subclass(cls, data)
        if requires_grad:
            made.requires_grad_(True)
        return made

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        """The work is done in `__new__`."""

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) in memo:
            return memo[id(self)]
        copied = type(self)(self.detach().clone(), self.requires_grad)
        memo[id(self)] = copied
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (_rebuild_parameter, (self.detach(), self.requires_grad))


def _rebuild_parameter(data: Tensor, requires_grad: bool) -> Parameter:
    return Parameter(data, requires_grad)


class Buffer(Tensor):
    """A tensor that is state but not trained: assigned to a module it becomes one of its buffers."""

    persistent: bool

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        made = _as_subclass(cls, empty(0) if data is None else data)
        made.persistent = persistent
        return made

    def __init__(self, data: Any = None, *, persistent: bool = True) -> None:
        """The work is done in `__new__`."""
