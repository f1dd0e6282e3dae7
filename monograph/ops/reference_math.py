"""What NumPy lacks for the references: half precision computed through float32, erf and its inverse, torch's integer corner cases.

Plain and slow on purpose: this is the meaning of the ops, not an implementation to run models with.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from monograph.core.dtype import bfloat16, float16

Array = Any
HALVES = (float16.np, bfloat16.np)


def plain(function: Callable[..., Array]) -> Callable[..., Array]:
    """The reference of an elementwise op from a NumPy function: half precision goes through float32, rounded once."""

    def reference(attrs: Any, *xs: Array) -> Array:
        d = xs[0].dtype
        with np.errstate(all="ignore"):
            if d in HALVES:
                return np.asarray(function(*(x.astype(np.float32) for x in xs))).astype(d)
            return np.asarray(function(*xs)).astype(d, copy=False)

    return reference


def testing(function: Callable[..., Array]) -> Callable[..., Array]:
    """The reference of an op that answers with bools."""

    def reference(attrs: Any, *xs: Array) -> Array:
        with np.errstate(all="ignore"):
            wide = [x.astype(np.float32) if x.dtype in HALVES else x for x in xs]
            return np.asarray(function(*wide)).astype(np.bool_, copy=False)

    return reference


def _each(function: Callable[[float], float]) -> Callable[[Array], Array]:
    vectorized = np.vectorize(function, otypes=[np.float64])
    return lambda x: vectorized(x) if x.size else x


erf = _each(math.erf)
erfc = _each(math.erfc)


def erfinv(x: Array) -> Array:
    """The inverse of erf: a starting value (Winitzki's formula), then Newton's method on erfc, which keeps its digits near ±1."""
    x = np.asarray(x, np.float64)
    inside = np.abs(x) < 1
    a = np.where(inside, np.abs(x), 0.5)
    log = np.log1p(-a * a)
    t = 2 / (math.pi * 0.147) + log / 2
    y = np.sqrt(np.sqrt(t * t - log / 0.147) - t)
    for _ in range(4):
        error = np.where(a > 0.5, (1 - a) - erfc(y), erf(y) - a)
        y = y - error * math.sqrt(math.pi) / 2 * np.exp(y * y)
    edge = np.where(np.abs(x) == 1, np.inf, np.nan)
    return np.copysign(np.where(inside, y, edge), x)


def sign(x: Array) -> Array:
    """-1, 0 or 1; 0 for NaN, as in torch."""
    if x.dtype.kind in "bu":
        return (x != 0).astype(x.dtype)
    return (x > 0).astype(np.int8) - (x < 0).astype(np.int8)


def remainder(x: Array, y: Array) -> Array:
    """x - floor(x / y) * y with the sign of y, exact; a zero keeps the sign of x; integers: 0 where y is 0."""
    if x.dtype.kind not in "fc":
        return np.remainder(x, y)
    m = np.fmod(x, y)
    return np.where((m != 0) & ((y < 0) != (m < 0)), m + y, m)


def power(x: Array, y: Array) -> Array:
    """x ** y; integers to negative powers give the truncated quotient 1 / x**|y|: 0, but for x = 1 and -1."""
    if x.dtype.kind == "i":
        negative = y < 0
        if np.any(negative):
            sign_of_power = np.where(y % 2 == 0, 1, -1)
            truncated = np.where(x == 1, 1, np.where(x == -1, sign_of_power, 0))
            return np.where(negative, truncated, np.power(x, np.where(negative, 0, y)))
    return np.power(x, y)


def absolute(attrs: Any, x: Array) -> Array:
    """|x|, real of complex numbers."""
    return np.asarray(np.abs(x))


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    if x.dtype.kind == "c":
        return 1 / (1 + np.exp(-x))
    z = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + z), z / (1 + z))


def unchanged_integers(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """For rounding functions: integers are whole already."""
    return lambda x: function(x) if x.dtype.kind == "f" else x.copy()
