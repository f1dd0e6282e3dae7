"""Copies with a part written anew: what a view shows, slices combined by index, places of the flattened tensor; views by strides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.core import dtype as dtypes
from monograph.core.errors import DimensionError, DTypeError, ShapeError
from monograph.core.modes import MODES
from monograph.core.shape import contiguous_strides, normalize_dim, numel
from monograph.ops.strided import as_strided as strided_op
from monograph.tensor.core import Tensor, view_of
from monograph.tensor.creation import empty, place
from monograph.tensor.delivery import takes_out
from monograph.tensor.dispatch import apply_view
from monograph.tensor.pointwise import FUNCTIONS as F
from monograph.tensor.pointwise import METHODS, publish
from monograph.tensor.strides import layout
from monograph.tensor.views import become_view, diagonal, expand, reshape, select


def _written(input: Tensor, src: Tensor, show: Callable[[Tensor], Tensor], name: str) -> Tensor:  # noqa: A002
    """A copy of `input` whose view `show` holds `src`."""
    made = input.clone()  # type: ignore[attr-defined]
    view = show(made)
    if tuple(view.shape) != tuple(src.shape):
        raise ShapeError(
            f"{name}: expected src to have a size equal to the slice of self. src size = {list(src.shape)}, slice size = {list(view.shape)}"
        )
    METHODS["copy_"](view, src)
    return made


def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:  # noqa: A002
    """A copy with `src` on a diagonal."""
    return _written(input, src, lambda x: diagonal(x, offset, dim1, dim2), "diagonal_scatter")


def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:  # noqa: A002
    """A copy with `src` at one index of `dim`."""
    return _written(input, src, lambda x: select(x, dim, index), "select_scatter")


def slice_scatter(input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:  # noqa: A002
    """A copy with `src` at start:end:step of `dim`."""
    if step <= 0:
        raise RuntimeError(f"slice step must be positive, got {step}")
    d = normalize_dim(dim, input.ndim)
    return _written(input, src, lambda x: x[(slice(None),) * d + (slice(start, end, step),)], "slice_scatter")  # type: ignore[index]


def as_strided(input: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:  # noqa: A002
    """A view of the tensor's memory by sizes, strides and an offset, all in elements; elements may show up several times.

    >>> import monograph as mg
    >>> mg.as_strided(mg.arange(5), (3, 3), (1, 1)).tolist()
    [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    """
    offset = layout(input)[1] if storage_offset is None else storage_offset
    attrs = {"shape": tuple(int(n) for n in size), "strides": tuple(int(n) for n in stride), "offset": int(offset)}
    base = input._base
    if base is None or base._type().dtype is not input._type().dtype:
        return apply_view(strided_op, input, **attrs)
    if MODES.now.capture is not None:
        MODES.now.capture.read((input,))
    view = view_of(base, ((strided_op, strided_op.make_attrs(**attrs)),))
    view._read()
    return view


def as_strided_(self: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """`as_strided`, which the tensor itself becomes. In place."""
    return become_view(self, as_strided(self, size, stride, storage_offset))


def as_strided_scatter(input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:  # noqa: A002
    """A copy with `src` at the elements that `as_strided` would show."""
    return _written(input, src, lambda x: as_strided(x, size, stride, storage_offset), "as_strided_scatter")


def _permuted(shape: tuple[int, ...], stride: tuple[int, ...], made: Callable[[Any], Tensor]) -> Tensor:
    """An uninitialised tensor with strides: a view of as many elements as they span."""
    if len(shape) != len(stride):
        raise ShapeError(f"dimensionality of sizes ({len(shape)}) must match dimensionality of strides ({len(stride)})")
    span = 1 + sum((n - 1) * s for n, s in zip(shape, stride, strict=True)) if numel(shape) else 0
    return made((shape,)) if stride == contiguous_strides(shape) else as_strided(made((span,)), shape, stride, 0)


def empty_strided(
    size: Any, stride: Any, *, dtype: dtypes.dtype | None = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """A tensor of unspecified values with the given strides."""
    made = _permuted(tuple(size), tuple(stride), lambda n: empty(*n, dtype=dtype, device=device))
    return place(made, None, requires_grad)


def empty_permuted(
    size: Any, physical_layout: Any, *, dtype: dtypes.dtype | None = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """A tensor of unspecified values whose dimensions lie in memory in the order `physical_layout`."""
    order = tuple(physical_layout)
    if len(order) != len(size):
        raise RuntimeError(
            f"Number of dimensions in size does not match the length of the physical_layout; got {len(size)} and {len(order)}"
        )
    if sorted(order) != list(range(len(order))):
        raise RuntimeError(f"Duplicate or out of range dim in physical_layout {list(order)}")
    inner = empty(tuple(size[d] for d in order), dtype=dtype, device=device)
    return place(METHODS["permute"](inner, tuple(order.index(d) for d in range(len(order)))), None, requires_grad)


def _new_empty_strided(
    self: Tensor, size: Any, stride: Any, *, dtype: dtypes.dtype | None = None, device: Any = None, requires_grad: bool = False, **_: Any
) -> Tensor:
    """`empty_strided` of this tensor's dtype."""
    return empty_strided(size, stride, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


def index_reduce(input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True) -> Tensor:  # noqa: A002
    """A copy whose slices named by `index` are combined with those of `source`: prod, mean, amax or amin."""
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}.")
    if index.ndim > 1:
        raise DimensionError("index_reduce_(): Index is supposed to be a vector")
    if source.dtype is not input.dtype:
        raise DTypeError("index_reduce_(): self and source expected to have the same dtype")
    if not input.ndim:
        return reshape(index_reduce(reshape(input, 1), 0, index, reshape(source, 1), reduce, include_self=include_self), ())
    d = normalize_dim(dim, input.ndim)
    shape = tuple(source.shape)
    along = reshape(index, tuple(-1 if i == d else 1 for i in range(input.ndim)))
    return F["scatter_reduce"](input, d, expand(along, shape), source, reduce, include_self=include_self)


def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:  # noqa: A002
    """A copy with `source` at places of the flattened tensor (added there if `accumulate`)."""
    if source.dtype is not input.dtype:
        raise RuntimeError(
            f"put_(): self and source expected to have the same dtype, but got self.dtype = {input.dtype.name} and source.dtype = "
            f"{source.dtype.name}"
        )
    if index.dtype is not dtypes.int64:
        raise RuntimeError(f"put_(): Expected a long tensor for index, but got {index.dtype.name}")
    if numel(tuple(index.shape)) != numel(tuple(source.shape)):
        raise RuntimeError(
            f"put_(): Expected source and index to have the same number of elements, but got source.numel() = "
            f"{numel(tuple(source.shape))}, index.numel() = {numel(tuple(index.shape))}"
        )
    if not numel(tuple(index.shape)):
        return input.clone()  # type: ignore[attr-defined]
    flat = F["index_put"](reshape(input, -1), (reshape(index, -1),), reshape(source, -1), accumulate)
    return reshape(flat, tuple(input.shape))


def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1) -> Tensor:  # noqa: A002
    """The indices of the first `size` elements that are not zero; rows of `fill_value` where there are fewer."""
    if size < 0:
        raise RuntimeError(f"nonzero_static: 'size' must be an non-negative integer, got {size}")
    found = F["nonzero"](input)[:size]
    missing = F["full"]((size - found.shape[0], found.shape[1]), fill_value, dtype=dtypes.int64)
    return F["cat"]([found, missing], 0)


for _name, _function in {
    "diagonal_scatter": diagonal_scatter, "select_scatter": select_scatter, "slice_scatter": slice_scatter, "as_strided": as_strided,
    "as_strided_scatter": as_strided_scatter, "nonzero_static": nonzero_static,
}.items():  # fmt: skip
    publish(_name, _function)
for _name in ("index_reduce", "put"):
    publish(_name, {"index_reduce": index_reduce, "put": put}[_name], in_place=True)
for _name in ("diagonal_scatter", "select_scatter", "slice_scatter", "as_strided_scatter", "index_reduce", "nonzero_static"):
    F[_name] = takes_out(F[_name])


def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Writes a number to the main diagonal; with `wrap` the diagonal of a tall matrix begins again below. In place."""
    shape = tuple(self.shape)
    if len(shape) < 2:
        raise RuntimeError("dimensions must larger than 1")
    if len(shape) > 2 and len(set(shape)) != 1:
        raise RuntimeError(f"all dimensions of input must be of equal length, got {list(shape)}")
    if wrap and len(shape) == 2 and shape[0] > shape[1]:
        rows = [i for i in range(shape[0]) if i % (shape[1] + 1) < shape[1]]
        at = (F["tensor"](rows), F["tensor"]([i % (shape[1] + 1) for i in rows]))
    else:
        at = (F["arange"](min(shape)),) * len(shape)
    return METHODS["index_put_"](self, at, F["tensor"](fill_value, dtype=self.dtype))


METHODS["as_strided_"] = F["as_strided_"] = as_strided_
METHODS["fill_diagonal_"] = fill_diagonal_


def as_strided_copy(input: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:  # noqa: A002
    """A copy of what `as_strided` shows."""
    return as_strided(input, size, stride, storage_offset).clone()  # type: ignore[attr-defined]


F["as_strided_copy"] = takes_out(as_strided_copy)
F.update(empty_strided=empty_strided, empty_permuted=empty_permuted)
METHODS["new_empty_strided"] = _new_empty_strided
