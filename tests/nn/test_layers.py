"""Layers: text, initial values, state names, and what they compute where a function does not say it already."""

from __future__ import annotations

import math

import numpy as np
import pytest

import monograph as mg
import monograph.nn.functional as F
from monograph import nn
from monograph.nn.utils import rnn as sequences


def draw(*shape: int, seed: int = 0) -> mg.Tensor:
    return mg.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


REPRS = {
    "Linear(in_features=2, out_features=3, bias=False)": lambda: nn.Linear(2, 3, bias=False),
    "Conv2d(3, 4, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))": lambda: nn.Conv2d(3, 4, 3, stride=2, padding=1),
    "Conv1d(4, 4, kernel_size=(3,), stride=(1,), padding=same, groups=2, bias=False, padding_mode=circular)": lambda: nn.Conv1d(
        4, 4, 3, padding="same", groups=2, bias=False, padding_mode="circular"
    ),
    "ConvTranspose2d(3, 4, kernel_size=(2, 2), stride=(2, 2), output_padding=(1, 1))": lambda: nn.ConvTranspose2d(
        3, 4, 2, 2, output_padding=1
    ),
    "BatchNorm2d(4, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)": lambda: nn.BatchNorm2d(4),
    "LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)": lambda: nn.LayerNorm(4),
    "GroupNorm(2, 4, eps=1e-05, affine=True, bias=True)": lambda: nn.GroupNorm(2, 4),
    "Embedding(5, 2, padding_idx=4)": lambda: nn.Embedding(5, 2, padding_idx=-1),
    "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)": lambda: nn.MaxPool2d(2),
    "AdaptiveAvgPool2d(output_size=(1, 1))": lambda: nn.AdaptiveAvgPool2d((1, 1)),
    "Dropout(p=0.1, inplace=False)": lambda: nn.Dropout(0.1),
    "LSTM(3, 4, num_layers=2, batch_first=True, dropout=0.5, bidirectional=True)": lambda: nn.LSTM(
        3, 4, 2, batch_first=True, dropout=0.5, bidirectional=True
    ),
    "GELU(approximate='tanh')": lambda: nn.GELU("tanh"),
    "LeakyReLU(negative_slope=0.2, inplace=True)": lambda: nn.LeakyReLU(0.2, True),
    "Upsample(scale_factor=2.0, mode='nearest')": lambda: nn.Upsample(scale_factor=2),
    "Flatten(start_dim=1, end_dim=-1)": nn.Flatten,
    "CrossEntropyLoss()": nn.CrossEntropyLoss,
    "Softmax(dim=1)": lambda: nn.Softmax(1),
}


@pytest.mark.parametrize("text", REPRS)
def test_repr(text: str) -> None:
    assert repr(REPRS[text]()) == text


STATES = {
    "Linear": (lambda: nn.Linear(2, 3), ["weight", "bias"]),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(2), ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(2), []),
    "MultiheadAttention": (lambda: nn.MultiheadAttention(4, 2), ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"]),
    "MultiheadAttention with sizes": (
        lambda: nn.MultiheadAttention(4, 2, kdim=3, bias=False),
        ["q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight"],
    ),
    "GRU": (
        lambda: nn.GRU(2, 3, bidirectional=True, bias=False),
        ["weight_ih_l0", "weight_hh_l0", "weight_ih_l0_reverse", "weight_hh_l0_reverse"],
    ),
    "LSTM with projection": (
        lambda: nn.LSTM(2, 3, proj_size=1),
        ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_hr_l0"],
    ),
}


@pytest.mark.parametrize("name", STATES)
def test_state_names(name: str) -> None:
    make, keys = STATES[name]
    assert list(make().state_dict()) == keys


def test_initial_values() -> None:
    mg.manual_seed(0)
    lin = nn.Linear(100, 200)
    for p in (lin.weight, lin.bias):
        assert p.abs().max().item() <= 0.1 and abs(p.std().item() - 0.1 / math.sqrt(3)) < 0.01
    conv = nn.Conv2d(8, 16, 3, groups=2)
    assert conv.weight.shape == (16, 4, 3, 3) and conv.weight.abs().max().item() <= 1 / 6
    table = nn.Embedding(1000, 20, padding_idx=3)
    assert abs(table.weight.std().item() - 1) < 0.05 and table.weight[3].abs().sum().item() == 0
    norm = nn.BatchNorm2d(3)
    assert norm.weight.tolist() == [1, 1, 1] and norm.running_var.tolist() == [1, 1, 1] and norm.num_batches_tracked.item() == 0
    attention = nn.MultiheadAttention(16, 2)
    assert attention.in_proj_bias.abs().sum().item() == 0 and attention.in_proj_weight.abs().max().item() <= math.sqrt(6 / 64)
    lstm = nn.LSTM(4, 25)
    assert max(p.abs().max().item() for p in lstm.parameters()) <= 0.2


def test_batch_norm_counts_and_averages() -> None:
    norm = nn.BatchNorm1d(2, momentum=None)
    batches = [draw(4, 2, seed=i) for i in range(3)]
    for x in batches:
        norm(x)
    assert norm.num_batches_tracked.item() == 3
    mean = np.mean([x.numpy().mean(0) for x in batches], 0)
    np.testing.assert_allclose(norm.running_mean.numpy(), mean, atol=1e-5)
    norm.eval()
    norm(batches[0])
    assert norm.num_batches_tracked.item() == 3
    with pytest.raises(ValueError, match=r"expected 2D or 3D input \(got 4D input\)"):
        norm(mg.ones(1, 2, 1, 1))
    old = {k: v for k, v in norm.state_dict().items() if k != "num_batches_tracked"}
    nn.BatchNorm1d(2).load_state_dict(old)


def test_sync_batch_norm_conversion() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    assert isinstance(converted[1], nn.SyncBatchNorm) and list(converted.state_dict()) == list(net.state_dict())


# ---------------------------------------------------------------- recurrent layers


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_lstm_by_hand() -> None:
    layer, x = nn.LSTM(3, 2), draw(4, 1, 3)
    w, u, b, c = (p.detach().numpy() for p in layer.parameters())
    h = cell = np.zeros(2)
    outputs = []
    for step in x.numpy()[:, 0]:
        i, f, g, o = np.split(w @ step + b + u @ h + c, 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(cell)
        outputs.append(h)
    y, (hn, cn) = layer(x)
    np.testing.assert_allclose(y[:, 0].detach().numpy(), outputs, atol=1e-5)
    np.testing.assert_allclose(hn[0, 0].detach().numpy(), h, atol=1e-5)
    np.testing.assert_allclose(cn[0, 0].detach().numpy(), cell, atol=1e-5)


def test_gru_by_hand() -> None:
    layer, x = nn.GRU(3, 2), draw(4, 1, 3)
    w, u, b, c = (p.detach().numpy() for p in layer.parameters())
    h = np.zeros(2)
    for step in x.numpy()[:, 0]:
        (xr, xz, xn), (hr, hz, hn) = np.split(w @ step + b, 3), np.split(u @ h + c, 3)
        r, z = sigmoid(xr + hr), sigmoid(xz + hz)
        h = (1 - z) * np.tanh(xn + r * hn) + z * h
    np.testing.assert_allclose(layer(x)[1][0, 0].detach().numpy(), h, atol=1e-5)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_directions_layers_and_batch_first(kind) -> None:
    layer, x = kind(3, 2, num_layers=2, bidirectional=True), draw(5, 2, 3)
    y, state = layer(x)
    h = state[0] if kind is nn.LSTM else state
    assert y.shape == (5, 2, 4) and h.shape == (4, 2, 2)
    assert mg.allclose(y[-1, :, :2], h[2]) and mg.allclose(y[0, :, 2:], h[3])
    other = kind(3, 2, num_layers=2, bidirectional=True, batch_first=True)
    other.load_state_dict(layer.state_dict())
    assert mg.allclose(other(x.transpose(0, 1))[0].transpose(0, 1), y, atol=1e-6)
    alone, _ = layer(x[:, 0])
    assert mg.allclose(alone, y[:, 0], atol=1e-6)
    again, _ = layer(x, state)
    assert not mg.allclose(again, y)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("sort", [True, False])
def test_packed_sequences_equal_single_ones(kind, sort: bool) -> None:
    layer = kind(3, 2, bidirectional=True)
    lengths = [4, 3, 1] if sort else [1, 4, 3]
    x = draw(4, 3, 3)
    packed = sequences.pack_padded_sequence(x, lengths, enforce_sorted=sort)
    y, state = layer(packed)
    padded, out_lengths = sequences.pad_packed_sequence(y)
    assert out_lengths.tolist() == lengths
    h = state[0] if kind is nn.LSTM else state
    for i, n in enumerate(lengths):
        single, own = layer(x[:n, i])
        own = own[0] if kind is nn.LSTM else own
        assert mg.allclose(padded[:n, i], single, atol=1e-6) and padded[n:, i].abs().sum().item() == 0
        assert mg.allclose(h[:, i], own, atol=1e-6)


def test_cells_are_single_steps() -> None:
    for cell_kind, kind in ((nn.LSTMCell, nn.LSTM), (nn.GRUCell, nn.GRU), (nn.RNNCell, nn.RNN)):
        cell, layer, x = cell_kind(3, 2), kind(3, 2), draw(1, 4, 3)
        layer.load_state_dict({name + "_l0": value for name, value in cell.state_dict().items()})
        out = cell(x[0])
        assert mg.allclose(out[0] if kind is nn.LSTM else out, layer(x)[0][0], atol=1e-6)


def test_recurrent_errors() -> None:
    layer = nn.GRU(3, 2)
    with pytest.raises(RuntimeError, match=r"input.size\(-1\) must be equal to input_size. Expected 3, got 4"):
        layer(mg.ones(2, 1, 4))
    with pytest.raises(RuntimeError, match=r"Expected hidden size \(1, 1, 2\), got \[1, 5, 2\]"):
        layer(mg.ones(2, 1, 3), mg.ones(1, 5, 2))
    with pytest.raises(ValueError, match=r"Expected input to be 2D or 3D, got 4D"):
        layer(mg.ones(1, 1, 1, 3))
    with pytest.warns(UserWarning, match=r"non-zero dropout expects num_layers greater than 1"):
        nn.LSTM(2, 2, dropout=0.5)


# ---------------------------------------------------------------- attention


def test_multihead_attention_by_hand() -> None:
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True), draw(2, 3, 4)
    y, weights = layer(x, x, x)
    q, k, v = F.linear(x, layer.in_proj_weight, layer.in_proj_bias).reshape(2, 3, 3, 2, 2).permute(2, 0, 3, 1, 4)
    expected = F.softmax(q @ k.transpose(-2, -1) / math.sqrt(2), -1)
    assert mg.allclose(weights, expected.mean(1), atol=1e-6)
    joined = (expected @ v).transpose(1, 2).reshape(2, 3, 4)
    assert mg.allclose(y, layer.out_proj(joined), atol=1e-6)
    quick, none = layer(x, x, x, need_weights=False)
    assert none is None and mg.allclose(quick, y, atol=1e-6)


def test_multihead_attention_masks() -> None:
    layer, x = nn.MultiheadAttention(4, 2), draw(3, 2, 4)
    padding = mg.tensor([[False, False, True], [False, False, False]])
    causal = mg.ones(3, 3, dtype=mg.bool).triu(1)
    for need in (True, False):
        y, _ = layer(x, x, x, key_padding_mask=padding, attn_mask=causal, need_weights=need)
        first, _ = layer(x[:1], x[:1], x[:1])
        assert mg.allclose(y[0], first[0], atol=1e-6)
    with pytest.raises(RuntimeError, match=r"The shape of the 2D attn_mask is"):
        layer(x, x, x, attn_mask=mg.zeros(2, 2))
    with pytest.raises(AssertionError, match=r"embed_dim must be divisible by num_heads"):
        nn.MultiheadAttention(5, 2)


@pytest.mark.parametrize("norm_first", [False, True])
def test_transformer_sees_no_future(norm_first: bool) -> None:
    net = nn.Transformer(8, 2, 2, 2, 16, dropout=0.0, batch_first=True, norm_first=norm_first).eval()
    mask = nn.Transformer.generate_square_subsequent_mask(4)
    src, tgt = draw(2, 5, 8), draw(2, 4, 8, seed=1)
    full = net(src, tgt, tgt_mask=mask)
    part = net(src, tgt[:, :2], tgt_mask=mask[:2, :2])
    assert full.shape == (2, 4, 8) and mg.allclose(full[:, :2], part, atol=1e-5)
    assert len(net.state_dict()) == len(list(net.named_parameters()))


def test_from_pretrained_and_unflatten() -> None:
    table = nn.Embedding.from_pretrained(mg.ones(3, 2))
    assert not table.weight.requires_grad and table(mg.tensor([1])).tolist() == [[1, 1]]
    assert nn.Unflatten(1, (2, 3))(mg.ones(4, 6)).shape == (4, 2, 3)


def test_conv_transpose_output_size() -> None:
    layer = nn.ConvTranspose2d(1, 1, 3, stride=2)
    assert layer(mg.ones(1, 1, 4, 4), output_size=(10, 9)).shape == (1, 1, 10, 9)
    with pytest.raises(ValueError, match=r"requested an output size of"):
        layer(mg.ones(1, 1, 4, 4), output_size=(12, 9))
