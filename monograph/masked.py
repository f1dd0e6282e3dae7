"""torch.masked: reductions and normalisations that leave out the elements where a mask is False.

A mask broadcasts to the input; None keeps everything. Where nothing is left of a row, the result is what the operation starts from (0 for
a sum, -inf for a maximum), and NaN for means, variances, medians and normalisations, which start from nothing.
"""

from __future__ import annotations

import math
from typing import Any

from monograph.core import dtype as dtypes
from monograph.core.dtype import dtype as DType
from monograph.core.shape import broadcast, normalize_dim
from monograph.linalg.norms import vector_norm
from monograph.tensor.core import Tensor
from monograph.tensor.pointwise import FUNCTIONS as F

__all__ = [
    "amax", "amin", "argmax", "argmin", "cumprod", "cumsum", "log_softmax", "logaddexp", "logsumexp", "mean", "median", "norm",
    "normalize", "prod", "softmax", "softmin", "std", "sum", "var",
]  # fmt: skip


def _mask_of(input: Tensor, mask: Tensor) -> Tensor:  # noqa: A002
    """The mask in the input's shape. Raises IndexError for one of more dimensions."""
    if mask.ndim > input.ndim:
        raise IndexError(f"a mask of shape {list(mask.shape)} does not broadcast to its input {list(input.shape)}: it has more dimensions")
    broadcast(tuple(mask.shape), tuple(input.shape))
    return mask.expand(input.shape).to(dtypes.bool_)  # type: ignore[attr-defined]


def _input_mask(input: Tensor, *args: Any, mask: Tensor | None = None, **kwargs: Any) -> Tensor:  # noqa: A002
    """The mask in the input's shape. Raises ValueError where there is none."""
    if mask is None:
        raise ValueError("_input_mask requires explicit mask")
    return _mask_of(input, mask)


def _output_mask(op: Any, input: Tensor, *args: Any, dim: Any = None, keepdim: bool = False, mask: Any = None, **kwargs: Any) -> Tensor:  # noqa: A002
    """Which elements of op's result come from anything that is not masked out; `op` is a function of this module."""
    there = _input_mask(input, mask=mask)
    if op.__name__ in ("softmax", "log_softmax", "softmin", "normalize", "cumsum", "cumprod"):
        return there
    at = 1 if op.__name__ == "norm" else 0  # `ord` comes first
    dim = args[at] if len(args) > at else (-1 if op.__name__ == "median" and dim is None else dim)
    return F["any"](there, _dims(dim, input.ndim or 1), bool(keepdim))


def _largest(d: DType, sign: int, name: str) -> float:
    """What a maximum (sign 1) or minimum (sign -1) of elements of this dtype starts from."""
    if d.kind == "f":
        return -sign * math.inf
    if d.kind not in "iu":
        raise NotImplementedError(f"identity of {name} on {d.name} input: only real numbers have one")
    return dtypes.Info(d).min if sign > 0 else dtypes.Info(d).max


def _kept(input: Tensor, mask: Tensor | None, start: Any) -> Tensor:  # noqa: A002
    """The input with `start` where it is masked out; a callable start is only asked with a mask."""
    if mask is None:
        return input
    value = start() if callable(start) else start
    return F["where"](_mask_of(input, mask), input, F["full"]((), value, dtype=input.dtype))


def _dims(dim: Any, ndim: int) -> tuple[int, ...]:
    """Dimensions counted from the front; None and () are all. Raises RuntimeError where one occurs twice."""
    if dim is None or dim == ():
        return tuple(range(ndim))
    found = tuple(normalize_dim(d, ndim) for d in (dim if isinstance(dim, tuple | list) else (dim,)))
    if len(set(found)) < len(found):
        raise RuntimeError(f"dim={dim} appears multiple times in the list of dims")
    return tuple(sorted(found))


def _cast(result: Tensor, dtype: DType | None, input: Tensor) -> Tensor:  # noqa: A002
    return result.to(input.dtype if dtype is None else dtype)  # type: ignore[attr-defined]


def _sum_dtype(input: Tensor, dtype: DType | None) -> DType:  # noqa: A002
    return dtype or (dtypes.int64 if input.dtype.kind in "iub" else input.dtype)


def sum(  # noqa: A001
    input: Tensor, dim: Any = None, *, keepdim: bool | None = False, dtype: DType | None = None, mask: Tensor | None = None  # noqa: A002
) -> Tensor:  # fmt: skip
    """The sum of what the mask keeps, over `dim` (a number, a tuple, or None: all). Small integers add up as int64.

    >>> import monograph as mg
    >>> mg.masked.sum(mg.tensor([[1, 2], [3, 4]]), 1, mask=mg.tensor([[True, False], [False, False]])).tolist()
    [1, 0]
    """
    return F["sum"](_kept(input, mask, 0), _dims(dim, input.ndim), bool(keepdim), dtype=_sum_dtype(input, dtype))


def prod(
    input: Tensor, dim: Any = None, *, keepdim: bool | None = False, dtype: DType | None = None, mask: Tensor | None = None  # noqa: A002
) -> Tensor:  # fmt: skip
    """The product of what the mask keeps; see `sum`."""
    result = _cast(_kept(input, mask, 1), _sum_dtype(input, dtype), input)
    for d in reversed(_dims(dim, input.ndim)):
        result = F["prod"](result, d, bool(keepdim))
    return result


def cumsum(input: Tensor, dim: int, *, dtype: DType | None = None, mask: Tensor | None = None) -> Tensor:  # noqa: A002
    """Running sums along `dim`, in which what is masked out counts as 0.

    >>> import monograph as mg
    >>> mg.masked.cumsum(mg.tensor([1.0, 2.0, 3.0]), 0, mask=mg.tensor([True, False, True])).tolist()
    [1.0, 1.0, 4.0]
    """
    return F["cumsum"](_kept(input, mask, 0), _dims(dim, input.ndim or 1)[0], dtype=dtype or input.dtype)


def cumprod(input: Tensor, dim: int, *, dtype: DType | None = None, mask: Tensor | None = None) -> Tensor:  # noqa: A002
    """Running products along `dim`, in which what is masked out counts as 1."""
    return F["cumprod"](_kept(input, mask, 1), _dims(dim, input.ndim or 1)[0], dtype=dtype or input.dtype)


def _extremum(name: str, input: Tensor, dim: Any, keepdim: bool | None, dtype: DType | None, mask: Tensor | None, sign: int) -> Tensor:  # noqa: A002
    kept = _kept(input, mask, lambda: _largest(input.dtype, sign, name))
    return _cast(F[name](kept, dim, bool(keepdim)), dtype, input)


def amax(
    input: Tensor, dim: Any = None, *, keepdim: bool | None = False, dtype: DType | None = None, mask: Tensor | None = None  # noqa: A002
) -> Tensor:  # fmt: skip
    """The largest of what the mask keeps; -inf (the smallest integer) where that is nothing. NotImplementedError for masked bools.

    >>> import monograph as mg
    >>> mg.masked.amax(mg.tensor([1.0, 5.0, 3.0]), mask=mg.tensor([True, False, True])).item()
    3.0
    """
    return _extremum("amax", input, _dims(dim, input.ndim), keepdim, dtype, mask, 1)


def amin(
    input: Tensor, dim: Any = None, *, keepdim: bool | None = False, dtype: DType | None = None, mask: Tensor | None = None  # noqa: A002
) -> Tensor:  # fmt: skip
    """The smallest of what the mask keeps; see `amax`."""
    return _extremum("amin", input, _dims(dim, input.ndim), keepdim, dtype, mask, -1)


def argmax(
    input: Tensor, dim: int | None = None, *, keepdim: bool | None = False, dtype: DType | None = None,  # noqa: A002
    mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Where the largest of what the mask keeps is (along `dim`, or in the flattened input), as a number of the input's dtype."""
    return _extremum("argmax", input, dim, keepdim, dtype, mask, 1)


def argmin(
    input: Tensor, dim: int | None = None, *, keepdim: bool | None = False, dtype: DType | None = None,  # noqa: A002
    mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Where the smallest of what the mask keeps is; see `argmax`."""
    return _extremum("argmin", input, dim, keepdim, dtype, mask, -1)


def _count(input: Tensor, dim: Any, keepdim: bool | None, mask: Tensor | None) -> Tensor:  # noqa: A002
    there = F["ones_like"](input, dtype=dtypes.bool_) if mask is None else _mask_of(input, mask)
    return F["sum"](there, _dims(dim, input.ndim), bool(keepdim))


def mean(
    input: Tensor, dim: Any = None, *, keepdim: bool | None = False, dtype: DType | None = None, mask: Tensor | None = None  # noqa: A002
) -> Tensor:  # fmt: skip
    """The mean of what the mask keeps; NaN of nothing. ValueError for integers without a `dtype`.

    >>> import monograph as mg
    >>> mg.masked.mean(mg.tensor([1.0, 5.0, 3.0]), mask=mg.tensor([True, False, True])).item()
    2.0
    """
    wanted = dtype or input.dtype
    if wanted.kind not in "fc":
        raise ValueError(
            f"mean(): Could not infer output dtype. {'Input' if dtype is None else 'Optional'} dtype must be either a floating point or "
            f"complex dtype. Got: {wanted}"
        )
    return F["div"](sum(input, dim, keepdim=keepdim, dtype=wanted, mask=mask), _count(input, dim, keepdim, mask))


def median(
    input: Tensor, dim: int = -1, *, keepdim: bool = False, dtype: DType | None = None, mask: Tensor | None = None  # noqa: A002
) -> Tensor:  # fmt: skip
    """The median of what the mask keeps along `dim`, the lower of two; NaN of nothing (ValueError for integers)."""
    real = input.dtype.kind == "f"
    values = input if real else input.to(dtypes.float32)  # type: ignore[attr-defined]
    result = F["nanmedian"](_kept(values, mask, math.nan), _dims(dim, input.ndim or 1)[0], keepdim).values
    if real:
        return result
    if bool(F["isnan"](result).any().item()):
        raise ValueError("masked median expects no fully masked out rows if dtype is not floating point")
    return _cast(result, dtype, input)


def logsumexp(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: DType | None = None, mask: Tensor | None = None  # noqa: A002
) -> Tensor:  # fmt: skip
    """log(sum(exp)) of what the mask keeps; -inf of nothing."""
    kept = _kept(input, mask, lambda: -math.inf if input.dtype.kind == "c" else _largest(input.dtype, 1, "logsumexp"))
    return _cast(F["logsumexp"](kept, _dims(dim, input.ndim), keepdim), dtype, input)


def logaddexp(
    input: Tensor, other: Tensor, *, dtype: DType | None = None, input_mask: Tensor | None = None, other_mask: Tensor | None = None  # noqa: A002
) -> Tensor:  # fmt: skip
    """log(exp(input) + exp(other)) where each has a mask of its own: of one that is masked out exp counts as 0.

    >>> import monograph as mg
    >>> x, y, keep = mg.tensor([-1.0, -2.0]), mg.tensor([-100.0, -300.0]), mg.tensor([True, False])
    >>> mg.masked.logaddexp(x, y, input_mask=keep, other_mask=keep).tolist()
    [-1.0, -inf]
    """
    parts = [_kept(x, m, lambda x=x: _largest(x.dtype, 1, "logaddexp")) for x, m in ((input, input_mask), (other, other_mask))]
    return _cast(F["logaddexp"](*parts), dtype, input)


def norm(
    input: Tensor, ord: float | None = 2.0, dim: Any = None, *, keepdim: bool | None = False, dtype: DType | None = None,  # noqa: A002
    mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The vector norm of order `ord` of what the mask keeps: 0 of nothing, inf for ord=-inf."""
    kept = _kept(input, mask, math.inf if ord == -math.inf else 0)
    return vector_norm(kept, 2.0 if ord is None else ord, _dims(dim, input.ndim), bool(keepdim), dtype=dtype or input.dtype)


def _moment(
    input: Tensor, dim: Any, unbiased: bool | None, correction: float | None, keepdim: bool | None, dtype: DType | None,  # noqa: A002
    mask: Tensor | None,
) -> Tensor:  # fmt: skip
    """The variance: squared distances to the mean of what is kept, over their number less the correction."""
    if unbiased is not None and correction is not None:
        raise AssertionError("Only one of unbiased and correction may be given")
    less = float(correction) if correction is not None else float(unbiased is not False)
    wanted = dtype or (input.dtype if input.dtype.kind in "fc" else dtypes.float32)
    exact = wanted if wanted.kind in "fc" else dtypes.float32
    centre = F["div"](sum(input, dim, keepdim=True, dtype=wanted, mask=mask), _count(input, dim, True, mask))
    away = F["sub"](input, centre)
    total = sum(F["mul"](away, F["conj"](away)), dim, keepdim=keepdim, dtype=exact, mask=mask)
    count = _count(input, dim, keepdim, mask)
    if less:
        count = F["clamp"](F["sub"](count.to(exact.to_real()), less), min=0)  # type: ignore[attr-defined]
    return _cast(F["div"](total, count), wanted, input)


def var(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, *, correction: float | None = None, keepdim: bool | None = False,  # noqa: A002
    dtype: DType | None = None, mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The variance of what the mask keeps, over their number less `correction` (by default 1); NaN of too few.

    >>> import monograph as mg
    >>> mg.masked.var(mg.tensor([1.0, 50.0, 3.0]), mask=mg.tensor([True, False, True])).item()
    2.0
    """
    return _moment(input, dim, unbiased, correction, keepdim, dtype, mask)


def std(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, *, correction: float | None = None, keepdim: bool | None = False,  # noqa: A002
    dtype: DType | None = None, mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The square root of `var`."""
    return F["sqrt"](_moment(input, dim, unbiased, correction, keepdim, dtype, mask))


def softmax(input: Tensor, dim: int, *, dtype: DType | None = None, mask: Tensor | None = None) -> Tensor:  # noqa: A002
    """softmax along `dim` over what the mask keeps; 0 elsewhere, NaN where a whole row is masked out.

    >>> import monograph as mg
    >>> mg.masked.softmax(mg.tensor([1.0, 9.0, 1.0]), 0, mask=mg.tensor([True, False, True])).tolist()
    [0.5, 0.0, 0.5]
    """
    kept = _kept(input, mask, lambda: _largest(input.dtype, 1, "amax"))
    return F["softmax"](kept, _dims(dim, input.ndim or 1)[0], dtype=dtype or input.dtype)


def log_softmax(input: Tensor, dim: int, *, dtype: DType | None = None, mask: Tensor | None = None) -> Tensor:  # noqa: A002
    """The logarithm of `softmax`."""
    kept = _kept(input, mask, lambda: _largest(input.dtype, 1, "amax"))
    return F["log_softmax"](kept, _dims(dim, input.ndim or 1)[0], dtype=dtype or input.dtype)


def softmin(input: Tensor, dim: int, *, dtype: DType | None = None, mask: Tensor | None = None) -> Tensor:  # noqa: A002
    """softmax of -input; see `softmax`."""
    kept = _kept(input, mask, lambda: _largest(input.dtype, -1, "amin"))
    return F["softmax"](F["neg"](kept), _dims(dim, input.ndim or 1)[0], dtype=dtype or input.dtype)


def normalize(
    input: Tensor, ord: float, dim: int, *, eps: float = 1e-12, dtype: DType | None = None, mask: Tensor | None = None  # noqa: A002
) -> Tensor:  # fmt: skip
    """What the mask keeps, divided by its norm along `dim` (at least eps); 0 elsewhere."""
    length = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return F["div"](_kept(input, mask, 0), F["maximum"](length, F["full"]((), eps, dtype=length.dtype)))
