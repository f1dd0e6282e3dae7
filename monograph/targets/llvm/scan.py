"""Running sums, products, extrema along one axis: `plan_scan`.

An array is seen as outer x n x inner with any strides; a *line* is the n elements at one (outer, inner) place, and lines are the units of
work. Each line is accumulated in order, so threads and vectors change no bit; where both arrays are adjacent along inner, several lines are
done at once in the lanes of a vector. Sums and products accumulate as in PyTorch on the CPU: float64 for float32, float32 for the 16-bit
floats, and are rounded at every store; integers accumulate in the result's dtype.

Argument record: x, result, indices (0 if there are none), n, inner, then the element strides over outer, n and inner of x, of the result
and of the indices.
"""

from __future__ import annotations

from collections.abc import Sequence

from monograph.targets.llvm import vecmath
from monograph.targets.llvm.convert import KINDS, cast_number, compute_dtype, from_memory, memory_type, narrow, to_memory, widen
from monograph.targets.llvm.ir import Fn, Module, Val, size_of, vector
from monograph.targets.llvm.kernels.call import BufferRef, KernelCall, KernelSource, Machine, Word, contiguous_strides
from monograph.targets.llvm.vecmath_numbers import Num, fabs, repeat_while, select

OPS = ("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin")
INDEXED = ("cummax", "cummin")
X, RESULT, INDICES, N, INNER, STRIDES = 0, 1, 2, 3, 4, 5
GRAIN_ELEMENTS = 16384

Strides = tuple[int, int, int]


def plan_scan(
    op: str,
    dtype: str,
    sizes: tuple[int, int, int],
    out_dtype: str | None = None,
    x_strides: Strides | None = None,
    out_strides: Strides | None = None,
    reverse: bool = False,
    machine: Machine | None = None,
) -> list[KernelCall]:
    """Plans `op` ("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin") along the middle of `sizes` = (outer, n, inner).

    Operands: 0 x of `dtype`, 1 the result of `out_dtype` (default: `dtype`), and for cummax and cummin 2 the int64 indices, laid out as
    the result. Strides count elements; default: contiguous. `reverse` runs from the last element to the first (the gradient of cumsum).
    """
    if op not in OPS:
        raise ValueError(f"unknown scan {op!r}; there are {', '.join(OPS)}")
    out_dtype = out_dtype or dtype
    machine = machine or Machine()
    x_strides = x_strides or _contiguous(sizes)
    out_strides = out_strides or _contiguous(sizes)
    outer, n, inner = sizes
    if not outer * n * inner:
        return []
    if op in INDEXED and (reverse or out_dtype != dtype):
        raise ValueError(f"{op} keeps its dtype and runs forwards, got out_dtype={out_dtype} and reverse={reverse}")
    adjacent = inner > 1 and x_strides[2] == 1 and out_strides[2] == 1
    lanes = min(2 * machine.vector_bytes // size_of(memory_type(out_dtype)), 16) if adjacent else 1  # whole cache lines
    kernel = KernelSource.make("scan", (op, dtype, out_dtype, lanes), lambda m, name: _emit(m, name, op, dtype, out_dtype, lanes))
    widths = size_of(memory_type(dtype)), size_of(memory_type(out_dtype))
    starts = [(n - 1) * s[1] * w if reverse else 0 for s, w in zip((x_strides, out_strides), widths, strict=True)]
    along = -1 if reverse else 1
    words: list[Word] = [BufferRef(0, starts[0]), BufferRef(1, starts[1]), BufferRef(2) if op in INDEXED else 0, n, inner]
    for s in (x_strides, out_strides, out_strides):
        words += [s[0], along * s[1], s[2]]
    nbytes = outer * n * inner * (sum(widths) + (8 if op in INDEXED else 0))
    return [KernelCall(kernel, words, outer * inner, grain=max(GRAIN_ELEMENTS // n, 1), flops=outer * n * inner, nbytes=nbytes)]


def _contiguous(sizes: Sequence[int]) -> Strides:
    outer, n, inner = contiguous_strides(sizes)
    return outer, n, inner


def _accumulator(op: str, dtype: str) -> str:
    if op in ("cumsum", "cumprod") and dtype == "float32":
        return "float64"
    return compute_dtype(dtype)


def _emit(module: Module, name: str, op: str, dtype: str, out_dtype: str, lanes: int) -> None:
    f = module.function(name)
    args, inner = f.param("args"), f.word(f.param("args"), INNER)
    end = Num(f, f.param("end"))

    def lines(unit: Num, n: int) -> list[Val]:
        _lines(f, args, f.udiv(unit.v, inner), f.urem(unit.v, inner), op, dtype, out_dtype, n)
        return [(unit + n).v]

    def step(unit: Num) -> list[Num]:
        if lanes == 1:
            return [Num(f, lines(unit, 1)[0])]
        together = Num(f, f.urem(unit.v, inner)) + (lanes - 1)
        fits = (together < Num(f, inner)) & ((unit + (lanes - 1)) < end)
        return [Num(f, f.if_value(fits.v, lambda: lines(unit, lanes), lambda: lines(unit, 1))[0])]

    repeat_while([Num(f, f.param("begin"))], lambda unit: (unit < end).v, step)
    f.ret()


def _lines(f: Fn, args: Val, outer: Val, inner: Val, op: str, dtype: str, out_dtype: str, n: int) -> None:
    """Scans `n` lines that lie side by side."""

    def base(pointer: int, strides: int, ty: str) -> tuple[Val, Val]:
        at = f.add(f.mul(outer, f.word(args, strides)), f.mul(inner, f.word(args, strides + 2)))
        return f.gep(f.word(args, pointer, "ptr"), at, ty), f.word(args, strides + 1)

    x_ty, out_ty = memory_type(dtype), memory_type(out_dtype)
    x, x_step = base(X, STRIDES, x_ty)
    result, result_step = base(RESULT, STRIDES + 3, out_ty)
    size = f.word(args, N)
    working = _accumulator(op, out_dtype)

    def value(j: Val) -> Num:
        stored = f.load(vector(x_ty, n), f.gep(x, f.mul(j, x_step), x_ty), size_of(x_ty))
        logical = cast_number(Num(f, from_memory(f, stored, dtype)), dtype, out_dtype)
        return cast_number(widen(logical, out_dtype), compute_dtype(out_dtype), working)

    def put(j: Val | int, total: Num) -> None:
        rounded = narrow(cast_number(total, working, compute_dtype(out_dtype)), out_dtype)
        at = f.gep(result, f.mul(f.as_i64(j), result_step), out_ty)
        f.store(to_memory(f, rounded.v, out_dtype), at, size_of(out_ty))

    first = value(f.i64(0))
    put(0, first)
    if op not in INDEXED:

        def body(j: Val, total: Val) -> list[Val]:
            after = _combine(op, Num(f, total), value(j))
            put(j, after)
            return [after.v]

        f.loop(1, size, 1, [first.v], body)
        return
    indices, index_step = base(INDICES, STRIDES + 6, "i64")
    zero = f.const(0, vector("i64", n))
    f.store(zero, indices, 8)

    def follow(j: Val, best: Val, where: Val) -> list[Val]:
        new, old = value(j), Num(f, best)
        wins = _wins(op, new, old, out_dtype)
        chosen = select(wins, new, old)
        at = select(wins, Num(f, f.splat(j, n)), Num(f, where))
        put(j, chosen)
        f.store(at.v, f.gep(indices, f.mul(j, index_step), "i64"), 8)
        return [chosen.v, at.v]

    f.loop(1, size, 1, [first.v, zero], follow)


def _combine(op: str, total: Num, new: Num) -> Num:
    if op == "cumsum":
        return total + new
    if op == "cumprod":
        return total * new
    larger = select(total > new, total, new)
    gap = -fabs(total - new)  # NaN for two equal infinities, and where an operand is NaN
    both = larger + vecmath.log1p(vecmath.exp(gap))
    nan = Num(total.f, total.f.fcmp("uno", total.v, new.v))
    return select(nan, total + new, select(gap.isnan(), larger, both))


def _wins(op: str, new: Num, old: Num, dtype: str) -> Num:
    """Whether the running extremum moves: the last of equals wins, and a NaN is never left for a number."""
    f = new.f
    if KINDS[dtype] == "f":
        better = new >= old if op == "cummax" else new <= old
        return better | new.isnan()
    sign = "s" if KINDS[dtype] == "i" else "u"
    return Num(f, f.icmp(f"{sign}{'ge' if op == 'cummax' else 'le'}", new.v, old.v))
