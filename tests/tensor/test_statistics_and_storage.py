"""Differences, quantiles, histograms; storages and the old ways to make and resize tensors."""

from __future__ import annotations

import numpy as np
import pytest

import monograph as mg

NAN = float("nan")
ROWS = [[3.0, 1.0, 2.0, 7.0], [5.0, 4.0, NAN, 0.0]]


def test_differences() -> None:
    x = mg.tensor([3.0, 1.0, 2.0, 7.0])
    assert x.diff().tolist() == [-2, 1, 5] and mg.diff(x, 2).tolist() == [3, 4] and mg.diff(x, n=9).shape == (0,)
    assert mg.diff(x, prepend=mg.zeros(1)).tolist() == [3, -2, 1, 5] and mg.diff(mg.tensor([True, False, False])).tolist() == [True, False]
    with pytest.raises(RuntimeError, match="at least one-dimensional"):
        mg.diff(mg.tensor(1.0))


@pytest.mark.parametrize("method", ["linear", "lower", "higher", "midpoint", "nearest"])
def test_quantiles_are_numpys(method: str) -> None:
    x = np.random.default_rng(0).standard_normal((4, 7))
    for q in (0.0, 0.33, 0.5, 1.0):
        found = mg.quantile(mg.tensor(x), q, dim=1, interpolation=method)
        np.testing.assert_allclose(found.numpy(), np.quantile(x, q, axis=1, method=method))
    found = mg.quantile(mg.tensor(x), mg.tensor([0.1, 0.9], dtype=mg.float64), dim=0, keepdim=True, interpolation=method)
    np.testing.assert_allclose(found.numpy(), np.quantile(x, [0.1, 0.9], axis=0, keepdims=True, method=method))


def test_quantiles_and_nan() -> None:
    x = mg.tensor(ROWS)
    assert mg.quantile(x, 0.5, dim=1).isnan().tolist() == [False, True]
    assert mg.nanquantile(x, mg.tensor([0.0, 0.5]), dim=1).tolist() == [[1.0, 0.0], [2.5, 4.0]]
    with pytest.raises(RuntimeError, match=r"range \[0, 1\]"):
        mg.quantile(x, 1.5)
    with pytest.raises(RuntimeError, match="float or double"):
        mg.quantile(mg.arange(3), 0.5)


def test_the_gradient_of_a_quantile() -> None:
    x = mg.tensor([1.0, 4.0, 2.0], dtype=mg.float64, requires_grad=True)
    assert mg.autograd.gradcheck(lambda v: mg.quantile(v, 0.4), (x,))


def test_histograms() -> None:
    x = mg.tensor([3.0, 1.0, 2.0, 7.0, 9.0])
    assert mg.histc(x, bins=4, min=0, max=8).tolist() == [1, 2, 0, 1] and mg.histc(mg.ones(3), 3).tolist() == [0, 3, 0]
    hist, edges = mg.histogram(x, 4)
    assert hist.tolist() == [2, 1, 0, 2] and edges.tolist() == [1, 3, 5, 7, 9]
    weighed = mg.histogram(x, bins=3, range=(1.0, 7.0), weight=mg.arange(5.0), density=True)
    np.testing.assert_allclose(weighed.hist.numpy(), [0.25, 0, 0.25])
    points = mg.tensor([[0.0, 1], [1, 0], [2, 0], [2, 2]])
    assert mg.histogramdd(points, bins=[3, 3], weight=mg.tensor([1.0, 2, 4, 8])).hist.tolist() == [[0, 1, 0], [2, 0, 0], [4, 0, 8]]
    with pytest.raises(NotImplementedError, match="not implemented for 'int64'"):
        mg.histc(mg.arange(3))


def test_storages_are_the_memory_of_tensor_and_views() -> None:
    x = mg.arange(4.0)
    memory = x[1:].storage()
    assert len(memory) == 4 and memory[1] == 1.0 and memory.nbytes() == 16 and x.untyped_storage().size() == 16 and mg.is_storage(memory)
    memory[2] = 9.0
    assert x.tolist() == [0, 1, 9, 3] and memory.data_ptr() == x.data_ptr()
    assert mg.ByteTensor(mg.ByteStorage.from_buffer(b"abc")).tolist() == [97, 98, 99]
    assert isinstance(mg.FloatStorage(3), mg.FloatStorage) and mg.FloatStorage([1.0, 2.0]).tolist() == [1.0, 2.0]


def test_old_ways_to_make_and_resize() -> None:
    x = mg.arange(4)
    assert x.new(2, 3).shape == (2, 3) and x.new([1, 2]).dtype is mg.int64 and mg.arange(4).resize_(2, 2).tolist() == [[0, 1], [2, 3]]
    assert mg.arange(2).resize_(3)[:2].tolist() == [0, 1] and mg.ones(2).resize_as_(mg.ones(2, 2)).shape == (2, 2)
    assert [p.tolist() for p in x.split(split_size=3)] == [[0, 1, 2], [3]]
    with pytest.raises(RuntimeError, match="cannot resize variables that require grad"):
        mg.ones(2, requires_grad=True).resize_(3)
    with pytest.raises(NotImplementedError, match="quantised"):
        x.int_repr()
