"""Losses: values against formulas, reductions, gradients, errors."""

from __future__ import annotations

import numpy as np
import pytest

import monograph as mg
import monograph.nn.functional as F
from monograph import nn


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def t(array) -> mg.Tensor:
    return mg.tensor(np.asarray(array))


def log_softmax(x: np.ndarray, axis: int = 1) -> np.ndarray:
    x = x - x.max(axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


def test_cross_entropy() -> None:
    x, target = draw(5, 3), np.array([0, 2, 1, 1, 0])
    each = -log_softmax(x)[np.arange(5), target]
    assert F.cross_entropy(t(x), t(target)).item() == pytest.approx(each.mean(), rel=1e-5)
    assert F.cross_entropy(t(x), t(target), reduction="none").tolist() == pytest.approx(each.tolist(), rel=1e-5)
    weight = np.array([1.0, 2.0, 0.5], np.float32)
    w = weight[target]
    assert F.cross_entropy(t(x), t(target), t(weight)).item() == pytest.approx((each * w).sum() / w.sum(), rel=1e-5)
    ignored = F.cross_entropy(t(x), t(target), ignore_index=1, reduction="sum").item()
    assert ignored == pytest.approx(each[target != 1].sum(), rel=1e-5)
    smooth = F.cross_entropy(t(x), t(target), label_smoothing=0.1).item()
    assert smooth == pytest.approx((0.9 * each - 0.1 * log_softmax(x).mean(1)).mean(), rel=1e-5)
    probabilities = np.full((5, 3), 1 / 3, np.float32)
    assert F.cross_entropy(t(x), t(probabilities)).item() == pytest.approx(-log_softmax(x).mean(), rel=1e-5)
    assert F.nll_loss(t(log_softmax(x)), t(target)).item() == pytest.approx(each.mean(), rel=1e-5)


def test_cross_entropy_gradient() -> None:
    x, target = t(draw(4, 3)).requires_grad_(), t(np.array([0, 2, 1, 1]))
    F.cross_entropy(x, target).backward()
    expected = (np.exp(log_softmax(x.detach().numpy())) - np.eye(3)[[0, 2, 1, 1]]) / 4
    np.testing.assert_allclose(x.grad.numpy(), expected, atol=1e-6)


def test_regression_losses() -> None:
    x, y = draw(3, 4), draw(3, 4, seed=1)
    d = x - y
    a = np.abs(d)
    cases = {
        nn.MSELoss: d * d, nn.L1Loss: a, nn.SmoothL1Loss: np.where(a < 1, d * d / 2, a - 0.5),
        nn.HuberLoss: np.where(a < 1, d * d / 2, a - 0.5),
        nn.SoftMarginLoss: np.log1p(np.exp(-y * x)),
    }  # fmt: skip
    for kind, each in cases.items():
        assert kind()(t(x), t(y)).item() == pytest.approx(each.mean(), rel=1e-5)
        assert kind(reduction="sum")(t(x), t(y)).item() == pytest.approx(each.sum(), rel=1e-5)
        np.testing.assert_allclose(kind(reduction="none")(t(x), t(y)).numpy(), each, rtol=1e-5, atol=1e-6)


def test_probability_losses() -> None:
    x, p = draw(3, 4), 1 / (1 + np.exp(-draw(3, 4, seed=1)))
    q = 1 / (1 + np.exp(-x))
    each = -(p * np.log(q) + (1 - p) * np.log(1 - q))
    assert F.binary_cross_entropy_with_logits(t(x), t(p)).item() == pytest.approx(each.mean(), rel=1e-5)
    assert F.binary_cross_entropy(t(q), t(p)).item() == pytest.approx(each.mean(), rel=1e-4)
    weighted = -(3 * p * np.log(q) + (1 - p) * np.log(1 - q))
    assert nn.BCEWithLogitsLoss(pos_weight=mg.tensor(3.0))(t(x), t(p)).item() == pytest.approx(weighted.mean(), rel=1e-5)
    divergence = (p * (np.log(p) - x)).sum() / 3
    assert F.kl_div(t(x), t(p), reduction="batchmean").item() == pytest.approx(divergence, rel=1e-5)
    gaussian = 0.5 * (np.log(q) + (x - p) ** 2 / q)
    assert F.gaussian_nll_loss(t(x), t(p), t(q)).item() == pytest.approx(gaussian.mean(), rel=1e-4)


def test_margin_losses() -> None:
    a, b, sign = draw(6), draw(6, seed=1), np.sign(draw(6, seed=2))
    assert F.margin_ranking_loss(t(a), t(b), t(sign), 0.1).item() == pytest.approx(np.maximum(0, -sign * (a - b) + 0.1).mean(), rel=1e-5)
    hinge = np.where(sign == 1, a, np.maximum(0, 1 - a))
    assert F.hinge_embedding_loss(t(a), t(sign)).item() == pytest.approx(hinge.mean(), rel=1e-5)
    x, target = draw(2, 3), np.array([1, 0])
    gaps = [[max(0.0, 1 - x[i, target[i]] + x[i, j]) for j in range(3) if j != target[i]] for i in range(2)]
    assert F.multi_margin_loss(t(x), t(target)).item() == pytest.approx(np.mean([sum(g) / 3 for g in gaps]), rel=1e-5)
    anchor, near, far = draw(4, 3), draw(4, 3, seed=1), draw(4, 3, seed=2)
    distance = [np.linalg.norm(anchor - other + 1e-6, axis=1) for other in (near, far)]
    expected = np.maximum(0, distance[0] - distance[1] + 1).mean()
    assert F.triplet_margin_loss(t(anchor), t(near), t(far)).item() == pytest.approx(expected, rel=1e-5)


def test_ctc_counts_all_alignments() -> None:
    """Two steps, one label: the paths are (label, label), (label, blank), (blank, label)."""
    p = np.array([[[0.4, 0.6]], [[0.3, 0.7]]], np.float32)
    expected = -np.log(0.6 * 0.7 + 0.6 * 0.3 + 0.4 * 0.7)
    loss = F.ctc_loss(t(np.log(p)), mg.tensor([[1]]), [2], [1], reduction="sum")
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    impossible = F.ctc_loss(t(np.log(p)), mg.tensor([[1, 1]]), [2], [2], reduction="sum")
    assert impossible.item() == float("inf")
    assert F.ctc_loss(t(np.log(p)), mg.tensor([[1, 1]]), [2], [2], reduction="sum", zero_infinity=True).item() == 0


def test_errors_and_warnings() -> None:
    with pytest.raises(ValueError, match=r"is not a valid value for reduction"):
        F.mse_loss(mg.ones(2), mg.ones(2), reduction="average")
    with pytest.raises(ValueError, match=r"Expected input batch_size \(5\) to match target batch_size \(4\)"):
        F.cross_entropy(mg.ones(5, 3), mg.zeros(4, dtype=mg.int64))
    with pytest.raises(ValueError, match=r"Target size .* must be the same as input size"):
        F.binary_cross_entropy_with_logits(mg.ones(3), mg.ones(4))
    with pytest.warns(UserWarning, match=r"Using a target size .* different to the input size"):
        F.mse_loss(mg.ones(2, 1), mg.ones(2))
    with pytest.warns(UserWarning, match=r"size_average and reduce args will be deprecated, please use reduction='sum'"):
        assert nn.L1Loss(size_average=False).reduction == "sum"


def test_huber_loss_of_weights() -> None:
    x, y, w = mg.tensor([0.0, 2.0, -3.0]), mg.tensor([0.5, 0.0, 0.0]), mg.tensor([1.0, 2.0, 0.5])
    each = [0.125, 3.75, 1.6875]
    np.testing.assert_allclose(F.huber_loss(x, y, reduction="none", delta=1.5, weight=w), each)
    np.testing.assert_allclose(F.huber_loss(x, y, reduction="sum", delta=1.5, weight=w), sum(each))
    np.testing.assert_allclose(F.huber_loss(x, y, delta=1.5, weight=w), sum(each) / 3, rtol=1e-6)  # not divided by the weights' sum
    with pytest.raises(ValueError, match="same size"):
        F.huber_loss(x, y, weight=w[:2])
