"""Array, the class of the namespace's results: a Tensor with the standard's operators, and at home among tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph import array_api as xp
from monograph import nn


def test_the_namespace_is_found_from_any_tensor() -> None:
    t: Any = mg.ones(3)
    assert t.__array_namespace__() is xp
    assert xp.asarray(t).__array_namespace__(api_version="2022.12") is xp
    with pytest.raises(ValueError, match=r"unknown version '1\.0' of the array API standard; supported are 2021\.12"):
        t.__array_namespace__(api_version="1.0")


def test_results_are_arrays_and_tensors() -> None:
    t = mg.arange(3.0)
    for made in (xp.exp(t), xp.asarray([1, 2]), xp.stack([t, t]), xp.unstack(xp.ones((2, 2)))[0], xp.ones(3)[1:], xp.ones((2, 3)).T):
        assert type(made) is xp.Array and isinstance(made, mg.Tensor)
    assert type(t) is mg.Tensor, "the argument keeps its class"


def test_an_argument_handed_back_shares_its_memory() -> None:
    t = mg.zeros(3)
    a = xp.asarray(t)
    assert type(t) is mg.Tensor and type(a) is xp.Array
    a[0] = 5
    assert t.tolist() == [5, 0, 0]
    b = xp.asarray(t, copy=True)
    b[1] = 7
    assert t.tolist() == [5, 0, 0]
    assert xp.asarray(a) is a


def test_size_is_a_number_that_may_be_called() -> None:
    x = xp.zeros((2, 3))
    assert x.size == 6 and x.size * 2 == 12 and isinstance(x.size, int)
    assert x.size() == mg.Size([2, 3]) and x.size(-1) == 3


def test_arrays_of_rank_0_promote_like_any_other() -> None:
    wide, narrow = xp.asarray(1, dtype=xp.int64), xp.ones(2, dtype=xp.int8)
    assert (wide + narrow).dtype is xp.int64
    assert (mg.tensor(1) + mg.ones(2, dtype=mg.int8)).dtype is mg.int8, "torch's rule, which plain tensors keep"
    assert (narrow + 1).dtype is xp.int8 and (1 + narrow).dtype is xp.int8
    assert (mg.ones(2, dtype=mg.int8) + wide).dtype is xp.int64, "the array decides when both meet"


def test_division_at_infinity_is_the_standards() -> None:
    x = xp.asarray([math.inf, -math.inf, -1.0, 1.0, math.inf])
    y = xp.asarray([2.0, 2.0, math.inf, -math.inf, math.inf])
    assert str((x // y).tolist()) == "[inf, -inf, -0.0, -0.0, nan]"
    assert str((mg.Tensor.__floordiv__(mg.tensor(x.tolist()), mg.tensor(y.tolist()))).tolist()) == "[nan, nan, -1.0, -1.0, nan]"
    assert str((xp.asarray([-0.0, 0.0]) % xp.asarray([1.0, -1.0])).tolist()) == "[0.0, -0.0]"


def test_operators_in_place_keep_the_dtype() -> None:
    x = xp.asarray([1, 2, 3], dtype=xp.int16)
    y = x
    x += 1
    x *= xp.asarray(2, dtype=xp.int8)
    x <<= 1
    assert x is y and x.tolist() == [8, 12, 16] and x.dtype is xp.int16
    with pytest.raises(TypeError, match=r"__iadd__: the result has dtype monograph\.int64, which monograph\.int16 cannot hold"):
        x += xp.asarray([1, 1, 1], dtype=xp.int64)
    with pytest.raises(TypeError, match="unsupported operand"):
        x += "1"


def test_slices_may_step_backwards() -> None:
    x = xp.asarray(np.arange(24).reshape(2, 3, 4))
    n = np.arange(24).reshape(2, 3, 4)
    for key in ((slice(None, None, -1),), (..., slice(3, None, -2)), (0, slice(None, None, -1), None, 2), (slice(0, 0, -1),)):
        assert x[key].tolist() == n[key].tolist()
    x[:, ::-1] = xp.asarray(n)
    assert x.tolist() == n[:, ::-1].tolist()
    x[0, 0, ::-2] = xp.asarray([100, 200])
    assert x[0, 0].tolist() == [8, 200, 10, 100]
    x[0, 0, ::-1] = 1
    assert x[0, 0].tolist() == [1, 1, 1, 1]
    with pytest.raises(IndexError, match="index in two steps"):
        x[::-1, xp.asarray([0, 1])]


def test_a_mask_with_an_empty_side_selects_nothing() -> None:
    x = xp.ones((2, 3))
    for shape in ((0,), (2, 0), (0, 3), (0, 0)):
        mask = xp.zeros(shape, dtype=xp.bool)
        assert x[mask].shape == np.ones((2, 3))[np.zeros(shape, bool)].shape
        x[mask] = 5
    assert x.tolist() == [[1, 1, 1], [1, 1, 1]]
    with pytest.raises(IndexError, match="does not match the shape of the indexed tensor"):
        x[xp.zeros((0, 2), dtype=xp.bool)]


def test_gradients_flow_through_the_namespace() -> None:
    t = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x = xp.asarray(t)
    loss = xp.sum(xp.pow(x, 2) // xp.asarray(1e-9) * 0 + xp.std(x) + x[::-1] * xp.asarray([1.0, 2.0, 3.0]))
    loss.backward()  # type: ignore[attr-defined]
    assert t.grad is not None
    np.testing.assert_allclose(t.grad.numpy(), [3 - 3 / math.sqrt(6), 2, 1 + 3 / math.sqrt(6)], rtol=1e-6)


def test_arrays_go_into_modules_and_functions() -> None:
    layer = nn.Linear(3, 2)
    out = layer(xp.ones((4, 3)))
    assert type(out) is mg.Tensor and tuple(out.shape) == (4, 2)
    assert nn.functional.softmax(xp.asarray([0.0, 0.0]), -1).tolist() == [0.5, 0.5]
    assert repr(xp.asarray([1, 2])) == "tensor([1, 2])"


def test_what_cannot_be_shared_is_said() -> None:
    with pytest.raises(ValueError, match="copy=False forbids it"):
        xp.asarray(mg.ones(2), dtype=xp.float64, copy=False)
    with pytest.raises(ValueError, match="list cannot become an array of its values without a copy"):
        xp.asarray([1, 2], copy=False)
    with pytest.raises(ValueError, match="needs a copy to become"):
        xp.reshape(xp.permute_dims(xp.ones((2, 3)), (1, 0)), (6,), copy=False)
    with pytest.raises(ValueError, match="axis 0 of an array of shape"):
        xp.squeeze(xp.ones((2, 3)), axis=0)
    with pytest.raises(ValueError, match="0-d array has no indices"):
        xp.nonzero(xp.asarray(1))
    with pytest.raises(TypeError, match="imaginary part"):
        xp.astype(xp.asarray([1j]), xp.float32)
    with pytest.raises(TypeError, match="at least one array"):
        xp.add(1, 2)
    with pytest.raises(OverflowError, match="300 is out of bounds"):
        xp.add(xp.asarray([1], dtype=xp.uint8), 300)


def test_numpy_memory_is_shared_where_it_can_be() -> None:
    n = np.zeros(3, np.float32)
    x = xp.asarray(n)
    x[0] = 1
    assert n.tolist() == [1, 0, 0]
    assert xp.asarray(n[::-1]).tolist() == [0, 0, 1]
    assert xp.asarray(memoryview(b"ab")).tolist() == [97, 98]
