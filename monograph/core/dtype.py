"""The dtypes, with PyTorch's names, aliases and promotion rules."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from monograph.core.errors import DTypeError
from monograph.core.naming import naming


class dtype:  # noqa: N801 - torch's name for it
    """An element type. There is exactly one object per type, so `is` compares dtypes.

    Attributes: `name` ("float32"), `np` (the NumPy dtype), `itemsize` in bytes, `kind` (one of "b", "u", "i", "f", "c"), `compiled`
    (whether kernels are compiled for it; an op in another one is computed by its NumPy reference).
    """

    __slots__ = ("compiled", "is_complex", "is_floating_point", "is_signed", "itemsize", "kind", "name", "np", "number", "rank")

    def __init__(self, name: str, np_dtype: object, kind: str, rank: int) -> None:
        self.name = name
        self.np = np.dtype(np_dtype)  # type: ignore[call-overload]
        self.itemsize = self.np.itemsize
        self.kind = kind
        self.rank = rank  # position in the promotion order of its category
        self.is_floating_point = kind == "f"
        self.is_complex = kind == "c"
        self.is_signed = kind in "ifc" and name != "float8_e8m0fnu"
        self.compiled = kind != "c" and not name.startswith("float8")
        self.number = len(ALL)
        ALL.append(self)
        BY_NAME[name] = self
        BY_NUMPY[self.np] = self

    def __repr__(self) -> str:
        return f"{naming.package}.{self.name}"

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (by_name, (self.name,))

    def __copy__(self) -> dtype:
        return self

    def __deepcopy__(self, memo: object) -> dtype:
        return self

    def to_complex(self) -> dtype:
        """The complex type of this precision."""
        return complex128 if self is float64 or self is complex128 else complex64

    def to_real(self) -> dtype:
        """The real type of this precision."""
        return {complex64: float32, complex128: float64}.get(self, self)


ALL: list[dtype] = []
BY_NAME: dict[str, dtype] = {}
BY_NUMPY: dict[np.dtype, dtype] = {}

bool_ = dtype("bool", np.bool_, "b", 0)
uint8 = dtype("uint8", np.uint8, "u", 0)
int8 = dtype("int8", np.int8, "i", 1)
int16 = dtype("int16", np.int16, "i", 2)
int32 = dtype("int32", np.int32, "i", 3)
int64 = dtype("int64", np.int64, "i", 4)
float16 = dtype("float16", np.float16, "f", 0)
bfloat16 = dtype("bfloat16", ml_dtypes.bfloat16, "f", 0)
float32 = dtype("float32", np.float32, "f", 1)
float64 = dtype("float64", np.float64, "f", 2)
complex64 = dtype("complex64", np.complex64, "c", 0)
complex128 = dtype("complex128", np.complex128, "c", 1)
uint16 = dtype("uint16", np.uint16, "u", 2)
uint32 = dtype("uint32", np.uint32, "u", 3)
uint64 = dtype("uint64", np.uint64, "u", 4)
float8_e4m3fn = dtype("float8_e4m3fn", ml_dtypes.float8_e4m3fn, "f", -1)
float8_e5m2 = dtype("float8_e5m2", ml_dtypes.float8_e5m2, "f", -1)
float8_e4m3fnuz = dtype("float8_e4m3fnuz", ml_dtypes.float8_e4m3fnuz, "f", -1)
float8_e5m2fnuz = dtype("float8_e5m2fnuz", ml_dtypes.float8_e5m2fnuz, "f", -1)
float8_e8m0fnu = dtype("float8_e8m0fnu", ml_dtypes.float8_e8m0fnu, "f", -1)
FLOAT8 = (float8_e4m3fn, float8_e5m2, float8_e4m3fnuz, float8_e5m2fnuz, float8_e8m0fnu)  # to store numbers in: nothing is mixed with them

ALIASES = {
    "float": float32,
    "double": float64,
    "half": float16,
    "int": int32,
    "long": int64,
    "short": int16,
    "cfloat": complex64,
    "cdouble": complex128,
}

_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}


def by_name(name: str) -> dtype:
    """The dtype called `name` ("float32"); raises DTypeError for an unknown one."""
    found = BY_NAME.get(name) or ALIASES.get(name)
    if found is None:
        raise DTypeError(f"no dtype is called {name!r}; there are {', '.join(BY_NAME)}")
    return found


def given(d: object, default: dtype) -> dtype:
    """A `dtype=` argument: a dtype, one of Python's bool, int and float, or None for the default. Raises TypeError for anything else."""
    if d is None:
        return default
    if isinstance(d, dtype):
        return d
    own = {bool: bool_, int: int64, float: float64}.get(d) if isinstance(d, type) else None
    if own is None:
        hint = f"monograph.{d}" if isinstance(d, str) and d in BY_NAME else "one such as monograph.float32"
        raise TypeError(f"argument 'dtype' must be a monograph.dtype, not {type(d).__name__} {d!r}: write {hint}")
    return own


def from_numpy(np_dtype: object) -> dtype:
    """The dtype of a NumPy dtype; raises TypeError for one that tensors cannot hold (object, str, datetime64 ...)."""
    key = np.dtype(np_dtype)  # type: ignore[call-overload]
    found = BY_NUMPY.get(key) or BY_NUMPY.get(key.newbyteorder("="))
    if found is None:
        raise TypeError(
            f"can't convert a NumPy array of dtype {key}; supported are {', '.join(BY_NAME)}. Convert it first, e.g. a.astype('float32')"
        )
    return found


def category(d: dtype) -> int:
    """0 bool, 1 integer, 2 floating, 3 complex: a Python scalar raises a tensor's dtype only to its own category."""
    return _CATEGORY[d.kind]


def _promote(a: dtype, b: dtype) -> dtype | None:
    ca, cb = category(a), category(b)
    if a in FLOAT8 or b in FLOAT8:
        return None
    if ca != cb:
        low, high = (a, b) if ca < cb else (b, a)
        return complex128 if high is complex64 and low is float64 else high
    if a.kind != b.kind:
        return _holding_both(a, b) if a.kind == "u" else _holding_both(b, a)
    if a.rank != b.rank:
        return a if a.rank > b.rank else b
    return float32  # float16 with bfloat16


def _holding_both(unsigned: dtype, signed: dtype) -> dtype | None:
    """The smallest signed type that holds the numbers of both; None beside uint64, which no signed type holds."""
    return next((d for d in (int8, int16, int32, int64) if d.itemsize > unsigned.itemsize and d.itemsize >= signed.itemsize), None)


_TABLE = {(a, b): a if a is b else _promote(a, b) for a in ALL for b in ALL}


def promote(a: dtype, b: dtype) -> dtype:
    """The common dtype of two tensors of equal standing (torch.promote_types).

    >>> promote(int64, float16).name, promote(uint8, int8).name, promote(float16, bfloat16).name
    ('float16', 'int16', 'float32')

    An unsigned and a signed integer type become the signed type that holds both (uint16 and int32: int32; torch mixes only uint8), except
    for uint64, which no signed type holds: RuntimeError, as in torch.
    """
    try:
        common = _TABLE[a, b]
    except (KeyError, TypeError):
        wrong = a if not isinstance(a, dtype) else b
        kind = type(wrong).__name__
        raise TypeError(f"promote_types(): expected two dtypes, got {kind}: use result_type for tensors and numbers") from None
    if common is None and (a in FLOAT8 or b in FLOAT8):
        raise RuntimeError(
            f"Promotion for Float8 Types is not supported, attempted to promote {a.name} and {b.name}: cast first, e.g. x.to(float32)"
        )
    if common is None:
        raise RuntimeError(
            f"Promotion of uint64 with signed integers is not supported, attempted to promote {a.name} and {b.name}: no integer type holds "
            "both; cast one first, e.g. x.to(int64)"
        )
    return common


def can_cast(source: dtype, to: dtype) -> bool:
    """Whether an in-place result of dtype `source` may be stored into `to` (torch.can_cast)."""
    if category(source) > category(to):
        return False
    return not (to is bool_ and source is not bool_)


class _Defaults:
    floating = float32


defaults = _Defaults()


def default_float() -> dtype:
    """The dtype that Python floats get (torch.get_default_dtype)."""
    return defaults.floating


def of_scalar(value: object) -> dtype:
    """The dtype that a Python scalar stands for."""
    if isinstance(value, bool | np.bool_):
        return bool_
    if isinstance(value, int | np.integer):
        return int64
    if isinstance(value, float | np.floating):
        return defaults.floating
    if isinstance(value, complex | np.complexfloating):
        return defaults.floating.to_complex()
    raise TypeError(f"expected a number, got {type(value).__name__}")


class Info:
    """Limits of a dtype, as torch.finfo and torch.iinfo give them."""

    def __init__(self, d: dtype) -> None:
        self.dtype = d.name
        if d.kind in "fc":
            info = ml_dtypes.finfo(d.to_real().np)
            self.bits = info.bits
            self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
            self.tiny = self.smallest_normal = float(info.tiny)
            self.resolution = 1.0 if d in FLOAT8 else float(info.resolution)
        else:
            limits = np.iinfo(d.np)
            self.bits, self.min, self.max = limits.bits, int(limits.min), int(limits.max)

    def __repr__(self) -> str:
        return f"Info({', '.join(f'{k}={v}' for k, v in vars(self).items())})"


def finfo(d: dtype | None = None) -> Info:
    """Floating-point limits; raises TypeError for other dtypes."""
    d = d or defaults.floating
    if d.kind not in "fc":
        raise TypeError(f"finfo() takes a floating-point dtype, got {d}; use iinfo() for integers")
    return Info(d)


def iinfo(d: dtype) -> Info:
    """Integer limits; raises TypeError for other dtypes."""
    if d.kind not in "ui":
        raise TypeError(f"iinfo() takes an integer dtype, got {d}; use finfo() for floating-point types")
    return Info(d)
