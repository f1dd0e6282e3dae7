"""Stable sort and selection, on every dtype, with ties, NaNs and strides."""

from __future__ import annotations

import numpy as np
import pytest

from monograph.targets.llvm.sorting import plan_sort, plan_topk
from tests.targets.elementwise_native import NUMPY
from tests.targets.kernel_runner import run

LENGTHS = (1, 2, 7, 40, 41, 300, 3000)


def _data(dtype: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Many ties; for floats NaN, infinities and both zeros too."""
    draw = np.random.default_rng(seed)
    if dtype == "bool":
        return draw.integers(0, 2, shape).astype(bool)
    if dtype.startswith(("int", "uint")):
        info = np.iinfo(dtype)
        x = draw.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
        return np.where(draw.random(shape) < 0.4, draw.integers(0, 5, shape).astype(dtype), x)
    x = np.where(draw.random(shape) < 0.5, draw.normal(size=shape) * 100, draw.integers(-3, 3, shape))
    special = draw.choice(np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40]), shape)
    with np.errstate(over="ignore"):
        return np.where(draw.random(shape) < 0.2, special, x).astype(NUMPY[dtype])


def _order(row: np.ndarray, descending: bool) -> np.ndarray:
    """The stable order with NaN above everything, by Python's own sort."""
    nan = row != row
    keys = [(bool(n), 0) if n else (False, v) for n, v in zip(nan, row.tolist(), strict=True)]
    return np.array(sorted(range(len(row)), key=keys.__getitem__, reverse=False) if not descending else _backwards(keys), np.int64)


def _backwards(keys: list[tuple[bool, float]]) -> list[int]:
    n = len(keys)
    return [n - 1 - i for i in sorted(range(n), key=keys[::-1].__getitem__)][::-1]


def _bits(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x).view(np.uint8)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dtype", NUMPY)
def test_sort_is_stable_on_every_dtype(dtype: str, descending: bool) -> None:
    for n in LENGTHS:
        rows = 3
        x = _data(dtype, (rows, n), n)
        values, indices = np.zeros_like(x), np.zeros((rows, n), np.int64)
        run(plan_sort(dtype, (rows, n, 1), descending), x, values, indices)
        for r in range(rows):
            want = _order(x[r], descending)
            np.testing.assert_array_equal(indices[r], want)
            np.testing.assert_array_equal(_bits(values[r]), _bits(x[r][want]))


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize("dtype", NUMPY)
def test_topk(dtype: str, largest: bool) -> None:
    for n, k in ((1, 1), (5, 2), (100, 1), (100, 99), (100, 100), (3000, 5), (3000, 64), (3000, 65), (3000, 600), (3000, 2000)):
        x = _data(dtype, (2, n), n + k)
        values, indices = np.zeros((2, k), x.dtype), np.zeros((2, k), np.int64)
        run(plan_topk(dtype, (2, n, 1), k, largest), x, values, indices)
        for r in range(2):
            want = _order(x[r], largest)[:k]
            np.testing.assert_array_equal(indices[r], want)
            np.testing.assert_array_equal(_bits(values[r]), _bits(x[r][want]))


def test_any_axis_and_any_split_of_the_rows() -> None:
    x = _data("float32", (3, 50, 4))
    want = np.sort(x, axis=1, kind="stable")
    for pieces in (1, 2, 5, 12):
        values, indices = np.zeros_like(x), np.zeros(x.shape, np.int64)
        run(plan_sort("float32", (3, 50, 4)), x, values, indices, pieces=pieces)
        np.testing.assert_array_equal(values, want)
        np.testing.assert_array_equal(np.take_along_axis(x, indices, 1), want)


def test_strided_operands() -> None:
    base = _data("int32", (60, 10))
    x = base[::2, 1:9:3].T  # (3, 30): element strides 3 and 20
    values, indices = np.zeros((30, 3), np.int32), np.zeros((30, 3), np.int64)
    run(plan_sort("int32", (3, 30, 1), x_strides=(3, 20, 0), out_strides=(1, 3, 0)), base[:, 1:], values, indices)
    np.testing.assert_array_equal(values.T, np.sort(x, axis=1))
    np.testing.assert_array_equal(indices.T, np.argsort(x, axis=1, kind="stable"))


def test_one_result_alone() -> None:
    x = _data("float64", (2, 500))
    values, indices = np.zeros_like(x), np.zeros(x.shape, np.int64)
    run(plan_sort("float64", (2, 500, 1), values=False), x, values, indices)
    assert not values.any()
    np.testing.assert_array_equal(indices, np.argsort(x, axis=1, kind="stable"))
    indices[:] = 0
    run(plan_sort("float64", (2, 500, 1), indices=False), x, values, indices)
    assert not indices.any()
    np.testing.assert_array_equal(values, np.sort(x, axis=1))


@pytest.mark.parametrize("pattern", ["ascending", "descending", "constant", "two bytes"])
def test_orders_that_are_special_to_the_methods(pattern: str) -> None:
    n = 5000
    made = {
        "ascending": np.arange(n),
        "descending": -np.arange(n),
        "constant": np.full(n, 7),
        "two bytes": np.arange(n) * 7919 % 65536 << 16,
    }
    x = made[pattern].astype(np.int64)
    values, indices = np.zeros_like(x), np.zeros(n, np.int64)
    run(plan_sort("int64", (1, n, 1)), x, values, indices)
    np.testing.assert_array_equal(indices, np.argsort(x, kind="stable"))
    run(plan_topk("int64", (1, n, 1), 50), x, values, indices)
    np.testing.assert_array_equal(indices[:50], np.argsort(-x, kind="stable")[:50])


def test_nothing_to_do_and_what_cannot_be_done() -> None:
    assert plan_sort("float32", (0, 5, 1)) == plan_sort("float32", (5, 0, 1)) == plan_topk("float32", (3, 5, 1), 0) == []
    with pytest.raises(ValueError, match="k=6 of 5 elements"):
        plan_topk("float32", (1, 5, 1), 6)
    with pytest.raises(ValueError, match="cannot sort 2147483648 elements"):
        plan_sort("int8", (1, 2**31, 1))


def test_kernels_are_keyed_by_structure() -> None:
    a, b = plan_sort("float32", (2, 100, 1))[0], plan_sort("float32", (7, 9000, 3))[0]
    assert a.kernel.name == b.kernel.name and a.kernel.key == b.kernel.key
    assert plan_sort("float32", (2, 100, 1), True)[0].kernel.name != a.kernel.name
