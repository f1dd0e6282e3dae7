"""The counter-based generator Philox-4x32-10 (Salmon, Moraes, Dror, Shaw 2011) on LLVM values.

`emit_philox` makes one block of four 32-bit words from a 64-bit block counter and a 64-bit key. Which word of which block belongs to which
element of a random tensor, and how bits become numbers, is defined by `monograph.ops.philox_reference`; these are the same formulas.
"""

from __future__ import annotations

from monograph.targets.llvm.ir import Fn, Val, lanes
from monograph.targets.llvm.vecmath import log
from monograph.targets.llvm.vecmath_numbers import Num, select, sqrt
from monograph.targets.llvm.vecmath_trig import cos_turns

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
LOW_HALF = 0xFFFFFFFF


def emit_philox(f: Fn, counter_lo: Val, key: Val) -> list[Val]:
    """Four i32 words (in every lane) of block `counter_lo` under `key`, both i64; the upper half of the 128-bit counter is zero.

    The words live in 64-bit lanes, whose upper halves hold leavings: processors multiply 32 x 32 bits there without any shuffle.
    """
    n = max(lanes(counter_lo.ty), lanes(key.ty))
    counter, full_key = Num(f, f.splat(counter_lo, n)), Num(f, key)
    words = [counter, counter.lshr(32), counter.const(0), counter.const(0)]
    keys = [full_key, full_key.lshr(32)]
    for i in range(ROUNDS):
        if i:
            keys = [k + w for k, w in zip(keys, WEYL, strict=True)]
        k0, k1 = (Num(f, f.splat(k.v, n)) for k in keys)
        p0, p1 = ((word & LOW_HALF) * m for word, m in zip(words[::2], MULTIPLIERS, strict=True))
        words = [p1.lshr(32) ^ words[1] ^ k0, p1, p0.lshr(32) ^ words[3] ^ k1, p0]
    return [w.cast("trunc", "i32").v for w in words]


def _choose(words: list[Val], f: Fn, which: Num) -> Num:
    """words[which & 3], lane by lane."""
    odd, upper = (which & 1).ne(0), (which & 2).ne(0)
    w = [Num(f, v) for v in words]
    return select(upper, select(odd, w[3], w[2]), select(odd, w[1], w[0]))


def bits32(f: Fn, index: Num, key: Num, offset: Num) -> Num:
    """The element's 32 bits: word index % 4 of block offset + index // 4."""
    return _choose(emit_philox(f, (offset + index.lshr(2)).v, key.v), f, index)


def bits64(f: Fn, index: Num, key: Num, offset: Num) -> tuple[Num, Num]:
    """The element's 64 bits (low word, high word): words 2 (index % 2) and the next of block offset + index // 2."""
    w = [Num(f, v) for v in emit_philox(f, (offset + index.lshr(1)).v, key.v)]
    odd = (index & 1).ne(0)
    return select(odd, w[2], w[0]), select(odd, w[3], w[1])


def _fraction53(low: Num, high: Num) -> Num:
    """The upper 53 of 64 bits as a multiple of 2^-53 in [0, 1), from exact parts."""
    top = high.lshr(5).cast("sitofp", "double")  # 27 bits
    rest = ((high & 31) << 21) | low.lshr(11)  # 26 bits
    return (top * 2.0**26 + rest.cast("sitofp", "double")) * 2.0**-53


def uniform(f: Fn, index: Num, key: Num, offset: Num, dtype: str) -> Num:
    """[0, 1): 24 bits for float32 (and as many as fit the 16-bit floats, 11 and 8, in float32), 53 for float64."""
    if dtype == "float64":
        return _fraction53(*bits64(f, index, key, offset))
    digits = {"float32": 24, "float16": 11, "bfloat16": 8}[dtype]
    return bits32(f, index, key, offset).lshr(32 - digits).cast("sitofp", "float") * 2.0**-digits


def normal(f: Fn, index: Num, key: Num, offset: Num, dtype: str) -> Num:
    """Mean 0, variance 1 (Box and Muller 1958): elements 2 j and 2 j + 1 are radius times cosine and sine of one angle."""
    odd = (index & 1).ne(0)
    if dtype == "float64":
        w = [Num(f, v) for v in emit_philox(f, (offset + index.lshr(1)).v, key.v)]
        above_zero = _fraction53(w[0], w[1]) + 2.0**-54
        turns = _fraction53(w[2], w[3])
    else:
        w = [Num(f, v) for v in emit_philox(f, (offset + index.lshr(2)).v, key.v)]
        upper = (index & 2).ne(0)
        above_zero = select(upper, w[2], w[0]).lshr(1).cast("sitofp", "float") * 2.0**-31 + 2.0**-32
        turns = select(upper, w[3], w[1]).lshr(8).cast("sitofp", "float") * 2.0**-24
    turns = turns - select(odd, turns.const(0.25), 0.0)  # exact; the sine is the cosine a quarter turn earlier
    return sqrt(log(above_zero) * -2.0) * cos_turns(turns)


def integers(f: Fn, index: Num, key: Num, offset: Num, low: Num, high: Num) -> Num:
    """[low, high) as int64: the upper half of the 128-bit product of the element's 64 bits and the range."""
    first, second = (w.cast("zext", "i64") for w in bits64(f, index, key, offset))
    span = high - low
    span_low, span_high = span & 0xFFFFFFFF, span.lshr(32)
    carry = (first * span_low).lshr(32)
    middle = second * span_low + carry
    cross = first * span_high + (middle & 0xFFFFFFFF)
    return low + second * span_high + middle.lshr(32) + cross.lshr(32)


def bernoulli(f: Fn, index: Num, key: Num, offset: Num, probability: Num) -> Num:
    """True with the given probability (float32 or float64): the element's uniform number of 24 bits lies below it."""
    u = bits32(f, index, key, offset).lshr(8).cast("sitofp", "float") * 2.0**-24
    return (u if "float" in probability.ty else u.cast("fpext", "double")) < probability
