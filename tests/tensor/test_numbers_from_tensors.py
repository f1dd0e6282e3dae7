"""Tensors of one number where a Python number is expected: sizes, dimensions, factors; and what is refused there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import monograph as mg
import monograph.nn.functional as F

X = mg.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize("whole", [mg.tensor, np.int64], ids=["tensor", "numpy"])
@pytest.mark.parametrize(
    "call",
    [
        lambda x, i: mg.topk(x, i(2)).values,
        lambda x, i: mg.narrow(x, i(1), i(1), i(2)),
        lambda x, i: x.sum(i(1)),
        lambda x, i: x.sum(dim=(i(0), i(1))),
        lambda x, i: x.logsumexp(i(0)),
        lambda x, i: x.var(i(0)),
        lambda x, i: x.chunk(i(2))[1],
        lambda x, i: x.split(i(2), 1)[0],
        lambda x, i: x.sort(i(0)).values,
        lambda x, i: F.max_pool1d(x, i(2)),
        lambda x, i: F.avg_pool1d(x, i(2)),
        lambda x, i: F.conv1d(x, mg.ones(1, 2, 2), None, i(1)),
        lambda x, i: F.adaptive_avg_pool1d(x, i(1)),
        lambda x, i: F.interpolate(x.unsqueeze(0), i(6)),
        lambda x, i: x.reshape(i(3), i(2)),
        lambda x, i: x.expand(i(2), 2, 3),
    ],
)
def test_whole_numbers_of_other_classes_are_sizes_and_dims(call: Callable[..., Any], whole: Callable[[int], Any]) -> None:
    assert call(X, whole).tolist() == call(X, int).tolist()


@pytest.mark.parametrize("k", [2.0, True, None, "2", mg.tensor(2.0), mg.tensor([2, 1])])
def test_what_is_no_whole_number_is_no_k_and_leaves_nothing_behind(k: Any) -> None:
    with pytest.raises(TypeError, match=r"topk\(\): argument 'k' \(position 2\) must be int, not"):
        mg.topk(X, k)
    assert (X + 1).sum().item() == 21.0


def test_a_fraction_is_no_dim() -> None:
    for call in (lambda: X.sum(1.0), lambda: X.softmax(1.0), lambda: X.sort(1.0)):
        with pytest.raises(TypeError):
            call()


def test_factors_may_be_tensors_of_one_number() -> None:
    one = mg.ones(2)
    assert mg.add(one, one, alpha=mg.tensor(2.0)).tolist() == [3.0, 3.0]
    assert F.leaky_relu(-one, mg.tensor(0.5)).tolist() == [-0.5, -0.5]
    assert F.layer_norm(X, (3,), eps=mg.tensor(1e-5)).equal(F.layer_norm(X, (3,), eps=1e-5))


@pytest.mark.parametrize(
    ("x", "alpha", "error", "words"),
    [
        (mg.ones(2), mg.tensor(2.0, requires_grad=True), TypeError, "must be Number, not Tensor"),
        (mg.ones(2), mg.tensor([2.0, 1.0]), TypeError, "must be Number, not Tensor"),
        (mg.ones(2), None, TypeError, "must be Number, not NoneType"),
        (mg.ones(2), True, RuntimeError, "Boolean alpha"),
        (mg.ones(2), 2j, RuntimeError, "non-complex input"),
        (mg.ones(2, dtype=mg.int64), 1.0, RuntimeError, "integral input"),
    ],
)
def test_alphas_that_are_refused(x: mg.Tensor, alpha: Any, error: type[Exception], words: str) -> None:
    for function in (mg.add, mg.sub):
        with pytest.raises(error, match=words):
            function(x, x, alpha=alpha)


@pytest.mark.parametrize(
    "call",
    [
        lambda i: F.embedding(i, mg.ones(3, 2)),
        lambda i: mg.ones(3, 2).index_select(0, i),
        lambda i: mg.gather(mg.ones(3), 0, i),
        lambda i: mg.zeros(3).scatter(0, i, 1.0),
        lambda i: mg.zeros(3).index_add(0, i, mg.ones(1)),
    ],
)
@pytest.mark.parametrize("value", [-1, -7])
def test_a_negative_index_is_named_in_the_error(call: Callable[[mg.Tensor], mg.Tensor], value: int) -> None:
    with pytest.raises(IndexError, match=f"index {value} is out of bounds for dimension 0 with size 3"):
        call(mg.tensor([value])).tolist()
