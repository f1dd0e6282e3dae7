"""The two frameworks side by side: the same inputs to both, outcomes in a form that can be compared."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

import monograph as mg

FRAMES = (torch, mg)
FLOATS = ("float32", "float64")
HALVES = ("float16", "bfloat16")
INTS = ("int8", "int16", "int32", "int64", "uint8")
NUMBERS = (*FLOATS, *HALVES, *INTS)
COMPLEX = ("complex64", "complex128")
WIDE_UNSIGNED = ("uint16", "uint32", "uint64")
REAL = (*NUMBERS, "bool")
ALL = (*REAL, *COMPLEX)

# (relative, absolute). A composite in half precision rounds after every op here and once at the end there, or the other way round.
TOLERANCE = {
    "float32": (2e-5, 2e-6), "float64": (1e-9, 1e-11), "float16": (4e-3, 4e-3), "bfloat16": (3e-2, 3e-2),
    "complex64": (4e-5, 4e-6), "complex128": (1e-9, 1e-11),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a call came to: the dtype, shape and values of a tensor, a plain Python value, or the class of an error."""

    kind: str
    dtype: str = ""
    shape: tuple[int, ...] = ()
    value: Any = None
    message: str = ""


def dtype_name(dtype: Any) -> str:
    return str(dtype).rsplit(".", 1)[-1]


def to_tensor(frame: Any, array: np.ndarray, dtype: str) -> Any:
    """A tensor of the named dtype; float16 and bfloat16 arrive as float32 arrays, since NumPy has no bfloat16."""
    kind = getattr(frame, dtype)
    return frame.tensor(array.tolist(), dtype=kind) if array.ndim == 0 else frame.from_numpy(array.copy()).to(kind)


def to_array(value: Any) -> np.ndarray:
    value = value.detach().resolve_conj()
    if dtype_name(value.dtype) == "bfloat16":
        value = value.float()
    return np.array(value.numpy())


def outcome(value: Any) -> Any:
    """The outcome of a result; tuples, lists and named tuples become tuples of outcomes."""
    if hasattr(value, "detach") and hasattr(value, "dtype"):
        return Outcome("tensor", dtype_name(value.dtype), tuple(value.shape), to_array(value))
    if isinstance(value, (tuple, list)):
        return tuple(outcome(item) for item in value)
    if type(value).__name__ == "dtype":
        return Outcome("dtype", dtype_name(value))
    return Outcome("value", type(value).__name__, (), value)


def attempt(call: Callable[[], Any]) -> Any:
    """The outcome of a call, an exception included. Warnings are the frameworks' own business."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return outcome(call())
        except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            return Outcome("error", type(error).__name__, (), type(error), f"{type(error).__name__}: {error}")


def disagreement(theirs: Any, ours: Any, loosen: float = 1.0) -> str:
    """Empty when both outcomes agree, else one line that says where they do not."""
    if isinstance(theirs, tuple) or isinstance(ours, tuple):
        if not (isinstance(theirs, tuple) and isinstance(ours, tuple) and len(theirs) == len(ours)):
            return f"structure: torch {brief(theirs)}, monograph {brief(ours)}"
        return "; ".join(filter(None, (disagreement(a, b, loosen) for a, b in zip(theirs, ours, strict=True))))
    if theirs.kind == "error":
        # A subclass of theirs will do: ours may be one that also names the user's line.
        expected = RuntimeError if theirs.value is NotImplementedError else theirs.value
        agreed = ours.kind == "error" and issubclass(ours.value, expected)
        return "" if agreed else f"torch raises {theirs.message[:90]!r}, monograph {brief(ours)}"
    if ours.kind == "error":
        return f"monograph raises {ours.message[:300]!r}, torch {brief(theirs)}"
    if (theirs.kind, theirs.dtype, theirs.shape) != (ours.kind, ours.dtype, ours.shape):
        return f"torch {brief(theirs)}, monograph {brief(ours)}"
    if theirs.kind == "value":
        close = isinstance(theirs.value, float) and bool(np.isclose(theirs.value, ours.value, equal_nan=True))
        return "" if close or theirs.value == ours.value else f"torch {theirs.value!r}, monograph {ours.value!r}"
    if theirs.kind == "tensor":
        return value_disagreement(theirs.value, ours.value, theirs.dtype, loosen)
    return ""


def value_disagreement(theirs: np.ndarray, ours: np.ndarray, dtype: str, loosen: float) -> str:
    relative, absolute = TOLERANCE.get(dtype, (0.0, 0.0))
    wide = np.complex128 if dtype in COMPLEX else np.uint64 if dtype == "uint64" else np.float64
    wrong = ~np.isclose(ours.astype(wide), theirs.astype(wide), relative * loosen, absolute * loosen, equal_nan=True)
    if not wrong.any():
        return ""
    where = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"{int(wrong.sum())} of {wrong.size} values differ, first at {where}: torch {theirs[where]!r}, monograph {ours[where]!r}"


def brief(result: Any) -> str:
    if isinstance(result, tuple):
        return "(" + ", ".join(brief(item) for item in result) + ")"
    if result.kind == "tensor":
        return f"{result.dtype}{list(result.shape)}"
    return result.message[:200] if result.kind == "error" else f"{result.kind} {result.dtype} {result.value!r}"


def compare(program: Callable[..., Any], arguments: Sequence[Any] = (), loosen: float = 1.0) -> str:
    """Run `program(frame, *arguments)` in both frames and say where they disagree."""
    theirs, ours = (attempt(lambda frame=frame: program(frame, *arguments)) for frame in FRAMES)
    return disagreement(theirs, ours, loosen)
