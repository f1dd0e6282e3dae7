"""The windows that torch has at its top level: periodic unless told otherwise, of any floating dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.signal import shapes
from monograph.tensor.core import Tensor
from monograph.tensor.pointwise import FUNCTIONS


def _checked(name: str, window_length: Any, dtype: Any) -> Any:
    d = dtypes.given(dtype, dtypes.default_float())
    if isinstance(window_length, bool | float) or not hasattr(window_length, "__index__"):
        raise TypeError(f"{name}(): argument 'window_length' (position 1) must be int, not {type(window_length).__name__}")
    if d.kind not in "fc":
        raise RuntimeError(f"{name} expects floating point dtypes, got: {d.name}")
    if window_length < 0:
        raise RuntimeError(f"{name} requires non-negative window_length, got window_length={window_length}")
    return d


def _made(values: np.ndarray, d: Any, device: Any, requires_grad: bool) -> Tensor:
    return FUNCTIONS["tensor"](values, dtype=d, device=device, requires_grad=requires_grad)


def hann_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """0.5 - 0.5 cos(2 pi i / n).

    >>> import monograph as mg
    >>> mg.hann_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    d = _checked("hann_window", window_length, dtype)
    return _made(shapes.cosines(window_length, not periodic, (0.5, 0.5)), d, device, requires_grad)


def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *, dtype: Any = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """alpha - beta cos(2 pi i / n)."""
    d = _checked("hamming_window", window_length, dtype)
    return _made(shapes.cosines(window_length, not periodic, (alpha, beta)), d, device, requires_grad)


def blackman_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """0.42 - 0.5 cos(x) + 0.08 cos(2 x)."""
    d = _checked("blackman_window", window_length, dtype)
    return _made(shapes.cosines(window_length, not periodic, shapes.BLACKMAN), d, device, requires_grad)


def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A triangle."""
    d = _checked("bartlett_window", window_length, dtype)
    return _made(shapes.bartlett(window_length, not periodic), d, device, requires_grad)


def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Kaiser's window of shape `beta`."""
    d = _checked("kaiser_window", window_length, dtype)
    return _made(shapes.kaiser(window_length, not periodic, beta), d, device, requires_grad)


__all__ = ["bartlett_window", "blackman_window", "hamming_window", "hann_window", "kaiser_window"]
