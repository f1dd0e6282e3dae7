"""Parametrised tensors: registration, inversion, caching, removal; pruning; what refuses."""

from __future__ import annotations

import copy
from typing import Any

import pytest

import monograph as mg
from monograph import nn
from monograph.nn.utils import parametrizations, parametrize, prune


class Symmetric(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.triu() + x.triu(1).t()

    def right_inverse(self, a: Any) -> Any:
        return a.triu()


class Doubled(nn.Module):
    def forward(self, x: Any) -> Any:
        return x * 2


class Longer(nn.Module):
    def forward(self, x: Any) -> Any:
        return mg.cat([x, x])


def test_two_parametrisations_of_one_weight() -> None:
    layer = nn.Linear(3, 3)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    parametrize.register_parametrization(layer, "weight", Doubled())
    assert sorted(layer.state_dict()) == ["bias", "parametrizations.weight.original"] and parametrize.is_parametrized(layer, "weight")
    assert type(layer).__name__ == "ParametrizedLinear" and parametrize.type_before_parametrizations(layer) is nn.Linear
    before = layer.weight
    layer(mg.ones(1, 3)).sum().backward()
    mg.optim.SGD(layer.parameters(), lr=0.1).step()
    assert not mg.equal(layer.weight, before) and mg.equal(layer.weight, layer.weight.t())
    with parametrize.cached():
        assert layer.weight is layer.weight
    assert mg.equal(copy.deepcopy(layer).weight, layer.weight)
    value = layer.weight
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and isinstance(layer.weight, nn.Parameter) and mg.equal(layer.weight, value)


def test_assignment_goes_through_the_inverse() -> None:
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Symmetric())
    layer.weight = mg.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert layer.weight.tolist() == [[1, 2], [2, 4]]
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    assert layer.weight.tolist() == [[1, 2], [0, 4]]


def test_what_refuses() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="may not change the shape"):
        parametrize.register_parametrization(layer, "weight", Longer())
    with pytest.raises(ValueError, match="does not have a parameter, a buffer"):
        parametrize.register_parametrization(layer, "nothing", Doubled())
    with pytest.raises(ValueError, match="does not have a parametrization on weight"):
        parametrize.remove_parametrizations(layer, "weight")
    with pytest.raises(ValueError, match="Expected a matrix"):
        parametrizations.orthogonal(layer, "bias")
    with pytest.raises(ValueError, match="has to be pruned before"):
        prune.remove(layer, "weight")
    with pytest.raises(ValueError, match="should be smaller than the number of parameters"):
        prune.l1_unstructured(layer, "weight", 15)
    assert sorted(layer.state_dict()) == ["bias", "weight"]


@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2)])
def test_orthogonal_weights(orthogonal_map: str, shape: tuple[int, int]) -> None:
    layer = parametrizations.orthogonal(nn.Linear(*shape), orthogonal_map=orthogonal_map)
    w = layer.weight
    small = w @ w.t() if w.shape[0] <= w.shape[1] else w.t() @ w
    assert mg.allclose(small, mg.eye(min(shape)), atol=1e-4)


def test_random_pruning_and_masks() -> None:
    layer = nn.Linear(4, 4)
    prune.random_unstructured(layer, "weight", amount=5)
    assert int((layer.weight_mask == 0).sum()) == 5 and prune.is_pruned(layer)
    prune.random_structured(layer, "weight", amount=1, dim=1)
    assert int((layer.weight_mask.sum(0) == 0).sum()) >= 1
    prune.custom_from_mask(layer, "bias", mg.tensor([1, 0, 1, 0]))
    layer(mg.ones(1, 4)).sum().backward()
    assert layer.bias_orig.grad.tolist() == [1, 0, 1, 0] and prune.identity(nn.Linear(1, 1), "weight").weight_mask.item() == 1


def test_skip_init() -> None:
    assert nn.utils.skip_init(nn.Linear, 2, 3).weight.shape == (3, 2)
    with pytest.raises(RuntimeError, match="must support a 'device' arg"):
        nn.utils.skip_init(nn.ReLU)
