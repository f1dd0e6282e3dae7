"""Windows that slide over spatial dimensions: output sizes, checks and NumPy loops, shared by convolution and pooling."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from monograph.core.shape import Shape

Sizes = tuple[Any, ...]
Ints = tuple[int, ...]


def output_size(size: Any, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool = False) -> Any:
    """How many windows fit; with `ceil_mode` also one that starts inside the input or its left padding and sticks out at the right."""
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return span // stride + 1
    n = (span + stride - 1) // stride + 1
    return n - 1 if (n - 1) * stride >= size + padding else n


def output_sizes(spatial: Sizes, kernel: Sizes, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool = False) -> Sizes:
    """`output_size` of every spatial dimension."""
    return tuple([output_size(*one, ceil_mode) for one in zip(spatial, kernel, stride, padding, dilation, strict=True)])


def by(sizes: Sizes) -> str:
    """Sizes as text: "3 x 3"."""
    return " x ".join(str(s) for s in sizes)


def offsets(kernel: Ints) -> Iterator[Ints]:
    """Positions inside a window, in row-major order."""
    return product(*(range(k) for k in kernel))


def at(place: Ints) -> Any:
    """The index of one place in the last dimensions."""
    return (..., *place)


def reached(offset: Ints, out: Ints, stride: Ints, dilation: Ints) -> Any:
    """The index, within a padded input, of the elements that position `offset` of every window sees."""
    axes = zip(offset, out, stride, dilation, strict=True)
    return (..., *(slice(o * d, o * d + (n - 1) * s + 1 if n else o * d, s) for o, n, s, d in axes))


def padded_spatial(spatial: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, out: Ints) -> Ints:
    """Sizes of a padded input that every window fits in (ceil_mode: also the last one, which sticks out)."""
    return tuple(
        max(size + 2 * p, (n - 1) * s + d * (k - 1) + 1)
        for size, k, s, p, d, n in zip(spatial, kernel, stride, padding, dilation, out, strict=True)
    )


def padded(x: np.ndarray, sizes: Ints, padding: Ints, value: Any) -> np.ndarray:
    """x with its last dimensions set into arrays of `sizes` filled with `value`, after `padding` elements of it."""
    lead = x.shape[: x.ndim - len(sizes)]
    result = np.full((*lead, *sizes), value, x.dtype)
    result[inside(x.shape[len(lead) :], padding)] = x
    return result


def inside(spatial: Shape, padding: Ints) -> Any:
    """The index of the input within its padded form."""
    return (..., *(slice(p, p + n) for p, n in zip(padding, spatial, strict=True)))
