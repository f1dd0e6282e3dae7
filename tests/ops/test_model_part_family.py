"""Normalisation, attention and losses where the samples of the records do not reach: extremes, masks, statistics, known values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monograph.autodiff.vjp import gradients
from monograph.core.attrs import Attrs
from monograph.core.dtype import float64, int64
from monograph.graph.node import Node
from monograph.graph.op import OpDef
from monograph.ops import attention, batch_norm, cross_entropy, loss, norm
from monograph.ops.source import constant, placeholder, project
from monograph.targets.reference import apply, run

DRAW = np.random.default_rng(3)


def tracked(shape: tuple[int, ...]) -> Node:
    node = placeholder(shape, float64)
    node.requires_grad = True
    return node


def decomposed(op: OpDef, attrs: Attrs, *arrays: np.ndarray) -> np.ndarray:
    """The op's value through its decomposition, which targets compile, rather than through its reference."""
    nodes = [placeholder(a.shape, int64 if a.dtype == np.int64 else float64) for a in arrays]
    return run([op.decompose(attrs, *nodes)], dict(zip(nodes, arrays, strict=True)))[0]


def test_softmax_of_huge_and_of_infinite_scores() -> None:
    x = np.array([[1e300, 1e300, -np.inf], [-np.inf, 0.0, -np.inf]])
    np.testing.assert_array_equal(decomposed(norm.softmax, norm.SoftmaxAttrs(1), x), [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]])
    assert np.isnan(decomposed(norm.softmax, norm.SoftmaxAttrs(0), np.array([-np.inf, -np.inf]))).all()


def test_layer_norm_of_a_constant_row_is_zero() -> None:
    np.testing.assert_array_equal(decomposed(norm.layer_norm, norm.LayerNormAttrs(1), np.full((2, 4), 1e6)), np.zeros((2, 4)))


def test_layer_norm_keeps_its_digits_far_from_zero() -> None:
    x = 1e8 + np.arange(4.0)
    expected = (x - x.mean()) / math.sqrt(1.25 + 1e-5)
    np.testing.assert_allclose(decomposed(norm.layer_norm, norm.LayerNormAttrs(1), x), expected, rtol=1e-9)


def test_the_statistics_of_batch_norm_are_outputs_with_gradients() -> None:
    x, g = DRAW.standard_normal((3, 2, 4)), DRAW.standard_normal((2,))
    node, seed = tracked(x.shape), placeholder((2,), float64)
    y = batch_norm.batch_norm_training(node)
    mean, variance = project(y, index=1), project(y, index=2)
    gradient = gradients([mean, variance], [node], [seed, seed])[0]
    assert gradient is not None
    got = run([mean, variance, gradient], {node: x, seed: g})
    np.testing.assert_allclose(got[0], x.mean((0, 2)))
    np.testing.assert_allclose(got[1], x.var((0, 2)))
    per_channel = g[None, :, None]
    np.testing.assert_allclose(got[2], per_channel / 12 + per_channel * 2 * (x - x.mean((0, 2), keepdims=True)) / 12)


def test_a_query_that_may_see_no_key_attends_to_nothing() -> None:
    q, k, v = (placeholder((2, 2), float64) for _ in range(3))
    mask = placeholder((2, 2), float64)
    for node in (q, k, v):
        node.requires_grad = True
    y = attention.scaled_dot_product_attention(q, k, v, mask, has_mask=True)
    found = gradients([y], [q, k, v], [constant(1, float64, (2, 2))])
    values = {n: DRAW.standard_normal((2, 2)) for n in (q, k, v)} | {mask: np.array([[-np.inf, -np.inf], [0.0, -np.inf]])}
    through = attention.scaled_dot_product_attention.decompose(y.attrs, q, k, v, mask)
    results = run([y, through, *[g for g in found if g is not None]], values)
    np.testing.assert_allclose(results[0], [[0.0, 0.0], values[v][0]])
    assert all(np.isfinite(r).all() for r in results)
    np.testing.assert_allclose(results[0], results[1])


def test_cross_entropy_of_even_logits_is_the_logarithm_of_the_number_of_classes() -> None:
    value = decomposed(cross_entropy.cross_entropy, cross_entropy.ClassAttrs(), np.zeros((3, 7)), np.array([0, 6, 3]))
    assert value == pytest.approx(math.log(7))


def test_ignored_targets_neither_count_nor_pull() -> None:
    x, t = tracked((3, 4)), placeholder((3,), int64)
    y = cross_entropy.cross_entropy(x, t)
    gradient = gradients([y], [x], [constant(1, float64)])[0]
    assert gradient is not None
    logits = DRAW.standard_normal((3, 4))
    value, found = run([y, gradient], {x: logits, t: np.array([1, -100, 2])})
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert value == pytest.approx(-(log_p[0, 1] + log_p[2, 2]) / 2)
    np.testing.assert_array_equal(found[1], np.zeros(4))
    np.testing.assert_allclose(found[0], (np.exp(log_p[0]) - np.eye(4)[1]) / 2)


def test_a_target_out_of_range_is_refused_when_it_runs() -> None:
    for compute in (apply, decomposed):
        with pytest.raises(IndexError, match="5 is out of bounds"):
            compute(cross_entropy.cross_entropy, cross_entropy.ClassAttrs(), np.zeros((2, 3)), np.array([0, 5]))


@pytest.mark.parametrize(
    ("logit", "target", "expected"), [(1000.0, 0.0, 1000.0), (-1000.0, 1.0, 1000.0), (1000.0, 1.0, 0.0), (0.0, 0.5, math.log(2))]
)
def test_bce_with_logits_does_not_overflow(logit: float, target: float, expected: float) -> None:
    assert decomposed(loss.bce_with_logits, loss.BinaryAttrs(), np.array([logit]), np.array([target])) == pytest.approx(expected)


def test_a_confident_error_costs_a_hundred() -> None:
    assert decomposed(loss.bce_loss, loss.BinaryAttrs(), np.array([0.0]), np.array([1.0])) == 100.0
