"""Running values along one dimension: cumsum, cumprod, cummax, cummin, logcumsumexp."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, attrs
from monograph.core.dtype import bool_, int64
from monograph.core.dtype import dtype as DType
from monograph.core.errors import DTypeError
from monograph.core.shape import Shape
from monograph.graph.node import Node
from monograph.graph.op import Family, OpDef, Sample, Trait, define
from monograph.ops.compare import eq, gt, logical_and, lt
from monograph.ops.elementwise import abs as absolute
from monograph.ops.elementwise import cast, exp, log, log1p, maximum, where
from monograph.ops.movement import flip
from monograph.ops.norm import must_float
from monograph.ops.precision import half_in_single, is_half, narrow, widen
from monograph.ops.scattering import check_dim, scatter_add
from monograph.ops.source import constant, project, zeros_like
from monograph.ops.views import pad

SCAN = Family.SCAN
MINUS_INFINITY = float("-inf")


@attrs
class ScanAttrs(Attrs):
    """The dimension to run along."""

    dim: int


def _running(name: str) -> Callable[..., tuple[Shape, DType]]:
    def infer(a: ScanAttrs, x: Any) -> tuple[Shape, DType]:
        check_dim(name, a.dim, x)
        if x.dtype is bool_:
            raise DTypeError(f"{name} takes numbers, got bool; convert first, e.g. x.long()")
        return x.shape, x.dtype

    return infer


def _reverse(x: Node, dim: int) -> Node:
    return flip(x, dims=(dim,))


def cumsum_from_end(x: Node, dim: int) -> Node:
    """The sum of each element and all after it."""
    if not x.shape:
        return x
    return _reverse(cumsum(_reverse(x, dim), dim=dim), dim)


def _samples(name: str, low: float = -2.0, high: float = 2.0, ints: bool = True) -> Callable[[], Iterable[Sample]]:
    def make() -> Iterable[Sample]:
        draw = np.random.default_rng(24)
        for shape, dim in [((5,), 0), ((2, 4), 1), ((4, 2), 0), ((2, 3, 2), 1), ((), 0), ((0, 3), 0), ((3, 0), 0), ((1,), 0)]:
            yield Sample((draw.uniform(low, high, shape),), ScanAttrs(dim))
        yield Sample((draw.uniform(low, high, (2, 5)).astype(np.float32),), ScanAttrs(1), grad_inputs=(), tolerance=1e-4)
        yield Sample((draw.uniform(low, high, (5,)).astype(np.float16),), ScanAttrs(0), grad_inputs=(), tolerance=1e-2)
        yield Sample((np.array([1.0, np.nan, 3.0, np.inf]),), ScanAttrs(0), grad_inputs=())
        if ints:
            yield Sample((np.array([[3, -1, 2], [0, 5, -2]]),), ScanAttrs(1))
            yield Sample((np.array([3, 100, 2], np.uint8),), ScanAttrs(0))
            yield Sample((np.array([True, False]),), ScanAttrs(0), error=DTypeError, match="takes numbers, got bool")
        yield Sample((np.ones((2, 3)),), ScanAttrs(2), error=IndexError, match=f"{name}: shape .* has no dimension 2")

    return make


def _accumulate(ufunc: Any) -> Callable[[ScanAttrs, np.ndarray], np.ndarray]:
    return half_in_single(lambda a, x: ufunc.accumulate(x, axis=a.dim, dtype=x.dtype) if x.ndim else x)


cumsum = define(
    "cumsum", family=SCAN, attrs=ScanAttrs, infer=_running("cumsum"), reference=_accumulate(np.add), samples=_samples("cumsum"),
    vjp=lambda g, y, a, x: [cumsum_from_end(g, a.dim)], doc="Sums of each element and all before it, in the dtype of x.",
)  # fmt: skip


def _cumprod_gradient(g: Node, y: Node, a: ScanAttrs, x: Node) -> list[Node | None]:
    """Without zeros sum(g * y from here on) / x. From the first zero on products vanish, but for those that leave just this zero out."""
    if not x.shape:
        return [g]
    wide, g, zero, one = widen(x), widen(g), constant(0, widen(x).dtype), constant(1, widen(x).dtype)
    is_zero = eq(wide, zero)
    zeros_so_far = cumsum(cast(is_zero, dtype=int64), dim=a.dim)
    before = eq(zeros_so_far, constant(0, int64))
    first = logical_and(is_zero, eq(zeros_so_far, constant(1, int64)))
    without_first = cumsum_from_end(g * cumprod(where(first, one, wide), dim=a.dim), a.dim)
    usual = cumsum_from_end(g * widen(y), a.dim) / where(is_zero, one, wide)
    return [narrow(where(before, usual, where(first, without_first, zero)), x.dtype)]


def _cumprod_samples() -> Iterable[Sample]:
    yield from _samples("cumprod", 0.4, 2.0)()
    yield Sample((np.array([[2.0, 0.0, 3.0, 4.0], [0.0, 2.0, 0.0, 1.0], [1.0, 2.0, 3.0, 0.0]]),), ScanAttrs(1), grad_inputs=())


cumprod = define(
    "cumprod", family=SCAN, attrs=ScanAttrs, infer=_running("cumprod"), reference=_accumulate(np.multiply), samples=_cumprod_samples,
    vjp=_cumprod_gradient, traits=[Trait.HOLOMORPHIC],
    doc="Products of each element and all before it, in the dtype of x. Second derivatives after a zero count as 0.",
)  # fmt: skip


# ---------------------------------------------------------------- running extrema


def _extrema(beats: Callable[[Any, Any], Any]) -> Callable[[ScanAttrs, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The last of equal extrema is named; a NaN stays, and the last NaN is named."""

    def reference(a: ScanAttrs, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not x.size or not x.ndim:
            return x.copy(), np.zeros(x.shape, np.int64)
        wide = np.moveaxis(x.astype(np.float32) if is_half(x) else x, a.dim, 0)
        values, places = np.empty_like(wide), np.zeros(wide.shape, np.int64)
        best, place = wide[0].copy(), np.zeros(wide.shape[1:], np.int64)
        with np.errstate(invalid="ignore"):
            for i, row in enumerate(wide):
                takes = (row != row) | ((best == best) & beats(row, best))
                best, place = np.where(takes, row, best), np.where(takes, i, place)
                values[i], places[i] = best, place
        return np.moveaxis(values, 0, a.dim).astype(x.dtype), np.moveaxis(places, 0, a.dim)

    return reference


def _extrema_type(name: str) -> Callable[..., tuple[Any, Any]]:
    def infer(a: ScanAttrs, x: Any) -> tuple[Any, Any]:
        check_dim(name, a.dim, x)
        if x.dtype.kind == "c":
            raise DTypeError(f"{name} does not order complex numbers; take x.abs() or x.real")
        return ((x.shape, x.dtype), (x.shape, int64)), None

    return infer


def _extrema_gradient(gs: tuple[Node | None, ...], y: Node, a: ScanAttrs, x: Node) -> list[Node | None]:
    if gs[0] is None:
        return [None]
    return [scatter_add(zeros_like(x), project(y, index=1), gs[0], dim=a.dim)]


def _extrema_samples(name: str) -> Callable[[], Iterable[Sample]]:
    def make() -> Iterable[Sample]:
        for sample in _samples(name)():
            if sample.error is not DTypeError:
                yield sample
        yield Sample((np.array([1.0, 1.0, 0.0, np.nan, 2.0, np.nan]),), ScanAttrs(0), grad_inputs=())
        yield Sample((np.array([True, False, True]),), ScanAttrs(0))

    return make


def _running_extremum(name: str, beats: Callable[[Any, Any], Any], doc: str) -> OpDef:
    return define(
        name, family=SCAN, attrs=ScanAttrs, infer=_extrema_type(name), reference=_extrema(beats), vjp=_extrema_gradient,
        samples=_extrema_samples(name), doc=doc,
    )  # fmt: skip


cummax = _running_extremum("cummax", np.greater_equal, "(greatest so far, where it stands); of equal ones the last, NaN wins.")
cummin = _running_extremum("cummin", np.less_equal, "(least so far, where it stands); of equal ones the last, NaN wins.")


# ---------------------------------------------------------------- logcumsumexp


def _log_add(x: Node, y: Node) -> Node:
    """log(exp(x) + exp(y)); equal infinities stay what they are."""
    top = maximum(x, y)
    return top + where(eq(x, y), constant(math.log(2), x.dtype), log1p(exp(-absolute(x - y))))


def _logcumsumexp(a: ScanAttrs, x: Node) -> Node:
    """In log2(n) steps, each of which adds the value as many places before as are summed already: no exponential overflows."""
    if not x.shape:
        return x
    y, reach = widen(x), 1
    nowhere = (0,) * len(x.shape)
    while reach < x.shape[a.dim]:
        low = (*nowhere[: a.dim], reach, *nowhere[a.dim + 1 :])
        y = _log_add(y, pad(y, low=low, high=tuple(-n for n in low), value=MINUS_INFINITY))
        reach *= 2
    return narrow(y, x.dtype)


def _logcumsumexp_from_end(x: Node, dim: int) -> Node:
    return _reverse(logcumsumexp(_reverse(x, dim), dim=dim), dim) if x.shape else x


def _logcumsumexp_gradient(g: Node, y: Node, a: ScanAttrs, x: Node) -> list[Node | None]:
    """sum(g * exp(x - y)) from here on, its positive and its negative part apart, so that each is a sum of exponentials.

    Where y is -inf all values so far are, and get no share.
    """
    g, y, wide = widen(g), widen(y), widen(x)
    zero, one, nothing = constant(0, g.dtype), constant(1, g.dtype), constant(MINUS_INFINITY, g.dtype)
    some = gt(y, nothing)
    parts = []
    for sign, size in ((gt(g, zero), g), (lt(g, zero), -g)):
        counts = logical_and(sign, some)
        logs = where(counts, log(where(counts, size, one)) - where(some, y, zero), nothing)
        parts.append(exp(_logcumsumexp_from_end(logs, a.dim) + wide))
    return [narrow(parts[0] - parts[1], x.dtype)]


def _logcumsumexp_samples() -> Iterable[Sample]:
    yield from _samples("logcumsumexp", ints=False)()
    yield Sample((np.array([-1000.0, 3.0, 1000.0, -np.inf]),), ScanAttrs(0), grad_inputs=())
    yield Sample((np.array([-np.inf, -np.inf, 1.0, np.inf]),), ScanAttrs(0), grad_inputs=())
    yield Sample((np.array([1, 2]),), ScanAttrs(0), error=DTypeError, match="floating-point")


def _logcumsumexp_type(a: ScanAttrs, x: Any) -> tuple[Shape, DType]:
    check_dim("logcumsumexp", a.dim, x)
    return x.shape, must_float("logcumsumexp", x)


logcumsumexp = define(
    "logcumsumexp", family=SCAN, attrs=ScanAttrs, infer=_logcumsumexp_type, decompose=_logcumsumexp, vjp=_logcumsumexp_gradient,
    reference=_accumulate(np.logaddexp), samples=_logcumsumexp_samples, doc="log(cumsum(exp(x))) without overflow.",
)  # fmt: skip
