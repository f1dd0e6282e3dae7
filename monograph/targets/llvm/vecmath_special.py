"""lgamma, digamma, erfinv, hypot and nextafter, in float64 (float32 callers go through it; nextafter works on either's bits).

lgamma and digamma: Stirling's series from 8 on, recurrence to 1 <= x <= 2 (lgamma, a polynomial) or up to 8 (digamma) below, reflection for
x < 1/2 (DLMF 5.5 and 5.11). erfinv: Giles' (2010)
variable w = -log(1 - x^2) for a first value, then Halley's steps on erf or erfc.
"""

from __future__ import annotations

from monograph.targets.llvm.vecmath_f64 import erf, erfc, exp, log, log1p
from monograph.targets.llvm.vecmath_numbers import Num, at_most, bits, copysign, fabs, floor, fma, from_bits, horner, rint, select, sqrt
from monograph.targets.llvm.vecmath_trig import cos, sin

INF = float("inf")
NAN = float("nan")
PI = 3.141592653589793
LOG_PI = 1.1447298858494002
LOG_2 = 0.6931471805599453
HALF_LOG_TWO_PI = 0.9189385332046727
SHIFT = 8
# B_2k / (2k (2k - 1)): log gamma(x) ~ (x - 1/2) log x - x + log(2 pi) / 2 + (sum c_k x^(1 - 2k))
STIRLING = (
    1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400, 43867 / 244188,
)  # fmt: skip
# log gamma(y) = (y - 1) (y - 2) P(y - 3/2) on 1 <= y <= 2
LGAMMA_P = (
    0.4831289505409809, -0.14595989591430608, 0.06291140107456437, -0.03130848750100938, 0.016797098631275997, -0.00942562244863534,
    0.005446457839031751, -0.003212074069361501, 0.0019229163152498267, -0.0011644146798045131, 0.000711519030698925,
    -0.0004379918272622506, 0.00027131407401865144, -0.00016892807887686177, 0.00010535323425207, -6.608812050497633e-05,
    4.3034119862822645e-05, -2.7371062193900918e-05, 1.3173882543154504e-05, -8.053501270726561e-06, 1.2149729580654952e-05,
    -7.990732588369674e-06,
)  # fmt: skip
# -B_2k / 2k: digamma(x) ~ log x - 1 / (2 x) + (sum c_k x^(-2k))
DIGAMMA = (-1 / 12, 1 / 120, -1 / 252, 1 / 240, -1 / 132, 691 / 32760, -1 / 12, 3617 / 8160, -43867 / 14364)
# erfinv(x) / x as a polynomial in w - 2.5 for w < 5 and in sqrt(w) - 3 beyond (Giles 2010)
CENTRAL = (
    1.50140941, 0.246640727, -0.00417768164, -0.00125372503, 0.00021858087, -4.39150654e-06, -3.5233877e-06, 3.43273939e-07, 2.81022636e-08,
)  # fmt: skip
TAIL = (
    2.83297682, 1.00167406, 0.00943887047, -0.0076224613, 0.00573950773, -0.00367342844, 0.00134934322, 0.000100950558, -0.000200214257,
)  # fmt: skip
TWO_OVER_SQRT_PI = 1.1283791670955126


def lgamma(x: Num) -> list[Num]:
    """log|gamma(x)|: within a few ULP for x > 0; next to the zeros at negative x the error is absolute (about 1e-15)."""
    reflect = x < 0.5
    z = select(reflect, 1.0 - x, x)
    # below 8: brought to 1 <= y <= 2, where the zeros at 1 and 2 are factors
    above, y = z.const(1.0), z
    for _ in range(SHIFT - 2):
        large = y > 2.0
        y = select(large, y - 1.0, y)
        above = select(large, above * y, above)
    below = y < 1.0  # one step up: log gamma(y) = log gamma(1 + y) - log y, with (1 + y - 1) (1 + y - 2) = y (y - 1) free of rounding
    zeros = (y - 1.0) * select(below, y, y - 2.0)
    centred = horner(y - select(below, y.const(0.5), 1.5), LGAMMA_P)
    step = log(select(below, y, above))
    near = fma(centred, zeros, select(below, -step, step))
    inverse = 1.0 / z
    series = horner(inverse * inverse, STIRLING) * inverse
    far = fma(z - 0.5, log(z), HALF_LOG_TWO_PI - z) + series
    far = select(z < 1e300, far, z * (log(z) - 1.0))  # (z - 1/2) log z may overflow where log gamma does not
    value = select(z < float(SHIFT), near, far)
    fraction = x - rint(x)
    mirrored = LOG_PI - log(fabs(sin(fraction * PI))) - value
    pole = (x <= 0.0) & fraction.eq(0.0)
    value = select(reflect, select(fabs(x) < 1e-300, -log(fabs(x)), mirrored), value)
    value = select(pole | fabs(x).eq(INF), x.const(INF), value)
    return [select(x.isnan(), x, value)]


def digamma(x: Num) -> list[Num]:
    """The derivative of log gamma; -inf at +0, +inf at -0, NaN at the other poles."""
    reflect = x < 0.5
    z = select(reflect, 1.0 - x, x)
    below, y = z.const(0.0), z
    for _ in range(SHIFT):
        low = y < float(SHIFT)
        below = select(low, below + 1.0 / y, below)
        y = select(low, y + 1.0, y)
    inverse = 1.0 / y
    square = inverse * inverse
    value = fma(inverse, -0.5, log(y)) + square * horner(square, DIGAMMA) - below
    angle = (x - rint(x)) * PI
    mirrored = value - PI * cos(angle) / sin(angle)
    value = select(reflect, mirrored, value)
    value = select(x.eq(0.0), -copysign(x.const(INF), x), value)
    pole = (x < 0.0) & floor(x).eq(x)
    return [select(pole, x.const(NAN), select(x.isnan() | x.eq(INF), x, value))]


def erfinv(x: Num) -> list[Num]:
    a = fabs(x)
    away = 1.0 - a  # exact for a >= 1/2
    w = -(log1p(-a) + log1p(a))
    tail = at_most(sqrt(w), 7.0) - 3.0
    # beyond the polynomials' range: 1 - a = erfc(y) ~ exp(-y^2) / (y sqrt(pi)), solved for y^2 by two rounds of substitution
    double = w + LOG_2
    far = sqrt(double - log((double - log(double * PI) * 0.5) * PI) * 0.5)
    y = select(w < 5.0, horner(w - 2.5, CENTRAL) * a, select(w < 15.0, horner(tail, TAIL) * a, far))
    for _ in range(2):
        # Halley: the second derivative of erf is -2 y times the first
        miss = select(a < 0.5, erf(y) - a, away - erfc(y))
        step = miss / (exp(-(y * y)) * TWO_OVER_SQRT_PI)
        y = y - step / fma(y, step, 1.0)
    y = select(a < 1e-8, a * (1 / TWO_OVER_SQRT_PI), y)
    y = select(a.eq(1.0), a.const(INF), y)
    return [select(a > 1.0, a.const(NAN), copysign(y, x))]


def hypot(x: Num, y: Num) -> list[Num]:
    """sqrt(x^2 + y^2) without overflow; infinite if either is, even beside a NaN."""
    a, b = fabs(x), fabs(y)
    big, small = select(a < b, b, a), select(a < b, a, b)
    grow, shrink = big < 2.0**-500, big > 2.0**500
    scale = select(grow, x.const(2.0**600), select(shrink, x.const(2.0**-600), 1.0))
    back = select(grow, x.const(2.0**-600), select(shrink, x.const(2.0**600), 1.0))
    p, q = big * scale, small * scale
    square = p * p
    root = sqrt(fma(q, q, square) + fma(p, p, -square)) * back
    nan = Num(x.f, x.f.fcmp("uno", x.v, y.v))
    return [select(a.eq(INF) | b.eq(INF), x.const(INF), select(nan, x + y, root))]


def nextafter(x: Num, y: Num) -> Num:
    """The neighbour of x towards y."""
    i = bits(x)
    up = x < y
    away = select(up ^ (x < 0.0), i + 1, i - 1)
    smallest = copysign(from_bits(i.const(1)), y)
    moved = select(x.eq(0.0), smallest, from_bits(away))
    nan = Num(x.f, x.f.fcmp("uno", x.v, y.v))
    return select(nan, x + y, select(x.eq(y), y, moved))
