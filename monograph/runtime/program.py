"""A compiled program: steps in plain memory that one native call runs from the first to the last.

A program's memory is one array of 8-byte words, read by the native runner (which is handed in as a `NativeEntry`; this room does not know
who made it):

    header (HEADER_WORDS)   see `Header`
    steps                   STEP_WORDS each: kernel address, byte offset of its argument record, units, grain, flags
    relocations             RELOCATION_WORDS each: word of the argument block, buffer index, byte offset
    template                the argument records of all steps, one after another

A program may have an outcome: a buffer of two words for each index that a step may refuse, and one more word. After a step marked REFUSES
a run with any of these words set stops (status: that step's); a run that comes to its end sets the last one.

A run copies the template, writes `buffers[index] + offset` into every relocated word, and calls the kernels. Several runs of one program
may be under way at once, each has its own copy. Steps run in order; the units of one step are shared out among threads.
"""

from __future__ import annotations

import ctypes
import struct
import threading
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate
from typing import Any, NamedTuple

from monograph.runtime.buffers import arenas
from monograph.runtime.threads import setting

SERIAL, HOST, REFUSES = 1, 2, 4
HEADER_WORDS, STEP_WORDS, RELOCATION_WORDS = 10, 5, 3
ARENA = -1
LINE = 64


class Header(IntEnum):
    """Words of a program's header. The `_AT` fields are byte offsets from the program's start."""

    STEPS = 0
    RELOCATIONS = 1
    RELOCATIONS_AT = 2
    TEMPLATE_AT = 3
    ARGS_BYTES = 4
    SCRATCH_BYTES = 5
    PARALLEL = 6
    OUTCOME = 7  # 1 + the number of the buffer, 0 for none
    OUTCOME_WORDS = 8  # before the one that says that the run has ended


class Address(NamedTuple):
    """An argument word that is an address: `offset` bytes into buffer `buffer` of the run (`ARENA`: into the program's temporaries)."""

    buffer: int
    offset: int = 0


Word = int | float | Address


def float32_word(value: float) -> int:
    """The argument word that a kernel reads with `word(args, i, "float")`. (A Python float as a word is read as "double".)"""
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


class HostKernel:
    """A Python function as a step: called with (args, begin, end, scratch), all ints. Make it with `host_kernel`."""

    __slots__ = ("_callback", "address", "function")

    def __init__(self, function: Callable[[int, int, int, int], Any]) -> None:
        self.function = function
        self._callback = _HOST_SIGNATURE(self._call)
        self.address = ctypes.cast(self._callback, ctypes.c_void_p).value or 0

    def _call(self, args: int, begin: int, end: int, scratch: int) -> None:
        try:
            self.function(args, begin, end, scratch)
        except BaseException as error:
            # It cannot cross native frames: it is kept here and raised again when the run has returned.
            _errors[threading.get_ident()] = error
            ctypes.c_int64.from_address(scratch).value = 1


_HOST_SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
_errors: dict[int, BaseException] = {}


def host_kernel(function: Callable[[int, int, int, int], Any]) -> HostKernel:
    """Wraps `function(args, begin, end, scratch)` for use as `Step.kernel`; what it raises ends the run and comes out of `Program.run`.

    It runs on the calling thread, may use Python freely, and may run other programs. `read_words(args, n)` gives its arguments.
    """
    return HostKernel(function)


def read_words(address: int, count: int) -> tuple[int, ...]:
    """The first `count` words of the argument record at `address`."""
    return struct.unpack(f"={count}q", ctypes.string_at(address, 8 * count))


class Step(NamedTuple):
    """One kernel call: `kernel(args, begin, end, scratch)` over `units` work units, handed out `grain` at a time."""

    kernel: int | HostKernel
    args: Sequence[Word] = ()
    units: int = 1
    grain: int = 1
    flags: int = 0
    name: str = ""


@dataclass(frozen=True)
class NativeEntry:
    """The native runner: `run(program, buffers, threads) -> status`, and `run_timed` with an array for each step's nanoseconds.

    `run_brief` keeps Python's lock: for programs that take less time than several Python threads need to hand it on.
    """

    run: Callable[[int, bytes, int], int]
    run_timed: Callable[[int, bytes, int, int], int]
    run_brief: Callable[[int, bytes, int], int]

    @classmethod
    def at(cls, run: int, run_timed: int) -> NativeEntry:
        """From the addresses of the two native functions."""
        common = ctypes.c_int64, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64
        timed = ctypes.CFUNCTYPE(*common, ctypes.c_void_p)(run_timed)
        return cls(ctypes.CFUNCTYPE(*common)(run), timed, ctypes.PYFUNCTYPE(*common)(run))


class Program:
    """Steps ready to run on `n_buffers` buffers.

    `scratch_bytes`: private memory that every thread gets (64-byte aligned). `arena_bytes`: memory for values that live only within a run,
    addressed with `Address(ARENA, offset)`; concurrent runs get different arenas. `keep`: anything that must live as long as the program.
    `outcome`: (number of a buffer, words in it that a refused index sets), see above. `brief`: see `NativeEntry`.
    """

    __slots__ = (
        *("__weakref__", "_address", "_entry", "_memory", "_pack", "_run"),
        *("arena_bytes", "keep", "n_buffers", "names", "scratch_bytes"),
    )

    def __init__(
        self,
        entry: NativeEntry,
        steps: Sequence[Step],
        n_buffers: int,
        *,
        scratch_bytes: int = 0,
        arena_bytes: int = 0,
        keep: Any = None,
        outcome: tuple[int, int] | None = None,
        brief: bool = False,
    ) -> None:
        self.n_buffers, self.scratch_bytes, self.arena_bytes = n_buffers, scratch_bytes, arena_bytes
        self.names = [step.name for step in steps]
        self.keep = keep, [step.kernel for step in steps if isinstance(step.kernel, HostKernel)]
        self._memory = _layout(steps, n_buffers, scratch_bytes, arena_bytes > 0, outcome)
        self._address = self._memory.buffer_info()[0]
        self._entry = entry
        self._run = entry.run_brief if brief else entry.run
        self._pack = struct.Struct(f"={n_buffers + (arena_bytes > 0)}q").pack

    def run(self, buffers: Sequence[int]) -> None:
        """Runs all steps. `buffers`: one address for each buffer; the caller keeps the memory alive until this returns."""
        try:
            if self.arena_bytes:
                arena = arenas.take(self.arena_bytes)
                try:
                    status = self._run(self._address, self._pack(*buffers, arena.ptr), setting.count)
                finally:
                    arenas.give(arena)
            else:
                status = self._run(self._address, self._pack(*buffers), setting.count)
        except struct.error:
            raise self._bad_buffers(buffers) from None
        if status:
            raise self._failure(status)

    def profile(self, buffers: Sequence[int]) -> list[int]:
        """Runs all steps and returns how many nanoseconds each took."""
        times = array("q", bytes(8 * max(1, len(self.names))))
        arena = arenas.take(self.arena_bytes) if self.arena_bytes else None
        try:
            packed = self._pack(*buffers, *([arena.ptr] if arena else ()))
            status = self._entry.run_timed(self._address, packed, setting.count, times.buffer_info()[0])
        except struct.error:
            raise self._bad_buffers(buffers) from None
        finally:
            if arena:
                arenas.give(arena)
        if status:
            raise self._failure(status)
        return times.tolist()[: len(self.names)]

    def _bad_buffers(self, buffers: Sequence[int]) -> Exception:
        if len(buffers) != self.n_buffers:
            return ValueError(f"this program runs on {self.n_buffers} buffers, got {len(buffers)}")
        return TypeError(f"buffers are addresses (ints), got {[b for b in buffers if not isinstance(b, int)] or list(buffers)}")

    def _failure(self, status: int) -> BaseException:
        if status < 0:
            return MemoryError(f"no memory for {self.scratch_bytes} bytes of scratch for each of {setting.count} threads")
        error = _errors.pop(threading.get_ident(), None)
        return error or RuntimeError(f"step {status - 1} ({self.names[status - 1] or 'unnamed'}) reported a failure without an exception")


def _layout(steps: Sequence[Step], n_buffers: int, scratch_bytes: int, has_arena: bool, outcome: tuple[int, int] | None) -> array[int]:
    records: list[int] = []
    template: list[Any] = []
    relocations: list[int] = []
    parallel = 0
    for number, step in enumerate(steps):
        kernel, args, units, grain, flags, _ = step
        if isinstance(kernel, HostKernel):
            kernel, flags = kernel.address, flags | HOST
        if kernel == 0 or units < 0 or grain < 1:
            got = f"kernel {kernel:#x}, {units} units, grain {grain}"
            raise ValueError(f"step {number} ({step.name}): {got}; expected an address, >= 0 units, a grain >= 1")
        start = len(template)
        records += kernel, 8 * start, units, grain, flags
        parallel |= not flags & (SERIAL | HOST) and units > grain
        template += args
        for at, word in enumerate(args, start):
            if type(word) is int:
                continue
            if isinstance(word, Address):
                buffer, offset = word
                if buffer == ARENA and has_arena:
                    buffer = n_buffers
                elif not 0 <= buffer < n_buffers:
                    has = f"{n_buffers} buffers and {'an' if has_arena else 'no'} arena"
                    raise ValueError(f"step {number} ({step.name}) uses buffer {buffer} of a program with {has}")
                relocations += at, buffer, offset
                template[at] = 0
            elif isinstance(word, float):
                template[at] = struct.unpack("<q", struct.pack("<d", word))[0]
    while len(template) * 8 % LINE or not template:
        template.append(0)
    sizes = [8 * HEADER_WORDS, 8 * len(records), 8 * len(relocations)]
    _, relocations_at, template_at = accumulate(sizes)
    scratch = (max(scratch_bytes, 8) + LINE - 1) // LINE * LINE
    header = [0] * HEADER_WORDS
    header[Header.STEPS] = len(steps)
    header[Header.RELOCATIONS] = len(relocations) // RELOCATION_WORDS
    header[Header.RELOCATIONS_AT], header[Header.TEMPLATE_AT] = relocations_at, template_at
    header[Header.ARGS_BYTES], header[Header.SCRATCH_BYTES] = 8 * len(template), scratch
    header[Header.PARALLEL] = int(parallel)
    if outcome is not None:
        header[Header.OUTCOME], header[Header.OUTCOME_WORDS] = outcome[0] + 1, outcome[1]
    return array("q", [*header, *records, *relocations, *template])
