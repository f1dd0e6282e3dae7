"""What random calls have found: numbers that do not fit, parts of in-place ops, empty and odd arguments. What is expected is torch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import monograph as mg
import monograph.nn.functional as F


@pytest.mark.parametrize(
    ("call", "dtype", "value"),
    [
        (lambda x: x + 300, mg.int8, 45),
        (lambda x: 300 - x, mg.int8, 43),
        (lambda x: x - 300, mg.uint8, 213),
        (lambda x: x * 2**31, mg.int32, -(2**31)),
        (lambda x: x | 300, mg.int8, 45),
        (lambda x: x == 2**40, mg.uint8, False),
        (lambda x: x > -300, mg.int8, True),
        (lambda x: x + 2**63, mg.int64, -(2**63) + 1),
        (lambda x: x.add_(300), mg.int8, 45),
    ],
)
def test_numbers_that_do_not_fit_wrap_around_in_operators(call: Callable[[Any], mg.Tensor], dtype: mg.dtype, value: Any) -> None:
    assert call(mg.ones(2, dtype=dtype)).tolist() == [value] * 2


@pytest.mark.parametrize("call", [lambda x: x**300, lambda x: x.fill_(300), lambda x: mg.where(x > 0, x, 300), lambda x: x.clamp(0, 300)])
def test_and_are_refused_elsewhere(call: Callable[[Any], mg.Tensor]) -> None:
    with pytest.raises(RuntimeError, match="without overflow"):
        call(mg.ones(2, dtype=mg.int8))


def test_more_than_sixty_four_bits_are_too_many() -> None:
    with pytest.raises(OverflowError, match="int too big to convert"):
        mg.ones(2, dtype=mg.int64) + 2**70


def test_bounds_that_are_tensors() -> None:
    nan = float("nan")
    x = mg.tensor([0.0, 1.0, 2.0], requires_grad=True)
    low, high = mg.tensor([0.0, 1.5, 0.0], requires_grad=True), mg.tensor([1.0, 1.2, 2.0], requires_grad=True)
    x.clamp(low, high).sum().backward()
    assert [t.grad.tolist() for t in (x, low, high)] == [[1.0, 0.0, 1.0], [0.0] * 3, [0.0, 1.0, 0.0]]
    assert mg.tensor([nan, 1.0, -1.0]).clamp(mg.tensor([0.0, nan, 0.0]), mg.tensor([0.0, 1.0, nan])).isnan().all()


def test_an_in_place_op_of_several_parts_may_read_what_it_writes_over() -> None:
    x = mg.zeros(2, requires_grad=True)
    y = x * 1
    y.clamp_(mg.full((2,), -1.0, requires_grad=True), mg.tensor(1.0))
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [1.0, 1.0]


def test_nothing_at_all() -> None:
    assert mg.zeros(0).median().isnan() and mg.zeros(0, dtype=mg.int64).median().item() == -(2**63)
    assert mg.zeros(0).nanmedian().isnan()
    assert mg.histogram(mg.zeros(0), 2).bin_edges.tolist() == [0.0, 0.5, 1.0]
    nowhere = mg.zeros(2, 0, dtype=mg.int64)
    assert mg.ones(5).gather(0, nowhere).shape == (2, 0)
    x = mg.zeros(5)
    for y in (x.scatter(0, nowhere, 1.0), x.scatter_add(0, nowhere, mg.ones(3, 3)), x.scatter_reduce(0, nowhere, mg.ones(3), "sum")):
        assert y.equal(x)
    assert not mg.zeros(2, 0).is_set_to(mg.zeros(2, 0))


def test_orders_that_are_no_numbers() -> None:
    orders = mg.tensor([float("inf"), float("nan"), -1.0, 2.0])
    assert mg.special.chebyshev_polynomial_t(mg.full((4,), 2.0), orders).tolist() == [0.0, 0.0, 0.0, 7.0]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda x: mg.squeeze(x, (1, 1)), RuntimeError),
        (lambda x: mg.meshgrid(x), RuntimeError),
        (lambda x: mg.meshgrid(), RuntimeError),
        (lambda x: mg.outer(x, x), RuntimeError),
        (lambda x: mg.chain_matmul(x[None]), RuntimeError),
        (lambda x: x.byte().dist(x.byte()), RuntimeError),
        (lambda x: mg.norm(x, dtype=mg.float16), RuntimeError),
        (lambda x: mg.linalg.vector_norm(x, dtype=mg.float16), RuntimeError),
        (lambda x: mg.trace(0.5), TypeError),
        (lambda x: mg.smm(x, x), RuntimeError),
        (lambda x: mg.lu_solve(x, x, mg.tensor([1, 2])), RuntimeError),
        (lambda x: x.gather(0, mg.zeros(1, 1, dtype=mg.int16)), RuntimeError),
        (lambda x: F.mse_loss(x, x, weight=x[0]), ValueError),
        (lambda x: F.triplet_margin_loss(x, x[0], x), RuntimeError),
        (lambda x: F.cosine_embedding_loss(x, x, mg.tensor(1.0)), RuntimeError),
        (lambda x: F.unfold(x[None, None], (1,)), RuntimeError),
        (lambda x: mg.arange(3.0).to_sparse_csc(), IndexError),
    ],
)
def test_what_torch_refuses(call: Callable[[mg.Tensor], Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        call(mg.ones(2, 2))


def test_a_cosine_of_numbers_of_two_types() -> None:
    x, y = mg.ones(2, 3, dtype=mg.uint8), mg.ones(2, 3).bfloat16()
    assert F.cosine_similarity(x, y).dtype is mg.bfloat16
    with pytest.raises(RuntimeError, match="expected common dtype to be floating point"):
        F.cosine_similarity(x, x)
    assert mg.broadcast_shapes(3, (2, 1)) == (2, 3)


def test_whole_numbers_between_ends_that_are_none() -> None:
    assert mg.linspace(-1.7, 3.9, 4, dtype=mg.int32).tolist() == [-1, 0, 1, 3]
    assert mg.logspace(0, 3.1, 5, dtype=mg.int64).tolist() == [1, 5, 31, 177, 1000]


def test_a_softmax_of_one_number_is_delivered() -> None:
    out = mg.zeros(())
    assert mg.softmax(mg.tensor(3.0), 0, out=out) is out and out.item() == 1.0


def test_weights_of_losses() -> None:
    x, weight = mg.ones(2, 2), mg.tensor([[1.0, 2.0], [3.0, 4.0]])
    for loss in (F.mse_loss, F.l1_loss, F.huber_loss):
        assert loss(x, x * 0, weight=weight, reduction="sum").item() == loss(x, x * 0, reduction="mean").item() * 10


def test_odd_pairs_of_arguments_are_refused() -> None:
    with pytest.raises(RuntimeError, match="same dtype, but found"):
        mg.linalg.vecdot(mg.ones(3), mg.ones(3, dtype=mg.float64))
    with pytest.raises(TypeError, match="takes no out="):
        mg.nonzero(mg.ones(3), as_tuple=True, out=mg.empty(0, dtype=mg.int64))
