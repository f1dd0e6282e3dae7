"""Special functions in plain NumPy, in float64: the meaning of the records of `special.py`. Plain and slow on purpose.

Bessel functions and erfcx: Chebyshev series, fitted for this file with 40 digits. Gamma family: DLMF chapters 5, 8 and 25.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from monograph.ops.reference_math import erfc

Array = Any

# exp(-x) I0(x) and exp(-x) I1(x) / x on 0 <= x <= 8, in x / 4 - 1; the same times sqrt(x) (of I1: without the 1 / x) beyond, in 16 / x - 1
I0_SMALL = (
    0.33839763720473803, -0.3046826723431984, 0.17162090152220877, -0.09490109704804764, 0.04930528423967071, -0.02373741480589947,
    0.010546460394594998, -0.004324309995050576, 0.0016394756169413357, -0.0005763755745385824, 0.00018850288509584165,
    -5.754195010082104e-05, 1.6448448070728896e-05, -4.4167383584587505e-06, 1.1173875391201037e-06, -2.670793853940612e-07,
    6.046995022541919e-08, -1.300025009986248e-08, 2.6598237246823866e-09, -5.189795601635263e-10, 9.675809035373237e-11,
    -1.726826291441556e-11, 2.95505266312964e-12, -4.856446783111929e-13, 7.676185498604936e-14, -1.1685332877993451e-14,
    1.715391285555133e-15, -2.431279846547955e-16, 3.3307945188222384e-17, -4.4153416464793395e-18,
)  # fmt: skip
I0_LARGE = (
    0.4022452055070544, 0.0033691164782556943, 6.889758346916825e-05, 2.8913705208347567e-06, 2.0489185894690638e-07,
    2.266668990498178e-08, 3.3962320257083865e-09, 4.94060238822497e-10, 1.1889147107846439e-11, -3.1499165279632416e-11,
    -1.3215811840447713e-11, -1.7941785315068062e-12, 7.180124451383666e-13, 3.8527783827421426e-13, 1.54008621752141e-14,
    -4.150569347287222e-14, -9.554846698828307e-15, 3.8116806693526224e-15, 1.7725601330565263e-15, -3.425485619677219e-16,
    -2.8276239805165836e-16, 3.461222867697461e-17, 4.46562142029676e-17, -4.830504485944182e-18, -7.233180487874754e-18,
    9.921475412173699e-19, 1.193650890845982e-18,
)  # fmt: skip
I1_SMALL = (
    0.12629359322181682, -0.17641651835783406, 0.1026436586898471, -0.05294598120809499, 0.024726449030626516, -0.010564084894626197,
    0.004156422944312888, -0.0015135724506312532, 0.0005122859561685758, -0.00016176081582589674, 4.781565107550054e-05,
    -1.3273163656039436e-05, 3.4702513081376785e-06, -8.568720264695455e-07, 2.0032947535521353e-07, -4.445059128796328e-08,
    9.381537386495773e-09, -1.8872497517228294e-09, 3.625590281552117e-10, -6.663489723502027e-11, 1.1736186298890901e-11,
    -1.9839743977649436e-12, 3.223793365945575e-13, -5.042185504727912e-14, 7.600684294735408e-15, -1.1055969477353862e-15,
    1.5536319577362005e-16, -2.111421214358166e-17, 2.7779141127610464e-18, -3.541581772542136e-19,
)  # fmt: skip
I1_LARGE = (
    0.38928811750914005, -0.009761097491361469, -0.00011058893876262371, -3.882564808877691e-06, -2.512236237870209e-07,
    -2.6314688468895196e-08, -3.835380385964237e-09, -5.589743462196584e-10, -1.8974958123505413e-11, 3.2526035830154884e-11,
    1.4125807436613782e-11, 2.0356285441470896e-12, -7.198551776245908e-13, -4.0835511110921974e-13, -2.1015418427726643e-14,
    4.272440016711951e-14, 1.0420276984128802e-14, -3.8144030724370075e-15, -1.8803547755107825e-15, 3.3082023109209285e-16,
    2.96262899764595e-16, -3.209525921993424e-17, -4.6503053684893586e-17, 4.414348323071708e-18, 7.517296310842105e-18,
    -9.314178867326884e-19, -1.242193275194891e-18,
)  # fmt: skip
# (1 + 2 x) erfcx(x) for x >= 0, in (x - 3.75) / (x + 3.75) (Shepherd and Laframboise 1981)
ERFCX = (
    1.1775789345674017, -0.004590054580646478, -0.08424913336651792, 0.05920993999819189, -0.026658668435305753, 0.009074997670705265,
    -0.002413163540417608, 0.0004907758365258086, -6.916973302501207e-05, 4.13902798607301e-06, 7.74038306619849e-07,
    -2.1886401049234397e-07, 1.076499946567091e-08, 4.521959811218287e-09, -7.754400208831351e-10, -6.318088340886684e-11,
    2.86879501093067e-11, 1.9455868545777347e-13, -9.65469674843344e-13, 3.25254814814874e-14, 3.3478119482868056e-14,
    -1.864562880419313e-15, -1.2507950530688648e-15, 7.418235256624044e-17, 5.068148904796111e-17,
)  # fmt: skip
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)


def wide(function: Callable[..., Array]) -> Callable[..., Array]:
    def computed(*xs: Array) -> Array:
        with np.errstate(all="ignore"):
            return function(*np.broadcast_arrays(*[np.asarray(x, np.float64) for x in xs]))

    return computed


def chebyshev(t: Array, coefficients: tuple[float, ...]) -> Array:
    one, two = np.zeros_like(t), np.zeros_like(t)
    for c in coefficients[:0:-1]:
        one, two = 2 * t * one - two + c, one
    return t * one - two + coefficients[0]


def _lgamma(x: float) -> float:
    if math.isinf(x) or (x <= 0 and x == math.floor(x)):
        return math.inf
    return math.lgamma(x)


def lgamma(x: Array) -> Array:
    """log|gamma(x)|."""
    x = np.asarray(x, np.float64)
    return np.vectorize(_lgamma, otypes=[np.float64])(x) if x.size else x


@wide
def digamma(x: Array) -> Array:
    """The derivative of log gamma; -inf at +0, +inf at -0, NaN at the other poles."""
    reflect = x < 0.5
    y = np.where(reflect, 1 - x, x)
    below = np.zeros_like(y)
    for _ in range(10):
        low = y < 10
        below = np.where(low, below + 1 / y, below)
        y = np.where(low, y + 1, y)
    square = 1 / (y * y)
    series, power = np.zeros_like(y), square
    for k, b in enumerate(BERNOULLI, 1):
        series = series + b / (2 * k) * power
        power = power * square
    value = np.log(y) - 0.5 / y - series - below
    angle = (x - np.rint(x)) * math.pi
    value = np.where(reflect, value - math.pi / np.tan(angle), value)
    value = np.where(x == 0, -np.copysign(np.inf, x), value)
    value = np.where(np.isposinf(x), np.inf, value)
    return np.where((x < 0) & (np.floor(x) == x), np.nan, value)


def _hurwitz(s: Array, q: Array) -> Array:
    """The sum of (q + k)^-s over k >= 0 for q > 0, s > 1: ten terms, and Euler and Maclaurin's formula for the rest."""
    total = np.zeros_like(q)
    for k in range(10):
        total = total + (q + k) ** -s
    a = q + 10
    total = total + a ** (1 - s) / (s - 1) + 0.5 * a**-s
    rising, power, factorial = s, a ** (-s - 1), 2.0
    for k, b in enumerate(BERNOULLI, 1):
        total = total + b * rising * power / factorial
        rising = rising * (s + 2 * k - 1) * (s + 2 * k)
        power = power / (a * a)
        factorial *= (2 * k + 1) * (2 * k + 2)
    return total


@wide
def zeta(s: Array, q: Array) -> Array:
    """Hurwitz's zeta function; q below 0 for whole s only; inf at q = 0, -1 ... and at s = 1, NaN for s < 1."""
    whole = np.floor(s) == s
    steps = np.where(q < 0, np.floor(-q) + 1, 0)
    value = _hurwitz(s, np.where(q > 0, q, q + steps))
    sign = np.where(np.mod(s, 2) == 0, 1.0, -1.0)
    passed = _hurwitz(s, np.where(q < 0, -q - steps + 1, 1)) - _hurwitz(s, np.where(q < 0, 1 - q, 1))
    value = np.where(q < 0, value + sign * passed, value)
    value = np.where((q <= 0) & ~whole, np.nan, value)
    value = np.where((q <= 0) & (np.floor(q) == q), np.inf, value)
    value = np.where(np.isposinf(s), np.where(q > 1, 0.0, np.where(q == 1, 1.0, np.inf)), value)
    return np.where(s == 1, np.inf, np.where((s < 1) | np.isnan(s) | np.isnan(q), np.nan, value))


@wide
def i0e(x: Array) -> Array:
    """exp(-|x|) I0(x)."""
    x = np.abs(x)
    small = chebyshev(np.minimum(x, 8) / 4 - 1, I0_SMALL)
    far = np.maximum(x, 8)
    return np.where(np.isnan(x), x, np.where(x <= 8, small, chebyshev(16 / far - 1, I0_LARGE) / np.sqrt(far)))


@wide
def i1e(x: Array) -> Array:
    """exp(-|x|) I1(x)."""
    a = np.abs(x)
    small = chebyshev(np.minimum(a, 8) / 4 - 1, I1_SMALL) * a
    far = np.maximum(a, 8)
    return np.where(np.isnan(x), x, np.copysign(np.where(a <= 8, small, chebyshev(16 / far - 1, I1_LARGE) / np.sqrt(far)), x))


@wide
def i0(x: Array) -> Array:
    """The modified Bessel function of order 0."""
    return _times_exponential(i0e(x), np.abs(x))


@wide
def i1(x: Array) -> Array:
    """The modified Bessel function of order 1."""
    return _times_exponential(i1e(x), np.abs(x))


def _times_exponential(y: Array, x: Array) -> Array:
    half = np.exp(x / 2)  # in two steps: the product may be finite where exp(x) is not
    return np.where(np.isinf(x), np.copysign(np.inf, y), half * y * half)


@wide
def erfcx(x: Array) -> Array:
    """exp(x^2) erfc(x)."""
    a = np.abs(x)
    finite = np.where(np.isinf(a), 1, a)
    right = chebyshev((finite - 3.75) / (finite + 3.75), ERFCX) / (1 + 2 * finite)
    right = np.where(np.isinf(a), 0, right)
    return np.where(np.isnan(x), x, np.where(x >= 0, right, 2 * np.exp(x * x) - right))


# ---- incomplete gamma functions ----


def _lower_series(a: Array, x: Array) -> Array:
    """P(a, x) for x < a + 1: x^a e^-x / gamma(a + 1) times 1 + x / (a + 1) + x^2 / ((a + 1) (a + 2)) ..."""
    term = total = np.ones_like(a)
    for k in range(1, 20000):
        term = np.where(term > total * 1e-17, term * x / (a + k), 0)
        if not term.any():
            break
        total = total + term
    return total * np.exp(a * np.log(x) - x - lgamma(a + 1))


def _upper_fraction(a: Array, x: Array) -> Array:
    """Q(a, x) for x >= a + 1 by its continued fraction (Lentz's method)."""
    tiny = 1e-300
    b = x + 1 - a
    c, d = np.full_like(b, 1 / tiny), 1 / b
    h, going = d, np.ones(b.shape, bool)
    for k in range(1, 20000):
        n = -k * (k - a)
        b = b + 2
        d = n * d + b
        d = 1 / np.where(np.abs(d) < tiny, tiny, d)
        c = b + n / c
        c = np.where(np.abs(c) < tiny, tiny, c)
        going = going & (np.abs(d * c - 1) > 1e-16)  # a value does not depend on how long its neighbours take
        if not going.any():
            break
        h = np.where(going, h * d * c, h)
    return h * np.exp(a * np.log(x) - x - lgamma(a))


def _incomplete(a: Array, x: Array, upper: bool) -> Array:
    usual = (a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)
    value = np.full(a.shape, np.nan)
    for mask, function, is_upper in ((usual & (x < a + 1), _lower_series, False), (usual & (x >= a + 1), _upper_fraction, True)):
        if mask.any():
            found = function(a[mask], x[mask])
            value[mask] = found if is_upper == upper else 1 - found
    lower = np.where((x == 0) & (a > 0), 0.0, np.where((a == 0) & (x > 0), 1.0, np.nan))
    lower = np.where(np.isposinf(x) & (a >= 0) & np.isfinite(a), 1.0, np.where(np.isposinf(a) & (x >= 0) & np.isfinite(x), 0.0, lower))
    return np.where(usual, value, 1 - lower if upper else lower)


@wide
def gammainc(a: Array, x: Array) -> Array:
    """The regularised lower incomplete gamma function P(a, x)."""
    return _incomplete(a, x, upper=False)


@wide
def gammaincc(a: Array, x: Array) -> Array:
    """The regularised upper incomplete gamma function Q(a, x)."""
    return _incomplete(a, x, upper=True)


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2


@wide
def gamma_sample_slope(a: Array, x: Array) -> Array:
    """dx / da of a gamma sample x at a fixed quantile: minus the slope of P(a, x) in a over the density (Figurnov et al. 2018).

    With p(t) the density this is -1 / p(x) times the integral over t < x (or plus, over t > x) of p(t) (log t - digamma(a)); it is taken on
    the side whose mass is smaller, in w = |log(t / x)|, over the range where the integrand matters, by Gauss and Legendre's rule.
    """
    shape = a.shape
    a, x = a.reshape(-1, 1), np.maximum(x, 1e-300).reshape(-1, 1)
    left = x < a

    def fall(w: Array) -> Array:
        return np.where(left, a * w - x * -np.expm1(-w), x * np.expm1(w) - a * w)

    reach = np.where(left, 40 / np.maximum(a, 1e-30) + 1, np.log1p(40 / x) + 1)
    for _ in range(60):  # the largest w with fall(w) <= 40, by bisection: fall is convex and grows
        shorter = reach * 0.8
        reach = np.where(fall(shorter) > 40, shorter, reach)
    while np.any(short := fall(reach) < 36):
        reach = np.where(short, reach * 1.25, reach)
    w = reach * _NODES
    density = np.exp(-fall(w)) * reach * _WEIGHTS
    slope = np.log(x) + np.where(left, -w, w) - digamma(a)
    total = (density * slope).sum(-1)
    return (np.where(left[:, 0], -total, total) * x[:, 0]).reshape(shape)


def log_ndtr(x: Array) -> Array:
    """The logarithm of the normal distribution function."""
    x = np.asarray(x, np.float64)
    left = np.minimum(x, -1)
    right = np.log1p(-erfc(np.maximum(x, -1) / math.sqrt(2)) / 2)
    return np.where(x < -1, np.log(erfcx(-left / math.sqrt(2)) / 2) - left * left / 2, right)
