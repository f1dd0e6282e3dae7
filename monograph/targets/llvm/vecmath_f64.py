"""float64 exponentials, logarithms, hyperbolic and inverse functions, erf and erfc: branch-free, whole range.

The same methods as in `vecmath_f32`; the logarithm works on s = f / (2 + f) (Tang 1990), erfc on a polynomial for
(1 + 2x) exp(x^2) erfc(x) in (x - 4) / (x + 4) (Shepherd and Laframboise 1981), the inverse functions on the classical identities.
"""

from __future__ import annotations

from monograph.targets.llvm.vecmath_numbers import Num, at_least, at_most, bits, fabs, fma, from_bits, horner, select, sqrt, with_sign_of

INF = float("inf")
NAN = float("nan")
LOG2E = 1.4426950408889634
LN2_HI, LN2_LO = 0.6931471805599453, 2.3190468138462996e-17
LOG2E_LO = 2.0355273740931033e-17
LOG10E, LOG10E_LO = 0.4342944819032518, 1.098319650216765e-17
LOG10_2_HI, LOG10_2_LO = 0.3010299956639812, -2.8037281277851704e-18
PIO2_HI, PIO2_LO = 1.5707963267948966, 6.123233995736766e-17
ROUNDER = 6755399441055744.0  # 1.5 * 2^52
MIN_NORMAL = 2.2250738585072014e-308
SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
MANTISSA = 0x000FFFFFFFFFFFFF

EXP_Q = (
    0.5, 0.16666666666666682, 0.041666666666666095, 0.008333333333316983, 0.0013888888889116362, 0.00019841269896514504,
    2.4801586925702e-05, 2.7557234728534638e-06, 2.7557582304019386e-07, 2.5112084237147302e-08, 2.082657411460604e-09,
)  # fmt: skip
EXPM1_Q = (
    0.5000000000000001, 0.1666666666666667, 0.04166666666664848, 0.00833333333332753, 0.0013888888897369894, 0.00019841269869339453,
    2.4801571143811948e-05, 2.7557261979559294e-06, 2.7570767430750123e-07, 2.5102706546348128e-08, 1.6825459355278898e-09,
)  # fmt: skip
# log(1 + f) = 2 s + s^3 R(s^2), s = f / (2 + f)
LOG_R = (
    0.6666666666666734, 0.39999999999416413, 0.2857142874212738, 0.22222198614615102, 0.18183559160645585, 0.15314302726411277,
    0.14791978868347988,
)  # fmt: skip
# tanh(x) = x + x^3 P(x^2) on |x| <= 0.55
TANH_P = (
    -0.333333333333333, 0.1333333333332658, -0.053968253963753564, 0.02186948838633285, -0.008863232621429852, 0.0035920923508300354,
    -0.0014555455851459453, 0.0005884580863528976, -0.00023342092690256788, 8.337815339692411e-05, -1.9535233635172046e-05,
)  # fmt: skip
# atan(z) = z + z^3 P(z^2) on |z| <= tan(pi / 8)
ATAN_P = (
    -0.33333333333333326, 0.19999999999997098, -0.14285714285316986, 0.1111111108379462, -0.09090907987999021, 0.07692279256145074,
    -0.06666175573756623, 0.05876525747054652, -0.052152434590815186, 0.04490823296347755, -0.033181032745082314, 0.014899944115287563,
)  # fmt: skip
# asin(z) = z + z^3 P(z^2) on |z| <= 1/2
ASIN_P = (
    0.1666666666666676, 0.07499999999970802, 0.044642857174609425, 0.030381942707921834, 0.022372214983245955, 0.017351612099729852,
    0.01398081945605093, 0.011398921452086638, 0.01078020026312708, 0.003706607987554138, 0.021706963298740046, -0.02099838154890522,
    0.03262820083215612,
)  # fmt: skip
# erf(x) = x + x P(x^2) on |x| <= 0.8
ERF_P = (
    0.1283791670955126, -0.3761263890318375, 0.11283791670954983, -0.02686617064508985, 0.005223977624821765, -0.0008548326968487977,
    0.0001205532988855772, -1.4925535464874374e-05, 1.6459257170343063e-06, -1.6318639708537563e-07, 1.4307124286212213e-08,
    -9.165680821034502e-10,
)  # fmt: skip
# (1 + 2 x) exp(x^2) erfc(x) = P((x - 4) / (x + 4)) for 0 <= x <= 28
ERFCX_P = (
    1.2329951186255526, -0.13962111684056253, 0.015379652102619558, 0.06809705425469506, -0.10103906603629398, 0.09373283499826808,
    -0.06633036581244194, 0.037167515538739405, -0.016197734055335637, 0.005031969967479229, -0.000757773304226325,
    -0.00019925664222290743, 0.00015062173833650305, -2.4399376232445766e-05, -1.1222198226197003e-05, 5.710036237336824e-06,
    2.941252359510993e-07, -8.257369428058066e-07, 7.424085404335548e-08, 1.1016723508241116e-07, -1.7633436491337187e-08,
    -1.4043787561621508e-08, 1.749552683048864e-09, 1.2192847466686153e-09,
)  # fmt: skip


def _scaled_exp(x: Num, correction: Num | None, halvings: int) -> Num:
    """exp(x + correction) / 2^halvings; the two scales make denormal results and overflow come out right."""
    bias = 2046 - halvings
    t = fma(x, LOG2E, ROUNDER + bias)
    n, low = t - (ROUNDER + bias), bits(t)
    r = fma(n, -LN2_LO, fma(n, -LN2_HI, x))
    r = r if correction is None else r + correction
    p = horner(r, (1.0, 1.0, *EXP_Q))
    half = low.lshr(1)
    return p * from_bits(half << 52) * from_bits((low - half) << 52)


def exp(x: Num) -> Num:
    return _scaled_exp(at_least(at_most(x, 710.0), -746.0), None, 0)


def exp_sum(high: Num, low: Num) -> Num:
    """exp(high + low) for a tiny `low`."""
    return _scaled_exp(at_least(at_most(high, 710.0), -746.0), low, 0)


def _half_exp(x: Num) -> Num:
    """exp(x) / 2, finite where exp(x) itself is not."""
    return _scaled_exp(at_most(x, 711.0), None, 1)


def exp2(x: Num) -> Num:
    x = at_least(at_most(x, 1025.0), -1076.0)
    t = x + (ROUNDER + 2046)
    low = bits(t)
    p = horner((x - (t - (ROUNDER + 2046))) * LN2_HI, (1.0, 1.0, *EXP_Q))
    half = low.lshr(1)
    return p * from_bits(half << 52) * from_bits((low - half) << 52)


def expm1(x: Num) -> Num:
    clamped = at_least(at_most(x, 710.0), -38.0)
    t = fma(clamped, LOG2E, ROUNDER + 1022)
    n = t - (ROUNDER + 1022)
    r = fma(n, -LN2_LO, fma(n, -LN2_HI, clamped))
    p = fma(r * r, horner(r, EXPM1_Q), r)
    half = from_bits(bits(t) << 52)
    y = fma(half, p, half - 0.5)
    return with_sign_of(fabs(select(n.eq(0.0), p, y + y)), x)


def sigmoid(x: Num) -> Num:
    z = exp(-fabs(x))
    return select(x < 0.0, z, 1.0) / (z + 1.0)


def tanh(x: Num) -> Num:
    a = fabs(x)
    x2 = x * x
    small = fma(a * x2, horner(x2, TANH_P), a)
    large = 1.0 - 2.0 / (exp(at_most(a, 22.0) * 2.0) + 1.0)
    return with_sign_of(select(a < 0.55, small, large), x)


def sinh(x: Num) -> Num:
    a = fabs(x)
    m = expm1(at_most(a, 2.0))
    half = _half_exp(a)
    return with_sign_of(select(a < 1.0, (m + m / (m + 1.0)) * 0.5, half - 0.25 / half), x)


def cosh(x: Num) -> Num:
    half = _half_exp(fabs(x))
    return half + 0.25 / half


def _log_ratio(f: Num, low: Num) -> Num:
    """log(1 + f) + low."""
    s = f / (f + 2.0)
    z = s * s
    half = f * f * 0.5
    return f - (half - fma(s, half + z * horner(z, LOG_R), low))


def _log_parts(x: Num) -> tuple[Num, Num]:
    """(n, f) with x = 2^n (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), for positive x, denormals included."""
    tiny = x < MIN_NORMAL
    i = bits(select(tiny, x * 2.0**54, x)) - SQRT_HALF_BITS
    return _whole(i >> 52) + select(tiny, x.const(-54.0), 0.0), from_bits((i & MANTISSA) + SQRT_HALF_BITS) - 1.0


def _whole(i: Num) -> Num:
    """A small int64 as float64, without the conversion that many processors lack for vectors."""
    rounder = bits(i.cast("bitcast", "double").const(ROUNDER))
    return from_bits(i + rounder) - ROUNDER


def _log_ends(x: Num, y: Num, bottom: float = 0.0) -> Num:
    y = select(x < INF, y, x)
    return select(x > bottom, y, select(x.eq(bottom), x.const(-INF), x + NAN))


def log(x: Num) -> Num:
    n, f = _log_parts(x)
    return _log_ends(x, fma(n, LN2_HI, _log_ratio(f, n * LN2_LO)))


def log1p(x: Num) -> Num:
    i = bits(x + 1.0) - SQRT_HALF_BITS
    e = i >> 52
    scale = from_bits(0x3FF0000000000000 - (e << 52))
    f = select(e > 54, from_bits((i & MANTISSA) + SQRT_HALF_BITS) - 1.0, fma(x, scale, scale - 1.0))
    n = _whole(e)
    return _log_ends(x, with_sign_of(fabs(fma(n, LN2_HI, _log_ratio(f, n * LN2_LO))), x), -1.0)


def log2(x: Num) -> Num:
    n, f = _log_parts(x)
    y = _log_ratio(f, f.const(0.0))
    return _log_ends(x, fma(y, LOG2E, fma(y, LOG2E_LO, n)))


def log10(x: Num) -> Num:
    n, f = _log_parts(x)
    y = _log_ratio(f, f.const(0.0))
    return _log_ends(x, fma(n, LOG10_2_HI, fma(y, LOG10E, fma(y, LOG10E_LO, n * LOG10_2_LO))))


def erfc(x: Num) -> Num:
    a = at_most(fabs(x), 28.0)
    square = a * a
    ratio = horner((a - 4.0) / (a + 4.0), ERFCX_P) / fma(a, 2.0, 1.0)
    tail = exp_sum(-square, -fma(a, a, -square)) * ratio
    return select(x < 0.0, 2.0 - tail, tail)


def erf(x: Num) -> Num:
    small = fma(x, horner(x * x, ERF_P), x)
    a = fabs(x)
    return select(a < 0.8, small, with_sign_of(1.0 - erfc(a), x))


def asinh(x: Num) -> Num:
    a = fabs(x)
    big = a > 2.0**28
    square = a * a
    y = log1p(select(big, a - 1.0, a + square / (sqrt(square + 1.0) + 1.0)))
    return with_sign_of(select(big, y + LN2_HI, y), x)


def acosh(x: Num) -> Num:
    big = x > 2.0**28
    t = x - 1.0
    y = log1p(select(big, t, t + sqrt(fma(t, t, t + t))))
    return select(x < 1.0, x.const(NAN), select(big, y + LN2_HI, y))


def atanh(x: Num) -> Num:
    a = fabs(x)
    return with_sign_of(log1p((a + a) / (1.0 - a)) * 0.5, x)


def atan(x: Num) -> Num:
    a = fabs(x)
    big, middle = a > 2.414213562373095, a > 0.41421356237309503
    top = select(big, a.const(-1.0), select(middle, a - 1.0, a))
    z = top / select(big, a, select(middle, a + 1.0, 1.0))
    high = select(big, a.const(PIO2_HI), select(middle, a.const(PIO2_HI / 2), 0.0))
    low = select(big, a.const(PIO2_LO), select(middle, a.const(PIO2_LO / 2), 0.0))
    z2 = z * z
    return with_sign_of(fabs(high + (z + fma(z * z2, horner(z2, ATAN_P), low))), x)


def atan2(y: Num, x: Num) -> Num:
    a, b = fabs(y), fabs(x)
    steep = a > b
    top, bottom = select(steep, b, a), select(steep, a, b)
    ratio = select(top.eq(bottom), select(top.eq(0.0), x.const(0.0), 1.0), top / bottom)  # equal: 0/0 and inf/inf too
    t = atan(ratio)
    t = select(steep, PIO2_HI - (t - PIO2_LO), t)
    t = select(bits(x) < 0, 2 * PIO2_HI - (t - 2 * PIO2_LO), t)
    return select(Num(x.f, x.f.fcmp("uno", x.v, y.v)), x + y, with_sign_of(fabs(t), y))


def _asin_core(a: Num) -> tuple[Num, Num]:
    """(|x| > 1/2, asin of |x| or of sqrt((1 - |x|) / 2))."""
    big = a > 0.5
    z = select(big, (1.0 - a) * 0.5, a * a)
    s = select(big, sqrt(z), a)
    return big, fma(s * z, horner(z, ASIN_P), s)


def asin(x: Num) -> Num:
    big, y = _asin_core(fabs(x))
    return with_sign_of(fabs(select(big, PIO2_HI - ((y + y) - PIO2_LO), y)), x)


def acos(x: Num) -> Num:
    big, y = _asin_core(fabs(x))
    negative = x < 0.0
    twice = y + y
    far = select(negative, 2 * PIO2_HI - (twice - 2 * PIO2_LO), twice)
    near = PIO2_HI - (select(negative, -y, y) - PIO2_LO)
    return select(big, far, near)
