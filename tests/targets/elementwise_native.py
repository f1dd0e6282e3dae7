"""Runs one elementwise op natively, in vector lanes and as scalars, on NumPy arrays (for the tests of rules and vector mathematics)."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import ml_dtypes
import numpy as np

from monograph.targets.cpu.jit import jit
from monograph.targets.llvm.convert import from_memory, memory_type, to_memory
from monograph.targets.llvm.ir import Fn, Module, Val, size_of
from monograph.targets.llvm.scalar import emit_scalar

NUMPY = {n: np.dtype(n) for n in ("float32", "float64", "float16", "int8", "int16", "int32", "int64", "uint8", "bool")}
NUMPY["bfloat16"] = np.dtype(ml_dtypes.bfloat16)
NAMES = {v: k for k, v in NUMPY.items()}
LANES = 8
KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)


def _loop(f: Fn, op: str, attrs: tuple[object, ...], out: str, dtypes: Sequence[str], n: int) -> None:
    """out[i] = op(in[i]) over [begin, end), n lanes at a time; the words are the pointers of the operands, then of the result."""
    args = f.param("args")
    pointers = [f.word(args, k, "ptr") for k in range(len(dtypes) + 1)]

    def at(k: int, dtype: str, i: Val) -> Val:
        return f.gep(pointers[k], i, memory_type(dtype))

    def body(i: Val) -> None:
        values = [from_memory(f, f.load(memory_type(d, n), at(k, d, i), size_of(memory_type(d))), d) for k, d in enumerate(dtypes)]
        result = emit_scalar(f, op, tuple(attrs), out, values, tuple(dtypes))
        f.store(to_memory(f, result, out), at(len(dtypes), out, i), size_of(memory_type(out)))

    f.loop(f.param("begin"), f.param("end"), n, (), body)
    f.ret()


def text(op: str, out: str, dtypes: Sequence[str], attrs: tuple[object, ...] = (), lanes: int = LANES) -> str:
    m = Module()
    _loop(m.function("k"), op, attrs, out, dtypes, lanes)
    return m.text()


def address(op: str, out: str, dtypes: Sequence[str], attrs: tuple[object, ...] = (), lanes: int = LANES) -> int:
    return jit().compile("k", text(op, out, dtypes, attrs, lanes))


def call(kernel: int, words: Sequence[int], begin: int, end: int, scratch: int = 0) -> None:
    record = (ctypes.c_int64 * len(words))(*words)
    KERNEL(kernel)(ctypes.addressof(record), begin, end, scratch)


def run(op: str, *arrays: np.ndarray, out: str = "", attrs: tuple[object, ...] = (), both: bool = True) -> np.ndarray:
    """The op on equally long 1-d arrays; lanes and scalars must agree bit for bit."""
    dtypes = [NAMES[a.dtype] for a in arrays]
    out = out or dtypes[0]
    n = len(arrays[0])
    padded = [np.concatenate([a, np.ones(-n % LANES, a.dtype)]) for a in arrays]
    result = np.zeros(len(padded[0]), NUMPY[out])
    words = [a.ctypes.data for a in (*padded, result)]
    call(address(op, out, dtypes, attrs), words, 0, len(result))
    if both:
        single = np.zeros_like(result)
        call(address(op, out, dtypes, attrs, 1), [*words[:-1], single.ctypes.data], 0, n)
        a, b = result[:n].view(np.uint8), single[:n].view(np.uint8)
        if not np.array_equal(a, b):
            nan = np.isnan(result[:n].astype(np.float64)) & np.isnan(single[:n].astype(np.float64))
            assert ((result[:n] == single[:n]) | nan).all(), f"{op}: lanes and scalars differ"
    return result[:n]
