"""Element types: storage and compute types of each dtype, vector loads and stores with conversion, transposes.

float16 and bfloat16 are stored narrow and computed in float32; integers of up to 32 bits are computed in int32 (uint32, whose
order int32 lacks, in int64; wrapping, so cutting the sum down at the end gives the same bits as wrapping every step); bool is a byte 0/1.
"""

from __future__ import annotations

from collections.abc import Callable

from monograph.targets.llvm.ir import Fn, Val, is_float, lanes, vector

STORAGE = {
    "float32": "float", "float64": "double", "float16": "half", "bfloat16": "bfloat", "int8": "i8", "int16": "i16", "int32": "i32",
    "int64": "i64", "uint8": "i8", "uint16": "i16", "uint32": "i32", "uint64": "i64", "bool": "i8",
}  # fmt: skip
COMPUTE = {
    "float32": "float", "float64": "double", "float16": "float", "bfloat16": "float", "int8": "i32", "int16": "i32", "int32": "i32",
    "int64": "i64", "uint8": "i32", "uint16": "i32", "uint32": "i64", "uint64": "i64", "bool": "i32",
}  # fmt: skip
SIZES = {
    "float32": 4, "float64": 8, "float16": 2, "bfloat16": 2, "int8": 1, "int16": 2, "int32": 4, "int64": 8, "uint8": 1, "uint16": 2,
    "uint32": 4, "uint64": 8, "bool": 1,
}  # fmt: skip


def itemsize(dtype: str) -> int:
    """Bytes of one stored element."""
    return SIZES[dtype]


def narrow(dtype: str) -> bool:
    """Whether elements must be converted when loaded for computing."""
    return STORAGE[dtype] != COMPUTE[dtype]


def widen(f: Fn, dtype: str, stored: Val) -> Val:
    """A stored value (scalar or vector) as its compute type."""
    to = vector(COMPUTE[dtype], lanes(stored.ty))
    if dtype == "bfloat16":
        n = lanes(stored.ty)
        bits = f.cast("zext", f.cast("bitcast", stored, vector("i16", n)), vector("i32", n))
        return f.cast("bitcast", f.binary("shl", bits, f.const(16, bits.ty)), to)
    if is_float(stored.ty):
        return f.cast("fpext", stored, to)
    return f.cast("zext" if dtype.startswith("u") or dtype == "bool" else "sext", stored, to)


def tighten(f: Fn, dtype: str, value: Val) -> Val:
    """A computed value as it is stored (round to nearest even; integers wrap; bool is "not zero")."""
    n = lanes(value.ty)
    to = vector(STORAGE[dtype], n)
    if dtype == "bool":
        return f.cast("zext", f.icmp("ne", value, 0), to)
    if dtype == "bfloat16":
        bits = f.cast("bitcast", value, vector("i32", n))
        odd = f.binary("and", f.binary("lshr", bits, f.const(16, bits.ty)), f.const(1, bits.ty))
        rounded = f.binary("lshr", f.add(f.add(bits, 0x7FFF), odd), f.const(16, bits.ty))
        quiet = f.binary("or", f.binary("lshr", bits, f.const(16, bits.ty)), f.const(0x40, bits.ty))
        chosen = f.select(f.fcmp("uno", value, value), quiet, rounded)
        return f.cast("bitcast", f.cast("trunc", chosen, vector("i16", n)), to)
    if is_float(value.ty):
        return f.cast("fptrunc", value, to)
    return f.cast("trunc", value, to)


def load(f: Fn, dtype: str, ptr: Val, n: int = 1) -> Val:
    """n consecutive elements in the compute type."""
    return widen(f, dtype, f.load(vector(STORAGE[dtype], n), ptr))


def at(f: Fn, base: Val, index: Val | int, dtype: str) -> Val:
    """The address of element `index`."""
    return f.gep(base, index, STORAGE[dtype])


def multiply_add(f: Fn, a: Val, b: Val, c: Val) -> Val:
    """a * b + c, fused for floats, wrapping for integers."""
    return f.fma(a, b, c) if is_float(a.ty) else f.add(f.mul(a, b), c)


def transpose(f: Fn, rows: list[Val]) -> list[Val]:
    """n vectors of n lanes (n a power of two), transposed by swapping ever smaller off-diagonal blocks."""
    n = len(rows)
    size = n // 2
    while size:
        for i in range(n):
            if i & size:
                continue
            a, b = rows[i], rows[i + size]
            rows[i] = f.shuffle(a, b, [lane if not lane & size else n + lane - size for lane in range(n)])
            rows[i + size] = f.shuffle(a, b, [lane + size if not lane & size else n + lane for lane in range(n)])
        size //= 2
    return rows


def range_mask(f: Fn, count: Val, n: int) -> Val:
    """A mask of n lanes whose first `count` lanes are set."""
    return f.icmp("slt", f.iota(n, "i32"), f.splat(f.cast("trunc", count, "i32"), n))


def copy_elements(f: Fn, dst: Val, src: Val, count: Val, ty: str) -> None:
    """A plain loop that copies `count` (few) elements."""
    f.loop(0, count, 1, (), lambda i: f.store(f.load(ty, f.gep(src, i, ty)), f.gep(dst, i, ty)))


def fill_elements(f: Fn, dst: Val, begin: Val | int, end: Val, value: Val) -> None:
    """dst[begin:end] = value, a plain loop."""
    f.loop(begin, end, 1, (), lambda i: f.store(value, f.gep(dst, i, value.ty)))


def either(f: Fn, condition: Val, then: Callable[[], object], otherwise: Callable[[], object] | None = None) -> None:
    """`Fn.if_` for steps whose values nobody needs."""

    def quiet(step: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            step()

        return run

    f.if_(condition, quiet(then), None if otherwise is None else quiet(otherwise))


def divide(f: Fn, a: Val, b: Val | int) -> Val:
    """a // b of non-negative numbers below 2**31, in 32 bits: LLVM turns every 64-bit division into a branch and two divisions."""
    b32 = Val(str(b), "i32") if isinstance(b, int) else f.cast("trunc", b, "i32")
    return f.cast("zext", f.udiv(f.cast("trunc", a, "i32"), b32), "i64")


def split(f: Fn, a: Val, b: Val) -> tuple[Val, Val]:
    """(a // b, a % b) of non-negative numbers below 2**31."""
    quotient = divide(f, a, b)
    return quotient, f.sub(a, f.mul(quotient, b))


def floor_share(f: Fn, total: Val, part: Val, parts: Val) -> Val:
    """Where part `part` begins when `total` things are dealt evenly to `parts` (the first ones get what does not divide)."""
    share, rest = split(f, total, parts)
    return f.add(f.mul(share, part), f.smin(part, rest))
