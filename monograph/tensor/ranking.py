"""By rank and place: kth values, modes, medians without NaN, places in sorted numbers, membership, runs; running log-sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core.shape import normalize_dim
from monograph.ops import number_parts, scan
from monograph.tensor.core import Tensor
from monograph.tensor.creation import from_host
from monograph.tensor.delivery import deliver, takes_out
from monograph.tensor.dispatch import apply, emit, read
from monograph.tensor.interop import host_array
from monograph.tensor.pointwise import FUNCTIONS as F
from monograph.tensor.pointwise import METHODS, publish
from monograph.tensor.reduction import value_pair
from monograph.tensor.views import narrow, reshape, squeeze, unsqueeze

KthvalueResult = value_pair("kthvalue", "values", "indices")
ModeResult = value_pair("mode", "values", "indices")
NanmedianResult = value_pair("nanmedian", "values", "indices")


def _real(name: str, input: Tensor, bools: bool = True) -> None:  # noqa: A002
    if input.dtype.kind == "c" or (not bools and input.dtype.kind == "b"):
        raise NotImplementedError(f'"{name}_cpu" not implemented for \'{input.dtype.name}\'')


def _reduced(pair: Any, kind: Any, dim: int, keepdim: bool) -> Any:
    return kind(*(p if keepdim else squeeze(p, dim) for p in pair))


def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:  # noqa: A002
    """(values, indices) of the k-th smallest element along `dim`, k from 1."""
    _real("kthvalue", input, bools=False)
    d = normalize_dim(dim, input.ndim)
    size = input.shape[d] if input.ndim else 1
    if not 1 <= k <= size:
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {d}: k={k} of {size} elements")
    values, indices = F["sort"](input, d)
    if not input.ndim:
        return KthvalueResult(values, indices)
    return _reduced((narrow(values, d, k - 1, 1), narrow(indices, d, k - 1, 1)), KthvalueResult, d, keepdim)


def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> Any:  # noqa: A002
    """(values, indices) of the most frequent element along `dim`, the smallest of several; an index of its last occurrence."""
    _real("mode", input)
    d = normalize_dim(dim, input.ndim)
    if not input.ndim:
        return ModeResult(input.clone(), F["zeros"]((), dtype=dtypes.int64))  # type: ignore[attr-defined]
    if not input.shape[d]:
        raise IndexError(f"mode(): Expected reduction dim {d} to have non-zero size.")
    values, indices = F["sort"](input, d, stable=True)
    ordered = METHODS["transpose"](values.to(dtypes.uint8) if values.dtype is dtypes.bool_ else values, d, -1).contiguous()
    before, after = F["searchsorted"](ordered, ordered), F["searchsorted"](ordered, ordered, right=True)
    best = METHODS["transpose"](F["argmax"](after - before, -1, True), d, -1)
    last = METHODS["transpose"](F["gather"](after, -1, METHODS["transpose"](best, d, -1)), d, -1) - 1
    at = F["gather"](indices, d, last)
    return _reduced((F["gather"](input, d, at), at), ModeResult, d, keepdim)


def msort(input: Tensor) -> Tensor:  # noqa: A002
    """Sorted along the first dimension."""
    return F["sort"](input, 0).values


def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:  # noqa: A002
    """`median` of the elements that are not NaN (NaN where there are none)."""
    _real("nanmedian", input, bools=False)
    if dim is None:
        flat = reshape(input, -1)
        return nanmedian(flat, 0).values if flat.shape[0] else F["median"](input)
    d = normalize_dim(dim, input.ndim)
    if not input.ndim:
        return NanmedianResult(input.clone(), F["zeros"]((), dtype=dtypes.int64))  # type: ignore[attr-defined]
    if not input.shape[d]:
        raise IndexError(f"median(): Expected reduction dim {d} to have non-zero size.")
    values, indices = F["sort"](input, d, stable=True)
    count = F["sum"](F["logical_not"](F["isnan"](input)), d, True)
    at = F["clamp"](F["floor_divide"](count - 1, 2), min=0)
    return _reduced((F["gather"](values, d, at), F["gather"](indices, d, at)), NanmedianResult, d, keepdim)


def nanmean(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: dtypes.dtype | None = None, out: Tensor | None = None  # noqa: A002
) -> Tensor:  # fmt: skip
    """The mean of the elements that are not NaN."""
    if input.dtype.kind not in "fc":
        raise RuntimeError(f"nanmean(): expected input to have floating point or complex dtype but got {input.dtype.name}")
    there = F["logical_not"](F["isnan"](input))
    total = F["nansum"](input, dim, keepdim, dtype=dtype)
    return deliver(F["div"](total, F["sum"](there, dim, keepdim)), out)


def searchsorted(
    sorted_sequence: Tensor, input: Any, *, out_int32: bool = False, right: bool = False, side: str | None = None,  # noqa: A002
    sorter: Tensor | None = None, out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Where each value belongs in sequences sorted along the last dimension: before equal elements, or after them if `right`.

    >>> import monograph as mg
    >>> mg.searchsorted(mg.tensor([1, 3, 5]), mg.tensor([3, 6])).tolist()
    [1, 3]
    """
    if side not in (None, "left", "right"):
        raise RuntimeError(f"side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise RuntimeError("side and right can't be set to opposites, got side of left while right was True")
    if not isinstance(input, Tensor):
        if sorted_sequence.ndim != 1:
            raise RuntimeError(
                f"input value can be a scalar only when boundaries tensor dimension is 1, but got dims {list(sorted_sequence.shape)}"
            )
        input = F["tensor"](input, dtype=F["result_type"](sorted_sequence, input))  # noqa: A001
    if not sorted_sequence.ndim:
        raise RuntimeError("boundaries tensor should have positive dimension, but got 0 dimension")
    if sorted_sequence.ndim != 1 and (
        sorted_sequence.ndim != input.ndim or tuple(sorted_sequence.shape[:-1]) != tuple(input.shape[:-1])
    ):
        raise RuntimeError(
            f"boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and input value tensor must match, "
            f"but we got boundaries tensor {list(sorted_sequence.shape)} and input value tensor {list(input.shape)}"
        )
    if input.dtype is not sorted_sequence.dtype:
        raise RuntimeError(
            f"torch.searchsorted(): input value tensor and boundaries tensor should have same dtype, but got {input.dtype.name} and "
            f"{sorted_sequence.dtype.name}"
        )
    _real("searchsorted", input, bools=False)
    if sorter is not None:
        if tuple(sorter.shape) != tuple(sorted_sequence.shape):
            raise RuntimeError(
                f"boundary and sorter must have the same size, but got boundary tensor {list(sorted_sequence.shape)} and got sorter tensor "
                f"{list(sorter.shape)}"
            )
        if sorter.dtype is not dtypes.int64:
            raise RuntimeError(f"sorter must be a tensor of long dtype but got dtype {sorter.dtype.name}")
        sorted_sequence = F["gather"](sorted_sequence, -1, sorter)
    found = apply(number_parts.searchsorted, sorted_sequence.detach(), input.detach(), right=bool(right or side == "right"))
    return deliver(found.to(dtypes.int32) if out_int32 else found, out, exact=True)


def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """The number of the bucket between sorted `boundaries` that each value falls into."""
    if boundaries.ndim != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right, out=out)


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False, out: Tensor | None = None) -> Tensor:
    """Whether each element is among `test_elements`."""
    if not isinstance(elements, Tensor) and not isinstance(test_elements, Tensor):
        raise TypeError("isin(): at least one of elements and test_elements must be a Tensor")
    a, b = (x if isinstance(x, Tensor) else F["tensor"](x) for x in (elements, test_elements))
    for x in (a, b):
        if x.dtype.kind in "bc":
            raise RuntimeError(f"Unsupported input type encountered for isin(): {x.dtype.name}")
    found = F["any"](F["eq"](unsqueeze(a, -1), reshape(b, -1)), -1)
    return deliver(F["logical_not"](found) if invert else found, out, exact=True)


def unique_consecutive(input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None) -> Any:  # noqa: A002
    """The elements (or slices along `dim`) without repetitions of their predecessor; inverse places and counts on demand."""
    values = host_array(input)
    d = 0 if dim is None else normalize_dim(dim, input.ndim)
    rows = values.reshape(-1) if dim is None else np.moveaxis(values, d, 0)
    if dim is not None and not rows.shape[0] and 0 in rows.shape[1:]:
        raise RuntimeError("There are 0 sized dimensions, and they aren't selected by `dim`, so unique_consecutive cannot be applied")
    changes = rows[1:] != rows[:-1]
    changed = changes.any(tuple(range(1, changes.ndim))) if rows.ndim > 1 else changes
    first = np.concatenate([np.ones(min(1, rows.shape[0]), bool), changed])
    starts = np.flatnonzero(first)
    kept = METHODS["index_select"](reshape(input, -1) if dim is None else input, d, from_host(starts.astype(np.int64)))
    out = [kept]
    if return_inverse:
        inverse = np.cumsum(first) - 1
        out.append(from_host((inverse.reshape(values.shape) if dim is None else inverse).astype(np.int64)))
    if return_counts:
        out.append(from_host(np.diff(np.append(starts, rows.shape[0])).astype(np.int64)))
    return out[0] if len(out) == 1 else tuple(out)


def _complex_logcumsumexp(x: Any, dim: int) -> Tensor:
    """Every element joined with the one before it, then with the two before these, the four ...: as many steps as the length has bits."""
    length, step = x.shape[dim] if x.ndim else 1, 1
    while step < length:
        joined = F["logaddexp"](narrow(x, dim, step, length - step), narrow(x, dim, 0, length - step))
        x, step = F["cat"]([narrow(x, dim, 0, step), joined], dim), 2 * step
    return x.clone() if step == 1 else x  # type: ignore[no-any-return]


def logcumsumexp(input: Tensor, dim: int, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """log(cumsum(exp(input))) along `dim`, without overflow."""
    x = read(input)
    d = normalize_dim(dim, len(x.shape))
    if x.dtype.kind == "c":
        return deliver(_complex_logcumsumexp(input, d), out)
    if x.dtype.kind != "f":
        raise NotImplementedError(f'"logcumsumexp_out_cpu" not implemented for \'{x.dtype.name}\'')
    return deliver(emit(scan.logcumsumexp, x, dim=d), out)


for _name, _function in {
    "kthvalue": kthvalue, "mode": mode, "msort": msort, "nanmedian": nanmedian, "nanmean": nanmean, "logcumsumexp": logcumsumexp,
    "unique_consecutive": unique_consecutive,
}.items():  # fmt: skip
    publish(_name, _function)
for _name in ("kthvalue", "mode", "msort", "nanmedian"):
    F[_name] = takes_out(F[_name], apart=_name in ("kthvalue", "mode"))
F.update(searchsorted=searchsorted, bucketize=bucketize, isin=isin)
METHODS["isin"] = isin
