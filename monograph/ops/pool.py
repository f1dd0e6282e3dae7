"""Pooling over windows of the last dimensions: max_pool with the positions of the maxima, avg_pool, and their gradients.

The spatial dimensions are the last ones, as many as the kernel has numbers; all before them are batch. Pooling to given output sizes is in
`adaptive_pool.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, attrs
from monograph.core.dtype import dtype as DType
from monograph.core.dtype import int64
from monograph.core.errors import ArgumentError, DTypeError, ShapeError
from monograph.core.shape import Shape
from monograph.graph.node import Node
from monograph.graph.op import Family, OpDef, Sample, define
from monograph.ops.precision import half_in_single, is_half
from monograph.ops.scattering import gather
from monograph.ops.source import project
from monograph.ops.views import reshape
from monograph.ops.windows import Ints, Sizes, by, inside, offsets, output_sizes, padded, padded_spatial, reached

POOL = Family.POOL


@attrs
class MaxPoolAttrs(Attrs):
    """One number per spatial dimension each; `ceil_mode` keeps a last window that sticks out."""

    kernel: Ints
    stride: Ints
    padding: Ints
    dilation: Ints
    ceil_mode: bool = False


@attrs
class MaxPoolBackwardAttrs(Attrs):
    """The spatial sizes of the input."""

    input_spatial: Sizes


@attrs
class AvgPoolAttrs(Attrs):
    """`count_include_pad`: padding counts as zeros; `divisor_override`: divide by this number instead of the number of elements."""

    kernel: Ints
    stride: Ints
    padding: Ints
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None


@attrs
class AvgPoolBackwardAttrs(Attrs):
    """Those of the pooling, and the spatial sizes of its input."""

    kernel: Ints
    stride: Ints
    padding: Ints
    input_spatial: Sizes
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None


# ---------------------------------------------------------------- types


def _pooled(name: str, a: Any, x: Any, dilation: Ints) -> Shape:
    """The output's shape; raises in the words of PyTorch when windows do not fit."""
    n, s = len(a.kernel), x.shape
    if len(s) < n:
        raise ShapeError(f"{name} over {n} dimensions needs an input of at least as many, got shape {list(s)}")
    for what, values in (("stride", a.stride), ("padding", a.padding), ("dilation", dilation)):
        if len(values) != n:
            raise ArgumentError(f"{name}: {what} must have one number for each of the {n} spatial dimensions, got {list(values)}")
    if min(a.kernel) < 1 or min(a.stride) < 1 or min(dilation) < 1:
        raise ArgumentError(
            f"{name}: kernel size, stride and dilation must be greater than zero, got {list(a.kernel)}, {list(a.stride)} and "
            f"{list(dilation)}"
        )
    for k, p, d in zip(a.kernel, a.padding, dilation, strict=True):
        if p < 0 or p > (d * (k - 1) + 1) // 2:
            raise ArgumentError(f"pad should be at most half of effective kernel size, but got pad={p}, kernel_size={k} and dilation={d}")
    spatial = s[len(s) - n :]
    out = output_sizes(spatial, a.kernel, a.stride, a.padding, dilation, a.ceil_mode)
    for o in out:
        if o < 1:
            raise ShapeError(
                f"Given input size: ({by(spatial)}). Calculated output size: ({by(out)}). Output size is too small for kernel "
                f"({by(a.kernel)})"
            )
    return (*s[: len(s) - n], *out)


def _max_pool_type(a: MaxPoolAttrs, x: Any) -> tuple[Any, Any]:
    if x.dtype.kind not in "fiu":
        raise DTypeError(f"max_pool takes numbers, got {x.dtype.name}")
    shape = _pooled("max_pool", a, x, a.dilation)
    return ((shape, x.dtype), (shape, int64)), None


def _avg_pool_type(a: AvgPoolAttrs, x: Any) -> tuple[Shape, DType]:
    if x.dtype.kind != "f":
        raise DTypeError(f"avg_pool takes floating-point values, got {x.dtype.name}; convert them first, e.g. x.float()")
    if a.divisor_override == 0:
        raise ArgumentError("divisor must be not zero")
    return _pooled("avg_pool", a, x, _ones(a)), x.dtype


def _max_pool_backward_type(a: MaxPoolBackwardAttrs, g: Any, indices: Any) -> tuple[Shape, DType]:
    if g.shape != indices.shape or indices.dtype is not int64 or len(g.shape) < len(a.input_spatial):
        raise ShapeError(
            f"max_pool_backward takes a gradient and int64 positions of one shape, got {g.dtype.name}{list(g.shape)} and "
            f"{indices.dtype.name}{list(indices.shape)}"
        )
    return (*g.shape[: len(g.shape) - len(a.input_spatial)], *a.input_spatial), g.dtype


def _avg_pool_backward_type(a: AvgPoolBackwardAttrs, g: Any) -> tuple[Shape, DType]:
    n = len(a.kernel)
    out = output_sizes(a.input_spatial, a.kernel, a.stride, a.padding, _ones(a), a.ceil_mode)
    if g.dtype.kind != "f":
        raise DTypeError(f"avg_pool_backward takes floating-point values, got {g.dtype.name}; convert them first, e.g. g.float()")
    if g.shape[len(g.shape) - n :] != out:
        raise ShapeError(
            f"an output gradient {list(g.shape)} does not belong to an input of spatial sizes {list(a.input_spatial)}, whose output has "
            f"{list(out)}"
        )
    return (*g.shape[: len(g.shape) - n], *a.input_spatial), g.dtype


def _ones(a: Any) -> Ints:
    return (1,) * len(a.kernel)


# ---------------------------------------------------------------- max


def _max_pool(a: MaxPoolAttrs, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first of equal maxima wins; a NaN wins over everything, the last one over earlier ones."""
    n = len(a.kernel)
    lead, spatial = x.shape[: x.ndim - n], x.shape[x.ndim - n :]
    out = output_sizes(spatial, a.kernel, a.stride, a.padding, a.dilation, a.ceil_mode)
    sizes = padded_spatial(spatial, a.kernel, a.stride, a.padding, a.dilation, out)
    values = padded(x, sizes, a.padding, 0)
    positions = padded(np.arange(prod(spatial)).reshape(spatial), sizes, a.padding, -1)
    best = np.zeros((*lead, *out), x.dtype)
    where = np.full((*lead, *out), -1, np.int64)
    for o in offsets(a.kernel):
        seen = reached(o, out, a.stride, a.dilation)
        value, position = values[seen], np.broadcast_to(positions[seen], best.shape)
        with np.errstate(invalid="ignore"):
            takes = (position >= 0) & ((where < 0) | (value > best) | (value != value))
        best, where = np.where(takes, value, best), np.where(takes, position, where)
    return best, where


def _max_pool_backward(a: MaxPoolBackwardAttrs, g: np.ndarray, indices: np.ndarray) -> np.ndarray:
    lead = g.shape[: g.ndim - len(a.input_spatial)]
    planes, plane = prod(lead), prod(a.input_spatial)
    result = np.zeros((planes, plane), np.float32 if is_half(g) else g.dtype)
    if g.size:
        np.add.at(result, (np.arange(planes)[:, None], indices.reshape(planes, -1)), g.reshape(planes, -1).astype(result.dtype))
    return result.astype(g.dtype).reshape(*lead, *a.input_spatial)


def _max_pool_gradient(gs: tuple[Node | None, ...], y: Node, a: MaxPoolAttrs, x: Node) -> list[Node | None]:
    if gs[0] is None:
        return [None]
    return [max_pool_backward(gs[0], project(y, index=1), input_spatial=x.shape[len(x.shape) - len(a.kernel) :])]


def _max_pool_backward_gradient(h: Node, y: Node, a: MaxPoolBackwardAttrs, g: Node, indices: Node) -> list[Node | None]:
    n = len(a.input_spatial)
    lead = g.shape[: len(g.shape) - n]
    picked = gather(
        reshape(h, shape=(*lead, prod(a.input_spatial))), reshape(indices, shape=(*lead, prod(g.shape[len(lead) :]))), dim=len(lead)
    )
    return [reshape(picked, shape=g.shape), None]


def _max_pool_samples() -> Iterable[Sample]:
    draw = np.random.default_rng(18)

    def distinct(shape: Shape) -> np.ndarray:
        return draw.permutation(prod(shape)).reshape(shape) / 10.0

    yield Sample((distinct((2, 1, 6)),), MaxPoolAttrs((2,), (2,), (0,), (1,)))
    yield Sample((distinct((1, 2, 4, 5)),), MaxPoolAttrs((2, 2), (2, 2), (0, 0), (1, 1)))
    yield Sample((distinct((1, 1, 5, 5)),), MaxPoolAttrs((3, 3), (2, 2), (1, 1), (1, 1)))
    yield Sample((distinct((1, 5, 6)),), MaxPoolAttrs((2, 3), (2, 2), (0, 1), (1, 1), True))
    yield Sample((distinct((1, 1, 6, 6)),), MaxPoolAttrs((2, 2), (1, 3), (0, 1), (3, 2)))
    yield Sample((distinct((1, 3, 3, 4)),), MaxPoolAttrs((2, 2, 2), (1, 1, 2), (0, 1, 0), (1, 1, 1)))
    yield Sample(
        (np.array([[np.nan, 1.0, np.nan, 3.0, -np.inf, -np.inf]], np.float32),), MaxPoolAttrs((2,), (2,), (0,), (1,)), grad_inputs=()
    )
    yield Sample((np.array([[3, 3, 1, 5]]),), MaxPoolAttrs((2,), (1,), (0,), (1,)))
    yield Sample((np.zeros((0, 1, 4, 4)),), MaxPoolAttrs((2, 2), (2, 2), (0, 0), (1, 1)))
    yield Sample((np.ones((1, 2, 2)),), MaxPoolAttrs((3, 3), (1, 1), (0, 0), (1, 1)), error=ShapeError, match="Output size is too small")
    yield Sample(
        (np.ones((1, 4, 4)),),
        MaxPoolAttrs((2, 2), (1, 1), (2, 0), (1, 1)),
        error=ValueError,
        match="pad should be at most half of effective kernel size",
    )
    yield Sample((np.ones((1, 4, 4)),), MaxPoolAttrs((2, 2), (0, 1), (0, 0), (1, 1)), error=ValueError, match="must be greater than zero")
    yield Sample((np.ones((1, 4), bool),), MaxPoolAttrs((2,), (1,), (0,), (1,)), error=DTypeError, match="max_pool takes numbers")


def _max_pool_backward_samples() -> Iterable[Sample]:
    draw = np.random.default_rng(19)
    yield Sample((draw.standard_normal((2, 3)), np.array([[0, 2, 2], [5, 0, 3]])), MaxPoolBackwardAttrs((6,)))
    yield Sample((draw.standard_normal((1, 2, 2)), np.array([[[0, 2], [2, 5]]])), MaxPoolBackwardAttrs((2, 3)))
    yield Sample((np.ones((1, 3)), np.ones((1, 2), np.int64)), MaxPoolBackwardAttrs((6,)), error=ShapeError, match="of one shape")


max_pool = define(
    "max_pool", family=POOL, attrs=MaxPoolAttrs, infer=_max_pool_type, reference=_max_pool, vjp=_max_pool_gradient,
    samples=_max_pool_samples,
    doc="(maxima of windows, their flat positions in the input plane). Padding never wins.",
)  # fmt: skip

max_pool_backward = define(
    "max_pool_backward", family=POOL, attrs=MaxPoolBackwardAttrs, infer=_max_pool_backward_type, reference=_max_pool_backward,
    vjp=_max_pool_backward_gradient, samples=_max_pool_backward_samples,
    doc="Adds each element of g into a plane of zeros at its flat position.",
)  # fmt: skip


# ---------------------------------------------------------------- average


def _divisors(a: Any, spatial: Ints, out: Ints) -> np.ndarray:
    """What each window's sum is divided by."""
    if a.divisor_override is not None:
        return np.full(out, float(a.divisor_override))
    total = np.ones(out)
    for axis, (size, k, s, p, n) in enumerate(zip(spatial, a.kernel, a.stride, a.padding, out, strict=True)):
        start = np.arange(n) * s - p
        end = np.minimum(start + k, size + p)
        count = end - start if a.count_include_pad else np.minimum(end, size) - np.maximum(start, 0)
        total = total * count.reshape(-1, *[1] * (len(out) - axis - 1))
    return total


def _avg_pool(a: AvgPoolAttrs, x: np.ndarray) -> np.ndarray:
    n, one = len(a.kernel), _ones(a)
    lead, spatial = x.shape[: x.ndim - n], x.shape[x.ndim - n :]
    out = output_sizes(spatial, a.kernel, a.stride, a.padding, one, a.ceil_mode)
    xp = padded(x, padded_spatial(spatial, a.kernel, a.stride, a.padding, one, out), a.padding, 0)
    y = np.zeros((*lead, *out), x.dtype)
    for o in offsets(a.kernel):
        y += xp[reached(o, out, a.stride, one)]
    return (y / _divisors(a, spatial, out)).astype(x.dtype)


def _avg_pool_backward(a: AvgPoolBackwardAttrs, g: np.ndarray) -> np.ndarray:
    n, one = len(a.kernel), _ones(a)
    lead, out = g.shape[: g.ndim - n], g.shape[g.ndim - n :]
    share = (g / _divisors(a, a.input_spatial, out)).astype(g.dtype)
    xp = np.zeros((*lead, *padded_spatial(a.input_spatial, a.kernel, a.stride, a.padding, one, out)), g.dtype)
    for o in offsets(a.kernel):
        xp[reached(o, out, a.stride, one)] += share
    return xp[inside(a.input_spatial, a.padding)]


def _of_pooling(a: Any) -> dict[str, Any]:
    return {
        "kernel": a.kernel, "stride": a.stride, "padding": a.padding, "ceil_mode": a.ceil_mode, "count_include_pad": a.count_include_pad,
        "divisor_override": a.divisor_override,
    }  # fmt: skip


_AVERAGES = (
    ((2, 1, 6), AvgPoolAttrs((2,), (2,), (0,))),
    ((1, 2, 4, 5), AvgPoolAttrs((2, 2), (2, 2), (0, 0))),
    ((1, 5, 5), AvgPoolAttrs((3, 3), (2, 2), (1, 1))),
    ((1, 5, 5), AvgPoolAttrs((3, 3), (2, 2), (1, 1), False, False)),
    ((1, 5, 6), AvgPoolAttrs((2, 3), (2, 2), (1, 1), True)),
    ((1, 5, 6), AvgPoolAttrs((2, 3), (2, 2), (1, 1), True, False)),
    ((1, 4, 4), AvgPoolAttrs((2, 2), (1, 1), (0, 0), False, True, 3)),
    ((1, 3, 3, 4), AvgPoolAttrs((2, 2, 2), (1, 1, 2), (0, 1, 0))),
    ((0, 4), AvgPoolAttrs((2,), (2,), (0,))),
)


def _avg_pool_samples() -> Iterable[Sample]:
    draw = np.random.default_rng(20)
    for shape, a in _AVERAGES:
        yield Sample((draw.standard_normal(shape),), a)
    yield Sample(
        (draw.standard_normal((1, 4, 4)).astype(np.float16),), AvgPoolAttrs((2, 2), (1, 1), (0, 0)), grad_inputs=(), tolerance=1e-2
    )
    yield Sample((np.ones((1, 2, 2)),), AvgPoolAttrs((3, 3), (1, 1), (0, 0)), error=ShapeError, match="Output size is too small")
    yield Sample(
        (np.ones((1, 4, 4)),), AvgPoolAttrs((2, 2), (1, 1), (0, 0), divisor_override=0), error=ValueError, match="divisor must be not zero"
    )
    yield Sample((np.ones((1, 4), np.int64),), AvgPoolAttrs((2,), (1,), (0,)), error=DTypeError, match="floating-point")


def _avg_pool_backward_samples() -> Iterable[Sample]:
    draw = np.random.default_rng(21)
    for shape, a in _AVERAGES:
        n = len(a.kernel)
        spatial = shape[len(shape) - n :]
        out = output_sizes(spatial, a.kernel, a.stride, a.padding, (1,) * n, a.ceil_mode)
        yield Sample(
            (draw.standard_normal((*shape[: len(shape) - n], *out)),), AvgPoolBackwardAttrs(input_spatial=spatial, **_of_pooling(a))
        )
    yield Sample((np.ones((1, 4)),), AvgPoolBackwardAttrs((2,), (2,), (0,), (6,)), error=ShapeError, match="does not belong to an input")


avg_pool = define(
    "avg_pool", family=POOL, attrs=AvgPoolAttrs, infer=_avg_pool_type, reference=half_in_single(_avg_pool), samples=_avg_pool_samples,
    vjp=lambda g, y, a, x: [avg_pool_backward(g, input_spatial=x.shape[len(x.shape) - len(a.kernel) :], **_of_pooling(a))],
    doc="Means of windows.",
)  # fmt: skip

avg_pool_backward: OpDef = define(
    "avg_pool_backward", family=POOL, attrs=AvgPoolBackwardAttrs, infer=_avg_pool_backward_type,
    reference=half_in_single(_avg_pool_backward),
    vjp=lambda h, y, a, g: [avg_pool(h, **_of_pooling(a))], samples=_avg_pool_backward_samples,
    doc="Spreads each element of g evenly over its window.",
)  # fmt: skip
