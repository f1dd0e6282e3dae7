"""lgamma, digamma, erfinv, hypot and nextafter, in float64 (float32 callers go through it; nextafter works on either's bits).

lgamma and digamma: recurrence up to x >= 8, Stirling's series, reflection for x < 1/2 (DLMF 5.5 and 5.11). erfinv: Giles' (2010)
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
    """log|gamma(x)|: within a few ULP, but for values near the zeros, where the error is absolute (about 1e-15)."""
    reflect = x < 0.5
    z = select(reflect, 1.0 - x, x)
    product, y = z.const(1.0), z
    for _ in range(SHIFT):
        low = y < float(SHIFT)
        product = select(low, product * y, product)
        y = select(low, y + 1.0, y)
    inverse = 1.0 / y
    series = horner(inverse * inverse, STIRLING) * inverse
    big = fma(y - 0.5, log(y), HALF_LOG_TWO_PI - y) + series
    big = select(y < 1e300, big, y * (log(y) - 1.0))  # (y - 1/2) log y may overflow where log gamma does not
    value = big - log(product)
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
