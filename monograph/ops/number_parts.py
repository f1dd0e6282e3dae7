"""Ops on how numbers are made: neighbours of floats, mantissa and exponent, common divisors; places in sorted numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np

from monograph.core.attrs import Attrs, attrs
from monograph.core.dtype import bfloat16, int32, int64
from monograph.core.errors import DTypeError, ShapeError
from monograph.core.shape import Shape
from monograph.graph.node import Node
from monograph.graph.op import Family, NotDifferentiable, Sample, Trait, define
from monograph.ops.broadcasting import FLOATING, binary, refuse, sum_to
from monograph.ops.compare import eq
from monograph.ops.elementwise import as_dtype, exp2, where
from monograph.ops.precision import is_half
from monograph.ops.samples import of_two
from monograph.ops.source import project, zeros_like

ELEMENTWISE = Family.ELEMENTWISE


def _next_after(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(np.nextafter(x, y))


def _next_slope(g: Node, y: Node, a: Any, x: Node, to: Node) -> list[Node]:
    """The neighbour moves with x, and not with where it is; with both equal it is neither's."""
    none = zeros_like(g)
    return [sum_to(where(eq(x, to), none, g), x.shape), sum_to(none, to.shape)]


def _next_samples() -> Iterable[Sample]:
    yield Sample((np.array([1.0, -1.0, 0.5]), np.array([[2.0, 2.0, -1.0], [0.0, -4.0, 5.0]])))
    yield Sample((np.array([1.0, -1.0, 0.0, np.inf, np.nan]), np.array([2.0, 2.0, -1.0, 0.0, 1.0])), grad_inputs=())
    yield Sample((np.array([[1.0], [0.0]], np.float32), np.array([0.0, 5.0, np.inf], np.float32)), grad_inputs=())
    yield Sample((np.array([1.0, 0.0], bfloat16.np), np.array([2.0, -1.0], bfloat16.np)), grad_inputs=())
    yield Sample((np.asarray(1.0), np.asarray(1.0)), grad_inputs=())
    yield Sample((np.zeros((0, 3)), np.ones(3)))
    yield Sample((np.array([1]), np.array([2])), error=DTypeError, match="floating-point")


nextafter = define(
    "nextafter", family=ELEMENTWISE, infer=binary("nextafter", FLOATING), reference=lambda a, x, y: _next_after(x, y),
    samples=_next_samples,
    vjp=_next_slope, traits=[Trait.POINTWISE],
    doc="The next float after x towards y.",
)  # fmt: skip


def _gcd_samples() -> Iterable[Sample]:
    yield from of_two(ints=True, floats=False)()
    yield Sample((np.ones(2), np.ones(2)), error=DTypeError, match="got float64")


gcd = define(
    "gcd", family=ELEMENTWISE, infer=binary("gcd", "ui"), reference=lambda a, x, y: np.asarray(np.gcd(x, y)), samples=_gcd_samples,
    vjp=NotDifferentiable("integers have no gradients"), doc="The greatest common divisor, never negative; gcd(0, 0) is 0.",
)  # fmt: skip


def _frexp_type(a: Any, x: Any) -> tuple[Any, Any]:
    if x.dtype.kind != "f":
        raise refuse("frexp", x.dtype, FLOATING)
    return ((x.shape, x.dtype), (x.shape, int32)), None


def _frexp(a: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mantissa, exponent = np.frexp(x.astype(np.float32) if is_half(x) else x)
    return np.asarray(mantissa).astype(x.dtype), np.asarray(exponent, np.int32)


def _frexp_slope(gs: tuple[Node | None, ...], y: Node, a: Any, x: Node) -> list[Node | None]:
    return [None if gs[0] is None else gs[0] * exp2(-as_dtype(project(y, index=1), x.dtype))]


def _frexp_samples() -> Iterable[Sample]:
    yield Sample((np.array([[1.5, -3.0], [0.3, 100.0]]),))
    yield Sample((np.array([0.0, 7.0, -0.1], np.float32),), grad_inputs=())
    yield Sample((np.array([5.0, 0.25], np.float16),), grad_inputs=())
    yield Sample((np.array([5.0, 0.25], bfloat16.np),), grad_inputs=())
    yield Sample((np.asarray(9.0),))
    yield Sample((np.zeros((0, 2)),))
    yield Sample((np.array([1, 2]),), error=DTypeError, match="floating-point")


frexp = define(
    "frexp", family=ELEMENTWISE, infer=_frexp_type, reference=_frexp, vjp=_frexp_slope, samples=_frexp_samples,
    doc="(mantissa in (-1, -0.5] or [0.5, 1), exponent): x = mantissa * 2 ** exponent.",
)  # fmt: skip


@attrs
class SearchAttrs(Attrs):
    """`right`: after equal values rather than before them."""

    right: bool = False


def _search_type(a: SearchAttrs, edges: Any, x: Any) -> tuple[Shape, Any]:
    if edges.dtype is not x.dtype:
        raise DTypeError(f"searchsorted expects values of the dtype of the sorted ones, got {x.dtype.name} and {edges.dtype.name}")
    if len(edges.shape) != 1 and edges.shape[:-1] != x.shape[:-1]:
        raise ShapeError(
            f"searchsorted: boundaries of {list(edges.shape)} and values of {list(x.shape)}: all dimensions but the last have to be equal"
        )
    return x.shape, int64


def _search(a: SearchAttrs, edges: np.ndarray, x: np.ndarray) -> np.ndarray:
    side: Literal["left", "right"] = "right" if a.right else "left"
    if is_half(x):
        edges, x = edges.astype(np.float32), x.astype(np.float32)
    if edges.ndim == 1:
        return np.asarray(np.searchsorted(edges, x, side=side), np.int64)
    out = np.zeros(x.shape, np.int64)
    for at in np.ndindex(*x.shape[:-1]):
        out[at] = np.searchsorted(edges[at], x[at], side=side)
    return out


def _search_samples() -> Iterable[Sample]:
    edges = np.array([1.0, 3.0, 3.0, 7.0])
    for right in (False, True):
        yield Sample((edges, np.array([[0.0, 3.0], [9.0, np.nan]])), SearchAttrs(right), grad_inputs=())
        yield Sample((np.array([[1, 3, 5], [2, 4, 6]]), np.array([[3, 6], [3, 6]])), SearchAttrs(right))
        yield Sample((edges.astype(bfloat16.np), np.asarray(4.0, bfloat16.np)), SearchAttrs(right), grad_inputs=())
    yield Sample((np.zeros(0), np.ones((2, 0))), SearchAttrs(), grad_inputs=())
    yield Sample((np.ones(2), np.ones(2, np.float32)), SearchAttrs(), error=DTypeError, match="float32 and float64")
    yield Sample((np.ones((2, 3)), np.ones((3, 3))), SearchAttrs(), error=ShapeError, match="all dimensions but the last")


searchsorted = define(
    "searchsorted", family=Family.SORT, attrs=SearchAttrs, infer=_search_type, reference=_search, samples=_search_samples,
    vjp=NotDifferentiable("places are integers"), doc="Where each value belongs among sorted ones (along the last dimension).",
)  # fmt: skip
