"""Reading and writing along one dim by an index of the same rank, and the checks that index ops share."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, attrs
from monograph.core.dtype import dtype as DType
from monograph.core.dtype import int32, int64
from monograph.core.errors import ArgumentError, DimensionError, DTypeError, ShapeError
from monograph.core.shape import Shape
from monograph.graph.op import Family, OpDef, Sample, Trait, define
from monograph.ops.broadcasting import fixed, mismatch
from monograph.ops.compare import eq, logical_and
from monograph.ops.elementwise import as_dtype, maximum, where
from monograph.ops.movement import pad
from monograph.ops.reference_math import HALVES
from monograph.ops.samples import draw, whole
from monograph.ops.source import constant, zeros_like

INDEX, CHECKS = Family.INDEX, [Trait.CHECKS_VALUES]
Inferred = tuple[Shape, DType]


@attrs
class DimAttrs(Attrs):
    """The dim that the index addresses."""

    dim: int


@attrs
class ScatterReduceAttrs(Attrs):
    """`reduce` is "sum", "prod", "mean", "amax" or "amin"; `include_self`: whether the values that stood there count too."""

    dim: int
    reduce: str
    include_self: bool = True


# ---- checks ----


def check_index_dtype(name: str, index: Any) -> None:
    """Refuses an index that is not int64 or int32."""
    d = index.dtype
    if d is not int64 and d is not int32:
        raise DTypeError(f"{name}(): Expected dtype int32/int64 for index, got {d.name}: cast it, e.g. index.long()")


def checked(index: np.ndarray, size: int, dim: int, wrap: bool = False, start: str = "") -> np.ndarray:
    """The index as int64 without negatives; raises DimensionError naming the first bad value. `wrap`: negative ones count from the end."""
    bad = (index < (-size if wrap else 0)) | (index >= size)
    if bad.any():
        raise DimensionError(f"{start}index {index[bad].flat[0]} is out of bounds for dimension {dim} with size {size}")
    index = index.astype(np.int64)
    return np.where(index < 0, index + size, index) if wrap else index


def check_dim(name: str, dim: int, x: Any) -> None:
    """Refuses a dim that x has not; a 0-d tensor has dim 0."""
    if not 0 <= dim < max(len(x.shape), 1):
        raise DimensionError(f"{name}: shape {list(x.shape)} has no dimension {dim}")


def _check_ranks(name: str, x: Any, index: Any, dim: int) -> None:
    check_index_dtype(name, index)
    check_dim(name, dim, x)
    if len(index.shape) != len(x.shape):
        raise ShapeError(
            f"{name}: index must have the same number of dimensions as the input tensor, got shapes {list(index.shape)} and {list(x.shape)}"
        )
    for d, (n, size) in enumerate(zip(index.shape, x.shape, strict=True)):
        if d != dim and n > size:
            raise ShapeError(
                f"Size does not match at dimension {d} expected index {list(index.shape)} to be no larger than self {list(x.shape)} "
                f"apart from dimension {dim}"
            )


def _check_source(name: str, x: Any, index: Any, src: Any) -> None:
    if src.dtype is not x.dtype:
        raise mismatch(name, x, src)
    if len(src.shape) != len(index.shape) or builtins.any(n > s for n, s in zip(index.shape, src.shape, strict=True)):
        raise ShapeError(f"{name}: expected index {list(index.shape)} to be no larger than src {list(src.shape)} in every dimension")


# ---- references ----


def _places(a: Any, x: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, ...]:
    """The index as one array for each dim of x."""
    if x.ndim == 0:
        checked(index, 1, 0)
        return ()
    grid: list[np.ndarray] = list(np.indices(index.shape, sparse=True))
    grid[a.dim] = checked(index, x.shape[a.dim], a.dim)
    return tuple(np.broadcast_arrays(*grid))


def _gather_reference(a: DimAttrs, x: np.ndarray, index: np.ndarray) -> np.ndarray:
    return np.asarray(x[_places(a, x, index)])


def _cropped(src: np.ndarray, index: np.ndarray) -> np.ndarray:
    return src[tuple(builtins.slice(n) for n in index.shape)]


def _scatter_reference(a: DimAttrs, x: np.ndarray, index: np.ndarray, src: np.ndarray) -> np.ndarray:
    result = x.copy()
    result[_places(a, x, index)] = _cropped(src, index)
    return result


def accumulate(function: Any, x: np.ndarray, places: Any, src: np.ndarray) -> np.ndarray:
    """A copy of x where each place holds function(value, source value), in the order of the index; rounded at each step."""
    positions = np.asarray(np.arange(x.size).reshape(x.shape)[places])
    values = np.broadcast_to(src, positions.shape).reshape(-1)
    result = x.copy().reshape(-1)
    if x.dtype in HALVES:
        for position, value in zip(positions.reshape(-1), values.astype(np.float32), strict=True):
            result[position] = function(np.float32(result[position]), value).astype(x.dtype)
    else:
        function.at(result, positions.reshape(-1), values)
    return result.reshape(x.shape)


_UFUNCS = {"sum": np.add, "prod": np.multiply, "mean": np.add, "amax": np.maximum, "amin": np.minimum}


def _scatter_reduce_reference(a: ScatterReduceAttrs, x: np.ndarray, index: np.ndarray, src: np.ndarray) -> np.ndarray:
    places = _places(a, x, index)
    function, start = _UFUNCS[a.reduce], x
    touched = np.zeros(x.shape, bool)
    touched[places] = True
    if not a.include_self:
        start = np.where(touched, _neutral(a.reduce, x.dtype), x).astype(x.dtype)
    result = accumulate(function, start, places, _cropped(src, index))
    if a.reduce == "mean":
        count = np.full(x.shape, int(a.include_self))
        np.add.at(count, places, 1)
        count = np.maximum(count, 1)
        return (result / count).astype(x.dtype) if x.dtype.kind != "i" and x.dtype.kind != "u" else result // count.astype(x.dtype)
    return result


def _neutral(reduce: str, d: np.dtype) -> Any:
    if reduce in ("amax", "amin"):
        low = reduce == "amax"
        if d.kind in "iu":
            return np.iinfo(d).min if low else np.iinfo(d).max
        return not low if d.kind == "b" else (-np.inf if low else np.inf)
    return 1 if reduce == "prod" else 0


# ---- gradients ----


def _fitted(g: Any, src: Any) -> Any:
    """A gradient of the part of `src` that was used, for all of it."""
    if g.shape == src.shape:
        return g
    return pad(g, low=(0,) * len(g.shape), high=tuple([n - k for n, k in zip(src.shape, g.shape, strict=True)]), value=0)


def _scatter_vjp(g: Any, y: Any, a: DimAttrs, x: Any, index: Any, src: Any) -> list[Any]:
    gx = None if fixed(x) else scatter(g, index, constant(0, g.dtype, index.shape), dim=a.dim)
    return [gx, None, None if fixed(src) else _fitted(gather(g, index, dim=a.dim), src)]


def _scatter_add_vjp(g: Any, y: Any, a: DimAttrs, x: Any, index: Any, src: Any) -> list[Any]:
    return [g, None, None if fixed(src) else _fitted(gather(g, index, dim=a.dim), src)]


def _scatter_reduce_vjp(g: Any, y: Any, a: ScatterReduceAttrs, x: Any, index: Any, src: Any) -> list[Any]:
    dim, how, d = a.dim, a.reduce, g.dtype
    if index.shape != src.shape:
        used = cropped_node(src, index.shape)
        gx, _, gs = _scatter_reduce_vjp(g, y, a, x, index, used)
        return [gx, None, _fitted(gs, src)]
    zero, one = constant(0, d), constant(1, d)
    nowhere = zeros_like(x)
    if how == "sum":
        gx, gs = g, gather(g, index, dim=dim)
    elif how == "mean":
        real = d.to_real()
        n = scatter_add(constant(int(a.include_self), real, x.shape), index, constant(1, real, index.shape), dim=dim)
        gx = g / as_dtype(maximum(n, constant(1, real)), d)
        gs = gather(gx, index, dim=dim)
    elif how == "prod":
        filled = where(eq(x, zero), one, x)
        gx = g * scatter_reduce(filled, index, src, dim=dim, reduce="prod", include_self=a.include_self) / filled
        is_zero = eq(src, zero)
        zeros_there = gather(scatter_add(nowhere, index, as_dtype(is_zero, d), dim=dim), index, dim=dim)
        single = logical_and(is_zero, eq(zeros_there, one))
        without = scatter_reduce(x, index, where(single, one, src), dim=dim, reduce="prod", include_self=a.include_self)
        others = gather(g * y, index, dim=dim) / where(is_zero, one, src)
        gs = where(single, gather(g * without, index, dim=dim), others)
    else:
        at_x, at_src = as_dtype(eq(x, y), d), as_dtype(eq(src, gather(y, index, dim=dim)), d)
        if not a.include_self:
            at_x = scatter(at_x, index, constant(0, d, index.shape), dim=dim)
        share = g / maximum(scatter_add(at_x, index, at_src, dim=dim), one)
        gx, gs = at_x * share, at_src * gather(share, index, dim=dim)
    if not a.include_self:
        gx = scatter(gx, index, constant(0, d, index.shape), dim=dim)
    return [gx, None, gs]


def cropped_node(x: Any, shape: Shape) -> Any:
    """The first elements of x along every dim."""
    return pad(x, low=(0,) * len(shape), high=tuple([n - s for n, s in zip(shape, x.shape, strict=True)]), value=0)


# ---- the ops ----


def _gather(a: DimAttrs, x: Any, index: Any) -> Inferred:
    _check_ranks("gather", x, index, a.dim)
    return index.shape, x.dtype


def _scatter_rule(name: str) -> Callable[..., Inferred]:
    def infer(a: Any, x: Any, index: Any, src: Any) -> Inferred:
        _check_ranks(name, x, index, a.dim)
        _check_source(name, x, index, src)
        if isinstance(a, ScatterReduceAttrs) and a.reduce not in _UFUNCS:
            raise ArgumentError(f"reduce argument must be either sum, prod, mean, amax or amin, got {a.reduce!r}")
        if x.dtype.kind == "c" and isinstance(a, ScatterReduceAttrs) and a.reduce in ("amax", "amin"):
            raise DTypeError(f"{name} with reduce={a.reduce!r} does not order complex numbers; take x.abs() or x.real")
        return x.shape, x.dtype

    return infer


def _gather_samples() -> Iterable[Sample]:
    x = draw((3, 4))
    yield Sample((x, whole((3, 4), 0, 3)), DimAttrs(0))
    yield Sample((x, whole((2, 6), 0, 4)), DimAttrs(1))
    yield Sample((draw((2, 3, 4)), whole((2, 1, 4), 0, 3, dtype=np.int32)), DimAttrs(1))
    yield Sample((x, np.zeros((0, 4), np.int64)), DimAttrs(0))
    yield Sample((draw(()), np.asarray(0)), DimAttrs(0))
    yield Sample((x, np.zeros((3, 5), np.int64)), DimAttrs(0), error=ShapeError, match="Size does not match at dimension 1")
    yield Sample((x, np.zeros((3,), np.int64)), DimAttrs(0), error=ShapeError, match="same number of dimensions")
    yield Sample((x, np.zeros((3, 4))), DimAttrs(0), error=DTypeError, match="Expected dtype int32/int64 for index, got float64")
    yield Sample((x, np.zeros((3, 4), np.int64)), DimAttrs(2), error=DimensionError, match="no dimension 2")


def _scatter_samples(attributes: Callable[[int], Attrs] = DimAttrs, repeated: bool = True) -> Callable[[], Iterable[Sample]]:
    def make() -> Iterable[Sample]:
        x, src = draw((4, 5)), draw((3, 5), seed=1)
        distinct = np.array([[0, 3, 1, 2, 0], [1, 0, 2, 3, 3], [2, 1, 0, 0, 1]])
        yield Sample((x, distinct, src), attributes(0))
        yield Sample((x, distinct[:2, :3].astype(np.int32), src), attributes(0))
        if repeated:
            yield Sample((x, whole((3, 5), 0, 4), src), attributes(0))
            yield Sample((draw((2, 3)), np.array([[1, 1, 1, 1], [0, 2, 0, 2]]), draw((2, 4), seed=2)), attributes(1))
            yield Sample((whole((4,), -5, 5), np.array([1, 1, 3]), whole((3,), -5, 5, 1)), attributes(0))
        yield Sample(
            (draw((3,), dtype=np.float16), np.array([2, 0]), draw((2,), dtype=np.float16)), attributes(0), grad_inputs=(), tolerance=1e-2
        )
        yield Sample((draw((3,)), np.zeros((0,), np.int64), np.zeros((0,))), attributes(0))
        yield Sample((draw(()), np.asarray(0), draw((), seed=1)), attributes(0))
        yield Sample((x, distinct, src[:2]), attributes(0), error=ShapeError, match="no larger than src")
        yield Sample((x, np.zeros((3, 6), np.int64), draw((3, 6))), attributes(0), error=ShapeError, match="no larger than self")
        yield Sample((x, distinct, src.astype(np.float32)), attributes(0), error=DTypeError, match="same dtype")
        yield Sample((x, distinct.astype(np.uint8), src), attributes(0), error=DTypeError, match="got uint8")

    return make


def _scatter_reduce_samples() -> Iterable[Sample]:
    for reduce in _UFUNCS:
        for include in (True, False):
            yield from _scatter_samples(lambda dim, r=reduce, i=include: ScatterReduceAttrs(dim, r, i))()  # type: ignore[misc]
    zeros = (np.array([1.0, 2.0, 3.0]), np.array([0, 0, 1, 2, 2]), np.array([0.0, 4.0, 5.0, 6.0, 7.0]))
    yield Sample(zeros, ScatterReduceAttrs(0, "prod"))
    yield Sample(
        (draw((3,)), np.array([1]), draw((1,))), ScatterReduceAttrs(0, "max"), error=ValueError, match="reduce argument must be either"
    )


gather = define(
    "gather", family=INDEX, attrs=DimAttrs, infer=_gather, reference=_gather_reference, samples=_gather_samples, traits=CHECKS,
    vjp=lambda g, y, a, x, index: [scatter_add(zeros_like(x), index, g, dim=a.dim), None],
    doc="y[i][j] = x[index[i][j]][j] for dim 0.",
)  # fmt: skip


def _scatter_op(
    name: str, attributes: type[Attrs], reference: Callable[..., Any], vjp: Callable[..., Any], samples: Any, doc: str
) -> OpDef:
    return define(
        name,
        family=INDEX,
        attrs=attributes,
        infer=_scatter_rule(name),
        reference=reference,
        vjp=vjp,
        samples=samples,
        traits=[*CHECKS, Trait.HOLOMORPHIC],
        doc=doc,
    )


scatter = _scatter_op(
    "scatter", DimAttrs, _scatter_reference, _scatter_vjp, _scatter_samples(repeated=False),
    "y[index[i][j]][j] = src[i][j] for dim 0; of values for the same place the last one stays.",
)  # fmt: skip
scatter_add: OpDef = _scatter_op(
    "scatter_add", DimAttrs, lambda a, x, index, src: accumulate(np.add, x, _places(a, x, index), _cropped(src, index)), _scatter_add_vjp,
    _scatter_samples(), "y[index[i][j]][j] += src[i][j] for dim 0, in the order of the index.",
)  # fmt: skip
scatter_reduce = _scatter_op(
    "scatter_reduce", ScatterReduceAttrs, _scatter_reduce_reference, _scatter_reduce_vjp, _scatter_reduce_samples,
    "Combines the values for the same place.",
)  # fmt: skip
