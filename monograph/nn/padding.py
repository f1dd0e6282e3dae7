"""Padding as modules."""

from __future__ import annotations

from typing import Any

from monograph.nn import functional as F
from monograph.nn.module import Module
from monograph.tensor import Tensor


class _Pad(Module):
    """Padding of the last `dims` dimensions: one number, or one for each side, last dimension first."""

    dims = 0
    mode = "constant"

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = (padding,) * (2 * self.dims) if isinstance(padding, int) else tuple(padding)

    def forward(self, input: Tensor) -> Tensor:
        """The padded input."""
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    """Padding with one value."""

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """The padded input."""
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Pads the last 1 dimension with a value."""

    dims = 1


class ZeroPad1d(_ConstantPad):
    """Pads the last 1 dimension with zeros."""

    dims = 1

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ReflectionPad1d(_Pad):
    """Pads the last 1 dimension with its reflection."""

    dims = 1
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """Pads the last 1 dimension with its border."""

    dims = 1
    mode = "replicate"


class CircularPad1d(_Pad):
    """Pads the last 1 dimension with its other end."""

    dims = 1
    mode = "circular"


class ConstantPad2d(_ConstantPad):
    """Pads the last 2 dimensions with a value."""

    dims = 2


class ZeroPad2d(_ConstantPad):
    """Pads the last 2 dimensions with zeros."""

    dims = 2

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ReflectionPad2d(_Pad):
    """Pads the last 2 dimensions with its reflection."""

    dims = 2
    mode = "reflect"


class ReplicationPad2d(_Pad):
    """Pads the last 2 dimensions with its border."""

    dims = 2
    mode = "replicate"


class CircularPad2d(_Pad):
    """Pads the last 2 dimensions with its other end."""

    dims = 2
    mode = "circular"


class ConstantPad3d(_ConstantPad):
    """Pads the last 3 dimensions with a value."""

    dims = 3


class ZeroPad3d(_ConstantPad):
    """Pads the last 3 dimensions with zeros."""

    dims = 3

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ReflectionPad3d(_Pad):
    """Pads the last 3 dimensions with its reflection."""

    dims = 3
    mode = "reflect"


class ReplicationPad3d(_Pad):
    """Pads the last 3 dimensions with its border."""

    dims = 3
    mode = "replicate"


class CircularPad3d(_Pad):
    """Pads the last 3 dimensions with its other end."""

    dims = 3
    mode = "circular"
