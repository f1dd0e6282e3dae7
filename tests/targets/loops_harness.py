"""Compiles loop kernels and runs them on NumPy arrays, in any division of their units."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from monograph.targets.cpu.jit import jit
from monograph.targets.llvm.ir import Module
from monograph.targets.llvm.loop_reference import numpy_dtype
from monograph.targets.llvm.loop_spec import ELEMENT_BYTES, Instr, LoopKernel, Operand, arg_words, scratch_bytes, units
from monograph.targets.llvm.loops import emit_loop_kernel

ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)


def text_of(spec: LoopKernel, vector_bytes: int = 32) -> str:
    module = Module()
    emit_loop_kernel(module, "kernel", spec, vector_bytes)
    return module.text()


@cache
def compiled(spec: LoopKernel, vector_bytes: int = 32) -> Any:
    return ENTRY(jit().compile("kernel", text_of(spec, vector_bytes)))


def run(
    spec: LoopKernel,
    sizes: Sequence[int],
    operands: Sequence[tuple[np.ndarray, Sequence[int], Sequence[tuple[int, int]]]],
    cuts: Sequence[int] = (),
    vector_bytes: int = 32,
) -> tuple[int, int]:
    """Runs the kernel in the pieces that `cuts` (unit numbers) make; returns the error words."""
    errors = np.zeros(2, np.int64)
    records = [(array.ctypes.data, strides, extras) for array, strides, extras in operands]
    words = np.array(arg_words(spec, sizes, records, errors.ctypes.data), np.int64)
    raw = np.full(scratch_bytes(spec, sizes) + 64, 0xFF, np.uint8)
    scratch = raw.ctypes.data + -raw.ctypes.data % 64
    count = units(spec, sizes)
    ends = [0, *sorted(min(max(c, 0), count) for c in cuts), count]
    for begin, end in pairwise(ends):
        compiled(spec, vector_bytes)(words.ctypes.data, begin, end, scratch)
    return int(errors[0]), int(errors[1])


def stride_class(dtype: str, stride: int) -> str:
    return "unit" if stride == ELEMENT_BYTES[dtype] else "zero" if stride == 0 else "strided"


class Builder:
    """Writes a spec step by step around actual arrays: `b.load(x)`, `b.op("add", p, q)`, `b.store(v, out)`."""

    def __init__(self, kept: int, reduced: int = 0, vector: str = "kept", spill: bool = False) -> None:
        self.kept, self.reduced, self.vector, self.spill = kept, reduced, vector, spill
        self.axis = kept - 1 if vector == "kept" else kept + reduced - 1
        self.operands: list[Operand] = []
        self.memory: list[tuple[np.ndarray, tuple[int, ...], tuple[tuple[int, int], ...]]] = []
        self.instrs: list[Instr] = []

    def add(self, op: str, args: Sequence[int], dtype: str, *attrs: Any) -> int:
        self.instrs.append(Instr(op, tuple(args), dtype, attrs))
        return len(self.instrs) - 1

    def op(self, op: str, *args: int, dtype: str | None = None) -> int:
        return self.add(op, args, dtype or self.instrs[args[0]].dtype)

    def const(self, value: float, dtype: str) -> int:
        return self.add("const", (), dtype, value)

    def reduce(self, kind: str, v: int, dtype: str | None = None) -> int:
        return self.add("reduce", (v,), dtype or self.instrs[v].dtype, kind)

    def operand(
        self, array: np.ndarray, row: bool = False, written: bool = False, extra: int = 0, strides: Sequence[int] | None = None
    ) -> int:
        """`array` has the domain's dims (sizes 1 = broadcast; only the kept ones with `row`), then the extra dims."""
        dims = self.kept if row else self.kept + self.reduced
        if strides is None:
            strides = [0 if array.shape[d] == 1 else array.strides[d] for d in range(dims)]
        strides = tuple(strides) + (0,) * (self.kept + self.reduced - len(strides))
        dtype = next(d for d in ELEMENT_BYTES if numpy_dtype(d) == array.dtype)
        extras = tuple((array.strides[k], array.shape[k]) for k in range(array.ndim - extra, array.ndim))
        inner = stride_class(dtype, strides[self.axis]) if self.kept + self.reduced else "zero"
        self.operands.append(Operand(dtype, inner, written, extra))
        self.memory.append((array, strides, extras))
        return len(self.operands) - 1

    def load(self, array: np.ndarray, row: bool = False, strides: Sequence[int] | None = None) -> int:
        o = self.operand(array, row, strides=strides)
        return self.add("load", (), self.operands[o].dtype, *((o, "row") if row else (o,)))

    def store(self, v: int, array: np.ndarray, row: bool = False, full: bool = False) -> int:
        o = self.operand(array, row, written=True)
        return self.add("store", (v,), self.operands[o].dtype, *((o, "full") if full else (o,)))

    def gather(self, array: np.ndarray, *indices: int, row: bool = False) -> int:
        o = self.operand(array, row, extra=len(indices))
        return self.add("gather", indices, self.operands[o].dtype, *((o, "row") if row else (o,)))

    def scatter(self, op: str, v: int, array: np.ndarray, *indices: int, row: bool = False) -> int:
        o = self.operand(array, row, written=True, extra=len(indices))
        return self.add(op, (v, *indices), self.operands[o].dtype, *((o, "row") if row else (o,)))

    def spec(self) -> LoopKernel:
        return LoopKernel(self.kept, self.reduced, self.vector, tuple(self.operands), tuple(self.instrs), self.spill)
