"""Overwriting a tensor that has history: it stays on the tape, and no gradient flows to what was overwritten, as in torch."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import monograph as mg
from monograph import Tensor

WRITES: dict[str, Callable[[Tensor], object]] = {
    "fill_": lambda y: y.fill_(float("inf")),
    "zero_": lambda y: y.zero_(),
    "copy_": lambda y: y.copy_(mg.ones(2, 3)),
    "y[...]": lambda y: y.__setitem__(..., 1),
    "y[None]": lambda y: y.__setitem__(None, 0),
    "y[:]": lambda y: y.__setitem__(slice(None), mg.ones(2, 3)),
    "transpose": lambda y: y.t().fill_(1),
    "view": lambda y: y.view(-1).zero_(),
}


@pytest.mark.parametrize("write", WRITES)
def test_history_is_kept(write: str) -> None:
    x = mg.full((2, 3), float("inf"), requires_grad=True)
    y = x * 2
    WRITES[write](y)
    assert y.requires_grad and not y.is_leaf
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [[0.0] * 3] * 2


def test_the_rest_keeps_its_gradient() -> None:
    x = mg.ones(2, 3, requires_grad=True)
    y = x * 2
    y[0] = 7
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [[0.0] * 3, [2.0] * 3]


def test_values_are_written_in_any_mode() -> None:
    y = mg.ones(3, requires_grad=True) * 2
    with mg.no_grad():
        y.zero_()
    assert y.tolist() == [0.0] * 3
    assert not mg.ones(3).fill_(2).requires_grad


def test_a_negative_bound_wraps_in_uint8() -> None:
    x = mg.tensor([0, 3, 255], dtype=mg.uint8)
    assert x.clamp(-1, 2).tolist() == [2, 2, 2]
    assert x.clamp(max=-2).tolist() == [0, 3, 254]
    with pytest.raises(RuntimeError, match="300 cannot be converted to uint8"):
        x.clamp(1, 300)


def test_storing_what_is_stored_overwrites_nothing() -> None:
    """`x[:] += 1` ends in storing a value where it lies already: later reads of it are reads of the current value."""
    x, w = mg.ones(3), mg.ones(3, requires_grad=True)
    x[:] += 1
    (w * x.detach()).sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [2.0, 2.0, 2.0]


def test_through_dims_of_one_element() -> None:
    numbers = mg.arange(6).expand(1, 1, -1)
    numbers.copy_(mg.arange(6, 12))
    numbers[0, 0, 1:3] = 0
    assert numbers.tolist() == [[[6, 0, 0, 9, 10, 11]]]
    row = mg.zeros(3)
    row.expand(1, 3).add_(1)
    assert row.tolist() == [1, 1, 1]
    with pytest.raises(RuntimeError, match="expanded"):
        row.expand(2, 3).add_(1)


def test_second_order_through_activations_that_write_in_place() -> None:
    for name, function in (("leaky_relu", mg.nn.functional.leaky_relu), ("elu", mg.nn.functional.elu), ("silu", mg.nn.functional.silu)):
        x = mg.tensor([-1.0, 0.5, 2.0], requires_grad=True)
        found = []
        for inplace in (False, True):
            y = function(x * 2, inplace=inplace)
            (g,) = mg.autograd.grad((y * y).sum(), x, create_graph=True)
            found.append(mg.autograd.grad((g**3).sum(), x)[0].tolist())
        assert found[0] == found[1], name
    y = (x * 2).sigmoid()
    z = (y * y).sum()
    y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()


def test_a_write_to_the_data_changes_the_value_and_leaves_the_history() -> None:
    x = mg.ones(3, requires_grad=True)
    y = x * 2
    y.data.mul_(5)
    assert y.requires_grad and y.tolist() == [10.0] * 3
    (y * y).sum().backward()
    assert x.grad.tolist() == [40.0] * 3
    y = x * 2
    with mg.no_grad():
        y.detach().zero_()
    y.sum().backward()
    assert y.tolist() == [0.0] * 3 and x.grad.tolist() == [42.0] * 3
    x.grad = None
    y = (x * 2).view(1, 3)
    y.data[0, 0] = 7
    y.data.clamp_(max=5)
    y.prod().backward()
    assert y.tolist() == [[5.0, 2.0, 2.0]] and x.grad.tolist() == [8.0, 20.0, 20.0]
