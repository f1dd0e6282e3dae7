"""Pooling kernels against plain loops: strides, padding, dilation, ceil mode, divisors, NaN, dtypes, split ranges."""

from __future__ import annotations

import numpy as np
import pytest

from monograph.targets.llvm.kernels.call import BufferRef
from monograph.targets.llvm.kernels.pool import plan_avg_pool, plan_avg_pool_backward, plan_max_pool, plan_max_pool_backward
from monograph.targets.llvm.kernels.pool_shape import PoolShape
from tests.targets.kernel_runner import run

PLANES = 3
# input size, kernel, stride, padding, dilation, ceil mode
CASES = [
    ((9, 11), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((28, 28), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((7, 30), (3, 3), (1, 1), (1, 1), (1, 1), False),
    ((20, 33), (3, 2), (2, 3), (1, 0), (2, 1), False),
    ((13, 13), (3, 3), (2, 2), (1, 1), (1, 1), True),
    ((1, 50), (1, 5), (1, 2), (0, 2), (1, 1), False),
    ((5, 5), (5, 5), (1, 1), (0, 0), (1, 1), False),
    ((6, 6), (2, 2), (3, 3), (0, 0), (1, 1), True),
    ((10, 21), (3, 4), (4, 4), (1, 2), (1, 1), True),
]


def taps(s: PoolShape, oy: int, ox: int) -> tuple[list[int], list[int], int]:
    """(rows, columns inside the input, size of the window with its padding)."""
    rows = [oy * s.stride[0] - s.padding[0] + k * s.dilation[0] for k in range(s.kernel[0])]
    columns = [ox * s.stride[1] - s.padding[1] + k * s.dilation[1] for k in range(s.kernel[1])]
    height = min(rows[0] + s.kernel[0], s.size[0] + s.padding[0]) - rows[0]
    width = min(columns[0] + s.kernel[1], s.size[1] + s.padding[1]) - columns[0]
    return [y for y in rows if 0 <= y < s.size[0]], [x for x in columns if 0 <= x < s.size[1]], height * width


def plane_data(s: PoolShape, dtype: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    shape = (PLANES, *s.size)
    return rng.integers(-9, 9, shape).astype(dtype) if dtype.startswith("int") else rng.standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32", "int64"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_max_pool(case: tuple, dtype: str) -> None:
    s = PoolShape.of(PLANES, *case)
    x = plane_data(s, dtype)
    if not dtype.startswith("int"):
        x[1].flat[[3, 8]], x[0, 0, :2] = np.nan, -np.inf
    y, where = np.zeros((PLANES, *s.out), dtype), np.zeros((PLANES, *s.out), np.int64)
    run(plan_max_pool(dtype, s, BufferRef(0), BufferRef(1), BufferRef(2)), x, y, where, pieces=2)
    for p, oy, ox in np.ndindex(y.shape):
        rows, columns, _ = taps(s, oy, ox)
        positions = [r * s.size[1] + c for r in rows for c in columns]
        best = positions[0]
        for at in positions:
            if x[p].flat[at] > x[p].flat[best] or np.isnan(x[p].flat[at]):
                best = at
        assert where[p, oy, ox] == best
        np.testing.assert_equal(y[p, oy, ox], x[p].flat[best])
    alone = np.zeros_like(y)
    run(plan_max_pool(dtype, s, BufferRef(0), BufferRef(1), 0, with_indices=False), x, alone)
    np.testing.assert_array_equal(alone, y)

    dy, dx = np.ones_like(y), np.full_like(x, 7)
    run(plan_max_pool_backward(dtype, s, BufferRef(0), BufferRef(1), BufferRef(2)), dy, where, dx, pieces=3)
    want = np.zeros((PLANES, s.size[0] * s.size[1]), dtype)
    for p in range(PLANES):
        np.add.at(want[p], where[p].ravel(), dy[p].ravel())
    np.testing.assert_array_equal(dx.reshape(PLANES, -1), want)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("include, divisor", [(True, 0), (False, 0), (True, 7)])
@pytest.mark.parametrize("case", [c for c in CASES if c[4] == (1, 1)], ids=str)
def test_avg_pool(case: tuple, include: bool, divisor: int, dtype: str) -> None:
    s = PoolShape.of(PLANES, *case)
    x, tolerance = plane_data(s, dtype), {"float32": 1e-5, "float64": 1e-13, "float16": 3e-3}[dtype]
    y = np.zeros((PLANES, *s.out), dtype)
    run(plan_avg_pool(dtype, s, BufferRef(0), BufferRef(1), include, divisor), x, y, pieces=2)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
    dx, dwant = np.full_like(x, 7), np.zeros(x.shape)
    run(plan_avg_pool_backward(dtype, s, BufferRef(0), BufferRef(1), include, divisor), dy, dx)
    for oy, ox in np.ndindex(*s.out):
        rows, columns, padded = taps(s, oy, ox)
        size = divisor or (padded if include else len(rows) * len(columns))
        picked = np.ix_(range(PLANES), rows, columns)
        np.testing.assert_allclose(y[:, oy, ox], x[picked].astype(np.float64).sum((1, 2)) / size, rtol=tolerance, atol=tolerance)
        dwant[picked] += (dy[:, oy, ox].astype(np.float64) / size)[:, None, None]
    np.testing.assert_allclose(dx, dwant, rtol=tolerance, atol=tolerance)


def test_no_planes() -> None:
    s = PoolShape.of(0, (4, 4), (2, 2), (2, 2))
    assert plan_max_pool("float32", s, BufferRef(0), BufferRef(1), BufferRef(2)) == []
    assert plan_avg_pool_backward("float32", s, BufferRef(0), BufferRef(1)) == []
