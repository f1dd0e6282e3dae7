"""torch's second copies: functions at its top in the signatures of its C++."""

from __future__ import annotations

import pytest

import monograph as mg
from monograph.compat.top_functions import top_function
from monograph.nn import functional as F


def test_layers_as_functions() -> None:
    x = mg.arange(12.0).reshape(1, 3, 4)
    w = mg.ones(2, 3, 3)
    assert mg.conv1d(x, w, None, 1, 1).equal(F.conv1d(x, w, None, 1, 1))
    assert mg.layer_norm(x, (4,)).equal(F.layer_norm(x, (4,)))
    assert mg.batch_norm(x, None, None, None, None, True, 0.1, 1e-5, False).equal(F.batch_norm(x, None, None, training=True))
    assert mg.embedding(mg.eye(3), mg.tensor([2])).tolist() == [[0, 0, 1]]
    assert mg.dropout(x, 0.5, False).equal(x) and mg.feature_dropout(x, 0.5, False) is x
    assert mg.adaptive_max_pool1d(x, 1)[1].flatten().tolist() == [3, 3, 3]
    assert mg.norm_except_dim(mg.ones(2, 3, 4), 2, 1).shape == (1, 3, 1)
    assert mg.range(1, 2, 0.5).tolist() == [1.0, 1.5, 2.0]
    with pytest.raises(RuntimeError, match="inconsistent with step sign"):
        mg.range(3, 1)


def test_losses_take_the_reduction_as_a_number() -> None:
    x, y = mg.tensor([0.5, -1.0]), mg.tensor([1.0, 0.0])
    assert mg.binary_cross_entropy_with_logits(x, y, None, None, 2).equal(F.binary_cross_entropy_with_logits(x, y, reduction="sum"))
    assert mg.kl_div(x, y, 0, log_target=True).equal(F.kl_div(x, y, reduction="none", log_target=True))
    a, b, c = mg.eye(3), mg.ones(3, 3), mg.zeros(3, 3)
    wanted = F.triplet_margin_loss(a, b, c, 1.0, 2.0, 1e-6, True, reduction="sum")
    assert mg.triplet_margin_loss(a, b, c, 1.0, 2.0, 1e-6, True, 2).equal(wanted)
    assert mg.binary_cross_entropy_with_logits(x, y).shape == x.shape and mg.kl_div(x, y, 7).shape == x.shape  # as torch's do
    with pytest.raises(TypeError, match="argument 'reduction' must be int, not str"):
        mg.kl_div(x, y, "mean")


def test_cells() -> None:
    cell, lstm = mg.nn.GRUCell(3, 2), mg.nn.LSTMCell(3, 2)
    x, h = mg.ones(1, 3), mg.full((1, 2), 0.5)
    mg.testing.assert_close(mg.gru_cell(x, h, cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh), cell(x, h))
    made = mg.lstm_cell(x, (h, h), lstm.weight_ih, lstm.weight_hh, lstm.bias_ih, lstm.bias_hh)
    for got, wanted in zip(made, lstm(x, (h, h)), strict=True):
        mg.testing.assert_close(got, wanted)


def test_methods_as_functions() -> None:
    x = mg.tensor([-1.0, 2.0])
    assert mg.relu_(x) is x and x.tolist() == [0.0, 2.0]
    assert mg.sqrt_(mg.tensor([4.0])).item() == 2.0 and not mg.detach(mg.ones(1, requires_grad=True) * 2).requires_grad
    assert mg.is_signed(x) and not mg.is_nonzero(mg.tensor(0)) and mg.is_same_size(x, mg.ones(2))
    with pytest.raises(TypeError, match="must be Tensor, not int"):
        mg.detach(3)
    with pytest.raises(RuntimeError, match="ambiguous"):
        mg.is_nonzero(x)
    assert top_function("no_such_function") is None and top_function("lru_cache") is None and top_function("_gates") is None
    with pytest.raises(AttributeError, match="no_such_function"):
        mg.no_such_function  # noqa: B018


def test_python_functions_element_by_element() -> None:
    x = mg.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert x.apply_(lambda v: v + 1) is x and x.tolist() == [[2, 3], [4, 5]]
    assert x.map_(mg.tensor([10.0, 20.0]), lambda a, b: a * b).tolist() == [[20, 60], [40, 100]]
    assert x.is_set_to(x.view(2, 2)) and not x.is_set_to(x.t())
    with pytest.raises(RuntimeError, match="requires grad"):
        mg.ones(1, requires_grad=True).apply_(abs)
