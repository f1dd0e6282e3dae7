"""Images: resampling, pixel and channel shuffles, sampling along a grid."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from monograph.core.dtype import bfloat16, float16, uint8
from monograph.core.errors import ArgumentError
from monograph.core.shape import whole
from monograph.nn.functional.pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from monograph.ops import upsample as upsample_ops
from monograph.tensor import Tensor, tensor, where
from monograph.tensor.dispatch import apply

_LINEAR_RANK = {"linear": 3, "bilinear": 4, "trilinear": 5}
_AREA = {1: adaptive_avg_pool1d, 2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}


def _target_sizes(input: Tensor, size: Any, scale_factor: Any, recompute: bool | None) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The new sizes, and the factors that source positions are computed with (none if they follow from the sizes)."""
    n = input.ndim - 2
    if (size is None) == (scale_factor is None):
        raise ArgumentError(
            "either size or scale_factor should be defined" if size is None else "only one of size or scale_factor should be defined"
        )
    if size is not None:
        sizes = (whole(size),) * n if isinstance(whole(size), int) else tuple(int(s) for s in size)
        if len(sizes) != n:
            raise ArgumentError(
                "Input and output must have the same number of spatial dimensions, but got input with spatial dimensions "
                f"of {list(input.shape[2:])} and output size of {list(sizes)}."
            )
        return sizes, ()
    scales = (float(scale_factor),) * n if isinstance(scale_factor, int | float) else tuple(float(s) for s in scale_factor)
    if len(scales) != n:
        raise ArgumentError(
            "Input and scale_factor must have the same number of spatial dimensions, but got input with spatial "
            f"dimensions of {list(input.shape[2:])} and scale_factor of shape {list(scales)}."
        )
    sizes = tuple(math.floor(s * f) for s, f in zip(input.shape[2:], scales, strict=True))
    return sizes, () if recompute else scales


def interpolate(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None, antialias: bool = False,
) -> Tensor:  # fmt: skip
    """Resamples [N, C, ...] to `size` or by `scale_factor`.

    mode: "nearest", "nearest-exact", "area", "linear" (3-d input), "bilinear" (4-d), "trilinear" (5-d) or "bicubic" (4-d).
    """
    n = input.ndim - 2
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ArgumentError(
                "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear"
            )
    elif align_corners is None:
        align_corners = False
    if antialias and not (mode in ("bilinear", "bicubic") and input.ndim == 4):
        raise ArgumentError("Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor as input")
    sizes, scales = _target_sizes(input, size, scale_factor, recompute_scale_factor)
    if input.dtype is uint8 and mode in ("bilinear", "bicubic") and n == 2:  # pixels: rounded, and limited to their range
        return _pixels(input, sizes, scales, mode, bool(align_corners), antialias)
    if n in (1, 2, 3):
        if mode == "nearest":
            return apply(upsample_ops.upsample_nearest, input, output_spatial=sizes, scales=scales)
        if mode == "nearest-exact":
            return _nearest_exact(input, sizes, scales)
        if mode == "area":
            return _AREA[n](input, sizes)
    if mode in _LINEAR_RANK and input.ndim == _LINEAR_RANK[mode] and not antialias:
        return apply(upsample_ops.upsample_bilinear, input, output_spatial=sizes, align_corners=bool(align_corners), scales=scales)
    if mode in ("bilinear", "bicubic") and n == 2:
        half = input.dtype in (float16, bfloat16)
        y = _by_weights(input.float() if half else input, sizes, scales, mode, bool(align_corners), antialias)
        return y.to(input.dtype) if half else y
    if mode in _LINEAR_RANK or mode == "bicubic":
        raise NotImplementedError(f"Got {input.ndim}D input, but {mode} mode needs {_LINEAR_RANK.get(mode, 4)}D input")
    raise NotImplementedError(
        f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {input.ndim}D) for the modes: nearest | linear | "
        "bilinear | bicubic | trilinear | "
        f"area | nearest-exact (got {mode})"
    )


def _nearest_exact(input: Tensor, sizes: tuple[int, ...], scales: tuple[float, ...]) -> Tensor:
    for i, size in enumerate(sizes):
        have = input.shape[2 + i]
        step = np.float32(1 / scales[i]) if scales else np.float32(have / size)
        at = np.minimum(np.floor((np.arange(size, dtype=np.float32) + np.float32(0.5)) * step).astype(np.int64), have - 1)
        input = input.index_select(2 + i, tensor(at))
    return input


def _cubic(x: np.ndarray, a: float) -> np.ndarray:
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _weight_matrix(have: int, size: int, scale: float | None, mode: str, align_corners: bool, antialias: bool) -> np.ndarray:
    """[size, have]: how much each input element counts in each output element of one dimension."""
    if align_corners:
        step = (have - 1) / (size - 1) if size > 1 else 0.0
    else:
        step = 1 / scale if scale else have / size
    # With anti-aliasing torch aligns corners in the step only.
    centres = np.arange(size) * step if align_corners and not antialias else (np.arange(size) + 0.5) * step - 0.5
    spread = max(step, 1.0) if antialias else 1.0
    reach = (2 if mode == "bicubic" else 1) * spread
    weights = np.zeros((size, have))
    for row, centre in enumerate(centres):
        low, high = math.floor(centre - reach), math.ceil(centre + reach)
        taps = np.arange(low, high + 1)
        if antialias:
            taps = taps[(taps >= 0) & (taps < have)]
        distance = (taps - centre) / spread
        w = _cubic(distance, -0.5 if antialias else -0.75) if mode == "bicubic" else np.maximum(0.0, 1 - np.abs(distance))
        np.add.at(weights[row], np.clip(taps, 0, have - 1), w)
        if antialias:
            weights[row] /= weights[row].sum()
    return weights


def _weights_of(
    input: Tensor, sizes: tuple[int, ...], scales: tuple[float, ...], mode: str, align_corners: bool, antialias: bool
) -> list[np.ndarray]:
    """The matrices of weights of both dimensions."""
    have = [int(n) for n in input.shape[2:]]
    return [_weight_matrix(have[i], sizes[i], scales[i] if scales else None, mode, align_corners, antialias) for i in range(2)]


def _by_weights(
    input: Tensor, sizes: tuple[int, ...], scales: tuple[float, ...], mode: str, align_corners: bool, antialias: bool
) -> Tensor:
    """Resampling of [N, C, H, W] as two products with the matrices of interpolation weights."""
    rows, columns = (tensor(w, dtype=input.dtype) for w in _weights_of(input, sizes, scales, mode, align_corners, antialias))
    return rows @ (input @ columns.T)


def _pixels(input: Tensor, sizes: tuple[int, ...], scales: tuple[float, ...], mode: str, align_corners: bool, antialias: bool) -> Tensor:
    """Resampling of pixels of eight bits as torch does it: columns, then rows, with weights that are whole numbers of sixteen bits, each
    pass rounded to pixels. The products are of float64, which holds these sums exactly.
    """
    (down, finer), (across, fine) = map(_whole_weights, _weights_of(input, sizes, scales, mode, align_corners, antialias))
    return _rounded(down @ _rounded(input.double() @ across.T, fine), finer).to(uint8)


def _whole_weights(weights: np.ndarray) -> tuple[Tensor, int]:
    """The weights as multiples of 1 / 2 ** bits, and that number of bits: as many as let the greatest stay below 2 ** 15."""
    greatest, bits = float(weights.max()), 0
    while bits < 22 and int(0.5 + greatest * (1 << (bits + 1))) < 1 << 15:
        bits += 1
    scaled = weights * (1 << bits)
    return tensor(np.trunc(np.where(scaled < 0, scaled - 0.5, scaled + 0.5))), bits


def _rounded(sums: Tensor, bits: int) -> Tensor:
    return ((sums + float(1 << bits >> 1)) / float(1 << bits)).floor().clamp(0, 255)


def upsample(input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None) -> Tensor:
    """The former name of `interpolate`."""
    warnings.warn("`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2)
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate(mode="nearest")`."""
    warnings.warn("`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2)
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate(mode="bilinear", align_corners=True)`."""
    warnings.warn("`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2)
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """[*, C r², H, W] -> [*, C, H r, W r]."""
    r = upscale_factor
    if input.ndim < 3:
        raise RuntimeError(f"pixel_shuffle expects input to have at least 3 dimensions, but got input with {input.ndim} dimension(s)")
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *lead, c, h, w = input.shape
    if c % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but "
            f"input.size(-3)={c} is not divisible by {r * r}"
        )
    n = len(lead)
    x = input.reshape(*lead, c // (r * r), r, r, h, w)
    x = x.permute(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return x.reshape(*lead, c // (r * r), h * r, w * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """[*, C, H r, W r] -> [*, C r², H, W]."""
    r = downscale_factor
    if input.ndim < 3:
        raise RuntimeError(f"pixel_unshuffle expects input to have at least 3 dimensions, but got input with {input.ndim} dimension(s)")
    *lead, c, h, w = input.shape
    if h % r or w % r:
        name, have = ("height", h) if h % r else ("width", w)
        raise RuntimeError(
            f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but "
            f"input.size({-2 if h % r else -1})={have} is not divisible by {r}"
        )
    n = len(lead)
    x = input.reshape(*lead, c, h // r, r, w // r, r)
    x = x.permute(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return x.reshape(*lead, c * r * r, h // r, w // r)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Mixes the channels of [N, C, ...] across groups."""
    n, c = input.shape[:2]
    if c % groups:
        raise RuntimeError(f"Number of channels must be divisible by groups. Got {c} channels and {groups} groups.")
    return input.reshape(n, groups, c // groups, *input.shape[2:]).transpose(1, 2).reshape(*input.shape)


def native_channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """`channel_shuffle`."""
    return channel_shuffle(input, groups)


def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor:
    """The sampling grid [N, H, W, 2] (or [N, D, H, W, 3]) of affine maps theta [N, 2, 3] (or [N, 3, 4])."""
    spatial = tuple(int(s) for s in size)[2:]
    n = len(spatial)
    if theta.ndim != 3 or tuple(theta.shape[1:]) != (n, n + 1):
        raise ArgumentError(f"Expected a batch of {n}D affine matrices of shape Nx{n}x{n + 1} for size {list(size)}. Got {theta.shape}.")
    lines = []
    for s in spatial:
        line = np.linspace(-1, 1, s) if s > 1 else np.zeros(1)
        lines.append(line if align_corners or s <= 1 else line * (s - 1) / s)
    axes = np.meshgrid(*lines, indexing="ij")
    points = np.stack([*reversed(axes), np.ones(spatial)], -1).reshape(1, -1, n + 1)
    grid = tensor(points, dtype=theta.dtype) @ theta.transpose(1, 2)
    return grid.reshape(theta.shape[0], *spatial, n)


def _unnormalised(x: Tensor, size: int, align_corners: bool) -> Tensor:
    return (x + 1) * ((size - 1) / 2) if align_corners else ((x + 1) * size - 1) / 2


def _reflected(x: Tensor, twice_low: int, twice_high: int) -> Tensor:
    if twice_low == twice_high:
        return x * 0
    low, span = twice_low / 2, (twice_high - twice_low) / 2
    x = (x - low).abs()
    extra, flips = x.fmod(span), (x / span).floor()
    return where(flips.remainder(2) == 0, extra + low, span - extra + low)


def _placed(x: Tensor, size: int, padding_mode: str, align_corners: bool) -> Tensor:
    if padding_mode == "reflection":
        x = _reflected(x, 0, 2 * (size - 1)) if align_corners else _reflected(x, -1, 2 * size - 1)
    return x if padding_mode == "zeros" else x.clamp(0, size - 1)


def grid_sample(
    input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Tensor:
    """The values of [N, C, H, W] at the points `grid` [N, h, w, 2] of (x, y) in [-1, 1] (or 5-d with (x, y, z))."""
    n = input.ndim - 2
    if n not in (2, 3) or grid.ndim != input.ndim or grid.shape[-1] != n:
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got input with sizes "
            f"{list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ArgumentError(f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ArgumentError(
            f"nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got: '{padding_mode}'"
        )
    if mode == "bicubic" and n == 3:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    aligned = bool(align_corners)
    if input.dtype in (float16, bfloat16):  # places in half precision would be off by pixels
        return grid_sample(input.float(), grid.float(), mode, padding_mode, aligned).to(input.dtype)
    sizes = tuple(int(s) for s in input.shape[2:])
    batch, channels = input.shape[:2]
    flat = input.reshape(batch, channels, -1)
    spots = [_unnormalised(grid[..., n - 1 - d], sizes[d], aligned) for d in range(n)]

    def values(at: list[Tensor]) -> Tensor:
        """The input at whole positions, 0 outside."""
        inside: Any = None
        index: Any = None
        for p, s in zip(at, sizes, strict=True):
            ok = (p >= 0) & (p <= s - 1)
            inside = ok if inside is None else inside & ok
            whole = p.clamp(0, s - 1).long()
            index = whole if index is None else index * s + whole
        picked = flat.gather(2, index.reshape(batch, 1, -1).expand(batch, channels, index[0].numel())).reshape(
            batch, channels, *index.shape[1:]
        )
        return where(inside.unsqueeze(1), picked, 0.0)

    if mode == "bicubic":
        return _bicubic_sample(values, spots, sizes, padding_mode, aligned)
    spots = [_placed(p, s, padding_mode, aligned) for p, s in zip(spots, sizes, strict=True)]
    if mode == "nearest":
        return values([p.detach().round() for p in spots])
    floors = [p.detach().floor() for p in spots]
    total: Any = None
    for corner in range(2**n):
        upper = [(corner >> d) & 1 for d in range(n)]
        weight: Any = None
        for p, f, u in zip(spots, floors, upper, strict=True):
            w = p - f if u else 1 - (p - f)
            weight = w if weight is None else weight * w
        part = values([f + u for f, u in zip(floors, upper, strict=True)]) * weight.unsqueeze(1)
        total = part if total is None else total + part
    return total


def _cubic_weights(t: Tensor) -> list[Tensor]:
    a = -0.75

    def far(x: Tensor) -> Tensor:
        return ((x - 5) * x + 8) * x * a - 4 * a

    def near(x: Tensor) -> Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _bicubic_sample(values: Any, spots: list[Tensor], sizes: tuple[int, ...], padding_mode: str, aligned: bool) -> Tensor:
    floors = [p.detach().floor() for p in spots]
    weights = [_cubic_weights(p - f) for p, f in zip(spots, floors, strict=True)]
    total: Any = None
    for i in range(4):
        y = _placed(floors[0] + (i - 1), sizes[0], padding_mode, aligned)
        for j in range(4):
            x = _placed(floors[1] + (j - 1), sizes[1], padding_mode, aligned)
            part = values([y, x]) * (weights[0][i] * weights[1][j]).unsqueeze(1)
            total = part if total is None else total + part
    return total


__all__ = [
    "affine_grid", "channel_shuffle", "grid_sample", "interpolate", "native_channel_shuffle", "pixel_shuffle", "pixel_unshuffle",
    "upsample",
    "upsample_bilinear", "upsample_nearest",
]  # fmt: skip
