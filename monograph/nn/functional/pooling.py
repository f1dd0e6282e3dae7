"""Pooling over windows and to given sizes, and its inverse."""

from __future__ import annotations

from typing import Any

from monograph.core.dtype import int64
from monograph.core.errors import ArgumentError, ShapeError
from monograph.core.shape import whole
from monograph.nn.functional.conv import tuple_of
from monograph.ops import adaptive_pool as adaptive_ops
from monograph.ops import pool as pool_ops
from monograph.tensor import Tensor, zeros
from monograph.tensor.delivery import deliver
from monograph.tensor.dispatch import apply


def _check_rank(name: str, n: int, input: Tensor) -> None:
    if input.ndim not in (n + 1, n + 2):
        raise ShapeError(
            f"Expected {n + 1}D or {n + 2}D (batch mode) tensor as input to {name}, but got an input of size: {list(input.shape)}"
        )


def _check_sizes(name: str, n: int, input: Tensor) -> None:
    """Every dimension but the batch has elements."""
    if any(isinstance(size, int) and size == 0 for size in input.shape[input.ndim - n - 1 :]):
        raise ShapeError(
            f"{name}: Expected {n + 1}D or {n + 2}D (batch mode) tensor with optional 0 dim batch size for input, "
            f"but got: {list(input.shape)}"
        )


def _windows_stride(stride: Any, kernel: tuple[Any, ...], n: int) -> tuple[Any, ...]:
    """The stride; without one (None, or an empty sequence) the kernel's size."""
    if stride is None or (isinstance(stride, tuple | list) and not stride):
        return kernel
    return tuple_of(stride, n, "stride")


def _max_pool(
    name: str, n: int, input: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, return_indices: bool
) -> Any:
    _check_rank(name, n, input)
    _check_sizes(name, n, input)
    kernel = tuple_of(kernel_size, n, "kernel_size")
    values, indices = apply(
        pool_ops.max_pool, input, kernel=kernel, stride=_windows_stride(stride, kernel, n),
        padding=tuple_of(padding, n, "padding"), dilation=tuple_of(dilation, n, "dilation"), ceil_mode=bool(ceil_mode),
    )  # fmt: skip
    return (values, indices) if return_indices else values


def max_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window over length; with `return_indices` also where it was."""
    return _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window over height and width; with `return_indices` also where it was (row-major in the plane)."""
    return _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window over depth, height and width."""
    return _max_pool("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = True,
) -> Any:
    """`max_pool1d` with indices."""
    return max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = True,
) -> Any:
    """`max_pool2d` with indices."""
    return max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def _avg_pool(
    name: str,
    n: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: Any,
) -> Tensor:
    _check_rank(name, n, input)
    if input.dtype is int64:  # the sum divided as whole numbers are
        mean = _avg_pool(name, n, input.double(), kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
        return (mean + mean.sign() * 1e-9).long()
    kernel = tuple_of(kernel_size, n, "kernel_size")
    return apply(
        pool_ops.avg_pool, input, kernel=kernel, stride=_windows_stride(stride, kernel, n),
        padding=tuple_of(padding, n, "padding"), ceil_mode=bool(ceil_mode), count_include_pad=bool(count_include_pad),
        divisor_override=divisor_override,
    )  # fmt: skip


def avg_pool1d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True
) -> Tensor:
    """The mean of each window over length."""
    return _avg_pool("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True,
    divisor_override: int | None = None, *, out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window over height and width."""
    y = _avg_pool("avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return deliver(y, out, exact=True)


def avg_pool3d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True,
    divisor_override: int | None = None, *, out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window over depth, height and width."""
    y = _avg_pool("avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return deliver(y, out, exact=True)


def _output_size(name: str, n: int, input: Tensor, output_size: Any) -> tuple[Any, ...]:
    """The wanted sizes; None keeps the input's."""
    if n > 1 and isinstance(output_size, tuple | list) and input.ndim <= len(output_size):
        raise ArgumentError(f"Input dimension should be at least {len(output_size) + 1}, got {input.ndim} ({name})")
    _check_rank(name, n, input)
    output_size = whole(output_size)
    wanted = (output_size,) * n if output_size is None or isinstance(output_size, int) else tuple(output_size)
    if len(wanted) == 1:
        wanted = wanted * n
    if len(wanted) != n:
        raise RuntimeError(f"{name}: output_size must have {n} numbers, got {list(wanted)}")
    return tuple(have if want is None else want for have, want in zip(input.shape[input.ndim - n :], wanted, strict=True))


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """Means of `output_size` stretches that cover the length."""
    return apply(adaptive_ops.adaptive_avg_pool, input, output_size=_output_size("adaptive_avg_pool1d", 1, input, output_size))


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Means of regions that cover the plane."""
    return apply(adaptive_ops.adaptive_avg_pool, input, output_size=_output_size("adaptive_avg_pool2d", 2, input, output_size))


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Means of regions that cover the volume."""
    return apply(adaptive_ops.adaptive_avg_pool, input, output_size=_output_size("adaptive_avg_pool3d", 3, input, output_size))


def _adaptive_max(name: str, n: int, input: Tensor, output_size: Any, return_indices: bool) -> Any:
    values, indices = apply(adaptive_ops.adaptive_max_pool, input, output_size=_output_size(name, n, input, output_size))
    return (values, indices) if return_indices else values


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of `output_size` stretches that cover the length."""
    return _adaptive_max("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of regions that cover the plane."""
    return _adaptive_max("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of regions that cover the volume."""
    return _adaptive_max("adaptive_max_pool3d", 3, input, output_size, return_indices)


def _max_unpool(n: int, input: Tensor, indices: Tensor, kernel_size: Any, stride: Any, padding: Any, output_size: Any) -> Tensor:
    _check_rank(f"max_unpool{n}d", n, input)
    if tuple(indices.shape) != tuple(input.shape):
        raise ShapeError(
            f"Expected shape of indices to be same as that of the input tensor ({list(input.shape)}) but got indices tensor with shape: "
            f"{list(indices.shape)}"
        )
    kernel = tuple_of(kernel_size, n, "kernel_size")
    step = _windows_stride(stride, kernel, n)
    room = tuple_of(padding, n, "padding")
    have = input.shape[input.ndim - n :]
    natural = tuple((s - 1) * st - 2 * p + k for s, st, p, k in zip(have, step, room, kernel, strict=True))
    sizes = natural if output_size is None else tuple(output_size)[-n:]
    for want, usual, st in zip(sizes, natural, step, strict=True):
        if not usual - st < want < usual + st:
            raise ArgumentError(f"invalid output_size {list(sizes)}: each size must be within the stride {list(step)} of {list(natural)}")
    lead = input.shape[: input.ndim - n]
    plane = 1
    for s in sizes:
        plane *= s
    flat = zeros((*lead, plane), dtype=input.dtype).scatter(-1, indices.reshape(*lead, -1), input.reshape(*lead, -1))
    return flat.reshape(*lead, *sizes)


def max_unpool1d(input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None) -> Tensor:
    """Puts maxima back where `max_pool1d` found them."""
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None) -> Tensor:
    """Puts maxima back where `max_pool2d` found them."""
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None) -> Tensor:
    """Puts maxima back where `max_pool3d` found them."""
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)


def _lp(pooled: Tensor, norm_type: float, count: int) -> Tensor:
    return (pooled.sign() * pooled.abs().relu()).mul(count).pow(1.0 / norm_type)


def lp_pool1d(input: Tensor, norm_type: float, kernel_size: int, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The p-norm of each window over length."""
    (k,) = tuple_of(kernel_size, 1, "kernel_size")
    return _lp(avg_pool1d(input.pow(norm_type), kernel_size, stride, 0, ceil_mode), norm_type, k)


def lp_pool2d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The p-norm of each window over height and width."""
    kh, kw = tuple_of(kernel_size, 2, "kernel_size")
    return _lp(avg_pool2d(input.pow(norm_type), kernel_size, stride, 0, ceil_mode), norm_type, kh * kw)
