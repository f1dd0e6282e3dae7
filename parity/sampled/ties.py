"""Where torch leaves open which of several equal elements is named: the elements named have to be the same, not their places."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from parity.sampled.outcomes import Array, plain

# Where the dimension is among the arguments after the input.
DIM_AT = {"sort": 0, "argsort": 0, "topk": 1, "kthvalue": 1, "mode": 0, "median": 0, "nanmedian": 0, "max": 0, "min": 0}
EVERY_PLACE_ONCE = ("sort", "argsort", "topk")


def same_elements(op: str, sample: Any, theirs: Any, mine: Any) -> bool:
    """Whether two results of one of these ops have equal values, and places (the last part) that hold equal elements of the input."""
    if op not in DIM_AT or sample.kwargs.get("stable") or not isinstance(sample.input, torch.Tensor):
        return False
    theirs, mine = ((r,) if isinstance(r, Array) else r for r in (theirs, mine))
    if not all(isinstance(r, tuple) and r and all(isinstance(part, Array) for part in r) for r in (theirs, mine)):
        return False
    if len(theirs) == 2 and not _equal(theirs[0].values, mine[0].values):
        return False
    if theirs[-1].dtype != "int64" or theirs[-1].shape != mine[-1].shape:
        return False
    dim = sample.kwargs.get("dim", sample.args[DIM_AT[op]] if len(sample.args) > DIM_AT[op] else -1)
    if isinstance(dim, bool) or not isinstance(dim, int):
        return False
    values = np.atleast_1d(plain(sample.input).values)
    places = [_like_input(r[-1].values, values, dim) for r in (theirs, mine)]
    if not all((p >= 0).all() and (p < values.shape[dim]).all() for p in places):
        return False
    if op in EVERY_PLACE_ONCE and (np.diff(np.sort(places[1], dim), axis=dim) == 0).any():
        return False
    return _equal(*(np.take_along_axis(values, p, dim) for p in places))


def _like_input(places: np.ndarray, values: np.ndarray, dim: int) -> np.ndarray:
    places = np.asarray(places)
    return places if places.ndim == values.ndim else np.expand_dims(places, dim)


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind in "fc")
