"""Questions about one tensor whose answer is a plain bool, and torch's element by element calls of Python functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from monograph.tensor.core import Tensor
from monograph.tensor.creation import from_host
from monograph.tensor.pointwise import METHODS


def is_nonzero(self: Tensor) -> bool:
    """Whether the single element is not 0. Raises RuntimeError for another number of elements."""
    n = int(np.prod(self.shape))
    if n != 1:
        said = "no values" if n == 0 else "more than one value"
        raise RuntimeError(f"Boolean value of Tensor with {said} is ambiguous")
    return bool(self.item())  # type: ignore[attr-defined]


def is_same_size(self: Tensor, other: Tensor) -> bool:
    """Whether the shapes are equal."""
    return tuple(self.shape) == tuple(other.shape)


def is_signed(self: Tensor) -> bool:
    """Whether the dtype has negative numbers."""
    return self.dtype.kind in "ifc"


def is_inference(self: Tensor) -> bool:
    """False: what inference_mode makes is a tensor like any other here."""
    return False


def is_distributed(self: Tensor) -> bool:
    """False: a tensor lives on one machine."""
    return False


def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both are the same elements of the same memory in the same order."""
    return (
        tuple(self.shape) == tuple(tensor.shape)
        and bool(self.numel())  # type: ignore[attr-defined]  # no element, no memory
        and self.stride() == tensor.stride()  # type: ignore[attr-defined]
        and self.storage_offset() == tensor.storage_offset()  # type: ignore[attr-defined]
        and self.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr()  # type: ignore[attr-defined]
    )


def _each(name: str, self: Tensor, function: Callable[..., Any], *others: Tensor) -> Tensor:
    if not callable(function):
        raise TypeError(f"{name}(): argument 'callable' must be a function, not {type(function).__name__}")
    if self.requires_grad:
        raise RuntimeError(f"Can't call {name}() on Variable that requires grad. Use var.detach().{name}() instead.")
    mine = self.numpy()  # type: ignore[attr-defined]
    values = [np.broadcast_to(x.detach().numpy(), mine.shape).reshape(-1).tolist() for x in others]  # type: ignore[attr-defined]
    made = [function(*row) for row in zip(mine.reshape(-1).tolist(), *values, strict=True)]
    return self.copy_(from_host(np.asarray(made, mine.dtype).reshape(mine.shape)))  # type: ignore[attr-defined]


def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:  # noqa: A002 - torch's name
    """Every element becomes callable(element), one call of Python each. In place."""
    return _each("apply_", self, callable)


def map_(self: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:  # noqa: A002 - torch's name
    """Every element becomes callable(element, the other tensor's element). In place."""
    return _each("map_", self, callable, tensor)


METHODS.update(
    is_nonzero=is_nonzero, is_same_size=is_same_size, is_signed=is_signed, is_inference=is_inference, is_distributed=is_distributed,
    is_set_to=is_set_to, is_shared=lambda self: False, apply_=apply_, map_=map_,
)  # fmt: skip
