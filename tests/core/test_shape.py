"""Shape arithmetic, with numbers and with symbols."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monograph.core import symbol
from monograph.core.errors import DimensionError, ShapeError
from monograph.core.shape import broadcast, infer_reshape, normalize_dims, reduced_shape, same

sizes = st.lists(st.sampled_from([0, 1, 2, 3]), max_size=4).map(tuple)


@given(sizes, sizes)
def test_broadcast_is_numpys(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    try:
        expected = np.broadcast_shapes(a, b)
    except ValueError:
        with pytest.raises(ShapeError, match="must match the size"):
            broadcast(a, b)
    else:
        assert broadcast(a, b) == expected


def test_broadcast_names_both_shapes_and_the_dimension() -> None:
    with pytest.raises(
        ShapeError, match=r"tensor a \(3\) must match the size of tensor b \(4\) at non-singleton dimension 1\n  a \[2, >3<\]\n  b \[>4<\]"
    ):
        broadcast((2, 3), (4,))


def test_dims() -> None:
    assert normalize_dims(None, 3) == normalize_dims((), 3) == (0, 1, 2)
    assert normalize_dims([-1, 0], 3) == (0, 2)
    assert normalize_dims(-1, 0) == ()
    with pytest.raises(IndexError, match=r"range of \[-2, 1\], but got 2"):
        normalize_dims(2, 2)
    with pytest.raises(DimensionError):
        normalize_dims(-3, 2)
    with pytest.raises(ShapeError, match="dim 1 appears multiple times"):
        normalize_dims((1, -1), 2)
    assert reduced_shape((2, 3, 4), (1,), True) == (2, 1, 4)


def test_symbols_are_asked_only_where_the_answer_counts() -> None:
    scope = symbol.Scope()
    b = scope.symbol("batch", 5)
    assert broadcast((b, 5), (5,)) == (b, 5)
    assert broadcast((5,), (b, 5)) == (b, 5)
    assert broadcast((b, 1), (1, 7)) == (b, 7)
    assert broadcast((b, 4), (b, 4)) == (b, 4)
    assert not same((b, 5), (5,))
    assert infer_reshape((b, 4, 3), (b, -1)) == (b, 12)
    assert infer_reshape((b, 4, 3), (-1, 12)) == (b, 12)
    assert b >= 1
    assert b > 0
    assert not b - 1 < 0
    assert -b <= -1
    assert not scope.constraints
    scope = symbol.Scope()
    broadcast((scope.symbol("n", 4), 2), (4, 2))
    assert list(scope.constraints) == [("n", "==", "4")]


def test_a_symbol_that_meets_another_size() -> None:
    scope = symbol.Scope()
    n = scope.symbol("n", 4)
    with pytest.raises(ShapeError, match="must match the size of tensor b"):
        broadcast((n,), (3,))
    assert n > 3
    assert list(scope.constraints) == [("n", "!=", "3"), ("n", ">", "3")]
