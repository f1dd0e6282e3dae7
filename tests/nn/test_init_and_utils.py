"""torch.nn.init and torch.nn.utils: ranges and moments, clipping, vectors of parameters, sequences."""

from __future__ import annotations

import math

import numpy as np
import pytest

import monograph as mg
from monograph import nn
from monograph.nn import init
from monograph.nn.utils import (
    clip_grad_norm_,
    clip_grad_value_,
    parameters_to_vector,
    remove_weight_norm,
    spectral_norm,
    vector_to_parameters,
    weight_norm,
)
from monograph.nn.utils.rnn import pack_sequence, pad_sequence, unpack_sequence


def test_gains() -> None:
    assert init.calculate_gain("relu") == math.sqrt(2) and init.calculate_gain("tanh") == 5 / 3
    assert init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)
    with pytest.raises(ValueError, match=r"Unsupported nonlinearity"):
        init.calculate_gain("cosine")


@pytest.mark.parametrize(
    ("fill", "std"),
    [
        (lambda w: init.xavier_uniform_(w, 2.0), 2 * math.sqrt(2 / 500)),
        (init.xavier_normal_, math.sqrt(2 / 500)),
        (lambda w: init.kaiming_uniform_(w, nonlinearity="relu"), math.sqrt(2 / 300)),
        (lambda w: init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu"), math.sqrt(2 / 200)),
        (lambda w: init.normal_(w, 0.0, 0.02), 0.02),
        (lambda w: init.uniform_(w, -1, 1), 1 / math.sqrt(3)),
        (lambda w: init.trunc_normal_(w, std=0.5, a=-0.5, b=0.5), 0.5 * 0.5396),
    ],
)
def test_spread(fill, std: float) -> None:
    mg.manual_seed(0)
    w = nn.Parameter(mg.empty(200, 300))
    assert fill(w) is w and w.requires_grad
    assert abs(w.mean().item()) < 0.02 * std + 1e-3 and abs(w.std().item() / std - 1) < 0.02


def test_structured_values() -> None:
    w = mg.empty(3, 5)
    init.orthogonal_(w, gain=2.0)
    np.testing.assert_allclose((w @ w.T).numpy(), 4 * np.eye(3), atol=1e-5)
    assert init.eye_(mg.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert init.dirac_(mg.empty(2, 2, 3))[1].tolist() == [[0, 0, 0], [0, 1, 0]]
    assert (init.sparse_(mg.empty(10, 4), 0.3) == 0).sum(0).tolist() == [3, 3, 3, 3]
    assert init.constant_(mg.empty(2), 0.5).tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match=r"fewer than 2 dimensions"):
        init.xavier_uniform_(mg.empty(3))
    with pytest.warns(UserWarning, match=r"zero-element"):
        init.kaiming_uniform_(mg.empty(0, 3))


def with_gradients() -> list[nn.Parameter]:
    a, b, c = nn.Parameter(mg.zeros(2)), nn.Parameter(mg.zeros(1)), nn.Parameter(mg.zeros(1))
    a.grad, b.grad = mg.tensor([3.0, 0.0]), mg.tensor([4.0])
    return [a, b, c]


def test_clip_grad_norm() -> None:
    parameters = with_gradients()
    assert clip_grad_norm_(parameters, 1.0).item() == 5
    assert parameters[0].grad.tolist() == pytest.approx([0.6, 0]) and parameters[1].grad.item() == pytest.approx(0.8)
    assert clip_grad_norm_(iter(with_gradients()), 10.0, norm_type=float("inf")).item() == 4
    assert clip_grad_norm_([], 1.0).item() == 0
    parameters = with_gradients()
    parameters[0].grad.fill_(float("nan"))
    with pytest.raises(RuntimeError, match=r"non-finite, so it cannot be clipped"):
        clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)


def test_clip_grad_value() -> None:
    parameters = with_gradients()
    clip_grad_value_(parameters, 1.0)
    assert parameters[0].grad.tolist() == [1, 0] and parameters[1].grad.item() == 1


def test_vectors_of_parameters() -> None:
    net = nn.Linear(2, 3)
    vector = parameters_to_vector(net.parameters())
    assert vector.shape == (9,)
    vector_to_parameters(mg.arange(9.0), net.parameters())
    assert net.weight.tolist() == [[0, 1], [2, 3], [4, 5]] and net.bias.tolist() == [6, 7, 8]
    loss = (net(mg.ones(1, 2)) ** 2).sum()  # a graph from before is not disturbed
    vector_to_parameters(mg.zeros(9), net.parameters())
    loss.backward()
    assert net.bias.grad.tolist() == [14, 24, 34] and net.bias.tolist() == [0, 0, 0]


def test_padding_and_packing() -> None:
    items = [mg.arange(3.0), mg.arange(1.0), mg.arange(2.0)]
    assert pad_sequence(items, batch_first=True, padding_value=9.0).tolist() == [[0, 1, 2], [0, 9, 9], [0, 1, 9]]
    assert pad_sequence(items).shape == (3, 3) and pad_sequence(items, True, 9.0, "left")[1].tolist() == [9, 9, 0]
    packed = pack_sequence(items, enforce_sorted=False)
    assert packed.data.tolist() == [0, 0, 0, 1, 1, 2] and packed.batch_sizes.tolist() == [3, 2, 1]
    assert [s.tolist() for s in unpack_sequence(packed)] == [[0, 1, 2], [0], [0, 1]]
    with pytest.raises(RuntimeError, match=r"must be sorted in decreasing order"):
        pack_sequence(items)


def test_weight_norm() -> None:
    layer = nn.Conv1d(2, 3, 2)
    x = mg.randn(1, 2, 5)
    before = layer(x)
    assert weight_norm(layer) is layer and list(layer.state_dict()) == ["bias", "weight_g", "weight_v"]
    assert layer.weight_g.shape == (3, 1, 1) and mg.allclose(layer(x), before, atol=1e-6)
    layer(x).sum().backward()
    assert layer.weight_g.grad is not None and layer.weight_v.grad is not None
    with mg.no_grad():
        layer.weight_g.mul_(2)
    after = layer(x)
    remove_weight_norm(layer)
    assert list(layer.state_dict()) == ["bias", "weight"] and mg.allclose(layer(x), after, atol=1e-6)
    with pytest.raises(ValueError, match=r"weight_norm of 'weight' not found"):
        remove_weight_norm(layer)


def test_spectral_norm() -> None:
    layer = spectral_norm(nn.Linear(4, 3), n_power_iterations=30)
    assert list(layer.state_dict()) == ["bias", "weight_orig", "weight_u", "weight_v"]
    layer(mg.randn(2, 4)).sum().backward()
    assert np.linalg.norm(layer.weight.detach().numpy(), 2) == pytest.approx(1, abs=1e-3) and layer.weight_orig.grad is not None
    u = layer.weight_u.clone()
    layer.eval()
    layer(mg.randn(2, 4))
    assert mg.equal(u, layer.weight_u)
