"""Reductions over dims: sums, products, extrema, truth; means, variances and logsumexp in terms of them."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable
from functools import lru_cache
from math import prod as product
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, attrs
from monograph.core.dtype import bool_, int64
from monograph.core.dtype import dtype as DType
from monograph.core.errors import DimensionError, DTypeError
from monograph.core.shape import Shape, reduced_shape
from monograph.graph.node import record
from monograph.graph.op import Family, NotDifferentiable, OpDef, Sample, Trait, define
from monograph.ops.broadcasting import ANY, FLOATING, NUMERIC, refuse
from monograph.ops.compare import eq, isfinite
from monograph.ops.elementwise import as_dtype, exp, log, sqrt, where, whole_in_float32
from monograph.ops.movement import expand, pad, permute, reshape
from monograph.ops.reference_math import HALVES
from monograph.ops.samples import draw, whole
from monograph.ops.source import constant

REDUCE = Family.REDUCE
Inferred = tuple[Shape, DType]


@attrs
class ReduceAttrs(Attrs):
    """The dims to reduce, sorted and non-negative; whether they stay with size 1."""

    dims: tuple[int, ...]
    keepdim: bool = False


@attrs
class ArgAttrs(Attrs):
    """The dim to search, None for all elements as one row; whether the dim stays with size 1."""

    dim: int | None
    keepdim: bool = False


@attrs
class VarianceAttrs(Attrs):
    """`correction` is subtracted from the number of elements: 1 for the unbiased estimate, 0 for the population's."""

    dims: tuple[int, ...]
    keepdim: bool = False
    correction: float = 1


# ---- shapes ----

_reduce_attrs = lru_cache(maxsize=4096)(ReduceAttrs)


@lru_cache(maxsize=4096)
def _kept(rank: int, dims: tuple[int, ...]) -> tuple[int, ...] | None:
    """The dims that stay; None if `dims` are not sorted, different dims of a tensor of this rank."""
    if sorted(set(dims)) != list(dims) or (dims and not 0 <= dims[0] <= dims[-1] < rank):
        return None
    return tuple([i for i in range(rank) if i not in dims])


def result_shape(name: str, shape: Shape, dims: tuple[int, ...], keepdim: bool) -> Shape:
    """The shape after reducing `dims`, which must exist."""
    kept = _kept(len(shape), dims)
    if kept is None:
        raise DimensionError(f"{name}: dims {list(dims)} must be sorted, different dims of shape {list(shape)}")
    if keepdim:
        return tuple([1 if i in dims else s for i, s in enumerate(shape)])
    return tuple([shape[i] for i in kept])


def restore(value: Any, like: Any, a: Any) -> Any:
    """A reduced value with its reduced dims back, of size 1, so that it broadcasts against the input `like`."""
    if a.keepdim or not value.shape:
        return value
    return reshape(value, shape=reduced_shape(like.shape, a.dims, True))


def count(shape: Shape, dims: tuple[int, ...]) -> Any:
    """How many elements each result is made of."""
    return product([shape[d] for d in dims])


def _rule(name: str, allowed: str, result: DType | None = None, empty: bool = True) -> Callable[..., Inferred]:
    def infer(a: Any, x: Any) -> Inferred:
        d = x.dtype
        if d.kind not in allowed:
            raise refuse(name, d, allowed)
        if not empty:
            for i in a.dims:
                if i < len(x.shape) and x.shape[i] == 0:
                    raise DimensionError(f"{name}(): Expected reduction dim {i} to have non-zero size, got shape {list(x.shape)}")
        return result_shape(name, x.shape, a.dims, a.keepdim), result or d

    return infer


# ---- samples ----


def _sample_attrs(attributes: type, **more: Any) -> Iterable[tuple[tuple[int, ...], tuple[int, ...], Any]]:
    for shape, dims, keepdim in [
        ((2, 3, 4), (0, 1, 2), False), ((2, 3, 4), (1,), True), ((2, 3, 4), (0, 2), False), ((3, 5), (1,), False), ((3, 5), (0,), False),
        ((), (), False),
        ((4, 1), (), False),
    ]:  # fmt: skip
        yield shape, dims, attributes(dims, keepdim, **more)


def _samples(
    allowed: str, low: float = -2.0, high: float = 2.0, empty: bool = True, attributes: type = ReduceAttrs, smooth: bool = True, **more: Any
) -> Any:
    """`smooth`: differentiable for single elements, too."""

    def make() -> Iterable[Sample]:
        for shape, dims, a in _sample_attrs(attributes, **more):
            yield Sample((draw(shape, low, high),), a, grad_inputs=None if smooth or dims else ())
        row = attributes((0,), False, **more)
        for shape in ((3,), (200,)):
            yield Sample((draw(shape, low, high, dtype=np.float32),), row, grad_inputs=())
            yield Sample((draw(shape, low, high, dtype=np.float16),), row, grad_inputs=(), tolerance=1e-3)
        yield Sample((np.array([1.0, np.nan, -np.inf]),), row, grad_inputs=())
        yield Sample((np.zeros((2, 0)),), row)
        if empty:
            yield Sample((np.zeros((0, 2)),), row, grad_inputs=() if allowed == FLOATING else None)
        else:
            yield Sample((np.zeros((0, 2)),), row, error=DimensionError, match="Expected reduction dim 0 to have non-zero size")
        if "i" in allowed:
            yield Sample((whole((2, 3), -4, 4),), attributes((1,), True, **more))
        else:
            yield Sample((whole((2, 3), -4, 4),), row, error=DTypeError, match="floating-point")
        if "b" in allowed:
            yield Sample((np.array([[True, False], [True, True]]),), row)
        yield Sample((draw((2, 3)),), attributes((2,), False, **more), error=DimensionError, match=r"dims \[2\] must be")
        yield Sample((draw((2, 3)),), attributes((1, 0), False, **more), error=DimensionError, match="sorted")

    return make


# ---- primitives ----


def _reference(function: Callable[..., Any]) -> Callable[..., Any]:
    """Half precision accumulates in float32."""

    def reference(a: ReduceAttrs, x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            wide = x.astype(np.float32) if x.dtype in HALVES else x
            return np.asarray(function(wide, axis=a.dims, keepdims=a.keepdim)).astype(x.dtype, copy=False)

    return reference


def _spread(g: Any, x: Any, a: Any) -> Any:
    return expand(restore(g, x, a), shape=x.shape)


def _extremum_vjp(g: Any, y: Any, a: ReduceAttrs, x: Any) -> list[Any]:
    """Equal extrema share the gradient."""
    chosen = as_dtype(eq(x, restore(y, x, a)), g.dtype)
    ties = record(sum, (chosen,), _reduce_attrs(a.dims, True))
    return [chosen * (restore(g, x, a) / ties)]


def _others(x: Any) -> Any:
    """For each element the product of all others along the last dim, by doubling: log2(n) steps, no division, so zeros are no trouble."""
    n = x.shape[-1]
    outer = (0,) * (len(x.shape) - 1)

    def shifted(v: Any, by: int) -> Any:
        return pad(v, low=(*outer, by), high=(*outer, -by), value=1)

    before, after, by = shifted(x, 1), shifted(x, -1), 1
    while by < n:
        before, after, by = before * shifted(before, by), after * shifted(after, -by), by * 2
    return before * after


def _prod_vjp(g: Any, y: Any, a: ReduceAttrs, x: Any) -> list[Any]:
    if not a.dims:
        return [g]
    shape = x.shape
    kept = tuple([d for d in range(len(shape)) if d not in a.dims])
    order = kept + a.dims
    flat = reshape(permute(x, dims=order), shape=(*[shape[d] for d in kept], count(shape, a.dims)))
    others = reshape(_others(flat), shape=tuple([shape[d] for d in order]))
    back = tuple(sorted(range(len(order)), key=order.__getitem__))
    return [restore(g, x, a) * permute(others, dims=back)]


STEP = NotDifferentiable("its result is a bool, which does not vary smoothly with the inputs")
POSITION = NotDifferentiable("its result is a position, a whole number")

sum = define(
    "sum", family=REDUCE, attrs=ReduceAttrs, infer=_rule("sum", "fuic"), reference=_reference(np.sum), samples=_samples(NUMERIC),
    vjp=lambda g, y, a, x: [_spread(g, x, a)],
    doc="Keeps the dtype: small integers and bools are cast to int64 before; half precision accumulates in float32.",
)  # fmt: skip
prod = define(
    "prod", family=REDUCE, attrs=ReduceAttrs, infer=_rule("prod", NUMERIC), reference=_reference(np.prod), vjp=_prod_vjp,
    traits=[Trait.HOLOMORPHIC],
    samples=lambda: [*_samples(NUMERIC, 0.5, 1.5)(), Sample((np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 1.0]]),), ReduceAttrs((1,)))],
)  # fmt: skip
amax = define(
    "amax", family=REDUCE, attrs=ReduceAttrs, infer=_rule("amax", "fuib", empty=False), reference=_reference(np.max), vjp=_extremum_vjp,
    samples=_samples("fuib", empty=False), doc="NaN where any element is NaN.",
)  # fmt: skip
amin = define(
    "amin", family=REDUCE, attrs=ReduceAttrs, infer=_rule("amin", "fuib", empty=False), reference=_reference(np.min), vjp=_extremum_vjp,
    samples=_samples("fuib", empty=False), doc="NaN where any element is NaN.",
)  # fmt: skip
any = define(
    "any", family=REDUCE, attrs=ReduceAttrs, infer=_rule("any", ANY, bool_), vjp=STEP, samples=_samples(ANY),
    reference=lambda a, x: np.asarray(np.any(x != 0, axis=a.dims, keepdims=a.keepdim)),
)  # fmt: skip
all = define(
    "all", family=REDUCE, attrs=ReduceAttrs, infer=_rule("all", ANY, bool_), vjp=STEP, samples=_samples(ANY),
    reference=lambda a, x: np.asarray(np.all(x != 0, axis=a.dims, keepdims=a.keepdim)),
)  # fmt: skip


def _position(name: str, function: Callable[..., Any]) -> OpDef:
    def infer(a: ArgAttrs, x: Any) -> Inferred:
        shape = x.shape
        if x.dtype.kind not in "fuib":
            raise refuse(name, x.dtype, "fuib")
        if a.dim is None:
            if product(shape) == 0:
                raise DimensionError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0, got shape {list(shape)}")
            return (1,) * len(shape) if a.keepdim else (), int64
        if not shape and a.dim == 0:
            return (), int64
        out = result_shape(name, shape, (a.dim,), a.keepdim)
        if shape[a.dim] == 0:
            raise DimensionError(f"{name}(): Expected reduction dim {a.dim} to have non-zero size, got shape {list(shape)}")
        return out, int64

    def reference(a: ArgAttrs, x: np.ndarray) -> np.ndarray:
        wide = x.astype(np.float32) if x.dtype in HALVES else x
        axis = None if x.ndim == 0 else a.dim
        return np.asarray(function(wide, axis=axis, keepdims=a.keepdim)).astype(np.int64)

    def samples() -> Iterable[Sample]:
        x = draw((3, 4))
        for a in (ArgAttrs(None), ArgAttrs(0), ArgAttrs(1, True), ArgAttrs(None, True)):
            yield Sample((x,), a)
        yield Sample((np.array([1, 3, 3, 1]),), ArgAttrs(0))
        yield Sample((np.array([1.0, np.nan, np.inf, np.nan], np.float32),), ArgAttrs(0))
        yield Sample((np.asarray(2.0),), ArgAttrs(0))
        yield Sample((np.zeros((0, 3)),), ArgAttrs(1))
        yield Sample((np.zeros((0, 3)),), ArgAttrs(0), error=DimensionError, match="non-zero size")
        yield Sample((np.zeros((0, 3)),), ArgAttrs(None), error=DimensionError, match="to be specified")
        yield Sample((x,), ArgAttrs(2), error=DimensionError, match=r"dims \[2\]")

    return define(
        name, family=REDUCE, attrs=ArgAttrs, infer=infer, reference=reference, vjp=POSITION, samples=samples,
        doc="int64. The first of equal extrema; the first NaN, if there is one.",
    )  # fmt: skip


argmax = _position("argmax", np.argmax)
argmin = _position("argmin", np.argmin)


# ---- composites ----


def _mean(a: ReduceAttrs, x: Any) -> Any:
    return record(sum, (x,), a) / constant(count(x.shape, a.dims), x.dtype)


def _freedom(a: VarianceAttrs, shape: Shape) -> Any:
    return max(count(shape, a.dims) - a.correction, 0)


def _deviation(x: Any, dims: tuple[int, ...]) -> Any:
    return x - mean(x, dims=dims, keepdim=True)


def _var(a: VarianceAttrs, x: Any) -> Any:
    d = _deviation(x, a.dims)
    return record(sum, (d * d,), _reduce_attrs(a.dims, a.keepdim)) / constant(_freedom(a, x.shape), x.dtype)


def _std_vjp(g: Any, y: Any, a: VarianceAttrs, x: Any) -> list[Any]:
    """Zero where the deviation is zero."""
    zero = constant(0, y.dtype)
    scaled = where(eq(y, zero), zero, g / (y * constant(_freedom(a, x.shape), y.dtype)))
    return [restore(scaled, x, a) * _deviation(x, a.dims)]


def _logsumexp(a: ReduceAttrs, x: Any) -> Any:
    if builtins.any(x.shape[d] == 0 for d in a.dims):
        return log(record(sum, (exp(x),), a))
    kept = _reduce_attrs(a.dims, True)
    top = record(amax, (as_dtype(x, x.dtype.to_real()),), kept)
    top = as_dtype(where(isfinite(top), top, constant(0, top.dtype)), x.dtype)
    total = log(record(sum, (exp(x - top),), kept)) + top
    return total if a.keepdim else reshape(total, shape=reduced_shape(x.shape, a.dims, False))


def _logsumexp_vjp(g: Any, y: Any, a: ReduceAttrs, x: Any) -> list[Any]:
    size = as_dtype(y, y.dtype.to_real())
    safe = where(eq(size, constant(float("-inf"), size.dtype)), constant(0, y.dtype), y)
    return [restore(g, x, a) * exp(x - restore(safe, x, a))]


def _composite(
    name: str, decompose: Callable[..., Any], vjp: Callable[..., Any], attributes: type[Attrs] = ReduceAttrs, doc: str = "",
    allowed: str = FLOATING, traits: tuple[Trait, ...] = (),
) -> OpDef:
    more: dict[str, Any] = {"correction": 0} if attributes is VarianceAttrs else {}
    return define(
        name, family=REDUCE, attrs=attributes, infer=_rule(name, allowed), decompose=whole_in_float32(decompose), vjp=vjp,
        samples=_samples(FLOATING, attributes=attributes, smooth=name != "std", **more), traits=traits, doc=doc,
    )  # fmt: skip


mean = _composite(
    "mean", _mean, lambda g, y, a, x: [_spread(g / constant(count(x.shape, a.dims), g.dtype), x, a)], doc="NaN of no elements.",
    allowed="fc",
)
var = _composite(
    "var", _var, lambda g, y, a,
    x: [restore(g, x, a) * (_deviation(x, a.dims) * (constant(2, g.dtype) / constant(_freedom(a, x.shape), g.dtype)))],
    VarianceAttrs, doc="In two passes: the mean first.",
)  # fmt: skip
std = _composite("std", lambda a, x: sqrt(record(var, (x,), a)), _std_vjp, VarianceAttrs, doc="The square root of `var`.")
logsumexp = _composite(
    "logsumexp", _logsumexp, _logsumexp_vjp, doc="log of the sum of exponentials, without overflow; -inf of no elements.",
    allowed="fc", traits=(Trait.HOLOMORPHIC,),
)
