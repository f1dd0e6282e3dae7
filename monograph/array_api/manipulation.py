"""Shapes and orders, joining and splitting, and taking by index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monograph.array_api.array import returns_arrays
from monograph.array_api.promotion import common
from monograph.core.dtype import int64
from monograph.core.shape import broadcast_all, normalize_dim
from monograph.tensor.core import Tensor
from monograph.tensor.pointwise import FUNCTIONS, METHODS, to_dtype
from monograph.tensor.strides import viewable

Axes = int | tuple[int, ...] | None


def as_tuple(axis: Axes) -> tuple[int, ...]:
    """One axis or several, as a tuple."""
    return (axis,) if isinstance(axis, int) else tuple(axis or ())


@returns_arrays
def broadcast_arrays(*arrays: Tensor) -> Any:
    """The arrays expanded to their common shape."""
    return tuple(FUNCTIONS["broadcast_tensors"](*arrays)) if arrays else ()


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that these broadcast to. Raises ValueError if they do not."""
    try:
        return tuple(broadcast_all([tuple(s) for s in shapes])) if shapes else ()
    except RuntimeError as error:
        raise ValueError(str(error)) from None


@returns_arrays
def broadcast_to(x: Tensor, /, shape: tuple[int, ...]) -> Any:
    """A view of `x` expanded to a shape."""
    return FUNCTIONS["broadcast_to"](x, tuple(shape))


@returns_arrays
def concat(arrays: Sequence[Tensor], /, *, axis: int | None = 0) -> Any:
    """Arrays one after the other along `axis`; None flattens them first."""
    parts = common(*arrays)
    if axis is None:
        return FUNCTIONS["cat"]([METHODS["reshape"](x, (-1,)) for x in parts], 0)
    return FUNCTIONS["cat"](parts, axis)


@returns_arrays
def stack(arrays: Sequence[Tensor], /, *, axis: int = 0) -> Any:
    """Arrays of one shape along a new axis."""
    return FUNCTIONS["stack"](common(*arrays), axis)


@returns_arrays
def unstack(x: Tensor, /, *, axis: int = 0) -> Any:
    """The slices along `axis`, a tuple."""
    return tuple(FUNCTIONS["unbind"](x, axis))


@returns_arrays
def expand_dims(x: Tensor, /, axis: int | tuple[int, ...]) -> Any:
    """The array with new axes of size 1 at positions of the result. Raises IndexError for one out of range, ValueError for doubles."""
    places = [normalize_dim(a, x.ndim + len(as_tuple(axis))) for a in as_tuple(axis)]
    if len(set(places)) != len(places):
        raise ValueError(f"expand_dims: an axis is named twice in {axis}")
    for place in sorted(places):
        x = METHODS["unsqueeze"](x, place)
    return x


@returns_arrays
def squeeze(x: Tensor, /, axis: int | tuple[int, ...]) -> Any:
    """The array without the named axes. Raises ValueError if one is not of size 1."""
    dims = [normalize_dim(a, x.ndim) for a in as_tuple(axis)]
    for a, d in zip(as_tuple(axis), dims, strict=True):
        if x.shape[d] != 1:
            raise ValueError(f"squeeze: axis {a} of an array of shape {tuple(x.shape)} is not of size 1")
    return METHODS["squeeze"](x, dims)


@returns_arrays
def flip(x: Tensor, /, *, axis: Axes = None) -> Any:
    """The order of elements reversed along axes; all of them by default."""
    return FUNCTIONS["flip"](x, tuple(range(x.ndim)) if axis is None else as_tuple(axis))


@returns_arrays
def moveaxis(x: Tensor, source: int | tuple[int, ...], destination: int | tuple[int, ...], /) -> Any:
    """A view with axes moved to other places, the rest in order."""
    return FUNCTIONS["movedim"](x, source, destination) if x.ndim else x


@returns_arrays
def permute_dims(x: Tensor, /, axes: tuple[int, ...]) -> Any:
    """A view with the axes in another order."""
    return METHODS["permute"](x, tuple(axes))


@returns_arrays
def repeat(x: Tensor, repeats: int | Tensor, /, *, axis: int | None = None) -> Any:
    """Every element repeated in place along `axis`; None flattens first."""
    return FUNCTIONS["repeat_interleave"](x, repeats, axis)


@returns_arrays
def reshape(x: Tensor, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Any:
    """The same elements in another shape. copy=True copies; copy=False raises ValueError where memory cannot be shared."""
    new = METHODS["reshape"](x, tuple(shape))
    if copy:
        return FUNCTIONS["clone"](new)
    if copy is False and not viewable(x, tuple(new.shape)):
        raise ValueError(f"reshape: an array of shape {tuple(x.shape)} with strides {x.stride()} needs a copy to become {tuple(shape)}")  # type: ignore[attr-defined]
    return new


@returns_arrays
def roll(x: Tensor, /, shift: int | tuple[int, ...], *, axis: Axes = None) -> Any:
    """Elements shifted along axes, those that leave at one end entering at the other; None rolls the flattened array."""
    if axis is None:
        return FUNCTIONS["roll"](x, shift)
    axes = as_tuple(axis)
    shifts = (shift,) * len(axes) if isinstance(shift, int) else tuple(shift)
    return FUNCTIONS["roll"](x, shifts, axes) if x.ndim else x


@returns_arrays
def tile(x: Tensor, repetitions: tuple[int, ...], /) -> Any:
    """Copies of the array laid side by side, so many along each axis."""
    return FUNCTIONS["tile"](x, tuple(repetitions))


@returns_arrays
def take(x: Tensor, indices: Tensor, /, *, axis: int | None = None) -> Any:
    """The slices of `axis` that an array of indices names; `axis` may be left out for a vector only."""
    if axis is None:
        if x.ndim != 1:
            raise ValueError(f"take: axis must be given for an array of {x.ndim} dimensions")
        axis = 0
    d = normalize_dim(axis, x.ndim)
    flat = FUNCTIONS["index_select"](x, d, _index(METHODS["reshape"](indices, (-1,)), x.shape[d]))
    return flat if indices.ndim == 1 else METHODS["reshape"](flat, (*x.shape[:d], *indices.shape, *x.shape[d + 1 :]))


@returns_arrays
def take_along_axis(x: Tensor, indices: Tensor, /, *, axis: int = -1) -> Any:
    """Elements by an index array of the same rank, along `axis`; the other axes broadcast."""
    return FUNCTIONS["take_along_dim"](x, _index(indices, x.shape[axis]), axis)


def _index(indices: Tensor, size: int) -> Tensor:
    wide: Any = to_dtype(indices, int64)
    return FUNCTIONS["where"](wide < 0, wide + size, wide)

