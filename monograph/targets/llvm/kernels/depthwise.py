"""Depthwise convolution: every channel by itself with a small kernel of known size, all of it unrolled in registers.

A unit is a block of planes (an image's channel). A plane is copied into scratch with zeros around it, columns of stride 2 split into even
and odd ones, so that all taps are plain vector loads; a few result rows and vectors are computed side by side. For the gradient of the
input of a strided convolution zeros are put between the values instead, and the kernel is turned around. The zeros around are written
once for all planes of a unit. Sums run over the rows, then the columns of the kernel, whatever the unit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from monograph.targets.llvm.ir import Fn, Module, Val
from monograph.targets.llvm.kernels.call import KernelSource, Layout
from monograph.targets.llvm.kernels.element import STORAGE, at, either, load, narrow, range_mask, split, tighten
from monograph.targets.llvm.kernels.epilogue import Epilogue, finish_rows
from monograph.targets.llvm.kernels.micro import Tile, tree_sum

COPY_WORDS = ("source*", "size_h", "size_w", "pad_h", "pad_w", "pitch", "odd_at", "copy_elements")
PLANE_WORDS = Layout(
    *COPY_WORDS, "weights*", "first_tap", "tap_step", "channels", "planes", "block", "result*", "out_h", "out_w", "weights_at", "dense_at",
    "stage_at", "pointers_at",
)  # fmt: skip
PLANE_OPERAND_WORDS = 3  # pointer, channel stride, image stride: for each operand of the tail, after PLANE_WORDS
WEIGHT_WORDS = Layout(*COPY_WORDS, "dy*", "out_h", "out_w", "channels", "images", "dw*", "dy_at", "dy_pitch", "sums_at")


@dataclass(frozen=True, slots=True)
class DepthwiseKey:
    """The structure: kernel size, stride of the reading, distance of the values when they are spread out, results side by side."""

    dtype: str
    rows: int
    columns: int
    stride: int
    spread: int
    tile: Tile
    block_rows: int
    block_vectors: int


def depthwise_kernel(key: DepthwiseKey, tail: Epilogue) -> KernelSource:
    """Results of all planes, with the tail applied."""
    return KernelSource.make("depthwise", (key, tail), lambda module, name: _emit_planes(module, name, key, tail))


def depthwise_weight_kernel(key: DepthwiseKey) -> KernelSource:
    """The gradient of the weights; a unit is a channel."""
    return KernelSource.make("depthwise_weight", (key,), lambda module, name: _emit_weight(module, name, key))


def _zeros(f: Fn, tile: Tile, to: Val, elements: Val) -> None:
    f.loop(0, elements, tile.lanes, (), lambda i: f.store(f.const(0, tile.vector), f.gep(to, i, tile.ty)))


def _masked(f: Fn, key: DepthwiseKey, place: Val, left: Val) -> Val:
    """A vector of which `left` elements are there, the others zero."""
    tile, width, zero = key.tile, key.tile.lanes, f.const(0, key.tile.vector)
    if narrow(key.dtype):
        value = zero
        for lane in range(width):
            there = f.icmp("sgt", left, lane)
            (one,) = f.if_value(there, partial(_element, f, key.dtype, place, lane), lambda: [f.const(0, tile.ty)])
            value = f.insert(value, one, lane)
        return value
    name = f"@llvm.masked.load.v{width}f{8 * tile.item}.p0"
    mask = range_mask(f, f.smin(f.smax(left, 0), width), width)
    f.declares.add(f"declare {tile.vector} {name}(ptr, {mask.ty}, {tile.vector})")
    return f.emit(tile.vector, f"call {tile.vector} {name}(ptr align {tile.item} {place}, {mask.ty} {mask}, {tile.vector} {zero})")


def _element(f: Fn, dtype: str, place: Val, lane: int) -> list[Val]:
    return [load(f, dtype, at(f, place, lane, dtype))]


def _vectors(f: Fn, key: DepthwiseKey, source: Val, count: Val, step: int, use: Callable[[Val, list[Val]], None]) -> None:
    """Calls `use(first, values)` for runs of `step` vectors of a row of `count` elements; what is past the end is zero."""
    width = key.tile.lanes

    def place(x: Val, v: int) -> Val:
        return at(f, source, f.add(x, v * width), key.dtype)

    def run(x: Val) -> None:
        use(x, [load(f, key.dtype, place(x, v), width) for v in range(step)])

    def end() -> None:
        use(whole, [_masked(f, key, place(whole, v), f.sub(f.sub(count, whole), v * width)) for v in range(step)])

    whole = f.binary("and", count, f.i64(-step * width))
    f.loop(0, whole, step * width, (), run)
    either(f, f.icmp("slt", whole, count), end)


def _copy(f: Fn, key: DepthwiseKey, w: dict[str, Val], plane: Val, to: Val) -> None:
    """A plane into the middle of the zeros."""
    tile, width = key.tile, key.tile.lanes

    def row(y: Val) -> None:
        source = at(f, plane, f.mul(y, w["size_w"]), key.dtype)
        line = f.gep(to, f.mul(f.add(w["pad_h"], f.mul(y, key.spread)), w["pitch"]), tile.ty)
        if key.stride == 1:
            start = f.gep(line, w["pad_w"], tile.ty)
            _vectors(f, key, source, w["size_w"], 1, lambda x, v: put(start, x, v[0]))
            return
        odd = f.binary("and", w["pad_w"], f.i64(1))
        half, half_up = f.binary("lshr", w["pad_w"], f.i64(1)), f.binary("lshr", f.add(w["pad_w"], 1), f.i64(1))
        even_to = f.gep(line, f.add(half, f.mul(odd, w["odd_at"])), tile.ty)
        odd_to = f.gep(line, f.add(half_up, f.mul(f.sub(f.i64(1), odd), w["odd_at"])), tile.ty)

        def deal(x: Val, v: list[Val]) -> None:
            place = f.binary("lshr", x, f.i64(1))
            f.store(f.shuffle(v[0], v[1], range(0, 2 * width, 2)), f.gep(even_to, place, tile.ty))
            f.store(f.shuffle(v[0], v[1], range(1, 2 * width, 2)), f.gep(odd_to, place, tile.ty))

        _vectors(f, key, source, w["size_w"], 2, deal)

    def put(start: Val, x: Val, value: Val) -> None:
        if key.spread == 1:
            f.store(value, f.gep(start, x, tile.ty))
            return
        zero = f.const(0, tile.vector)
        for half in range(2):
            order = [k // 2 + half * width // 2 if k % 2 == 0 else width for k in range(width)]
            f.store(f.shuffle(value, zero, order), f.gep(start, f.add(f.mul(x, 2), half * width), tile.ty))

    f.loop(0, w["size_h"], 1, (), row)


def _tap(f: Fn, key: DepthwiseKey, w: dict[str, Val], line: Val, column: int) -> Val:
    """Where a column of the kernel reads in a line of the copy."""
    place = f.gep(line, column // key.stride, key.tile.ty)
    return f.gep(place, w["odd_at"], key.tile.ty) if column % key.stride else place


def _emit_planes(module: Module, name: str, key: DepthwiseKey, tail: Epilogue) -> None:
    tile, width = key.tile, key.tile.lanes
    finish = finish_rows(module, key.dtype, tail, width)
    f = module.function(name)
    args, copy = f.param("args"), f.param("scratch")
    w = PLANE_WORDS.read(f, args)
    weights, dense, pointers = (f.gep(copy, w[x]) for x in ("weights_at", "dense_at", "pointers_at"))
    taps, out_plane = key.rows * key.columns, f.mul(w["out_h"], w["out_w"])
    across = key.block_vectors * width
    blocks = f.udiv(f.add(w["out_w"], across - 1), across)

    def unit(u: Val) -> None:
        q0 = f.mul(u, w["block"])
        _zeros(f, tile, copy, w["copy_elements"])
        f.loop(q0, f.smin(f.add(q0, w["block"]), w["planes"]), 1, (), plane)

    def plane(q: Val) -> None:
        image, channel = split(f, q, w["channels"])
        _copy(f, key, w, at(f, w["source"], f.mul(q, f.mul(w["size_h"], w["size_w"])), key.dtype), copy)
        first = f.add(f.mul(channel, taps), w["first_tap"])
        for i in range(taps):
            factor = load(f, key.dtype, at(f, w["weights"], f.add(first, f.mul(w["tap_step"], i)), key.dtype))
            f.store(f.splat(factor, width), f.gep(weights, i * width, tile.ty))
        # The last vectors of a row reach into the next one, so blocks of columns are computed from the right to the left.
        f.loop(0, blocks, 1, (), lambda b: column_block(f.mul(f.sub(f.sub(blocks, 1), b), across)))
        for i, operand in enumerate(tail.operands):
            word = PLANE_WORDS.size + PLANE_OPERAND_WORDS * i
            base, moves, images = f.word(args, word, "ptr"), f.word(args, word + 1), f.word(args, word + 2)
            f.store(at(f, base, f.add(f.mul(channel, moves), f.mul(image, images)), operand.dtype), f.gep(pointers, i, "ptr"))
        result, none = at(f, w["result"], f.mul(q, out_plane), tail.out_dtype), f.i64(0)
        f.call("void", finish, dense, none, result, none, f.i64(1), out_plane, pointers, pointers, f.gep(copy, w["stage_at"]))

    def column_block(x: Val) -> None:
        f.loop(0, w["out_h"], key.block_rows, (), lambda y: block(x, y))

    def block(x: Val, y: Val) -> None:
        sums = [[f.const(0, tile.vector)] * key.block_vectors for _ in range(key.block_rows)]
        start = f.gep(copy, f.add(f.mul(f.mul(y, key.stride), w["pitch"]), x), tile.ty)
        for i in range((key.block_rows - 1) * key.stride + key.rows):
            line = f.gep(start, f.mul(w["pitch"], i), tile.ty)
            for s in range(key.columns):
                place = _tap(f, key, w, line, s)
                values = [f.load(tile.vector, f.gep(place, v * width, tile.ty)) for v in range(key.block_vectors)]
                for row, totals in enumerate(sums):
                    r = i - row * key.stride
                    if 0 <= r < key.rows:
                        factor = f.load(tile.vector, f.gep(weights, (r * key.columns + s) * width, tile.ty))
                        totals[:] = [f.fma(factor, value, total) for value, total in zip(values, totals, strict=True)]
        to = f.gep(dense, f.add(f.mul(y, w["out_w"]), x), tile.ty)
        for row, totals in enumerate(sums):
            for v, total in enumerate(totals):
                f.store(total, f.gep(f.gep(to, f.mul(w["out_w"], row), tile.ty), v * width, tile.ty))

    f.loop(f.param("begin"), f.param("end"), 1, (), unit)
    f.ret()


def _emit_weight(module: Module, name: str, key: DepthwiseKey) -> None:
    tile, width = key.tile, key.tile.lanes
    f = module.function(name)
    copy = f.param("scratch")
    w = WEIGHT_WORDS.read(f, f.param("args"))
    dy, sums = f.gep(copy, w["dy_at"]), f.gep(copy, w["sums_at"])
    taps = key.rows * key.columns
    _zeros(f, tile, copy, w["copy_elements"])
    straight = DepthwiseKey(key.dtype, 1, 1, 1, 1, tile, 1, 1)

    def unit(c: Val) -> None:
        _zeros(f, tile, sums, f.i64(taps * width))
        f.loop(0, w["images"], 1, (), lambda n: image(f.add(f.mul(n, w["channels"]), c)))
        for i in range(taps):
            total = tree_sum(f, f.load(tile.vector, f.gep(sums, i * width, tile.ty)))
            value = tighten(f, key.dtype, total) if narrow(key.dtype) else total
            f.store(value, f.gep(w["dw"], f.add(f.mul(c, taps), i), STORAGE[key.dtype]))

    def image(q: Val) -> None:
        _copy(f, key, w, at(f, w["source"], f.mul(q, f.mul(w["size_h"], w["size_w"])), key.dtype), copy)
        plane = at(f, w["dy"], f.mul(q, f.mul(w["out_h"], w["out_w"])), key.dtype)

        def line_in(y: Val) -> None:
            to = f.gep(dy, f.mul(y, w["dy_pitch"]), tile.ty)
            source = at(f, plane, f.mul(y, w["out_w"]), key.dtype)
            _vectors(f, straight, source, w["out_w"], 1, lambda x, v: f.store(v[0], f.gep(to, x, tile.ty)))

        f.loop(0, w["out_h"], 1, (), line_in)
        for r in range(key.rows):
            places = [f.gep(sums, (r * key.columns + s) * width, tile.ty) for s in range(key.columns)]

            def line(y: Val, *totals: Val, r: int = r) -> list[Val]:
                factors = f.gep(dy, f.mul(y, w["dy_pitch"]), tile.ty)
                source = f.gep(copy, f.mul(f.add(f.mul(y, key.stride), r), w["pitch"]), tile.ty)

                def step(x: Val, *totals: Val) -> list[Val]:
                    factor, here = f.load(tile.vector, f.gep(factors, x, tile.ty)), f.gep(source, x, tile.ty)
                    values = [f.load(tile.vector, _tap(f, key, w, here, s)) for s in range(key.columns)]
                    return [f.fma(factor, value, total) for value, total in zip(values, totals, strict=True)]

                return f.loop(0, w["out_w"], width, totals, step)

            ends = f.loop(0, w["out_h"], 1, [f.load(tile.vector, place) for place in places], line)
            for place, total in zip(places, ends, strict=True):
                f.store(total, place)

    f.loop(f.param("begin"), f.param("end"), 1, (), unit)
    f.ret()
