"""Reductions, scans and sorting, as functions and methods."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from typing import Any

from monograph.core import dtype as dtypes
from monograph.core.late import fetched
from monograph.core.shape import normalize_dim, normalize_dims, whole
from monograph.core.symbol import Sym
from monograph.graph.node import Node
from monograph.graph.op import OpDef
from monograph.ops import compare, elementwise, index, norm, reduce, scan, sort, source
from monograph.ops.precision import narrow, widen
from monograph.tensor.core import Tensor
from monograph.tensor.delivery import takes_out
from monograph.tensor.dispatch import cast_node, emit, finish, read
from monograph.tensor.pointwise import FUNCTIONS, METHODS, deliver, publish

Dims = int | Sequence[int] | None


def value_pair(name: str, *fields: str) -> Any:
    """The class of a result with several parts that have names."""
    return namedtuple(name, fields)


MaxResult = value_pair("max", "values", "indices")
MinResult = value_pair("min", "values", "indices")
SortResult = value_pair("sort", "values", "indices")
TopkResult = value_pair("topk", "values", "indices")
MedianResult = value_pair("median", "values", "indices")
AminmaxResult = value_pair("aminmax", "min", "max")
CummaxResult = value_pair("cummax", "values", "indices")


def _axis(dim: Any, kwargs: dict[str, Any]) -> Any:
    """NumPy's spelling `axis=` of `dim=`."""
    return kwargs.pop("axis") if "axis" in kwargs else dim


def _keep(keepdim: bool, kwargs: dict[str, Any]) -> bool:
    keep = kwargs.pop("keepdims", keepdim)
    if kwargs:
        raise TypeError(f"got an unexpected keyword argument '{next(iter(kwargs))}'")
    return bool(keep)


def _dims(x: Node, dim: Dims) -> tuple[int, ...]:
    return normalize_dims(tuple(dim) if isinstance(dim, list) else dim, len(x.shape))


def _summing(name: str, op: OpDef) -> Callable[..., Tensor]:
    def function(
        input: Tensor,
        dim: Dims = None,
        keepdim: bool = False,
        *,
        dtype: dtypes.dtype | None = None,
        out: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:  # noqa: A002
        dim = _axis(dim, kwargs)
        keep = _keep(keepdim, kwargs)
        x = read(input)
        if dtype is not None and dtype.kind != "b":
            x = cast_node(x, dtype)
        elif dtype is not None or x.dtype.kind not in "fc":
            x = cast_node(x if dtype is None else cast_node(x, dtype), dtypes.int64)
        result = emit(op, x, dims=_dims(x, dim), keepdim=keep)
        return deliver(result if dtype is None or dtype.kind != "b" else FUNCTIONS["_to_dtype"](result, dtype), out)

    function.__doc__ = f"{name} over dimensions (all by default); integers and bools are summed up as int64."
    return publish(name, function)


sum = _summing("sum", reduce.sum)  # noqa: A001
_summing("prod", reduce.prod)


def _averaging(x: Node, name: str, dtype: dtypes.dtype | None) -> Node:
    if dtype is not None:
        return cast_node(x, dtype)
    if x.dtype.kind not in "fc":
        raise RuntimeError(
            f"{name}(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: {x.dtype.name}. "
            f"Use x.float().{name}()"
        )
    return x


def mean(
    input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: dtypes.dtype | None = None, out: Tensor | None = None, **kwargs: Any
) -> Tensor:  # noqa: A002
    """The mean over dimensions (all by default) of a floating tensor."""
    dim = _axis(dim, kwargs)
    keep = _keep(keepdim, kwargs)
    x = _averaging(read(input), "mean", dtype)
    return deliver(emit(reduce.mean, x, dims=_dims(x, dim), keepdim=keep), out)


publish("mean", mean)


def _variance(input: Tensor, dim: Any, unbiased: Any, keepdim: bool, correction: Any, name: str, kwargs: dict[str,
Any]) -> Node:  # noqa: A002
    dim = _axis(dim, kwargs)
    keep = _keep(keepdim, kwargs)
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    x = _averaging(read(input), name, None)
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    dims = _dims(x, dim)
    if x.dtype.kind == "c":  # of both parts
        parts = [cast_node(p, x.dtype.to_real()) for p in (x, x * -1j)]
        return elementwise.add(*[reduce.var(p, dims=dims, keepdim=keep, correction=correction) for p in parts])
    return reduce.var(x, dims=dims, keepdim=keep, correction=correction)


def var(
    input: Tensor,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
    out: Tensor | None = None,
    **kwargs: Any,
) -> Tensor:  # noqa: A002
    """The variance over dimensions, divided by n - correction (1 by default)."""
    return deliver(finish(_variance(input, dim, unbiased, keepdim, correction, "var", kwargs)), out)


def std(
    input: Tensor,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
    out: Tensor | None = None,
    **kwargs: Any,
) -> Tensor:  # noqa: A002
    """The standard deviation over dimensions: the root of `var`."""
    return deliver(emit(elementwise.sqrt, _variance(input, dim, unbiased, keepdim, correction, "std", kwargs)), out)


publish("var", var)
publish("std", std)
FUNCTIONS["var_mean"] = lambda input, dim=None, unbiased=None, keepdim=False, *, correction=None: (
    var(input, dim, unbiased, keepdim, correction=correction),
    mean(input, None if isinstance(dim, bool) else dim, keepdim),
)
FUNCTIONS["std_mean"] = lambda input, dim=None, unbiased=None, keepdim=False, *, correction=None: (
    std(input, dim, unbiased, keepdim, correction=correction),
    mean(input, None if isinstance(dim, bool) else dim, keepdim),
)


def _logical(name: str, op: OpDef) -> None:
    def function(input: Tensor, dim: Dims = None, keepdim: bool = False, *, out: Tensor | None = None,
    **kwargs: Any) -> Tensor:  # noqa: A002
        dim = _axis(dim, kwargs)
        keep = _keep(keepdim, kwargs)
        x = read(input)
        result = emit(op, cast_node(x, dtypes.bool_), dims=_dims(x, dim), keepdim=keep)
        result = emit(elementwise.cast, read(result), dtype=dtypes.uint8) if x.dtype is dtypes.uint8 else result
        return deliver(result, out, exact=out is not None and out.dtype is not dtypes.uint8)

    function.__doc__ = f"Whether {name} element is true, over dimensions."
    publish(name, function)


_logical("any", reduce.any)
_logical("all", reduce.all)


def _extreme(name: str, op: OpDef) -> None:
    def function(input: Tensor, dim: Dims = (), keepdim: bool = False, *, out: Tensor | None = None, **kwargs: Any) -> Tensor:  # noqa: A002
        dim = _axis(dim, kwargs)
        keep = _keep(keepdim, kwargs)
        x = read(input)
        return deliver(emit(op, x, dims=_dims(x, dim), keepdim=keep), out, exact=True)

    function.__doc__ = f"{name} over dimensions; gradients are shared evenly between equal elements."
    publish(name, function)


_extreme("amax", reduce.amax)
_extreme("amin", reduce.amin)


def _position(name: str, op: OpDef) -> Callable[..., Tensor]:
    def function(input: Tensor, dim: int | None = None, keepdim: bool = False, *, out: Tensor | None = None,
    **kwargs: Any) -> Tensor:  # noqa: A002
        dim = _axis(dim, kwargs)
        keep = _keep(keepdim, kwargs)
        x = read(input)
        if x.dtype.kind == "b":
            raise RuntimeError(f"{name}: not defined for dtype bool; use x.int().{name}()")
        return deliver(emit(op, x, dim=None if dim is None else normalize_dim(dim, len(x.shape)), keepdim=keep), out, exact=True)

    function.__doc__ = f"{name}: the index (int64) of the extreme element along `dim`, or in the flattened tensor."
    return publish(name, function)


argmax = _position("argmax", reduce.argmax)
argmin = _position("argmin", reduce.argmin)


def _with_index(name: str, extreme: OpDef, position: OpDef, pair: Any, elementwise_op: str) -> None:
    def function(input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Any = None, **kwargs: Any) -> Any:  # noqa: A002
        dim = kwargs.pop("other", _axis(dim, kwargs))
        keep = _keep(keepdim, kwargs)
        if isinstance(dim, Tensor):
            return FUNCTIONS[elementwise_op](input, dim, out=out)
        x = read(input)
        if dim is None:
            return deliver(emit(extreme, x, dims=tuple(range(len(x.shape))), keepdim=False), out)
        d = normalize_dim(dim, len(x.shape))
        if not x.shape:
            return deliver(pair(finish(source.clone(x)), finish(source.constant(0, dtypes.int64))), out, exact=True)
        at = position(x, dim=d, keepdim=True)
        values = finish(index.gather(x, at, dim=d))
        indices = finish(at)
        found = pair(values, indices) if keep else pair(METHODS["squeeze"](values, d), METHODS["squeeze"](indices, d))
        return deliver(found, out, exact=True)

    function.__doc__ = f"{name} of all elements; with `dim` a pair (values, indices); with another tensor, element by element."
    publish(name, function)


_with_index("max", reduce.amax, reduce.argmax, MaxResult, "maximum")
_with_index("min", reduce.amin, reduce.argmin, MinResult, "minimum")


def logsumexp(input: Tensor, dim: Dims, keepdim: bool = False, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """log(sum(exp(input))) over dimensions, without overflow."""
    x = read(input)
    x = cast_node(x, dtypes.defaults.floating) if x.dtype.kind not in "fc" else x
    return deliver(emit(reduce.logsumexp, x, dims=_dims(x, dim), keepdim=keepdim), out)


publish("logsumexp", logsumexp)


def _normalised(name: str, op: OpDef) -> None:
    def function(
        input: Tensor,
        dim: int | None = None,
        dtype: dtypes.dtype | None = None,
        *,
        out: Tensor | None = None,
        _stacklevel: int = 3,
        **kwargs: Any,
    ) -> Tensor:  # noqa: A002
        dim = _axis(dim, kwargs)
        x = read(input)
        if dim is None:
            dim = 0 if len(x.shape) in (0, 1, 3) else 1
        x = cast_node(x, dtype) if dtype is not None else x
        if x.dtype.kind != "f":
            raise RuntimeError(f"{name}: not implemented for dtype {x.dtype.name}; convert with .float() first")
        if not x.shape:
            return deliver(emit(source.clone, elementwise.sub(x, x) + (1.0 if name == "softmax" else 0.0)), out)
        return deliver(emit(op, x, dim=normalize_dim(dim, len(x.shape))), out)

    function.__doc__ = f"{name} along `dim` (sums to one there)."
    publish(name, function)


_normalised("softmax", norm.softmax)
_normalised("log_softmax", norm.log_softmax)


def _scan(name: str, op: OpDef) -> None:
    def function(input: Tensor, dim: int, *, dtype: dtypes.dtype | None = None, out: Tensor | None = None) -> Tensor:  # noqa: A002
        x = read(input)
        if out is not None and dtype is None:
            dtype = out.dtype
        x = cast_node(x, dtype) if dtype is not None else (cast_node(x, dtypes.int64) if x.dtype.kind not in "fc" else x)
        return deliver(emit(op, x, dim=normalize_dim(dim, len(x.shape))), out)

    function.__doc__ = f"{name} along `dim`."
    publish(name, function, in_place=True)


_scan("cumsum", scan.cumsum)
_scan("cumprod", scan.cumprod)


def _pair(op: OpDef, x: Node, kind: Any, **attrs: Any) -> Any:
    node = op(x, **attrs)
    return kind(finish(source.project(node, index=0)), finish(source.project(node, index=1)))


publish("cummax", lambda input, dim: _pair(scan.cummax, read(input), CummaxResult, dim=normalize_dim(dim, input.ndim)))
publish("cummin", lambda input, dim: _pair(scan.cummin, read(input), CummaxResult, dim=normalize_dim(dim, input.ndim)))


def sort_(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:  # noqa: A002
    """(values, indices) sorted along `dim`; always stable."""
    x = read(input)
    return _pair(sort.sort, x, SortResult, dim=normalize_dim(dim, len(x.shape)), descending=bool(descending), stable=True)


publish("sort", sort_)
publish("argsort", lambda input, dim=-1, descending=False, stable=False: sort_(input, dim, descending, stable).indices)


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:  # noqa: A002
    """(values, indices) of the k largest (or smallest) elements along `dim`, sorted."""
    x = read(input)
    d = normalize_dim(dim, len(x.shape))
    if isinstance(k, bool) or not isinstance(k := whole(k), int | Sym):
        raise TypeError(f"topk(): argument 'k' (position 2) must be int, not {type(k).__name__}")
    if not 0 <= k <= (x.shape[d] if x.shape else 1):
        raise RuntimeError(f"selected index k out of range: k={k} of {x.shape[d] if x.shape else 1} elements along dim {d}")
    return _pair(sort.topk, x, TopkResult, k=k, dim=d, largest=bool(largest))


publish("topk", topk)


def _median_of_nothing(input: Tensor) -> Tensor:
    """NaN, or what a processor makes of it as a whole number."""
    d = input.dtype
    return FUNCTIONS["sum"](input) * float("nan") if d.kind == "f" else FUNCTIONS["full"]((), dtypes.iinfo(d).min, dtype=d)


def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:  # noqa: A002
    """The lower median of all elements, or (values, indices) along `dim`."""
    if dim is None:
        flat = input.flatten()
        n = flat.numel()
        if n == 0:
            return _median_of_nothing(input)
        return sort_(flat).values[(n - 1) // 2]
    values, indices = sort_(input, dim)
    at = (input.shape[dim] - 1) // 2
    picked = [t.narrow(dim, at, 1) for t in (values, indices)]
    return MedianResult(*(picked if keepdim else [t.squeeze(dim) for t in picked]))


publish("median", median)


def _root(x: Node) -> Node:
    """sqrt with a gradient of 0 at 0, as a norm has it."""
    if not x.requires_grad:
        return elementwise.sqrt(x)
    zero = compare.eq(x, source.constant(0, x.dtype))
    return elementwise.where(zero, source.constant(0, x.dtype), elementwise.sqrt(elementwise.where(zero, source.constant(1, x.dtype), x)))


def norm_(
    input: Tensor, p: Any = 2, dim: Dims = None, keepdim: bool = False, dtype: dtypes.dtype | None = None, out: Tensor | None = None
) -> Tensor:  # noqa: A002
    """The vector p-norm over dimensions (all by default); "fro" is the 2-norm."""
    x = read(input)
    if dtype is not None and x.dtype.kind in "fc" and dtypes.promote(x.dtype, dtype) is not dtype:
        raise RuntimeError(
            f"linalg.vector_norm: the dtype of the input ({x.dtype.name}) should be convertible without narrowing to the specified dtype "
            f"({dtype.name})"
        )
    x = cast_node(x, dtype) if dtype is not None else x
    if x.dtype.kind not in "fc":
        raise RuntimeError(f"norm(): expected a floating-point tensor, got {x.dtype.name}; use x.float()")
    if p == "nuc":
        dims = tuple(range(len(x.shape))) if dim is None else dim
        return fetched("linear algebra", "the nuclear norm").matrix_norm(finish(x), "nuc", dims, keepdim, out=out)
    x = elementwise.abs(x) if x.dtype.kind == "c" else x
    kept = x.dtype
    x = widen(x)  # a sum of powers would overflow in half precision
    dims = _dims(x, dim)
    if p in (2, 2.0, "fro", None):
        result = _root(reduce.sum(elementwise.square(x), dims=dims, keepdim=keepdim))
    elif p == 1:
        result = reduce.sum(elementwise.abs(x), dims=dims, keepdim=keepdim)
    elif p == float("inf"):
        result = reduce.amax(elementwise.abs(x), dims=dims, keepdim=keepdim)
    elif p == float("-inf"):
        result = reduce.amin(elementwise.abs(x), dims=dims, keepdim=keepdim)
    elif p == 0:
        result = reduce.sum(cast_node(compare.ne(x, source.constant(0, x.dtype)), x.dtype), dims=dims, keepdim=keepdim)
    else:
        q = source.constant(float(p), x.dtype)
        result = elementwise.pow(
            reduce.sum(elementwise.pow(elementwise.abs(x), q), dims=dims, keepdim=keepdim), source.constant(1.0 / p, x.dtype)
        )
    return deliver(finish(narrow(result, kept)), out)


publish("norm", norm_)
publish("count_nonzero", lambda input, dim=None: sum(FUNCTIONS["ne"](input, 0), dim))


def nansum(
    input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: dtypes.dtype | None = None, out: Tensor | None = None  # noqa: A002
) -> Tensor:  # fmt: skip
    """The sum over dimensions with NaN taken as zero."""
    if input.dtype.kind == "c":
        raise RuntimeError("nansum does not support complex inputs")
    x = FUNCTIONS["where"](FUNCTIONS["isnan"](input), 0.0, input) if input.dtype.kind == "f" else input
    return sum(x, dim, keepdim, dtype=dtype, out=out)


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False, out: Any = None) -> Any:  # noqa: A002
    """The smallest and the largest element, of all or along `dim`."""
    over = tuple(range(len(input.shape))) if dim is None else normalize_dim(dim, len(input.shape))
    if dim is None and not input.numel():  # type: ignore[attr-defined]
        raise RuntimeError("aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity.")
    found = AminmaxResult(FUNCTIONS["amin"](input, over, keepdim), FUNCTIONS["amax"](input, over, keepdim))
    return deliver(found, out, exact=True)


publish("nansum", nansum)
publish("aminmax", aminmax)
for _name in ("sort", "argsort", "topk", "cummax", "cummin", "median"):
    FUNCTIONS[_name] = takes_out(FUNCTIONS[_name])
