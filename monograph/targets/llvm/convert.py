"""Types of values and casts between all dtypes.

In expressions a value has its logical type: bool is i1, float16 half, bfloat16 bfloat. In memory only bool differs (a byte 0/1).
Casts follow PyTorch on x86-64: a float becomes an integer by truncation; NaN and what does not fit become the most negative
int32 (int64 for targets wider than int32), narrowed by dropping high bits; integers wrap; anything but zero is true. float64 becomes
float16 or bfloat16 by way of float32, as in PyTorch. No input gives an undefined result.
"""

from __future__ import annotations

from monograph.targets.llvm.ir import Fn, Val, const, element, lanes, vector
from monograph.targets.llvm.vecmath_numbers import Num, bits, fabs, select

VALUE_TYPES = {
    "float32": "float", "float64": "double", "float16": "half", "bfloat16": "bfloat", "int8": "i8", "int16": "i16", "int32": "i32",
    "int64": "i64", "uint8": "i8", "uint16": "i16", "uint32": "i32", "uint64": "i64", "bool": "i1",
}  # fmt: skip
KINDS = {
    "float32": "f", "float64": "f", "float16": "f", "bfloat16": "f", "int8": "i", "int16": "i", "int32": "i", "int64": "i",
    "uint8": "u", "uint16": "u", "uint32": "u", "uint64": "u", "bool": "b",
}  # fmt: skip
NARROW = ("float16", "bfloat16")


def value_type(dtype: str, n: int = 1) -> str:
    """The LLVM type of n lanes of a dtype in an expression."""
    return vector(VALUE_TYPES[dtype], n)


def memory_type(dtype: str, n: int = 1) -> str:
    """The LLVM type of n lanes of a dtype in memory."""
    return vector("i8" if dtype == "bool" else VALUE_TYPES[dtype], n)


def from_memory(f: Fn, x: Val, dtype: str) -> Val:
    """The expression value of what was loaded."""
    return f.icmp("ne", x, const(0, x.ty)) if dtype == "bool" else x


def to_memory(f: Fn, x: Val, dtype: str) -> Val:
    """What to store for an expression value."""
    return f.cast("zext", x, vector("i8", lanes(x.ty))) if dtype == "bool" else x


def compute_dtype(dtype: str) -> str:
    """The dtype an operation is computed in: float32 for the 16-bit floats, else the dtype itself."""
    return "float32" if dtype in NARROW else dtype


def widen(x: Num, dtype: str) -> Num:
    """A 16-bit float as float32 (exact); any other value as it is."""
    if dtype == "float16":
        return x.cast("fpext", "float")
    if dtype == "bfloat16":
        return (x.cast("bitcast", "i16").cast("zext", "i32") << 16).cast("bitcast", "float")
    return x


def narrow(x: Num, dtype: str) -> Num:
    """A float32 rounded to nearest even into a 16-bit float; any other value as it is."""
    if dtype == "float16":
        return x.cast("fptrunc", "half")
    if dtype == "bfloat16":
        i = bits(x)
        rounded = i + (i.lshr(16) & 1) + 0x7FFF
        # rounding could carry a NaN's payload into infinity: NaNs are cut off and made quiet instead
        return select(x.isnan(), i | 0x00400000, rounded).lshr(16).cast("trunc", "i16").cast("bitcast", "bfloat")
    return x


def _float_to_int(x: Num, dtype: str) -> Num:
    if dtype == "uint64":  # the upper half of its range is converted below 2^63 and moved up
        upper = x >= 2.0**63
        moved = _float_to_int(select(upper, x - 2.0**63, x), "int64")
        return select(upper, moved ^ -(1 << 63), moved)
    wide = "i64" if dtype in ("int64", "uint32") else "i32"
    limit = 2.0 ** (63 if wide == "i64" else 31)
    fits = fabs(x) < limit  # false for NaN; -limit itself converts to the most negative value either way
    whole = select(fits, x, -limit).cast("fptosi", wide)
    return whole.cast("trunc", VALUE_TYPES[dtype])


def convert(f: Fn, x: Val, source: str, target: str) -> Val:
    """Casts a value (scalar or vector) between dtypes."""
    return cast_number(Num(f, x), source, target).v


def cast_number(x: Num, source: str, target: str) -> Num:
    """`convert` on a `Num`."""
    if source == target:
        return x
    if source in NARROW:
        return cast_number(widen(x, source), "float32", target)
    if target in NARROW:
        return narrow(cast_number(x, source, "float32"), target)
    kinds = KINDS[source], KINDS[target]
    ty = VALUE_TYPES[target]
    if kinds[1] == "b":
        return x.ne(0.0 if kinds[0] == "f" else 0)
    if kinds == ("f", "f"):
        return x.cast("fpext" if target == "float64" else "fptrunc", ty)
    if kinds[0] == "f":
        return _float_to_int(x, target)
    if kinds[1] == "f":
        return x.cast("sitofp" if kinds[0] == "i" else "uitofp", ty)
    before, after = int(element(x.ty)[1:]), int(ty[1:])
    if before > after:
        return x.cast("trunc", ty)
    return x.cast("sext" if kinds[0] == "i" else "zext", ty)
