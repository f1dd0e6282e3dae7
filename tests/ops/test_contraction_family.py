"""Products against NumPy's own: einsum of many shapes, linear of any rank, a zero beta, and the wording of mismatched shapes."""

from __future__ import annotations

import numpy as np
import pytest

from monograph.core.dtype import float32
from monograph.core.errors import ShapeError
from monograph.ops.contraction import AddmmAttrs, addmm, linear, matmul
from monograph.ops.einsum import EinsumAttrs, einsum, parse
from monograph.ops.source import placeholder
from monograph.targets.reference import apply

DRAW = np.random.default_rng(1)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)]),
        ("...ij,...jk->...ik", [(2, 1, 3, 4), (5, 4, 2)]),
        ("ii->i", [(4, 4)]),
        ("ii", [(4, 4)]),
        ("iij,jk->ki", [(3, 3, 2), (2, 5)]),
        ("ba", [(2, 3)]),
        ("ij,jk,kl,lm->im", [(2, 3), (3, 4), (4, 2), (2, 5)]),
        ("abc,cd,bd->a", [(2, 3, 4), (4, 5), (3, 5)]),
        ("i,j,k->kji", [(2,), (3,), (4,)]),
        ("ijk->", [(2, 3, 4)]),
    ],
)
def test_einsum_is_numpys(equation: str, shapes: list[tuple[int, ...]]) -> None:
    arrays = [DRAW.standard_normal(s) for s in shapes]
    np.testing.assert_allclose(apply(einsum, EinsumAttrs(equation), *arrays), np.einsum(equation, *arrays), rtol=1e-12, atol=1e-12)


def test_an_ellipsis_missing_in_the_output_is_summed() -> None:
    x = DRAW.standard_normal((2, 3, 4))
    np.testing.assert_allclose(apply(einsum, EinsumAttrs("...a->a"), x), x.sum((0, 1)))


def test_equations_are_parsed_once() -> None:
    before = parse.cache_info().hits
    assert parse("i j, j k -> i k", (2, 2)) == ((("i", "j"), ("j", "k")), ("i", "k"))
    parse("i j, j k -> i k", (2, 2))
    assert parse.cache_info().hits > before


@pytest.mark.parametrize("lead", [(), (5,), (2, 3), (2, 0, 3)])
def test_linear_of_any_rank(lead: tuple[int, ...]) -> None:
    x, w, b = DRAW.standard_normal((*lead, 4)), DRAW.standard_normal((6, 4)), DRAW.standard_normal(6)
    np.testing.assert_allclose(apply(linear, linear.make_attrs(), x, w, b), x @ w.T + b)


def test_a_beta_of_zero_leaves_nan_out() -> None:
    result = apply(addmm, AddmmAttrs(0, 2), np.full((2, 2), np.nan), np.eye(2), np.ones((2, 2)))
    np.testing.assert_array_equal(result, np.full((2, 2), 2.0))


def test_integer_products_wrap_and_stay_integers() -> None:
    x = np.full((1, 2), 2**62)
    assert apply(matmul, matmul.make_attrs(), x, np.full((2, 1), 2)).dtype == np.int64


def test_a_mismatch_says_both_shapes_and_the_likely_fix() -> None:
    a, b = placeholder((2, 3), float32), placeholder((4, 3), float32)
    with pytest.raises(ShapeError, match=r"cannot be multiplied \(2x3 and 4x3\)\n(.*\n)*  fix: did you mean a @ b.mT\?"):
        matmul(a, b)
