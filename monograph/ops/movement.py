"""Ops that move elements and are no views: flipping, joining, rolling, triangles, repetition. Re-exports the views of `views.py`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, attrs
from monograph.core.clashes import unequal_entries, unequal_in_cat
from monograph.core.dtype import int64
from monograph.core.errors import ArgumentError, DimensionError, DTypeError, ShapeError
from monograph.graph.op import VIA_DECOMPOSITION, Family, OpDef, Sample, define
from monograph.ops.broadcasting import mismatch
from monograph.ops.compare import ge, le
from monograph.ops.elementwise import sub, where
from monograph.ops.samples import draw, whole
from monograph.ops.source import arange, constant
from monograph.ops.views import (
    DiagonalAttrs,
    DimsAttrs,
    Inferred,
    PadAttrs,
    ShapeAttrs,
    SliceAttrs,
    UnfoldAttrs,
    diagonal,
    expand,
    pad,
    permute,
    reshape,
    slice,
    slice_scatter,
    unfold,
)  # fmt: skip

__all__ = [
    "DiagonalAttrs", "DimAttrs", "DimsAttrs", "PadAttrs", "RepeatAttrs", "RollAttrs", "ShapeAttrs", "SliceAttrs", "TriangleAttrs",
    "UnfoldAttrs", "cat",
    "diagonal", "expand", "flip", "pad", "permute", "repeat", "reshape", "roll", "slice", "slice_scatter", "stack", "tril", "triu",
    "unfold",
]  # fmt: skip

MOVEMENT = Family.MOVEMENT


@attrs
class DimAttrs(Attrs):
    """A dim."""

    dim: int


@attrs
class RollAttrs(Attrs):
    """How far to roll along each of `dims`."""

    shifts: tuple[int, ...]
    dims: tuple[int, ...]


@attrs
class TriangleAttrs(Attrs):
    """Which diagonal bounds the triangle; positive is above the main one."""

    diagonal: int = 0


@attrs
class RepeatAttrs(Attrs):
    """How often to repeat along each dim; more entries than dims add leading dims."""

    repeats: tuple[Any, ...]


def _flip(a: DimsAttrs, x: Any) -> Inferred:
    if not set(a.dims) <= set(range(len(x.shape))) or len(set(a.dims)) != len(a.dims):
        raise DimensionError(f"flip expects different dims of shape {list(x.shape)}, got {list(a.dims)}")
    return x.shape, x.dtype


flip: OpDef = define(
    "flip", family=MOVEMENT, attrs=DimsAttrs, infer=_flip, reference=lambda a, x: np.flip(x, a.dims),
    vjp=lambda g, y, a, x: [flip(g, dims=a.dims)],
    samples=lambda: [
        Sample((draw((2, 3)),), DimsAttrs((1,))), Sample((draw((2, 3)),), DimsAttrs((0, 1))), Sample((draw((0, 2)),), DimsAttrs((0,))),
        Sample((draw(()),), DimsAttrs(())), Sample((draw((2, 3)),), DimsAttrs((2,)), error=DimensionError, match="different dims"),
    ],
)  # fmt: skip


def _cat(a: DimAttrs, *xs: Any) -> Inferred:
    if not xs:
        raise ArgumentError("cat expects a non-empty list of tensors")
    first, dim = xs[0], a.dim
    shape, total = first.shape, first.shape[dim] if dim < len(first.shape) else None
    if total is None:
        raise DimensionError(
            f"cat: tensors of shape {list(shape)} have no dimension {dim}" + ("; use stack for 0-d tensors" if not shape else "")
        )
    for k in range(1, len(xs)):
        x = xs[k]
        if x.dtype is not first.dtype:
            raise mismatch("cat", *xs)
        s = x.shape
        if len(s) != len(shape):
            raise ShapeError(
                f"Tensors must have same number of dimensions: got {len(shape)} and {len(s)} (shapes {list(shape)} and {list(s)})"
            )
        for d in range(len(s)):
            if d == dim:
                total = total + s[d]
            elif s[d] != shape[d]:
                raise unequal_in_cat(shape, s, dim, d, k)
    return shape[:dim] + (total,) + shape[dim + 1 :], first.dtype


def _cat_vjp(g: Any, y: Any, a: DimAttrs, *xs: Any) -> list[Any]:
    ones, start, parts = (1,) * len(g.shape), 0, []
    for x in xs:
        starts = (0,) * a.dim + (start,) + (0,) * (len(ones) - a.dim - 1)
        parts.append(slice(g, starts=starts, steps=ones, lengths=x.shape))
        start = start + x.shape[a.dim]
    return parts


def _cat_samples() -> Iterable[Sample]:
    yield Sample((draw((2, 3)), draw((1, 3), seed=1), draw((0, 3))), DimAttrs(0))
    yield Sample((draw((2, 3)), draw((2, 2), seed=1)), DimAttrs(1))
    yield Sample((whole((3,), 0, 9),), DimAttrs(0))
    yield Sample((draw((2, 3)), draw((3, 2))), DimAttrs(0), error=ShapeError, match="Sizes of tensors must match except in dimension 0")
    yield Sample((draw((2, 3)), draw((3,))), DimAttrs(0), error=ShapeError, match="same number of dimensions")
    yield Sample((draw((3,)), whole((3,), 0, 9)), DimAttrs(0), error=DTypeError, match="same dtype")
    yield Sample((draw(()), draw(())), DimAttrs(0), error=DimensionError, match="use stack")
    yield Sample((), DimAttrs(0), error=ValueError, match="non-empty list")


cat = define(
    "cat",
    family=MOVEMENT,
    attrs=DimAttrs,
    infer=_cat,
    reference=lambda a, *xs: np.concatenate(xs, a.dim),
    vjp=_cat_vjp,
    samples=_cat_samples,
)


# ---- composites ----


def _roll(a: RollAttrs, x: Any) -> Any:
    ones = (1,) * len(x.shape)
    for shift, dim in zip(a.shifts, a.dims, strict=True):
        size = x.shape[dim]
        if size == 0:
            continue
        cut = (-shift) % size
        if cut == 0:
            continue
        before, after = (0,) * dim, (0,) * (len(ones) - dim - 1)
        shape = x.shape
        tail = slice(x, starts=before + (cut,) + after, steps=ones, lengths=shape[:dim] + (size - cut,) + shape[dim + 1 :])
        head = slice(x, starts=before + (0,) + after, steps=ones, lengths=shape[:dim] + (cut,) + shape[dim + 1 :])
        x = cat(tail, head, dim=dim)
    return x


def _roll_infer(a: RollAttrs, x: Any) -> Inferred:
    if len(a.shifts) != len(a.dims):
        raise ShapeError(f"shifts and dimensions must align. shifts: {len(a.shifts)}, dims: {len(a.dims)}")
    for d in a.dims:
        if not 0 <= d < len(x.shape):
            raise DimensionError(f"roll: shape {list(x.shape)} has no dimension {d}")
    return x.shape, x.dtype


def _roll_samples() -> Iterable[Sample]:
    yield Sample((draw((3, 4)),), RollAttrs((1,), (0,)))
    yield Sample((draw((3, 4)),), RollAttrs((-1, 6), (0, 1)))
    yield Sample((draw((0, 4)),), RollAttrs((1, 4), (0, 1)))
    yield Sample((whole((5,), 0, 9),), RollAttrs((2, 1), (0, 0)))
    yield Sample((draw((3,)),), RollAttrs((1,), (1,)), error=DimensionError, match="no dimension 1")
    yield Sample((draw((3,)),), RollAttrs((1, 2), (0,)), error=ShapeError, match="must align")


roll: OpDef = define(
    "roll", family=MOVEMENT, attrs=RollAttrs, infer=_roll_infer, reference=lambda a, x: np.roll(x, a.shifts, a.dims), decompose=_roll,
    vjp=lambda g, y, a, x: [roll(g, shifts=tuple([-s for s in a.shifts]), dims=a.dims)], samples=_roll_samples,
)  # fmt: skip


def _triangle_samples() -> Iterable[Sample]:
    for shape, diagonal_ in (((3, 4), 0), ((4, 3), 1), ((2, 3, 3), -1), ((0, 3), 0), ((2, 2), 5), ((2, 2), -5)):
        yield Sample((draw(shape),), TriangleAttrs(diagonal_))
    yield Sample((np.array([[True, True], [True, True]]),), TriangleAttrs(0))
    yield Sample((draw((3,)),), TriangleAttrs(0), error=ShapeError, match="at least 2 dimensions")


def _triangle(name: str, keeps: OpDef, function: Any) -> OpDef:
    def infer(a: TriangleAttrs, x: Any) -> Inferred:
        if len(x.shape) < 2:
            raise ShapeError(f"{name}: input tensor must have at least 2 dimensions, got shape {list(x.shape)}")
        return x.shape, x.dtype

    def decompose(a: TriangleAttrs, x: Any) -> Any:
        rows, columns = x.shape[-2:]
        row = reshape(arange(start=0, step=1, length=rows, dtype=int64), shape=(rows, 1))
        column = arange(start=0, step=1, length=columns, dtype=int64)
        return where(keeps(sub(column, row), constant(a.diagonal, int64)), x, constant(0, x.dtype))

    op = define(
        name, family=MOVEMENT, attrs=TriangleAttrs, infer=infer, decompose=decompose, reference=lambda a, x: function(x, a.diagonal),
        vjp=lambda g, y, a, x: [op(g, diagonal=a.diagonal)], samples=_triangle_samples,
    )  # fmt: skip
    return op


tril = _triangle("tril", le, np.tril)
triu = _triangle("triu", ge, np.triu)


def _stack_infer(a: DimAttrs, *xs: Any) -> Inferred:
    if not xs:
        raise ArgumentError("stack expects a non-empty list of tensors")
    first = xs[0]
    for k, x in enumerate(xs):
        if x.shape != first.shape:
            raise unequal_entries(first.shape, x.shape, k)
        if x.dtype is not first.dtype:
            raise mismatch("stack", *xs)
    if not 0 <= a.dim <= len(first.shape):
        raise DimensionError(f"stack: dim {a.dim} is not in [0, {len(first.shape)}]")
    return first.shape[: a.dim] + (len(xs),) + first.shape[a.dim :], first.dtype


def _stack(a: DimAttrs, *xs: Any) -> Any:
    shape = xs[0].shape
    one = shape[: a.dim] + (1,) + shape[a.dim :]
    return cat(*[reshape(x, shape=one) for x in xs], dim=a.dim)


def _stack_samples() -> Iterable[Sample]:
    yield Sample((draw((2, 3)), draw((2, 3), seed=1)), DimAttrs(1))
    yield Sample((draw((2, 3)), draw((2, 3), seed=1)), DimAttrs(2))
    yield Sample((draw(()), draw((), seed=1), draw((), seed=2)), DimAttrs(0))
    yield Sample((draw((0, 2)),), DimAttrs(0))
    yield Sample(
        (draw((2,)), draw((3,))), DimAttrs(0), error=ShapeError, match=r"equal size, but got \[2\] at entry 0 and \[3\] at entry 1"
    )
    yield Sample((draw((2,)), whole((2,), 0, 9)), DimAttrs(0), error=DTypeError, match="same dtype")
    yield Sample((draw((2,)),), DimAttrs(2), error=DimensionError, match="dim 2 is not in")
    yield Sample((), DimAttrs(0), error=ValueError, match="non-empty list")


stack = define(
    "stack", family=MOVEMENT, attrs=DimAttrs, infer=_stack_infer, decompose=_stack, vjp=VIA_DECOMPOSITION, samples=_stack_samples,
    reference=lambda a, *xs: np.stack(xs, a.dim),
)  # fmt: skip


def _repeat_infer(a: RepeatAttrs, x: Any) -> Inferred:
    shape, repeats = x.shape, a.repeats
    extra = len(repeats) - len(shape)
    if extra < 0:
        raise ShapeError(
            f"Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor: repeat {list(repeats)}, "
            f"shape {list(shape)}"
        )
    for r in repeats:
        if r < 0:
            raise ShapeError(f"repeat counts must not be negative, got {list(repeats)}")
    return tuple([r if i < extra else r * shape[i - extra] for i, r in enumerate(repeats)]), x.dtype


def _repeat(a: RepeatAttrs, x: Any) -> Any:
    shape = (1,) * (len(a.repeats) - len(x.shape)) + x.shape
    apart = tuple([n for s in shape for n in (1, s)])
    repeated = tuple([n for r, s in zip(a.repeats, shape, strict=True) for n in (r, s)])
    return reshape(expand(reshape(x, shape=apart), shape=repeated), shape=tuple([r * s for r, s in zip(a.repeats, shape, strict=True)]))


def _repeat_samples() -> Iterable[Sample]:
    yield Sample((draw((2, 3)),), RepeatAttrs((2, 1)))
    yield Sample((draw((2, 3)),), RepeatAttrs((2, 3, 2)))
    yield Sample((draw(()),), RepeatAttrs((3,)))
    yield Sample((draw((2,)),), RepeatAttrs((0,)))
    yield Sample((draw((2, 3)),), RepeatAttrs((2,)), error=ShapeError, match="can not be smaller than number of dimensions")
    yield Sample((draw((2,)),), RepeatAttrs((-1,)), error=ShapeError, match="must not be negative")


repeat = define(
    "repeat", family=MOVEMENT, attrs=RepeatAttrs, infer=_repeat_infer, decompose=_repeat, vjp=VIA_DECOMPOSITION, samples=_repeat_samples,
    reference=lambda a, x: np.tile(x, a.repeats),
)  # fmt: skip
