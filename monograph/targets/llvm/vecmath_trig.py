"""sin, cos and tan. Small arguments: reduction by pi/2 in three parts with fused multiply-adds (Cody and Waite 1980); large ones: the
product with as many bits of 2/pi as matter, in integers (Payne and Hanek 1983), in a function that is called only when a lane needs it.
"""

from __future__ import annotations

import itertools

from monograph.targets.llvm.ir import Val, lanes, vector
from monograph.targets.llvm.vecmath_numbers import Num, any_lane, bits, fabs, fma, from_bits, horner, outline, rint, select

NAN = float("nan")
INF = float("inf")
TWO_OVER_PI = 0.6366197723675814
PIO2_F32 = (1.5707963705062866, -4.371138828673793e-08, -1.7151245100058819e-15)
PIO2_F64 = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)
SMALL_F32 = 1048576.0  # the three-part reductions hold to here
SMALL_F64 = 134217728.0
# sin(r) = r + r^3 P(r^2), cos(r) = 1 - r^2 / 2 + r^4 P(r^2) on |r| <= pi / 4
SIN_F32 = (-0.16666655242443085, 0.008332187309861183, -0.00019517895998433232)
COS_F32 = (0.04166664555668831, -0.0013887309469282627, 2.4432327336398885e-05)
SIN_F64 = (
    -0.1666666666666663, 0.00833333333332184, -0.00019841269829358487, 2.7557313538648666e-06,
    -2.5050734498311026e-08, 1.589545195743686e-10,
)  # fmt: skip
COS_F64 = (
    0.041666666666666595, -0.0013888888888873307, 2.4801587288965233e-05, -2.75573142030809e-07,
    2.0875703139828817e-09, -1.1358617026260915e-11,
)  # fmt: skip
# 64 zero bits, then the binary digits of 2/pi
DIGITS = (
    0, 0xA2F9836E4E441529, 0xFC2757D1F534DDC0, 0xDB6295993C439041, 0xFE5163ABDEBBC561, 0xB7246E3A424DD2E0, 0x06492EEA09D1921C,
    0xFE1DEB1CB129A73E, 0xE88235F52EBB4484, 0xE99C7026B45F7E41, 0x3991D639835339F4, 0x9C845F8BBDF9283B, 0x1FF897FFDE05980F,
    0xEF2F118B5A0A6D1F, 0x6D367ECF27CB09B7, 0x4F463F669E5FEA2D, 0x7527BAC7EBE5F17B, 0x3D0739F78A5292EA, 0x6BFB5FB11F8D5D08,
    0x56033046FC7B6BAB, 0xF0CFBC209AF4361D, 0xA9E391615EE61B08,
)  # fmt: skip
TABLE = "@mg_two_over_pi"


def _digit_words(position: Num) -> list[Num]:
    """Three 64-bit words of 2/pi's digits from bit `position` on."""
    f, n = position.f, lanes(position.ty)
    f.declares.add(f"{TABLE} = private unnamed_addr constant [{len(DIGITS)} x i64] [{', '.join(f'i64 {d}' for d in DIGITS)}]")
    word, shift = position >> 6, position & 63
    columns = []
    for k in range(4):
        column = Val("poison", position.ty)
        for lane in range(n):
            index = word.v if n == 1 else f.extract(word.v, lane)
            digit = f.load("i64", f.gep(Val(TABLE, "ptr"), f.add(index, k), "i64"))
            column = digit if n == 1 else f.insert(column, digit, lane)
        columns.append(column)
    return [Num(f, f.intrinsic("fshl", position.ty, a, b, shift.v)) for a, b in itertools.pairwise(columns)]


def _payne_hanek(x: Num) -> list[Num]:
    """(quadrant as int64, remainder high, remainder low) of float64 x of any size; NaN for what is not finite."""
    i = bits(x)
    field = i.lshr(52) & 0x7FF
    exponent = field - 1075
    mantissa = (i & 0x000FFFFFFFFFFFFF) | 0x0010000000000000
    position = exponent + 62  # the digit of weight 2 after the product: whole turns above it drop out
    position = select(position < 0, 0, select(position > 64 * (len(DIGITS) - 4), 64 * (len(DIGITS) - 4), position))
    w = [word.cast("zext", "i128") for word in _digit_words(position)]
    m = mantissa.cast("zext", "i128")
    turns = ((m * w[0]) << 64) + m * w[1] + (m * w[2]).lshr(64)  # fraction of a full turn, 128 bits
    quadrant = (turns.lshr(126) + (turns.lshr(125) & 1)).cast("trunc", "i64")
    part = turns << 2  # signed fraction of a quadrant in [-1/2, 1/2)
    top = (part >> 66).cast("trunc", "i64")
    a = top.cast("sitofp", "double")
    rest = (top - a.cast("fptosi", "i64")).cast("sitofp", "double")
    below = (part.lshr(2) & ((1 << 64) - 1)).cast("trunc", "i64").lshr(1).cast("sitofp", "double") * 2.0**-63
    tail = rest + below
    high = a + tail
    low = (tail - (high - a)) * 2.0**-62
    high = high * 2.0**-62
    r = high * PIO2_F64[0]
    error = fma(high, PIO2_F64[0], -r) + fma(high, PIO2_F64[1], low * PIO2_F64[0])
    negative = x < 0.0
    finite = fabs(x) < INF
    r = select(finite, select(negative, -r, r), NAN)
    return [select(negative, -quadrant, quadrant), r, select(finite, select(negative, -error, error), NAN)]


def _large_f64(x: Num) -> list[Num]:
    n = lanes(x.ty)
    return outline(x.f, "payne_hanek", _payne_hanek, [x], [vector("i64", n), x.ty, x.ty])


def _large_f32(x: Num) -> list[Num]:
    q, r, _ = _large_f64(x.cast("fpext", "double"))
    return [q.cast("trunc", "i32"), r.cast("fptrunc", "float")]


def _reduce_f32(x: Num) -> tuple[Num, Num]:
    """(quadrant as int32, remainder)."""
    n = rint(x * TWO_OVER_PI)
    r = fma(n, -PIO2_F32[2], fma(n, -PIO2_F32[1], fma(n, -PIO2_F32[0], x)))
    large = ~(fabs(x) <= SMALL_F32)
    q = select(large, 0.0, n).cast("fptosi", "i32")

    def by_digits() -> list[Val]:
        q2, r2 = outline(x.f, "reduce_large", _large_f32, [x], [q.ty, x.ty])
        return [select(large, q2, q).v, select(large, r2, r).v]

    q_v, r_v = x.f.if_value(any_lane(large), by_digits, lambda: [q.v, r.v])
    return Num(x.f, q_v), Num(x.f, r_v)


def _reduce_f64(x: Num) -> tuple[Num, Num, Num]:
    """(quadrant as int64, remainder high, low)."""
    rounder = 6755399441055744.0
    t = fma(x, TWO_OVER_PI, rounder)
    n = t - rounder
    first = fma(n, -PIO2_F64[0], x)
    r = fma(n, -PIO2_F64[1], first)
    low = fma(n, -PIO2_F64[2], fma(n, -PIO2_F64[1], first - r))
    large = ~(fabs(x) <= SMALL_F64)
    q = bits(t)

    def by_digits() -> list[Val]:
        q2, r2, low2 = _large_f64(x)
        return [select(large, q2, q).v, select(large, r2, r).v, select(large, low2, low).v]

    parts = x.f.if_value(any_lane(large), by_digits, lambda: [q.v, r.v, low.v])
    q_v, r_v, low_v = parts
    return Num(x.f, q_v), Num(x.f, r_v), Num(x.f, low_v)


def _kernels(x: Num) -> tuple[Num, Num, Num]:
    """(quadrant, sin r, cos r)."""
    if "float" in x.ty:
        q, r = _reduce_f32(x)
        r2 = r * r
        sin = fma(r * r2, horner(r2, SIN_F32), r)
        return q, sin, horner(r2, (1.0, -0.5, *COS_F32))
    q, r, low = _reduce_f64(x)
    r2 = r * r
    half = r2 * 0.5
    sin = r + fma(r * r2, horner(r2, SIN_F64), low * (1.0 - half))
    one = 1.0 - half
    cos = one + (((1.0 - one) - half) + fma(r2 * r2, horner(r2, COS_F64), -(r * low)))
    return q, sin, cos


def _sign_from(q: Num) -> Num:
    """The second bit of the quadrant, moved to the sign bit."""
    width = int(q.ty.rstrip(">").split("i")[-1])
    return (q & 2) << (width - 2)


def sin(x: Num) -> Num:
    q, s, c = _kernels(x)
    return select(x.eq(0.0), x, from_bits(bits(select((q & 1).ne(0), c, s)) ^ _sign_from(q)))


def cos(x: Num) -> Num:
    q, s, c = _kernels(x)
    return from_bits(bits(select((q & 1).ne(0), s, c)) ^ _sign_from(q + 1))


def tan(x: Num) -> Num:
    q, s, c = _kernels(x)
    odd = (q & 1).ne(0)
    return select(x.eq(0.0), x, select(odd, -c, s) / select(odd, s, c))


def cos_turns(turns: Num) -> Num:
    """cos(2 pi turns) for a few turns at most: the reduction is exact."""
    q = rint(turns * 4.0)
    r = (turns - q * 0.25) * (4.0 * PIO2_F64[0])
    r2 = r * r
    odd, sign = (SIN_F32, COS_F32) if "float" in r.ty else (SIN_F64, COS_F64)
    sin, cos = fma(r * r2, horner(r2, odd), r), horner(r2, (1.0, -0.5, *sign))
    quadrant = q.cast("fptosi", "i32" if "float" in r.ty else "i64")
    return from_bits(bits(select((quadrant & 1).ne(0), sin, cos)) ^ _sign_from(quadrant + 1))
