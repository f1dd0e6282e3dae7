"""Tensors of classes that users derive from Tensor: another handle on the same memory and the same history."""

from __future__ import annotations

from typing import Any, TypeVar

from monograph.tensor.core import Tensor

T = TypeVar("T", bound=Tensor)


def as_subclass(self: Tensor, cls: type[T]) -> T:
    """A tensor of class `cls` that shares memory and history with this one. What is computed from it is a plain Tensor.

    >>> import monograph as mg
    >>> class Named(mg.Tensor):
    ...     name = "x"
    >>> mg.ones(2).as_subclass(Named).name
    'x'
    """
    if not (isinstance(cls, type) and issubclass(cls, Tensor)):
        raise TypeError(f"as_subclass() takes a class derived from Tensor, got {cls!r}")
    view = self.view(self.shape)  # type: ignore[attr-defined]
    made: Any = Tensor.__new__(cls)
    made._node, made._simple = view._node, view._simple
    vars(made).update(vars(view))
    return made


def _make_subclass(cls: type[T], data: Tensor, require_grad: bool = False) -> T:
    """A tensor of class `cls` that shares memory with `data`, without its history."""
    made = as_subclass(data.detach(), cls)
    if require_grad:
        made.requires_grad_(True)
    return made


Tensor.as_subclass = as_subclass  # type: ignore[attr-defined]
Tensor._make_subclass = staticmethod(_make_subclass)  # type: ignore[attr-defined]
