"""Packing of matrix operands into panels that the micro-kernel reads in sequence, converting narrow types on the way.

A panel of B holds k rows of `columns` values; lanes past the edge of the matrix repeat the last valid column (or are zero), they
only feed results that are never stored. A tile of A holds k groups of `rows` values.
"""

from __future__ import annotations

from monograph.targets.llvm.ir import Fn, Module, Val
from monograph.targets.llvm.kernels.call import ensure_function
from monograph.targets.llvm.kernels.element import at, either, load, narrow, range_mask, transpose
from monograph.targets.llvm.kernels.micro import Tile

PANEL_PARAMS = [("ptr", "dst"), ("ptr", "src"), ("i64", "rsb"), ("i64", "csb"), ("i64", "k"), ("i64", "columns")]


def pack_panel(module: Module, tile: Tile, dtype: str, unit: str) -> str:
    """Adds `void(dst, src, rsb, csb, k, columns)`: one panel of B. `unit` names the direction with stride 1: "n", "k" or "none"."""
    name = f"panel_{dtype}_{tile.columns}_{unit}"

    def build(name: str) -> None:
        f = module.function(name, PANEL_PARAMS, attrs="nounwind noinline", linkage="internal")
        {"n": rows_adjacent, "k": columns_adjacent, "none": any_strides}[unit](f, tile, dtype)
        f.ret()

    return ensure_function(module, name, build)


def rows_adjacent(f: Fn, tile: Tile, dtype: str) -> None:
    """Each step of k is one contiguous row piece: copied by vectors; a piece at the right edge by a masked load or by elements."""
    p, width = f.param, tile.lanes

    def whole(k: Val) -> None:
        row, to = at(f, p("src"), f.mul(k, p("rsb")), dtype), f.gep(p("dst"), f.mul(k, tile.columns), tile.ty)
        for v in range(tile.vectors):
            f.store(load(f, dtype, at(f, row, v * width, dtype), width), f.gep(to, v * width, tile.ty))

    def masked(k: Val) -> None:
        row, to = at(f, p("src"), f.mul(k, p("rsb")), dtype), f.gep(p("dst"), f.mul(k, tile.columns), tile.ty)
        for v in range(tile.vectors):
            ty = tile.vector
            mask = range_mask(f, f.sub(p("columns"), v * width), width)
            suffix = f"v{width}{'f' if tile.ty in ('float', 'double') else 'i'}{8 * tile.item}"
            f.declares.add(f"declare {ty} @llvm.masked.load.{suffix}.p0(ptr, {mask.ty}, {ty})")
            place = f.gep(row, v * width, tile.ty)
            value = f.emit(
                ty, f"call {ty} @llvm.masked.load.{suffix}.p0(ptr align {tile.item} {place}, {mask.ty} {mask}, {ty} zeroinitializer)"
            )
            f.store(value, f.gep(to, v * width, tile.ty))

    either(
        f,
        f.icmp("sge", p("columns"), tile.columns),
        lambda: f.loop(0, p("k"), 1, (), whole),
        lambda: any_strides(f, tile, dtype) if narrow(dtype) else f.loop(0, p("k"), 1, (), masked),
    )


def columns_adjacent(f: Fn, tile: Tile, dtype: str) -> None:
    """Each column is contiguous: square blocks are transposed in registers, the last steps of k go one by one."""
    p, width = f.param, tile.lanes
    last = f.sub(p("columns"), 1)
    whole = f.sub(p("k"), f.urem(p("k"), f.i64(width)))

    def group(v: Val) -> None:
        first = f.mul(v, width)
        columns = [at(f, p("src"), f.mul(f.smin(last, f.add(first, lane)), p("csb")), dtype) for lane in range(width)]

        def block(k: Val) -> None:
            rows = transpose(f, [load(f, dtype, at(f, column, k, dtype), width) for column in columns])
            for i, row in enumerate(rows):
                f.store(row, f.gep(p("dst"), f.add(f.mul(f.add(k, i), tile.columns), first), tile.ty))

        f.loop(0, whole, width, (), block)

        def single(k: Val) -> None:
            to = f.gep(p("dst"), f.add(f.mul(k, tile.columns), first), tile.ty)
            for lane, column in enumerate(columns):
                f.store(load(f, dtype, at(f, column, k, dtype)), f.gep(to, lane, tile.ty))

        f.loop(whole, p("k"), 1, (), single)

    f.loop(0, tile.vectors, 1, (), group)


def any_strides(f: Fn, tile: Tile, dtype: str) -> None:
    p = f.param
    last = f.sub(p("columns"), 1)

    def row(k: Val) -> None:
        def column(j: Val) -> None:
            source = at(f, p("src"), f.add(f.mul(k, p("rsb")), f.mul(f.smin(last, j), p("csb"))), dtype)
            f.store(load(f, dtype, source), f.gep(p("dst"), f.add(f.mul(k, tile.columns), j), tile.ty))

        f.loop(0, tile.columns, 1, (), column)

    f.loop(0, p("k"), 1, (), row)


def pack_tile(module: Module, tile: Tile, dtype: str) -> str:
    """Adds `void(dst, src, rsa, csa, rows, k)`: one tile of A for any strides."""
    name = f"tile_{dtype}_{tile.rows}"

    def build(name: str) -> None:
        params = [("ptr", "dst"), ("ptr", "src"), ("i64", "rsa"), ("i64", "csa"), ("i64", "rows"), ("i64", "k")]
        f = module.function(name, params, attrs="nounwind noinline", linkage="internal")
        p = f.param
        last = f.sub(p("rows"), 1)
        rows = [at(f, p("src"), f.mul(f.smin(last, f.i64(i)), p("rsa")), dtype) for i in range(tile.rows)]

        def step(k: Val, offset: Val) -> list[Val]:
            to = f.gep(p("dst"), f.mul(k, tile.rows), tile.ty)
            for i, row in enumerate(rows):
                f.store(load(f, dtype, at(f, row, offset, dtype)), f.gep(to, i, tile.ty))
            return [f.add(offset, p("csa"))]

        f.loop(0, p("k"), 1, [f.i64(0)], step)
        f.ret()

    return ensure_function(module, name, build)
