"""Reading and writing by index: slices along a dim, NumPy's advanced indexing, one-hot rows, embeddings. Re-exports `scattering.py`."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, attrs
from monograph.core.dtype import int64
from monograph.core.errors import DimensionError, DTypeError, ShapeError
from monograph.core.shape import Shape, broadcast_all
from monograph.graph.op import NotDifferentiable, OpDef, Sample, define
from monograph.ops.broadcasting import fixed, mismatch, sum_to
from monograph.ops.compare import ne
from monograph.ops.elementwise import where
from monograph.ops.movement import reshape
from monograph.ops.samples import draw, whole
from monograph.ops.scattering import (
    CHECKS,
    INDEX,
    DimAttrs,
    Inferred,
    ScatterReduceAttrs,
    accumulate,
    check_dim,
    check_index_dtype,
    checked,
    gather,
    scatter,
    scatter_add,
    scatter_reduce,
)
from monograph.ops.source import constant, zeros_like

__all__ = [
    "DimAttrs",
    "EmbeddingAttrs",
    "IndexAddAttrs",
    "IndexAttrs",
    "IndexPutAttrs",
    "OneHotAttrs",
    "ScatterReduceAttrs",
    "embedding",
    "gather",
    "index",
    "index_add",
    "index_put",
    "index_select",
    "one_hot",
    "scatter",
    "scatter_add",
    "scatter_reduce",
]


@attrs
class IndexAddAttrs(Attrs):
    """The dim that the index addresses; `alpha` multiplies what is added."""

    dim: int
    alpha: float = 1


@attrs
class IndexAttrs(Attrs):
    """The dims that the indices address, ascending, one for each index."""

    dims: tuple[int, ...]


@attrs
class IndexPutAttrs(Attrs):
    """The dims that the indices address; whether values are added to what stands there."""

    dims: tuple[int, ...]
    accumulate: bool = False


@attrs
class OneHotAttrs(Attrs):
    """The length of each row."""

    num_classes: int


@attrs
class EmbeddingAttrs(Attrs):
    """`padding_idx` (non-negative, or None): the row that never gets a gradient."""

    padding_idx: int | None = None


# ---- whole slices along a dim ----


def _index_length(name: str, index: Any) -> Any:
    check_index_dtype(name, index)
    if len(index.shape) > 1:
        raise DimensionError(
            f"{name}(): Index is supposed to be a vector, got shape {list(index.shape)}: flatten it, or index with x[index]"
        )
    return index.shape[0] if index.shape else 1


def _index_select(a: DimAttrs, x: Any, index: Any) -> Inferred:
    n = _index_length("index_select", index)
    check_dim("index_select", a.dim, x)
    shape = x.shape
    return shape[: a.dim] + (n,) + shape[a.dim + 1 :] if shape else (), x.dtype


def _index_select_reference(a: DimAttrs, x: np.ndarray, index: np.ndarray) -> np.ndarray:
    rows = checked(np.atleast_1d(index), x.shape[a.dim] if x.ndim else 1, a.dim, start="index out of range in self: ")
    return np.take(x, rows, a.dim) if x.ndim else x.copy()


def _index_add(a: IndexAddAttrs, x: Any, index: Any, src: Any) -> Inferred:
    n = _index_length("index_add", index)
    check_dim("index_add", a.dim, x)
    if src.dtype is not x.dtype:
        raise mismatch("index_add", x, src)
    expected = x.shape[: a.dim] + (n,) + x.shape[a.dim + 1 :] if x.shape else ()
    if src.shape != expected:
        raise ShapeError(
            f"index_add: expected a source of shape {list(expected)} for shape {list(x.shape)} and {n} indices, got {list(src.shape)}"
        )
    return x.shape, x.dtype


def _index_add_reference(a: IndexAddAttrs, x: np.ndarray, index: np.ndarray, src: np.ndarray) -> np.ndarray:
    rows = checked(np.atleast_1d(index), x.shape[a.dim] if x.ndim else 1, a.dim)
    places = (*[builtins.slice(None)] * a.dim, rows) if x.ndim else ()
    with np.errstate(all="ignore"):
        scaled = src if a.alpha == 1 else (src * np.asarray(a.alpha).astype(src.dtype)).astype(src.dtype)
        return accumulate(np.add, x, places, scaled)


def _index_add_vjp(g: Any, y: Any, a: IndexAddAttrs, x: Any, index: Any, src: Any) -> list[Any]:
    if fixed(src):
        return [g, None, None]
    taken = index_select(g, index, dim=a.dim)
    return [g, None, taken if a.alpha == 1 else taken * a.alpha]


def _index_select_samples() -> Iterable[Sample]:
    x = draw((3, 4))
    yield Sample((x, np.array([2, 0, 2])), DimAttrs(0))
    yield Sample((x, np.array([1, 1, 3, 0, 2], np.int32)), DimAttrs(1))
    yield Sample((x, np.asarray(1)), DimAttrs(1))
    yield Sample((x, np.zeros((0,), np.int64)), DimAttrs(0))
    yield Sample((draw(()), np.array([0])), DimAttrs(0))
    yield Sample((x, np.zeros((1, 1), np.int64)), DimAttrs(0), error=DimensionError, match="supposed to be a vector")
    yield Sample((x, np.array([0.0])), DimAttrs(0), error=DTypeError, match="got float64")
    yield Sample((x, np.array([0])), DimAttrs(2), error=DimensionError, match="no dimension 2")


def _index_add_samples() -> Iterable[Sample]:
    x = draw((3, 4))
    yield Sample((x, np.array([2, 0, 2, 2]), draw((4, 4), seed=1)), IndexAddAttrs(0))
    yield Sample((x, np.array([1, 3], np.int32), draw((3, 2), seed=1)), IndexAddAttrs(1, -0.5))
    yield Sample((x, np.zeros((0,), np.int64), np.zeros((0, 4))), IndexAddAttrs(0))
    yield Sample((whole((3,), 0, 9), np.array([1, 1]), whole((2,), 0, 9, 1)), IndexAddAttrs(0, 2))
    yield Sample(
        (draw((3, 2), dtype=np.float16), np.array([1, 1]), draw((2, 2), dtype=np.float16)), IndexAddAttrs(0), grad_inputs=(), tolerance=1e-2
    )
    yield Sample((draw(()), np.array([0]), draw((), seed=1)), IndexAddAttrs(0))
    yield Sample((x, np.array([0, 1]), draw((3, 4))), IndexAddAttrs(0), error=ShapeError, match=r"expected a source of shape \[2, 4\]")
    yield Sample((x, np.array([0]), np.ones((1, 4), np.float32)), IndexAddAttrs(0), error=DTypeError, match="same dtype")


index_select = define(
    "index_select", family=INDEX, attrs=DimAttrs, infer=_index_select, reference=_index_select_reference, samples=_index_select_samples,
    traits=CHECKS,
    vjp=lambda g, y, a, x, index: [index_add(zeros_like(x), index, g, dim=a.dim, alpha=1), None],
)  # fmt: skip
index_add: OpDef = define(
    "index_add", family=INDEX, attrs=IndexAddAttrs, infer=_index_add, reference=_index_add_reference, samples=_index_add_samples,
    traits=CHECKS,
    vjp=_index_add_vjp, doc="Adds alpha * src to the slices that the index names, in the order of the index.",
)  # fmt: skip


# ---- advanced indexing ----


def _indexed_shape(name: str, dims: tuple[int, ...], x: Any, indices: tuple[Any, ...]) -> Shape:
    """NumPy's rule: the broadcast shape of the indices stands where the dims were if they are adjacent, else in front."""
    if len(dims) != len(indices) or not indices:
        raise IndexError(f"{name}: {len(indices)} indices for the dims {list(dims)}")
    shape = x.shape
    before = -1
    for d in dims:
        if not before < d < len(shape):
            raise DimensionError(f"{name}: too many indices or unsorted dims for tensor of dimension {len(shape)}: {list(dims)}")
        before = d
    first = indices[0].shape
    for i in indices:
        check_index_dtype(name, i)
    if len(indices) > 1:
        try:
            first = broadcast_all([i.shape for i in indices])
        except ShapeError:
            shapes = ", ".join(str(list(i.shape)) for i in indices)
            raise IndexError(f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}") from None
    start, n = dims[0], len(dims)
    if dims[-1] - start == n - 1:
        return shape[:start] + first + shape[start + n :]
    return first + tuple([s for d, s in enumerate(shape) if d not in dims])


def _index(a: IndexAttrs, x: Any, *indices: Any) -> Inferred:
    return _indexed_shape("index", a.dims, x, indices), x.dtype


def _places(dims: tuple[int, ...], x: np.ndarray, indices: tuple[np.ndarray, ...]) -> tuple[Any, ...]:
    places: list[Any] = [builtins.slice(None)] * x.ndim
    common = np.broadcast_shapes(*[i.shape for i in indices])
    for d, i in zip(dims, indices, strict=True):
        # At least one dim: a 0-d index would be an integer to NumPy, which does not count as an array when it places the result.
        places[d] = np.atleast_1d(np.broadcast_to(checked(i, x.shape[d], d, wrap=True), common))
    return tuple(places)


def _index_reference(a: IndexAttrs, x: np.ndarray, *indices: np.ndarray) -> np.ndarray:
    taken = x[_places(a.dims, x, indices)]
    return taken.reshape(_indexed_shape("index", a.dims, x, tuple(map(_Typed, indices))))


class _Typed:
    """An array seen as a node: its shape, and the dtype of an index."""

    dtype = int64

    def __init__(self, array: np.ndarray) -> None:
        self.shape = array.shape


def _index_put(a: IndexPutAttrs, x: Any, *rest: Any) -> Inferred:
    *indices, values = rest
    region = _indexed_shape("index_put", a.dims, x, tuple(indices))
    if values.dtype is not x.dtype:
        raise DTypeError(
            f"Index put requires the source and destination dtypes match, got {x.dtype.name} for the destination and "
            f"{values.dtype.name} for the source"
        )
    have = values.shape
    if have != region:
        extra = len(region) - len(have)
        if extra < 0 or builtins.any(s != 1 and s != region[extra + i] for i, s in enumerate(have)):
            raise ShapeError(
                f"shape mismatch: value tensor of shape {list(have)} cannot be broadcast to indexing result of shape {list(region)}"
            )
    return x.shape, x.dtype


def _index_put_reference(a: IndexPutAttrs, x: np.ndarray, *rest: np.ndarray) -> np.ndarray:
    *indices, values = rest
    places = _places(a.dims, x, tuple(indices))
    region = _indexed_shape("index_put", a.dims, x, tuple(map(_Typed, indices)))
    spread = np.broadcast_to(values, region).reshape(x[places].shape)
    if a.accumulate:
        return accumulate(np.add, x, places, spread)
    result = x.copy()
    result[places] = spread
    return result


def _index_vjp(g: Any, y: Any, a: IndexAttrs, x: Any, *indices: Any) -> list[Any]:
    return [index_put(zeros_like(x), *indices, g, dims=a.dims, accumulate=True), *[None] * len(indices)]


def _index_put_vjp(g: Any, y: Any, a: IndexPutAttrs, x: Any, *rest: Any) -> list[Any]:
    *indices, values = rest
    gx = gv = None
    if not fixed(x):
        gx = g if a.accumulate else index_put(g, *indices, constant(0, g.dtype), dims=a.dims, accumulate=False)
    if not fixed(values):
        gv = sum_to(index(g, *indices, dims=a.dims), values.shape)
    return [gx, *[None] * len(indices), gv]


def _index_samples() -> Iterable[Sample]:
    x = draw((3, 4, 5))
    yield Sample((x, np.array([2, -1, 0, 2])), IndexAttrs((0,)))
    yield Sample((x, np.array([[2, -4], [0, 2]], np.int32)), IndexAttrs((1,)))
    yield Sample((x, np.array([[2], [0]]), np.array([1, 3, 3])), IndexAttrs((0, 1)))
    yield Sample((x, np.array([0, 1]), np.array([1, -2])), IndexAttrs((1, 2)))
    yield Sample((x, np.array([0, 1]), np.array([1, 3])), IndexAttrs((0, 2)))
    yield Sample((x, np.asarray(1), np.array([1, 3])), IndexAttrs((0, 2)))
    yield Sample((x, np.asarray(1)), IndexAttrs((1,)))
    yield Sample((x, np.zeros((0,), np.int64)), IndexAttrs((1,)))
    yield Sample((x, np.zeros((2, 0), np.int64), np.zeros((0,), np.int64)), IndexAttrs((0, 2)))
    yield Sample((x, np.array([0, 1]), np.array([1, 2, 3])), IndexAttrs((0, 1)), error=IndexError, match=r"shapes \[2\], \[3\]")
    yield Sample((x, np.array([0])), IndexAttrs((3,)), error=DimensionError, match="too many indices")
    yield Sample((x, np.array([0.5])), IndexAttrs((0,)), error=DTypeError, match="got float64")


def _index_put_samples() -> Iterable[Sample]:
    x, i = draw((3, 4, 5)), np.array([2, 0])
    for add in (False, True):
        yield Sample((x, i, draw((2, 4, 5), seed=1)), IndexPutAttrs((0,), add))
        yield Sample((x, i, np.array([1, -3], np.int32), draw((5,), seed=1)), IndexPutAttrs((0, 1), add))
        yield Sample((x, i, np.array([[1], [3]]), draw((2, 1, 4), seed=1)), IndexPutAttrs((0, 2), add))
        yield Sample((x, np.asarray(-1), draw((), seed=1)), IndexPutAttrs((1,), add))
        yield Sample((x, np.zeros((0,), np.int64), draw((), seed=1)), IndexPutAttrs((1,), add))
    yield Sample((draw((4,)), np.array([1, 1, 3]), draw((3,), seed=1)), IndexPutAttrs((0,), True))
    yield Sample(
        (draw((4,), dtype=np.float16), np.array([1, 1]), draw((2,), dtype=np.float16)),
        IndexPutAttrs((0,), True),
        grad_inputs=(),
        tolerance=1e-2,
    )
    yield Sample((x, i, draw((3, 4, 5))), IndexPutAttrs((0,)), error=ShapeError, match="cannot be broadcast to indexing result of shape")
    yield Sample((x, i, np.ones((), np.float32)), IndexPutAttrs((0,)), error=DTypeError, match="dtypes match, got float64")


index = define(
    "index", family=INDEX, attrs=IndexAttrs, infer=_index, reference=_index_reference, vjp=_index_vjp, samples=_index_samples,
    traits=CHECKS,
    doc="x[..., i, ..., j, ...]: NumPy's advanced indexing; negative indices count from the end.",
)  # fmt: skip
index_put = define(
    "index_put", family=INDEX, attrs=IndexPutAttrs, infer=_index_put, reference=_index_put_reference, vjp=_index_put_vjp,
    samples=_index_put_samples,
    traits=CHECKS, doc="x after x[..., i, ...] = values (or +=); of values for the same place the last one stays.",
)  # fmt: skip


# ---- composites ----


def _one_hot_infer(a: OneHotAttrs, labels: Any) -> Inferred:
    check_index_dtype("one_hot", labels)
    if a.num_classes < 1:
        raise ShapeError(f"one_hot: num_classes must be positive, got {a.num_classes}")
    return (*labels.shape, a.num_classes), int64


def _one_hot(a: OneHotAttrs, labels: Any) -> Any:
    column = reshape(labels, shape=(*labels.shape, 1))
    return scatter(constant(0, int64, (*labels.shape, a.num_classes)), column, constant(1, int64, column.shape), dim=len(labels.shape))


def _embedding_infer(a: EmbeddingAttrs, weight: Any, labels: Any) -> Inferred:
    check_index_dtype("embedding", labels)
    if len(weight.shape) != 2:
        raise ShapeError(f"embedding: 'weight' must be 2-D (rows, features), got shape {list(weight.shape)}")
    return (*labels.shape, weight.shape[1]), weight.dtype


def _flat_labels(labels: Any) -> Any:
    return reshape(labels, shape=(labels.numel,)) if len(labels.shape) != 1 else labels


def _embedding(a: EmbeddingAttrs, weight: Any, labels: Any) -> Any:
    rows = index_select(weight, _flat_labels(labels), dim=0)
    return rows if len(labels.shape) == 1 else reshape(rows, shape=(*labels.shape, weight.shape[1]))


def _embedding_vjp(g: Any, y: Any, a: EmbeddingAttrs, weight: Any, labels: Any) -> list[Any]:
    flat = _flat_labels(labels)
    rows = reshape(g, shape=(flat.shape[0], weight.shape[1])) if len(labels.shape) != 1 else g
    if a.padding_idx is not None:
        real = reshape(ne(flat, constant(a.padding_idx, flat.dtype)), shape=(flat.shape[0], 1))
        rows = where(real, rows, constant(0, g.dtype))
    return [index_add(zeros_like(weight), flat, rows, dim=0, alpha=1), None]


def _embedding_samples() -> Iterable[Sample]:
    weight = draw((5, 3))
    yield Sample((weight, np.array([[0, 4], [2, 2]])), EmbeddingAttrs())
    yield Sample((weight, np.array([1, 3, 3], np.int32)), EmbeddingAttrs())
    yield Sample((weight, np.asarray(2)), EmbeddingAttrs())
    yield Sample((weight, np.zeros((2, 0), np.int64)), EmbeddingAttrs())
    yield Sample((weight, np.array([[1, 3], [1, 0]])), EmbeddingAttrs(1), grad_inputs=())
    yield Sample((weight[0], np.array([0])), EmbeddingAttrs(), error=ShapeError, match="must be 2-D")
    yield Sample((weight, np.array([0.0])), EmbeddingAttrs(), error=DTypeError, match="got float64")


one_hot = define(
    "one_hot", family=INDEX, attrs=OneHotAttrs, infer=_one_hot_infer, decompose=_one_hot, traits=CHECKS,
    doc="int64 rows of zeros with a 1.",
    vjp=NotDifferentiable("its result is whole numbers"),
    samples=lambda: [
        Sample((np.array([[0, 3], [1, 2]]),), OneHotAttrs(4)), Sample((np.asarray(1),), OneHotAttrs(2)),
        Sample((np.zeros((0,), np.int64),), OneHotAttrs(3)),
        Sample((np.array([0]),), OneHotAttrs(0), error=ShapeError, match="must be positive"),
        Sample((np.array([0.0]),), OneHotAttrs(1), error=DTypeError, match="got float64"),
    ],
)  # fmt: skip
embedding = define(
    "embedding", family=INDEX, attrs=EmbeddingAttrs, infer=_embedding_infer, decompose=_embedding, vjp=_embedding_vjp,
    samples=_embedding_samples,
    traits=CHECKS, doc="The rows of `weight` that the labels name.",
)  # fmt: skip
