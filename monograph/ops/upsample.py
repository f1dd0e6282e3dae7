"""Resampling of the last dimensions to given sizes: upsample_nearest, and upsample_bilinear (linear along 1, 2 or 3 dimensions).

Dimensions are resampled one after the other. Source positions are computed in float32 (float64 for float64 inputs), as PyTorch does, so
that both round to the same source elements.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, attrs
from monograph.core.dtype import dtype as DType
from monograph.core.dtype import float32, int64
from monograph.core.errors import ArgumentError, ShapeError
from monograph.core.shape import Shape
from monograph.graph.node import Node
from monograph.graph.op import VIA_DECOMPOSITION, Family, Sample, define
from monograph.ops.elementwise import cast, floor, maximum, minimum
from monograph.ops.index import index_select
from monograph.ops.norm import must_float
from monograph.ops.precision import half_in_single, narrow, widen
from monograph.ops.source import arange, constant
from monograph.ops.views import expand, reshape
from monograph.ops.windows import Sizes

POOL = Family.POOL


@attrs
class NearestAttrs(Attrs):
    """The new sizes; `scales`: the factors from which they were made, if the source positions shall use those (() else)."""

    output_spatial: Sizes
    scales: tuple[float, ...] = ()


@attrs
class LinearAttrs(Attrs):
    """As of nearest; `align_corners`: the first and last elements of both grids lie upon each other, else the edges of the grids do."""

    output_spatial: Sizes
    align_corners: bool = False
    scales: tuple[float, ...] = ()


def _shape(name: str, a: Any, x: Any) -> Shape:
    n, s = len(a.output_spatial), x.shape
    if len(s) < n:
        raise ShapeError(f"{name} over {n} dimensions needs an input of at least as many, got shape {list(s)}")
    spatial = s[len(s) - n :]
    if any(size < 1 for size in (*spatial, *a.output_spatial)):
        raise ShapeError(
            f"Input and output sizes should be greater than 0, but got input {list(spatial)} and output {list(a.output_spatial)}"
        )
    if len(a.scales) not in (0, n):
        raise ArgumentError(f"{name}: expected one scale for each of the {n} dimensions, got {list(a.scales)}")
    return (*s[: len(s) - n], *a.output_spatial)


def _steps(a: Any, x: Any) -> list[tuple[int, Any, float | None]]:
    """(dimension, new size, scale if given) of the dimensions that change, the last one first."""
    first = len(x.shape) - len(a.output_spatial)
    steps = [(first + i, size, a.scales[i] if a.scales else None) for i, size in enumerate(a.output_spatial)]
    return [step for step in reversed(steps) if step[1] != x.shape[step[0]]]


# ---------------------------------------------------------------- nearest


def _repeated(x: Node, dim: int, times: Any) -> Node:
    """Each element along `dim` `times` times."""
    s = x.shape
    grown = expand(reshape(x, shape=(*s[: dim + 1], 1, *s[dim + 1 :])), shape=(*s[: dim + 1], times, *s[dim + 1 :]))
    return reshape(grown, shape=(*s[:dim], s[dim] * times, *s[dim + 1 :]))


def _upsample_nearest(a: NearestAttrs, x: Node) -> Node:
    for dim, out, scale in _steps(a, x):
        size = x.shape[dim]
        if out % size == 0 and (scale is None or scale * size == out):
            x = _repeated(x, dim, out // size)
            continue
        step = constant(size / out if scale is None else 1 / scale, float32)
        source = cast(floor(arange(start=0, step=1, length=out, dtype=float32) * step), dtype=int64)
        x = index_select(x, minimum(source, constant(size - 1, int64)), dim=dim)
    return x


def _nearest_reference(a: NearestAttrs, x: np.ndarray) -> np.ndarray:
    for dim, out, scale in _steps(a, x):
        size = x.shape[dim]
        if out % size == 0 and (scale is None or scale * size == out):
            source = np.arange(out) // (out // size)
        else:
            source = np.floor(np.arange(out, dtype=np.float32) * np.float32(size / out if scale is None else 1 / scale)).astype(np.int64)
        x = np.take(x, np.minimum(source, size - 1), axis=dim)
    return x


def _nearest_samples() -> Iterable[Sample]:
    draw = np.random.default_rng(29)
    for shape, out in [
        ((2, 3), (6,)),
        ((1, 2, 2, 3), (4, 9)),
        ((1, 3, 4), (5, 3)),
        ((1, 4), (4,)),
        ((1, 2, 1, 2), (3, 2, 5)),
        ((0, 3), (6,)),
    ]:
        yield Sample((draw.standard_normal(shape),), NearestAttrs(out))
    yield Sample((draw.standard_normal((1, 4)),), NearestAttrs((10,), (2.6,)))
    yield Sample((draw.standard_normal((1, 2)),), NearestAttrs((4,), (2.0,)))
    yield Sample((np.arange(6, dtype=np.uint8).reshape(2, 3),), NearestAttrs((3, 6)))
    yield Sample((np.ones((1, 0)),), NearestAttrs((4,)), error=ShapeError, match="sizes should be greater than 0")
    yield Sample((np.ones((1, 2, 2)),), NearestAttrs((4, 4), (2.0,)), error=ValueError, match="one scale for each of the 2 dimensions")


upsample_nearest = define(
    "upsample_nearest", family=POOL, attrs=NearestAttrs, infer=lambda a, x: (_shape("upsample_nearest", a, x), x.dtype),
    decompose=_upsample_nearest,
    vjp=VIA_DECOMPOSITION, reference=_nearest_reference, samples=_nearest_samples,
    doc="Each output element is the input element at floor(i * in / out).",
)  # fmt: skip


# ---------------------------------------------------------------- linear


def _stride(a: LinearAttrs, size: Any, out: Any, scale: float | None) -> float:
    """How far the source position moves per output element."""
    if a.align_corners:
        return (size - 1) / (out - 1) if out > 1 else 0.0
    return size / out if scale is None else 1 / scale


def _upsample_linear(a: LinearAttrs, x: Node) -> Node:
    y = widen(x)
    for dim, out, scale in _steps(a, x):
        size, d = y.shape[dim], y.dtype
        step = constant(_stride(a, size, out, scale), d)
        i = arange(start=0, step=1, length=out, dtype=d)
        source = i * step if a.align_corners else maximum((i + 0.5) * step - 0.5, constant(0, d))
        low = minimum(cast(source, dtype=int64), constant(size - 1, int64))
        high = minimum(low + 1, constant(size - 1, int64))
        beyond = minimum(maximum(source - cast(low, dtype=d), constant(0, d)), constant(1, d))
        beyond = reshape(beyond, shape=(out, *[1] * (len(y.shape) - dim - 1)))
        y = index_select(y, low, dim=dim) * (1 - beyond) + index_select(y, high, dim=dim) * beyond
    return narrow(y, x.dtype)


def _linear_reference(a: LinearAttrs, x: np.ndarray) -> np.ndarray:
    for dim, out, scale in _steps(a, x):
        size = x.shape[dim]
        i, step = np.arange(out).astype(x.dtype), np.asarray(_stride(a, size, out, scale), x.dtype)
        source = i * step if a.align_corners else np.maximum((i + x.dtype.type(0.5)) * step - x.dtype.type(0.5), 0)
        low = np.minimum(source.astype(np.int64), size - 1)
        beyond = np.clip(source - low, 0, 1).astype(x.dtype).reshape(-1, *[1] * (x.ndim - dim - 1))
        x = np.take(x, low, axis=dim) * (1 - beyond) + np.take(x, np.minimum(low + 1, size - 1), axis=dim) * beyond
    return x


def _linear_type(a: LinearAttrs, x: Any) -> tuple[Shape, DType]:
    return _shape("upsample_bilinear", a, x), must_float("upsample_bilinear", x)


def _linear_samples() -> Iterable[Sample]:
    draw = np.random.default_rng(30)
    for shape, out in [
        ((2, 3), (6,)),
        ((1, 2, 2, 3), (4, 5)),
        ((1, 5, 4), (3, 2)),
        ((1, 4), (4,)),
        ((1, 1, 3), (3, 1)),
        ((1, 2, 1, 2), (3, 2, 3)),
    ]:
        for align in (False, True):
            yield Sample((draw.standard_normal(shape),), LinearAttrs(out, align))
    yield Sample((draw.standard_normal((1, 4)),), LinearAttrs((10,), False, (2.6,)))
    yield Sample((draw.standard_normal((2, 4)).astype(np.float16),), LinearAttrs((7,)), grad_inputs=(), tolerance=1e-2)
    yield Sample((np.ones((1, 2)),), LinearAttrs((0,)), error=ShapeError, match="sizes should be greater than 0")


upsample_bilinear = define(
    "upsample_bilinear", family=POOL, attrs=LinearAttrs, infer=_linear_type, decompose=_upsample_linear, vjp=VIA_DECOMPOSITION,
    reference=half_in_single(_linear_reference), samples=_linear_samples, doc="Linear interpolation along each of the last dimensions.",
)  # fmt: skip
