"""What a loop kernel means, in plain NumPy: the oracle of the emitter's tests, and a way to look into a spec by hand.

Values are whole arrays over the domain; row values have size 1 in the reduced dims. Floats of 16 bits are computed in float32 and
rounded after each op.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import ml_dtypes
import numpy as np
from numpy.lib.stride_tricks import as_strided

from monograph.targets.llvm.loop_passes import EFFECTS, passes_of
from monograph.targets.llvm.loop_spec import LoopKernel

Array = np.ndarray[Any, Any]
Strided = tuple[Array, Sequence[int], Sequence[tuple[int, int]]]  # an array whose data begin at the first element, as for `arg_words`

ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative, "abs": np.abs, "sqrt": np.sqrt,
    "exp": np.exp, "log": np.log, "tanh": np.tanh, "maximum": np.maximum, "minimum": np.minimum,
    "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal, "where": np.where, "logical_and": np.logical_and,
    "logical_or": np.logical_or, "logical_not": np.logical_not, "cast": lambda x: x,
}  # fmt: skip


def numpy_dtype(dtype: str) -> np.dtype[Any]:
    """The NumPy dtype of a dtype's name."""
    return np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


def interpret(spec: LoopKernel, sizes: Sequence[int], operands: Sequence[Strided], errors: list[tuple[int, int]] | None = None) -> None:
    """Runs the kernel: writes its stores and scatters into the operands. Indices out of range are appended to `errors` as (code, value)."""
    _Interpreter(spec, tuple(sizes), operands, errors if errors is not None else []).run()


def reduce_reference(kind: str, x: Array, kept: int, dtype: str) -> Array:
    """A reduction over all dims after the kept ones, which stay with size 1."""
    shape = x.shape[:kept] + (1,) * (x.ndim - kept)
    flat = x.reshape(*x.shape[:kept], prod(x.shape[kept:]))
    target = numpy_dtype(dtype)
    if kind in ("sum", "prod"):
        exact = target if target.kind in "iub" else np.dtype(np.float64)
        exactly = flat.astype(exact)
        result = exactly.sum(-1, dtype=exact) if kind == "sum" else exactly.prod(-1, dtype=exact)
    elif kind in ("any", "all"):
        result = flat.astype(bool).any(-1) if kind == "any" else flat.astype(bool).all(-1)
    else:
        wide = flat.astype(np.float32) if flat.dtype.itemsize == 2 and flat.dtype.kind not in "iu" else flat
        if wide.shape[-1] == 0:
            nothing = 0 if kind.startswith("arg") else _identity(kind, wide.dtype)
            result = np.full(flat.shape[:-1], nothing)
        else:
            result = getattr(wide, kind)(-1)
    return np.asarray(result).astype(target).reshape(shape)


def _identity(kind: str, dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "f":
        return -np.inf if kind == "max" else np.inf
    if dtype.kind == "b":
        return kind == "min"
    return np.iinfo(dtype).min if kind == "max" else np.iinfo(dtype).max


class _Interpreter:
    def __init__(self, spec: LoopKernel, sizes: tuple[int, ...], operands: Sequence[Strided], errors: list[tuple[int, int]]) -> None:
        self.spec, self.sizes, self.operands, self.errors = spec, sizes, operands, errors
        self.full = passes_of(spec).full
        self.values: list[Array] = []

    def shape(self, full: bool) -> tuple[int, ...]:
        return self.sizes if full else self.sizes[: self.spec.kept] + (1,) * self.spec.reduced

    def run(self) -> None:
        with np.errstate(all="ignore"):
            pending = []
            for v, instr in enumerate(self.spec.instrs):
                if instr.op in EFFECTS:
                    pending.append(v)
                    self.values.append(np.zeros(()))
                else:
                    self.values.append(np.asarray(self.value(v)))
            for v in pending:
                self.effect(v)

    def view(self, v: int) -> Array:
        """The memory that access v touches: the domain's dims, then the extra dims."""
        array, strides, extras = self.operands[self.spec.instrs[v].attrs[0]]
        shape = self.shape(self.full[v]) + tuple(size for _, size in extras)
        return as_strided(array, shape, (*strides, *(stride for stride, _ in extras)))

    def value(self, v: int) -> Array:
        instr = self.spec.instrs[v]
        args = [self.values[a] for a in instr.args]
        dtype = numpy_dtype(instr.dtype)
        if instr.op == "const":
            return np.full((1,) * len(self.sizes), instr.attrs[0]).astype(dtype)
        if instr.op == "index":
            return np.indices(self.sizes, np.int64, sparse=True)[instr.attrs[0]]
        if instr.op == "load":
            return self.view(v).copy()
        if instr.op == "gather":
            return self.view(v)[self.positions(v, args)]
        if instr.op == "reduce":
            full = np.broadcast_to(args[0], self.sizes)
            return reduce_reference(instr.attrs[0], full, self.spec.kept, instr.dtype)
        widened = [a.astype(np.float32) if a.dtype.itemsize == 2 and a.dtype.kind not in "iu" else a for a in args]
        result = np.asarray(ELEMENTWISE[instr.op](*widened))
        if result.dtype.kind == "f" and dtype.kind in "iu":
            result = result.astype(np.int64)
        return result.astype(dtype)

    def positions(self, v: int, indices: Sequence[Array]) -> tuple[Array, ...]:
        shape = self.shape(self.full[v])
        extras = self.operands[self.spec.instrs[v].attrs[0]][2]
        ordinal = [k for k, i in enumerate(self.spec.instrs) if i.op in ("gather", "scatter", "scatter_add")].index(v)
        checked = []
        for index, (_, size) in zip(indices, extras, strict=True):
            index = np.broadcast_to(index, shape)
            wrapped = np.where(index < 0, index + size, index)
            bad = (wrapped < 0) | (wrapped >= size)
            self.errors += [(ordinal + 1, int(i)) for i in index[bad]]
            checked.append(np.where(bad, 0, wrapped))
        grid = np.indices(shape, np.int64, sparse=True) if shape else ()
        return (*grid, *checked)

    def effect(self, v: int) -> None:
        instr = self.spec.instrs[v]
        value, *indices = (self.values[a] for a in instr.args)
        view = self.view(v)
        if instr.op == "store":
            view[...] = value
            return
        where = self.positions(v, indices)
        shape = self.shape(self.full[v])
        places = [np.broadcast_to(w, shape).ravel() for w in where]
        for at, x in zip(zip(*places, strict=True), np.broadcast_to(value, shape).ravel(), strict=True):
            if instr.op == "scatter":
                view[at] = x
            elif x.dtype.itemsize == 2 and x.dtype.kind not in "iu":
                view[at] = np.float32(view[at]) + np.float32(x)
            else:
                view[at] += x
