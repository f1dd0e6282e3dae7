"""Every verb of `Dataset` gives the elements, in the order, that TensorFlow 2.21 gives (the expected values were computed with it)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph.core.errors import ShapeError

D = mg.data.Dataset


def plain(x: Any) -> Any:
    if isinstance(x, tuple):
        return [plain(y) for y in x]
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    return x.tolist() if hasattr(x, "tolist") else x


def elements(ds: Any) -> list[Any]:
    return [plain(e) for e in ds]


def windows(size: int, shift: int | None, stride: int, drop: bool) -> Any:
    return D.range(10).window(size, shift, stride, drop).flat_map(lambda w: w.batch(10))


LISTS = [[0], [1, 2, 3, 4], [5, 6, 7], [7, 8, 9, 10, 11], [13, 14, 15, 16, 19, 20], [21, 22]]
OPEN = mg.TensorSpec((None,), mg.int64)


def lists(count: int = 6) -> Any:
    return D.from_generator(lambda: LISTS[:count], output_signature=OPEN)


def filled(x: Any) -> Any:
    return mg.full((int(x),), int(x))


CASES: dict[str, tuple[Callable[[], Any], list[Any]]] = {
    "interleave": (
        lambda: D.range(1, 6).interleave(lambda x: D.from_tensors(x).repeat(int(x)), cycle_length=2, block_length=2),
        [1, 2, 2, 3, 3, 3, 4, 4, 5, 5, 4, 4, 5, 5, 5],
    ),
    "interleave of three": (
        lambda: D.range(1, 8).interleave(lambda x: D.range(int(x)), cycle_length=3, block_length=1),
        [0, 0, 0, 1, 1, 0, 2, 1, 0, 2, 1, 0, 3, 2, 1, 3, 2, 0, 4, 3, 1, 4, 2, 5, 3, 4, 5, 6],
    ),
    "interleave with empty ones": (
        lambda: D.range(0, 6).interleave(lambda x: D.from_tensors(x).repeat(5 - int(x)), cycle_length=4, block_length=3),
        [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 0, 0, 1, 4],
    ),
    "interleave in threads": (
        lambda: D.range(1, 8).interleave(lambda x: D.range(int(x)), cycle_length=3, block_length=2, num_parallel_calls=3),
        [0, 0, 1, 0, 1, 0, 1, 2, 2, 3, 0, 1, 0, 1, 2, 3, 2, 3, 0, 1, 4, 4, 5, 2, 3, 4, 5, 6],
    ),
    "flat_map": (lambda: D.range(4).flat_map(lambda x: D.range(int(x))), [0, 0, 1, 0, 1, 2]),
    "window": (lambda: windows(3, None, 1, False), [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]),
    "window by one": (
        lambda: windows(3, 1, 1, False),
        [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [4, 5, 6], [5, 6, 7], [6, 7, 8], [7, 8, 9], [8, 9], [9]],
    ),
    "window stride": (lambda: windows(3, 2, 2, False), [[0, 2, 4], [2, 4, 6], [4, 6, 8], [6, 8], [8]]),
    "window stride drop": (lambda: windows(3, 2, 2, True), [[0, 2, 4], [2, 4, 6], [4, 6, 8]]),
    "window with gaps": (lambda: windows(2, 3, 1, False), [[0, 1], [3, 4], [6, 7], [9]]),
    "window with gaps drop": (lambda: windows(2, 4, 1, True), [[0, 1], [4, 5], [8, 9]]),
    "window stride with gaps": (lambda: windows(3, 5, 2, False), [[0, 2, 4], [5, 7, 9]]),
    "window wide gaps": (lambda: windows(3, 7, 1, False), [[0, 1, 2], [7, 8, 9]]),
    "group_by_window": (
        lambda: D.range(10).group_by_window(lambda x: x % 3, lambda k, w: w.batch(2), window_size=2),
        [[0, 3], [1, 4], [2, 5], [6, 9], [7], [8]],
    ),
    "group_by_window sizes": (
        lambda: D.range(11).group_by_window(lambda x: -(x % 3), lambda k, w: w.batch(4), window_size_func=lambda k: 2 - k),
        [[0, 3], [1, 4, 7], [6, 9], [2, 5, 8], [10]],
    ),
    "bucket": (
        lambda: lists().bucket_by_sequence_length(len, [3, 5], [2, 2, 2]),
        [[[1, 2, 3, 4], [5, 6, 7, 0]], [[7, 8, 9, 10, 11, 0], [13, 14, 15, 16, 19, 20]], [[0, 0], [21, 22]]],
    ),
    "bucket padded to its boundary": (
        lambda: lists(4).bucket_by_sequence_length(len, [4, 8], [2, 2, 2], pad_to_bucket_boundary=True, padding_values=-1),
        [[[0, -1, -1], [5, 6, 7]], [[1, 2, 3, 4, -1, -1, -1], [7, 8, 9, 10, 11, -1, -1]]],
    ),
    "padded_batch": (lambda: D.range(1, 5).map(filled).padded_batch(2), [[[1, 0], [2, 2]], [[3, 3, 3, 0], [4, 4, 4, 4]]]),
    "padded_batch of a shape": (
        lambda: D.range(1, 5).map(filled).padded_batch(3, padded_shapes=[5], padding_values=-1),
        [[[1, -1, -1, -1, -1], [2, 2, -1, -1, -1], [3, 3, 3, -1, -1]], [[4, 4, 4, 4, -1]]],
    ),
    "padded_batch of tuples": (
        lambda: D.range(1, 4).map(lambda x: (filled(x), x)).padded_batch(2, padded_shapes=([None], []), padding_values=(9, None)),
        [[[[1, 9], [2, 2]], [1, 2]], [[[3, 3, 3]], [3]]],
    ),
    "scan": (lambda: D.range(10).scan(0, lambda s, x: (s + x, s * x)), [0, 0, 2, 9, 24, 50, 90, 147, 224, 324]),
    "unique": (lambda: D.from_tensor_slices([1, 37, 2, 37, 2, 1]).unique(), [1, 37, 2]),
    "take_while": (lambda: D.range(10).take_while(lambda x: x < 5), [0, 1, 2, 3, 4]),
    "shard": (lambda: D.range(10).shard(3, 1), [1, 4, 7]),
    "enumerate": (lambda: D.from_tensor_slices([7, 8]).enumerate(5), [[5, 7], [6, 8]]),
    "zip": (lambda: D.zip((D.range(3), {"a": D.range(5, 9)})), [[0, {"a": 5}], [1, {"a": 6}], [2, {"a": 7}]]),
    "choose": (
        lambda: D.choose_from_datasets([D.from_tensors(c).repeat(n) for c, n in (("a", 3), ("b", 2), ("c", 5))], D.range(3).repeat(3)),
        ["a", "b", "c", "a", "b", "c", "a"],
    ),
    "choose to all ends": (
        lambda: D.choose_from_datasets(
            [D.from_tensors(c).repeat(n) for c, n in (("a", 3), ("b", 2), ("c", 5))], D.range(3).repeat(5), stop_on_empty_dataset=False
        ),
        ["a", "b", "c", "a", "b", "c", "a", "c", "c", "c"],
    ),
    "batch, repeat": (lambda: D.range(5).batch(2).repeat(2), [[0, 1], [2, 3], [4], [0, 1], [2, 3], [4]]),
    "repeat, batch": (lambda: D.range(5).repeat(2).batch(4, drop_remainder=True), [[0, 1, 2, 3], [4, 0, 1, 2]]),
    "unbatch": (lambda: D.from_tensor_slices([[1, 2], [3, 4]]).unbatch(), [1, 2, 3, 4]),
    "rebatch": (lambda: D.range(10).batch(4).rebatch(3), [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]),
    "range down": (lambda: D.range(10, 3, -2), [10, 8, 6, 4]),
    "skip all": (lambda: D.range(5).skip(-1), []),
    "take all": (lambda: D.range(5).take(-1), [0, 1, 2, 3, 4]),
    "concatenate": (lambda: D.range(2).concatenate(D.range(7, 9)), [0, 1, 7, 8]),
}


@pytest.mark.parametrize("name", CASES)
def test_elements_and_order_are_tensorflows(name: str) -> None:
    make, expected = CASES[name]
    ds = make()
    assert elements(ds) == expected
    assert elements(ds) == expected, "a second pass"
    if ds.cardinality() >= 0:
        assert len(ds) == len(expected)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: D.range(5).filter(lambda x: True), -2), (lambda: D.range(5).repeat(), -1), (lambda: D.range(0).repeat(), 0),
        (lambda: D.range(5).batch(2), 3), (lambda: D.range(6).batch(2, drop_remainder=True).unbatch(), 6),
        (lambda: D.range(10).window(3, 2), 5), (lambda: D.range(10).window(3, 2, 2, True), 3),
        (lambda: D.zip(D.range(3), D.range(4)), 3), (lambda: D.range(5).take(3), 3), (lambda: D.range(5).repeat().take(3), 3),
        (lambda: D.range(5).skip(7), 0), (lambda: D.range(3).flat_map(lambda x: D.range(2)), -2),
        (lambda: D.range(2).concatenate(D.range(3)), 5), (lambda: D.choose_from_datasets([D.range(2)], D.range(2)), -2),
        (lambda: D.zip(D.range(3), D.range(4).repeat()), 3), (lambda: D.range(3).unique(), -2),
    ],
)  # fmt: skip
def test_cardinalities_are_tensorflows(make: Any, expected: int) -> None:
    assert make().cardinality() == expected


def test_lengths_that_are_not_known_are_errors() -> None:
    with pytest.raises(TypeError, match="infinite"):
        len(D.range(3).repeat())
    with pytest.raises(TypeError, match="unknown"):
        len(D.range(3).filter(lambda x: True))
    assert D.range(0)


def test_specs() -> None:
    long = mg.int64
    assert D.range(5).batch(2).element_spec == mg.TensorSpec((None,), long)
    assert D.range(5).batch(2, drop_remainder=True).element_spec == mg.TensorSpec((2,), long)
    assert lists().padded_batch(2).element_spec == mg.TensorSpec((None, None), long)
    both = D.range(5).batch(2).map(lambda x: (x, x.float())).element_spec
    assert both == (mg.TensorSpec((None,), long), mg.TensorSpec((None,), mg.float32))
    assert D.from_tensor_slices({"a": np.zeros((3, 2), np.float32), "t": ["x", "y", "z"]}).element_spec == {
        "a": mg.TensorSpec((2,), mg.float32), "t": mg.TensorSpec((), str)
    }  # fmt: skip


def test_structures_and_types_of_elements() -> None:
    ds = D.from_tensor_slices({"x": np.arange(6.0).reshape(3, 2), "name": ["a", "b", "c"], "y": mg.arange(3)})
    first = next(iter(ds))
    assert set(first) == {"x", "name", "y"}
    assert isinstance(first["x"], mg.Tensor) and first["x"].dtype is mg.float64
    assert first["name"] == "a" and first["y"].item() == 0
    batch = next(iter(ds.batch(2)))
    assert batch["name"].tolist() == ["a", "b"] and batch["x"].shape == (2, 2)
    assert [x.dtype for x in next(iter(D.from_tensors((1.5, 2, True, 1j))))] == [mg.float32, mg.int64, mg.bool, mg.complex64]
    numpy = next(ds.as_numpy_iterator())
    assert isinstance(numpy["x"], np.ndarray) and numpy["y"] == 0 and isinstance(numpy["y"], np.int64)


def test_what_is_handed_out_is_the_users_own() -> None:
    source = np.zeros((2, 3), np.float32)
    for row in D.from_tensor_slices(source):
        row.numpy()[:] = 7
        row += 1
    assert not source.any()
    cached = D.range(3).map(lambda x: x * 1.0).cache()
    for x in cached:
        x += 5
    assert elements(cached) == [0.0, 1.0, 2.0]


def test_a_generator_that_reuses_its_buffer() -> None:
    def buffers() -> Any:
        a = np.zeros(2)
        for i in range(3):
            a[:] = i
            yield a

    assert elements(D.from_generator(buffers).batch(3)) == [[[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]]


def test_generators_are_checked_against_their_signature() -> None:
    good = D.from_generator(lambda n: ((i, [float(i)]) for i in range(n)), output_signature=(
        mg.TensorSpec((), mg.int32), mg.TensorSpec((1,), mg.float64)), args=(2,))  # fmt: skip
    assert [x.dtype for x in next(iter(good))] == [mg.int32, mg.float64]
    bad = D.from_generator(lambda: [[1, 2]], output_signature=mg.TensorSpec((3,), mg.int64))
    with pytest.raises(TypeError, match=r"shape \(2,\).*where an element of shape \(3,\)"):
        list(bad)
    old = D.from_generator(lambda: [1, 2], mg.int32, ())
    assert next(iter(old)).dtype is mg.int32


def test_shuffle_is_a_permutation_its_own_in_each_pass_and_seeded() -> None:
    ds = D.range(20).shuffle(6, seed=3)
    passes = [elements(ds) for _ in range(3)]
    assert all(sorted(p) == list(range(20)) for p in passes)
    assert len({tuple(p) for p in passes}) == 3
    again = D.range(20).shuffle(6, seed=3)
    assert [elements(again) for _ in range(3)] == passes
    fixed = D.range(20).shuffle(6, seed=3, reshuffle_each_iteration=False)
    assert elements(fixed) == elements(fixed)
    assert all(x < 6 + i for i, x in enumerate(passes[0])), "nothing is drawn before it was in the buffer"
    mg.manual_seed(1)
    first = elements(D.range(50).shuffle(50))
    mg.manual_seed(1)
    assert elements(D.range(50).shuffle(50)) == first
    two = elements(D.range(5).shuffle(5, seed=0).repeat(2))
    assert sorted(two[:5]) == sorted(two[5:]) == list(range(5))


def test_sampling_from_datasets() -> None:
    ds = D.sample_from_datasets([D.from_tensors(0).repeat(), D.from_tensors(1).repeat()], weights=[0.8, 0.2], seed=1)
    drawn = elements(ds.take(500))
    assert 60 < sum(drawn) < 140
    both = D.sample_from_datasets([D.range(3), D.range(10, 14)], seed=2)
    assert sorted(elements(both)) == [0, 1, 2, 10, 11, 12, 13] and both.cardinality() == 7


def test_rejection_resampling_reaches_the_target() -> None:
    ds = D.from_tensor_slices([0] * 90 + [1] * 10).shuffle(100, seed=1).repeat(20)
    classes = [c for c, _ in elements(ds.rejection_resample(lambda x: x, [0.5, 0.5], [0.9, 0.1], seed=1))]
    assert 0.4 < sum(classes) / len(classes) < 0.6


def test_reduce_single_elements_apply_and_random_numbers() -> None:
    assert D.range(5).reduce(0, lambda s, x: s + x).item() == 10
    total, count = D.range(5).batch(2).reduce((0, 0), lambda s, x: (s[0] + x.sum(), s[1] + 1))
    assert (total.item(), count.item()) == (10, 3)
    assert D.range(1).get_single_element().item() == 0
    with pytest.raises(ValueError, match="more than one"):
        D.range(2).get_single_element()
    assert elements(D.range(6).apply(lambda ds: ds.batch(3))) == [[0, 1, 2], [3, 4, 5]]
    assert elements(D.random(seed=4).take(3)) == elements(D.random(seed=4).take(3))
    assert elements(D.counter(5, 2).take(3)) == [5, 7, 9]
    assert elements(D.range(3).with_options(None)) == [0, 1, 2]


def test_caching_reads_the_source_once(tmp_path: Path) -> None:
    for where in ("", str(tmp_path / "kept")):
        calls: list[int] = []
        ds = D.range(4).map(lambda x, calls=calls: calls.append(1) or {"x": x, "t": "é"}).cache(where)
        next(iter(ds))
        calls.clear()
        assert elements(ds) == elements(ds) == [{"x": i, "t": "é"} for i in range(4)]
        assert len(calls) == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kept"]


def test_saving_and_loading(tmp_path: Path) -> None:
    ds = D.from_tensor_slices((np.arange(6, dtype=np.float32).reshape(3, 2), ["a", "b", "c"], [b"1", b"2", b"\xff"]))
    for compression in (None, "GZIP"):
        ds.save(tmp_path / "saved", compression=compression)
        assert elements(D.load(tmp_path / "saved", compression=compression)) == elements(ds)
    with pytest.raises(FileNotFoundError, match="no file"):
        D.load(tmp_path / "nowhere")


def test_files_are_listed(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "c.csv"):
        (tmp_path / name).touch()
    found = elements(D.list_files(str(tmp_path / "*.txt"), shuffle=False))
    assert [Path(p).name for p in found] == ["a.txt", "b.txt"]
    assert sorted(elements(D.list_files(str(tmp_path / "*"), seed=1))) == sorted(str(p) for p in tmp_path.iterdir())
    with pytest.raises(ValueError, match="No files matched"):
        D.list_files(str(tmp_path / "*.png"))


def test_any_other_dataset_is_a_source() -> None:
    class Squares(mg.data.Dataset):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, i: int) -> tuple[Any, int]:
            return mg.tensor([float(i)]), i * i

    assert elements(D.from_source(Squares()).batch(2)) == [[[[0.0], [1.0]], [0, 1]], [[[2.0], [3.0]], [4, 9]]]
    loader = mg.data.DataLoader(Squares(), batch_size=3)
    assert elements(D.from_source(loader)) == [[[[0.0], [1.0], [2.0]], [0, 1, 4]], [[[3.0]], [9]]]
    assert not hasattr(Squares(), "batch") and not hasattr(Squares(), "from_tensors") and not hasattr(Squares, "zip")


def test_a_pipeline_goes_into_a_loader() -> None:
    loader = mg.data.DataLoader(D.range(4).map(lambda x: (x, x * 2)), batch_size=2)
    assert [[t.tolist() for t in batch] for batch in loader] == [[[0, 1], [0, 2]], [[2, 3], [4, 6]]]


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: list(lists().batch(2)), ShapeError, r"First element had shape \[1\] and element 1 had shape \[4\]"),
        (lambda: list(lists().padded_batch(2, padded_shapes=[2])), ShapeError, "pad to a smaller size"),
        (lambda: list(lists().padded_batch(2, padded_shapes=[2, 2])), ShapeError, "number of dimensions"),
        (lambda: D.range(3).batch(0), ValueError, "above 0, got 0"),
        (lambda: D.range(3).shuffle(0), ValueError, "buffer_size"),
        (lambda: D.from_tensor_slices(3), ShapeError, "first dimension"),
        (lambda: D.from_tensor_slices(([1, 2], [1])), ShapeError, "same number of rows"),
        (lambda: D.from_tensors(object()), TypeError, "made of tensors"),
        (lambda: D.range(3).shard(2, 2), ValueError, "between 0 and 1"),
        (lambda: D.range(3).map(3), TypeError, "takes a function"),
        (lambda: D.range(3).concatenate([1]), TypeError, "from_source"),
        (lambda: list(D.range(3).flat_map(lambda x: x)), TypeError, "must return a dataset, got Tensor"),
        (lambda: D.range(3).group_by_window(len, len), ValueError, "window_size"),
        (lambda: list(D.range(3).assert_cardinality(4)), RuntimeError, "expected to contain 4 elements but had 3"),
        (lambda: D.range(1, 2, 0), ValueError, "step cannot be 0"),
        (lambda: D.range(3).bucket_by_sequence_length(len, [3], [2]), ValueError, "bucket_batch_sizes"),
        (lambda: D.from_generator([1]), TypeError, "callable"),
        (lambda: list(D.range(2).map(lambda x: "a" if x == 0 else 1).batch(2)), TypeError, "different types"),
        (lambda: list(D.range(2).map(lambda x: x if x == 0 else x * 0.5).batch(2)), TypeError, "different types"),
    ],
)
def test_errors_teach(make: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make()
