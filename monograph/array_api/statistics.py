"""Sums, means and extremes over axes; running sums; all, any and differences."""

from __future__ import annotations

from typing import Any

from monograph.array_api.array import returns_arrays
from monograph.array_api.manipulation import Axes, as_tuple
from monograph.core import dtype as dtypes
from monograph.core.dtype import dtype as DType
from monograph.core.shape import normalize_dim
from monograph.tensor.core import Tensor
from monograph.tensor.pointwise import FUNCTIONS, METHODS, to_dtype


def _over(x: Tensor, axis: Axes) -> tuple[int, ...]:
    """The axes to reduce. Torch takes () for all of them, the standard for none: the caller looks at an empty answer."""
    return tuple(range(x.ndim)) if axis is None else tuple(normalize_dim(a, x.ndim) for a in as_tuple(axis))


def _summable(x: Tensor, dtype: DType | None) -> Tensor:
    """Integers are summed up in the widest type of their kind unless a dtype is given."""
    if dtype is None:
        widest = {"u": dtypes.uint64, "i": dtypes.int64, "b": dtypes.int64}
        dtype = widest.get(x.dtype.kind, x.dtype)
    return to_dtype(x, dtype)


def _reduced(name: str, x: Tensor, axis: Axes, keepdims: bool, **options: Any) -> Any:
    """The reduction `name` over axes; over none the elements are reduced on their own, through an axis of size 1."""
    dims = _over(x, axis)
    if not dims:
        return FUNCTIONS[name](METHODS["unsqueeze"](x, 0), (0,), **options)
    return FUNCTIONS[name](x, dims, keepdim=keepdims, **options)


@returns_arrays
def sum(x: Tensor, /, *, axis: Axes = None, dtype: DType | None = None, keepdims: bool = False) -> Any:  # noqa: A001
    """The sum over axes."""
    summable = _summable(x, dtype)
    return _reduced("sum", summable, axis, keepdims, dtype=summable.dtype)


@returns_arrays
def prod(x: Tensor, /, *, axis: Axes = None, dtype: DType | None = None, keepdims: bool = False) -> Any:
    """The product over axes."""
    result: Any = _summable(x, dtype)
    for d in sorted(_over(x, axis), reverse=True):
        result = FUNCTIONS["prod"](result, d, keepdims, dtype=result.dtype)
    return result


@returns_arrays
def max(x: Tensor, /, *, axis: Axes = None, keepdims: bool = False) -> Any:  # noqa: A001
    """The greatest element over axes; NaN if there is one."""
    return _reduced("amax", x, axis, keepdims)


@returns_arrays
def min(x: Tensor, /, *, axis: Axes = None, keepdims: bool = False) -> Any:  # noqa: A001
    """The smallest element over axes; NaN if there is one."""
    return _reduced("amin", x, axis, keepdims)


@returns_arrays
def mean(x: Tensor, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """The mean over axes."""
    return _reduced("mean", x, axis, keepdims)


@returns_arrays
def var(x: Tensor, /, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The variance over axes: squared deviations divided by n - correction."""
    return _reduced("var", x, axis, keepdims, correction=correction)


@returns_arrays
def std(x: Tensor, /, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The standard deviation over axes: the root of `var`."""
    return _reduced("std", x, axis, keepdims, correction=correction)


@returns_arrays
def all(x: Tensor, /, *, axis: Axes = None, keepdims: bool = False) -> Any:  # noqa: A001
    """Whether all elements are true, over axes."""
    return _reduced("all", FUNCTIONS["ne"](x, 0), axis, keepdims)


@returns_arrays
def any(x: Tensor, /, *, axis: Axes = None, keepdims: bool = False) -> Any:  # noqa: A001
    """Whether any element is true, over axes."""
    return _reduced("any", FUNCTIONS["ne"](x, 0), axis, keepdims)


def _cumulative(name: str, start: int, x: Tensor, axis: int | None, dtype: DType | None, include_initial: bool) -> Tensor:
    if axis is None:
        if x.ndim != 1:
            raise ValueError(f"cumulative: axis must be given for an array of {x.ndim} dimensions")
        axis = 0
    d = normalize_dim(axis, x.ndim)
    summable = _summable(x, dtype)
    result = FUNCTIONS[name](summable, d, dtype=summable.dtype)
    if include_initial:
        first = FUNCTIONS["full"]((*x.shape[:d], 1, *x.shape[d + 1 :]), start, dtype=result.dtype)
        result = FUNCTIONS["cat"]([first, result], d)
    return result


@returns_arrays
def cumulative_sum(x: Tensor, /, *, axis: int | None = None, dtype: DType | None = None, include_initial: bool = False) -> Any:
    """Running sums along `axis`, which may be left out for a vector; `include_initial` puts a 0 in front."""
    return _cumulative("cumsum", 0, x, axis, dtype, include_initial)


@returns_arrays
def cumulative_prod(x: Tensor, /, *, axis: int | None = None, dtype: DType | None = None, include_initial: bool = False) -> Any:
    """Running products along `axis`, which may be left out for a vector; `include_initial` puts a 1 in front."""
    return _cumulative("cumprod", 1, x, axis, dtype, include_initial)


@returns_arrays
def diff(x: Tensor, /, *, axis: int = -1, n: int = 1, prepend: Tensor | None = None, append: Tensor | None = None) -> Any:
    """The n-th differences of neighbours along `axis`, after arrays were put before and behind."""
    return FUNCTIONS["diff"](x, n, axis, prepend, append)
