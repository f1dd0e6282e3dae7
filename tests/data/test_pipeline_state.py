"""Iterators of pipelines: resumed at the exact element, errors with their place, threads that end."""

from __future__ import annotations

import gc
import pickle
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import monograph as mg

D = mg.data.Dataset


def plain(x: Any) -> Any:
    if isinstance(x, tuple):
        return [plain(y) for y in x]
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    return x.tolist() if hasattr(x, "tolist") else x


def ours() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("monograph-")]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    gc.collect()
    assert not ours()


def slow_square(x: Any) -> Any:
    time.sleep(0.001 * (int(x) % 3))
    return x * x


def words(tmp: Path) -> list[str]:
    paths = []
    for name, count in (("a", 3), ("b", 0), ("c", 4)):
        path = tmp / f"{name}.txt"
        path.write_text("".join(f"{name}{i}\n" for i in range(count)))
        paths.append(str(path))
    return paths


PIPELINES: dict[str, Callable[[Path], Any]] = {
    "slices": lambda tmp: D.from_tensor_slices({"x": np.arange(8.0), "t": list("abcdefgh")}),
    "generator": lambda tmp: D.from_generator(lambda: iter(range(9))),
    "map": lambda tmp: D.range(9).map(lambda x: x * 0.1),
    "parallel map": lambda tmp: D.range(12).map(slow_square, num_parallel_calls=3),
    "prefetch": lambda tmp: D.range(9).map(slow_square).prefetch(3),
    "shuffle": lambda tmp: D.range(12).shuffle(5, seed=1),
    "unseeded shuffle": lambda tmp: D.range(12).shuffle(5),
    "shuffle, repeat": lambda tmp: D.range(5).shuffle(4, seed=2).repeat(3),
    "filter, take, skip": lambda tmp: D.range(30).filter(lambda x: x % 2 == 0).skip(2).take(9),
    "batch": lambda tmp: D.range(11).batch(3),
    "padded batch": lambda tmp: D.range(1, 12).map(lambda x: mg.ones(int(x))).padded_batch(3),
    "unbatch": lambda tmp: D.range(10).batch(4).unbatch(),
    "window": lambda tmp: D.range(10).window(3, 2, 2).flat_map(lambda w: w.batch(3)),
    "interleave": lambda tmp: D.range(6).interleave(lambda x: D.range(int(x)).map(lambda y: y + 10 * x), cycle_length=3, block_length=2),
    "parallel interleave": lambda tmp: D.range(6).interleave(lambda x: D.range(int(x)), cycle_length=3, num_parallel_calls=2),
    "flat_map of shuffles": lambda tmp: D.range(4).flat_map(lambda x: D.range(4).shuffle(4, seed=7)),
    "group_by_window": lambda tmp: D.range(17).group_by_window(lambda x: x % 3, lambda k, w: w.batch(2), window_size=4),
    "bucket": lambda tmp: D.range(1, 12).map(lambda x: mg.full((int(x) % 5 + 1,), 1)).bucket_by_sequence_length(len, [3, 5], [2, 2, 2]),
    "concatenate, zip, enumerate": lambda tmp: D.zip(D.range(4).concatenate(D.range(10, 13)), D.range(20, 40)).enumerate(),
    "scan, take_while": lambda tmp: D.range(20).scan(0, lambda s, x: (s + x, s + x)).take_while(lambda x: x < 60),
    "unique": lambda tmp: D.from_tensor_slices([1, 2, 1, 3, 2, 4, 5, 1, 6]).unique(),
    "cache": lambda tmp: D.range(4).map(lambda x: x * 2).cache().repeat(3),
    "cache in a file": lambda tmp: D.range(4).map(lambda x: x * 2).cache(str(tmp / "cache")).repeat(3),
    "sample": lambda tmp: D.sample_from_datasets([D.range(5), D.range(10, 15)], [0.3, 0.7], seed=3),
    "choose": lambda tmp: D.choose_from_datasets([D.range(5), D.range(10, 15)], D.range(2).repeat(4)),
    "resample": lambda tmp: D.range(40).rejection_resample(lambda x: x % 2, [0.2, 0.8], seed=5),
    "lines": lambda tmp: mg.data.TextLineDataset(words(tmp)),
    "all together": lambda tmp: (
        D.from_tensor_slices({"x": np.arange(24, dtype=np.float32)})
        .shuffle(7, seed=4).map(lambda d: {"x": d["x"] + 0.5}, num_parallel_calls=2).batch(4).repeat(2).prefetch(2)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PIPELINES)
def test_a_resumed_pass_goes_on_with_the_very_next_element(name: str, tmp_path: Path) -> None:
    mg.manual_seed(11)
    whole = [plain(e) for e in PIPELINES[name](tmp_path)]
    (tmp_path / "cache").unlink(missing_ok=True)
    assert len(whole) > 3
    for stop in (0, 1, len(whole) // 2, len(whole) - 1, len(whole)):
        mg.manual_seed(11)
        it = iter(PIPELINES[name](tmp_path))
        head = [plain(next(it)) for _ in range(stop)]
        state = pickle.loads(pickle.dumps(it.state_dict()))
        tail_here = [plain(e) for e in it]
        mg.manual_seed(12)
        (tmp_path / "cache").unlink(missing_ok=True)
        other = iter(PIPELINES[name](tmp_path))
        for _ in range(min(2, len(whole))):
            next(other)
        other.load_state_dict(state)
        assert [plain(e) for e in other] == tail_here
        assert head + tail_here == whole
        (tmp_path / "cache").unlink(missing_ok=True)


def test_later_passes_are_those_that_would_have_come() -> None:
    ds = D.range(10).shuffle(10, seed=1)
    it = iter(ds)
    next(it)
    state = it.state_dict()
    rest = [plain(list(it)), plain(list(ds)), plain(list(ds))]
    new = D.range(10).shuffle(10, seed=1)
    resumed = iter(new)
    resumed.load_state_dict(state)
    assert [plain(list(resumed)), plain(list(new)), plain(list(new))] == rest


def test_states_of_other_pipelines_are_refused() -> None:
    state = iter(D.range(4).batch(2)).state_dict()
    with pytest.raises(ValueError, match=r"another pipeline: it was Positional > Batch, this is Positional > Map"):
        iter(D.range(4).map(lambda x: x)).load_state_dict(state)


def test_a_state_is_saved_with_monograph(tmp_path: Path) -> None:
    it = iter(D.range(9).shuffle(4, seed=1).batch(2))
    next(it)
    mg.save(it.state_dict(), tmp_path / "state.pt")
    rest = [plain(e) for e in it]
    other = iter(D.range(9).shuffle(4, seed=1).batch(2))
    other.load_state_dict(mg.load(tmp_path / "state.pt", weights_only=False))
    assert [plain(e) for e in other] == rest


@pytest.mark.parametrize("threads", [None, 2])
@pytest.mark.parametrize("ahead", [False, True])
def test_errors_come_with_traceback_and_place(threads: int | None, ahead: bool) -> None:
    def faulty(x: Any) -> Any:
        if x == 3:
            raise KeyError("no such label")
        return x

    ds = D.range(6).map(faulty, num_parallel_calls=threads)
    it = iter(ds.prefetch(2) if ahead else ds)
    assert [next(it).item() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="no such label") as caught:
        next(it)
    text = "".join(traceback.format_exception(caught.value))
    assert "at element 3" in text and "Dataset.map" in text and "in faulty" in text
    assert [next(it).item() for _ in range(2)] == [4, 5], "what follows is not lost"
    it.close()
    assert plain(list(ds.ignore_errors())) == [0, 1, 2, 4, 5]
    with pytest.warns(UserWarning, match="left out an element: KeyError"):
        list(ds.ignore_errors(log_warning=True))


def test_stop_iteration_in_a_function_is_no_end() -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        list(D.range(3).map(lambda x: next(iter([]))))


def test_generator_errors_have_their_place() -> None:
    def faulty() -> Any:
        yield 1
        raise OSError("disk")

    with pytest.raises(OSError, match="disk") as caught:
        list(D.from_generator(faulty))
    assert "at element 1" in caught.value.__notes__[0]


def test_parallel_calls_keep_the_order_and_run_at_once() -> None:
    meeting = threading.Barrier(3, timeout=20)

    def met(x: Any) -> Any:
        meeting.wait()
        return x

    assert plain(list(D.range(9).map(met, num_parallel_calls=3))) == list(range(9))
    assert sorted(plain(list(D.range(9).map(slow_square, num_parallel_calls=3, deterministic=False)))) == [x * x for x in range(9)]


def test_tensor_functions_in_threads_give_what_they_give_in_turn() -> None:
    def work(x: Any) -> Any:
        y = mg.arange(16, dtype=mg.float32).reshape(4, 4) * x
        return (y @ y).softmax(-1).sum(0)

    a, b = (list(D.range(20).map(work, num_parallel_calls=n)) for n in (None, 4))
    assert all((x == y).all() for x, y in zip(a, b, strict=True))


def test_threads_end_with_their_iterator() -> None:
    ds = D.range(1000).map(slow_square, num_parallel_calls=2).prefetch(4)
    for _ in ds:
        assert ours()
        break
    gc.collect()
    assert not ours()
    it = iter(ds)
    next(it)
    it.close()
    assert not ours()
    with pytest.raises(StopIteration):
        next(it)
    list(ds.take(5))
    assert not ours()
    nested = iter(D.range(3).interleave(lambda x: ds, cycle_length=2, num_parallel_calls=2))
    next(nested)
    del nested


def test_element_specs_leave_no_thread() -> None:
    assert D.range(50).map(slow_square, num_parallel_calls=2).prefetch(2).element_spec == mg.TensorSpec((), mg.int64)
    with pytest.raises(ValueError, match="num_parallel_calls"):
        D.range(3).map(slow_square, num_parallel_calls=0)


def test_a_pipeline_trains_a_model() -> None:
    mg.manual_seed(0)
    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    ds = D.from_tensor_slices((x, x @ np.array([1.0, -2.0, 0.5], np.float32))).shuffle(64, seed=0).batch(16).repeat(20).prefetch(2)
    model = mg.nn.Linear(3, 1)
    optimizer = mg.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for a, b in ds:
        loss = ((model(a).squeeze(-1) - b) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 1e-3 < losses[0]
