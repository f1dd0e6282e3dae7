"""Pooling: maximum (values and flat indices, as torch gives them) and average, forward and backward. A unit of work is one plane.

Windows that lie inside a row are taken a vector of outputs at a time; those at the border one by one. Either way a window is walked in
rows, then columns, so both give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from monograph.targets.llvm.ir import Fn, Module, Val, const, is_float, vector
from monograph.targets.llvm.kernels.call import KernelCall, KernelSource, Machine, Word
from monograph.targets.llvm.kernels.element import COMPUTE, at, either, itemsize, load, narrow, tighten
from monograph.targets.llvm.kernels.pool_shape import POOL_WORDS, PoolShape, inner_columns, window

Carried = list[Val]
SMALLEST = {"i32": -(1 << 31), "i64": -(1 << 63), "float": float("-inf"), "double": float("-inf")}


def plan_max_pool(
    dtype: str, shape: PoolShape, x: Word, y: Word, indices: Word, machine: Machine | None = None, with_indices: bool = True
) -> list[KernelCall]:
    """y and (int64) indices into each input plane; a NaN in a window is its maximum. Without `with_indices` nothing is written there."""
    step = shape.stride[1] if shape.stride[1] in (1, 2) else 0
    lanes = (machine or Machine()).lanes(itemsize(dtype) if not narrow(dtype) else 4)
    key = (dtype, step, lanes, with_indices)
    source = KernelSource.make("max_pool", key, lambda module, name: _emit_max(module, name, dtype, step, lanes, with_indices))
    moved = shape.inputs * itemsize(dtype) + shape.outputs * (itemsize(dtype) + 8 * with_indices)
    return _call(source, shape, shape.words(x, y, indices), 0, moved)


def plan_max_pool_backward(
    dtype: str, shape: PoolShape, dy: Word, indices: Word, dx: Word, machine: Machine | None = None
) -> list[KernelCall]:
    """dx: each output's gradient added where its maximum came from."""
    del machine
    source = KernelSource.make("max_pool_grad", (dtype,), lambda module, name: _emit_max_backward(module, name, dtype))
    scratch = shape.size[0] * shape.size[1] * 4 if narrow(dtype) else 0
    moved = shape.inputs * itemsize(dtype) + shape.outputs * (itemsize(dtype) + 8)
    return _call(source, shape, shape.words(dx, dy, indices), scratch, moved)


def plan_avg_pool(
    dtype: str, shape: PoolShape, x: Word, y: Word, count_include_pad: bool = True, divisor: int = 0, machine: Machine | None = None
) -> list[KernelCall]:
    """y = mean of each window; `divisor` replaces the number of its elements."""
    step = shape.stride[1] if shape.stride[1] in (1, 2) else 0
    lanes = (machine or Machine()).lanes(8 if dtype == "float64" else 4)
    source = KernelSource.make("avg_pool", (dtype, step, lanes), lambda module, name: _emit_avg(module, name, dtype, step, lanes))
    words = shape.words(x, y, 0, count_include_pad, divisor)
    return _call(source, shape, words, 0, (shape.inputs + shape.outputs) * itemsize(dtype))


def plan_avg_pool_backward(
    dtype: str, shape: PoolShape, dy: Word, dx: Word, count_include_pad: bool = True, divisor: int = 0, machine: Machine | None = None
) -> list[KernelCall]:
    """dx of the mean."""
    del machine
    source = KernelSource.make("avg_pool_grad", (dtype,), lambda module, name: _emit_avg_backward(module, name, dtype))
    scratch = shape.size[0] * shape.size[1] * 4 if narrow(dtype) else 0
    words = shape.words(dx, dy, 0, count_include_pad, divisor)
    return _call(source, shape, words, scratch, (shape.inputs + shape.outputs) * itemsize(dtype))


def _call(source: KernelSource, shape: PoolShape, words: Sequence[Word], scratch: int, moved: int) -> list[KernelCall]:
    if not shape.planes:
        return []
    work = shape.outputs * shape.taps + shape.inputs
    return [
        KernelCall(
            source, list(words), shape.planes, max(1, 65536 * shape.planes // max(1, work)), scratch, shape.outputs * shape.taps, moved
        )
    ]


def strided_load(f: Fn, dtype: str, ptr: Val, n: int, step: int, stride: Val) -> Val:
    """n elements `stride` apart (step: 1 or 2 where that is known), reading nothing beyond the last of them."""
    if n == 1 or step == 1:
        return load(f, dtype, ptr, n)
    if step == 2:
        even, odd = load(f, dtype, ptr, n), load(f, dtype, at(f, ptr, n - 1, dtype), n)
        return f.shuffle(even, odd, [*range(0, n, 2), *range(n + 1, 2 * n, 2)])
    out = Val("poison", vector(COMPUTE[dtype], n))
    for lane in range(n):
        out = f.insert(out, load(f, dtype, at(f, ptr, f.mul(stride, lane), dtype)), lane)
    return out


def _over_planes(f: Fn, w: dict[str, Val], dtype: str, body: Callable[[Val, Val, Val], None]) -> None:
    """body(first input of the plane, first output of the plane as an index, u)."""

    def plane(u: Val) -> None:
        body(f.mul(u, f.mul(w["h"], w["w"])), f.mul(u, f.mul(w["out_h"], w["out_w"])), u)

    f.loop(f.param("begin"), f.param("end"), 1, (), plane)


def _over_outputs(f: Fn, w: dict[str, Val], lanes: int, visit: Callable[[Val, Val, int], None]) -> None:
    """visit(oy, ox, n) for all outputs of a plane: n = `lanes` inside (the last vector of a row overlaps the one before), half as many in
    rows too short for that, else n = 1.
    """
    low, high = inner_columns(f, w)
    inner, half = f.sub(high, low), max(1, lanes // 2)
    left = f.select(f.icmp("sge", inner, half), low, w["out_w"])

    def row(oy: Val) -> None:
        def vectors(n: int) -> None:
            last = f.sub(high, n)
            f.loop(low, f.add(last, n), n, (), lambda ox: visit(oy, f.smin(ox, last), n))
            f.loop(high, w["out_w"], 1, (), lambda ox: visit(oy, ox, 1))

        f.loop(0, left, 1, (), lambda ox: visit(oy, ox, 1))
        either(
            f, f.icmp("sge", inner, lanes), lambda: vectors(lanes),
            lambda: either(f, f.icmp("sge", inner, half), lambda: vectors(half)) if half > 1 else None,
        )  # fmt: skip

    f.loop(0, w["out_h"], 1, (), row)


def _over_window(f: Fn, w: dict[str, Val], oy: Val, ox: Val, carried: Carried, tap: Callable[[Val, Val, Carried], Carried]) -> Carried:
    """tap(row start index, column, carried) for the taps of a window that lie inside the plane, in rows, then columns."""
    y0, ky0, ky1 = window(f, w, "h", oy)
    x0, kx0, kx1 = window(f, w, "w", ox)

    def row(ky: Val, *values: Val) -> Carried:
        line = f.mul(f.add(y0, f.mul(ky, w["dilation_h"])), w["w"])
        return f.loop(kx0, kx1, 1, values, lambda kx, *v: tap(line, f.add(x0, f.mul(kx, w["dilation_w"])), list(v)))

    return f.loop(ky0, ky1, 1, carried, row)


def _emit_max(module: Module, name: str, dtype: str, step: int, lanes: int, with_indices: bool) -> None:
    f = module.function(name)
    w = POOL_WORDS.read(f, f.param("args"))
    ty = COMPUTE[dtype]
    index_ty = "i64" if ty in ("double", "i64") else "i32"

    def plane(x_at: Val, y_at: Val, _: Val) -> None:
        x = at(f, w["x"], x_at, dtype)

        def visit(oy: Val, ox: Val, n: int) -> None:
            y0, ky0, _ky1 = window(f, w, "h", oy)
            x0, kx0, _kx1 = window(f, w, "w", ox)
            first_row = f.mul(f.add(y0, f.mul(ky0, w["dilation_h"])), w["w"])
            first = f.add(first_row, f.add(x0, f.mul(kx0, w["dilation_w"])))
            steps = f.mul(f.iota(n, index_ty), f.splat(f.cast("trunc", w["stride_w"], index_ty), n))
            start = f.add(f.splat(f.cast("trunc", first, index_ty), n), steps)

            def tap(line: Val, column: Val, carried: Carried) -> Carried:
                best, where = carried
                place = f.add(line, column)
                value = strided_load(f, dtype, at(f, x, place, dtype), n, step, w["stride_w"])
                better = f.fcmp("ogt", value, best) if is_float(ty) else f.icmp("sgt", value, best)
                if is_float(ty):
                    better = f.binary("or", better, f.fcmp("uno", value, value))
                if not with_indices:
                    return [f.select(better, value, best), where]
                here = f.add(f.splat(f.cast("trunc", place, index_ty), n), steps)
                return [f.select(better, value, best), f.select(better, here, where)]

            smallest = const(SMALLEST[ty], vector(ty, n))
            best, where = _over_window(f, w, oy, ox, [smallest, start], tap)
            to = f.add(y_at, f.add(f.mul(oy, w["out_w"]), ox))
            f.store(tighten(f, dtype, best) if narrow(dtype) else best, at(f, w["y"], to, dtype))
            if with_indices:
                f.store(f.cast("sext", where, vector("i64", n)), f.gep(w["indices"], to, "i64"))

        _over_outputs(f, w, lanes, visit)

    _over_planes(f, w, dtype, plane)
    f.ret()


def _accumulate_planes(f: Fn, w: dict[str, Val], dtype: str, add_all: Callable[[Val, Val], None]) -> None:
    """Zeroes a plane of dx (in scratch if it must be converted), lets `add_all(plane, first output)` add to it, and writes it."""
    ty, area = COMPUTE[dtype], f.mul(w["h"], w["w"])

    def plane(x_at: Val, y_at: Val, _: Val) -> None:
        out = at(f, w["x"], x_at, dtype)
        sums = f.param("scratch") if narrow(dtype) else out
        f.loop(0, area, 1, (), lambda i: f.store(f.const(0, ty), f.gep(sums, i, ty)))
        add_all(sums, y_at)
        if narrow(dtype):
            f.loop(0, area, 1, (), lambda i: f.store(tighten(f, dtype, f.load(ty, f.gep(sums, i, ty))), at(f, out, i, dtype)))

    _over_planes(f, w, dtype, plane)
    f.ret()


def _add_to(f: Fn, ty: str, place: Val, value: Val) -> None:
    old = f.load(ty, place)
    f.store(f.fadd(old, value) if is_float(ty) else f.add(old, value), place)


def _emit_max_backward(module: Module, name: str, dtype: str) -> None:
    f = module.function(name)
    w = POOL_WORDS.read(f, f.param("args"))
    ty = COMPUTE[dtype]

    def add_all(sums: Val, y_at: Val) -> None:
        def one(i: Val) -> None:
            o = f.add(y_at, i)
            where = f.load("i64", f.gep(w["indices"], o, "i64"))
            _add_to(f, ty, f.gep(sums, where, ty), load(f, dtype, at(f, w["y"], o, dtype)))

        f.loop(0, f.mul(w["out_h"], w["out_w"]), 1, (), one)

    _accumulate_planes(f, w, dtype, add_all)


def _divisor(f: Fn, w: dict[str, Val], ty: str, oy: Val, ox: Val) -> Val:
    """What a window's sum is divided by."""

    def counts(axis: str, o: Val) -> tuple[Val, Val]:
        start, first, end = window(f, w, axis, o)
        padded = f.smin(f.add(start, w[f"kernel_{axis}"]), f.add(w[axis], w[f"pad_{axis}"]))
        return f.sub(end, first), f.sub(padded, start)

    (real_h, padded_h), (real_w, padded_w) = counts("h", oy), counts("w", ox)
    with_pad = f.icmp("ne", w["include_pad"], 0)
    size = f.select(with_pad, f.mul(padded_h, padded_w), f.mul(real_h, real_w))
    chosen = f.select(f.icmp("ne", w["divisor"], 0), w["divisor"], f.smax(size, 1))
    return f.cast("sitofp", chosen, ty)


def _emit_avg(module: Module, name: str, dtype: str, step: int, lanes: int) -> None:
    f = module.function(name)
    w = POOL_WORDS.read(f, f.param("args"))
    ty = COMPUTE[dtype]

    def plane(x_at: Val, y_at: Val, _: Val) -> None:
        x = at(f, w["x"], x_at, dtype)

        def visit(oy: Val, ox: Val, n: int) -> None:
            def tap(line: Val, column: Val, carried: Carried) -> Carried:
                return [f.fadd(carried[0], strided_load(f, dtype, at(f, x, f.add(line, column), dtype), n, step, w["stride_w"]))]

            (total,) = _over_window(f, w, oy, ox, [f.const(0, vector(ty, n))], tap)
            mean = f.fdiv(total, f.splat(_divisor(f, w, ty, oy, ox), n))
            to = f.add(y_at, f.add(f.mul(oy, w["out_w"]), ox))
            f.store(tighten(f, dtype, mean) if narrow(dtype) else mean, at(f, w["y"], to, dtype))

        _over_outputs(f, w, lanes, visit)

    _over_planes(f, w, dtype, plane)
    f.ret()


def _emit_avg_backward(module: Module, name: str, dtype: str) -> None:
    f = module.function(name)
    w = POOL_WORDS.read(f, f.param("args"))
    ty = COMPUTE[dtype]

    def add_all(sums: Val, y_at: Val) -> None:
        def output(oy: Val, ox: Val) -> None:
            o = f.add(y_at, f.add(f.mul(oy, w["out_w"]), ox))
            share = f.fdiv(load(f, dtype, at(f, w["y"], o, dtype)), _divisor(f, w, ty, oy, ox))

            def tap(line: Val, column: Val, _: Carried) -> Carried:
                _add_to(f, ty, f.gep(sums, f.add(line, column), ty), share)
                return []

            _over_window(f, w, oy, ox, [], tap)

        f.loop(0, w["out_h"], 1, (), lambda oy: f.loop(0, w["out_w"], 1, (), lambda ox: output(oy, ox)))

    _accumulate_planes(f, w, dtype, add_all)
