"""assert_close: what passes, what fails, and the words of torch's messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph.testing import assert_close

t = mg.tensor
TENSORS = "Tensor-likes are not close!\n\nMismatched elements: "
FAILURES: list[tuple[Any, Any, str]] = [
    (
        t([1.0, 2, 3]), t([1.0, 2.5, 3]),
        TENSORS + "1 / 3 (33.3%)\nGreatest absolute difference: 0.5 at index (1,) (up to 1e-05 allowed)\n"
        "Greatest relative difference: 0.20000000298023224 at index (1,) (up to 1.3e-06 allowed)",
    ),
    (t([1, 2]), t([1, 4]), "Tensor-likes are not equal!\n\nMismatched elements: 1 / 2 (50.0%)\nGreatest absolute difference: 2 at index "
    "(1,)\nGreatest relative difference: 0.5 at index (1,)"),
    (t([0, 1], dtype=mg.uint8), t([0, 255], dtype=mg.uint8), "Greatest absolute difference: 254 at index (1,)"),
    (1.0, 1.5, "Scalars are not close!\n\nExpected 1.5 but got 1.0.\nAbsolute difference: 0.5 (up to 1e-07 allowed)\nRelative "
    "difference: 0.3333333333333333 (up to 1e-07 allowed)"),
    (1, 2, "Scalars are not equal!\n\nExpected 2 but got 1.\nAbsolute difference: 1\nRelative difference: 0.5"),
    (t(1.0), t(2.0), "Scalars are not close!"),
    (1.0, 1, "The (d)types do not match: <class 'float'> != <class 'int'>."),
    (True, False, "Booleans mismatch: True is not False"),
    (None, 1, "None mismatch: None is not 1"),
    (t([1.0]), t([1.0, 2.0]), "The values for attribute 'shape' do not match: monograph.Size([1]) != monograph.Size([2])."),
    (t([1.0]), t([1]), "The values for attribute 'dtype' do not match: monograph.float32 != monograph.int64."),
    ([t(1.0), t(2.0)], [t(1.0), t(3.0)], "\n\nThe failure occurred for item [1]"),
    ({"a": [t(1.0)]}, {"a": [t(2.0)]}, "\n\nThe failure occurred for item ['a'][0]"),
    ({"a": 1}, {"b": 1}, "The keys of the mappings do not match:\nMissing keys in the actual mapping: ['b']\nAdditional keys in the "
    "actual mapping: ['a']"),
    ([1, 2], [1], "The length of the sequences mismatch: 2 != 1"),
    (t([float("nan")]), t([float("nan")]), "Greatest absolute difference: nan at index (0,)"),
    (t([float("inf"), 1.0]), t([float("inf"), 2.0]), TENSORS + "1 / 2 (50.0%)"),
    (t([float("inf")]), t([-float("inf")]), TENSORS + "1 / 1 (100.0%)"),
]  # fmt: skip


@pytest.mark.parametrize(("actual", "expected", "message"), FAILURES, ids=range(len(FAILURES)))
def test_failures(actual: Any, expected: Any, message: str) -> None:
    with pytest.raises(AssertionError) as raised:
        assert_close(actual, expected)
    assert message in str(raised.value)


def test_passes() -> None:
    assert_close(t([1.0, 2.0]), t([1.0, 2.0 + 1e-6]))
    assert_close(t([float("nan"), float("inf")]), t([float("nan"), float("inf")]), equal_nan=True)
    assert_close(t([1.0]), t([1]), check_dtype=False)
    assert_close([], [])
    assert_close((1, 2.0), [1, 2.0])
    assert_close(np.ones(2), np.ones(2))
    assert_close(t([]), t([]))
    assert_close(t([1.0]), t([2.0]), rtol=0, atol=1)
    assert_close(mg.ones(2, requires_grad=True), mg.ones(2))


def test_arguments() -> None:
    with pytest.raises(ValueError, match="no atol"):
        assert_close(1.0, 1.0, rtol=0.1)
    with pytest.raises(TypeError, match="No comparison pair"):
        assert_close(t([1.0]), 1.0)
    with pytest.raises(TypeError, match="No comparison pair"):
        assert_close("a", "a")
    with pytest.raises(AssertionError, match=r"^mine$"):
        assert_close(1, 2, msg="mine")
    with pytest.raises(AssertionError, match=r"^seen: Scalars"):
        assert_close(1, 2, msg=lambda text: "seen: " + text)
