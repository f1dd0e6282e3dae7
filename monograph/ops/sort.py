"""Sorting along one dimension: sort and topk, both with the places that the values came from. NaN counts as the greatest value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, Size, attrs
from monograph.core.dtype import int64
from monograph.core.errors import DTypeError
from monograph.graph.node import Node
from monograph.graph.op import Family, Sample, define
from monograph.ops.precision import is_half
from monograph.ops.scattering import check_dim, scatter
from monograph.ops.source import project, zeros_like

SORT = Family.SORT


@attrs
class SortAttrs(Attrs):
    """`stable`: equal values keep their order (they do so in any case; a target may use the freedom)."""

    dim: int
    descending: bool = False
    stable: bool = False


@attrs
class TopkAttrs(Attrs):
    """The k greatest (or least) along `dim`, in order."""

    k: Size
    dim: int
    largest: bool = True


def _no_complex(name: str, x: Any) -> None:
    if x.dtype.kind == "c":
        raise DTypeError(f"{name} does not order complex numbers; sort x.abs() or x.real")


def _sort_type(a: SortAttrs, x: Any) -> tuple[Any, Any]:
    check_dim("sort", a.dim, x)
    _no_complex("sort", x)
    return ((x.shape, x.dtype), (x.shape, int64)), None


def _topk_type(a: TopkAttrs, x: Any) -> tuple[Any, Any]:
    check_dim("topk", a.dim, x)
    _no_complex("topk", x)
    size = x.shape[a.dim] if x.shape else 1
    if a.k < 0 or a.k > size:
        raise RuntimeError(f"selected index k out of range: k={a.k} for dimension {a.dim} of size {size} (shape {list(x.shape)})")
    shape = (*x.shape[: a.dim], a.k, *x.shape[a.dim + 1 :]) if x.shape else ()
    return ((shape, x.dtype), (shape, int64)), None


def _order(x: np.ndarray, dim: int, descending: bool) -> np.ndarray:
    """Stable order of the elements along `dim`; NaN last if ascending, first if descending."""
    wide = x.astype(np.float32) if is_half(x) else x
    if not descending:
        return np.argsort(wide, axis=dim, kind="stable")
    # Reversed twice, so that equal values keep their order.
    return np.flip(x.shape[dim] - 1 - np.argsort(np.flip(wide, dim), axis=dim, kind="stable"), dim)


def _sort(a: SortAttrs, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not x.ndim:
        return x.copy(), np.zeros((), np.int64)
    order = _order(x, a.dim, a.descending).astype(np.int64)
    return np.take_along_axis(x, order, a.dim), order


def _topk(a: TopkAttrs, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not x.ndim:
        return x.copy(), np.zeros((), np.int64)
    order = np.take(_order(x, a.dim, a.largest).astype(np.int64), np.arange(a.k), axis=a.dim)
    return np.take_along_axis(x, order, a.dim), order


def _gradient(gs: tuple[Node | None, ...], y: Node, a: Any, x: Node) -> list[Node | None]:
    """Each value's gradient goes back to where the value came from."""
    return [None if gs[0] is None else scatter(zeros_like(x), project(y, index=1), gs[0], dim=a.dim)]


def _sort_samples() -> Iterable[Sample]:
    draw = np.random.default_rng(25)
    for shape, dim in [((6,), 0), ((2, 5), 1), ((4, 3), 0), ((2, 3, 2), 1), ((), 0), ((0, 2), 0), ((2, 0), 1)]:
        for descending in (False, True):
            yield Sample((draw.permutation(np.arange(np.prod(shape, dtype=int))).reshape(shape) / 4.0,), SortAttrs(dim, descending))
    ties = np.array([2.0, 1.0, 2.0, np.nan, 1.0, -np.inf, np.nan], np.float32)
    yield Sample((ties,), SortAttrs(0, False, True), grad_inputs=())
    yield Sample((ties.astype(np.float16),), SortAttrs(0, True, True), grad_inputs=())
    yield Sample((np.array([[3, -1, 2, 3]]),), SortAttrs(1, True))
    yield Sample((np.array([True, False, True]),), SortAttrs(0))
    yield Sample((np.ones((2, 3)),), SortAttrs(2), error=IndexError, match="has no dimension 2")
    yield Sample((np.ones(2, np.complex64),), SortAttrs(0), error=DTypeError, match="complex")


def _topk_samples() -> Iterable[Sample]:
    draw = np.random.default_rng(26)
    for shape, dim, k in [((6,), 0, 3), ((2, 5), 1, 2), ((4, 3), 0, 4), ((2, 3, 2), 1, 1), ((), 0, 1), ((3, 2), 0, 0)]:
        for largest in (True, False):
            yield Sample((draw.permutation(np.arange(np.prod(shape, dtype=int))).reshape(shape) / 4.0,), TopkAttrs(k, dim, largest))
    yield Sample((np.array([1.0, np.nan, 3.0], np.float32),), TopkAttrs(2, 0), grad_inputs=())
    yield Sample((np.array([5, 1, 7]),), TopkAttrs(2, 0, False))
    yield Sample((np.ones((2, 3)),), TopkAttrs(4, 1), error=RuntimeError, match="selected index k out of range")


sort = define(
    "sort", family=SORT, attrs=SortAttrs, infer=_sort_type, reference=_sort, vjp=_gradient, samples=_sort_samples,
    doc="(values in order, where each stood).",
)  # fmt: skip

topk = define(
    "topk", family=SORT, attrs=TopkAttrs, infer=_topk_type, reference=_topk, vjp=_gradient, samples=_topk_samples,
    doc="(the k greatest or least values in order, where each stood).",
)  # fmt: skip
