"""Pooling to given output sizes: windows of nearly equal size that cover the input, adaptive_avg_pool and adaptive_max_pool."""

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
from monograph.graph.op import VIA_DECOMPOSITION, Family, Sample, define
from monograph.ops.compare import logical_and, lt
from monograph.ops.elementwise import cast, floor_divide, minimum, where
from monograph.ops.index import index_select
from monograph.ops.pool import avg_pool, max_pool, max_pool_backward
from monograph.ops.precision import half_in_single, narrow, widen
from monograph.ops.reduce import argmax
from monograph.ops.reduce import mean as mean_dims
from monograph.ops.reduce import sum as sum_dims
from monograph.ops.scattering import gather
from monograph.ops.source import arange, constant, project
from monograph.ops.views import expand, reshape
from monograph.ops.windows import Sizes, at

POOL = Family.POOL


@attrs
class AdaptivePoolAttrs(Attrs):
    """The sizes of the last dimensions after pooling. Window i of n over a size s covers floor(i s / n) up to ceil((i + 1) s / n)."""

    output_size: Sizes


def _shape(name: str, a: AdaptivePoolAttrs, x: Any) -> Shape:
    n, s = len(a.output_size), x.shape
    if len(s) < n:
        raise ShapeError(f"{name} over {n} dimensions needs an input of at least as many, got shape {list(s)}")
    for o in a.output_size:
        if o < 0:
            raise ArgumentError(f"elements of output_size must be greater than or equal to 0 but received {list(a.output_size)}")
    for size in s[len(s) - n :]:
        if size == 0:
            raise ShapeError(f"{name}: Expected input to have non-zero size for non-batch dimensions, but input has sizes {list(s)}")
    return (*s[: len(s) - n], *a.output_size)


def _avg_type(a: AdaptivePoolAttrs, x: Any) -> tuple[Shape, DType]:
    if x.dtype.kind != "f":
        raise DTypeError(f"adaptive_avg_pool takes floating-point values, got {x.dtype.name}; convert them first, e.g. x.float()")
    return _shape("adaptive_avg_pool", a, x), x.dtype


def _max_type(a: AdaptivePoolAttrs, x: Any) -> tuple[Any, Any]:
    shape = _shape("adaptive_max_pool", a, x)
    if x.dtype.kind not in "fiu":
        raise DTypeError(f"adaptive_max_pool takes numbers, got {x.dtype.name}")
    if 0 in a.output_size:
        raise ShapeError(f"adaptive_max_pool needs output sizes greater than 0, got {list(a.output_size)}")
    return ((shape, x.dtype), (shape, int64)), None


# ---------------------------------------------------------------- windows of any size


def _even(spatial: Sizes, out: Sizes) -> dict[str, Any] | None:
    """The pooling with equal windows that is meant when the sizes divide."""
    if any(o == 0 or s % o != 0 for s, o in zip(spatial, out, strict=True)):
        return None
    kernel = tuple(s // o for s, o in zip(spatial, out, strict=True))
    return {"kernel": kernel, "stride": kernel, "padding": (0,) * len(kernel)}


def _members(size: Any, windows: Any) -> tuple[Node, Node, Node]:
    """Along one dimension: positions of each window's members [windows, longest], which are real (others repeat the last), and how many."""
    start = floor_divide(arange(start=0, step=size, length=windows, dtype=int64), constant(windows, int64))
    end = floor_divide(arange(start=size + windows - 1, step=size, length=windows, dtype=int64), constant(windows, int64))
    longest = size // windows + (1 if size % windows == 0 else 2)
    at = reshape(start, shape=(windows, 1)) + arange(start=0, step=1, length=longest, dtype=int64)
    last = reshape(end, shape=(windows, 1))
    return minimum(at, last - 1), lt(at, last), end - start


def _laid_out(table: Node, axis: int, n: int) -> Node:
    """A table [windows, members] of dimension `axis` among n, shaped to broadcast over all windows, then all members."""
    windows, members = table.shape
    return reshape(table, shape=tuple(windows if i == axis else members if i == n + axis else 1 for i in range(2 * n)))


def _window_table(spatial: Sizes, out: Sizes) -> tuple[Node, Node, Node]:
    """Flat positions in the input plane of all members of all windows [windows, members], which are real, and how many are."""
    n, position, real, count = len(spatial), None, None, None
    for axis, (size, windows) in enumerate(zip(spatial, out, strict=True)):
        at, is_real, number = _members(size, windows)
        at, is_real = _laid_out(at, axis, n), _laid_out(is_real, axis, n)
        number = reshape(number, shape=tuple(windows if i == axis else 1 for i in range(n)))
        position = at if position is None else position * size + at
        real = is_real if real is None else logical_and(real, is_real)
        count = number if count is None else count * number
    assert position is not None and real is not None and count is not None
    every, members = prod(out), prod(position.shape[n:])
    return reshape(position, shape=(every, members)), reshape(real, shape=(every, members)), reshape(count, shape=(every,))


def _picked(x: Node, n: int, position: Node) -> Node:
    """[batch..., windows, members] of x's planes."""
    lead = x.shape[: len(x.shape) - n]
    planes = reshape(x, shape=(*lead, prod(x.shape[len(lead) :])))
    windows, members = position.shape
    return reshape(index_select(planes, reshape(position, shape=(windows * members,)), dim=len(lead)), shape=(*lead, windows, members))


def _adaptive_avg_pool(a: AdaptivePoolAttrs, x: Node) -> Node:
    n, out = len(a.output_size), a.output_size
    lead, spatial = x.shape[: len(x.shape) - n], x.shape[len(x.shape) - n :]
    if 0 in out:
        nothing = sum_dims(x, dims=tuple(range(len(lead), len(x.shape))), keepdim=True)
        empty = tuple(0 if o == 0 else 1 for o in out)
        return expand(expand(nothing, shape=(*lead, *empty)), shape=(*lead, *out))
    if all(o == 1 for o in out):
        return narrow(mean_dims(widen(x), dims=tuple(range(len(lead), len(x.shape))), keepdim=True), x.dtype)
    even = _even(spatial, out)
    if even is not None:
        return avg_pool(x, **even)
    position, real, count = _window_table(spatial, out)
    picked = _picked(widen(x), n, position)
    total = sum_dims(where(real, picked, constant(0, picked.dtype)), dims=(len(lead) + 1,), keepdim=False)
    return narrow(reshape(total / cast(count, dtype=total.dtype), shape=(*lead, *out)), x.dtype)


def _adaptive_max_pool(a: AdaptivePoolAttrs, x: Node) -> tuple[Node, Node]:
    n, out = len(a.output_size), a.output_size
    lead, spatial = x.shape[: len(x.shape) - n], x.shape[len(x.shape) - n :]
    even = _even(spatial, out)
    if even is not None:
        pooled = max_pool(x, dilation=(1,) * n, **even)
        return project(pooled, index=0), project(pooled, index=1)
    position, _, _ = _window_table(spatial, out)
    windows, members = position.shape
    best = argmax(_picked(x, n, position), dim=len(lead) + 1, keepdim=False)
    entry = best + arange(start=0, step=members, length=windows, dtype=int64)
    table = reshape(position, shape=(windows * members,))
    indices = reshape(index_select(table, reshape(entry, shape=(prod(entry.shape),)), dim=0), shape=entry.shape)
    values = gather(reshape(x, shape=(*lead, prod(spatial))), indices, dim=len(lead))
    return reshape(values, shape=(*lead, *out)), reshape(indices, shape=(*lead, *out))


def _max_gradient(gs: tuple[Node | None, ...], y: Node, a: AdaptivePoolAttrs, x: Node) -> list[Node | None]:
    if gs[0] is None:
        return [None]
    return [max_pool_backward(gs[0], project(y, index=1), input_spatial=x.shape[len(x.shape) - len(a.output_size) :])]


# ---------------------------------------------------------------- meaning


def _windows_of(x: np.ndarray, a: AdaptivePoolAttrs) -> Iterable[tuple[tuple[int, ...], Any]]:
    """(place in the output, index of the window in the input) of every window."""
    spatial = x.shape[x.ndim - len(a.output_size) :]
    for place in np.ndindex(*a.output_size):
        yield place, (..., *(slice(i * s // o, -(-(i + 1) * s // o)) for i, s, o in zip(place, spatial, a.output_size, strict=True)))


def _avg_reference(a: AdaptivePoolAttrs, x: np.ndarray) -> np.ndarray:
    n = len(a.output_size)
    y = np.zeros((*x.shape[: x.ndim - n], *a.output_size), x.dtype)
    for place, window in _windows_of(x, a):
        y[at(place)] = np.mean(x[window], axis=tuple(range(-n, 0)))
    return y


def _max_reference(a: AdaptivePoolAttrs, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n = len(a.output_size)
    lead, spatial = x.shape[: x.ndim - n], x.shape[x.ndim - n :]
    values, indices = np.zeros((*lead, *a.output_size), x.dtype), np.zeros((*lead, *a.output_size), np.int64)
    positions = np.arange(prod(spatial)).reshape(spatial)
    for place, window in _windows_of(x, a):
        row = x[window].reshape(*lead, -1) if prod(lead) else np.zeros((*lead, 1), x.dtype)
        best = np.argmax(row.astype(np.float64) if row.dtype.kind not in "iu" else row, axis=-1)
        values[at(place)] = np.take_along_axis(row, best[..., None], -1)[..., 0]
        indices[at(place)] = positions[window].reshape(-1)[best]
    return values, indices


def _samples(maximum: bool) -> Any:
    def make() -> Iterable[Sample]:
        draw = np.random.default_rng(28)
        for shape, out in [
            ((2, 6), (3,)),
            ((1, 2, 4, 6), (2, 3)),
            ((1, 5, 7), (3, 2)),
            ((2, 3, 3), (1, 1)),
            ((1, 2, 3), (4, 5)),
            ((1, 3, 4, 5), (2, 2, 3)),
        ]:
            yield Sample((draw.permutation(prod(shape)).reshape(shape) / 8.0,), AdaptivePoolAttrs(out))
        yield Sample((draw.standard_normal((1, 5)).astype(np.float16),), AdaptivePoolAttrs((3,)), grad_inputs=(), tolerance=1e-2)
        yield Sample((np.zeros((0, 5)),), AdaptivePoolAttrs((3,)))
        if maximum:
            yield Sample((np.array([[3, 9, 1, 9, 2]]),), AdaptivePoolAttrs((2,)))
        else:
            yield Sample((np.ones((2, 5, 4)),), AdaptivePoolAttrs((0, 3)))
        yield Sample((np.ones((2, 0)),), AdaptivePoolAttrs((3,)), error=ShapeError, match="Expected input to have non-zero size")
        yield Sample((np.ones((2, 4)),), AdaptivePoolAttrs((-1,)), error=ValueError, match="greater than or equal to 0")
        yield Sample((np.ones((2, 4), bool),), AdaptivePoolAttrs((2,)), error=DTypeError, match="takes")

    return make


adaptive_avg_pool = define(
    "adaptive_avg_pool", family=POOL, attrs=AdaptivePoolAttrs, infer=_avg_type, decompose=_adaptive_avg_pool, vjp=VIA_DECOMPOSITION,
    reference=half_in_single(_avg_reference), samples=_samples(False), doc="Means of as many windows as the output has elements.",
)  # fmt: skip

adaptive_max_pool = define(
    "adaptive_max_pool", family=POOL, attrs=AdaptivePoolAttrs, infer=_max_type, decompose=_adaptive_max_pool, vjp=_max_gradient,
    reference=_max_reference, samples=_samples(True),
    doc="(maxima, their flat positions in the input plane) of as many windows as the output has elements.",
)  # fmt: skip
