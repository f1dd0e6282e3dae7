"""Names of torch's that its own layers call: normalisations that also return their statistics, padding and sampling by number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monograph.core.errors import ShapeError
from monograph.nn.functional.norm import batch_norm, group_norm, layer_norm
from monograph.nn.functional.padding import pad as padded
from monograph.nn.functional.vision import grid_sample
from monograph.tensor.core import Tensor
from monograph.tensor.delivery import deliver
from monograph.tensor.foreign import all_refuse_foreign
from monograph.tensor.pointwise import FUNCTIONS as F

MODES = ("bilinear", "nearest", "bicubic")
PADDINGS = ("zeros", "border", "reflection")


def constant_pad_nd(input: Tensor, pad: Sequence[int], value: Any = 0) -> Tensor:  # noqa: A002
    """`torch.nn.functional.pad` with a number.

    >>> import monograph as mg
    >>> mg.constant_pad_nd(mg.ones(2), (1, 0)).tolist()
    [0.0, 1.0, 1.0]
    """
    return padded(input, tuple(pad), "constant", value)


def grid_sampler(input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Tensor:  # noqa: A002
    """`torch.nn.functional.grid_sample` with numbers: 0 bilinear, 1 nearest, 2 bicubic; padding 0 zeros, 1 border, 2 reflection."""
    return grid_sample(input, grid, MODES[interpolation_mode], PADDINGS[padding_mode], align_corners)


def grid_sampler_2d(input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Tensor:  # noqa: A002
    """`grid_sampler` of images [N, C, H, W]."""
    if input.ndim != 4:
        raise ShapeError(f"grid_sampler_2d(): expected a 4-d input [N, C, H, W], got {list(input.shape)}")
    return grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)


def grid_sampler_3d(input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Tensor:  # noqa: A002
    """`grid_sampler` of volumes [N, C, D, H, W]."""
    if input.ndim != 5:
        raise ShapeError(f"grid_sampler_3d(): expected a 5-d input [N, C, D, H, W], got {list(input.shape)}")
    return grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)


def _statistics(x: Tensor, dims: Any, eps: float, keepdim: bool) -> tuple[Tensor, Tensor]:
    """(mean, 1 / sqrt(variance + eps)) of the elements along `dims`."""
    return F["mean"](x, dims, keepdim), F["rsqrt"](F["var"](x, dims, correction=0, keepdim=keepdim) + eps)


def native_layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float  # noqa: A002
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """`torch.nn.functional.layer_norm`, and the means and reciprocal deviations it divides by.

    >>> import monograph as mg
    >>> mg.native_layer_norm(mg.tensor([[1.0, 3.0]]), (2,), None, None, 0.0)[1].tolist()
    [[2.0]]
    """
    shape = tuple(normalized_shape)
    y = layer_norm(input, shape, weight, bias, eps)
    return y, *_statistics(input.detach(), tuple(range(-len(shape), 0)), eps, True)


def native_group_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, N: int, C: int, HxW: int, group: int, eps: float  # noqa: A002
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """`torch.nn.functional.group_norm` of N samples with C channels of HxW elements, and each group's mean and reciprocal deviation."""
    if N * C * HxW != input.numel():  # type: ignore[attr-defined]
        raise ShapeError(f"native_group_norm: N={N}, C={C} and HxW={HxW} are {N * C * HxW} elements, the input is {list(input.shape)}")
    y = group_norm(input.reshape(N, C, HxW), group, weight, bias, eps).reshape(input.shape)  # type: ignore[attr-defined]
    return y, *_statistics(input.reshape(N, group, -1), 2, eps, False)  # type: ignore[attr-defined]


def native_batch_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None, running_var: Tensor | None, training: bool,  # noqa: A002
    momentum: float, eps: float, *, out: Any = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """`torch.nn.functional.batch_norm`, and the batch's means and reciprocal deviations (when not training: nothing)."""
    y = batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    if training:
        dims = (0, *range(2, input.ndim))
        return deliver((y, *_statistics(input.detach(), dims, eps, False)), out)
    empty = F["empty"](0, dtype=input.dtype)
    return deliver((y, empty, empty.clone()), out)  # type: ignore[attr-defined]


__all__ = [
    "constant_pad_nd", "grid_sampler", "grid_sampler_2d", "grid_sampler_3d", "native_batch_norm", "native_group_norm", "native_layer_norm",
]  # fmt: skip
all_refuse_foreign(globals(), names=__all__)
