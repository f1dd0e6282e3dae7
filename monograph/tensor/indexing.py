"""x[...] and x[...] = v in all their forms: integers, slices, None, ..., index tensors, lists and masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core.errors import ArgumentError, DimensionError, ShapeError
from monograph.core.modes import MODES
from monograph.core.shape import broadcast_all
from monograph.core.symbol import Sym
from monograph.ops import index as index_ops
from monograph.ops import movement
from monograph.tensor.core import Tensor, wrap
from monograph.tensor.creation import from_host, tensor
from monograph.tensor.dispatch import SCALAR_TYPES, apply, apply_view, cast_node, read, scalar_node, store
from monograph.tensor.interop import host_array
from monograph.tensor.pointwise import METHODS
from monograph.tensor.views import expand


def _is_int(key: Any) -> bool:
    return isinstance(key, int | np.integer | Sym) and not isinstance(key, bool)


def getitem(self: Tensor, key: Any) -> Tensor:
    """self[key]: a view for integers, slices, None and ...; a copy for index tensors, lists and masks (NumPy's rules)."""
    view, advanced = _basic(self, key)
    return view if not advanced else _gather_advanced(view, advanced)


def setitem(self: Tensor, key: Any, value: Any) -> None:
    """self[key] = value, seen by every view; the value is cast and broadcast."""
    self._check_writable()
    view, advanced = _basic(self, key)
    old = read(view)
    if isinstance(value, Tensor):
        v = read(value)
    elif isinstance(value, SCALAR_TYPES):
        v = scalar_node(value, old.dtype)
    else:
        raise TypeError(f"can't assign a {type(value).__name__} to a tensor of {old.dtype}{list(old.shape)}: wrap it, x[i] = tensor(value)")
    v = cast_node(v, old.dtype)
    if not advanced:
        while len(v.shape) > len(old.shape) and v.shape[0] == 1:
            v = movement.reshape(v, shape=v.shape[1:])
        if v.shape != old.shape:
            try:
                v = movement.expand(v, shape=old.shape)
            except RuntimeError:
                raise ShapeError(
                    f"shape mismatch: value tensor of shape {list(v.shape)} cannot be broadcast to indexing result of shape "
                    f"{list(old.shape)}"
                ) from None
        store(view if view._base is not None or view is self else self, v, "setitem")
        return
    mask = _single_mask(view, advanced)
    if mask is not None and not v.shape:
        METHODS["masked_fill_"](view, mask, wrap(v))
        return
    dims, indices = expand_masks(view, advanced)
    region = index_ops.index(old, *[read(i) for i in indices], dims=dims).shape
    while len(v.shape) > len(region) and v.shape[0] == 1:
        v = movement.reshape(v, shape=v.shape[1:])
    try:
        v = v if v.shape == region else movement.expand(v, shape=region)
    except RuntimeError:
        raise ShapeError(
            f"shape mismatch: value tensor of shape {list(v.shape)} cannot be broadcast to indexing result of shape {list(region)}"
        ) from None
    store(view, index_ops.index_put(old, *[read(i) for i in indices], v, dims=dims, accumulate=False), "setitem")


def _basic(self: Tensor, key: Any) -> tuple[Tensor, dict[int, Tensor]]:
    """Applies the view part of a key. Returns the view and the index tensors left, by dimension of the view."""
    if isinstance(key, list) and any(isinstance(k, slice | Tensor | type(None) | type(Ellipsis)) for k in key):
        key = tuple(key)
    parts = list(key) if isinstance(key, tuple) else [key]
    shape = read(self).shape
    takes = 0
    for k in parts:
        if k is None or k is Ellipsis or isinstance(k, bool | np.bool_):
            continue
        takes += k.ndim if isinstance(k, Tensor | np.ndarray) and _is_mask(k) else 1
    others = sum(isinstance(k, Tensor | np.ndarray | list | tuple | range) and not _is_number(k) for k in parts)
    if takes > len(shape):
        raise DimensionError(f"too many indices for tensor of dimension {len(shape)}")
    dots = [i for i, k in enumerate(parts) if k is Ellipsis]
    if len(dots) > 1:
        raise DimensionError("an index can only have a single ellipsis ('...')")
    at = dots[0] if dots else len(parts)
    parts[at : at + 1] = [slice(None)] * (len(shape) - takes)
    starts, steps, lengths, result = [], [], [], []  # result: new shape after slicing; None entries add dimensions
    advanced: dict[int, Tensor] = {}
    d = 0
    for k in parts:
        if k is None:
            result.append(1)
        elif isinstance(k, bool | np.bool_) or (isinstance(k, Tensor) and not k.ndim and _is_mask(k)):
            advanced[len(result)] = tensor([0] if k else [], dtype=dtypes.int64)
            result.append(1)
        elif isinstance(k, slice):
            start, step, length = _slice_bounds(k, shape[d])
            starts.append(start)
            steps.append(step)
            lengths.append(length)
            result.append(length)
            d += 1
        elif _is_int(k) or (_is_number(k) and (others or MODES.capture is None or read(k).value is not None)):
            i = k if isinstance(k, Sym) else int(k)
            n = shape[d]
            if not -n <= i < n:
                raise DimensionError(f"index {i} is out of bounds for dimension {d} with size {n}")
            starts.append(i + n if i < 0 else i)
            steps.append(1)
            lengths.append(1)
            d += 1
        else:
            t = (
                k
                if isinstance(k, Tensor)
                else tensor(np.asarray(k) if not isinstance(k, list | tuple) or len(k) else np.zeros(0, np.int64))
            )
            if t.dtype.kind == "f":
                raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
            width = t.ndim if _is_mask(t) else 1
            if _is_mask(t) and tuple(t.shape) != tuple(shape[d : d + width]):
                bad = next(i for i in range(width) if t.shape[i] != shape[d + i])
                raise DimensionError(
                    f"The shape of the mask {list(t.shape)} at index {bad} does not match the shape of the indexed tensor {list(shape)} "
                    f"at index {d + bad}"
                )
            advanced[len(result)] = t
            for _ in range(width):
                starts.append(0)
                steps.append(1)
                lengths.append(shape[d])
                result.append(shape[d])
                d += 1
    view = self
    if any(s != 0 for s in starts) or any(s != 1 for s in steps) or tuple(lengths) != shape:
        view = apply_view(movement.slice, view, starts=tuple(starts), steps=tuple(steps), lengths=tuple(lengths))
    if tuple(result) != tuple(lengths):
        view = apply_view(movement.reshape, view, shape=tuple(result))
    elif view is self and not advanced:
        view = apply_view(movement.reshape, self, shape=tuple(shape))
    return view, advanced


def _is_number(k: Any) -> bool:
    """Whether an index is a 0-d integer tensor, which counts as the integer that it holds (captured on its own, it is gathered on the
    graph).
    """
    return isinstance(k, Tensor | np.ndarray) and not k.ndim and not _is_mask(k) and (k.dtype.kind in "iu")


def _is_mask(t: Any) -> bool:
    return t.dtype is dtypes.bool_ or t.dtype is dtypes.uint8 or t.dtype == np.bool_


def _slice_bounds(k: slice, n: Any) -> tuple[Any, int, Any]:
    step = 1 if k.step is None else int(k.step)
    if step <= 0:
        raise ArgumentError("step must be greater than zero; use flip() to reverse a dimension")
    bounds = [b if b is None or isinstance(b, Sym) else int(b) for b in (k.start, k.stop)]
    if bounds == [None, None] and step == 1:
        return 0, 1, n
    start, stop = bounds[0] or 0, n if bounds[1] is None else bounds[1]
    start = max(start + n, 0) if start < 0 else (start if start <= n else n)
    stop = max(stop + n, 0) if stop < 0 else (stop if stop <= n else n)
    length = stop - start
    if length < 0:
        return start, 1, 0
    return start, step, length if step == 1 else -(-length // step)


def _single_mask(view: Tensor, advanced: dict[int, Tensor]) -> Tensor | None:
    """A lone boolean mask, expanded to the view's shape: then no positions need to be known."""
    if len(advanced) != 1:
        return None
    ((at, mask),) = advanced.items()
    if mask.dtype is not dtypes.bool_ or mask.ndim == 0:
        return None
    shape = read(view).shape
    return expand(METHODS["reshape"](mask, (1,) * at + tuple(mask.shape) + (1,) * (len(shape) - at - mask.ndim)), shape)


def expand_masks(view: Tensor, advanced: dict[int, Tensor]) -> tuple[tuple[int, ...], list[Tensor]]:
    """Index tensors by dimension, as (dimensions, int64 tensors of one shape); masks become the positions of their true elements."""
    dims: list[int] = []
    indices: list[Tensor] = []
    for at, t in sorted(advanced.items()):
        if _is_mask(t):
            for j, where in enumerate(np.nonzero(host_array(t))):
                dims.append(at + j)
                indices.append(from_host(where))
        else:
            dims.append(at)
            indices.append(t if t.dtype is dtypes.int64 else t.to(dtypes.int64))
    try:
        shape = broadcast_all([read(i).shape for i in indices])
    except ShapeError:
        raise DimensionError(
            f"shape mismatch: indexing tensors could not be broadcast together with shapes {', '.join(str(list(i.shape)) for i in indices)}"
        ) from None
    return tuple(dims), [i if read(i).shape == shape else expand(i, shape) for i in indices]


def _gather_advanced(view: Tensor, advanced: dict[int, Tensor]) -> Tensor:
    dims, indices = expand_masks(view, advanced)
    return apply(index_ops.index, view, *indices, dims=dims)


METHODS["__getitem__"] = getitem
METHODS["__setitem__"] = setitem
