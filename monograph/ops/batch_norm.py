"""Batch normalisation: each channel (dimension 1) normalised over batch and positions, with the batch's or with given statistics.

`batch_norm_training` has three outputs (y, batch mean, biased batch variance). The statistics leave as outputs because running averages
need them anyway; the gradient then reads them instead of computing them again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, attrs
from monograph.core.dtype import dtype as DType
from monograph.core.dtype import float32
from monograph.core.errors import DTypeError, ShapeError
from monograph.core.shape import Shape
from monograph.graph.node import Node
from monograph.graph.op import Family, Sample, define
from monograph.ops.elementwise import rsqrt, square
from monograph.ops.norm import affine, must_be_per_channel, must_float, per_channel
from monograph.ops.precision import narrow, widen
from monograph.ops.reduce import mean as mean_dims
from monograph.ops.reduce import sum as sum_dims
from monograph.ops.source import project

NORM = Family.NORM


@attrs
class BatchNormAttrs(Attrs):
    """The number added to the variance; whether weight and bias, one element per channel, follow as inputs."""

    eps: float = 1e-5
    has_weight: bool = False
    has_bias: bool = False


def _statistics_type(x: Any) -> DType:
    """Statistics of half-precision batches are kept in float32."""
    return float32 if x.dtype.itemsize < 4 else x.dtype


def _must_have_channels(x: Any) -> None:
    if len(x.shape) < 2:
        raise ShapeError(f"batch_norm takes an input [N, C, ...] of at least 2 dimensions, got shape {list(x.shape)}")


def _over_batch(x: Node) -> tuple[int, ...]:
    return tuple(i for i in range(len(x.shape)) if i != 1)


def _over_count(x: Node, value: Node) -> Node:
    """`value` divided by the number of elements per channel."""
    n: Any = 1
    for i in _over_batch(x):
        n = n * x.shape[i]
    return value / n


def _scaled(a: BatchNormAttrs, centred: Node, variance: Node, parameters: tuple[Node, ...], ndim: int) -> Node:
    weight, bias = affine(a, parameters)
    factor = rsqrt(variance + a.eps)
    if weight is not None:
        factor = factor * widen(weight)
    y = centred * per_channel(factor, ndim)
    return y if bias is None else y + per_channel(widen(bias), ndim)


# ---------------------------------------------------------------- training


def _training_type(a: BatchNormAttrs, x: Any, *parameters: Any) -> tuple[Any, Any]:
    _must_have_channels(x)
    must_be_per_channel("batch_norm", x, parameters)
    d = must_float("batch_norm", x, *parameters)
    channels = ((x.shape[1],), _statistics_type(x))
    return ((x.shape, d), channels, channels), None


def _training(a: BatchNormAttrs, x: Node, *parameters: Node) -> tuple[Node, Node, Node]:
    wide, dims = widen(x), _over_batch(x)
    mean = mean_dims(wide, dims=dims, keepdim=False)
    centred = wide - per_channel(mean, len(x.shape))
    variance = mean_dims(square(centred), dims=dims, keepdim=False)
    return narrow(_scaled(a, centred, variance, parameters, len(x.shape)), x.dtype), mean, variance


def _training_gradient(gs: tuple[Node | None, ...], y: Node, a: BatchNormAttrs, x: Node, *parameters: Node) -> list[Node | None]:
    g, g_mean, g_variance = gs
    weight, _ = affine(a, parameters)
    n, dims, wide = len(x.shape), _over_batch(x), widen(x)
    centred = wide - per_channel(project(y, index=1), n)
    gx: Node | None = None
    grads: list[Node | None] = [None] * len(parameters)
    if g is not None:
        g = widen(g)
        deviation = rsqrt(project(y, index=2) + a.eps)
        g_bias = sum_dims(g, dims=dims, keepdim=False)
        g_weight = sum_dims(g * centred, dims=dims, keepdim=False) * deviation
        factor = deviation if weight is None else deviation * widen(weight)
        along = per_channel(_over_count(x, g_weight) * deviation, n)
        gx = (g - per_channel(_over_count(x, g_bias), n) - centred * along) * per_channel(factor, n)
        grads = [narrow(p, x.dtype) for p, wanted in ((g_weight, a.has_weight), (g_bias, a.has_bias)) if wanted]
    if g_mean is not None:
        part = per_channel(_over_count(x, g_mean), n)
        gx = part + wide * 0 if gx is None else gx + part
    if g_variance is not None:
        part = centred * per_channel(_over_count(x, g_variance * 2), n)
        gx = part if gx is None else gx + part
    return [None if gx is None else narrow(gx, x.dtype), *grads]


def _training_reference(a: BatchNormAttrs, x: np.ndarray, *parameters: np.ndarray) -> tuple[np.ndarray, ...]:
    statistics = np.float32 if x.dtype.itemsize < 4 else x.dtype
    axes = (0, *range(2, x.ndim))
    wide = x.astype(np.float64)
    with np.errstate(all="ignore"):
        mean = np.add.reduce(wide, axis=axes) / (x.size / max(x.shape[1], 1) if x.size else np.nan)
        variance = np.add.reduce(np.square(wide - _column(mean, x.ndim)), axis=axes) / (x.size / max(x.shape[1], 1) if x.size else np.nan)
        return _scaled_reference(a, x, mean, variance, parameters), mean.astype(statistics), variance.astype(statistics)


def _column(v: np.ndarray, ndim: int) -> np.ndarray:
    return v.reshape(1, -1, *[1] * (ndim - 2))


def _scaled_reference(a: BatchNormAttrs, x: np.ndarray, mean: np.ndarray, variance: np.ndarray, parameters: Any) -> np.ndarray:
    weight, bias = affine(a, parameters)
    y = (x.astype(np.float64) - _column(mean, x.ndim)) / np.sqrt(_column(variance, x.ndim) + a.eps)
    if weight is not None:
        y = y * _column(weight.astype(np.float64), x.ndim)
    if bias is not None:
        y = y + _column(bias.astype(np.float64), x.ndim)
    return y.astype(x.dtype)


def _training_samples() -> Iterable[Sample]:
    draw = np.random.default_rng(9)
    for shape in [(4, 3), (3, 2, 4), (2, 3, 2, 2), (1, 2, 3, 1, 2)]:
        x, w, b = draw.standard_normal(shape), draw.standard_normal(shape[1]), draw.standard_normal(shape[1])
        yield Sample((x,), BatchNormAttrs())
        yield Sample((x, w, b), BatchNormAttrs(1e-3, True, True))
        yield Sample((x, b), BatchNormAttrs(1e-5, False, True))
    yield Sample((draw.standard_normal((4, 3)).astype(np.float16),), BatchNormAttrs(), grad_inputs=(), tolerance=1e-2)
    yield Sample((np.ones(3),), BatchNormAttrs(), error=ShapeError, match="at least 2 dimensions")
    yield Sample((np.ones((2, 3)), np.ones(2)), BatchNormAttrs(1e-5, True), error=ShapeError, match="one element for each channel")
    yield Sample((np.ones((2, 3), np.int64),), BatchNormAttrs(), error=DTypeError, match="floating-point")


batch_norm_training = define(
    "batch_norm_training", family=NORM, attrs=BatchNormAttrs, infer=_training_type, decompose=_training, vjp=_training_gradient,
    reference=_training_reference, samples=_training_samples,
    doc="(y, mean, biased variance): every channel normalised with the statistics of this batch.",
)  # fmt: skip


# ---------------------------------------------------------------- inference


def _inference_type(a: BatchNormAttrs, x: Any, mean: Any, variance: Any, *parameters: Any) -> tuple[Shape, DType]:
    _must_have_channels(x)
    must_be_per_channel("batch_norm", x, (mean, variance, *parameters))
    for statistic in (mean, variance):
        if statistic.dtype is not x.dtype and statistic.dtype is not _statistics_type(x):
            must_float("batch_norm", x, statistic)
    return x.shape, must_float("batch_norm", x, *parameters)


def _inference(a: BatchNormAttrs, x: Node, mean: Node, variance: Node, *parameters: Node) -> Node:
    n, (weight, bias) = len(x.shape), affine(a, parameters)
    if bias is None:
        return narrow(_scaled(a, widen(x) - per_channel(widen(mean), n), widen(variance), parameters, n), x.dtype)
    # With a bias everything that does not depend on x is two numbers a channel.
    factor = rsqrt(widen(variance) + a.eps)
    factor = factor if weight is None else factor * widen(weight)
    shift = widen(bias) - widen(mean) * factor
    return narrow(widen(x) * per_channel(factor, n) + per_channel(shift, n), x.dtype)


def _inference_gradient(g: Node, y: Node, a: BatchNormAttrs, x: Node, mean: Node, variance: Node, *parameters: Node) -> list[Node | None]:
    weight, _ = affine(a, parameters)
    n, dims = len(x.shape), _over_batch(x)
    g, deviation = widen(g), rsqrt(widen(variance) + a.eps)
    factor = deviation if weight is None else deviation * widen(weight)
    gx = g * per_channel(factor, n)
    g_sum = sum_dims(g, dims=dims, keepdim=False)
    g_centred = sum_dims(g * (widen(x) - per_channel(widen(mean), n)), dims=dims, keepdim=False)
    g_variance = g_centred * factor * square(deviation) * -0.5
    own = ((g_centred * deviation, a.has_weight), (g_sum, a.has_bias))
    return [
        narrow(gx, x.dtype), narrow(-(g_sum * factor), mean.dtype), narrow(g_variance, variance.dtype),
        *(narrow(p, x.dtype) for p, wanted in own if wanted),
    ]  # fmt: skip


def _inference_samples() -> Iterable[Sample]:
    draw = np.random.default_rng(10)
    for shape in [(4, 3), (2, 3, 2, 2), (0, 3)]:
        x, mean, w, b = draw.standard_normal(shape), draw.standard_normal(3), draw.standard_normal(3), draw.standard_normal(3)
        variance = draw.uniform(0.5, 2, 3)
        yield Sample((x, mean, variance), BatchNormAttrs())
        yield Sample((x, mean, variance, w, b), BatchNormAttrs(1e-3, True, True))
    yield Sample((np.ones((2, 3)), np.ones(2), np.ones(3)), BatchNormAttrs(), error=ShapeError, match="one element for each channel")
    yield Sample(
        (np.ones((2, 3)), np.ones(3, np.float32), np.ones(3)),
        BatchNormAttrs(),
        error=DTypeError,
        match="expected scalar type float64 but found float32",
    )


batch_norm_inference = define(
    "batch_norm_inference", family=NORM, attrs=BatchNormAttrs, infer=_inference_type, decompose=_inference, vjp=_inference_gradient,
    reference=lambda a, x, mean, variance, *p: _scaled_reference(a, x, mean, variance, p), samples=_inference_samples,
    doc="(x - mean) / sqrt(variance + eps) * weight + bias with given statistics per channel.",
)  # fmt: skip
