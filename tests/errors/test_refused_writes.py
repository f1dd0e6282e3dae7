"""A write whose values are refused later leaves the tensor as it was, and everything else that is pending."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import monograph as mg

WRITES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "assignment": (lambda: mg.zeros(3), lambda x: x.__setitem__(mg.tensor([5]), 1.0)),
    "index_add_": (lambda: mg.zeros(3), lambda x: x.index_add_(0, mg.tensor([9]), mg.ones(1))),
    "index_put_": (lambda: mg.ones(3), lambda x: x.index_put_((mg.tensor([3]),), mg.ones(1))),
    "division": (lambda: mg.tensor([4, 5]), lambda x: x.floor_divide_(mg.tensor([0, 1]))),
    "remainder": (lambda: mg.tensor([4, 5]), lambda x: x.remainder_(mg.tensor([0, 1]))),
    "through a view": (lambda: mg.zeros(2, 3), lambda x: x[1].index_add_(0, mg.tensor([9]), mg.ones(1))),
    "followed by another write": (lambda: mg.zeros(3), lambda x: x.index_add_(0, mg.tensor([9]), mg.ones(1)).add_(1)),
    "out=": (lambda: mg.ones(1), lambda x: mg.gather(mg.zeros(3), 0, mg.tensor([7]), out=x)),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_refused_write_is_undone(name: str) -> None:
    make, write = WRITES[name]
    x = make()
    view = x.view(-1)
    with pytest.raises((IndexError, RuntimeError)):
        write(x)
        x.tolist()
    assert x.tolist() == make().tolist()
    assert view.tolist() == make().view(-1).tolist()
    x.add_(1)
    assert x.tolist() == (make() + 1).tolist()


def test_a_refused_value_does_not_stop_the_reading_of_its_inputs() -> None:
    x = mg.tensor([1, 2])
    refused = x // mg.tensor([0, 1])
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        refused.tolist()
    assert x.numpy().tolist() == [1, 2]
    assert (x + 1).tolist() == [2, 3]
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        refused.tolist()
