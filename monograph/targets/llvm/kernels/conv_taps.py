"""The kernel of the forward convolution and of the gradient of its input: packed weights times shifted views of a padded source copy.

One unit of work is (image, group, depth, block of result channels, block of result positions). It copies a block of source channels into
scratch, multiplies, goes on to the next block of channels with the partial sums kept in scratch, and finally compacts rows, interleaves the
phases of a strided gradient, and applies the epilogue. Sums run over channel blocks, channels, then taps, in an order fixed by the shape.
"""

from __future__ import annotations

from monograph.targets.llvm.ir import Fn, Module, Val
from monograph.targets.llvm.kernels.call import KernelSource, Layout, Machine
from monograph.targets.llvm.kernels.conv_copy import COPY_NAMES, copy_planes, copy_run, spread_run
from monograph.targets.llvm.kernels.element import STORAGE, at, divide, either, load, narrow, split
from monograph.targets.llvm.kernels.epilogue import Epilogue, finish_rows, identity
from monograph.targets.llvm.kernels.micro import Tile, tap_kernel, tile_for

CONV_WORDS = Layout(
    *COPY_NAMES, "source*", "source_n", "source_g", "weights*", "weights_g", "taps*", "phases*", "phase_count", "reduced", "c_block",
    "c_blocks",
    "result*", "result_n", "result_c", "result_d", "out_rows", "out_columns", "out_depth", "channels", "channel_block", "channel_units",
    "row_count", "row_block", "row_units", "column_count", "column_block", "column_units", "groups", "out_h", "out_w", "partial_ld",
    "partial_phase", "partial_at", "dense_at", "stage_at", "pointers_at",
)  # fmt: skip
CONV_OPERAND_WORDS = 4  # pointer, channel stride, image stride, depth stride: for each epilogue operand, after CONV_WORDS
PHASE_WORDS = 5  # row, column, number of taps, first weight, first tap: for each phase, in the table `phases`
WEIGHT_WORDS = Layout(
    "dst*", "src*", "src_group", "src_row", "src_reduced", "indices*", "phases*", "phase_count", "reduced", "c_block", "rows", "tiles",
    "group_size",
)  # fmt: skip


def weight_kernel(dtype: str, machine: Machine, tile_rows: int) -> KernelSource:
    """Packs weights to [group][phase][channel block][tile][channel][tap][rows]; a unit is one tile of one phase of one group."""
    tile = tile_for(dtype, machine, tile_rows)
    return KernelSource.make("conv_weights", (dtype, tile), lambda module, name: _emit_weights(module, name, dtype, tile))


def conv_kernel(dtype: str, epilogue: Epilogue | None, machine: Machine, tile_rows: int) -> KernelSource:
    """The convolution kernel. `tile_rows`: 4, or 1 where a group has a single result channel (depthwise)."""
    tile = tile_for(dtype, machine, tile_rows)
    return KernelSource.make("conv", (dtype, epilogue, tile), lambda module, name: _emit_conv(module, name, dtype, epilogue, tile))


def _emit_weights(module: Module, name: str, dtype: str, tile: Tile) -> None:
    f = module.function(name)
    w = WEIGHT_WORDS.read(f, f.param("args"))
    last = f.sub(w["rows"], 1)

    def unit(u: Val) -> None:
        rest, which = split(f, u, w["tiles"])
        group, phase = split(f, rest, w["phase_count"])
        entry = f.gep(w["phases"], f.mul(phase, PHASE_WORDS), "i64")
        taps, first_weight, first_tap = (f.load("i64", f.gep(entry, i, "i64")) for i in (2, 3, 4))
        base = f.add(f.mul(group, w["group_size"]), first_weight)
        source = at(f, w["src"], f.mul(group, w["src_group"]), dtype)
        rows = [f.mul(f.smin(last, f.add(f.mul(which, tile.rows), i)), w["src_row"]) for i in range(tile.rows)]

        def channel(c: Val) -> None:
            block = f.mul(divide(f, c, w["c_block"]), w["c_block"])
            length = f.smin(w["c_block"], f.sub(w["reduced"], block))
            step = f.mul(taps, tile.rows)  # elements of one channel of one tile
            place = f.add(base, f.mul(f.add(f.add(f.mul(block, w["tiles"]), f.mul(which, length)), f.sub(c, block)), step))
            column = f.mul(c, w["src_reduced"])

            def tap(j: Val) -> None:
                index = f.cast("sext", f.load("i32", f.gep(w["indices"], f.add(first_tap, j), "i32")), "i64")
                to = f.gep(w["dst"], f.add(place, f.mul(j, tile.rows)), tile.ty)
                for i, row in enumerate(rows):
                    f.store(load(f, dtype, at(f, source, f.add(f.add(row, column), index), dtype)), f.gep(to, i, tile.ty))

            f.loop(0, taps, 1, (), tap)

        f.loop(0, w["reduced"], 1, (), channel)

    f.loop(f.param("begin"), f.param("end"), 1, (), unit)
    f.ret()


def _emit_conv(module: Module, name: str, dtype: str, epilogue: Epilogue | None, tile: Tile) -> None:
    tail = epilogue or identity(dtype)
    plain = epilogue is None and not narrow(dtype)
    planes, micro = copy_planes(module, tile, dtype), tap_kernel(module, tile)
    sums_dtype = {"float": "float32", "double": "float64", "i32": "int32", "i64": "int64"}[tile.ty]
    movers = copy_run(module, sums_dtype, tile.lanes), spread_run(module, sums_dtype, tile.lanes)
    finish = "" if plain else finish_rows(module, dtype, tail, tile.lanes)
    f = module.function(name)
    args, scratch = f.param("args"), f.param("scratch")
    w = CONV_WORDS.read(f, args)
    partial = f.gep(scratch, w["partial_at"])

    def unit(u: Val) -> None:
        rest, cu = split(f, u, w["channel_units"])
        rest, xu = split(f, rest, w["column_units"])
        rest, yu = split(f, rest, w["row_units"])
        rest, z = split(f, rest, w["out_depth"])
        image, group = split(f, rest, w["groups"])
        o0, y0, x0 = f.mul(cu, w["channel_block"]), f.mul(yu, w["row_block"]), f.mul(xu, w["column_block"])
        rows = f.smin(w["row_block"], f.sub(w["row_count"], y0))
        columns = f.smin(w["column_block"], f.sub(w["column_count"], x0))
        channels = f.smin(w["channel_block"], f.sub(w["channels"], o0))
        positions = f.add(f.mul(f.sub(rows, 1), w["pitch"]), columns)
        source = at(f, w["source"], f.add(f.mul(image, w["source_n"]), f.mul(group, w["source_g"])), dtype)
        t0, t1 = divide(f, o0, tile.rows), divide(f, f.add(f.add(o0, channels), tile.rows - 1), tile.rows)
        tiles = divide(f, f.add(w["channels"], tile.rows - 1), tile.rows)

        def channel_block(b: Val) -> None:
            c0 = f.mul(b, w["c_block"])
            length = f.smin(w["c_block"], f.sub(w["reduced"], c0))
            f.call("void", planes, args, scratch, at(f, source, f.mul(c0, w["source_c"]), dtype), length, z, y0, rows, x0)
            f.loop(0, w["phase_count"], 1, (), lambda phase: multiply(phase, b, c0, length))

        def multiply(phase: Val, b: Val, c0: Val, length: Val) -> None:
            entry = f.gep(w["phases"], f.mul(phase, PHASE_WORDS), "i64")
            taps, first_weight, first_tap = (f.load("i64", f.gep(entry, i, "i64")) for i in (2, 3, 4))
            k = f.mul(length, taps)
            base = f.add(f.mul(group, w["weights_g"]), f.add(first_weight, f.mul(f.mul(f.mul(c0, tiles), taps), tile.rows)))
            weights = f.gep(w["weights"], base, tile.ty)
            table = f.gep(w["taps"], f.mul(first_tap, w["c_block"]), "i32")
            sums = f.gep(partial, f.mul(phase, w["partial_phase"]), tile.ty)

            def panel(q: Val) -> None:
                b_at = f.gep(scratch, q, tile.ty)

                def one_tile(t: Val) -> None:
                    a = f.gep(weights, f.mul(f.mul(t, k), tile.rows), tile.ty)
                    c = f.gep(sums, f.add(f.mul(f.mul(f.sub(t, t0), tile.rows), w["partial_ld"]), q), tile.ty)
                    f.call("void", micro, a, b_at, table, k, c, w["partial_ld"], b)

                f.loop(t0, t1, 1, (), one_tile)

            f.loop(0, positions, tile.columns, (), panel)

        f.loop(0, w["c_blocks"], 1, (), channel_block)

        # where the block lies in the result
        row0, column0 = f.mul(y0, w["out_h"]), f.mul(x0, w["out_w"])
        rows_out = f.sub(f.smin(f.mul(f.add(y0, rows), w["out_h"]), w["out_rows"]), row0)
        columns_out = f.sub(f.smin(f.mul(f.add(x0, columns), w["out_w"]), w["out_columns"]), column0)
        total = f.select(f.icmp("eq", w["column_units"], 1), f.mul(rows_out, w["out_columns"]), columns_out)
        inner = f.add(f.mul(row0, w["out_columns"]), column0)

        def channel(o: Val) -> None:
            full = f.add(f.mul(group, w["channels"]), f.add(o0, o))
            offset = f.add(f.add(f.mul(image, w["result_n"]), f.mul(full, w["result_c"])), f.add(f.mul(z, w["result_d"]), inner))
            result = at(f, w["result"], offset, tail.out_dtype)
            dense = result if plain else f.gep(scratch, w["dense_at"])
            row_of = f.gep(partial, f.mul(o, w["partial_ld"]), tile.ty)
            f.loop(
                0, w["phase_count"], 1, (), lambda phase: _scatter(f, tile, w, movers, row_of, dense, phase, (rows, columns, row0, column0))
            )
            if not plain:
                pointers = f.gep(scratch, w["pointers_at"])
                for i, operand in enumerate(tail.operands):
                    first = CONV_WORDS.size + CONV_OPERAND_WORDS * i
                    strides = [f.word(args, first + 1 + d) for d in range(3)]
                    place = f.add(f.add(f.mul(full, strides[0]), f.mul(image, strides[1])), f.mul(z, strides[2]))
                    place = f.add(place, inner) if operand.col == "unit" else place
                    f.store(f.gep(f.word(args, first, "ptr"), place, STORAGE[operand.dtype]), f.gep(pointers, i, "ptr"))
                zero = f.i64(0)
                stage = f.gep(scratch, w["stage_at"])
                f.call("void", finish, dense, zero, result, zero, f.i64(1), total, pointers, pointers, stage)

        f.loop(0, channels, 1, (), channel)

    f.loop(f.param("begin"), f.param("end"), 1, (), unit)
    f.ret()


def _scatter(f: Fn, tile: Tile, w: dict[str, Val], movers: tuple[str, str], sums: Val, to: Val, phase: Val, block: tuple[Val, ...]) -> None:
    """One channel of one phase, from rows of `pitch` to rows of the result, every `out_h`-th row and `out_w`-th column."""
    rows, columns, row0, column0 = block
    entry = f.gep(w["phases"], f.mul(phase, PHASE_WORDS), "i64")
    a, b = f.load("i64", entry), f.load("i64", f.gep(entry, 1, "i64"))
    source = f.gep(sums, f.mul(phase, w["partial_phase"]), tile.ty)
    left = f.sub(f.sub(w["out_columns"], column0), b)
    count = f.smin(columns, f.select(f.icmp("sgt", left, 0), divide(f, f.add(left, f.sub(w["out_w"], 1)), w["out_w"]), f.i64(0)))

    plain = f.icmp("eq", w["out_w"], 1)

    def row(y: Val) -> None:
        line = f.add(f.mul(y, w["out_h"]), a)
        start = f.gep(source, f.mul(y, w["pitch"]), tile.ty)
        place = f.gep(to, f.add(f.mul(line, w["out_columns"]), b), tile.ty)

        def write() -> None:
            run, spread = movers
            one = f.i64(1)
            either(
                f,
                plain,
                lambda: f.call("void", run, place, start, count),
                lambda: f.call("void", spread, place, start, count, w["out_w"], one),
            )

        either(f, f.icmp("slt", f.add(row0, line), w["out_rows"]), write)

    f.loop(0, rows, 1, (), row)
