"""A single row times a matrix: reading the matrix once at memory speed is all that counts, so nothing is packed.

The argument record, the units (blocks of columns of one batch element) and the tail are those of the blocked kernel (`gemm.py`). With
rows of B adjacent in memory, eight of them at a time are added to a block of results; with columns adjacent, four dot products run side
by side, their lanes summed in a fixed tree.
"""

from __future__ import annotations

from monograph.targets.llvm.ir import Fn, Module, Val
from monograph.targets.llvm.kernels.call import KernelSource, Machine
from monograph.targets.llvm.kernels.element import at, floor_share, load, multiply_add
from monograph.targets.llvm.kernels.epilogue import finish_rows
from monograph.targets.llvm.kernels.gemm import GEMM_WORDS, GemmSpec, batch_addresses, fill_operands, split_batch
from monograph.targets.llvm.kernels.micro import Tile, tile_for, tree_sum

DOT_COLUMNS = 4
ROWS_AT_ONCE = 8
COLUMN_GROUP = 16  # blocks of columns are cut at multiples of this


def gemv_kernel(spec: GemmSpec, b_unit: str, machine: Machine) -> KernelSource:
    """The kernel for one row; `b_unit` is "n" or "k"."""
    tile = tile_for(spec.dtype, machine, 1)
    return KernelSource.make("gemv", (spec, b_unit, tile), lambda module, name: _emit(module, name, spec, b_unit, tile))


def _emit(module: Module, name: str, spec: GemmSpec, b_unit: str, tile: Tile) -> None:
    finish = finish_rows(module, spec.dtype, spec.tail, tile.lanes)
    f = module.function(name)
    args, scratch = f.param("args"), f.param("scratch")
    w = GEMM_WORDS.read(f, args)
    x, y = f.gep(scratch, w["panel_at"]), f.gep(scratch, w["partial_at"])
    groups = f.binary("lshr", f.add(w["n"], COLUMN_GROUP - 1), f.i64(COLUMN_GROUP.bit_length() - 1))

    def unit(u: Val) -> None:
        _, column_unit, index = split_batch(f, w, u)
        a, b, c, bases = batch_addresses(f, w, spec, index)
        j0, j1 = (f.smin(f.mul(floor_share(f, groups, f.add(column_unit, d), w["column_units"]), COLUMN_GROUP), w["n"]) for d in (0, 1))
        columns = f.sub(j1, j0)
        f.loop(0, w["k"], 1, (), lambda k: f.store(load(f, spec.dtype, at(f, a, f.mul(k, w["csa"]), spec.dtype)), f.gep(x, k, tile.ty)))
        (_add_rows if b_unit == "n" else _dot_columns)(f, spec.dtype, tile, w, at(f, b, f.mul(j0, w["csb"]), spec.dtype), x, y, columns)
        pointers, lds, stage = fill_operands(f, w, spec, bases, f.i64(0), j0)
        zero = f.i64(0)
        f.call("void", finish, y, zero, at(f, c, j0, spec.tail.out_dtype), zero, f.i64(1), columns, pointers, lds, stage)

    f.loop(f.param("begin"), f.param("end"), 1, (), unit)
    f.ret()


def _add_rows(f: Fn, dtype: str, tile: Tile, w: dict[str, Val], b: Val, x: Val, y: Val, columns: Val) -> None:
    f.loop(0, columns, 1, (), lambda j: f.store(f.const(0, tile.ty), f.gep(y, j, tile.ty)))
    whole = f.binary("and", columns, f.i64(-tile.lanes))

    def rows(k: Val, count: int) -> None:
        lines = [at(f, b, f.mul(f.add(k, i), w["rsb"]), dtype) for i in range(count)]
        factors = [f.load(tile.ty, f.gep(x, f.add(k, i), tile.ty)) for i in range(count)]

        def run(n: int, begin: Val, end: Val) -> None:
            spread = [f.splat(factor, n) for factor in factors]

            def step(j: Val) -> None:
                place = f.gep(y, j, tile.ty)
                total = f.load(tile.vector if n > 1 else tile.ty, place)
                for line, factor in zip(lines, spread, strict=True):
                    total = multiply_add(f, factor, load(f, dtype, at(f, line, j, dtype), n), total)
                f.store(total, place)

            f.loop(begin, end, n, (), step)

        run(tile.lanes, f.i64(0), whole)
        run(1, whole, columns)

    most = f.binary("and", w["k"], f.i64(-ROWS_AT_ONCE))
    f.loop(0, most, ROWS_AT_ONCE, (), lambda k: rows(k, ROWS_AT_ONCE))
    f.loop(most, w["k"], 1, (), lambda k: rows(k, 1))


def _dot_columns(f: Fn, dtype: str, tile: Tile, w: dict[str, Val], b: Val, x: Val, y: Val, columns: Val) -> None:
    last = f.sub(columns, 1)
    whole = f.binary("and", w["k"], f.i64(-tile.lanes))

    def four(j: Val) -> None:
        lines = [at(f, b, f.mul(f.smin(f.add(j, i), last), w["csb"]), dtype) for i in range(DOT_COLUMNS)]

        def step(k: Val, *totals: Val, n: int = tile.lanes) -> list[Val]:
            factor = f.load(tile.vector if n > 1 else tile.ty, f.gep(x, k, tile.ty))
            return [
                multiply_add(f, load(f, dtype, at(f, line, k, dtype), n), factor, total) for line, total in zip(lines, totals, strict=True)
            ]

        vectors = f.loop(0, whole, tile.lanes, [f.const(0, tile.vector)] * DOT_COLUMNS, step)
        sums = f.loop(whole, w["k"], 1, [tree_sum(f, v) for v in vectors], lambda k, *totals: step(k, *totals, n=1))
        for i, total in enumerate(sums):
            f.store(total, f.gep(y, f.add(j, i), tile.ty))

    f.loop(0, columns, DOT_COLUMNS, (), four)
