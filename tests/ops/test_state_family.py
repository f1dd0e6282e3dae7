"""Random numbers, scans, sorting and optimiser steps: what must be the same each time, and sequences of steps by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from monograph.autodiff.vjp import gradients
from monograph.core.dtype import float32, float64, int64
from monograph.ops import optim, random, scan, sort
from monograph.ops.source import constant, placeholder
from monograph.targets.reference import apply, run

KEY, OFFSET = np.asarray(11), np.asarray(4)


def test_a_draw_is_a_function_of_its_state() -> None:
    a = random.DrawAttrs((4, 6), float32)
    first, again = (apply(random.random_normal, a, KEY, OFFSET) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (first != apply(random.random_normal, a, KEY, np.asarray(5))).all()
    assert (first != apply(random.random_normal, a, np.asarray(12), OFFSET)).all()


def test_draws_have_their_distribution() -> None:
    n = 40_000
    uniform = apply(random.random_uniform, random.DrawAttrs((n,), float32), KEY, OFFSET)
    normal = apply(random.random_normal, random.DrawAttrs((n,), float64), KEY, OFFSET)
    assert uniform.min() >= 0 and uniform.max() < 1 and abs(uniform.mean() - 0.5) < 0.01
    assert abs(normal.mean()) < 0.02 and abs(normal.std() - 1) < 0.02
    counts = np.bincount(apply(random.random_int, random.IntegersAttrs((n,), 3, 8), KEY, OFFSET))
    assert len(counts) == 8 and (counts[:3] == 0).all() and (abs(counts[3:] - n / 5) < 400).all()
    chances = np.repeat([0.0, 0.25, 1.0], n // 4)
    drawn = apply(random.bernoulli, random.bernoulli.make_attrs(), chances, KEY, OFFSET).reshape(3, -1).mean(1)
    assert drawn[0] == 0 and drawn[2] == 1 and abs(drawn[1] - 0.25) < 0.02


def test_a_permutation_holds_every_number_once() -> None:
    order = apply(random.random_permutation, random.PermutationAttrs(100), KEY, OFFSET)
    assert (order != np.arange(100)).any()
    np.testing.assert_array_equal(np.sort(order), np.arange(100))


def test_the_gradient_of_dropout_is_masked_by_the_same_numbers() -> None:
    x, key, offset = placeholder((50,), float64), placeholder((), int64), placeholder((), int64)
    x.requires_grad = True
    y = random.dropout(x, key, offset, p=0.4)
    gradient = gradients([y], [x], [constant(1, float64, (50,))])[0]
    assert gradient is not None
    value, found = run([y, gradient], {x: np.ones(50), key: KEY, offset: OFFSET})
    np.testing.assert_array_equal(value, found)
    assert set(np.unique(value)) == {0.0, 1 / 0.6}


@pytest.mark.parametrize("x", [[2.0, 0.0, 3.0, 4.0], [0.0, 2.0, 0.0, 1.0], [1.5, -2.0, 3.0, 0.0]])
def test_the_gradient_of_cumprod_where_products_vanish(x: list[float]) -> None:
    values, g = np.array(x), np.array([0.5, -1.0, 2.0, 3.0])
    node, seed = placeholder((4,), float64), placeholder((4,), float64)
    node.requires_grad = True
    found = gradients([scan.cumprod(node, dim=0)], [node], [seed])[0]
    assert found is not None
    expected = [sum(g[i] * np.prod([values[j] for j in range(i + 1) if j != k]) for i in range(k, 4)) for k in range(4)]
    np.testing.assert_allclose(run([found], {node: values, seed: g})[0], expected, atol=1e-12)


def test_logcumsumexp_keeps_small_values_beside_great_ones() -> None:
    x = placeholder((5,), float64)
    y = scan.logcumsumexp.decompose(scan.ScanAttrs(0), x)
    values = np.array([-1000.0, -999.0, 0.0, 1000.0, -np.inf])
    np.testing.assert_allclose(run([y], {x: values})[0], np.logaddexp.accumulate(values))


def test_order_with_ties_and_nan() -> None:
    x = np.array([2.0, np.nan, 1.0, 2.0, 1.0])
    np.testing.assert_array_equal(apply(sort.sort, sort.SortAttrs(0), x)[1], [2, 4, 0, 3, 1])
    np.testing.assert_array_equal(apply(sort.sort, sort.SortAttrs(0, True), x)[1], [1, 0, 3, 2, 4])
    np.testing.assert_array_equal(apply(sort.topk, sort.TopkAttrs(2, 0), x)[1], [1, 0])
    np.testing.assert_array_equal(apply(sort.topk, sort.TopkAttrs(2, 0, False), x)[1], [2, 4])


def step(op: Any, attrs: Any, *arrays: Any) -> list[np.ndarray]:
    """One optimiser step through the decomposition."""
    values = [np.asarray(a) for a in arrays]
    nodes = [placeholder(v.shape, float32 if v.dtype == np.float32 else float64) for v in values]
    return run(op.decompose(attrs, *nodes), dict(zip(nodes, values, strict=True)))


def test_momentum_starts_as_the_gradient() -> None:
    p, g = np.array([1.0]), np.array([0.5])
    p, buffer = step(optim.sgd_update, optim.SgdAttrs(momentum=True, first=True), p, g, 0.1, 0.9, 0.5)
    np.testing.assert_allclose([p, buffer], [[0.95], [0.5]])
    p, buffer = step(optim.sgd_update, optim.SgdAttrs(momentum=True), p, g, 0.1, 0.9, 0.5, buffer)
    np.testing.assert_allclose([p, buffer], [[0.95 - 0.07], [0.7]])


def test_the_first_step_of_adam_is_the_learning_rate() -> None:
    zero = np.zeros(3, np.float32)
    g = np.array([1e-3, -5.0, 200.0], np.float32)
    p, m, v = step(optim.adam_update, optim.AdamAttrs(), zero, g, zero, zero, np.float32(1), 0.01, 0.9, 0.999, 1e-8)
    np.testing.assert_allclose(p, -0.01 * np.sign(g), rtol=2e-5)
    np.testing.assert_allclose(m, 0.1 * g, rtol=1e-6)
    np.testing.assert_allclose(v, 0.001 * g * g, rtol=1e-5)


def test_decoupled_decay_shrinks_the_parameter_alone() -> None:
    one, zero = np.ones(1), np.zeros(1)
    attrs = optim.AdamAttrs(decay=True, decoupled=True)
    p, m, v = step(optim.adam_update, attrs, one, zero, zero, zero, np.float32(1), 0.1, 0.9, 0.999, 1e-8, 0.5)
    np.testing.assert_allclose([p, m, v], [[0.95], [0.0], [0.0]])
