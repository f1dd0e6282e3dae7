"""Pooling over windows at random places, and p-norms over volumes."""

from __future__ import annotations

from math import prod
from typing import Any

from monograph.core.dtype import int64
from monograph.core.errors import ArgumentError, ShapeError
from monograph.nn.functional.conv import tuple_of
from monograph.nn.functional.pooling import _lp, avg_pool3d
from monograph.tensor import FUNCTIONS, Tensor, arange, cat, full, rand


def _sizes(n: int, input: Tensor, kernel: tuple[int, ...], output_size: Any, output_ratio: Any) -> tuple[int, ...]:
    if output_size is None and output_ratio is None:
        raise ArgumentError(f"fractional_max_pool{n}d requires specifying either an output_size or an output_ratio")
    have = tuple(int(s) for s in input.shape[-n:])
    if output_size is None:
        ratio = (output_ratio,) * n if isinstance(output_ratio, int | float) else tuple(output_ratio)
        output_size = tuple(int(s * r) for s, r in zip(have, ratio, strict=True))
    sizes = tuple_of(output_size, n, "output_size")
    for out, k, s in zip(sizes, kernel, have, strict=True):
        if out + k - 1 > s:
            raise RuntimeError(f"fractional_max_pool{n}d(): pool size {k} too large relative to input size {s} and output size {out}")
    return sizes


def _starts(sample: Any, size: int, out: int, kernel: int) -> Any:
    """Where the windows of each channel begin along one dimension: [N, C, out]."""
    last = full((*sample.shape, 1), size - kernel, dtype=int64)
    if out == 1:
        return last
    step = (size - kernel) / (out - 1)
    shifted = (arange(out - 1).to(sample.dtype) + sample.unsqueeze(-1)) * step
    return cat([shifted.long() - (sample * step).long().unsqueeze(-1), last], -1)


def _fractional(n: int, input: Any, kernel_size: Any, output_size: Any, output_ratio: Any, return_indices: bool, samples: Any) -> Any:
    if input.ndim not in (n + 1, n + 2):
        raise ShapeError(f"fractional_max_pool{n}d(): Expected {n + 1}D or {n + 2}D tensor, but got: {list(input.shape)}")
    kernel = tuple_of(kernel_size, n, "kernel_size")
    sizes = _sizes(n, input, kernel, output_size, output_ratio)
    x = input if input.ndim == n + 2 else input.unsqueeze(0)
    lead, have = tuple(x.shape[:2]), tuple(x.shape[2:])
    if samples is None:
        samples = rand((*lead, n), dtype=input.dtype)
    samples = samples[: lead[0]]  # a module's own are for as many as the first size says, batched or not
    # The first sample is of the last dimension in the plane, and of the first one in the volume, as in torch.
    order = (1, 0) if n == 2 else (0, 1, 2)
    place: Any = None
    for d in range(n):
        starts = _starts(samples[..., order[d]], have[d], sizes[d], kernel[d])
        along = starts.unsqueeze(-1) + arange(kernel[d])
        shape = [*lead, *[1] * (2 * n)]
        shape[2 + d], shape[2 + n + d] = sizes[d], kernel[d]
        along = along.reshape(shape)
        place = along if place is None else place * have[d] + along
    per_window, count = prod(kernel), prod(sizes)
    place = place.reshape(*lead, *sizes, per_window)
    windows = x.reshape(*lead, 1, prod(have)).expand(*lead, count, prod(have))
    met = FUNCTIONS["gather"](windows, -1, place.reshape(*lead, count, per_window)).reshape(place.shape)
    values, which = FUNCTIONS["max"](met, -1)
    if input.ndim == n + 1:
        values = values.squeeze(0)
    if not return_indices:
        return values
    indices = FUNCTIONS["gather"](place, -1, which.unsqueeze(-1)).squeeze(-1)
    return values, indices if input.ndim == n + 2 else indices.squeeze(0)


def fractional_max_pool2d(
    input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:  # fmt: skip
    """Maxima of windows that lie at random places, as many as `output_size` (or `output_ratio` of the input) says (Graham 2014)."""
    return _fractional(2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


def fractional_max_pool3d(
    input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:  # fmt: skip
    """`fractional_max_pool2d` over volumes."""
    return _fractional(3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


def lp_pool3d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The p-norm of each window over depth, height and width."""
    kd, kh, kw = tuple_of(kernel_size, 3, "kernel_size")
    return _lp(avg_pool3d(input.pow(norm_type), kernel_size, stride, 0, ceil_mode), norm_type, kd * kh * kw)
