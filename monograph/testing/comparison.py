"""`assert_close`: are two tensors, numbers or containers of them equal up to a tolerance, and if not, where and by how much."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core.dtype import dtype as DType
from monograph.tensor.core import Tensor
from monograph.tensor.interop import host_array

_TOLERANCES = {
    dtypes.float16: (1e-3, 1e-5), dtypes.bfloat16: (1.6e-2, 1e-5), dtypes.float32: (1.3e-6, 1e-5), dtypes.float64: (1e-7, 1e-7),
    dtypes.complex64: (1.3e-6, 1e-5), dtypes.complex128: (1e-7, 1e-7),
}  # fmt: skip
_NUMBERS = (int, float, complex)
Message = str | Callable[[str], str] | None


def default_tolerances(*inputs: Any) -> tuple[float, float]:
    """(rtol, atol) for the dtypes of the inputs (tensors or dtypes): the largest of any; 0 for integers and bools."""
    found = [_TOLERANCES.get(x if isinstance(x, DType) else x.dtype, (0.0, 0.0)) for x in inputs]
    return max(r for r, _ in found), max(a for _, a in found)


def assert_close(
    actual: Any, expected: Any, *, allow_subclasses: bool = True, rtol: float | None = None, atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True, check_dtype: bool = True, check_layout: bool = True, check_stride: bool = False, msg: Message = None,
) -> None:  # fmt: skip
    """Raises AssertionError unless |actual - expected| <= atol + rtol * |expected| everywhere.

    Takes tensors, numbers, NumPy arrays, and sequences and mappings of them. Without tolerances, those of the dtype. Shapes, and unless
    told otherwise dtypes and devices, must be equal too. `msg` replaces the message, or is a function of it.
    """
    if (rtol is None) != (atol is None):
        missing = "rtol" if rtol is None else "atol"
        raise ValueError(f"Both 'rtol' and 'atol' must be either specified or omitted, but got no {missing}.")
    try:
        _compare(actual, expected, "", _Settings(rtol, atol, equal_nan, check_device, check_dtype, check_stride, allow_subclasses))
    except _Different as difference:
        text = difference.args[0]
        raise AssertionError(msg(text) if callable(msg) else text if msg is None else msg) from None


class _Different(Exception):
    """What differs, with its place, on the way to the user."""


class _Settings:
    def __init__(
        self, rtol: float | None, atol: float | None, equal_nan: bool, device: bool, dtype: bool, stride: bool, subclasses: bool
    ) -> None:
        self.rtol, self.atol, self.equal_nan = rtol, atol, equal_nan
        self.device, self.dtype, self.stride, self.subclasses = device, dtype, stride, subclasses


def _compare(actual: Any, expected: Any, place: str, settings: _Settings) -> None:
    where = f"\n\nThe failure occurred for item {place}" if place else ""
    if _is_container(actual, Sequence) and _is_container(expected, Sequence):
        if len(actual) != len(expected):
            raise _Different(f"The length of the sequences mismatch: {len(actual)} != {len(expected)}{where}")
        for i, (a, b) in enumerate(zip(actual, expected, strict=True)):
            _compare(a, b, f"{place}[{i}]", settings)
    elif isinstance(actual, Mapping) and isinstance(expected, Mapping):
        _compare_mappings(actual, expected, place, where, settings)
    elif actual is None or expected is None:
        if actual is not expected:
            raise _Different(f"None mismatch: {actual} is not {expected}{where}")
    elif isinstance(actual, bool | np.bool_) and isinstance(expected, bool | np.bool_):
        if bool(actual) != bool(expected):
            raise _Different(f"Booleans mismatch: {actual} is not {expected}{where}")
    elif _is_number(actual) and _is_number(expected):
        if settings.dtype and type(actual) is not type(expected):
            raise _Different(f"The (d)types do not match: {type(actual)} != {type(expected)}.{where}")
        rtol, atol = _tolerances(settings, dtypes.of_scalar(actual), dtypes.of_scalar(expected), python=True)
        _compare_numbers(actual, expected, rtol, atol, settings.equal_nan, where)
    else:
        _compare_tensors(*_as_tensors(actual, expected, settings), where, settings)


def _is_container(x: Any, kind: Any) -> bool:
    return isinstance(x, kind) and not isinstance(x, str | bytes)


def _is_number(x: Any) -> bool:
    return isinstance(x, (*_NUMBERS, np.number)) and not isinstance(x, bool)


def _compare_mappings(actual: Mapping[Any, Any], expected: Mapping[Any, Any], place: str, where: str, settings: _Settings) -> None:
    missing, additional = sorted(expected.keys() - actual.keys(), key=str), sorted(actual.keys() - expected.keys(), key=str)
    if missing or additional:
        text = "The keys of the mappings do not match:"
        text += f"\nMissing keys in the actual mapping: {missing}" if missing else ""
        text += f"\nAdditional keys in the actual mapping: {additional}" if additional else ""
        raise _Different(text + where)
    for key in expected:
        _compare(actual[key], expected[key], f"{place}[{key!r}]", settings)


class _Values:
    """What is compared of a tensor or an array."""

    def __init__(self, x: Any) -> None:
        tensor = isinstance(x, Tensor)
        self.array = host_array(x.detach()) if tensor and x.device.type != "meta" else np.asarray(x) if not tensor else None
        self.shape: Any = x.shape if tensor else tuple(self.array.shape)  # type: ignore[union-attr]
        self.dtype = x.dtype if tensor else dtypes.from_numpy(self.array.dtype)  # type: ignore[union-attr]
        self.device: Any = x.device if tensor else None
        self.stride: Any = x.stride() if tensor else None  # type: ignore[attr-defined]


def _as_tensors(actual: Any, expected: Any, settings: _Settings) -> tuple[_Values, _Values]:
    kinds = (Tensor, np.ndarray)
    same = any(isinstance(actual, kind) and isinstance(expected, kind) for kind in kinds)
    if not same or (not settings.subclasses and type(actual) is not type(expected)):
        raise TypeError(f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}.")
    return _Values(actual), _Values(expected)


def _tolerances(settings: _Settings, *found: DType, python: bool = False) -> tuple[float, float]:
    if settings.rtol is not None and settings.atol is not None:
        return settings.rtol, settings.atol
    if python:  # Python's numbers are double precision
        found = tuple(dtypes.float64 if d.kind == "f" else dtypes.complex128 if d.kind == "c" else d for d in found)
    return default_tolerances(*found)


def _compare_tensors(actual: _Values, expected: _Values, where: str, settings: _Settings) -> None:
    for name, wanted in (("shape", True), ("device", settings.device), ("dtype", settings.dtype), ("stride", settings.stride)):
        a, b = getattr(actual, name), getattr(expected, name)
        if wanted and a != b:
            raise _Different(f"The values for attribute '{name if name != 'stride' else 'stride()'}' do not match: {a} != {b}.{where}")
    if actual.array is None or expected.array is None:
        return
    rtol, atol = _tolerances(settings, actual.dtype, expected.dtype)
    a, b = _wide(actual.array, expected.dtype), _wide(expected.array, actual.dtype)
    if not a.shape:
        _compare_numbers(a.item(), b.item(), rtol, atol, settings.equal_nan, where, "0-d")
        return
    with np.errstate(all="ignore"):
        difference = np.where(a == b, np.zeros((), np.abs(a).dtype), np.abs(a - b))
        close = (a == b) | (difference <= atol + rtol * np.abs(b)) & np.isfinite(difference)
        if settings.equal_nan:
            close |= np.isnan(a) & np.isnan(b)
        if close.all():
            return
        relative = difference / np.abs(b)
    n = close.size - int(np.count_nonzero(close))
    text = f"Tensor-likes are not {'close' if rtol or atol else 'equal'}!\n\nMismatched elements: {n} / {close.size} ({n / close.size:.1%})"
    for name, values, allowed in (("absolute", difference, atol), ("relative", relative, rtol)):
        at = np.unravel_index(int(np.argmax(np.where(close, -1.0, values))), close.shape)
        index = tuple(int(i) for i in at)
        text += f"\nGreatest {name} difference: {values[at].item()} at index {index}" + (
            f" (up to {allowed} allowed)" if rtol or atol else ""
        )
    raise _Different(text + where)


def _wide(array: np.ndarray, other: DType) -> np.ndarray:
    """The values in a dtype in which differences neither wrap around nor are rounded away."""
    own = dtypes.from_numpy(array.dtype)
    if own.kind in "bui" and other.kind in "bui":
        return array.astype(np.int64)
    common = dtypes.promote(own, other)
    return array.astype(np.float32 if common.itemsize == 2 else common.np)


def _compare_numbers(a: Any, b: Any, rtol: float, atol: float, equal_nan: bool, where: str, kind: str = "") -> None:
    if a == b or (equal_nan and cmath.isnan(a) and cmath.isnan(b)):
        return
    difference = abs(a - b)
    if cmath.isfinite(a) and cmath.isfinite(b) and difference <= atol + rtol * abs(b):
        return
    relative = difference / abs(b) if b != 0 else math.inf
    exact = not (rtol or atol)
    text = f"Scalars are not {'equal' if exact else 'close'}!\n\nExpected {b} but got {a}."
    for name, value, allowed in (("Absolute", difference, atol), ("Relative", relative, rtol)):
        text += f"\n{name} difference: {value}" + ("" if exact else f" (up to {allowed} allowed)")
    raise _Different(text + where)
