"""Padding: constant, reflected, replicated, circular."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from monograph.core.errors import ArgumentError
from monograph.ops import movement
from monograph.tensor import Tensor, tensor
from monograph.tensor.dispatch import apply


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: Any = None) -> Tensor:
    """Pads the last dimensions: `pad` = (left, right, top, bottom ...), last dimension first; negative numbers crop.

    mode: "constant" (with `value`, 0 by default), "reflect", "replicate" or "circular".
    """
    sides = [int(p) if not hasattr(p, "scope") else p for p in pad]
    if len(sides) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    n, rank = len(sides) // 2, input.ndim
    if n > rank:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got padding length "
            f"{len(sides)} and input of dimension {rank}"
        )
    if mode == "constant":
        if not any(sides):
            return input.clone()
        low, high = [0] * rank, [0] * rank
        for i in range(n):
            low[rank - 1 - i], high[rank - 1 - i] = sides[2 * i], sides[2 * i + 1]
            new = input.shape[rank - 1 - i] + sides[2 * i] + sides[2 * i + 1]
            if new < 0:
                raise RuntimeError(
                    f"The input size {input.shape[rank - 1 - i]}, plus negative padding {sides[2 * i]} and "
                    f"{sides[2 * i + 1]} resulted in a negative "
                    f"output size, which is invalid. Check dimension {rank - 1 - i} of your input."
                )
        return apply(movement.pad, input, low=tuple(low), high=tuple(high), value=0 if value is None else value)
    if value not in (None, 0):
        raise ArgumentError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if rank not in (n + 1, n + 2) or n > 3:
        raise NotImplementedError(
            f"Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now: got an input of {rank} "
            f"dimensions and padding of length {len(sides)}"
        )
    result = input
    for i in range(n):
        dim, before, after = rank - 1 - i, sides[2 * i], sides[2 * i + 1]
        if before or after:
            result = result.index_select(dim, tensor(_source_positions(mode, int(input.shape[dim]), before, after, dim, input)))
    return result if result is not input else input.clone()


def _source_positions(mode: str, size: int, before: int, after: int, dim: int, input: Tensor) -> np.ndarray:
    """Where each element of the padded dimension comes from."""
    if mode == "circular" and (before < 0 or after < 0):  # what is left after cropping goes round
        start = max(-before, 0)
        left = size - start - max(-after, 0)
        return np.arange(-max(before, 0), left + max(after, 0)) % left + start
    at = np.arange(-before, size + after)
    if mode == "reflect":
        if max(before, after) >= size:
            raise RuntimeError(
                "Argument #4: Padding size should be less than the corresponding input dimension, but got: padding "
                f"({before}, {after}) at dimension {dim} "
                f"of input {list(input.shape)}"
            )
        at = np.abs(at)
        return np.where(at >= size, 2 * (size - 1) - at, at)
    if mode == "replicate":
        return np.clip(at, 0, size - 1)
    if max(before, after) > size:
        raise RuntimeError("Padding value causes wrapping around more than once.")
    return at % size
