"""The runner: every unit once, steps in order, threads, forks, exceptions and signals."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

from monograph.runtime.buffers import Buffer
from monograph.runtime.program import ARENA, HOST, REFUSES, SERIAL, Address, Program, Step, float32_word, host_kernel, read_words
from monograph.runtime.threads import available_cores, get_num_threads, set_num_threads
from monograph.targets.cpu.pool import native_entry, pool
from tests.runtime.kernels_by_hand import add_index, chain, note_addresses, spin, through_scratch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _threads():
    before = get_num_threads()
    set_num_threads(2)
    yield
    set_num_threads(before)


def int_buffer(n: int) -> tuple[Buffer, np.ndarray]:
    buffer = Buffer(8 * n)
    array = buffer.array((n,), np.int64)
    array[:] = 0
    return buffer, array


def in_a_process(program: str) -> str:
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize(
    ("units", "grain"), [(0, 1), (1, 1), (1, 1000), (7, 3), (1000, 1), (1000, 999), (1000, 1000), (4097, 64), (9, 10**12)]
)
def test_every_unit_runs_once(threads: int, units: int, grain: int) -> None:
    set_num_threads(threads)
    buffer, array = int_buffer(5000)
    Program(native_entry(), [Step(add_index(), (Address(0), 3), units, grain)], 1).run([buffer.ptr])
    assert (array[:units] == np.arange(units) + 3).all()
    assert not array[units:].any()


def test_steps_wait_for_the_one_before() -> None:
    n = 512
    (a, first), (b, _) = int_buffer(n), int_buffer(n)
    steps = [Step(chain(), (Address(i % 2), Address(1 - i % 2), n), n, 8) for i in range(100)]
    program = Program(native_entry(), steps, 2)
    for _ in range(100):
        program.run([a.ptr, b.ptr])
    assert (first == 10_000).all()


def test_scratch_is_private_and_aligned() -> None:
    buffer, array = int_buffer(200)
    program = Program(native_entry(), [Step(through_scratch(), (Address(0), 50), 200, 1)], 1, scratch_bytes=100)
    for _ in range(50):
        program.run([buffer.ptr])
        assert (array == 50).all()
    Program(native_entry(), [Step(note_addresses(), (Address(0),))], 1, scratch_bytes=100).run([buffer.ptr])
    assert array[0] % 64 == 0
    assert array[1] % 64 == 0


def test_scratch_grows_and_stays_usable() -> None:
    buffer, array = int_buffer(64)
    for scratch in (8, 1 << 20, 64, 5 << 20):
        array[:] = 0
        Program(native_entry(), [Step(through_scratch(), (Address(0), 9), 64, 2)], 1, scratch_bytes=scratch).run([buffer.ptr])
        assert (array == 9).all()


def test_absurd_scratch_is_a_memory_error() -> None:
    program = Program(native_entry(), [Step(spin(), (1,))], 0, scratch_bytes=1 << 60)
    with pytest.raises(MemoryError, match="bytes of scratch"):
        program.run([])
    Program(native_entry(), [Step(spin(), (1,))], 0).run([])


def test_python_threads_at_once() -> None:
    failures: list[str] = []

    def work(seed: int) -> None:
        n = 300
        (a, first), (b, second) = int_buffer(n), int_buffer(n)
        steps = [Step(chain(), (Address(i % 2), Address(1 - i % 2), n), n, 7) for i in range(10)]
        steps += [Step(through_scratch(), (Address(1), seed + 5), n, 7)]
        program = Program(native_entry(), steps, 2, scratch_bytes=64)
        for _ in range(200):
            first[:] = seed
            program.run([a.ptr, b.ptr])
            if not ((first == seed + 10).all() and (second == seed + 5).all()):
                failures.append(f"thread {seed}")

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert not failures
    assert not any(worker.is_alive() for worker in workers)


def test_one_program_in_several_threads_has_several_arenas() -> None:
    n = 2000
    steps = [
        Step(add_index(), (Address(ARENA), 0), n, 100),
        Step(chain(), (Address(ARENA), Address(0), n), n, 100),
        Step(chain(), (Address(ARENA, 0), Address(ARENA, 8 * n), n), n, 100),
    ]
    clear = host_kernel(lambda args, begin, end, scratch: np.copyto(np.asarray(_words_at(read_words(args, 1)[0], n)), 0))
    program = Program(native_entry(), [Step(clear, (Address(ARENA),)), *steps], 1, arena_bytes=16 * n)
    wrong: list[int] = []

    def work() -> None:
        buffer, array = int_buffer(n)
        for _ in range(50):
            program.run([buffer.ptr])
            if not (array == n - np.arange(n)).all():
                wrong.append(1)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert not wrong


class _Words:
    def __init__(self, address: int, n: int) -> None:
        self.__array_interface__ = {"version": 3, "shape": (n,), "typestr": "<i8", "data": (address, False)}


def _words_at(address: int, n: int) -> _Words:
    return _Words(address, n)


def test_host_steps_see_their_arguments_and_run_in_order() -> None:
    buffer, array = int_buffer(10)
    seen = []

    def look(args: int, begin: int, end: int, scratch: int) -> None:
        seen.append((read_words(args, 3), begin, end, int(array[9])))

    steps = [
        Step(add_index(), (Address(0), 1), 10, 2),
        Step(host_kernel(look), (Address(0, 8), 42, float32_word(1.5)), 3),
        Step(add_index(), (Address(0), 1), 10, 2),
    ]
    Program(native_entry(), steps, 1).run([buffer.ptr])
    assert seen == [((buffer.ptr + 8, 42, 0x3FC00000), 0, 3, 10)]
    assert array[9] == 20


def test_an_exception_in_a_host_step_ends_the_run_and_comes_out() -> None:
    buffer, array = int_buffer(4)

    def fail(args: int, begin: int, end: int, scratch: int) -> None:
        raise KeyError("from inside")

    steps = [Step(add_index(), (Address(0), 1), 4, 1), Step(host_kernel(fail)), Step(add_index(), (Address(0), 1), 4, 1)]
    program = Program(native_entry(), steps, 1)
    for times in (1, 2):
        with pytest.raises(KeyError, match="from inside"):
            program.run([buffer.ptr])
        assert array[0] == times
    with pytest.raises(KeyError):
        program.profile([buffer.ptr])


def test_a_host_step_may_run_programs() -> None:
    buffer, array = int_buffer(100)
    inner = Program(native_entry(), [Step(add_index(), (Address(0), 0), 100, 3), Step(through_scratch(), (Address(0), 4), 50, 1)], 1)
    call = host_kernel(lambda *_: inner.run([buffer.ptr]))
    steps = [Step(add_index(), (Address(0), 1), 100, 5), Step(call), Step(add_index(), (Address(0), 1), 100, 5)]
    Program(native_entry(), steps, 1).run([buffer.ptr])
    assert (array[:50] == np.arange(50) + 5).all()
    assert (array[50:] == 3 * np.arange(50, 100) + 2).all()


def test_a_refused_word_ends_the_run_before_the_next_step() -> None:
    buffer, outcome = Buffer(8 * 4), Buffer(8 * 3)
    target, words = buffer.array((4,), "i8"), outcome.array((3,), "i8")
    refuse = Step(add_index(), (Address(1), 0), 2, 1, REFUSES, "refuse")  # adds 1 to word 1
    after = Step(add_index(), (Address(0), 5), 4, 1)
    target[:], words[:] = 0, 0
    program = Program(native_entry(), [refuse, after], 2, outcome=(1, 2))
    with pytest.raises(RuntimeError, match="refuse"):
        program.run([buffer.ptr, outcome.ptr])
    assert target.tolist() == [0] * 4
    assert words.tolist() == [0, 1, 0]  # the last one: the run has not come to its end
    words[:] = [0, -1, 0]
    program.run([buffer.ptr, outcome.ptr])
    assert target.tolist() == [5, 6, 7, 8]
    assert words.tolist() == [0, 0, 1]


def test_serial_flag_gives_one_call() -> None:
    calls = []
    kernel = host_kernel(lambda args, begin, end, scratch: calls.append((begin, end, threading.get_ident())))
    Program(native_entry(), [Step(kernel, (), 1000, 1, SERIAL)], 0).run([])
    Program(native_entry(), [Step(kernel.address, (), 1000, 1, HOST)], 0, keep=kernel).run([])
    assert calls == [(0, 1000, threading.get_ident())] * 2


def test_workers_start_on_demand_stop_and_start_again() -> None:
    buffer, array = int_buffer(1000)
    program = Program(native_entry(), [Step(add_index(), (Address(0), 0), 1000, 10)], 1)
    program.run([buffer.ptr])
    assert pool().workers >= 1
    assert pool().stop()
    assert pool().workers == 0
    program.run([buffer.ptr])
    assert pool().workers == 1
    assert pool().start(4) == 3
    for _ in range(1000):
        program.run([buffer.ptr])
    assert (array == 1002 * np.arange(1000)).all()
    assert pool().stop()


def test_sleeping_workers_wake() -> None:
    buffer, array = int_buffer(64)
    program = Program(native_entry(), [Step(through_scratch(), (Address(0), 2000), 64, 1)] * 2, 1)
    pause = threading.Event()
    for _ in range(30):
        pause.wait(0.002)
        program.run([buffer.ptr])
    assert (array == 2000).all()


def test_profile_times_every_step() -> None:
    program = Program(native_entry(), [Step(spin(), (200_000,)), Step(spin(), (1,))], 0, arena_bytes=64)
    long, short = program.profile([])
    assert long > short >= 0
    assert Program(native_entry(), [], 0).profile([]) == []
    Program(native_entry(), [], 0).run([])


def test_programs_refuse_nonsense() -> None:
    entry = native_entry()
    with pytest.raises(ValueError, match=r"uses buffer 2 of a program with 2 buffers and no arena"):
        Program(entry, [Step(spin(), (Address(2),))], 2)
    with pytest.raises(ValueError, match="no arena"):
        Program(entry, [Step(spin(), (Address(ARENA),))], 2)
    with pytest.raises(ValueError, match="a grain >= 1"):
        Program(entry, [Step(spin(), (), 1, 0)], 0)
    with pytest.raises(ValueError, match="runs on 2 buffers, got 1"):
        Program(entry, [], 2).run([64])
    with pytest.raises(TypeError, match="buffers are addresses"):
        Program(entry, [], 1).run(["x"])  # type: ignore[list-item]


def test_thread_numbers() -> None:
    set_num_threads(3)
    assert get_num_threads() == 3
    for wrong, error in ((0, ValueError), (-1, ValueError), (2.0, TypeError), (True, TypeError)):
        with pytest.raises(error, match="set_num_threads"):
            set_num_threads(wrong)  # type: ignore[arg-type]
    assert get_num_threads() == 3
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
    count = "from monograph.runtime.threads import get_num_threads; print(get_num_threads())"
    result = subprocess.run(
        [sys.executable, "-c", count], cwd=ROOT, env={**os.environ, "MONOGRAPH_NUM_THREADS": "7"}, capture_output=True, text=True
    )
    assert result.stdout.strip() == "7"


PREPARE = """
import os, signal, sys, threading, time
import numpy as np
from monograph.runtime.buffers import Buffer
from monograph.runtime.program import Address, Program, Step, host_kernel
from monograph.runtime.threads import set_num_threads
from monograph.targets.cpu.pool import native_entry, pool
from tests.runtime.kernels_by_hand import add_index, chain, spin
set_num_threads(2)
n = 400
a, b = Buffer(8 * n), Buffer(8 * n)
first = a.array((n,), np.int64); first[:] = 0
steps = [Step(chain(), (Address(i % 2), Address(1 - i % 2), n), n, 8) for i in range(10)]
program = Program(native_entry(), steps, 2)
program.run([a.ptr, b.ptr])
"""


def test_a_forked_child_runs_programs_and_so_does_its_parent() -> None:
    out = in_a_process(
        PREPARE
        + """
for _ in range(5):
    before = int(first[0])
    child = os.fork()
    if child == 0:
        assert pool().workers == 0
        for _ in range(20):
            program.run([a.ptr, b.ptr])
        os._exit(0 if (first == before + 200).all() and pool().workers == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    program.run([a.ptr, b.ptr])
assert (first == 60).all()
print("done")
"""
    )
    assert out == "done"


def test_a_fork_while_another_thread_runs() -> None:
    out = in_a_process(
        PREPARE
        + """
c, d = Buffer(8 * n), Buffer(8 * n)
going = True
def busy():
    while going:
        program.run([c.ptr, d.ptr])
thread = threading.Thread(target=busy); thread.start()
for _ in range(20):
    before = int(first[0])
    child = os.fork()
    if child == 0:
        for _ in range(20):
            program.run([a.ptr, b.ptr])
        os._exit(0 if (first == before + 200).all() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
going = False
thread.join()
print("done")
"""
    )
    assert out == "done"


def test_a_fork_inside_a_host_step() -> None:
    out = in_a_process(
        PREPARE
        + """
first[:] = 0
children = []
def fork(*_):
    children.append(os.fork())
    if children[-1] == 0:
        program.run([a.ptr, b.ptr])
outer = Program(native_entry(), [*steps, Step(host_kernel(fork)), *steps], 2)
outer.run([a.ptr, b.ptr])
if children[-1] == 0:
    os._exit(0 if (first == 30).all() else 1)
assert os.waitstatus_to_exitcode(os.waitpid(children[-1], 0)[1]) == 0
assert (first == 20).all()
print("done")
"""
    )
    assert out == "done"


def test_interrupt_during_a_native_run() -> None:
    out = in_a_process(
        PREPARE
        + """
slow = Program(native_entry(), [Step(spin(), (2_000_000,), 64, 1)], 0)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite started in the background of a shell runs with the signal ignored
caught = 0
for _ in range(3):
    threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            slow.run([])
    except KeyboardInterrupt:
        caught += 1
first[:] = 0
program.run([a.ptr, b.ptr])
assert (first == 10).all()
print(caught)
"""
    )
    assert out == "3"


def test_exit_does_not_hang_with_workers_spinning_or_a_thread_inside() -> None:
    assert in_a_process(PREPARE + "program.run([a.ptr, b.ptr]); print('done')") == "done"
    out = in_a_process(
        PREPARE
        + """
def busy():
    while True:
        program.run([a.ptr, b.ptr])
threading.Thread(target=busy, daemon=True).start()
time.sleep(0.05)
print("done")
"""
    )
    assert out == "done"
