"""Layers that learn their input's size, and parameters without a shape."""

from __future__ import annotations

import copy
from typing import Any

import pytest

import monograph as mg
from monograph import nn


def network() -> Any:
    return nn.Sequential(nn.LazyConv2d(4, 3, padding=1), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(5))


def test_the_first_batch_gives_the_shapes() -> None:
    net = network()
    with pytest.raises(RuntimeError, match="Can't access the shape of an uninitialized parameter"):
        net[0].weight.shape  # noqa: B018
    with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter"):
        net[0].weight + 1
    net.double()
    optimizer = mg.optim.SGD(net.parameters(), lr=0.1)
    net(mg.rand(2, 3, 6, 6, dtype=mg.float64)).sum().backward()
    optimizer.step()
    assert [tuple(p.shape) for p in net.parameters()] == [(4, 3, 3, 3), (4,), (4,), (4,), (5, 144), (5,)]
    assert [type(m) for m in net] == [nn.Conv2d, nn.BatchNorm2d, nn.Flatten, nn.Linear] and net[0].in_channels == 3
    assert all(p.dtype is mg.float64 and p.grad is not None and type(p) is nn.Parameter for p in net.parameters())


def test_a_state_gives_the_shapes() -> None:
    net, other = network(), network()
    net(mg.rand(2, 3, 6, 6))
    copied = copy.deepcopy(other)
    for lazy in (other, copied):
        lazy.load_state_dict(net.state_dict())
        assert mg.equal(lazy[3].weight, net[3].weight)
        x = mg.rand(2, 3, 6, 6)
        assert mg.allclose(lazy.eval()(x), net.eval()(x)) and type(lazy[0]) is nn.Conv2d


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("LazyConv1d", (2, 3, 8)), ("LazyConv3d", (3, 4, 4, 4)), ("LazyConvTranspose1d", (3, 8)), ("LazyConvTranspose2d", (2, 3, 8, 8))],
)
def test_convolutions(kind: str, shape: tuple[int, ...]) -> None:
    layer = getattr(nn, kind)(4, 3)
    assert 4 in layer(mg.rand(shape)).shape[:2]
    assert type(layer).__name__ == kind.removeprefix("Lazy") and layer.in_channels == 3


@pytest.mark.parametrize(
    ("kind", "shape"), [("LazyBatchNorm1d", (5, 3)), ("LazyInstanceNorm1d", (2, 3, 8)), ("LazyInstanceNorm2d", (2, 3, 4, 4))]
)
def test_normalisations(kind: str, shape: tuple[int, ...]) -> None:
    layer = getattr(nn, kind)()
    layer(mg.rand(shape))
    assert layer.num_features == 3 and layer.running_mean.shape == (3,) and int(layer.num_batches_tracked) >= 0


def test_a_parameter_without_a_shape() -> None:
    p = nn.UninitializedParameter()
    assert p.requires_grad and repr(p) == "<UninitializedParameter>" and nn.LazyLinear(3).state_dict()["weight"].is_leaf
    p.materialize((2, 3))
    assert type(p) is nn.Parameter and p.shape == (2, 3) and p.requires_grad
