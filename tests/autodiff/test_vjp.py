"""Reverse mode on bare nodes: what the pass visits, when it reports, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from monograph.autodiff.vjp import gradients, hook, hooked
from monograph.core.dtype import float64
from monograph.graph.node import Node
from monograph.ops import elementwise, reduce, source
from monograph.targets import reference


def leaf(value: float) -> Node:
    node = source.leaf(source.constant(value, float64, (3,)))
    node.requires_grad = True
    return node


def value(node: Node | None) -> np.ndarray:
    assert node is not None
    (found,) = reference.run([node], {})
    return found


def ones() -> Node:
    return source.constant(1.0, float64, (3,))


def test_a_value_used_twice_gets_both_gradients() -> None:
    x = leaf(3.0)
    (g,) = gradients([x * x + x], [x], [ones()])
    np.testing.assert_array_equal(value(g), [7.0, 7.0, 7.0])


def test_no_path_gives_none() -> None:
    x, y = leaf(1.0), leaf(2.0)
    assert gradients([x * 2], [x, y], [ones()])[1] is None
    assert gradients([elementwise.floor(source.detach(x))], [x], [ones()]) == [None]


def test_leaves_report_once_and_complete() -> None:
    x, y = leaf(2.0), leaf(5.0)
    seen: dict[int, np.ndarray] = {}
    total = reduce.sum(x, dims=(0,), keepdim=False)
    seeds = [ones(), source.constant(10.0, float64)]
    gradients([x * y + x, total], [], seeds, on_leaf=lambda n, g: seen.update({id(n): value(g)}))
    np.testing.assert_array_equal(seen[id(x)], [16.0, 16.0, 16.0])
    np.testing.assert_array_equal(seen[id(y)], [2.0, 2.0, 2.0])


def test_second_order() -> None:
    x = leaf(2.0)
    (first,) = gradients([x * x * x], [x], [ones()])
    assert first is not None
    assert first.requires_grad
    (second,) = gradients([first], [x], [ones()])
    np.testing.assert_array_equal(value(second), [12.0, 12.0, 12.0])


def test_hooks_run_on_the_finished_gradient() -> None:
    x = leaf(1.0)
    y = x * 2
    hook(y).append(lambda g: g * 10)
    assert y in hooked
    (g,) = gradients([y + y], [x], [ones()])
    np.testing.assert_array_equal(value(g), [40.0, 40.0, 40.0])


def test_a_consumed_graph_is_refused() -> None:
    x = leaf(1.0)
    y = elementwise.exp(x)
    gradients([y], [x], [ones()], frozen=True)
    with pytest.raises(RuntimeError, match="a second time"):
        gradients([y], [x], [ones()])


def test_any_depth() -> None:
    x = leaf(1.0)
    y: Node = x
    for _ in range(20_000):
        y = y * 1.0
    (g,) = gradients([y], [x], [ones()])
    assert g is not None
