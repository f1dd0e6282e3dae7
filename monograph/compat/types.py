"""torch.types: names for annotations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monograph.core.dtype import dtype as _dtype  # noqa: F401 - a name for others
from monograph.tensor.core import Device as _device
from monograph.tensor.core import Size, Tensor
from monograph.tensor.layouts import layout

_layout = layout
_TensorOrTensors = Tensor | Sequence[Tensor]
_int, _float, _bool, _complex = int, float, bool, complex
_size = Size | list[int] | tuple[int, ...]
_symsize = _size
_dispatchkey = str
Device = _device | str | int | None
Number = int | float | bool
FileLike = Any
Storage = Any

__all__ = ["Device", "FileLike", "Number", "Size", "Storage", "Tensor"]
