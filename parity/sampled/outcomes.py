"""What a call came to in each framework, and whether the two agree."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import monograph as mg
from parity.sampled.twins import Absent, NotCarried

# torch.testing's own (relative, absolute) tolerances.
TOLERANCE = {
    "float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5), "complex128": (1e-7, 1e-7),
}  # fmt: skip
# Between neighbouring numbers, relatively.
STEP = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52, "complex64": 2.0**-23, "complex128": 2.0**-52}

# In which dtype torch's own result is exact enough to judge two results of a narrower one.
WIDER = {"float16": "float64", "bfloat16": "float64", "float32": "float64", "complex64": "complex128"}


@dataclasses.dataclass(frozen=True)
class Raised:
    """The call raised."""

    kind: type
    message: str

    def __str__(self) -> str:
        return f"{self.kind.__name__}: {self.message[:160]}"


@dataclasses.dataclass(frozen=True)
class Array:
    """The call gave a tensor."""

    dtype: str
    shape: tuple[int, ...]
    values: Any

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


def plain(value: Any) -> Any:
    """A result as arrays, tuples and Python values."""
    if isinstance(value, torch.Tensor):
        value = value.detach()
        dtype = str(value.dtype).removeprefix("torch.")
        if value.layout is not torch.strided or value.is_nested or value.dtype is torch.complex32:
            raise NotCarried(f"layout {value.layout} {dtype}")
        if value.device.type == "meta":
            return Array(dtype, tuple(value.shape), None)
        value = value.resolve_conj().resolve_neg()
        return Array(dtype, tuple(value.shape), (value.float() if dtype == "bfloat16" else value).numpy())
    if isinstance(value, mg.Tensor):
        value = value.detach()
        dtype = str(value.dtype).rsplit(".", 1)[-1]
        if str(value.device) == "meta":
            return Array(dtype, tuple(value.shape), None)
        return Array(dtype, tuple(value.shape), np.array((value.float() if dtype == "bfloat16" else value).numpy()))
    if isinstance(value, (tuple, list)):
        return tuple(plain(item) for item in value)
    if isinstance(value, (torch.dtype, mg.dtype)):
        return "dtype " + str(value).rsplit(".", 1)[-1]
    return value


def attempt(call: Callable[[], Any]) -> Any:
    """The result of a call and its plain form; an exception as `Raised`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = call()
            return value, plain(value)
        except (Absent, NotCarried):
            raise
        except Exception as error:
            raised = Raised(type(error), str(error))
            return raised, raised


def disagreement(theirs: Any, mine: Any, tolerance: tuple[float, float] | None = None, values: bool = True) -> str:
    """Empty when both agree, else one line saying where they do not."""
    if isinstance(theirs, Raised):
        expected = RuntimeError if theirs.kind is NotImplementedError else theirs.kind
        if isinstance(mine, Raised):
            return "" if issubclass(mine.kind, expected) else f"error class: torch {theirs}; monograph {mine}"
        return f"no error: torch {theirs}; monograph gives {brief(mine)}"
    if isinstance(mine, Raised):
        return f"raises: torch gives {brief(theirs)}; monograph {mine}"
    if isinstance(theirs, tuple) or isinstance(mine, tuple):
        if not (isinstance(theirs, tuple) and isinstance(mine, tuple) and len(theirs) == len(mine)):
            return f"structure: torch {brief(theirs)}; monograph {brief(mine)}"
        return next((d for d in (disagreement(a, b, tolerance, values) for a, b in zip(theirs, mine, strict=True)) if d), "")
    if isinstance(theirs, Array) or isinstance(mine, Array):
        if not (isinstance(theirs, Array) and isinstance(mine, Array)):
            return f"structure: torch {brief(theirs)}; monograph {brief(mine)}"
        if theirs.dtype != mine.dtype:
            return f"dtype: torch {theirs}; monograph {mine}"
        if theirs.shape != mine.shape:
            return f"shape: torch {theirs}; monograph {mine}"
        return _values(theirs, mine, tolerance) if values and theirs.values is not None else ""
    if isinstance(theirs, float) and isinstance(mine, float):
        return "" if not values or np.isclose(theirs, mine, 1e-6, 1e-7, equal_nan=True) else f"value: torch {theirs!r}; monograph {mine!r}"
    if type(theirs) is not type(mine):
        return f"structure: torch {theirs!r}; monograph {mine!r}"
    return "" if not values or theirs == mine else f"value: torch {theirs!r}; monograph {mine!r}"


def _values(theirs: Array, mine: Array, tolerance: tuple[float, float] | None) -> str:
    if not theirs.values.size:
        return ""
    if tolerance is None and theirs.dtype not in TOLERANCE:
        wrong = theirs.values != mine.values
    else:
        relative, absolute = tolerance or TOLERANCE[theirs.dtype]
        wide = np.complex128 if theirs.dtype.startswith("complex") else np.float64
        with np.errstate(all="ignore"):
            wrong = ~np.isclose(mine.values.astype(wide), theirs.values.astype(wide), relative, absolute, equal_nan=True)
    if not wrong.any():
        return ""
    where = tuple(int(i) for i in np.argwhere(wrong)[0])
    first = f"torch {theirs.values[where]}; monograph {mine.values[where]}"
    return f"value: {int(wrong.sum())} of {wrong.size} differ, at {where}: {first} ({theirs})"


def no_further(exact: Any, theirs: Any, mine: Any, tolerance: tuple[float, float] | None = None) -> bool:
    """Whether `mine` is, element by element, within the tolerance of torch's or has no error of another order (twice torch's own
    against its result in a wider dtype)."""
    if isinstance(theirs, tuple):
        same = isinstance(mine, tuple) and isinstance(exact, tuple) and len(exact) == len(theirs) == len(mine)
        return same and all(no_further(*parts, tolerance) for parts in zip(exact, theirs, mine, strict=True))
    if not (isinstance(exact, Array) and isinstance(theirs, Array) and isinstance(mine, Array)):
        return bool(theirs == mine)
    if exact.values is None or not exact.shape == theirs.shape == mine.shape:
        return False
    if theirs.dtype not in TOLERANCE:
        return np.array_equal(theirs.values, mine.values)
    relative, absolute = tolerance or TOLERANCE[theirs.dtype]
    wide = np.complex128 if theirs.dtype.startswith("complex") else np.float64
    true, one, other = (part.values.astype(wide) for part in (exact, theirs, mine))
    with np.errstate(all="ignore"):
        rounding = STEP[theirs.dtype] * np.abs(true)
        # An error of torch's that is infinite, or one against a result that is, excuses nothing.
        own = np.where(np.isfinite(one), 2 * np.abs(one - true), 0.0)
        near = np.isfinite(true) & (np.abs(other - true) <= np.fmax(own, rounding))
        near |= np.isinf(other) & (np.abs(true) > float(torch.finfo(getattr(torch, theirs.dtype)).max))  # rounded to infinity
        return bool((near | np.isclose(other, one, relative, absolute, equal_nan=True)).all())


def brief(value: Any) -> str:
    if isinstance(value, tuple):
        return "(" + ", ".join(brief(item) for item in value[:4]) + (", ...)" if len(value) > 4 else ")")
    return str(value)[:100]
