"""DataLoader: order, workers, failures, seeds."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import signal
import time

import numpy as np
import pytest

import monograph as mg
from monograph.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info


class Items(Dataset):
    """Samples of several kinds; some indices are special."""

    def __init__(self, n: int = 23, size: int = 3) -> None:
        self.n, self.size = n, size

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int):
        return {"x": mg.full((self.size,), float(i)), "y": np.int64(i), "name": str(i)}


class Special(Items):
    """Does something else at one index."""

    def __init__(self, index: int, act) -> None:
        super().__init__()
        self.index, self.act = index, act

    def __getitem__(self, i: int):
        if i == self.index:
            self.act()
        return i


def fail() -> None:
    raise ValueError("broken sample")


def listed(loader) -> list:
    return [(b["x"][:, 0].tolist(), b["x"].shape, b["y"].tolist(), b["name"]) for b in loader]


@pytest.mark.parametrize("size", [3, 50_000])  # small batches travel in the pipe, large ones in shared memory
def test_order_does_not_depend_on_workers(size: int) -> None:
    seen = []
    for workers in (0, 1, 3):
        mg.manual_seed(3)
        seen.append(listed(DataLoader(Items(size=size), batch_size=4, shuffle=True, num_workers=workers)))
    assert seen[0] == seen[1] == seen[2] and len(seen[0]) == 6
    assert sorted(i for batch in seen[0] for i in batch[2]) == list(range(23))


def test_batches() -> None:
    assert len(DataLoader(Items(), batch_size=4)) == 6 and len(DataLoader(Items(), batch_size=4, drop_last=True)) == 5
    assert [b["y"].tolist() for b in DataLoader(Items(5), batch_size=2, drop_last=True)] == [[0, 1], [2, 3]]
    assert [s["y"] for s in DataLoader(Items(3), batch_size=None)] == [0, 1, 2]
    assert [b["y"].tolist() for b in DataLoader(Items(), batch_sampler=[[1, 2], [5]])] == [[1, 2], [5]]
    assert [b for b in DataLoader(range(4), batch_size=2, collate_fn=sum)] == [1, 5]
    assert [b["y"].tolist() for b in DataLoader(Items(), sampler=[7, 3], num_workers=2)] == [[7], [3]]


def test_tensor_dataset_batches() -> None:
    x, y = mg.arange(10.0).reshape(5, 2), mg.arange(5)
    for workers in (0, 2):
        batches = list(DataLoader(TensorDataset(x, y), batch_size=2, num_workers=workers))
        assert [b[0].tolist() for b in batches][1] == [[4, 5], [6, 7]] and batches[2][1].tolist() == [4]
    batches[0][0].fill_(0)
    assert x[0].tolist() == [0, 1]


def test_a_workers_exception_arrives_with_its_traceback() -> None:
    with pytest.raises(ValueError, match=r"broken sample") as caught:
        list(DataLoader(Special(7, fail), batch_size=4, num_workers=2))
    text = str(caught.value)
    assert "Caught ValueError in DataLoader worker process 1 at sample index 7" in text and "in fail\n" in text
    with pytest.raises(ValueError, match=r"broken sample") as caught:
        list(DataLoader(Special(7, fail), batch_size=4))
    assert caught.value.__notes__ == ["DataLoader: at sample index 7"]


def test_a_killed_worker_is_reported() -> None:
    loader = DataLoader(Special(9, lambda: os.kill(os.getpid(), signal.SIGKILL)), batch_size=4, num_workers=2)
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid\(s\) \d+\) exited unexpectedly: worker 0, killed by signal 9"):
        list(loader)


def test_timeout() -> None:
    loader = DataLoader(Special(9, lambda: time.sleep(30)), batch_size=4, num_workers=2, timeout=0.3)
    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0.3 seconds"):
        list(loader)


class Stream(IterableDataset):
    """0 ... 9, shared out between workers."""

    def __iter__(self):
        info = get_worker_info()
        return iter(range(10) if info is None else range(info.id, 10, info.num_workers))


def test_iterable_datasets() -> None:
    assert [b.tolist() for b in DataLoader(Stream(), batch_size=4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [b.tolist() for b in DataLoader(Stream(), batch_size=4, num_workers=2)] == [[0, 2, 4, 6], [1, 3, 5, 7], [8], [9]]
    assert len(list(DataLoader(Stream(), batch_size=4, drop_last=True, num_workers=2))) == 2
    with pytest.raises(ValueError, match=r"expected unspecified shuffle option"):
        DataLoader(Stream(), shuffle=True)


def test_worker_info_and_init() -> None:
    assert get_worker_info() is None

    class Who(Items):
        def __getitem__(self, i: int):
            info = get_worker_info()
            return info.id, info.num_workers, info.dataset is self, os.environ["WORKER"]

    def start(worker: int) -> None:
        os.environ["WORKER"] = f"w{worker}"

    found = [b for b in DataLoader(Who(4), batch_size=None, num_workers=2, worker_init_fn=start)]
    assert [tuple(b) for b in found] == [(0, 2, True, "w0"), (1, 2, True, "w1")] * 2


def test_workers_are_seeded() -> None:
    class Noise(Items):
        def __getitem__(self, i: int):
            return mg.rand(()).item(), random.random(), float(np.random.rand())  # noqa: NPY002

    def numbers(seed: int) -> list:
        mg.manual_seed(seed)
        return [tuple(b) for b in DataLoader(Noise(4), batch_size=None, num_workers=2)]

    assert numbers(1) == numbers(1) != numbers(2)
    assert len(set(numbers(1))) == 4


class Augmented(Items):
    """Samples that chance has a part in, drawn in all the usual ways."""

    def __init__(self, n: int = 22, size: int = 3, source=lambda: mg.rand(()).item()) -> None:
        super().__init__(n, size)
        self.source = source

    def __getitem__(self, i: int):
        top = mg.randint(0, 5, (1,)).item()
        noise = mg.rand(self.size) if mg.rand(1) < 0.5 else mg.randn(self.size).flip(0)
        return (mg.arange(self.size + 5).float().div(7)[top : top + self.size] + noise, i, self.source())


def augmented(workers: int, start: int = 0, **settings) -> list:
    """Two epochs of values (from a batch on)."""
    mg.manual_seed(4)
    data = settings.pop("data", None) or Augmented()
    loader = DataLoader(data, batch_size=4, shuffle=True, num_workers=workers, **settings)
    return [[part.tolist() for part in batch] for _ in range(2) for batch in loader.iterate_from(start)]


def test_augmentation_does_not_depend_on_workers() -> None:
    expected = augmented(0)
    assert augmented(1) == augmented(2) == augmented(2, persistent_workers=True) == expected == augmented(0)
    first, second = expected[:6], expected[6:]
    assert first != second and len({value for batch in expected for value in batch[2]}) == 44
    assert augmented(2, start=2)[:4] == first[2:] == augmented(0, start=2)[:4]  # an epoch that is taken up in its middle
    big = {"data": Augmented(size=20_000)}  # travels in shared memory
    assert augmented(2, **big) == augmented(0, **big)


def test_samples_leave_the_random_stream_where_it_was() -> None:
    mg.manual_seed(4)
    loader = iter(DataLoader(Augmented(), batch_size=4))
    before = mg.get_rng_state().tolist()
    next(loader)
    assert mg.get_rng_state().tolist() == before
    plain, drawing = DataLoader(Items(), batch_size=4), DataLoader(Augmented(), batch_size=4)
    after = []
    for other in (plain, drawing):
        mg.manual_seed(4)
        list(other)
        after.append(mg.rand(3).tolist())
    assert after[0] == after[1]


@pytest.mark.parametrize("source", [random.random, lambda: float(np.random.rand())], ids=["python", "numpy"])  # noqa: NPY002
def test_other_streams_do_not_depend_on_the_number_of_workers(source) -> None:
    expected = augmented(1, data=Augmented(source=source))
    assert augmented(3, data=Augmented(source=source)) == expected
    assert augmented(2, data=Augmented(source=source), persistent_workers=True) == expected


def test_a_stream_that_worker_init_fn_seeds_is_left_to_it() -> None:
    def start(worker: int) -> None:
        np.random.seed(5)  # noqa: NPY002
        mg.manual_seed(6)

    class Noise(Items):
        def __getitem__(self, i: int):
            return float(np.random.rand()), mg.rand(()).item(), random.random()  # noqa: NPY002

    def numbers(seed: int) -> list:
        mg.manual_seed(seed)
        return list(zip(*[tuple(b) for b in DataLoader(Noise(3), batch_size=None, num_workers=1, worker_init_fn=start)], strict=True))

    state = np.random.RandomState(5)  # noqa: NPY002
    assert numbers(1)[0] == tuple(state.rand(3)) and numbers(1)[1] == numbers(2)[1] and numbers(1)[2] != numbers(2)[2]


def test_batches_that_are_kept_keep_their_values() -> None:
    """The memory of batches travels back and forth: never while somebody holds it."""
    loader = DataLoader(Items(60, size=20_000), batch_size=2, num_workers=2, persistent_workers=True)
    kept, views = [], []
    for epoch in range(3):
        for i, batch in enumerate(loader):
            if i % 3 == epoch:
                kept.append((i, batch))
                views.append((i, batch["x"].numpy()[1, 5:9]))  # holds the memory when the tensor is gone
    for i, batch in kept:
        assert (batch["x"] == mg.tensor([[2.0 * i], [2.0 * i + 1]])).all() and batch["y"].tolist() == [2 * i, 2 * i + 1]
    del kept, batch
    for _ in loader:
        assert all((view == 2 * i + 1).all() for i, view in views)
    loader._iterator.close()
    assert all((view == 2 * i + 1).all() for i, view in views)


def test_the_memory_of_batches_is_used_again() -> None:
    loader = DataLoader(Items(80, size=20_000), batch_size=2, num_workers=1)
    iterator = iter(loader)
    places = {batch["x"].data_ptr() for batch in iterator}
    assert len(places) <= 5  # two that are being prefetched, one that is looked at, one on its way back


def test_a_batch_that_the_worker_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A collate function that gives the same tensor again: it must not be written over."""
    held = []

    def collate(samples: list) -> mg.Tensor:
        made = mg.utils.data.default_collate([s["x"] for s in samples])
        held.append(made)
        return held[0] if len(held) % 2 else made

    loader = DataLoader(Items(24, size=20_000), batch_size=2, num_workers=1, collate_fn=collate)
    assert [batch[0, 0].item() for batch in loader] == [0, 2, 0, 6, 0, 10, 0, 14, 0, 18, 0, 22]


def test_any_number_of_batches_may_be_kept() -> None:
    """A batch that is kept is memory and no open file, of which a process may have 1024 or fewer."""
    resource = pytest.importorskip("resource", reason="limits are told by Unix systems")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = len(os.listdir("/dev/fd")) + 40
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(few, hard), hard))
    try:
        kept = list(DataLoader(Items(150, size=10_000), num_workers=2))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [batch["x"][0, -1].item() for batch in kept] == list(range(150))


def test_samples_of_all_sizes() -> None:
    """No program is made for what only one sample needs."""

    class Ragged(Items):
        def __getitem__(self, i: int):
            picture = mg.from_numpy(np.full((9 + i, 7 + i % 5, 3), i, np.uint8)).permute(2, 0, 1).float().div(255)
            return (picture - 0.5)[:, i % 3 : i % 3 + 6, 1:7].flip(2)

    plans = mg.engine.evaluator._plans
    before = dict(plans)
    batches = list(DataLoader(Ragged(), batch_size=8))
    assert plans == before
    expected = (mg.arange(8).float().div(255) - 0.5).reshape(8, 1, 1, 1).expand(8, 3, 6, 6)
    assert batches[0].equal(expected)


def test_persistent_workers() -> None:
    loader = DataLoader(Items(), batch_size=4, num_workers=2, persistent_workers=True)
    first = iter(loader)
    pids = [p.pid for p in first._processes]
    next(first)  # an epoch that is broken off
    assert listed(loader) == listed(DataLoader(Items(), batch_size=4))
    assert [p.pid for p in loader._iterator._processes] == pids
    loader._iterator.close()


def test_persistent_workers_go_on_after_an_exception() -> None:
    loader = DataLoader(Special(9, fail), batch_size=4, num_workers=2, persistent_workers=True)
    pids = set()
    for _ in range(3):
        seen = []
        with pytest.raises(ValueError, match="at sample index 9"):
            for batch in loader:
                seen.append(batch.tolist())
        assert seen == [[0, 1, 2, 3], [4, 5, 6, 7]]
        pids.add(tuple(p.pid for p in loader._iterator._processes))
    assert len(pids) == 1
    loader._iterator.close()


def test_persistent_workers_are_replaced_when_one_was_killed() -> None:
    loader = DataLoader(Items(), batch_size=4, num_workers=2, persistent_workers=True)
    iterator = iter(loader)
    first = next(iterator)
    os.kill(iterator._processes[1].pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="worker 1, killed by signal 9"):
        for _ in range(12):
            next(iterator)
    assert not any(p.is_alive() for p in iterator._processes) and first["y"].tolist() == [0, 1, 2, 3]
    assert listed(loader) == listed(DataLoader(Items(), batch_size=4))
    loader._iterator.close()


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="counts mappings and open files where Linux tells them")
@pytest.mark.parametrize("persistent", [False, True])
def test_many_epochs_leave_nothing_behind(persistent: bool) -> None:
    """Whole epochs, epochs that are broken off, and exceptions: no mapping, no open file and no process more than after the first."""
    failing = DataLoader(Special(9, fail), batch_size=4, num_workers=2, persistent_workers=persistent)
    loader = DataLoader(Items(16, size=20_000), batch_size=2, num_workers=2, persistent_workers=persistent)

    def left() -> tuple[int, int, int]:
        gc.collect()
        with open("/proc/self/maps") as maps:
            mapped = sum("memfd:batch" in line for line in maps)
        return mapped, len(os.listdir("/proc/self/fd")), len(multiprocessing.active_children())

    def epoch() -> None:
        assert sum(len(batch["y"]) for batch in loader) == 16
        for _ in loader:
            break
        with pytest.raises(ValueError, match="broken sample"):
            list(failing)

    epoch()
    mapped, files, processes = left()
    for _ in range(4):
        epoch()
    more, open_files, alive = left()
    assert alive == processes == (4 if persistent else 0)
    assert open_files <= files and more <= max(mapped, 12 if persistent else 0)  # segments are made as they are needed, and then go round
    for each in (loader, failing):
        if each._iterator is not None:
            each._iterator.close()


def test_breaking_off_stops_the_workers() -> None:
    iterator = iter(DataLoader(Items(), batch_size=2, num_workers=2))
    next(iterator)
    processes = iterator._processes
    del iterator
    assert all(not p.is_alive() for p in processes)


def test_wrong_arguments() -> None:
    for settings, message in [
        ({"num_workers": -1}, r"num_workers option should be non-negative"),
        ({"timeout": -1}, r"timeout option should be non-negative"),
        ({"sampler": [0], "shuffle": True}, r"mutually exclusive with shuffle"),
        ({"batch_sampler": [[0]], "batch_size": 2}, r"mutually exclusive with batch_size"),
        ({"batch_size": None, "drop_last": True}, r"disables auto-batching"),
        ({"prefetch_factor": 2}, r"prefetch_factor option could only be specified in multiprocessing"),
        ({"persistent_workers": True}, r"persistent_workers option needs num_workers > 0"),
        ({"num_workers": 1, "multiprocessing_context": "thread"}, r"should specify a valid start method"),
    ]:
        with pytest.raises(ValueError, match=message):
            DataLoader(Items(), **settings)
