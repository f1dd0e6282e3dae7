"""Functions made of others: arithmetic.py, calculus.py, ranking.py, rearranging.py, rewriting.py; `out=` in delivery.py."""

from __future__ import annotations

import numpy as np
import pytest

import monograph as mg


def test_out_takes_the_result_resized_and_is_returned() -> None:
    out = mg.zeros(7)
    assert mg.gather(mg.arange(4.0), 0, mg.tensor([3, 0]), out=out) is out
    assert out.tolist() == [3.0, 0.0]
    values, indices = mg.zeros(0), mg.zeros(0, dtype=mg.int64)
    found = mg.sort(mg.tensor([2.0, 1.0]), out=(values, indices))
    assert found.values is values
    assert values.tolist() == [1.0, 2.0]
    assert indices.tolist() == [1, 0]


@pytest.mark.parametrize("call", [
    lambda: mg.gather(mg.arange(4.0), 0, mg.tensor([0]), out=mg.zeros(1, dtype=mg.float64)),
    lambda: mg.sort(mg.arange(3), out=(mg.zeros(3), mg.zeros(3, dtype=mg.int64))),
    lambda: mg.zeros(3, dtype=mg.float32, out=mg.zeros(3, dtype=mg.int64)),
    lambda: mg.add(mg.ones(2), 1.5, out=mg.zeros(2, dtype=mg.int64)),
])  # fmt: skip
def test_out_of_the_wrong_dtype(call: object) -> None:
    with pytest.raises(RuntimeError, match=r"dtype|can't be cast"):
        call()  # type: ignore[operator]


def test_out_is_off_the_tape() -> None:
    with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
        mg.add(mg.ones(2, requires_grad=True), 1, out=mg.zeros(2))


def test_creation_takes_the_dtype_of_out() -> None:
    out = mg.zeros(0, dtype=mg.int32)
    assert mg.ones(2, 2, out=out) is out
    assert (out.dtype, tuple(out.shape)) == (mg.int32, (2, 2))


@pytest.mark.parametrize("name", ["maximum", "fmin", "atan2", "hypot", "logaddexp"])
def test_functions_that_take_no_numbers(name: str) -> None:
    function = getattr(mg, name)
    for a, b in ((mg.ones(2), 1), (1, mg.ones(2)), (1, 1)):
        with pytest.raises(TypeError):
            function(a, b)


def test_as_strided_shares_memory() -> None:
    x = mg.arange(6.0)
    windows = x.as_strided((3, 2), (1, 1), 1)
    assert windows.tolist() == [[1, 2], [2, 3], [3, 4]]
    assert (windows.stride(), windows.storage_offset()) == ((1, 1), 1)
    x.as_strided((2,), (3,), 0).fill_(9.0)
    assert x.tolist() == [9, 1, 2, 9, 4, 5]
    assert x[2:].as_strided((2,), (1,)).tolist() == [2, 9]
    with pytest.raises(RuntimeError, match="need 8 elements"):
        x.as_strided((8,), (1,))


def test_as_strided_sums_gradients_of_overlaps() -> None:
    x = mg.arange(4.0).requires_grad_()
    x.as_strided((3, 2), (1, 1)).sum().backward()
    assert x.grad.tolist() == [1, 2, 2, 1]


def test_squeeze_in_place_counts_as_a_write() -> None:
    x = mg.ones(1, 2)
    before = x._version
    assert x.squeeze_(0)._version == before + 1


def test_places_in_sorted_numbers() -> None:
    edges = mg.tensor([1.0, 3.0, 3.0, 7.0])
    assert mg.searchsorted(edges, mg.tensor([3.0, 9.0])).tolist() == [1, 4]
    assert mg.searchsorted(edges, mg.tensor([3.0]), side="right").tolist() == [3]
    assert mg.bucketize(2.0, edges, out_int32=True).dtype is mg.int32
    with pytest.raises(RuntimeError, match="same dtype"):
        mg.searchsorted(edges, mg.tensor([3]))


def test_mode_and_medians() -> None:
    values, _ = mg.mode(mg.tensor([[1, 2, 2, 3], [3, 3, 1, 1]]))
    assert values.tolist() == [2, 1]
    assert mg.nanmedian(mg.tensor([float("nan"), 3.0, 1.0, 2.0])).item() == 2.0
    assert mg.kthvalue(mg.tensor([3.0, 1.0, 2.0]), 2).values.item() == 2.0


def test_covariance_is_numpys() -> None:
    x = np.random.default_rng(0).normal(size=(3, 6))
    weights = np.array([1, 2, 1, 1, 3, 1])
    assert np.allclose(mg.cov(mg.tensor(x), fweights=mg.tensor(weights)).numpy(), np.cov(x, fweights=weights))
    assert np.allclose(mg.corrcoef(mg.tensor(x)).numpy(), np.corrcoef(x))


def test_slopes_are_numpys() -> None:
    y, at = np.array([1.0, 4.0, 9.0, 25.0, 16.0]), np.array([0.0, 1.0, 2.5, 3.0, 5.0])
    for order in (1, 2):
        (slope,) = mg.gradient(mg.tensor(y), spacing=(mg.tensor(at),), edge_order=order)
        assert np.allclose(slope.numpy(), np.gradient(y, at, edge_order=order))


def test_copies_with_a_part_written() -> None:
    x = mg.zeros(2, 3)
    assert mg.select_scatter(x, mg.ones(3), 0, 1).tolist() == [[0, 0, 0], [1, 1, 1]]
    assert mg.slice_scatter(x, mg.ones(2, 1), 1, 2).tolist() == [[0, 0, 1], [0, 0, 1]]
    assert mg.index_reduce(mg.ones(3), 0, mg.tensor([0, 0]), mg.tensor([2.0, 4.0]), "prod").tolist() == [8, 1, 1]
    assert mg.put(mg.zeros(2, 2), mg.tensor([3]), mg.tensor([5.0])).tolist() == [[0, 0], [0, 5]]
    with pytest.raises(RuntimeError, match="slice size"):
        mg.select_scatter(x, mg.ones(2), 0, 1)


def test_sums_of_logarithms_without_overflow() -> None:
    a, b = mg.tensor([1000.0, -float("inf")], requires_grad=True), mg.tensor([1000.0, -float("inf")])
    y = mg.logaddexp(a, b)
    assert y[0].item() == pytest.approx(1000.0 + np.log(2))
    assert y[1].item() == -float("inf")
    y[0].backward()
    assert a.grad.tolist()[0] == 0.5
