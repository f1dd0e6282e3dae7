"""The references that NumPy lacks, against SciPy and against facts."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

from monograph import ops
from monograph.core.attrs import NO_ATTRS
from monograph.core.dtype import bfloat16
from monograph.ops import reference_math as rm
from monograph.targets.reference import apply

LINE = np.concatenate([np.linspace(-6, 6, 241), [0.0, -0.0, 1e-300, 30.0, -30.0, np.inf, -np.inf]])


@pytest.mark.parametrize("name", ["erf", "erfc"])
def test_error_functions(name: str) -> None:
    np.testing.assert_allclose(getattr(rm, name)(LINE), getattr(scipy.special, name)(LINE), rtol=1e-13, atol=0)


def test_inverse_error_function_up_to_the_edges() -> None:
    near_one = 1 - np.logspace(-15, -1, 40)
    x = np.concatenate([np.linspace(-0.99, 0.99, 199), near_one, -near_one, np.logspace(-12, -1, 20), [0.0]])
    np.testing.assert_allclose(rm.erfinv(x), scipy.special.erfinv(x), rtol=2e-13, atol=0)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(rm.erfinv(np.array([1.0, -1.0, 1.5, np.nan])), [np.inf, -np.inf, np.nan, np.nan])


def test_half_precision_is_rounded_once() -> None:
    x = np.array([1.0, 3.0], bfloat16.np)
    third = apply(ops.div, NO_ATTRS, x, np.array([3.0, 7.0], bfloat16.np))
    np.testing.assert_array_equal(
        third.astype(np.float32), (np.array([1, 3], np.float32) / np.array([3, 7], np.float32)).astype(bfloat16.np)
    )
    many = np.full(4096, 0.1, np.float16)
    total = apply(ops.sum, ops.sum.attrs((0,)), many)
    assert abs(float(total) - 4096 * float(np.float16(0.1))) < 0.5, "sums of float16 accumulate in float32"


@pytest.mark.parametrize(
    ("name", "x", "y", "expected"),
    [
        ("remainder", [-4.0, 4.0, 5.5, -1.0], [2.0, -2.0, -2.0, np.inf], [-0.0, 0.0, -0.5, np.inf]),
        ("fmod", [-4.0, 5.5, -5.5], [2.0, -2.0, 2.0], [-0.0, 1.5, -1.5]),
        ("floor_divide", [-7.0, 7.0, 1.0, 6.0], [2.0, -2.0, 0.0, 0.1], [-4.0, -4.0, np.inf, 59.0]),
        ("pow", [0.0, 2.0, -8.0], [0.0, -1.0, 3.0], [1.0, 0.5, -512.0]),
        ("fmax", [np.nan, 1.0, np.nan], [2.0, np.nan, np.nan], [2.0, 1.0, np.nan]),
        ("maximum", [np.nan, 1.0, 3.0], [2.0, np.nan, 2.0], [np.nan, np.nan, 3.0]),
    ],
)
def test_corner_cases_of_floats_are_torchs(name: str, x: list[float], y: list[float], expected: list[float]) -> None:
    result = apply(getattr(ops, name), NO_ATTRS, np.array(x), np.array(y))
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(np.signbit(result), np.signbit(expected))


@pytest.mark.parametrize(
    ("name", "x", "y", "expected"),
    [
        ("floor_divide", [-7, 7, -7, 5], [2, -2, -2, 0], [-4, -4, 3, 0]),
        ("remainder", [-7, 7, -7, 5], [2, -2, -2, 0], [1, -1, -1, 0]),
        ("fmod", [-7, 7, -7, 5], [2, -2, -2, 0], [-1, 1, -1, 0]),
        ("pow", [-1, -1, 1, 2, 0, 3], [-3, -2, -5, -1, -1, 4], [-1, 1, 1, 0, 0, 81]),
    ],
)
def test_corner_cases_of_integers(name: str, x: list[int], y: list[int], expected: list[int]) -> None:
    np.testing.assert_array_equal(apply(getattr(ops, name), NO_ATTRS, np.array(x), np.array(y)), expected)


def test_sign_of_nan_is_zero_and_relu_of_nan_is_nan() -> None:
    nan = np.array([np.nan, -np.inf])
    np.testing.assert_array_equal(apply(ops.sign, NO_ATTRS, nan), [0, -1])
    np.testing.assert_array_equal(apply(ops.relu, NO_ATTRS, nan), [np.nan, 0])
