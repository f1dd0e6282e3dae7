"""The operators of Array: the standard's functions, in Python's signs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.array_api import elementwise as e
from monograph.array_api.array import Array
from monograph.array_api.products import matmul
from monograph.tensor.core import Tensor
from monograph.tensor.dispatch import read, store

OPERATORS = {
    "add": e.add, "sub": e.subtract, "mul": e.multiply, "truediv": e.divide, "floordiv": e.floor_divide, "mod": e.remainder, "pow": e.pow,
    "and": e.bitwise_and, "or": e.bitwise_or, "xor": e.bitwise_xor, "lshift": e.bitwise_left_shift, "rshift": e.bitwise_right_shift,
    "matmul": matmul,
}  # fmt: skip
COMPARISONS = {"eq": e.equal, "ne": e.not_equal, "lt": e.less, "le": e.less_equal, "gt": e.greater, "ge": e.greater_equal}
_OPERANDS = (Tensor, bool, int, float, complex)


def install_operators() -> None:
    """Gives Array its operators. What is neither a tensor nor a number goes the way it goes for tensors."""

    def forward(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def method(self: Array, other: Any, /) -> Any:
            return function(self, other) if isinstance(other, _OPERANDS) else getattr(Tensor, name)(self, other)

        return method

    def reflected(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def method(self: Array, other: Any, /) -> Any:
            return function(other, self) if isinstance(other, _OPERANDS) else getattr(Tensor, name)(self, other)

        return method

    def in_place(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def method(self: Array, other: Any, /) -> Any:
            if not isinstance(other, _OPERANDS):
                return NotImplemented
            result = function(self, other)
            if result.dtype is not self.dtype:
                raise TypeError(f"{name}: the result has dtype {result.dtype}, which {self.dtype} cannot hold; write x = x op y instead")
            return store(self, read(result), name)

        return method

    def of_one(function: Callable[..., Any]) -> Callable[..., Any]:
        def method(self: Array, /) -> Any:
            return function(self)

        return method

    for short, function in OPERATORS.items():
        for name, maker in ((f"__{short}__", forward), (f"__r{short}__", reflected), (f"__i{short}__", in_place)):
            setattr(Array, name, maker(name, function))
    for short, function in COMPARISONS.items():
        setattr(Array, f"__{short}__", forward(f"__{short}__", function))
    for name, single in {"__neg__": e.negative, "__pos__": e.positive, "__abs__": e.abs, "__invert__": e.bitwise_invert}.items():
        setattr(Array, name, of_one(single))
