"""Differences, quantiles and histograms."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core.shape import normalize_dim
from monograph.tensor.core import Tensor
from monograph.tensor.creation import from_host
from monograph.tensor.interop import host_array
from monograph.tensor.pointwise import FUNCTIONS, deliver, publish

histogram_result: Any = namedtuple("histogram", ["hist", "bin_edges"])  # type: ignore[name-match]  # torch's name
histogramdd_result: Any = namedtuple("histogramdd", ["hist", "bin_edges"])  # type: ignore[name-match]  # the same


def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None, *, out: Tensor | None = None  # noqa: A002
) -> Tensor:  # fmt: skip
    """The n-th differences of neighbours along `dim` (exclusive or, of bools), with `prepend` and `append` joined on first.

    >>> import monograph as mg
    >>> mg.diff(mg.tensor([1, 4, 9, 16])).tolist()
    [3, 5, 7]
    """
    if input.ndim < 1:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    d = normalize_dim(dim, input.ndim)
    parts = [p for p in (prepend, input, append) if p is not None]
    x: Any = input
    if len(parts) > 1:
        for p in parts:
            if p.ndim != input.ndim:
                raise RuntimeError(
                    f"diff expects prepend or append to be the same dimension as input, got {p.ndim} dimensions for {input.ndim}"
                )
        x = FUNCTIONS["cat"](parts, d)
    if n == 0:
        return deliver(x.clone(), out, exact=True)
    for _ in range(min(n, x.shape[d])):
        size = x.shape[d] - 1
        later, sooner = x.narrow(d, 1, size), x.narrow(d, 0, size)
        x = later ^ sooner if x.dtype is dtypes.bool_ else later - sooner
    return deliver(x, out, exact=True)


publish("diff", diff)


def _weights(rank: Any, interpolation: str) -> tuple[Any, Any, Any]:
    """(place below, place above, how far towards the one above) of fractional places in sorted values."""
    if interpolation == "lower":
        rank = rank.floor()
    elif interpolation == "higher":
        rank = rank.ceil()
    elif interpolation == "nearest":
        rank = rank.round()
    below = rank.floor()
    weight = FUNCTIONS["full_like"](rank, 0.5) if interpolation == "midpoint" else rank - below
    return below.long(), rank.ceil().long(), weight


def _quantile(name: str, input: Any, q: Any, dim: int | None, keepdim: bool, interpolation: str, out: Any, skip_nan: bool) -> Tensor:  # noqa: A002
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, but got {interpolation}")
    if input.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype, got {input.dtype.name}")
    if not isinstance(q, Tensor):
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}() q values must be in the range [0, 1], got {q}")
        q = FUNCTIONS["tensor"](q, dtype=input.dtype)
    elif q.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor, got {q.ndim}D")
    elif q.dtype is not input.dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor: {q.dtype.name} and {input.dtype.name}")
    elif not bool(((q >= 0) & (q <= 1)).all()):
        raise RuntimeError(f"{name}() q values must be in the range [0, 1], got {q.tolist()}")
    if not input.numel():
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    rank = input.ndim
    d = None if dim is None else normalize_dim(dim, rank)
    rows = input.reshape(-1) if d is None else (input.unsqueeze(0) if not rank else input.movedim(d, -1))
    ordered = rows.sort(-1)[0]  # NaN last
    n = ordered.shape[-1]
    if skip_nan:
        last = ((~ordered.isnan()).sum(-1, keepdim=True) - 1).clamp(min=0).to(input.dtype)
        place = q * last
    else:
        place = FUNCTIONS["where"](ordered.isnan().any(-1, keepdim=True), FUNCTIONS["full"]((), n - 1, dtype=input.dtype), q * (n - 1))
    below, above, weight = _weights(place.expand(*ordered.shape[:-1], q.numel()), interpolation)
    low = ordered.gather(-1, below)
    found = low.lerp(ordered.gather(-1, above), weight) if interpolation in ("linear", "midpoint") else low
    if keepdim:
        found = found.unsqueeze(-2)
        found = found.reshape(*[1] * rank, q.numel()) if d is None else (found.movedim(-2, d) if rank else found.reshape(q.numel()))
    found = found.movedim(-1, 0)
    return deliver(found if q.ndim else found.squeeze(0), out)


def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear", out: Tensor | None = None  # noqa: A002
) -> Tensor:  # fmt: skip
    """The value below which a share `q` of the elements lies (of each line along `dim`); several `q` come first in the shape.

    >>> import monograph as mg
    >>> mg.quantile(mg.arange(5.0), mg.tensor([0.25, 0.6])).tolist()
    [1.0, 2.4000000953674316]
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, out, False)


def nanquantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear", out: Tensor | None = None  # noqa: A002
) -> Tensor:  # fmt: skip
    """`quantile` of the elements that are not NaN."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, out, True)


publish("quantile", quantile)
publish("nanquantile", nanquantile)


def _range(name: str, values: np.ndarray, low: float, high: float) -> tuple[float, float]:
    if low == high and values.size:
        low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise RuntimeError(f"{name}: range of [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError(f"{name}: max must be larger than min, got [{low}, {high}]")
    widened = 1.0 if name == "histc" else 0.5
    return (low - widened, high + widened) if low == high else (low, high)


def histc(input: Tensor, bins: int = 100, min: Any = 0, max: Any = 0, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """How many elements fall into each of `bins` equal parts of [min, max] (of the elements' own range, if both are equal).

    >>> import monograph as mg
    >>> mg.histc(mg.tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=3).tolist()
    [0.0, 2.0, 1.0, 0.0]
    """
    if input.dtype.kind != "f":
        raise NotImplementedError(f'"histogram_cpu" not implemented for {input.dtype.name!r}; convert with .float()')
    if bins <= 0:
        raise RuntimeError(f"histc: bins must be > 0, got {bins}")
    values = host_array(input).reshape(-1)
    low, high = _range("histc", values, float(min), float(max))
    inside = values[(values >= low) & (values <= high)].astype(values.dtype)
    kind = values.dtype.type
    place = ((inside - kind(low)) * kind(bins) / (kind(high) - kind(low))).astype(np.int64)
    counts = np.bincount(np.minimum(place, bins - 1), minlength=bins)
    return deliver(from_host(counts, input.dtype), out)


publish("histc", histc)


def _edges(name: str, input: Tensor, bins: Any, bounds: tuple[float, float] | None, columns: np.ndarray) -> np.ndarray:  # noqa: A002
    kind = np.float64 if input.dtype is dtypes.float64 else np.float32
    if isinstance(bins, Tensor):
        if bins.dtype is not input.dtype:
            raise RuntimeError(f"{name}: input tensor and bins tensors should have the same dtype")
        return host_array(bins)
    if bins <= 0:
        raise RuntimeError(f"{name}: bins must be > 0, got {bins}")
    low, high = _range(name, columns, *(bounds or ((0.0, 0.0) if columns.size else (0.0, 1.0))))
    return np.linspace(low, high, int(bins) + 1).astype(kind)


def _counted(name: str, input: Tensor, edges: list[np.ndarray], weight: Tensor | None, density: bool) -> Tensor:  # noqa: A002
    points = host_array(input).reshape(-1, len(edges))
    given = np.ones(len(points), points.dtype) if weight is None else host_array(weight).reshape(-1)
    if weight is not None and (tuple(weight.shape) != tuple(input.shape[: weight.ndim]) or len(given) != len(points)):
        raise RuntimeError(f"{name}: if weight tensor is provided it should have the same shape as the input, got {list(weight.shape)}")
    places, kept = [], np.ones(len(points), bool)
    for d, e in enumerate(edges):
        x = points[:, d]
        kept &= (x >= e[0]) & (x <= e[-1])
        places.append(np.clip(np.searchsorted(e, x, side="right") - 1, 0, len(e) - 2))
    sizes = tuple(len(e) - 1 for e in edges)
    flat = np.ravel_multi_index(tuple(p[kept] for p in places), sizes)
    found = np.bincount(flat, given[kept], minlength=int(np.prod(sizes))).reshape(sizes)
    if density:
        volume = np.ones(())
        for e in edges:
            volume = np.multiply.outer(volume, np.diff(e.astype(np.float64)))
        with np.errstate(invalid="ignore", divide="ignore"):
            found = found / found.sum() / volume
    return from_host(found.astype(points.dtype), input.dtype)


def histogram(
    input: Tensor, bins: Any, *, range: Any = None, weight: Tensor | None = None, density: bool = False, out: Any = None  # noqa: A002
) -> Any:  # fmt: skip
    """(hist, bin_edges): how many elements (how much weight) fall between neighbouring edges: `bins` equal parts, or edges as a tensor.

    >>> import monograph as mg
    >>> mg.histogram(mg.tensor([1.0, 2.0, 1.0]), bins=2, range=(0.0, 3.0)).hist.tolist()
    [2.0, 1.0]
    """
    if input.dtype not in (dtypes.float32, dtypes.float64):
        raise NotImplementedError(f'"histogram_cpu" not implemented for {input.dtype.name!r}; convert with .float()')
    values = host_array(input).reshape(-1)
    edges = _edges("torch.histogram()", input, bins, None if range is None else tuple(range), values)
    given: Any = None if weight is None else weight.reshape(-1)  # type: ignore[attr-defined]
    points: Any = input.reshape(-1, 1)  # type: ignore[attr-defined]
    hist = _counted("torch.histogram()", points, [edges], given, density)
    return deliver(histogram_result(hist, from_host(edges, input.dtype)), out, exact=True)


publish("histogram", histogram)


def histogramdd(
    input: Tensor, bins: Any, *, range: Any = None, weight: Tensor | None = None, density: bool = False  # noqa: A002
) -> Any:  # fmt: skip
    """(hist, bin_edges) of points [..., N]: an N-dimensional histogram; `bins` for each coordinate a number or edges."""
    if input.dtype not in (dtypes.float32, dtypes.float64):
        raise NotImplementedError(f'"histogram_cpu" not implemented for {input.dtype.name!r}; convert with .float()')
    if input.ndim < 2:
        raise RuntimeError("torch.histogramdd: input tensor should have at least 2 dimensions, but got {input.ndim}")
    n = input.shape[-1]
    each = list(bins) if isinstance(bins, Sequence) else [bins] * n
    if len(each) != n:
        raise RuntimeError(f"torch.histogramdd: The size of bins must be equal to the innermost dimension of the input: {len(each)}, {n}")
    if range is not None and len(range) != 2 * n:
        raise RuntimeError(f"torch.histogramdd: for a {n}-dimensional histogram range should have {2 * n} elements, but got {len(range)}")
    points = host_array(input).reshape(-1, n)
    edges = [
        _edges("torch.histogramdd", input, b, None if range is None else tuple(range[2 * d : 2 * d + 2]), points[:, d])
        for d, b in enumerate(each)
    ]
    hist = _counted("torch.histogramdd", input, edges, weight, density)
    return histogramdd_result(hist, tuple(from_host(e, input.dtype) for e in edges))


publish("histogramdd", histogramdd)
