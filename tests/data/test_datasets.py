"""Datasets, samplers and collation."""

from __future__ import annotations

from collections import Counter, namedtuple

import numpy as np
import pytest

import monograph as mg
from monograph.data import (
    BatchSampler,
    ConcatDataset,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    random_split,
)


class Squares(Dataset):
    """i -> i squared."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, i: int) -> int:
        return i * i


def test_tensor_dataset() -> None:
    data = TensorDataset(mg.arange(6).reshape(3, 2), mg.tensor([7, 8, 9]))
    assert len(data) == 3 and [v.tolist() for v in data[1]] == [[2, 3], 8]
    with pytest.raises(AssertionError, match=r"Size mismatch between tensors"):
        TensorDataset(mg.zeros(3), mg.zeros(2))


def test_combined_datasets() -> None:
    both = Squares() + [100, 200]
    assert isinstance(both, ConcatDataset) and len(both) == 12 and both[9] == 81 and both[10] == 100 and both[-1] == 200
    with pytest.raises(ValueError, match=r"should not exceed dataset length"):
        both[-13]
    part = Subset(Squares(), [3, 5])
    assert len(part) == 2 and part[1] == 25 and part.__getitems__([1, 0]) == [25, 9]
    stacked = StackDataset(x=Squares(), y=range(10))
    assert stacked[3] == {"x": 9, "y": 3} and StackDataset(Squares(), range(10))[2] == (4, 2)
    with pytest.raises(NotImplementedError):
        Dataset()[0]
    with pytest.raises(AssertionError):
        ConcatDataset([])


def test_random_split() -> None:
    parts = random_split(range(10), [7, 3], generator=mg.Generator().manual_seed(1))
    assert [len(p) for p in parts] == [7, 3] and sorted(i for p in parts for i in p) == list(range(10))
    again = random_split(range(10), [7, 3], generator=mg.Generator().manual_seed(1))
    assert parts[0].indices == again[0].indices
    assert [len(p) for p in random_split(range(10), [0.55, 0.45])] == [6, 4]
    with pytest.raises(ValueError, match=r"Sum of input lengths does not equal"):
        random_split(range(10), [3, 3])


def test_samplers() -> None:
    assert list(SequentialSampler(range(4))) == [0, 1, 2, 3]
    order = list(RandomSampler(range(50)))
    assert sorted(order) == list(range(50)) and order != list(range(50)) and order != list(RandomSampler(range(50)))
    seeded = [list(RandomSampler(range(50), generator=mg.Generator().manual_seed(3))) for _ in range(2)]
    assert seeded[0] == seeded[1]
    assert len(list(RandomSampler(range(5), replacement=True, num_samples=70))) == 70
    assert Counter(RandomSampler(range(5), num_samples=12)).most_common(1)[0][1] == 3
    assert sorted(SubsetRandomSampler([4, 8, 6])) == [4, 6, 8]
    drawn = Counter(WeightedRandomSampler([0.0, 1.0, 3.0], 4000))
    assert drawn[0] == 0 and 2.5 < drawn[2] / drawn[1] < 3.6
    assert sorted(WeightedRandomSampler([1.0, 2.0, 3.0], 3, replacement=False)) == [0, 1, 2]
    batches = BatchSampler(SequentialSampler(range(5)), 2, drop_last=False)
    assert list(batches) == [[0, 1], [2, 3], [4]] and len(batches) == 3
    assert list(BatchSampler(range(5), 2, drop_last=True)) == [[0, 1], [2, 3]]
    with pytest.raises(ValueError, match=r"batch_size should be a positive integer value"):
        BatchSampler(range(5), 0, False)
    with pytest.raises(ValueError, match=r"num_samples should be a positive integer value"):
        WeightedRandomSampler([1.0], 0)


def test_distributed_sampler() -> None:
    parts = [list(DistributedSampler(range(7), 3, rank, shuffle=False)) for rank in range(3)]
    assert parts == [[0, 3, 6], [1, 4, 0], [2, 5, 1]]
    sampler = DistributedSampler(range(7), 3, 0, drop_last=True)
    first = list(sampler)
    sampler.set_epoch(1)
    assert len(sampler) == len(first) == 2 and list(sampler) != first


Pair = namedtuple("Pair", "a b")


def test_default_collate() -> None:
    batch = default_collate([(1, 2.0, mg.ones(2), np.zeros(3, np.float32), "x"), (3, 4.0, mg.zeros(2), np.ones(3, np.float32), "y")])
    assert batch[0].tolist() == [1, 3] and batch[0].dtype is mg.int64 and batch[1].dtype is mg.float64
    assert batch[2].shape == (2, 2) and batch[3].dtype is mg.float32 and batch[4] == ("x", "y")
    named = default_collate([Pair(1, {"k": True}), Pair(2, {"k": False})])
    assert isinstance(named, Pair) and named.b["k"].tolist() == [True, False]
    assert default_collate([np.float32(1), np.float32(2)]).dtype is mg.float32
    assert [v.tolist() for v in default_collate([[1, 2], [3, 4]])] == [[1, 3], [2, 4]]
    p = mg.ones(2, requires_grad=True)
    default_collate([p, p * 2]).sum().backward()
    assert p.grad.tolist() == [3, 3]


def test_collate_errors() -> None:
    with pytest.raises(RuntimeError, match=r"stack expects each tensor to be equal size, but got \[2\] at entry 0 and \[3\] at entry 1"):
        default_collate([mg.ones(2), mg.ones(3)])
    with pytest.raises(RuntimeError, match=r"each element in list of batch should be of equal size"):
        default_collate([[1, 2], [1]])
    with pytest.raises(TypeError, match=r"must contain tensors, numpy arrays, numbers, dicts or lists; found <class 'object'>"):
        default_collate([object()])


def test_default_convert() -> None:
    converted = default_convert({"a": np.arange(2), "b": [np.float32(1), "s"]})
    assert converted["a"].tolist() == [0, 1] and converted["b"][1] == "s"


def test_iterable_datasets_chain() -> None:
    class Count(IterableDataset):
        def __init__(self, n: int) -> None:
            self.n = n

        def __iter__(self):
            return iter(range(self.n))

    assert list(Count(2) + Count(3)) == [0, 1, 0, 1, 2]
