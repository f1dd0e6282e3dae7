"""pow, fmod and the divisions built on it.

float32 pow works in float64: log2|x| to 45 bits, times y, exp2. float64 pow carries log|x| as a sum of two doubles (about 68 bits; Dekker
1971 for the two-part arithmetic, with fused multiply-adds) so that a large y does not magnify its error. fmod subtracts multiples of the
divisor that a fused multiply-add takes off without rounding, up to 2^51 of them at a time.
"""

from __future__ import annotations

from monograph.targets.llvm.vecmath_f64 import (
    LN2_HI,
    LN2_LO,
    MANTISSA,
    ROUNDER,
    SQRT_HALF_BITS,
    _log_parts,
    exp_sum,
)
from monograph.targets.llvm.vecmath_numbers import (
    Num,
    any_lane,
    at_least,
    at_most,
    bits,
    copysign,
    fabs,
    floor,
    fma,
    from_bits,
    horner,
    repeat_while,
    rint,
    select,
    trunc,
    with_sign_of,
)

INF = float("inf")
NAN = float("nan")
# log2((1 + s) / (1 - s)) = s P(s^2)
LOG2_P = (2.88539008177785, 0.9617966941134813, 0.5770779423200997, 0.41220925729048075, 0.31990548060457213, 0.2829034477880548)
LN2 = 0.6931471805599453
# exp(r) = 1 + r + r^2 Q(r), to 34 bits
EXP_Q = (0.500000006783581, 0.16666665867179606, 0.041666294375377506, 0.00833349730399374, 0.001394470287257947, 0.00019790316576691778)
# log((1 + s) / (1 - s)) = 2 s + (2/3) s^3 + s^5 R(s^2)
LOG_R = (
    0.4, 0.28571428571428376, 0.22222222222290514, 0.18181818169261554, 0.15384616752556315, 0.13333240465630722, 0.11768673008688246,
    0.10422915265387282, 0.11013247114315156,
)  # fmt: skip
TWO_THIRDS, TWO_THIRDS_LO = 0.6666666666666666, 3.700743415417188e-17


def _ends(x: Num, y: Num, size: Num) -> Num:
    """pow from |x|^y: the sign, and the values that C fixes."""
    whole = rint(y).eq(y)
    odd = whole & (floor(y * 0.5) * 2.0).ne(y)
    signed = from_bits(bits(size) | (select(odd, bits(x), 0) & (bits(x).const(-1) << _top(x))))
    undefined = (x < 0.0) & (x > -INF) & ~whole
    one = x.eq(1.0) | y.eq(0.0) | (fabs(x).eq(1.0) & fabs(y).eq(INF))
    return select(one, x.const(1.0), select(undefined, x.const(NAN), signed))


def _top(x: Num) -> int:
    return 31 if "float" in x.ty else 63


def pow_f32(x: Num, y: Num) -> Num:
    wide_x, wide_y = fabs(x).cast("fpext", "double"), y.cast("fpext", "double")
    i = bits(wide_x) - SQRT_HALF_BITS  # float32's denormals are normal here
    m = from_bits((i & MANTISSA) + SQRT_HALF_BITS)
    rounder = bits(m.const(ROUNDER))
    n = from_bits((i >> 52) + rounder) - ROUNDER
    s = (m - 1.0) / (m + 1.0)
    log2 = fma(s, horner(s * s, LOG2_P), n)
    log2 = select(wide_x < INF, select(wide_x.eq(0.0), wide_x.const(-INF), log2), wide_x)
    t = at_least(at_most(wide_y * log2, 300.0), -300.0)
    shifted = t + (ROUNDER + 1023)
    r = (t - (shifted - (ROUNDER + 1023))) * LN2
    power = horner(r, (1.0, 1.0, *EXP_Q)) * from_bits(bits(shifted) << 52)
    return _ends(x, y, power.cast("fptrunc", "float"))


def _two_product(a: Num, b: Num | float) -> tuple[Num, Num]:
    p = a * b
    return p, fma(a, b, -p)


def _quick_sum(a: Num, b: Num) -> tuple[Num, Num]:
    """a + b in two parts, for |a| >= |b|."""
    s = a + b
    return s, b - (s - a)


def _log_two_parts(a: Num) -> tuple[Num, Num]:
    """log of a positive finite number."""
    n, f = _log_parts(a)
    bottom, bottom_lo = _quick_sum(f.const(2.0), f)
    s = f / bottom
    s_lo = (fma(-s, bottom, f) - s * bottom_lo) / bottom
    z, z_lo = _two_product(s, s)
    z_lo = fma(s + s, s_lo, z_lo)
    cube, cube_lo = _two_product(s, z)
    cube_lo = cube_lo + fma(s, z_lo, s_lo * z)
    third, third_lo = _two_product(cube, TWO_THIRDS)
    third_lo = third_lo + fma(cube_lo, TWO_THIRDS, cube * TWO_THIRDS_LO) + cube * z * horner(z, LOG_R)
    high, low = _quick_sum(s + s, third)
    low = low + (third_lo + (s_lo + s_lo))
    scale, scale_lo = _two_product(n, LN2_HI)
    total = scale + high
    rest = (high - (total - scale)) + (scale_lo + fma(n, LN2_LO, low))
    rest = select(n.eq(0.0), low, rest)
    total = select(n.eq(0.0), high, total)
    return _quick_sum(total, rest)


def pow_f64(x: Num, y: Num) -> Num:
    a = fabs(x)
    high, low = _log_two_parts(a)
    t = y * high
    t_lo = fma(y, high, -t) + y * low
    finite = fabs(t) < 1000.0  # beyond, the parts may be inf - inf, and the result is 0 or inf anyway
    plain = select(a < INF, select(a.eq(0.0), a.const(-INF), high), a)
    size = exp_sum(select(finite, t, y * plain), select(finite, t_lo, 0.0))
    edge = ~((a > 0.0) & (a < INF))
    size = select(edge, exp_sum(at_least(at_most(y * plain, 1e4), -1e4), a.const(0.0)), size)
    return _ends(x, y, size)


def fmod_f64(a: Num, b: Num) -> list[Num]:
    """C's fmod: exact, with the sign of a."""
    size = fabs(b)
    fine = (fabs(a) < INF) & (size > 0.0)  # false for NaN, too
    left = select(fine, fabs(a), 0.0)
    divisor = select(fine, size, 1.0)

    def step(left: Num) -> list[Num]:
        step_by = divisor
        for _ in range(2):  # a quotient beyond float64 needs a larger step, twice at most
            step_by = select((left / step_by).eq(INF), step_by * 2.0**1000, step_by)
        exponent = bits(left / step_by).lshr(52) - (1023 + 51)
        factor = from_bits((select(exponent > 0, exponent, 0) + 1023) << 52)
        step_by = step_by * factor
        rest = fma(-trunc(left / step_by), step_by, left)
        rest = select(rest < 0.0, rest + step_by, rest)
        return [select(left < divisor, left, rest)]

    (left,) = repeat_while([left], lambda left: any_lane(left >= divisor), step)
    invalid = Num(a.f, a.f.fcmp("uno", a.v, b.v)) | fabs(a).eq(INF) | b.eq(0.0)
    return [select(invalid, a.const(NAN), with_sign_of(left, a))]


def remainder(a: Num, b: Num, mod: Num) -> Num:
    """The remainder with the divisor's sign, from fmod's."""
    return select(mod.ne(0.0) & ((b < 0.0) ^ (mod < 0.0)), mod + b, mod)


def floor_divide(a: Num, b: Num, mod: Num) -> Num:
    """The quotient rounded down, from fmod's remainder: right where a / b rounds up to a whole number."""
    quotient = (a - mod) / b
    quotient = select(mod.ne(0.0) & ((b < 0.0) ^ (mod < 0.0)), quotient - 1.0, quotient)
    whole = floor(quotient)
    whole = select((quotient - whole) > 0.5, whole + 1.0, whole)
    exact = select(quotient.eq(0.0), copysign(whole.const(0.0), a / b), whole)
    return select(b.eq(0.0), a / b, exact)
