"""Runs the calls of a kernel plan on NumPy arrays: resolves the symbols, compiles, splits the units into ranges."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Sequence

import numpy as np

from monograph.targets.cpu.jit import jit
from monograph.targets.llvm.kernels.call import BufferRef, ConstBuffer, KernelCall, KernelSource, TempBuffer, Word

Entry = Callable[[int, int, int, int], None]
KERNEL_TYPE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)


def aligned(nbytes: int, fill: int = 0xFF) -> np.ndarray:
    """Bytes at an address that is a multiple of 64, filled with something that reads as NaN or -1."""
    raw = np.full(nbytes + 64, fill, np.uint8)
    skip = -raw.ctypes.data % 64
    return raw[skip : skip + nbytes]


def compiled(source: KernelSource) -> Entry:
    return KERNEL_TYPE(jit().compile(source.name, source.text, repr(source.key)))


class Prepared:
    """A plan bound to buffers, ready to run again and again."""

    def __init__(self, calls: Sequence[KernelCall], buffers: Sequence[np.ndarray]) -> None:
        self.buffers = list(buffers)
        self.owned: dict[int, np.ndarray] = {}
        self.scratch = {}
        self.steps = []
        for call in calls:
            record = np.array([self.address(word) for word in call.words], np.int64)
            self.steps.append((compiled(call.kernel), record, call))

    def address(self, word: Word) -> int:
        if isinstance(word, BufferRef):
            return self.buffers[word.operand].ctypes.data + word.byte_offset
        if isinstance(word, TempBuffer | ConstBuffer):
            if id(word) not in self.owned:
                self.owned[id(word)] = aligned(word.nbytes if isinstance(word, TempBuffer) else len(word.data))
                if isinstance(word, ConstBuffer):
                    self.owned[id(word)][:] = np.frombuffer(word.data, np.uint8)
            return self.owned[id(word)].ctypes.data
        return word

    def run_range(self, step: int, begin: int, end: int, thread: int = 0) -> None:
        entry, record, call = self.steps[step]
        if thread not in self.scratch or len(self.scratch[thread]) < call.scratch_bytes:
            self.scratch[thread] = aligned(call.scratch_bytes)
        entry(record.ctypes.data, begin, end, self.scratch[thread].ctypes.data)

    def run(self, pieces: int = 1) -> None:
        """Each call in `pieces` ranges, one after the other."""
        for step, (_, _, call) in enumerate(self.steps):
            cuts = [call.n_units * i // pieces for i in range(pieces + 1)]
            for begin, end in itertools.pairwise(cuts):
                if begin < end:
                    self.run_range(step, begin, end)


def run(calls: Sequence[KernelCall], *buffers: np.ndarray, pieces: int = 1) -> None:
    """Runs the plan; `BufferRef(i)` is the first element of the memory of `buffers[i]`."""
    Prepared(calls, buffers).run(pieces)
