"""Running sums, products and extrema along any axis."""

from __future__ import annotations

import numpy as np
import pytest

from monograph.targets.llvm.scan import plan_scan
from tests.targets.elementwise_native import NUMPY
from tests.targets.kernel_runner import run

SHAPES = ((1, 1, 1), (4, 37, 1), (1, 9, 100), (3, 6, 17), (2, 5, 16), (5, 1, 3))
FLOATS = ("float32", "float64", "float16", "bfloat16")


def _data(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    draw = np.random.default_rng(1)
    if dtype == "bool":
        return draw.integers(0, 2, shape).astype(bool)
    if dtype.startswith(("int", "uint")):
        return draw.integers(0 if dtype == "uint8" else -9, 9, shape).astype(dtype)
    return draw.uniform(-2, 2, shape).astype(NUMPY[dtype])


def _scan(op: str, x: np.ndarray, out: str, pieces: int = 1, **options: bool) -> tuple[np.ndarray, np.ndarray]:
    name = next(k for k, v in NUMPY.items() if v == x.dtype)
    result, indices = np.zeros(x.shape, NUMPY[out]), np.full(x.shape, -1, np.int64)
    run(plan_scan(op, name, x.shape, out, **options), x, result, indices, pieces=pieces)
    return result, indices


@pytest.mark.parametrize("dtype", FLOATS)
def test_float_sums_and_products(dtype: str) -> None:
    wide = np.float32 if dtype in ("float16", "bfloat16") else np.float64
    for shape in SHAPES:
        x = _data(dtype, shape)
        np.testing.assert_array_equal(_scan("cumsum", x, dtype)[0], np.cumsum(x.astype(wide), axis=1).astype(x.dtype))
        np.testing.assert_array_equal(_scan("cumprod", x, dtype)[0], np.cumprod(x.astype(wide), axis=1).astype(x.dtype))


@pytest.mark.parametrize("dtype", [d for d in NUMPY if d not in FLOATS])
def test_integer_sums_and_products(dtype: str) -> None:
    for shape in SHAPES:
        x = _data(dtype, shape)
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(_scan("cumsum", x, "int64")[0], np.cumsum(x, axis=1, dtype=np.int64))
            np.testing.assert_array_equal(_scan("cumprod", x, "int64")[0], np.cumprod(x, axis=1, dtype=np.int64))


@pytest.mark.parametrize("dtype", NUMPY)
@pytest.mark.parametrize("op", ["cummax", "cummin"])
def test_extrema_and_where_they_are(op: str, dtype: str) -> None:
    for shape in SHAPES:
        x = _data(dtype, shape)
        if dtype in FLOATS and x.size > 20:
            x.reshape(-1)[::13] = np.nan
        got, at = _scan(op, x, dtype)
        for o in range(shape[0]):
            for i in range(shape[2]):
                best, where = x[o, 0, i], 0
                for j in range(shape[1]):
                    new = x[o, j, i]
                    if new != new or (best == best and (new >= best if op == "cummax" else new <= best)):
                        best, where = new, j
                    assert at[o, j, i] == where
                    assert got[o, j, i] == best or (best != best and got[o, j, i] != got[o, j, i])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logcumsumexp(dtype: str) -> None:
    x = _data(dtype, (3, 20, 17)) * 30
    x[0, 0, :5] = -np.inf
    x[0, 1, 1] = -np.inf
    x[1, 3, 2], x[1, 4, 3] = np.inf, np.nan
    with np.errstate(invalid="ignore"):
        want = np.logaddexp.accumulate(x.astype(np.float64), axis=1)
    np.testing.assert_allclose(_scan("logcumsumexp", x, dtype)[0], want, rtol=3e-6 if dtype == "float32" else 1e-14, atol=1e-6)


def test_backwards() -> None:
    for shape in SHAPES:
        x = _data("float64", shape)
        np.testing.assert_array_equal(_scan("cumsum", x, "float64", reverse=True)[0], np.cumsum(x[:, ::-1], axis=1)[:, ::-1])


def test_every_split_gives_the_same_bits() -> None:
    x = _data("float32", (3, 11, 37))
    whole = _scan("cumsum", x, "float32")[0]
    for pieces in (2, 7, 60, 111):
        np.testing.assert_array_equal(_scan("cumsum", x, "float32", pieces)[0], whole)


def test_strided_operands() -> None:
    base = _data("float32", (12, 40))
    x = base[::3, ::2].T  # (20, 4), strides 2 and 120, scanned along the last axis
    result = np.zeros((20, 4), np.float32)
    run(plan_scan("cumsum", "float32", (20, 4, 1), x_strides=(2, 120, 0)), base, result)
    np.testing.assert_array_equal(result, np.cumsum(x.astype(np.float64), axis=1).astype(np.float32))


def test_nothing_to_do_and_what_cannot_be_done() -> None:
    assert plan_scan("cumsum", "float32", (0, 4, 1)) == plan_scan("cumsum", "float32", (4, 0, 1)) == []
    with pytest.raises(ValueError, match="unknown scan 'cumavg'"):
        plan_scan("cumavg", "float32", (1, 4, 1))
    with pytest.raises(ValueError, match="cummax keeps its dtype"):
        plan_scan("cummax", "float32", (1, 4, 1), "float64")
