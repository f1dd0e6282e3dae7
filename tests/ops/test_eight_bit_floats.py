"""The dtypes that numbers are only stored in: conversion as torch does it on a CPU, movement, comparison, no promotion."""

from __future__ import annotations

import math

import pytest

import monograph as mg

NAMES = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu")


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("float8_e4m3fn", [448, -448, 448, math.nan, 448, 0.3125]),
        ("float8_e5m2", [math.inf, -math.inf, math.inf, math.nan, 448, 0.3125]),
        ("float8_e8m0fnu", [2.0**20, 2.0**20, math.nan, math.nan, 512, 0.25]),
    ],
)
def test_conversion(name: str, stored: list[float]) -> None:
    x = mg.tensor([1e6, -1e6, math.inf, math.nan, 470, 0.3])
    assert x.to(getattr(mg, name)).float().tolist() == pytest.approx(stored, nan_ok=True)
    assert x.double().to(getattr(mg, name)).double().tolist() == pytest.approx(stored, nan_ok=True)


@pytest.mark.parametrize("name", NAMES)
def test_movement(name: str) -> None:
    x = mg.tensor([[1.0, 2.0, 4.0], [0.5, 0.25, 8.0]]).to(getattr(mg, name))
    assert (x.dtype.name, x.element_size(), x.is_floating_point()) == (name, 1, True)
    assert x.t().contiguous().float().tolist() == [[1, 0.5], [2, 0.25], [4, 8]]
    assert mg.cat([x, x], 1)[:, 2:4].float().tolist() == [[4, 1], [8, 0.5]]
    assert (x == x).all()
    x[0] = 16.0
    assert x.clone().float().tolist() == [[16, 16, 16], [0.5, 0.25, 8]]


def test_limits() -> None:
    limits = mg.finfo(mg.float8_e4m3fn)
    assert (limits.max, limits.eps, limits.tiny, limits.resolution) == (448, 0.125, 0.015625, 1)
    assert not mg.float8_e8m0fnu.is_signed


def test_nothing_is_mixed_with_them() -> None:
    with pytest.raises(RuntimeError, match=r"Float8.*float8_e5m2 and float32"):
        mg.ones(2, dtype=mg.float8_e5m2) + mg.ones(2)
    with pytest.raises(RuntimeError, match="Float8"):
        mg.promote_types(mg.float8_e4m3fn, mg.int8)
    assert mg.promote_types(mg.float8_e4m3fn, mg.float8_e4m3fn) is mg.float8_e4m3fn
