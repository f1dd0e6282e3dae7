"""Convolutions, transposed convolutions, and the columns they are made of (unfold, fold)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.core.errors import ArgumentError, ShapeError
from monograph.core.shape import whole
from monograph.nn.functional.padding import pad as pad_sides
from monograph.ops import conv as conv_ops
from monograph.ops import elementwise, views
from monograph.tensor import FUNCTIONS, Tensor, tensor, zeros
from monograph.tensor.dispatch import apply

Sizes = int | tuple[int, ...] | list[int]


def tuple_of(value: Any, n: int, what: str) -> tuple[Any, ...]:
    """One number per dimension: an int is repeated. Raises for another count."""
    value = whole(value)
    if isinstance(value, int):
        return (value,) * n
    found = tuple(value)
    if len(found) == n:
        return found
    if len(found) == 1:
        return found * n
    raise RuntimeError(
        f"expected {what} to be a single integer value or a list of {n} values to match the convolution dimensions, but "
        f"got {what}={list(found)}"
    )


def _batched(name: str, n: int, input: Tensor) -> tuple[Tensor, bool]:
    """The input with a batch dimension, and whether it had one."""
    rank = input.ndim
    if rank == n + 2:
        return input, True
    if rank == n + 1:
        return input.unsqueeze(0), False
    raise ShapeError(f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {name}, but got input of size: {list(input.shape)}")


def _add_bias(y: Tensor, bias: Tensor, n: int) -> Tensor:
    return apply(elementwise.add, y, apply(views.reshape, bias, shape=(1, -1 if bias.ndim != 1 else bias.shape[0], *[1] * n)))


def _in_parts(convolve: Callable[[Tensor, Tensor], Tensor], n: int, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution of complex numbers: linear in both, so three of real ones (as a product of two numbers takes three products)."""
    (a, b), (c, d) = (x.real, x.imag), (weight.real, weight.imag)
    first, second, third = convolve(a, c), convolve(b, d), convolve(a + b, c + d)
    y = FUNCTIONS["complex"](first - second, third - first - second)
    if bias is None:
        return y
    if bias.dtype is not y.dtype:
        raise RuntimeError(f"Input type ({x.dtype.name}) and bias type ({bias.dtype.name}) should be the same")
    return _add_bias(y, bias, n) if x.ndim == n + 2 else y + bias.reshape(-1, *[1] * n)


def _conv(
    name: str, n: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any, groups: int
) -> Tensor:
    if input.dtype.kind in "iu" and weight.dtype is input.dtype:  # exact below 2 ** 53
        if bias is not None and bias.dtype is not input.dtype:
            raise RuntimeError(f"Input type ({input.dtype.name}) and bias type ({bias.dtype.name}) should be the same")
        wide = None if bias is None else bias.double()
        y = _conv(name, n, input.double(), weight.double(), wide, stride, padding, dilation, groups)
        return y.long().to(input.dtype)
    if input.dtype.kind == "c" and weight.dtype is input.dtype:
        return _in_parts(lambda x, w: _conv(name, n, x, w, None, stride, padding, dilation, groups), n, input, weight, bias)
    if weight.ndim != n + 2:
        raise ShapeError(
            f"Expected {weight.ndim}-dimensional input for {weight.ndim}-dimensional weight{list(weight.shape)}, but got "
            f"{input.ndim}-dimensional input of size {list(input.shape)} instead; {name} takes a weight of {n + 2} dimensions"
        )
    x, batched = _batched(name, n, input)
    stride, dilation = tuple_of(stride, n, "stride"), tuple_of(dilation, n, "dilation")
    if isinstance(padding, str):
        x, padding = _named_padding(x, weight, padding, stride, dilation)
    y = apply(conv_ops.conv, x, weight, stride=stride, padding=tuple_of(padding, n, "padding"), dilation=dilation, groups=groups)
    if bias is not None:
        if tuple(bias.shape) != (weight.shape[0],):
            raise ShapeError(
                f"Given weight of size {list(weight.shape)}, expected bias to be 1-dimensional with {weight.shape[0]} "
                "elements, but got bias of "
                f"size {list(bias.shape)} instead"
            )
        y = _add_bias(y, bias, n)
    return y if batched else y.squeeze(0)


def _named_padding(x: Tensor, weight: Tensor, padding: str, stride: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[Tensor, Any]:
    """The input, padded where the sides differ, and the symmetric rest of "valid" or "same"."""
    n = len(stride)
    if padding == "valid":
        return x, (0,) * n
    if padding != "same":
        raise ArgumentError(f"Invalid padding string: '{padding}'")
    if any(s != 1 for s in stride):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    totals = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    if all(t % 2 == 0 for t in totals):
        return x, tuple(t // 2 for t in totals)
    sides: list[int] = []
    for t in reversed(totals):
        sides += [0, t % 2]
    return pad_sides(x, sides), tuple(t // 2 for t in totals)


def conv1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Tensor:
    """Cross-correlation over length: input [N, C, L], weight [out, C / groups, k]; padding a number, "same" or "valid"."""
    return _conv("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Tensor:
    """Cross-correlation over height and width: input [N, C, H, W], weight [out, C / groups, kh, kw]."""
    return _conv("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Tensor:
    """Cross-correlation over depth, height and width: input [N, C, D, H, W], weight [out, C / groups, kd, kh, kw]."""
    return _conv("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def _conv_transpose(
    name: str, n: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, output_padding: Any, groups: int,
    dilation: Any,
) -> Tensor:  # fmt: skip
    if input.dtype.kind in "iu" and weight.dtype is input.dtype:  # exact below 2 ** 53
        wide = None if bias is None else bias.double()
        y = _conv_transpose(name, n, input.double(), weight.double(), wide, stride, padding, output_padding, groups, dilation)
        return y.long().to(input.dtype)
    if input.dtype.kind == "c" and weight.dtype is input.dtype:

        def convolved(x: Tensor, w: Tensor) -> Tensor:
            return _conv_transpose(name, n, x, w, None, stride, padding, output_padding, groups, dilation)

        return _in_parts(convolved, n, input, weight, bias)
    x, batched = _batched(name, n, input)
    y = apply(
        conv_ops.conv_transpose, x, weight, stride=tuple_of(stride, n, "stride"), padding=tuple_of(padding, n, "padding"),
        output_padding=tuple_of(output_padding, n, "output_padding"), dilation=tuple_of(dilation, n, "dilation"), groups=groups,
    )  # fmt: skip
    if bias is not None:
        y = _add_bias(y, bias, n)
    return y if batched else y.squeeze(0)


def conv_transpose1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1,
    dilation: Any = 1,
) -> Tensor:  # fmt: skip
    """Transposed convolution over length: input [N, C, L], weight [C, out / groups, k]."""
    return _conv_transpose("conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1,
    dilation: Any = 1,
) -> Tensor:  # fmt: skip
    """Transposed convolution over height and width: input [N, C, H, W], weight [C, out / groups, kh, kw]."""
    return _conv_transpose("conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1,
    dilation: Any = 1,
) -> Tensor:  # fmt: skip
    """Transposed convolution over depth, height and width: input [N, C, D, H, W], weight [C, out / groups, kd, kh, kw]."""
    return _conv_transpose("conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups, dilation)


def _window_positions(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, list[int]]:
    """How many windows fit, and the input position of every (kernel element, window)."""
    count = (size - dilation * (kernel - 1) - 1) // stride + 1
    if count < 1:
        raise ShapeError(f"the (padded) size {size} is smaller than the kernel's reach {dilation * (kernel - 1) + 1}")
    return count, [k * dilation + w * stride for k in range(kernel) for w in range(count)]


def _pair(what: str, value: Any) -> tuple[Any, ...]:
    """Two numbers, of one if it is no sequence."""
    pair = tuple_of(value, 2, what)
    if isinstance(value, tuple | list) and len(value) != 2:
        raise RuntimeError(f"It is expected {what} equals to 2, but got size {len(value)}")
    return pair


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """The windows of [N, C, H, W] as columns: [N, C * kh * kw, windows]."""
    x, batched = _batched("unfold", 2, input)
    (kh, kw), (dh, dw) = _pair("kernel_size", kernel_size), _pair("dilation", dilation)
    (ph, pw), (sh, sw) = _pair("padding", padding), _pair("stride", stride)
    if ph or pw:
        x = pad_sides(x, (pw, pw, ph, ph))
    n, c, height, width = x.shape
    rows, at_h = _window_positions(height, kh, sh, dh)
    columns, at_w = _window_positions(width, kw, sw, dw)
    x = x.index_select(2, tensor(at_h)).index_select(3, tensor(at_w)).reshape(n, c, kh, rows, kw, columns)
    x = x.permute(0, 1, 2, 4, 3, 5).reshape(n, c * kh * kw, rows * columns)
    return x if batched else x.squeeze(0)


def fold(input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """Columns [N, C * kh * kw, windows] summed back into [N, C, H, W]: the adjoint of `unfold`."""
    (height, width), (kh, kw) = _pair("output_size", output_size), _pair("kernel_size", kernel_size)
    (dh, dw), (ph, pw), (sh, sw) = _pair("dilation", dilation), _pair("padding", padding), _pair("stride", stride)
    if input.ndim not in (2, 3):
        raise RuntimeError(f"Expected 2D or 3D (batch mode) tensor for input, but got: {list(input.shape)}")
    x = input if input.ndim == 3 else input.unsqueeze(0)
    n, depth, windows = x.shape
    if depth % (kh * kw) != 0:
        raise RuntimeError(
            f"Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got input.size(1)={depth} and "
            f"kernel_size=({kh}, {kw})."
        )
    c = depth // (kh * kw)
    rows, at_h = _window_positions(height + 2 * ph, kh, sh, dh)
    columns, at_w = _window_positions(width + 2 * pw, kw, sw, dw)
    if windows != rows * columns:
        raise RuntimeError(
            f"Given output_size=({height}, {width}), kernel_size=({kh}, {kw}), dilation=({dh}, {dw}), padding=({ph}, "
            f"{pw}), stride=({sh}, {sw}), "
            f"expected size of input's dimension 2 to match the calculated number of sliding blocks {rows} * {columns} = "
            f"{rows * columns}, but got "
            f"input.size(2)={windows}."
        )
    x = x.reshape(n, c, kh, kw, rows, columns).permute(0, 1, 2, 4, 3, 5).reshape(n, c, kh * rows, kw * columns)
    x = zeros((n, c, kh * rows, width + 2 * pw), dtype=x.dtype).index_add(3, tensor(at_w), x)
    x = zeros((n, c, height + 2 * ph, width + 2 * pw), dtype=x.dtype).index_add(2, tensor(at_h), x)
    x = x[:, :, ph : ph + height, pw : pw + width]
    return x if input.ndim == 3 else x.squeeze(0)
