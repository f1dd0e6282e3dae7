"""Makers of samples: fixed, small inputs for the tests, examples and benchmarks of many ops alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import NO_ATTRS, Attrs
from monograph.core.dtype import bfloat16
from monograph.core.errors import DTypeError, ShapeError
from monograph.graph.op import Sample

Samples = Callable[[], Iterable[Sample]]
WIDE_UNSIGNED = (np.uint16, np.uint32, np.uint64)
SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, np.inf, -np.inf, np.nan, 1e-30, -1e30, 100.0, -100.0)


def draw(shape: tuple[int, ...], low: float = -2.0, high: float = 2.0, seed: int = 0, dtype: Any = np.float64) -> np.ndarray:
    """Fixed uniform values of a shape."""
    return np.random.default_rng(seed + 7).uniform(low, high, shape).astype(dtype)


def draw_complex(shape: tuple[int, ...], low: float = -2.0, high: float = 2.0, seed: int = 0) -> np.ndarray:
    """Fixed complex numbers of a shape; both parts are uniform."""
    return np.asarray(draw(shape, low, high, seed) + 1j * draw(shape, low, high, seed + 100))


def whole(shape: tuple[int, ...], low: int, high: int, seed: int = 0, dtype: Any = np.int64) -> np.ndarray:
    """Fixed whole numbers in [low, high)."""
    return np.random.default_rng(seed + 7).integers(low, high, shape).astype(dtype)


def _special(low: float, high: float, dtype: Any) -> np.ndarray:
    return np.concatenate([np.array(SPECIAL), draw((4,), low, high)]).astype(dtype)


def of_one(
    low: float = -2.0,
    high: float = 2.0,
    attrs: Attrs = NO_ATTRS,
    ints: bool = False,
    away_from: float | None = None,
    unsigned: bool = True,
    bools: bool = False,
) -> Samples:
    """Samples of f(x): values in [low, high], every floating dtype, special values, no elements; `away_from`: a kink to avoid."""

    def make() -> Iterable[Sample]:
        x = draw((2, 3), low, high)
        if away_from is not None:
            x = np.where(np.abs(x - away_from) < 0.1, x + 0.3, x)
        yield Sample((x,), attrs)
        yield Sample((np.asarray(x[0, 0]),), attrs)
        yield Sample((np.zeros((0, 3)),), attrs)
        yield Sample((x.T.astype(np.float32),), attrs, grad_inputs=())
        with np.errstate(all="ignore"):
            for d in (np.float32, np.float16, bfloat16.np):
                yield Sample((_special(low, high, d),), attrs, grad_inputs=())
        if ints:
            yield Sample((np.array([-3, 0, 2, 7]),), attrs)
            if unsigned:
                yield Sample((np.array([3, 0, 255], np.uint8),), attrs)
                for wide in WIDE_UNSIGNED:
                    yield Sample((np.array([3, 0, np.iinfo(wide).max], wide),), attrs)
            if bools:
                yield Sample((np.array([True, False]),), attrs)
                yield Sample((np.array([1j]),), attrs, error=DTypeError, match="got complex128")
            else:
                yield Sample((np.array([True, False]),), attrs, error=DTypeError, match="got bool")
        else:
            yield Sample((np.array([1, 2]),), attrs, error=DTypeError, match="floating-point")

    return make


def of_two(low: float = -2.0, high: float = 2.0, attrs: Attrs = NO_ATTRS, ints: bool = False, floats: bool = True) -> Samples:
    """Samples of f(x, y): equal shapes, broadcasting, 0-d, no elements, special values; bad dtypes and shapes."""

    def make() -> Iterable[Sample]:
        if floats:
            yield Sample((draw((2, 3), low, high), draw((2, 3), low, high, 1)), attrs)
            yield Sample((draw((2, 1, 3), low, high), draw((4, 1), low, high, 1)), attrs)
            yield Sample((draw((), low, high), draw((3,), low, high, 1)), attrs)
            yield Sample((draw((2, 3), low, high), draw((), low, high, 1)), attrs)
            yield Sample((np.zeros((0, 3)), np.ones((3,))), attrs)
            for d in (np.float32, bfloat16.np, np.float16):
                with np.errstate(all="ignore"):
                    v = np.array(SPECIAL).astype(d)
                yield Sample((v[:, None], v[None, :9]), attrs, grad_inputs=())
        if ints:
            yield Sample((whole((2, 3), -9, 9), whole((3,), 1, 5, 1)), attrs)
            yield Sample((np.array([[-7], [7], [0]], np.int32), np.array([-3, 3, 1], np.int32)), attrs)
            yield Sample((np.array([200, 7, 0], np.uint8), np.array([3, 100, 1], np.uint8)), attrs)
            for wide in WIDE_UNSIGNED:
                most = np.iinfo(wide).max
                yield Sample((np.array([most, 7, 0, most - 1], wide), np.array([3, most, 1, 2], wide)), attrs)
        kind = np.float32 if floats else np.int32
        yield Sample((np.ones((2, 3), kind), np.ones((2, 4), kind)), attrs, error=ShapeError, match="non-singleton dimension 1")
        yield Sample((np.ones((2,), kind), np.ones((2,), np.int64)), attrs, error=DTypeError, match="same dtype")

    return make
