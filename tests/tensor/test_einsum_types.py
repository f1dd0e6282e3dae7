"""einsum of operands of several types: multiplied they promote, summed over together they must agree, as in PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import monograph as mg

I32, I64, F16, F32, F64, BOOL = mg.int32, mg.int64, mg.float16, mg.float32, mg.float64, mg.bool


@pytest.mark.parametrize(
    ("equation", "operands", "expected"),
    [
        ("i,j->ij", (((3,), I64), ((4,), F32)), F32),  # the angles of rotary embeddings
        ("i,i->i", (((3,), I64), ((3,), F32)), F32),
        ("i,j->ij", (((3,), F32), ((3,), F64)), F64),
        ("i,j->ij", (((3,), F16), ((3,), F32)), F32),
        ("i,j->ij", (((3,), BOOL), ((3,), F32)), F32),
        ("i,j->ij", (((3,), I32), ((3,), I64)), I64),
        ("i,j", (((3,), I64), ((4,), F32)), F32),
        ("i,j->", (((3,), I64), ((4,), F32)), F32),
        ("i,j->i", (((3,), I64), ((4,), F32)), F32),
        ("ij,jk->ikj", (((2, 3), I64), ((3, 2), F32)), F32),
        ("ij,jk->ik", (((2, 1), I64), ((3, 2), F32)), F32),  # nothing to sum over: one of the sizes is 1
        ("i,j,k->ijk", (((2,), I64), ((3,), F32), ((4,), F64)), F64),
        ("i,jk,kl->ijl", (((2,), I64), ((3, 4), F32), ((4, 2), F32)), F32),
        ("...i,j->...ij", (((2, 3), I64), ((4,), F32)), F32),
    ],
)
def test_products_promote(equation: str, operands: tuple[tuple[tuple[int, ...], mg.dtype], ...], expected: mg.dtype) -> None:
    given = [mg.arange(int(np.prod(shape))).reshape(shape).to(dtype) for shape, dtype in operands]
    result = mg.einsum(equation, *given)
    assert result.dtype == expected
    np.testing.assert_allclose(result, np.einsum(equation, *(np.asarray(x.double()) for x in given)), rtol=1e-3)


@pytest.mark.parametrize("equation", ["i,i->", "i,i", "ij,jk->ik", "ij,j,j->i"])
def test_sums_of_products_want_one_type(equation: str) -> None:
    terms = equation.partition("->")[0].split(",")
    given = [mg.ones((2,) * len(term), dtype=F32 if k == len(terms) - 1 else I64) for k, term in enumerate(terms)]
    with pytest.raises(RuntimeError, match="same dtype"):
        mg.einsum(equation, *given)


def test_gradients_come_in_each_operands_type() -> None:
    x = mg.ones(3, requires_grad=True)
    y = mg.ones(2, dtype=F64, requires_grad=True)
    mg.einsum("i,j,k->ijk", x, y, mg.arange(2)).sum().backward()
    assert x.grad is not None and y.grad is not None
    assert (x.grad.dtype, y.grad.dtype) == (F32, F64)
    np.testing.assert_array_equal(x.grad, [2, 2, 2])
    np.testing.assert_array_equal(y.grad, [3, 3])
