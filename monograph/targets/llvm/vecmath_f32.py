"""float32 exponentials, logarithms, tanh, sigmoid and erf: the hot functions, inline, branch-free, whole range.

Methods: additive range reduction in the style of Cody and Waite (1980) with fused multiply-adds, the scale 2^n built in the
exponent field (Tang 1989), minimax polynomials fitted by the Remez exchange with the leading coefficients rounded first.
Bounds are stated in `vecmath.py` and tested over all exponents.
"""

from __future__ import annotations

from collections.abc import Sequence

from monograph.targets.llvm.vecmath_numbers import (
    Num,
    at_least,
    at_most,
    bits,
    estrin,
    fabs,
    fma,
    from_bits,
    horner,
    select,
    with_sign_of,
)

INF = float("inf")
NAN = float("nan")
LOG2E = 1.4426950408889634
LN2_HI, LN2_LO = 0.693147182464599609375, -1.904654299957768e-09
ROUNDER = 12582912.0  # 1.5 * 2^23: adding it leaves the nearest integer in the low bits
MIN_NORMAL = 1.1754943508222875e-38

# exp(r) = 1 + r + r^2 Q(r) on |r| <= ln2 / 2
EXP_Q = (0.4999999403953552, 0.16666516661643982, 0.041668251156806946, 0.008369087241590023, 0.0013818737352266908)
# 2^r = 1 + r Q(r) on |r| <= 1/2
EXP2_Q = (0.6931472420692444, 0.24022655189037323, 0.05550272762775421, 0.009617062285542488, 0.0013417747104540467, 0.00015825872833374888)
# expm1(r) = r + r^2 Q(r)
EXPM1_Q = (0.5, 0.1666666567325592, 0.04166646674275398, 0.008333642967045307, 0.0013935047900304198, 0.00019664529827423394)
# log(1 + f) = f - f^2 / 2 + f^3 P(f) on sqrt(1/2) <= 1 + f < sqrt(2)
LOG_P = (
    0.3333333134651184, -0.2500082552433014, 0.20001234114170074, -0.1662319302558899,
    0.14201799035072327, -0.13162066042423248, 0.12761005759239197, -0.07627805322408676,
)  # fmt: skip
# log_b(1 + f) = f C + f^2 P(f), with C in two parts
LOG2_C = (1.4426950216293335, 1.925963033500011e-08)
LOG2_P = (
    -0.7213473320007324, 0.4808982312679291, -0.3606951832771301, 0.28856539726257324, -0.23971503973007202,
    0.20473434031009674, -0.1900942623615265, 0.1847047060728073, -0.11077011376619339,
)  # fmt: skip
LOG10_C = (0.4342944920063019, -1.0103049952192578e-08)
LOG10_P = (
    -0.21714718639850616, 0.14476478099822998, -0.10858078300952911, 0.08686983585357666, -0.07212630659341812,
    0.061524853110313416, -0.057495296001434326, 0.05653207004070282, -0.03379960358142853,
)  # fmt: skip
LOG10_2_HI, LOG10_2_LO = 0.3010300099849701, -1.4320988897559699e-08
# tanh(x) = x + x^3 P(x^2) on |x| <= 0.6
TANH_P = (-0.33333298563957214, 0.13331936299800873, -0.05378471687436104, 0.02079862728714943, -0.005897972267121077)
# erf(x) = x + x P(x^2) on |x| <= 0.93; beyond, log2(1 - erf x) = Q(x)
ERF_P = (
    0.12837915122509003,
    -0.37612488865852356,
    0.11281730234622955,
    -0.026762915775179863,
    0.004987252410501242,
    -0.0005958970868960023,
)
ERFC_Q = (
    -0.0003099548921454698, -1.6267759799957275, -0.9194580316543579, -0.1497650295495987, 0.03198041766881943,
    -0.0043685282580554485, 0.00028041854966431856,
)  # fmt: skip
# the normal distribution function = 1/2 + x P(x^2) / Q(x^2) on |x| <= GATE_END, where it is 0 or 1 to the last bit of 1/2
GATE_P = (
    0.398942232131958, 0.034376174211502075, 0.00470726378262043, 0.0001738514838507399, 6.3565421442035586e-06, 2.2145295375253227e-08,
)  # fmt: skip
GATE_Q = (1.0, 0.2528339922428131, 0.028940128162503242, 0.0019129823194816709, 7.510219438700005e-05, 1.1802121662185527e-06)
GATE_END = 5.6
SQRT_HALF_BITS = 0x3F3504F3


def _split(x: Num, bias: int, per: float = LOG2E) -> tuple[Num, Num]:
    """(n, bits): n = round(x * per) as a float, and an integer whose low bits are n + bias."""
    t = fma(x, per, ROUNDER + bias)
    return t - (ROUNDER + bias), bits(t)


def _two_scales(r: Num, slope: Num, low: Num) -> Num:
    """(1 + r slope) 2^n for n in [-254, 254], by halves, so that denormal results and overflow come out right; `low` holds n + 254."""
    half = low.lshr(1)
    scale = from_bits(half << 23)
    return fma(r * scale, slope, scale) * from_bits((low - half) << 23)


def _remainder(x: Num, n: Num) -> Num:
    return fma(n, -LN2_LO, fma(n, -LN2_HI, x))


def _exp_slope(r: Num) -> Num:
    """(exp(r) - 1) / r on |r| <= ln2 / 2."""
    return fma(r, horner(r, EXP_Q), 1.0)


def exp(x: Num) -> Num:
    x = at_least(at_most(x, 89.0), -104.5)
    n, low = _split(x, 254)
    r = _remainder(x, n)
    return _two_scales(r, _exp_slope(r), low)


def exp2(x: Num) -> Num:
    x = at_least(at_most(x, 129.0), -151.0)
    t = x + (ROUNDER + 254)
    f = x - (t - (ROUNDER + 254))
    return _two_scales(f, horner(f, EXP2_Q), bits(t))


def expm1(x: Num) -> Num:
    clamped = at_least(at_most(x, 89.0), -17.5)
    n, low = _split(clamped, 126)
    r = _remainder(clamped, n)
    p = fma(r * r, horner(r, EXPM1_Q), r)
    half = from_bits(low << 23)  # 2^(n-1): 2^128 itself would overflow where the result does not
    y = fma(half, p, half - 0.5)
    return with_sign_of(fabs(select(n.eq(0.0), p, y + y)), x)


def sigmoid(x: Num) -> Num:
    """1 / (1 + exp(-x)) = s2 / (s2 + s1 + s1 t) with exp(-x) = (1 + t) s1 / s2: small parts first, and no overflow."""
    x = at_least(at_most(x, 104.5), -104.5)
    n, low = _split(x, 254, -LOG2E)
    r = fma(n, LN2_LO, fma(n, LN2_HI, x))  # the negated remainder: odd coefficients change sign
    t = fma(r * r, horner(r, [-c if k % 2 else c for k, c in enumerate(EXP_Q)]), -r)
    half = low.lshr(1)
    s1, s2 = from_bits(half << 23), from_bits((254 - (low - half)) << 23)
    exp_larger = s1 > s2
    return s2 / (fma(s1, t, select(exp_larger, s2, s1)) + select(exp_larger, s1, s2))


def tanh(x: Num) -> Num:
    a = fabs(x)
    twice = at_most(a, 10.0) * 2.0
    n, low = _split(twice, 127)
    scale = from_bits(low << 23)
    r = _remainder(twice, n)
    e = fma(r * scale, _exp_slope(r), scale + 1.0)
    x2 = x * x
    small = fma(a * x2, horner(x2, TANH_P), a)
    return with_sign_of(select(a < 0.6, small, 1.0 - 2.0 / e), x)


def erf(x: Num) -> Num:
    a = fabs(x)
    x2 = x * x
    small = fma(x, horner(x2, ERF_P), x)
    q = horner(at_most(a, 4.0), ERFC_Q)
    t = q + (ROUNDER + 127)
    f = q - (t - (ROUNDER + 127))
    scale = from_bits(bits(t) << 23)
    large = fma(-(scale * f), horner(f, EXP2_Q), 1.0 - scale)
    return select(a < 0.93, small, with_sign_of(large, x))


def gaussian_gate(x: Num) -> Num:
    """(1 + erf(x / sqrt 2)) / 2 with an error that is small beside 1, not beside small results: what multiplies x in a gelu."""
    x = at_least(at_most(x, GATE_END), -GATE_END)
    z = x * x
    return at_least(x * horner(z, GATE_P) / horner(z, GATE_Q) + 0.5, 0.0)


def _log_parts(x: Num) -> tuple[Num, Num]:
    """(n, f) with x = 2^n (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), for positive x, denormals included."""
    tiny = x < MIN_NORMAL
    i = bits(select(tiny, x * 8388608.0, x)) - SQRT_HALF_BITS
    n = (i >> 23).cast("sitofp", "float") + select(tiny, x.const(-23.0), 0.0)
    return n, from_bits((i & 0x007FFFFF) + SQRT_HALF_BITS) - 1.0


def _log_ends(x: Num, y: Num) -> Num:
    """What a logarithm is at 0, below it, at infinity and at NaN."""
    y = select(x < INF, y, x)
    return select(x > 0.0, y, select(x.eq(0.0), x.const(-INF), x + NAN))


def _log_sum(n: Num, f: Num) -> Num:
    f2 = f * f
    y = fma(f2 * f, estrin(f, LOG_P), n * LN2_LO)
    return fma(n, LN2_HI, fma(f2, -0.5, y) + f)


def log(x: Num) -> Num:
    n, f = _log_parts(x)
    return _log_ends(x, _log_sum(n, f))


def log1p(x: Num) -> Num:
    i = bits(x + 1.0) - SQRT_HALF_BITS
    e = i >> 23
    scale = from_bits(0x3F800000 - (e << 23))
    # (1 + x) 2^-e - 1 rounded once; beyond 2^25 the 1 is below the last bit and the scale may not be representable
    f = select(e > 25, from_bits((i & 0x007FFFFF) + SQRT_HALF_BITS) - 1.0, fma(x, scale, scale - 1.0))
    y = with_sign_of(_log_sum(e.cast("sitofp", "float"), f), x)
    y = select(x < INF, y, x)
    return select(x > -1.0, y, select(x.eq(-1.0), x.const(-INF), x + NAN))


def _log_base(x: Num, c: Sequence[float], p: Sequence[float], high: float, low: float) -> Num:
    n, f = _log_parts(x)
    tail = fma(f * f, horner(f, p), f * c[1])
    tail = fma(n, low, tail) if low else tail
    return _log_ends(x, fma(n, high, fma(f, c[0], tail)))


def log2(x: Num) -> Num:
    return _log_base(x, LOG2_C, LOG2_P, 1.0, 0.0)


def log10(x: Num) -> Num:
    return _log_base(x, LOG10_C, LOG10_P, LOG10_2_HI, LOG10_2_LO)
