"""Winograd's convolution for 3x3 kernels of stride 1: tiles of m x m results (m = 2 or 4) from (m+2)**2 products instead of 9 m**2.

Three linear maps surround the products: of the weights, of tiles of m+2 x m+2 source values, and back to m x m results. Each is a small
matrix applied to columns, then to rows. They come from polynomials taken at m+2 points: 0, 1, -1 and infinity for m = 2, and
0, +-3/4, +-3/2 and infinity for m = 4. With these the maps are exact in float32 but for the weights', which is computed in float64;
the usual points 0, +-1, +-2 give three times the error. For standard normal values and C channels, the largest difference to the exact
result stays below `ERROR_BOUND[m]` times sqrt(9 C) (direct summation: about 3e-6). An infinite or NaN source value makes NaN of all
results of its tiles.

Products are those of the blocked matrix kernel: its A are the weights, tile by tile, its B the source in panels, its C is row-major.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from monograph.targets.llvm.ir import Fn, Module, Val, vector
from monograph.targets.llvm.kernels.call import KernelSource, Layout, Machine
from monograph.targets.llvm.kernels.element import STORAGE, at, divide, split, transpose
from monograph.targets.llvm.kernels.epilogue import Epilogue, finish_rows
from monograph.targets.llvm.kernels.micro import Tile, micro_kernel, tile_for

GROUP = 8  # tiles that are transformed side by side, one to a lane
ERROR_BOUND = {2: 4e-6, 4: 1.5e-5}
A, B = 0.75, 1.5  # the points of m = 4
SQUARES_SUM, SQUARES_PRODUCT = A * A + B * B, A * A * B * B
WEIGHT_WORDS = Layout(
    "dst*", "dst_point", "src*", "row_step", "reduced_step", "first_tap", "tap_step", "rows", "reduced", "c_block", "c_units"
)
INPUT_NAMES = ("source*", "source_n", "source_c", "source_h", "source_w", "pad_h", "pad_w")
OUTPUT_NAMES = ("result*", "result_n", "result_c", "result_h", "result_w", "pieces_at", "dense_at", "stage_at", "pointers_at")
COMMON_NAMES = ("tiles_w", "tiles_image", "tiles", "k_block", "reduced", "channels", "panels")
BLOCK_NAMES = ("c_block", "c_units", "points*", "point")
INPUT_WORDS = Layout(*INPUT_NAMES, *COMMON_NAMES, *BLOCK_NAMES)
OUTPUT_WORDS = Layout(*OUTPUT_NAMES, *COMMON_NAMES, *BLOCK_NAMES)
WHOLE_WORDS = Layout(
    *INPUT_NAMES, *OUTPUT_NAMES, *COMMON_NAMES, "weights*", "weights_point", "unit_panels", "row_tiles", "k_blocks", "tables_at",
    "points_at", "point", "products_at", "product_point",
)  # fmt: skip
OPERAND_WORDS = 3  # pointer, channel stride, image stride: for each operand of the tail, after the other words
PIECE_WORDS = 5  # first tile, image, offset in the plane, rows, columns
AHEAD = 2  # channels that the source is fetched ahead
Words = dict[str, Val]


def _times(f: Fn, factor: float, value: Val) -> Val:
    return f.fmul(value, f.const(factor, value.ty))


def _plus(f: Fn, value: Val, factor: float, other: Val) -> Val:
    """value + factor * other, rounded once."""
    return f.fma(f.const(factor, value.ty), other, value)


def source_line(f: Fn, d: list[Val]) -> list[Val]:
    """One column or row of a source tile, at the points."""
    if len(d) == 4:
        return [f.fsub(d[0], d[2]), f.fadd(d[1], d[2]), f.fsub(d[2], d[1]), f.fsub(d[3], d[1])]
    out = [_plus(f, _plus(f, d[4], -SQUARES_SUM, d[2]), SQUARES_PRODUCT, d[0])]
    for point, other in ((A, B * B), (B, A * A)):
        even, odd = _plus(f, d[4], -other, d[2]), _plus(f, d[3], -other, d[1])
        out += [_plus(f, even, point, odd), _plus(f, even, -point, odd)]
    return [*out, _plus(f, _plus(f, d[5], -SQUARES_SUM, d[3]), SQUARES_PRODUCT, d[1])]


def weight_line(f: Fn, g: list[Val], m: int) -> list[Val]:
    """Three weights, at the points, divided by what the source polynomials leave out."""
    points = ((1.0, 0.5),) if m == 2 else ((A, 0.5 / (A * A * (A * A - B * B))), (B, 0.5 / (B * B * (B * B - A * A))))
    out = [g[0] if m == 2 else _times(f, 1 / SQUARES_PRODUCT, g[0])]
    for point, scale in points:
        even, odd = _plus(f, g[0], point * point, g[2]), _times(f, point, g[1])
        out += [_times(f, scale, f.fadd(even, odd)), _times(f, scale, f.fsub(even, odd))]
    return [*out, g[2]]


def result_line(f: Fn, t: list[Val]) -> list[Val]:
    """Products at the points, back to m results."""
    plus, minus = f.fadd(t[1], t[2]), f.fsub(t[1], t[2])
    if len(t) == 4:
        return [f.fadd(t[0], plus), f.fadd(minus, t[3])]
    wide, narrow = f.fadd(t[3], t[4]), f.fsub(t[3], t[4])
    return [
        f.fadd(f.fadd(t[0], plus), wide),
        _plus(f, _times(f, A, minus), B, narrow),
        _plus(f, _times(f, A * A, plus), B * B, wide),
        f.fadd(_plus(f, _times(f, A**3, minus), B**3, narrow), t[5]),
    ]


def weight_kernel(m: int, machine: Machine) -> KernelSource:
    """Weights at the points, [point][tile of rows][reduced channel][rows]; a unit is one tile of rows, one block of reduced channels."""
    tile = tile_for("float32", machine)
    return KernelSource.make("winograd_weights", (m, tile), lambda module, name: _emit_weights(module, name, m, tile))


def input_kernel(m: int, machine: Machine) -> KernelSource:
    """Source tiles at the points, [point][k block][panel][channel][tiles of a panel]; a unit is one panel, one block of channels."""
    tile = tile_for("float32", machine)
    return KernelSource.make("winograd_input", (m, tile), lambda module, name: _emit_input(module, name, m, tile))


def output_kernel(m: int, tail: Epilogue, machine: Machine) -> KernelSource:
    """Results from [point][channel][tile], with the tail applied; a unit is one panel of tiles, one block of channels."""
    tile = tile_for("float32", machine)
    return KernelSource.make("winograd_output", (m, tail, tile), lambda module, name: _emit_output(module, name, m, tail, tile))


def whole_kernel(m: int, tail: Epilogue, machine: Machine) -> KernelSource:
    """All three stages; a unit is a few panels of tiles, which stay in the thread's scratch on their way."""
    tile = tile_for("float32", machine)
    return KernelSource.make("winograd", (m, tail, tile), lambda module, name: _emit_whole(module, name, m, tail, tile))


def _emit_weights(module: Module, name: str, m: int, tile: Tile) -> None:
    f = module.function(name)
    w = WEIGHT_WORDS.read(f, f.param("args"))
    last = f.sub(w["rows"], 1)
    single, double = vector("float", tile.rows), vector("double", tile.rows)

    def unit(u: Val) -> None:
        t, block = split(f, u, w["c_units"])
        c0 = f.mul(block, w["c_block"])
        rows = [f.add(f.mul(f.smin(last, f.add(f.mul(t, tile.rows), i)), w["row_step"]), w["first_tap"]) for i in range(tile.rows)]
        sources = [f.gep(w["src"], row, "float") for row in rows]

        def channel(c: Val) -> None:
            def tap(index: int) -> Val:
                offset = f.add(f.mul(c, w["reduced_step"]), f.mul(w["tap_step"], index))
                value = f.const(0, single)
                for i, source in enumerate(sources):
                    value = f.insert(value, f.load("float", f.gep(source, offset, "float")), i)
                return f.cast("fpext", value, double)

            columns = [weight_line(f, [tap(3 * i + j) for i in range(3)], m) for j in range(3)]
            to = f.gep(w["dst"], f.mul(f.add(f.mul(t, w["reduced"]), c), tile.rows), "float")
            for i in range(m + 2):
                for j, value in enumerate(weight_line(f, [column[i] for column in columns], m)):
                    f.store(f.cast("fptrunc", value, single), f.gep(to, f.mul(w["dst_point"], i * (m + 2) + j), "float"))

        f.loop(c0, f.smin(f.add(c0, w["c_block"]), w["reduced"]), 1, (), channel)

    f.loop(f.param("begin"), f.param("end"), 1, (), unit)
    f.ret()


def input_scratch(m: int, tile: Tile) -> int:
    """Scratch of the source's stage: where each tile of a panel lies, which of its values exist, and a group half transformed."""
    return tile.columns * (8 + (m + 2) * 32) + (m + 2) ** 2 * 32


def output_scratch(m: int, tile: Tile) -> tuple[int, int]:
    """Bytes of the table of pieces, and of the results of one channel of one panel with a group half transformed."""
    return 8 * PIECE_WORDS * tile.columns, 4 * m * (tile.columns * m + GROUP) + 32 * m * (m + 2) + 64


def _place(f: Fn, w: Words, q: Val) -> tuple[Val, Val, Val]:
    """(image, tile row, tile column) of tile q."""
    image, rest = split(f, q, w["tiles_image"])
    return image, *split(f, rest, w["tiles_w"])


def _to_points(
    f: Fn, m: int, tile: Tile, w: Words, tables: Val, first: Val, channels: tuple[Val, Val], place: Callable[[Val], Val]
) -> None:
    """The tiles of the panel that begins at tile `first`, at the points: channel c goes to `place(c)`, points `w["point"]` apart."""
    size, wide, bits = m + 2, vector("float", GROUP), vector("i32", GROUP)
    masks = f.gep(tables, 8 * tile.columns)
    half = f.gep(masks, 32 * size * tile.columns)
    masked = f"@llvm.masked.load.v{GROUP}f32.p0"
    f.declares.add(f"declare {wide} {masked}(ptr, {vector('i1', GROUP)}, {wide})")

    def note(lane: Val) -> None:
        image, row, column = _place(f, w, f.smin(f.add(first, lane), f.sub(w["tiles"], 1)))
        y, x = f.sub(f.mul(row, m), w["pad_h"]), f.sub(f.mul(column, m), w["pad_w"])
        f.store(f.add(f.mul(image, w["source_n"]), f.add(f.mul(y, w["source_w"]), x)), f.gep(tables, lane, "i64"))
        at_x = f.add(f.splat(f.cast("trunc", x, "i32"), GROUP), f.iota(GROUP, "i32"))
        there = f.icmp("ult", at_x, f.splat(f.cast("trunc", w["source_w"], "i32"), GROUP))
        there = f.binary("and", there, f.icmp("slt", f.iota(GROUP, "i32"), size))
        columns = f.cast("sext", there, bits)
        for i in range(size):
            exists = f.icmp("ult", f.add(y, i), w["source_h"])
            f.store(f.select(exists, columns, f.const(0, bits)), f.gep(masks, f.mul(f.add(f.mul(lane, size), i), 32)))

    f.loop(0, tile.columns, 1, (), note)

    def channel(c: Val) -> None:
        plane = f.gep(w["source"], f.mul(c, w["source_c"]), "float")
        later = f.gep(plane, f.mul(w["source_c"], AHEAD), "float")
        to = place(c)
        f.loop(0, tile.columns, GROUP, (), lambda g: group(plane, later, f.gep(to, g, "float"), g))

    def group(plane: Val, later: Val, to: Val, g: Val) -> None:
        def row(i: Val) -> None:
            lines = []
            for lane in range(GROUP):
                start = f.add(f.load("i64", f.gep(tables, f.add(g, lane), "i64")), f.mul(i, w["source_w"]))
                mask = f.load(bits, f.gep(masks, f.mul(f.add(f.mul(f.add(g, lane), size), i), 32)))
                where = f.icmp("slt", mask, 0)
                if lane % 4 == 0:
                    f.prefetch(f.gep(later, start, "float"))
                text = f"call {wide} {masked}(ptr align 4 {f.gep(plane, start, 'float')}, {where.ty} {where}, {wide} zeroinitializer)"
                lines.append(f.emit(wide, text))
            for j, value in enumerate(source_line(f, transpose(f, lines)[:size])):
                f.store(value, f.gep(half, f.mul(f.add(f.mul(i, size), j), GROUP), "float"), 32)

        f.loop(0, size, 1, (), row)

        def column(j: Val) -> None:
            values = [f.load(wide, f.gep(half, f.mul(f.add(j, i * size), GROUP), "float"), 32) for i in range(size)]
            for i, value in enumerate(source_line(f, values)):
                f.store(value, f.gep(to, f.mul(f.add(j, i * size), w["point"]), "float"))

        f.loop(0, size, 1, (), column)

    f.loop(*channels, 1, (), channel)


def _interleave(f: Fn, columns: list[Val]) -> list[Val]:
    """m vectors of a value for each of 8 tiles as m vectors of the values of 8/m tiles."""
    if len(columns) == 2:
        return [f.shuffle(columns[0], columns[1], [k // 2 + first + (k % 2) * GROUP for k in range(GROUP)]) for first in (0, 4)]
    low, high = (0, 8, 1, 9, 4, 12, 5, 13), (2, 10, 3, 11, 6, 14, 7, 15)
    pairs = [(f.shuffle(columns[0], columns[1], order), f.shuffle(columns[2], columns[3], order)) for order in (low, high)]
    four = [f.shuffle(a, b, order) for a, b in pairs for order in ((0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15))]
    halves = ((0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15))
    return [f.shuffle(four[k], four[k + 1], order) for order in halves for k in (0, 2)]


@dataclass(slots=True)
class _Tail:
    """What finishes results: the helper function, the structure, the number of words before the operands'."""

    finish: str
    epilogue: Epilogue
    first_word: int


def _to_results(
    f: Fn, m: int, tile: Tile, tail: _Tail, w: Words, first: Val, channels: tuple[Val, Val], point: Val, products: Callable[[Val], Val]
) -> None:
    """The results of the panel that begins at tile `first` from products: those of channel c at `products(c)`, points `point` apart."""
    args, scratch, operands = f.param("args"), f.param("scratch"), tail.epilogue.operands
    size, wide, ld = m + 2, vector("float", GROUP), tile.columns * m + GROUP
    pieces, dense, pointers = (f.gep(scratch, w[x]) for x in ("pieces_at", "dense_at", "pointers_at"))
    lds = f.gep(pointers, len(operands), "i64")
    half = f.gep(dense, 4 * m * ld)
    count = f.smin(f.i64(tile.columns), f.sub(w["tiles"], first))

    def note(lane: Val, found: Val) -> list[Val]:
        """A piece is a run of tiles in one row of tiles of one image."""
        image, row, column = _place(f, w, f.add(first, lane))

        def write() -> list[Val]:
            run = f.smin(f.sub(w["tiles_w"], column), f.sub(count, lane))
            y, x = f.mul(row, m), f.mul(column, m)
            rows, columns = f.smin(f.i64(m), f.sub(w["result_h"], y)), f.smin(f.mul(run, m), f.sub(w["result_w"], x))
            slot = f.mul(found, PIECE_WORDS)
            for k, word in enumerate((lane, image, f.add(f.mul(y, w["result_w"]), x), rows, columns)):
                f.store(word, f.gep(pieces, f.add(slot, k), "i64"))
            return [f.add(found, 1)]

        return f.if_value(f.binary("or", f.icmp("eq", lane, 0), f.icmp("eq", column, 0)), write, lambda: [found])

    (found,) = f.loop(0, count, 1, [f.i64(0)], note)

    def channel(c: Val) -> None:
        source = products(c)
        f.loop(0, tile.columns, GROUP, (), lambda g: group(f.gep(source, g, "float"), g))
        f.loop(0, found, 1, (), lambda p: piece(c, p))

    def group(source: Val, g: Val) -> None:
        def column(j: Val) -> None:
            values = [f.load(wide, f.gep(source, f.mul(f.add(j, i * size), point), "float")) for i in range(size)]
            for i, value in enumerate(result_line(f, values)):
                f.store(value, f.gep(half, f.mul(f.add(j, i * size), GROUP), "float"), 32)

        f.loop(0, size, 1, (), column)

        def row(i: Val) -> None:
            values = [f.load(wide, f.gep(half, f.mul(f.add(f.mul(i, size), j), GROUP), "float"), 32) for j in range(size)]
            for k, value in enumerate(_interleave(f, result_line(f, values))):
                f.store(value, f.gep(dense, f.add(f.add(f.mul(i, ld), f.mul(g, m)), k * GROUP), "float"))

        f.loop(0, m, 1, (), row)

    def piece(c: Val, p: Val) -> None:
        lane, image, inner, rows, columns = (
            f.load("i64", f.gep(pieces, f.add(f.mul(p, PIECE_WORDS), k), "i64")) for k in range(PIECE_WORDS)
        )
        for i, operand in enumerate(operands):
            word = tail.first_word + OPERAND_WORDS * i
            base, across, images = f.word(args, word, "ptr"), f.word(args, word + 1), f.word(args, word + 2)
            offset = f.add(f.mul(c, across), f.mul(image, images))
            offset = f.add(offset, inner) if operand.col == "unit" else offset
            f.store(f.gep(base, offset, STORAGE[operand.dtype]), f.gep(pointers, i, "ptr"))
            f.store(w["result_w"] if operand.col == "unit" else f.i64(0), f.gep(lds, i, "i64"))
        offset = f.add(f.add(f.mul(image, w["result_n"]), f.mul(c, w["result_c"])), inner)
        source, to = f.gep(dense, f.mul(lane, m), "float"), at(f, w["result"], offset, tail.epilogue.out_dtype)
        stage = f.gep(scratch, w["stage_at"])
        f.call("void", tail.finish, source, f.i64(ld), to, w["result_w"], rows, columns, pointers, lds, stage)

    f.loop(*channels, 1, (), channel)


def _block(f: Fn, w: Words, block: Val, channels: Val) -> tuple[Val, Val]:
    """The channels of a block."""
    c0 = f.mul(block, w["c_block"])
    return c0, f.smin(f.add(c0, w["c_block"]), channels)


def _emit_input(module: Module, name: str, m: int, tile: Tile) -> None:
    f = module.function(name)
    w = INPUT_WORDS.read(f, f.param("args"))

    def unit(u: Val) -> None:
        panel, block = split(f, u, w["c_units"])

        def place(c: Val) -> Val:
            k0 = f.mul(divide(f, c, w["k_block"]), w["k_block"])
            length = f.smin(w["k_block"], f.sub(w["reduced"], k0))
            line = f.add(f.add(f.mul(k0, w["panels"]), f.mul(panel, length)), f.sub(c, k0))
            return f.gep(w["points"], f.mul(line, tile.columns), "float")

        _to_points(f, m, tile, w, f.param("scratch"), f.mul(panel, tile.columns), _block(f, w, block, w["reduced"]), place)

    f.loop(f.param("begin"), f.param("end"), 1, (), unit)
    f.ret()


def _emit_output(module: Module, name: str, m: int, epilogue: Epilogue, tile: Tile) -> None:
    tail = _Tail(finish_rows(module, "float32", epilogue, tile.lanes), epilogue, OUTPUT_WORDS.size)
    f = module.function(name)
    w = OUTPUT_WORDS.read(f, f.param("args"))
    ld = f.mul(w["panels"], tile.columns)

    def unit(u: Val) -> None:
        panel, block = split(f, u, w["c_units"])
        at_panel = f.mul(panel, tile.columns)

        def products(c: Val) -> Val:
            return f.gep(w["points"], f.add(f.mul(c, ld), at_panel), "float")

        _to_results(f, m, tile, tail, w, at_panel, _block(f, w, block, w["channels"]), w["point"], products)

    f.loop(f.param("begin"), f.param("end"), 1, (), unit)
    f.ret()


def _emit_whole(module: Module, name: str, m: int, epilogue: Epilogue, tile: Tile) -> None:
    tail = _Tail(finish_rows(module, "float32", epilogue, tile.lanes), epilogue, WHOLE_WORDS.size)
    micro = micro_kernel(module, tile)
    f = module.function(name)
    scratch = f.param("scratch")
    w = WHOLE_WORDS.read(f, f.param("args"))
    points, products, tables = (f.gep(scratch, w[x]) for x in ("points_at", "products_at", "tables_at"))
    panel_in, panel_out = f.mul(w["reduced"], tile.columns), f.mul(f.mul(w["row_tiles"], tile.rows), tile.columns)
    none, columns, rows = f.i64(0), f.i64(tile.columns), f.i64(tile.rows)

    def unit(u: Val) -> None:
        p0 = f.mul(u, w["unit_panels"])
        count = f.smin(w["unit_panels"], f.sub(w["panels"], p0))

        def first(p: Val) -> Val:
            return f.mul(f.add(p0, p), tile.columns)

        def to_points(p: Val) -> None:
            base = f.gep(points, f.mul(p, panel_in), "float")
            place = lambda c: f.gep(base, f.mul(c, tile.columns), "float")  # noqa: E731 - one line that is read where it is used
            _to_points(f, m, tile, w, tables, first(p), (none, w["reduced"]), place)

        def multiply(point: Val, kb: Val) -> None:
            k0 = f.mul(kb, w["k_block"])
            length = f.smin(w["k_block"], f.sub(w["reduced"], k0))
            a_at = f.gep(w["weights"], f.add(f.mul(point, w["weights_point"]), f.mul(k0, tile.rows)), "float")
            b_at = f.gep(points, f.add(f.mul(point, w["point"]), f.mul(k0, tile.columns)), "float")
            c_at = f.gep(products, f.mul(point, w["product_point"]), "float")

            def one_tile(t: Val, p: Val) -> None:
                a = f.gep(a_at, f.mul(f.mul(t, w["reduced"]), tile.rows), "float")
                b = f.gep(b_at, f.mul(p, panel_in), "float")
                c = f.gep(c_at, f.add(f.mul(p, panel_out), f.mul(t, tile.rows * tile.columns)), "float")
                f.call("void", micro, a, f.i64(1), rows, rows, b, columns, length, c, columns, kb)

            f.loop(0, w["row_tiles"], 1, (), lambda t: f.loop(0, count, 1, (), lambda p: one_tile(t, p)))

        def to_results(p: Val) -> None:
            base = f.gep(products, f.mul(p, panel_out), "float")
            source = lambda c: f.gep(base, f.mul(c, tile.columns), "float")  # noqa: E731 - as above
            _to_results(f, m, tile, tail, w, first(p), (none, w["channels"]), w["product_point"], source)

        f.loop(0, count, 1, (), to_points)
        f.loop(0, (m + 2) ** 2, 1, (), lambda point: f.loop(0, w["k_blocks"], 1, (), lambda kb: multiply(point, kb)))
        f.loop(0, count, 1, (), to_results)

    f.loop(f.param("begin"), f.param("end"), 1, (), unit)
    f.ret()
