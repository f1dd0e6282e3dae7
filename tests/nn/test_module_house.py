"""What is ours alone in Module: the epoch that compiled programs watch, and errors that name the module."""

from __future__ import annotations

import gc
import weakref

import pytest

import monograph as mg
from monograph import nn
from monograph.nn.registry import EPOCH


def moved(action) -> bool:
    before = EPOCH.value
    action()
    return before != EPOCH.value


def test_every_change_moves_the_epoch() -> None:
    m = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    same = m[0]
    assert moved(lambda: setattr(m, "note", 1)) and not moved(lambda: setattr(m, "note", 1)) and moved(lambda: setattr(m, "note", 2))
    assert moved(m.eval) and not moved(m.eval) and moved(m.train)
    assert not moved(lambda: setattr(m, "0", same)) and moved(lambda: setattr(m, "0", nn.Linear(2, 2)))
    assert moved(lambda: m.register_buffer("b", mg.zeros(1))) and moved(lambda: delattr(m, "b")) and moved(lambda: delattr(m, "note"))
    assert moved(lambda: m[0]._parameters.update(bias=None)) and moved(lambda: m.append(nn.Tanh()))
    assert moved(lambda: m.register_forward_hook(lambda *a: None))
    assert moved(lambda: m.load_state_dict(m.state_dict(), assign=True))
    assert moved(lambda: m.requires_grad_(False)) and moved(m.double)
    assert not moved(lambda: m(mg.ones(1, 2, dtype=mg.float64))) and not moved(lambda: m.load_state_dict(m.state_dict()))


class Attention(nn.Module):
    """A layer with a projection that does not fit its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3)

    def forward(self, x):
        return self.qkv(x)


@pytest.mark.parametrize("hooked", [False, True])
def test_shape_errors_name_the_module(hooked: bool) -> None:
    model = nn.ModuleDict({"decoder": nn.Sequential(Attention(4), Attention(5))})
    net = nn.Sequential(nn.Identity(), model["decoder"])
    if hooked:
        net[1].register_forward_hook(lambda *a: None)
    with pytest.raises(RuntimeError) as caught:
        net(mg.ones(2, 4))
    assert "2x3 and 5x3" in str(caught.value)
    assert caught.value.module == "1.1.qkv (Linear)" and "\n  in module 1.1.qkv (Linear)" in str(caught.value)


def test_a_layer_alone_is_named_by_its_class() -> None:
    with pytest.raises(RuntimeError) as caught:
        nn.Linear(2, 2)(mg.ones(1, 3))
    assert caught.value.module == "Linear (Linear)"


def test_modules_are_freed_without_the_collector() -> None:
    gc.disable()
    try:
        m = nn.Sequential(nn.Linear(2, 2))
        gone = weakref.ref(m)
        del m
        assert gone() is None
    finally:
        gc.enable()
