"""Memory: alignment, reuse, lifetimes, counters, and what is given back."""

from __future__ import annotations

import gc
import os
import random
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monograph.runtime.buffers import SMALL, Allocator, Arenas, Buffer, allocator, class_size, reset_peak, stats, trim


@given(st.integers(0, 1 << 45))
def test_size_classes(nbytes: int) -> None:
    size = class_size(nbytes)
    assert size >= max(nbytes, 64)
    assert size % 64 == 0
    assert class_size(size) == size
    assert size <= max(nbytes * 1.125, nbytes + 63, 64)


@pytest.mark.parametrize("nbytes", [0, 1, 63, 64, 65, 1000, 4097, SMALL, SMALL + 1, 5_000_000])
def test_blocks_are_aligned_and_reused(nbytes: int) -> None:
    first = Buffer(nbytes)
    assert first.ptr % 64 == 0
    assert first.nbytes == nbytes
    assert first.owned
    address = first.ptr
    del first
    assert Buffer(nbytes).ptr == address


def test_live_blocks_never_overlap() -> None:
    order = random.Random(3)
    live: dict[int, tuple[Buffer, np.ndarray]] = {}
    for number in range(3000):
        if live and order.random() < 0.5:
            key = order.choice(list(live))
            _, array = live.pop(key)
            assert (array == key % 251).all()
        else:
            buffer = Buffer(order.choice([8, 100, 700, 5000, 70_000, 300_000]) + order.randrange(50))
            array = buffer.array((buffer.nbytes,), np.uint8)
            array[:] = number % 251
            live[number] = buffer, array


def test_a_view_keeps_its_buffer() -> None:
    buffer = Buffer(4096)
    array = buffer.array((8, 16), np.float32, 64)
    array[:] = 7
    gone, address = weakref.ref(buffer), buffer.ptr
    assert array.__array_interface__["data"][0] == address + 64
    part = array[2:, ::3]
    del buffer, array
    gc.collect()
    assert gone() is not None
    assert Buffer(4096).ptr != address
    assert (part == 7).all()
    del part
    assert gone() is None
    assert Buffer(4096).ptr == address


def test_views_must_fit() -> None:
    buffer = Buffer(100)
    assert buffer.array((25,), np.float32).shape == (25,)
    assert buffer.array((), np.int64).shape == ()
    assert buffer.array((0, 9), np.float64, 100).size == 0
    assert Buffer(0).array((3, 0), np.int8).shape == (3, 0)
    with pytest.raises(ValueError, match=r"a view of \(26,\) float32 at byte 0 needs 104 bytes, the buffer has 100"):
        buffer.array((26,), np.float32)
    with pytest.raises(ValueError, match="at byte -4"):
        buffer.array((1,), np.float32, -4)
    with pytest.raises(ValueError, match="cannot have -1 bytes"):
        Buffer(-1)


def test_wrapped_arrays() -> None:
    array = np.arange(12, dtype=np.float32)
    kept = weakref.ref(array)
    buffer = Buffer.from_array(array)
    assert buffer.ptr == array.ctypes.data
    assert not buffer.owned
    assert buffer.writable
    buffer.array((12,), np.float32)[3] = -1
    assert array[3] == -1
    live = stats()["live"]
    del array
    assert kept() is not None
    del buffer
    assert kept() is None
    assert stats()["live"] == live
    fixed = np.zeros(3)
    fixed.flags.writeable = False
    assert not Buffer.from_array(fixed).array((3,), np.float64).flags.writeable
    with pytest.raises(ValueError, match=r"np\.ascontiguousarray"):
        Buffer.from_array(np.zeros((4, 4)).T[1:])
    assert Buffer.from_array(np.zeros((0, 3))).nbytes == 0


def test_counters() -> None:
    gc.collect()
    reset_peak()
    before = stats()
    assert before["peak"] == before["live"]
    size = class_size(1_000_000)
    buffers = [Buffer(1_000_000) for _ in range(3)]
    assert stats()["live"] == before["live"] + 3 * size
    del buffers[1:]
    after = stats()
    assert after["live"] == before["live"] + size
    assert after["peak"] == before["live"] + 3 * size
    assert after["cached"] >= 2 * size


def test_trim_gives_large_blocks_back() -> None:
    held = Buffer(3_000_000)
    view = held.array((3_000_000,), np.uint8)
    view[:] = 5
    large = Buffer(20_000_000)
    mapped = stats()["mapped"]
    del large
    assert stats()["mapped"] == mapped
    trim()
    assert stats()["mapped"] <= mapped - 20_000_000
    assert (view == 5).all()
    again = Buffer(20_000_000).array((20_000_000,), np.uint8)
    again[::4096] = 1
    assert not again[1]


def test_the_cache_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monograph.runtime.buffers.SLACK", 4_000_000)
    own = Allocator()

    def turn(nbytes: int) -> None:
        size = own.size_for(nbytes)
        address = own.free[size].pop() if own.free[size] else own.make(size)
        own.live += size
        own.new_peak(max(own.peak, own.live))
        own.live -= size
        own.free[size].append(address)

    for nbytes in range(1_000_000, 20_000_000, 500_000):
        turn(nbytes)
    assert own.total <= own.high_water + max(4_000_000, own.high_water // 4)
    total = own.total
    turn(19_500_000)
    assert own.total == total


def test_no_memory_is_explained() -> None:
    with pytest.raises(MemoryError, match=r"no memory for a block of .* MiB .*; live now .* MiB, peak .* MiB; use a smaller batch"):
        Buffer(1 << 60)
    assert Buffer(100).ptr


def test_threads_share_the_allocator() -> None:
    gc.collect()
    live = allocator.live
    wrong: list[int] = []

    def work(seed: int) -> None:
        order, mine = random.Random(seed), []
        for _ in range(3000):
            buffer = Buffer(order.choice([64, 640, 6400, 640_000]))
            array = buffer.array((buffer.nbytes // 8,), np.int64)
            array[0] = array[-1] = buffer.ptr
            mine.append(array)
            if len(mine) > 20:
                array = mine.pop(order.randrange(20))
                if array[0] != array.ctypes.data or array[-1] != array.ctypes.data:
                    wrong.append(seed)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    gc.collect()
    assert not wrong
    assert allocator.live == live


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_writes_its_own_copy() -> None:
    array = Buffer(1_000_000).array((1_000_000,), np.uint8)
    array[:] = 1
    child = os.fork()
    if child == 0:
        array[:] = 2
        os._exit(0)
    os.waitpid(child, 0)
    assert (array == 1).all()


def test_arenas() -> None:
    own = Arenas()
    first, second = own.take(1000), own.take(1000)
    assert first.ptr != second.ptr
    own.give(first)
    assert own.take(500) is first
    own.give(first)
    larger = own.take(100_000)
    assert larger.nbytes == 100_000
    assert own.idle == []
    own.give(larger)
    own.clear()
    assert own.idle == []


def test_an_outgrown_arena_goes_back_to_the_system() -> None:
    arenas = Arenas()
    before = allocator.mapped
    sizes = [n << 20 for n in (8, 13, 21, 34)]
    for size in sizes:
        arenas.give(arenas.take(size))
    assert allocator.mapped - before < 1.3 * sizes[-1]
    assert arenas.take(sizes[0]).nbytes == sizes[-1]
