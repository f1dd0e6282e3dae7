"""Complex tensors have no loop kernels yet: what moves them are host steps, which must walk views as views."""

from __future__ import annotations

import numpy as np
import pytest

import monograph as mg


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_views_of_complex_values(dtype: type) -> None:
    a = np.arange(6).reshape(2, 3).astype(dtype) * (1 + 2j)
    t = mg.tensor(a)
    np.testing.assert_array_equal(t[0].repeat(2).reshape(3, 2).numpy(), np.tile(a[0], 2).reshape(3, 2))
    np.testing.assert_array_equal(t.t().contiguous().numpy(), a.T)
    np.testing.assert_array_equal(t.flip(1).reshape(-1).numpy(), a[:, ::-1].reshape(-1))
    np.testing.assert_array_equal((t.t() + t.t()).numpy(), a.T + a.T)
    np.testing.assert_array_equal((t + mg.zeros(2, 3, dtype=t.dtype)).numpy(), a)
