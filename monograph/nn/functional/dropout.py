"""Dropout: of elements, of whole channels, and the kind that keeps mean and variance."""

from __future__ import annotations

import math
import warnings

from monograph.core.errors import ArgumentError
from monograph.ops import random as random_ops
from monograph.tensor import Tensor, ones, rand, where
from monograph.tensor.dispatch import apply, read, store
from monograph.tensor.random import take_key

_ALPHA = 1.7580993408473766  # -alpha * scale of SELU: where units go when dropped


def _check(p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ArgumentError(f"dropout probability has to be between 0 and 1, but got {p}")


def _done(result: Tensor, input: Tensor, inplace: bool) -> Tensor:
    return store(input, read(result), "dropout_") if inplace else result


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """When training, zeroes elements with probability p and scales the rest by 1 / (1 - p)."""
    _check(p)
    if not training or p == 0 or not input.numel():
        return input
    key, offset = take_key(input.numel())
    return _done(apply(random_ops.dropout, input, key, offset, p=float(p)), input, inplace)


def _channels(input: Tensor, p: float, inplace: bool, spatial: int) -> Tensor:
    """Whole channels kept (and scaled) or zeroed: dropout of a mask of ones."""
    if not p or not input.numel():
        return input
    lead = tuple(input.shape[: input.ndim - spatial])
    mask = dropout(ones((*lead, *[1] * spatial), dtype=input.dtype), p)
    return _done(input * mask, input, inplace)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Drops whole channels of [N, C, L] or [C, L]."""
    _check(p)
    if input.ndim not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.ndim}D input. Note that dropout1d exists to "
            "provide channel-wise dropout on "
            "inputs with 1 spatial dimension, a channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs)."
        )
    return _channels(input, p, inplace, 1) if training else input


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Drops whole channels of [N, C, H, W]."""
    _check(p)
    if input.ndim not in (3, 4):
        warnings.warn(
            f"dropout2d: Received a {input.ndim}-D input to dropout2d, which is deprecated and will result in an error in "
            "a future release.",
            stacklevel=2,
        )
    if input.ndim == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior is desired - "
            "input is interpreted as "
            "shape (N, C, L), where C is the channel dim.",
            stacklevel=2,
        )
    return _channels(input, p, inplace, input.ndim - 2) if training else input


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Drops whole channels of [N, C, D, H, W] or [C, D, H, W]."""
    _check(p)
    if input.ndim not in (4, 5):
        warnings.warn(
            f"dropout3d: Received a {input.ndim}-D input to dropout3d, which is deprecated and will result in an error in "
            "a future release.",
            stacklevel=2,
        )
    return _channels(input, p, inplace, 3 if input.ndim in (4, 5) else input.ndim - 2) if training else input


def _alpha(input: Tensor, p: float, shape: tuple[int, ...], inplace: bool) -> Tensor:
    a = 1.0 / math.sqrt((_ALPHA**2 * p + 1) * (1 - p)) if p < 1 else 0.0
    kept = rand(shape, dtype=input.dtype) >= p
    return _done(where(kept, input, -_ALPHA) * a + a * _ALPHA * p, input, inplace)


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps mean and variance, for SELU networks."""
    _check(p)
    return _alpha(input, p, tuple(input.shape), inplace) if training and p else input


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """`alpha_dropout` of whole channels."""
    _check(p)
    shape = (*input.shape[:2], *[1] * (input.ndim - 2))
    return _alpha(input, p, tuple(shape), inplace) if training and p else input
