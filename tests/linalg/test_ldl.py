"""linalg.ldl_factor: LAPACK's pivots, and systems solved with them."""

from __future__ import annotations

import numpy as np
import pytest

import monograph as mg
from monograph import linalg


def matrices(n: int, kind: str, hermitian: bool) -> np.ndarray:
    draw = np.random.default_rng(n)
    a = draw.standard_normal((4, n, n))
    if kind == "complex":
        a = a + 1j * draw.standard_normal((4, n, n))
    a = a + (a.conj() if hermitian else a).swapaxes(-1, -2)
    a[0] -= np.diag(np.diag(a[0]))  # no element of the diagonal can be a pivot: blocks of two
    return a


@pytest.mark.parametrize("hermitian", [False, True])
@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("n", [1, 2, 3, 6, 9])
def test_solves(n: int, kind: str, hermitian: bool) -> None:
    if n == 1 and hermitian:
        pytest.skip("the first one is zero")
    a = matrices(n, kind, hermitian)[0 if n > 1 else 1 :]
    b = np.random.default_rng(9).standard_normal((n, 2)).astype(a.dtype)
    factors, pivots, info = linalg.ldl_factor_ex(mg.from_numpy(a), hermitian=hermitian)
    if n % 2:  # a symmetric matrix of odd order without a diagonal need not be singular
        a = a[info.numpy() == 0]
        factors, pivots = linalg.ldl_factor(mg.from_numpy(a), hermitian=hermitian)
    x = linalg.ldl_solve(factors, pivots, mg.from_numpy(b), hermitian=hermitian)
    np.testing.assert_allclose(a @ x.numpy(), np.broadcast_to(b, x.shape), atol=1e-9)
    assert pivots.dtype is mg.int32


def test_only_the_lower_triangle_is_read() -> None:
    a = mg.tensor([[4.0, 99.0], [1.0, 3.0]])
    assert [p.tolist() for p in linalg.ldl_factor(a)] == [p.tolist() for p in linalg.ldl_factor(a.tril())]


def test_zero_block() -> None:
    assert linalg.ldl_factor_ex(mg.zeros(2, 2)).info.item() == 1
    with pytest.raises(linalg.LinAlgError, match=r"D\[1,1\] is zero"):
        linalg.ldl_factor(mg.zeros(2, 2))


def test_gradient_of_the_right_side() -> None:
    a = mg.tensor([[2.0, 1.0], [1.0, -3.0]], dtype=mg.float64)
    b = mg.tensor([[1.0], [2.0]], dtype=mg.float64, requires_grad=True)
    linalg.ldl_solve(*linalg.ldl_factor(a), b).sum().backward()
    np.testing.assert_allclose(b.grad.numpy(), np.linalg.solve(a.numpy(), np.ones((2, 1))))


def test_complex_pinv_of_the_lower_triangle() -> None:
    a = matrices(3, "complex", False)[1]
    lower = np.tril(a, -1)
    meant = lower + lower.conj().T + np.diag(np.diag(a).real)
    np.testing.assert_allclose(linalg.pinv(mg.from_numpy(a), hermitian=True).numpy(), np.linalg.pinv(meant), atol=1e-9)
