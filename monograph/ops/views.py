"""Views: reshape, permute, expand, slice, diagonal, unfold; with slice_scatter and pad, which undo slices."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, attrs
from monograph.core.clashes import not_expandable
from monograph.core.dtype import dtype as DType
from monograph.core.dtype import int64
from monograph.core.errors import DimensionError, DTypeError, ShapeError
from monograph.core.shape import Shape, sizes_differ
from monograph.graph.op import REGISTRY, Family, OpDef, Sample, Trait, define
from monograph.ops.broadcasting import mismatch, sum_to
from monograph.ops.compare import eq
from monograph.ops.elementwise import add, sub, where
from monograph.ops.samples import draw, whole
from monograph.ops.source import arange, constant, zeros_like

MOVEMENT, VIEW = Family.MOVEMENT, [Trait.VIEW]
Inferred = tuple[Shape, DType]


@attrs
class ShapeAttrs(Attrs):
    """The new shape, without -1."""

    shape: Shape


@attrs
class DimsAttrs(Attrs):
    """Non-negative dims; of `permute`, which input dim each output dim is."""

    dims: tuple[int, ...]


@attrs
class SliceAttrs(Attrs):
    """One start, step (positive) and length for every dim."""

    starts: tuple[Any, ...]
    steps: tuple[int, ...]
    lengths: tuple[Any, ...]


@attrs
class DiagonalAttrs(Attrs):
    """The diagonal `offset` above the main one, of the planes of two dims."""

    offset: int
    dim1: int
    dim2: int


@attrs
class UnfoldAttrs(Attrs):
    """Windows of `size` elements, `step` apart, along `dim`."""

    dim: int
    size: int
    step: int


@attrs
class PadAttrs(Attrs):
    """How many elements of `value` to add at both ends of every dim; negative numbers crop."""

    low: tuple[Any, ...]
    high: tuple[Any, ...]
    value: Any = 0


# ---- reshape, permute, expand ----


def _reshape(a: ShapeAttrs, x: Any) -> Inferred:
    if prod(a.shape) != prod(x.shape):
        raise sizes_differ(x.shape, a.shape)
    return a.shape, x.dtype


def _reshape_samples() -> Iterable[Sample]:
    yield Sample((draw((2, 3, 4)),), ShapeAttrs((6, 4)))
    yield Sample((draw((2, 3)).T,), ShapeAttrs((2, 3)))
    yield Sample((draw((1,)),), ShapeAttrs(()))
    yield Sample((draw((0, 3)),), ShapeAttrs((5, 0)))
    yield Sample((whole((2, 2), 0, 9),), ShapeAttrs((1, 4)))
    yield Sample((draw((2, 3)),), ShapeAttrs((4,)), error=ShapeError, match="is invalid for input of size 6")


reshape: OpDef = define(
    "reshape", family=MOVEMENT, attrs=ShapeAttrs, infer=_reshape, reference=lambda a, x: x.reshape(a.shape), traits=VIEW,
    samples=_reshape_samples,
    vjp=lambda g, y, a, x: [reshape(g, shape=x.shape)], unview=lambda a, base, new: reshape(new, shape=base.shape),
)  # fmt: skip


def _permute(a: DimsAttrs, x: Any) -> Inferred:
    shape = x.shape
    dims = a.dims
    if len(dims) != len(shape) or not _is_permutation(dims):
        raise ShapeError(f"permute expects each of the {len(shape)} dims of shape {list(shape)} once, got dims {list(dims)}")
    return tuple([shape[d] for d in dims]), x.dtype


@lru_cache(maxsize=4096)
def _is_permutation(dims: tuple[int, ...]) -> bool:
    return sorted(dims) == list(range(len(dims)))


@lru_cache(maxsize=4096)
def _inverse(dims: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(dims)), key=dims.__getitem__))


def _permute_samples() -> Iterable[Sample]:
    yield Sample((draw((2, 3, 4)),), DimsAttrs((2, 0, 1)))
    yield Sample((draw((2, 3)),), DimsAttrs((1, 0)))
    yield Sample((draw(()),), DimsAttrs(()))
    yield Sample((draw((0, 3)),), DimsAttrs((1, 0)))
    yield Sample((draw((2, 3)),), DimsAttrs((0, 0)), error=ShapeError, match="once, got dims")


permute: OpDef = define(
    "permute", family=MOVEMENT, attrs=DimsAttrs, infer=_permute, reference=lambda a, x: np.transpose(x, a.dims), traits=VIEW,
    samples=_permute_samples,
    vjp=lambda g, y, a, x: [permute(g, dims=_inverse(a.dims))], unview=lambda a, base, new: permute(new, dims=_inverse(a.dims)),
)  # fmt: skip


def _expand(a: ShapeAttrs, x: Any) -> Inferred:
    have, want = x.shape, a.shape
    extra = len(want) - len(have)
    if extra < 0:
        raise ShapeError(
            f"expand: the number of sizes provided ({len(want)}) must be greater or equal to the number of dimensions in the tensor "
            f"({len(have)}): shape {list(have)} to {list(want)}"
        )
    for i, s in enumerate(have):
        n = want[extra + i]
        if s != n and s != 1:
            raise not_expandable(have, want, i)
    return want, x.dtype


def _unexpand(a: ShapeAttrs, base: Any, new: Any) -> Any:
    extra = len(a.shape) - len(base.shape)
    if all(s == 1 for s in a.shape[:extra]) and a.shape[extra:] == base.shape:  # only dims of one element came in front: nothing is shared
        return reshape(new, shape=base.shape)
    raise ShapeError(
        f"unsupported operation: a write through an expanded tensor, where several elements of shape {list(a.shape)} are one element "
        f"of shape {list(base.shape)}: clone() the tensor before writing"
    )


def _expand_samples() -> Iterable[Sample]:
    yield Sample((draw((3, 1)),), ShapeAttrs((2, 3, 4)))
    yield Sample((draw(()),), ShapeAttrs((2, 2)))
    yield Sample((draw((3, 1)),), ShapeAttrs((3, 0)))
    yield Sample((draw((2, 3)),), ShapeAttrs((2, 3)))
    yield Sample(
        (draw((3,)),), ShapeAttrs((2, 4)), error=ShapeError, match=r"expanded size of the tensor \(4\) must match the existing size \(3\)"
    )
    yield Sample((draw((3, 2)),), ShapeAttrs((2,)), error=ShapeError, match="greater or equal to the number of dimensions")


expand = define(
    "expand", family=MOVEMENT, attrs=ShapeAttrs, infer=_expand, reference=lambda a, x: np.broadcast_to(x, a.shape), traits=VIEW,
    samples=_expand_samples,
    vjp=lambda g, y, a, x: [sum_to(g, x.shape)], unview=_unexpand,
)  # fmt: skip


# ---- slices ----


def _slice(a: SliceAttrs, x: Any) -> Inferred:
    shape = x.shape
    if not len(a.starts) == len(a.steps) == len(a.lengths) == len(shape):
        raise ShapeError(f"slice needs a start, a step and a length for each of the {len(shape)} dims, got {a}")
    for start, step, length, size in zip(a.starts, a.steps, a.lengths, shape):  # noqa: B905 - equal lengths, and `strict` costs
        if start == 0 and step == 1 and length == size:
            continue
        if start < 0 or step < 1 or length < 0 or (start + (length - 1) * step >= size if length else start > size):
            raise DimensionError(
                f"slice of {length} elements from {start} in steps of {step} does not fit a dimension of size {size} (shape {list(shape)})"
            )
    return a.lengths, x.dtype


def region(a: SliceAttrs) -> tuple[Any, ...]:
    """The NumPy index of a slice."""
    return tuple(
        builtins.slice(start, start + (length - 1) * step + 1 if length else start, step)
        for start, step, length in zip(a.starts, a.steps, a.lengths, strict=True)
    )


def _slice_vjp(g: Any, y: Any, a: SliceAttrs, x: Any) -> list[Any]:
    if all(step == 1 for step in a.steps):
        high = tuple(size - start - length for start, length, size in zip(a.starts, a.lengths, x.shape, strict=True))
        return [pad(g, low=a.starts, high=high, value=0)]
    return [slice_scatter(zeros_like(x), g, starts=a.starts, steps=a.steps, lengths=a.lengths)]


def _slice_scatter(a: SliceAttrs, base: Any, new: Any) -> Inferred:
    _slice(a, base)
    if new.dtype is not base.dtype:
        raise mismatch("slice_scatter", base, new)
    if new.shape != a.lengths:
        raise ShapeError(
            f"expected values of shape {list(a.lengths)} for this region of shape {list(base.shape)}, got shape {list(new.shape)}"
        )
    return base.shape, base.dtype


def _slice_scatter_reference(a: SliceAttrs, base: np.ndarray, new: np.ndarray) -> np.ndarray:
    result = base.copy()
    result[region(a)] = new
    return result


def _slice_scatter_vjp(g: Any, y: Any, a: SliceAttrs, base: Any, new: Any) -> list[Any]:
    zeros = constant(0, new.dtype, new.shape)
    return [
        slice_scatter(g, zeros, starts=a.starts, steps=a.steps, lengths=a.lengths),
        slice(g, starts=a.starts, steps=a.steps, lengths=a.lengths),
    ]


def _slice_samples() -> Iterable[Sample]:
    yield Sample((draw((4, 5)),), SliceAttrs((1, 0), (1, 1), (2, 5)))
    yield Sample((draw((4, 5)),), SliceAttrs((0, 1), (3, 2), (2, 2)))
    yield Sample((draw((4, 5)),), SliceAttrs((4, 0), (1, 1), (0, 5)))
    yield Sample((draw(()),), SliceAttrs((), (), ()))
    yield Sample((draw((4,)),), SliceAttrs((2,), (1,), (3,)), error=DimensionError, match="does not fit a dimension of size 4")
    yield Sample((draw((4,)),), SliceAttrs((0,), (0,), (1,)), error=DimensionError, match="in steps of 0")
    yield Sample((draw((4, 5)),), SliceAttrs((0,), (1,), (1,)), error=ShapeError, match="each of the 2 dims")


def _slice_scatter_samples() -> Iterable[Sample]:
    yield Sample((draw((4, 5)), draw((2, 5), seed=1)), SliceAttrs((1, 0), (1, 1), (2, 5)))
    yield Sample((draw((4, 5)), draw((2, 2), seed=1)), SliceAttrs((0, 1), (3, 2), (2, 2)))
    yield Sample((draw((4, 5)), draw((0, 5))), SliceAttrs((4, 0), (1, 1), (0, 5)))
    yield Sample((draw((4,)), draw((2,))), SliceAttrs((0,), (1,), (3,)), error=ShapeError, match="expected values of shape")
    yield Sample((draw((4,)), whole((3,), 0, 5)), SliceAttrs((0,), (1,), (3,)), error=DTypeError, match="same dtype")


slice = define(
    "slice", family=MOVEMENT, attrs=SliceAttrs, infer=_slice, reference=lambda a, x: x[region(a)], vjp=_slice_vjp, traits=VIEW,
    samples=_slice_samples,
    unview=lambda a, base, new: slice_scatter(base, new, starts=a.starts, steps=a.steps, lengths=a.lengths),
)  # fmt: skip
slice_scatter: OpDef = define(
    "slice_scatter", family=MOVEMENT, attrs=SliceAttrs, infer=_slice_scatter, reference=_slice_scatter_reference, vjp=_slice_scatter_vjp,
    samples=_slice_scatter_samples, doc="`base` with the elements of a region replaced by `new`.",
)  # fmt: skip


# ---- padding: the gradient of a slice ----


def _pad(a: PadAttrs, x: Any) -> Inferred:
    shape = x.shape
    if not len(a.low) == len(a.high) == len(shape):
        raise ShapeError(f"pad needs two widths for each of the {len(shape)} dims, got low={list(a.low)}, high={list(a.high)}")
    out = tuple([low + size + high for low, size, high in zip(a.low, shape, a.high, strict=True)])
    for d, n in enumerate(out):
        if n < 0:
            raise ShapeError(f"pad by {a.low[d]} and {a.high[d]} leaves dimension {d} of size {shape[d]} with the negative size {n}")
    return out, x.dtype


def _pad_reference(a: PadAttrs, x: np.ndarray) -> np.ndarray:
    shape = tuple(low + size + high for low, size, high in zip(a.low, x.shape, a.high, strict=True))
    result = np.full(shape, a.value).astype(x.dtype)
    source = tuple(
        builtins.slice(max(-low, 0), max(size - max(-high, 0), max(-low, 0)))
        for low, size, high in zip(a.low, x.shape, a.high, strict=True)
    )
    kept = x[source]
    if kept.size:
        result[tuple(builtins.slice(max(low, 0), max(low, 0) + n) for low, n in zip(a.low, kept.shape, strict=True))] = kept
    return result


def _pad_samples() -> Iterable[Sample]:
    yield Sample((draw((2, 3)),), PadAttrs((1, 0), (0, 2), 1.5))
    yield Sample((draw((4, 3)),), PadAttrs((-1, 2), (-2, -1)))
    yield Sample((draw((2, 2), 0, 1),), PadAttrs((3, -2), (0, 4), float("-inf")), grad_inputs=())
    yield Sample((draw((0, 2)),), PadAttrs((1, 0), (1, 0)))
    yield Sample((draw(()),), PadAttrs((), ()))
    yield Sample((np.array([True, False]),), PadAttrs((1,), (1,), True))
    yield Sample((draw((2,)),), PadAttrs((-3,), (0,)), error=ShapeError, match="negative size -1")
    yield Sample((draw((2,)),), PadAttrs((1, 1), (0, 0)), error=ShapeError, match="each of the 1 dims")


pad: OpDef = define(
    "pad", family=MOVEMENT, attrs=PadAttrs, infer=_pad, reference=_pad_reference, samples=_pad_samples,
    vjp=lambda g, y, a, x: [pad(g, low=tuple([-n for n in a.low]), high=tuple([-n for n in a.high]), value=0)],
)  # fmt: skip


# ---- diagonal ----


def _diagonal_length(a: DiagonalAttrs, shape: Shape) -> Any:
    rows, columns = shape[a.dim1], shape[a.dim2]
    fit = min(rows, columns - a.offset) if a.offset >= 0 else min(rows + a.offset, columns)
    return max(fit, 0)


def _diagonal(a: DiagonalAttrs, x: Any) -> Inferred:
    shape = x.shape
    if a.dim1 == a.dim2:
        raise ShapeError(f"diagonal dimensions cannot be identical {a.dim1}, {a.dim2}")
    if not (0 <= a.dim1 < len(shape) and 0 <= a.dim2 < len(shape)):
        raise DimensionError(f"diagonal: shape {list(shape)} has no dimensions {a.dim1} and {a.dim2}: at least a matrix is needed")
    rest = tuple([s for d, s in enumerate(shape) if d != a.dim1 and d != a.dim2])
    return (*rest, _diagonal_length(a, shape)), x.dtype


def _undiagonal(a: DiagonalAttrs, base: Any, new: Any) -> Any:
    """`base` with a diagonal replaced: pointwise, a mask chooses between the two."""
    shape = base.shape
    order = (*[d for d in range(len(shape)) if d != a.dim1 and d != a.dim2], a.dim1, a.dim2)
    rows, columns = shape[a.dim1], shape[a.dim2]
    first = max(-a.offset, 0)
    outer = new.shape[:-1]
    none = (0,) * len(outer)
    by_row = pad(new, low=(*none, first), high=(*none, rows - first - new.shape[-1]), value=0)
    by_row = reshape(by_row, shape=(*outer, rows, 1))
    row = reshape(arange(start=0, step=1, length=rows, dtype=int64), shape=(rows, 1))
    column = arange(start=0, step=1, length=columns, dtype=int64)
    chosen = eq(sub(column, row), constant(a.offset, int64))
    return permute(where(chosen, by_row, permute(base, dims=order)), dims=_inverse(order))


def _diagonal_samples() -> Iterable[Sample]:
    yield Sample((draw((3, 4)),), DiagonalAttrs(0, 0, 1))
    yield Sample((draw((3, 4)),), DiagonalAttrs(2, 0, 1))
    yield Sample((draw((4, 2, 3)),), DiagonalAttrs(-1, 0, 2))
    yield Sample((draw((2, 3)),), DiagonalAttrs(7, 1, 0))
    yield Sample((draw((0, 3)),), DiagonalAttrs(-2, 0, 1))
    yield Sample((draw((3, 3)),), DiagonalAttrs(0, 1, 1), error=ShapeError, match="cannot be identical")
    yield Sample((draw((3,)),), DiagonalAttrs(0, 0, 1), error=DimensionError, match="at least a matrix")


diagonal = define(
    "diagonal", family=MOVEMENT, attrs=DiagonalAttrs, infer=_diagonal, reference=lambda a, x: np.diagonal(x, a.offset, a.dim1, a.dim2),
    vjp=lambda g, y, a, x: [_undiagonal(a, zeros_like(x), g)], unview=_undiagonal, traits=VIEW, samples=_diagonal_samples,
)  # fmt: skip


# ---- unfold ----


def _unfold(a: UnfoldAttrs, x: Any) -> Inferred:
    shape = x.shape
    if not 0 <= a.dim < len(shape):
        raise DimensionError(f"unfold: shape {list(shape)} has no dimension {a.dim}")
    n = shape[a.dim]
    if a.size < 0 or a.size > n:
        raise ShapeError(f"maximum size for tensor at dimension {a.dim} is {n} but size is {a.size}")
    if a.step < 1:
        raise ShapeError(f"unfold: step is {a.step} but must be > 0")
    return (*shape[: a.dim], (n - a.size) // a.step + 1, *shape[a.dim + 1 :], a.size), x.dtype


def _unfold_reference(a: UnfoldAttrs, x: np.ndarray) -> np.ndarray:
    count = (x.shape[a.dim] - a.size) // a.step + 1
    windows = [np.moveaxis(np.take(x, np.arange(i * a.step, i * a.step + a.size), a.dim), a.dim, -1) for i in range(count)]
    return np.stack(windows, a.dim)


def _windows(a: UnfoldAttrs, x: Any, g: Any) -> tuple[Any, Any]:
    """(positions in dim of all window elements, 1-d; `g` with windows and elements merged in place of dim)."""
    count, dim = g.shape[a.dim], a.dim
    start = reshape(arange(start=0, step=a.step, length=count, dtype=int64), shape=(count, 1))
    position = reshape(add(start, arange(start=0, step=1, length=a.size, dtype=int64)), shape=(count * a.size,))
    last = len(g.shape) - 1
    together = permute(g, dims=(*range(dim + 1), last, *range(dim + 1, last)))
    return position, reshape(together, shape=(*x.shape[:dim], count * a.size, *x.shape[dim + 1 :]))


def _unfold_vjp(g: Any, y: Any, a: UnfoldAttrs, x: Any) -> list[Any]:
    position, values = _windows(a, x, g)
    return [REGISTRY["index_add"](zeros_like(x), position, values, dim=a.dim, alpha=1)]


def _ununfold(a: UnfoldAttrs, base: Any, new: Any) -> Any:
    """`base` with the windows replaced; where windows overlap the later one wins."""
    position, values = _windows(a, base, new)
    return REGISTRY["index_put"](base, position, values, dims=(a.dim,), accumulate=False)


def _unfold_samples() -> Iterable[Sample]:
    yield Sample((draw((7,)),), UnfoldAttrs(0, 3, 2))
    yield Sample((draw((2, 6, 3)),), UnfoldAttrs(1, 2, 2))
    yield Sample((draw((2, 5)),), UnfoldAttrs(1, 4, 1))
    yield Sample((draw((0, 3)),), UnfoldAttrs(1, 3, 1))
    yield Sample((draw((3,)),), UnfoldAttrs(0, 4, 1), error=ShapeError, match="maximum size for tensor at dimension 0 is 3 but size is 4")
    yield Sample((draw((3,)),), UnfoldAttrs(0, 2, 0), error=ShapeError, match="must be > 0")
    yield Sample((draw((3,)),), UnfoldAttrs(1, 2, 1), error=DimensionError, match="no dimension 1")


unfold = define(
    "unfold", family=MOVEMENT, attrs=UnfoldAttrs, infer=_unfold, reference=_unfold_reference, vjp=_unfold_vjp, unview=_ununfold,
    traits=VIEW,
    samples=_unfold_samples, doc="Windows along a dim; index_add and index_put are looked up by name: they are defined later.",
)  # fmt: skip
