"""The plain interpreter: values given, values held, decompositions, several outputs, and errors that name the user's line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from monograph import ops
from monograph.core.dtype import bool_, float32, int64
from monograph.core.modes import MODES
from monograph.graph.node import Node
from monograph.ops.source import constant, from_value, number, placeholder
from monograph.targets.reference import apply, run


@pytest.fixture(autouse=True)
def _forget_recorded_nodes() -> Iterator[None]:
    yield
    MODES.pending.clear()


class HeldArray:
    """A materialised value, as a buffer gives it."""

    nbytes = 0

    def __init__(self, array: np.ndarray) -> None:
        self.held = array

    def array(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        return self.held.astype(dtype).reshape(shape)


def test_runs_a_graph_from_given_and_held_values() -> None:
    x = placeholder((2, 3), float32)
    w = from_value(HeldArray(np.arange(3)), (3,), float32)
    y = x * w + 1
    given = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(run([y, x], {x: given})[0], given * [0, 1, 2] + 1)


def test_a_value_given_for_an_inner_node_is_taken() -> None:
    x = placeholder((2,), float32)
    middle = ops.exp(x)
    (y,) = run([middle + 1], {middle: np.zeros(2, np.float32)})
    np.testing.assert_array_equal(y, [1, 1])


def test_a_source_without_a_value_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"float32\[2, 3\] \(6 elements\) has no value"):
        run([ops.exp(placeholder((2, 3), float32))], {})


def test_composites_are_interpreted_without_leaving_nodes_behind() -> None:
    x = placeholder((4,), float32)
    y = ops.mean(x, dims=(0,), keepdim=False)
    before = len(MODES.pending)
    assert run([y], {x: np.arange(4, dtype=np.float32)})[0] == 1.5
    assert len(MODES.pending) == before


def test_an_index_out_of_range_names_value_size_and_line() -> None:
    x, i = placeholder((3, 2), float32), placeholder((2,), int64)
    y = ops.index_select(x, i, dim=0)
    with pytest.raises(IndexError, match=r"index 7 is out of bounds for dimension 0 with size 3 .*index_select.*test_reference\.py"):
        run([y], {x: np.zeros((3, 2), np.float32), i: np.array([1, 7])})


FIVE = np.arange(5.0)
WRONG: list[tuple[Any, dict[str, Any], list[np.ndarray], str]] = [
    (ops.gather, {"dim": 0}, [FIVE, np.array([0, -1])], "index -1 is out of bounds for dimension 0 with size 5"),
    (ops.gather, {"dim": 0}, [FIVE, np.array([5])], "index 5 is"),
    (ops.scatter, {"dim": 0}, [FIVE, np.array([9]), np.ones(1)], "index 9 is"),
    (ops.scatter_add, {"dim": 0}, [FIVE, np.array([-2]), np.ones(1)], "index -2 is"),
    (ops.scatter_reduce, {"dim": 0, "reduce": "amax"}, [FIVE, np.array([6]), np.ones(1)], "index 6 is"),
    (ops.index_select, {"dim": 0}, [FIVE, np.array([-1])], "index -1 is"),
    (ops.index_add, {"dim": 0, "alpha": 1}, [FIVE, np.array([5]), np.ones(1)], "index 5 is"),
    (ops.index.index, {"dims": (0,)}, [FIVE, np.array([-6])], "index -6 is"),
    (ops.index.index, {"dims": (1,)}, [np.zeros((2, 0)), np.array([0])], "index 0 is out of bounds for dimension 1 with size 0"),
    (ops.index_put, {"dims": (0,)}, [FIVE, np.array([5]), np.ones(1)], "index 5 is"),
    (ops.one_hot, {"num_classes": 3}, [np.array([0, 3])], "index 3 is out of bounds for dimension 1 with size 3"),
    (ops.embedding, {}, [np.zeros((4, 2)), np.array([[4]])], "index 4 is out of bounds for dimension 0 with size 4"),
]


@pytest.mark.parametrize(("op", "attributes", "arrays", "message"), WRONG, ids=[f"{w[0].name}-{k}" for k, w in enumerate(WRONG)])
def test_every_op_that_takes_indices_checks_them(op: Any, attributes: dict[str, Any], arrays: list[np.ndarray], message: str) -> None:
    with pytest.raises(IndexError, match=message):
        apply(op, op.make_attrs(**attributes), *arrays)


def test_advanced_indexing_is_numpys() -> None:
    x = np.arange(120.0).reshape(2, 3, 4, 5)
    i, j = np.array([[1], [-1]]), np.array([0, 2, 1])
    for dims, expected in [((1,), x[:, i]), ((1, 2), x[:, i, j]), ((0, 2), x[i, :, j]), ((0, 3), x[i, :, :, j]), ((0, 1), x[i, j])]:
        indices = [i] if len(dims) == 1 else [i, j]
        np.testing.assert_array_equal(apply(ops.index.index, ops.index.IndexAttrs(dims), x, *indices), expected)


def test_padding_rows_of_an_embedding_get_no_gradient() -> None:
    weight, labels = placeholder((4, 2), float32), placeholder((3,), int64)
    y = ops.embedding(weight, labels, padding_idx=2)
    g = placeholder((3, 2), float32)
    gradient = y.op.vjp(g, y, y.attrs, weight, labels)[0]
    values = {labels: np.array([2, 0, 2]), g: np.ones((3, 2), np.float32)}
    np.testing.assert_array_equal(run([gradient], values)[0], [[1, 1], [0, 0], [0, 0], [0, 0]])


def test_node_operators_read_like_mathematics() -> None:
    x = placeholder((3,), float32)
    a = np.array([1.0, 2.0, 4.0], np.float32)
    expressions: list[tuple[Node, Any]] = [
        (x + 1, a + 1), (1 + x, 1 + a), (x - 1, a - 1), (1 - x, 1 - a), (x * 3, a * 3), (3 * x, 3 * a), (x / 2, a / 2), (2 / x, 2 / a),
        (-x, -a), (x**2, a**2), (x**0.5, a**0.5), (x * x, a * a), (x**x, a**a),
    ]  # fmt: skip
    for node, expected in expressions:
        assert node.dtype is float32
        np.testing.assert_allclose(run([node], {x: a})[0], expected, rtol=1e-6)


def test_run_time_numbers_and_constants_are_sources_too() -> None:
    lr = number(0.5, float32)
    both = ops.where(constant(True, bool_), lr * 2, constant(7, float32))
    assert run([both], {})[0] == 1.0
