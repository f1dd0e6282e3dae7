"""Floor 6: the Tensor and its functions. `FUNCTIONS` holds every public function by name; the front door re-exports them."""

from __future__ import annotations

from typing import Any

from monograph.tensor import (
    autograd,
    contraction,
    creation,
    function,
    gathering,
    indexing,
    interop,
    legacy,
    movement,
    pointwise,
    printing,
    random,
    reduction,
    selection,
    views,
)
from monograph.tensor.core import Device, Size, Tensor
from monograph.tensor.dispatch import cast_node
from monograph.tensor.pointwise import FUNCTIONS, METHODS


def fill_(self: Tensor, value: Any) -> Tensor:
    """Every element becomes `value`. In place."""
    return self.copy_(value if isinstance(value, Tensor) else FUNCTIONS["full"]((), value, dtype=self.dtype))


def _iterate(self: Tensor) -> Any:
    if not self.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return iter(views.unbind(self, 0))


METHODS.update(
    fill_=fill_, zero_=lambda self: fill_(self, 0), __repr__=printing.to_string, __format__=printing.formatted, __array_priority__=1000,
    __iter__=_iterate, __contains__=lambda self, value: bool((self == value).any().item()),
)  # fmt: skip
FUNCTIONS["_check_device"] = creation.check_device
FUNCTIONS["_from_host"] = creation.from_host
FUNCTIONS["_to_dtype"] = pointwise.to_dtype
FUNCTIONS["_cast_node"] = cast_node


def equal(input: Tensor, other: Tensor) -> bool:  # noqa: A002
    """Whether two tensors have the same shape and elements."""
    return tuple(input.shape) == tuple(other.shape) and bool((input == other).all().item())


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:  # noqa: A002
    """Whether all elements are close (`isclose`)."""
    return bool(selection.isclose(input, other, rtol, atol, equal_nan).all().item())


FUNCTIONS["set_printoptions"] = printing.set_printoptions
FUNCTIONS["equal"], FUNCTIONS["allclose"] = equal, allclose
METHODS.update(equal=equal, allclose=allclose)
for _name, _method in METHODS.items():
    setattr(Tensor, _name, _method)

tensor = FUNCTIONS["tensor"]


def __getattr__(name: str) -> Any:
    try:
        return FUNCTIONS[name]
    except KeyError:
        raise AttributeError(f"module 'monograph.tensor' has no attribute {name!r}") from None


__all__ = [
    "FUNCTIONS",
    "METHODS",
    "Device",
    "Size",
    "Tensor",
    "autograd",
    "contraction",
    "creation",
    "function",
    "gathering",
    "indexing",
    "interop",
    "legacy",
    "movement",
    "pointwise",
    "printing",
    "random",
    "reduction",
    "selection",
    "tensor",
    "views",
]
