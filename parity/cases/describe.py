"""How a case is written: a name, a call that works in both frameworks, and descriptions of its inputs."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from parity.frames import COMPLEX, FLOATS, HALVES, INTS, WIDE_UNSIGNED, to_tensor

LAYOUTS = ("contiguous", "transposed", "strided", "expanded")


@dataclasses.dataclass(frozen=True)
class Input:
    """One tensor argument: its shape and the range of its values. `dtype` pins it; else it follows the case."""

    shape: tuple[int, ...]
    low: float = -3.0
    high: float = 3.0
    dtype: str = ""
    distinct: bool = False
    specials: bool = False

    def array(self, rng: np.random.Generator, dtype: str) -> np.ndarray:
        dtype = self.dtype or dtype
        count = int(np.prod(self.shape))
        if self.specials and dtype in (*FLOATS, *HALVES):
            values = np.resize(SPECIAL_FLOATS, self.shape)
            return values.astype(np.float64 if dtype == "float64" else np.float32)
        if self.distinct:
            values = np.linspace(self.low, self.high, max(count, 1))[:count]
            return rounded(rng.permutation(values).reshape(self.shape), dtype)
        if dtype in COMPLEX:
            imaginary = rng.uniform(0.2, 0.9, self.shape) * rng.choice((-1, 1), self.shape)
            return np.asarray(rng.uniform(self.low, self.high, self.shape) + 1j * imaginary).astype(dtype)
        if dtype in WIDE_UNSIGNED:
            return rng.integers(max(int(self.low), 0), int(self.high) + 1, self.shape).astype(dtype)
        if dtype == "bool":
            return rng.random(self.shape) < 0.5
        if dtype in INTS:
            low = max(int(np.floor(self.low)), 0) if dtype == "uint8" else int(np.floor(self.low))
            return rng.integers(low, max(int(np.ceil(self.high)), low) + 1, self.shape).astype(dtype)
        return rounded(rng.uniform(self.low, self.high, self.shape), dtype)


SPECIAL_FLOATS = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, np.inf, -np.inf, np.nan, 1e-30, -1e-30, 1e30, 88.0, -104.0, 3.1415927, 12345.678])


def rounded(values: np.ndarray, dtype: str) -> np.ndarray:
    """Values that are exact in the dtype under test, in an array type that NumPy has."""
    if dtype in INTS or dtype == "bool":
        return values.astype(dtype)
    if dtype == "float64":
        return values
    if dtype == "float32":
        return values.astype(np.float32)
    keep = 11 if dtype == "float16" else 8
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa * 2.0**keep) / 2.0**keep, exponent).astype(np.float32)


def with_layout(frame: Any, array: np.ndarray, dtype: str, layout: str) -> Any:
    """The same values in memory laid out differently: transposed, every second element, or one row repeated by a stride of 0."""
    if layout == "transposed" and array.ndim >= 2:
        return to_tensor(frame, np.ascontiguousarray(array.swapaxes(-1, -2)), dtype).transpose(-1, -2)
    if layout == "strided" and array.ndim >= 1:
        return to_tensor(frame, np.repeat(array, 2, axis=-1), dtype)[..., ::2]
    if layout == "expanded" and array.ndim >= 1 and array.shape[0] > 1:
        return to_tensor(frame, array[:1], dtype).expand(*array.shape)
    return to_tensor(frame, array, dtype)


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    call: Callable[..., Any]
    inputs: tuple[Input, ...]
    dtypes: tuple[str, ...] = FLOATS
    grad: bool = True
    layouts: tuple[str, ...] = LAYOUTS
    loosen: float = 1.0
    absent: bool = False

    def generator(self) -> np.random.Generator:
        return np.random.default_rng(zlib.crc32(self.name.encode()))


def floats(*shape: int, low: float = -3.0, high: float = 3.0) -> Input:
    return Input(shape, low, high)


def integers(*shape: int, low: int = 0, high: int = 3) -> Input:
    return Input(shape, low, high, dtype="int64")


def mask(*shape: int) -> Input:
    return Input(shape, dtype="bool")


def distinct(*shape: int) -> Input:
    """Values without ties, so that sorting and maxima have one answer."""
    return Input(shape, -20.0, 20.0, distinct=True)
