"""Window functions: the two sets of names, values that are known, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph.signal import windows


def test_symmetric_windows_are_numpys() -> None:
    for n in (2, 5, 8):
        for ours, theirs in (("hann", np.hanning), ("hamming", np.hamming), ("blackman", np.blackman), ("bartlett", np.bartlett)):
            np.testing.assert_allclose(getattr(windows, ours)(n, dtype=mg.float64).numpy(), theirs(n), atol=1e-12)
        np.testing.assert_allclose(windows.kaiser(n, beta=7.0, dtype=mg.float64).numpy(), np.kaiser(n, 7.0), atol=1e-12)


def test_periodic_windows_are_longer_ones_without_their_end() -> None:
    for name in ("hann", "hamming", "blackman", "bartlett", "kaiser"):
        top = getattr(mg, f"{name}_window")
        for n in (2, 7):
            whole = getattr(windows, name)(n + 1, dtype=mg.float64)
            assert mg.allclose(top(n, dtype=mg.float64), whole[:n]), name
            assert mg.allclose(getattr(windows, name)(n, sym=False, dtype=mg.float64), whole[:n]), name
            assert mg.allclose(top(n, periodic=False), getattr(windows, name)(n))


@pytest.mark.parametrize("name", windows.__all__)
def test_short_windows(name: str) -> None:
    more = {"a": [0.5, 0.5]} if name == "general_cosine" else {}
    make = getattr(windows, name)
    assert make(0, **more).shape == (0,)
    assert make(1, **more).tolist() == [1.0]
    assert make(4, **more).dtype is mg.float32 and make(4, requires_grad=True, **more).requires_grad
    with pytest.raises(ValueError, match="M=-1"):
        make(-1, **more)
    with pytest.raises(ValueError, match="float32 or float64"):
        make(4, dtype=mg.int32, **more)
    with pytest.raises(TypeError, match="must be an int"):
        make(4.5, **more)


def test_bells() -> None:
    at = np.arange(6)
    np.testing.assert_allclose(windows.gaussian(6, std=1.5).numpy(), np.exp(-(((at - 2.5) / 1.5) ** 2) / 2), rtol=1e-6)
    np.testing.assert_allclose(windows.exponential(6, tau=2.0).numpy(), np.exp(-abs(at - 2.5) / 2), rtol=1e-6)
    np.testing.assert_allclose(windows.exponential(6, center=1.0, sym=False).numpy(), np.exp(-abs(at - 1.0)), rtol=1e-6)
    np.testing.assert_allclose(windows.cosine(6).numpy(), np.sin(np.pi * (at + 0.5) / 6), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: windows.gaussian(4, std=-1), ValueError, "must be positive"),
        (lambda: windows.exponential(4, center=1), ValueError, "symmetric"),
        (lambda: windows.exponential(4, tau=0), ValueError, "Tau must be positive"),
        (lambda: windows.kaiser(4, beta=-1), ValueError, "non-negative"),
        (lambda: windows.general_cosine(4, a=[]), ValueError, "cannot be empty"),
        (lambda: windows.general_cosine(4, a=1), TypeError, "list/tuple"),
        (lambda: mg.hann_window(-1), RuntimeError, "non-negative window_length"),
        (lambda: mg.hann_window(4, dtype=mg.int32), RuntimeError, "floating point dtypes"),
        (lambda: mg.hann_window(4.5), TypeError, "must be int, not float"),
    ],
)
def test_errors(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()


def test_half_precision_at_the_top_level() -> None:
    assert mg.hann_window(4, dtype=mg.float16).dtype is mg.float16
    assert mg.hamming_window(5, True, 0.5, 0.5).tolist() == mg.hann_window(5).tolist()
