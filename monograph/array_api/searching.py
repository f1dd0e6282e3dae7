"""Searching, sorting and sets."""

from __future__ import annotations

from collections import namedtuple
from typing import Any, Literal

import numpy as np

from monograph.array_api.array import returns_arrays
from monograph.array_api.elementwise import Operand
from monograph.array_api.manipulation import Axes, as_tuple
from monograph.array_api.promotion import common
from monograph.tensor.core import Tensor
from monograph.tensor.interop import host_array
from monograph.tensor.pointwise import FUNCTIONS

UniqueAll = namedtuple("UniqueAll", "values indices inverse_indices counts")
UniqueCounts = namedtuple("UniqueCounts", "values counts")
UniqueInverse = namedtuple("UniqueInverse", "values inverse_indices")


@returns_arrays
def argmax(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """The first index of the greatest element along `axis`, or in the flattened array. NaN counts as greatest."""
    return FUNCTIONS["argmax"](x, axis, keepdims)


@returns_arrays
def argmin(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """The first index of the smallest element along `axis`, or in the flattened array. NaN counts as smallest."""
    return FUNCTIONS["argmin"](x, axis, keepdims)


@returns_arrays
def count_nonzero(x: Tensor, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """How many elements are not 0, over axes."""
    there = FUNCTIONS["ne"](x, 0)
    if axis == ():
        return there.long()
    return FUNCTIONS["sum"](there, None if axis is None else as_tuple(axis), keepdims)


@returns_arrays
def nonzero(x: Tensor, /) -> Any:
    """The indices of the elements that are not 0, a vector per axis. Raises ValueError for a 0-d array."""
    if not x.ndim:
        raise ValueError("nonzero: a 0-d array has no indices; use bool(x)")
    return FUNCTIONS["nonzero"](x, as_tuple=True)


@returns_arrays
def searchsorted(
    x1: Tensor, x2: Tensor | float, /, *, side: Literal["left", "right"] = "left", sorter: Tensor | None = None
) -> Any:
    """Where the elements of x2 would have to be inserted into the sorted vector x1."""
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side is 'left' or 'right', got {side!r}")
    ordered, values = common(x1, x2)
    if sorter is not None:
        ordered = FUNCTIONS["index_select"](ordered, 0, sorter)
    return FUNCTIONS["searchsorted"](ordered, values, right=side == "right")


@returns_arrays
def where(condition: Tensor, x1: Operand, x2: Operand, /) -> Any:
    """x1 where the condition holds, x2 elsewhere."""
    return FUNCTIONS["where"](condition, *common(x1, x2))


@returns_arrays
def sort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The values sorted along `axis`."""
    return FUNCTIONS["sort"](x, axis, descending, True).values


@returns_arrays
def argsort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The indices that sort along `axis`; equal elements keep their order."""
    return FUNCTIONS["sort"](x, axis, descending, True).indices


@returns_arrays
def isin(x1: Operand, x2: Operand, /, *, invert: bool = False) -> Any:
    """Whether each element of x1 occurs in x2 (NaN never does)."""
    elements, tests = common(x1, x2)
    found = FUNCTIONS["isin"](elements, tests)
    return FUNCTIONS["logical_not"](found) if invert else found


def _unique(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    values, indices, inverse, counts = np.unique(
        host_array(x), return_index=True, return_inverse=True, return_counts=True, equal_nan=False
    )
    parts = [FUNCTIONS["_from_host"](part) for part in (values, indices, inverse.reshape(tuple(x.shape)), counts)]
    return parts[0], parts[1], parts[2], parts[3]


@returns_arrays
def unique_all(x: Tensor, /) -> Any:
    """The distinct elements, sorted; where each occurs first; which of them each element is; how often. NaNs are all distinct."""
    return UniqueAll(*_unique(x))


@returns_arrays
def unique_counts(x: Tensor, /) -> Any:
    """The distinct elements and how often each occurs."""
    values, _, _, counts = _unique(x)
    return UniqueCounts(values, counts)


@returns_arrays
def unique_inverse(x: Tensor, /) -> Any:
    """The distinct elements and which of them each element is."""
    values, _, inverse, _ = _unique(x)
    return UniqueInverse(values, inverse)


@returns_arrays
def unique_values(x: Tensor, /) -> Any:
    """The distinct elements, sorted."""
    return _unique(x)[0]


