"""Sizes as they are given, and the strides that torch would report of a tensor."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from monograph.core.modes import MODES
from monograph.core.shape import contiguous_strides, numel
from monograph.core.symbol import Sym
from monograph.ops import views
from monograph.ops.complex_parts import bitcast
from monograph.ops.strided import as_strided
from monograph.tensor.core import Tensor
from monograph.tensor.dispatch import read


def sizes(args: tuple[Any, ...], given: dict[str, Any] | None = None) -> tuple[Any, ...]:
    """Sizes (or dims) given as numbers or as one sequence: (2, 3) or ((2, 3),); or by name, in `given`: {"shape": (2, 3)}."""
    if given:
        name, value = given.popitem()
        if given or args or name not in ("size", "shape", "dims", "repeats"):
            raise TypeError(f"got an unexpected keyword argument {name!r}")
        args = (value,)
    if len(args) == 1 and isinstance(args[0], tuple | list):
        args = tuple(args[0])
    out = []
    for a in args:
        if isinstance(a, Tensor):
            a = int(a)
        if not isinstance(a, int | Sym):
            try:
                a = a.__index__()
            except AttributeError:
                raise TypeError(f"sizes must be integers, got {type(a).__name__}: {a!r}") from None
        out.append(a)
    return tuple(out)


def shape_of(x: Tensor) -> tuple[Any, ...]:
    """The shape of a tensor, whose value need not be known."""
    try:
        return x._type().shape if MODES.now.capture is None else read(x).shape
    except AttributeError:
        if isinstance(x, Tensor):
            raise
        raise TypeError(f"expected a Tensor, got {type(x).__name__}") from None


def layout(input: Tensor) -> tuple[tuple[Any, ...], Any]:  # noqa: A002
    """The strides and the storage offset that torch would report, in elements: row-major for a base, followed through the steps of a
    view.
    """
    if input._base is None:
        return contiguous_strides(shape_of(input)), 0
    shape = tuple(input._base._type().shape)
    result: tuple[Any, ...] = contiguous_strides(shape)
    offset: Any = 0
    item = input._base._type().dtype.itemsize
    for op, a in input._steps:
        if op is views.permute:
            result, shape = tuple([result[d] for d in a.dims]), tuple([shape[d] for d in a.dims])
        elif op is views.expand:
            lead = len(a.shape) - len(shape)
            result = tuple([0 if i < lead or (shape[i - lead] == 1 and n != 1) else result[i - lead] for i, n in enumerate(a.shape)])
            shape = a.shape
        elif op is views.slice:
            for start, step in zip(a.starts, result, strict=True):
                offset = offset + start * step
            result, shape = tuple([s * k for s, k in zip(result, a.steps, strict=True)]), a.lengths
        elif op is views.reshape:
            result = _restride(shape, result, a.shape) or contiguous_strides(a.shape)
            shape = a.shape
        elif op is views.diagonal:
            rest = [i for i in range(len(shape)) if i not in (a.dim1, a.dim2)]
            n = min(shape[a.dim1] - max(-a.offset, 0), shape[a.dim2] - max(a.offset, 0))
            offset = offset + max(-a.offset, 0) * result[a.dim1] + max(a.offset, 0) * result[a.dim2]
            result = (*[result[i] for i in rest], result[a.dim1] + result[a.dim2])
            shape = (*[shape[i] for i in rest], max(n, 0))
        elif op is as_strided:
            result, shape, offset = a.strides, a.shape, a.offset
        elif op is bitcast:
            shrinks = a.dtype.itemsize // item or 1
            grows = item // a.dtype.itemsize or 1
            if shrinks != grows and shape:
                result = (*[s * grows // shrinks for s in result[:-1]], 1)
                shape = (*shape[:-1], shape[-1] * grows // shrinks)
            offset, item = offset * grows // shrinks, a.dtype.itemsize
        elif op is views.unfold:
            count = (shape[a.dim] - a.size) // a.step + 1
            result = (*result[: a.dim], result[a.dim] * a.step, *result[a.dim + 1 :], result[a.dim])
            shape = (*shape[: a.dim], count, *shape[a.dim + 1 :], a.size)
    return result, offset


def strides(input: Tensor) -> tuple[Any, ...]:  # noqa: A002
    """The distances between neighbours along each dimension, in elements, as torch would report them."""
    return layout(input)[0]


def share_elements(a: Tensor, b: Tensor) -> bool:
    """Whether a write to one of two tensors of one dtype shows in the other."""
    roots = [t if t._base is None else t._base for t in (a, b)]
    if roots[0] is not roots[1] and (roots[0]._twins is None or roots[0]._twins is not roots[1]._twins):
        return False
    if a.dtype is not b.dtype or not all(isinstance(n, int) for t in (a, b) for n in shape_of(t)):
        return False  # bits seen as two types, or sizes that are not known yet
    return bool(np.isin(_places(a), _places(b)).any())


def _places(t: Tensor) -> Any:
    steps, offset = layout(t)
    places = np.asarray(offset)
    for n, step in zip(shape_of(t), steps, strict=True):
        places = np.unique(places[..., None] + step * np.arange(n))
    return places


def _restride(shape: tuple[Any, ...], stride: tuple[Any, ...], new: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Strides of a reshape without a copy, or None (NumPy's rule)."""
    if numel(shape) == 0:
        return contiguous_strides(new)
    old = [(n, s) for n, s in zip(shape, stride, strict=True) if n != 1]
    result: list[Any] = []
    i = 0
    left: list[Any] = [n for n in new]
    while left:
        n = left.pop(0)
        if n == 1:
            result.append(old[i][0] * old[i][1] if i < len(old) else 1)
            continue
        group, total, chunk = [n], n, []
        while i < len(old):
            chunk.append(old[i])
            i += 1
            have = numel(tuple(c[0] for c in chunk))
            while have > total and left:
                total = total * left[0]
                group.append(left.pop(0))
            if have == total:
                break
        if any(a[1] != b[0] * b[1] for a, b in itertools.pairwise(chunk)):
            return None
        step = chunk[-1][1] if chunk else 1
        inner: list[Any] = []
        for g in reversed(group):
            inner.append(step)
            step = step * g
        result.extend(reversed(inner))
    return tuple(result)


def viewable(input: Tensor, new: tuple[Any, ...]) -> bool:  # noqa: A002
    """Whether another shape of this tensor can share its memory."""
    if all(op is views.reshape for op, _ in input._steps):
        return True
    return _restride(shape_of(input), strides(input), new) is not None


def is_contiguous(input: Tensor, memory_format: Any = None) -> bool:  # noqa: A002
    """Whether the strides are row-major."""
    shape = shape_of(input)
    return all(n == 1 or a == b for n, a, b in zip(shape, strides(input), contiguous_strides(shape), strict=True)) or numel(shape) == 0
