"""Views by strides: any elements of a flat value, also several times the same; what NumPy and torch call as_strided."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, Size, attrs
from monograph.core.dtype import int64
from monograph.core.errors import ShapeError
from monograph.core.shape import Shape, numel
from monograph.graph.node import Node
from monograph.graph.op import Family, Sample, Trait, define
from monograph.ops.elementwise import add, mul
from monograph.ops.index import index_add, index_put
from monograph.ops.samples import draw, whole
from monograph.ops.source import arange, constant, zeros_like
from monograph.ops.views import reshape


@attrs
class StridedAttrs(Attrs):
    """Element (i, j, ...) is number offset + i * strides[0] + j * strides[1] ... of the flattened input."""

    shape: tuple[Any, ...]
    strides: tuple[Any, ...]
    offset: Size = 0


def _type(a: StridedAttrs, x: Any) -> tuple[Shape, Any]:
    if len(a.shape) != len(a.strides):
        raise ShapeError(f"mismatch in length of strides and shape: {list(a.strides)} for {list(a.shape)}")
    if any(s < 0 for s in a.strides):
        raise ShapeError(f"as_strided: Negative strides are not supported, got {list(a.strides)}")
    if any(n < 0 for n in a.shape):
        raise ShapeError(f"as_strided: sizes must not be negative, got {list(a.shape)}")
    if a.offset < 0:
        raise ShapeError(f"Tensor: invalid storage offset {a.offset}")
    if numel(a.shape):
        last = a.offset + sum((n - 1) * s for n, s in zip(a.shape, a.strides, strict=True))
        if last >= numel(x.shape):
            raise ShapeError(
                f"setStorage: sizes {list(a.shape)}, strides {list(a.strides)}, storage offset {a.offset} need {last + 1} elements and "
                f"there are {numel(x.shape)}"
            )
    return a.shape, x.dtype


def _reference(a: StridedAttrs, x: np.ndarray) -> np.ndarray:
    at = np.full(a.shape, a.offset, np.int64)
    for d, (n, s) in enumerate(zip(a.shape, a.strides, strict=True)):
        at += (np.arange(n) * s).reshape((-1,) + (1,) * (len(a.shape) - d - 1))
    return np.asarray(x.reshape(-1)[at]) if at.size else np.zeros(a.shape, x.dtype)


def _places(a: StridedAttrs) -> Node:
    """The numbers of all elements in the flattened input, as a vector."""
    rank = len(a.shape)
    at: Node = constant(a.offset, int64, (1,) * rank)
    for d, (n, s) in enumerate(zip(a.shape, a.strides, strict=True)):
        along = reshape(arange(start=0, step=1, length=n, dtype=int64), shape=tuple(n if i == d else 1 for i in range(rank)))
        at = add(at, mul(along, constant(s, int64)))
    return reshape(at, shape=(numel(a.shape),))


def _flat(x: Any) -> Any:
    return reshape(x, shape=(numel(x.shape),))


def _slope(g: Any, y: Any, a: StridedAttrs, x: Any) -> list[Any]:
    return [reshape(index_add(_flat(zeros_like(x)), _places(a), _flat(g), dim=0, alpha=1), shape=x.shape)]


def _unview(a: StridedAttrs, base: Any, new: Any) -> Any:
    """`base` with the elements replaced; of several for one place the last wins."""
    return reshape(index_put(_flat(base), _places(a), _flat(new), dims=(0,), accumulate=False), shape=base.shape)


def _samples() -> Iterable[Sample]:
    yield Sample((draw((3, 4)),), StridedAttrs((2, 2), (4, 2), 1))
    yield Sample((draw((6,)),), StridedAttrs((4, 3), (1, 1), 0))
    yield Sample((draw((2, 3)),), StridedAttrs((), (), 5))
    yield Sample((draw((2, 3)),), StridedAttrs((3, 2), (0, 1), 2))
    yield Sample((draw((2, 3)),), StridedAttrs((0, 2), (1, 1), 9))
    yield Sample((whole((5,), 0, 9),), StridedAttrs((3,), (2,), 0))
    yield Sample((draw((4,)),), StridedAttrs((5,), (1,), 0), error=ShapeError, match="need 5 elements and there are 4")
    yield Sample((draw((4,)),), StridedAttrs((2, 2), (1,), 0), error=ShapeError, match="mismatch in length")
    yield Sample((draw((4,)),), StridedAttrs((2,), (-1,), 0), error=ShapeError, match="Negative strides")


as_strided = define(
    "as_strided", family=Family.MOVEMENT, attrs=StridedAttrs, infer=_type, reference=_reference, vjp=_slope, unview=_unview,
    samples=_samples, traits=[Trait.VIEW], doc="Elements of the flattened input by strides.",
)  # fmt: skip
