"""Vector mathematics: error bounds over all exponents, special values, and the same bits in lanes and as scalars."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import special

from tests.targets.elementwise_native import run
from tests.targets.special_values import SPECIAL_VALUES

Array = np.ndarray
Reference = Callable[..., Array]

SPECIALS = [
    0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -0.5, 2.0, 1e-45, -1e-45, 1.1754944e-38, 3.4028235e38, -3.4028235e38, 88.72283,
    88.72284, -87.33655, -103.97, -103.98, 127.99999, 128.0, -149.0, -150.0, 9.0, 17.5, -17.4,
]  # fmt: skip


def _sigmoid(x: Array) -> Array:
    return np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-x)))


def _log_sigmoid(x: Array) -> Array:
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


LIBRARY: dict[str, Reference] = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p,
    "tanh": np.tanh, "sigmoid": _sigmoid, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
}  # fmt: skip
SPECIAL: dict[str, Reference] = {
    "erf": special.erf,
    "erfc": special.erfc,
    "erfinv": special.erfinv,
    "digamma": special.digamma,
    "lgamma": special.gammaln,
}
BOUNDS32 = {
    "exp": 1.0,
    "exp2": 1.0,
    "log": 1.0,
    "log2": 1.0,
    "log10": 1.0,
    "expm1": 1.5,
    "log1p": 1.5,
    "tanh": 1.5,
    "erf": 1.5,
    "sigmoid": 2.0,
    "sin": 1.6,
    "cos": 1.6,
}
BOUNDS64 = {
    "exp": 1.0, "exp2": 1.0, "expm1": 2.0, "log": 1.0, "log2": 1.5, "log10": 1.5, "log1p": 1.5, "tanh": 2.0, "sin": 1.0, "cos": 1.0,
    "acos": 1.5, "erf": 1.5, "erfc": 4.0, "erfinv": 4.0, "lgamma": 6.0, "digamma": 6.0,
}  # fmt: skip


def _samples(dtype: str, n: int) -> Array:
    """All exponents alike, and the ranges where the functions live."""
    draw = np.random.default_rng(11)
    word = np.uint32 if dtype == "float32" else np.uint64
    spread = draw.integers(0, np.iinfo(word).max, n, dtype=word).view(dtype)
    wide = 110 if dtype == "float32" else 750
    parts = [
        spread,
        draw.uniform(-20, 20, n),
        draw.uniform(-1.2, 1.2, n),
        1 + draw.uniform(-0.01, 0.01, n // 2),
        draw.uniform(-wide, wide, n),
    ]
    return np.concatenate([p.astype(dtype) for p in (*parts, draw.uniform(-1e5, 1e5, n), np.array(SPECIALS))])


def _ulps(y: Array, exact: Array) -> Array:
    """The error in units in the last place of y's dtype; `exact` has more bits."""
    info = np.finfo(y.dtype)
    size = np.abs(exact)
    regular = (size > 0) & np.isfinite(exact)
    exponent = np.maximum(np.floor(np.log2(np.where(regular, size, 1))), info.minexp)
    unit = np.ldexp(np.ones((), exact.dtype), (exponent - info.nmant).astype(int))
    same = (np.isnan(y) & np.isnan(exact)) | (y == exact.astype(y.dtype))
    error = np.abs(y.astype(exact.dtype) - exact) / unit
    return np.where(same, 0, np.where(np.isnan(error), np.inf, error))


def _assert_close(op: str, y: Array, exact: Array, x: Array, bound: float) -> None:
    error = _ulps(y, exact)
    worst = int(np.argmax(error))
    assert error[worst] <= bound, f"{op}({x[worst]!r}) = {y[worst]!r}, exact {exact[worst]!r}: {error[worst]:.3f} ULP"


@pytest.mark.parametrize("op", [*LIBRARY, "erf", "erfc", "erfinv", "digamma"])
def test_float32_error_over_all_exponents(op: str) -> None:
    x = _samples("float32", 40_000)
    with np.errstate(all="ignore"):
        exact = (LIBRARY | SPECIAL)[op](x.astype(np.float64))
        _assert_close(op, run(op, x), exact, x, BOUNDS32.get(op, 0.51))


@pytest.mark.parametrize("op", LIBRARY)
@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="needs an extended precision to compare with")
def test_float64_error_over_all_exponents(op: str) -> None:
    x = _samples("float64", 15_000)
    with np.errstate(all="ignore"):
        _assert_close(op, run(op, x), LIBRARY[op](x.astype(np.longdouble)), x, BOUNDS64.get(op, 2.5))


@pytest.mark.parametrize("op", SPECIAL)
def test_float64_special_functions_against_scipy(op: str) -> None:
    x = np.concatenate([np.linspace(-6, 6, 4001), np.geomspace(1e-290, 30, 4000), np.linspace(0.9, 1, 500)[:-1]])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(run(op, x), SPECIAL[op](x), rtol=2e-13, atol=2e-14 if op in ("lgamma", "digamma") else 0)


@pytest.mark.parametrize("op", SPECIAL)
def test_float64_special_functions_to_the_last_places(op: str) -> None:
    x, want = (np.array(column) for column in zip(*SPECIAL_VALUES[op], strict=True))
    _assert_close(op, run(op, x), want.astype(np.longdouble), x, BOUNDS64[op] + 0.5)


def test_log_sigmoid() -> None:
    x = _samples("float32", 20_000)
    x = x[np.abs(x) < 80]
    _assert_close("log_sigmoid", run("log_sigmoid", x), _log_sigmoid(x.astype(np.float64)), x, 2.5)
    x = x.astype(np.float64) * 1.0000001
    _assert_close("log_sigmoid", run("log_sigmoid", x), _log_sigmoid(x.astype(np.longdouble)), x, 3.0)


def test_gaussian_gate() -> None:
    x = np.concatenate([np.linspace(-7, 7, 100_001), [1e30, -1e30, np.inf, -np.inf, 1e-45, 0.0]])
    narrow = run("gaussian_gate", x.astype(np.float32))
    assert np.abs(narrow - special.ndtr(x.astype(np.float32).astype(np.float64))).max() <= 1.8e-7
    assert (narrow >= 0).all() and (narrow[x <= -5.6] == 0).all() and (narrow[x >= 5.6] == 1).all()
    assert np.abs(run("gaussian_gate", x) - special.ndtr(x)).max() <= 3e-16
    assert np.isnan(run("gaussian_gate", np.array([np.nan], np.float32))).all()


def test_float32_trigonometry_of_huge_arguments() -> None:
    x = np.geomspace(1e5, 3e38, 20_000).astype(np.float32)
    for op in ("sin", "cos", "tan"):
        _assert_close(op, run(op, x), LIBRARY[op](x.astype(np.float64)), x, 2.0)


def test_values_that_have_one_right_answer() -> None:
    def one(op: str, x: float, dtype: type = np.float32) -> float:
        return float(run(op, np.array([x], dtype))[0])

    for dtype in (np.float32, np.float64):
        for op in ("expm1", "log1p", "tanh", "erf", "sin", "tan", "asin", "atan", "sinh", "asinh", "atanh", "erfinv"):
            assert np.signbit(one(op, -0.0, dtype)), f"{op}(-0) must be -0"
            tiny = float(np.finfo(dtype).smallest_subnormal)
            if op not in ("erf", "erfinv"):
                assert one(op, tiny, dtype) == tiny, f"{op} of the smallest number is itself"
        assert one("exp", -np.inf, dtype) == 0 and one("exp", np.inf, dtype) == np.inf
        assert one("exp", 0.0, dtype) == one("cos", 0.0, dtype) == one("exp2", 0.0, dtype) == 1
        assert one("log", 0.0, dtype) == one("log", -0.0, dtype) == -np.inf and np.isnan(one("log", -1.0, dtype))
        assert one("log1p", -1.0, dtype) == -np.inf and np.isnan(one("log1p", -1.5, dtype))
        assert one("log2", 1024.0, dtype) == 10 and one("exp2", 10.0, dtype) == 1024
        assert one("tanh", np.inf, dtype) == 1 and one("erf", -np.inf, dtype) == -1
        assert one("sigmoid", -np.inf, dtype) == 0 and one("sigmoid", np.inf, dtype) == 1 and one("sigmoid", 0.0, dtype) == 0.5
        assert np.isnan(one("sin", np.inf, dtype)) and np.isnan(one("acosh", 0.5, dtype)) and np.isnan(one("asin", 1.5, dtype))
        assert one("atanh", 1.0, dtype) == np.inf and one("erfinv", 1.0, dtype) == np.inf and np.isnan(one("erfinv", 1.5, dtype))
        assert one("lgamma", 0.0, dtype) == one("lgamma", -2.0, dtype) == one("lgamma", -np.inf, dtype) == np.inf
        assert one("digamma", 0.0, dtype) == -np.inf and one("digamma", -0.0, dtype) == np.inf and np.isnan(one("digamma", -1.0, dtype))


GRID = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    2.0,
    -2.0,
    0.5,
    -0.5,
    3.0,
    -3.0,
    np.inf,
    -np.inf,
    np.nan,
    1e38,
    -1e38,
    1e-40,
    4.5,
    2.0**24 - 1,
    2.0**24 + 2,
    7.0,
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", ["pow", "atan2", "fmod", "hypot", "nextafter", "copysign", "floor_divide"])
def test_two_operands_on_special_values(op: str, dtype: str) -> None:
    a, b = (v.ravel().astype(dtype) for v in np.meshgrid(GRID, GRID))
    name = {"pow": "power", "atan2": "arctan2"}.get(op, op)
    with np.errstate(all="ignore"):
        y, want = run(op, a, b), getattr(np, name)(a, b)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(want))
    real = ~np.isnan(want)
    np.testing.assert_array_equal(np.signbit(y[real]), np.signbit(want[real]))
    np.testing.assert_allclose(y[real], want[real], rtol=3e-7 if dtype == "float32" else 5e-16)


def test_pow_error() -> None:
    draw = np.random.default_rng(5)
    n = 40_000
    base = np.concatenate(
        [draw.uniform(0, 3, n), draw.uniform(0.5, 2, n), 2.0 ** draw.uniform(-126, 127, n), draw.uniform(-5, 0, n)]
    ).astype(np.float32)
    power = np.concatenate(
        [draw.uniform(-30, 30, n), draw.uniform(-140, 140, n), draw.uniform(-1.5, 1.5, n), draw.integers(-20, 20, n)]
    ).astype(np.float32)
    with np.errstate(all="ignore"):
        _assert_close("pow", run("pow", base, power), np.power(base.astype(np.float64), power), base, 0.51)
        wide = base.astype(np.float64), power.astype(np.float64) * 7
        if np.finfo(np.longdouble).nmant >= 60:
            _assert_close("pow", run("pow", *wide), np.power(wide[0].astype(np.longdouble), wide[1]), base, 1.5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fmod_remainder_and_floor_divide_are_exact(dtype: str) -> None:
    draw = np.random.default_rng(6)
    word = np.uint32 if dtype == "float32" else np.uint64
    a, b = (draw.integers(0, np.iinfo(word).max, 20_000, dtype=word).view(dtype) for _ in range(2))
    a = np.concatenate([a, draw.uniform(-100, 100, 20_000).astype(dtype)])
    b = np.concatenate([b, draw.uniform(-3, 3, 20_000).astype(dtype)])
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(run("fmod", a, b), np.fmod(a, b))
        np.testing.assert_array_equal(run("remainder", a, b), np.remainder(a, b))
        np.testing.assert_array_equal(run("floor_divide", a, b), np.floor_divide(a, b))
