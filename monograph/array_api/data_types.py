"""Dtypes: conversion, limits, kinds; and what this namespace says of itself."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from monograph.array_api.array import returns_arrays
from monograph.array_api.promotion import result_dtype
from monograph.core import dtype as dtypes
from monograph.core.dtype import dtype as DType
from monograph.tensor.core import CPU, Device, Tensor

Kind = DType | str | tuple[DType | str, ...]

_NAMES = {
    "bool": "bool",
    "signed integer": "int8 int16 int32 int64",
    "unsigned integer": "uint8 uint16 uint32 uint64",
    "integral": "int8 int16 int32 int64 uint8 uint16 uint32 uint64",
    "real floating": "float32 float64",
    "complex floating": "complex64 complex128",
    "numeric": "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128",
}
_KINDS = {
    "bool": "b",
    "signed integer": "i",
    "unsigned integer": "u",
    "integral": "iu",
    "real floating": "f",
    "complex floating": "c",
    "numeric": "iufc",
}


@returns_arrays
def astype(x: Tensor, dtype: DType, /, *, copy: bool = True, device: Any = None) -> Any:
    """The values in another dtype; with copy=False the array itself if it has it already."""
    if x.dtype.is_complex and not dtype.is_complex and dtype is not dtypes.bool_:
        raise TypeError(f"astype: the imaginary part of {x.dtype} would be lost in {dtype}; take real(x) first")
    return x.to(device=device, dtype=dtype, copy=copy)  # type: ignore[attr-defined]


def can_cast(from_: DType | Tensor, to: DType, /) -> bool:
    """Whether promotion leads from one dtype to the other, so that no value is lost for lack of a wider kind."""
    d = from_.dtype if isinstance(from_, Tensor) else from_
    try:
        return dtypes.promote(d, to) is to
    except RuntimeError:  # nothing holds both
        return False


def result_type(*arrays_and_dtypes: Any) -> DType:
    """The dtype that an op on these arrays, dtypes and Python numbers has."""
    return result_dtype(*arrays_and_dtypes)


def isdtype(dtype: DType, kind: Kind) -> bool:
    """Whether a dtype is of a kind: a dtype, "bool", "integral", "real floating" ..., or a tuple of these, any of which will do."""
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if isinstance(kind, DType):
        return dtype is kind
    if kind not in _KINDS:
        raise ValueError(f"isdtype: unknown kind {kind!r}; there are {', '.join(map(repr, _KINDS))}")
    return dtype.kind in _KINDS[kind]


@dataclass(frozen=True)
class FloatLimits:
    """What `finfo` returns."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


@dataclass(frozen=True)
class IntegerLimits:
    """What `iinfo` returns."""

    bits: int
    max: int
    min: int
    dtype: DType


def finfo(type: DType | Tensor, /) -> FloatLimits:  # noqa: A002
    """The limits of a floating-point dtype; of a complex one those of its parts. Raises TypeError for others."""
    d = type.dtype if isinstance(type, Tensor) else type
    found = dtypes.finfo(d)
    return FloatLimits(found.bits, found.eps, found.max, found.min, found.smallest_normal, d.to_real())


def iinfo(type: DType | Tensor, /) -> IntegerLimits:  # noqa: A002
    """The limits of an integer dtype. Raises TypeError for others."""
    d = type.dtype if isinstance(type, Tensor) else type
    found = dtypes.iinfo(d)
    return IntegerLimits(found.bits, int(found.max), int(found.min), d)


class NamespaceInfo:
    """What the namespace can do, as `__array_namespace_info__()` returns it.

    >>> from monograph import array_api as xp
    >>> xp.__array_namespace_info__().default_dtypes()["real floating"]
    monograph.float32
    """

    def capabilities(self) -> dict[str, bool | int | None]:
        """Whether masks as indices and shapes that depend on data work, and how many dimensions arrays may have (NumPy's limit)."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> Device:
        """The CPU."""
        return CPU

    def default_dtypes(self, *, device: Any = None) -> dict[str, DType]:
        """What Python numbers become, and what indices are."""
        floating = dtypes.default_float()
        return {
            "real floating": floating,
            "complex floating": floating.to_complex(),
            "integral": dtypes.int64,
            "indexing": dtypes.int64,
        }

    def devices(self) -> tuple[Device, ...]:
        """The CPU alone."""
        return (CPU,)

    def dtypes(self, *, device: Any = None, kind: str | tuple[str, ...] | None = None) -> dict[str, DType]:
        """The standard's dtypes by name, of one kind or several."""
        kinds = (kind,) if isinstance(kind, str) else ("bool", "numeric") if kind is None else kind
        unknown = [k for k in kinds if k not in _NAMES]
        if unknown:
            raise ValueError(f"dtypes: unknown kind {unknown[0]!r}; there are {', '.join(map(repr, _NAMES))}")
        return {name: dtypes.by_name(name) for k in kinds for name in _NAMES[k].split()}


VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12", "2025.12")


def namespace(api_version: str | None = None) -> ModuleType:
    """The module of the namespace, if it follows that version of the standard. Raises ValueError if not."""
    if api_version is not None and api_version not in VERSIONS:
        raise ValueError(f"unknown version {api_version!r} of the array API standard; supported are {', '.join(VERSIONS)}")
    return sys.modules["monograph.array_api"]


def __array_namespace_info__() -> NamespaceInfo:
    """An object that says what the namespace can do: dtypes, devices, capabilities."""
    return NamespaceInfo()


