"""Classes that users derive from Tensor."""

from __future__ import annotations

from typing import Any

import pytest

import monograph as mg


class Named(mg.Tensor):
    """A tensor with a name, made by its own `__new__` as torchvision's tensors are."""

    name: str

    def __new__(cls, data: Any, *, name: str = "x") -> Any:
        made = mg.as_tensor(data).as_subclass(cls)
        made.name = name
        return made


def test_it_is_another_handle_on_the_same_memory() -> None:
    base = mg.ones(2, 3)
    named = Named(base, name="picture")
    assert type(named) is Named and named.name == "picture" and named.shape == (2, 3)
    named.add_(1)
    assert base.tolist() == [[2.0] * 3] * 2
    base[0, 0] = 7
    assert named[0, 0].item() == 7
    assert type(named + 1) is mg.Tensor and type(named.as_subclass(mg.Tensor)) is mg.Tensor


def test_history_goes_through() -> None:
    x = mg.ones(3, requires_grad=True)
    doubled = (x * 2).as_subclass(Named)
    (doubled * doubled).sum().backward()
    assert x.grad.tolist() == [8.0] * 3


def test_make_subclass_leaves_the_history() -> None:
    x = mg.ones(3, requires_grad=True)
    made = mg.Tensor._make_subclass(mg.nn.Parameter, x * 2, True)
    assert made.is_leaf and made.requires_grad and made.tolist() == [2.0] * 3


def test_only_tensors_have_subclasses() -> None:
    with pytest.raises(TypeError, match="derived from Tensor"):
        mg.ones(2).as_subclass(int)
