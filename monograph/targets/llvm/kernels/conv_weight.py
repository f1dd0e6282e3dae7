"""The kernels of the gradient of convolution weights: dW[o, c, tap] = sum over images and positions of dY[o, q] * X[c, q + offset(tap)].

A row of the product is a (channel, tap) pair, read in place from the padded source copy; the columns are output channels, from dY
transposed into panels. One unit is (chunk of images, group, block of output channels); it walks its images in order and adds into its own
partial gradient, [row][output channels]. The chunks, fixed by the shape, are summed in order by a second kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from monograph.targets.llvm.ir import Module, Val, is_float
from monograph.targets.llvm.kernels.call import KernelSource, Layout, Machine
from monograph.targets.llvm.kernels.conv_copy import COPY_NAMES, copy_planes, copy_run
from monograph.targets.llvm.kernels.element import STORAGE, at, either, floor_share, narrow, split, tighten
from monograph.targets.llvm.kernels.gemm_pack import pack_panel
from monograph.targets.llvm.kernels.micro import Tile, dot_kernel, micro_kernel, tile_for

WGRAD_WORDS = Layout(
    *COPY_NAMES, "source*", "source_n", "source_g", "dy*", "dy_n", "dy_c", "dy_d", "rows*", "row_taps", "channels", "c_block",
    "c_blocks", "sums*",
    "sums_chunk", "outputs", "panels", "panel_block", "panel_units", "images", "chunks", "depth", "groups", "out_h", "out_w", "row_block",
    "row_blocks", "column_block", "column_blocks", "panels_at",
)  # fmt: skip
DOT_ROWS = 9
REDUCE_WORDS = Layout("dst*", "sums*", "sums_chunk", "chunks", "outputs", "panels", "rows", "stage_at")


@dataclass(frozen=True, slots=True)
class WeightTiles:
    """The register tile, and how its results lie in panels: `panel.columns` output channels side by side."""

    tile: Tile
    panel: Tile

    @property
    def dot(self) -> bool:
        """Positions, not output channels, fill the lanes."""
        return self.tile is not self.panel


def weight_gradient_tiles(dtype: str, outputs: int, machine: Machine) -> WeightTiles:
    """Few output channels leave lanes of a wide tile empty: they get a tall one of a single vector; one or two get dot products."""
    wide = tile_for(dtype, machine)
    if outputs <= 2:
        return WeightTiles(replace(wide, rows=DOT_ROWS, vectors=1), Tile(wide.ty, DOT_ROWS, 1, 1))
    tile = tile_for(dtype, machine, -1) if outputs <= wide.lanes else wide
    return WeightTiles(tile, tile)


def wgrad_kernel(dtype: str, tiles: WeightTiles) -> KernelSource:
    """Partial gradients, one per chunk of images."""
    return KernelSource.make("conv_wgrad", (dtype, tiles.tile, tiles.panel), lambda module, name: _emit_wgrad(module, name, dtype, tiles))


def reduce_kernel(dtype: str, tiles: WeightTiles) -> KernelSource:
    """Sums the chunks and turns [row][output] around; a unit is one panel of output channels of one group."""
    return KernelSource.make("conv_wsum", (dtype, tiles.panel), lambda module, name: _emit_reduce(module, name, dtype, tiles.panel))


def _emit_wgrad(module: Module, name: str, dtype: str, tiles: WeightTiles) -> None:
    tile, side = tiles.tile, tiles.panel
    planes, pack = (
        copy_planes(module, tile, dtype),
        copy_run(module, dtype, tile.lanes) if tiles.dot else pack_panel(module, tile, dtype, "k"),
    )
    micro = dot_kernel(module, tile) if tiles.dot else micro_kernel(module, tile, gather=True)
    f = module.function(name)
    args, scratch = f.param("args"), f.param("scratch")
    w = WGRAD_WORDS.read(f, args)
    panels_at = f.gep(scratch, w["panels_at"])
    one, zero = f.i64(1), f.const(0, side.vector)

    def unit(u: Val) -> None:
        rest, pu = split(f, u, w["panel_units"])
        chunk, group = split(f, rest, w["groups"])
        p0 = f.mul(pu, w["panel_block"])
        p1 = f.smin(f.add(p0, w["panel_block"]), w["panels"])
        i0, i1 = (floor_share(f, w["images"], f.add(chunk, d), w["chunks"]) for d in (0, 1))
        all_rows = f.mul(w["channels"], w["row_taps"])
        sums = f.gep(
            w["sums"], f.add(f.mul(chunk, w["sums_chunk"]), f.mul(f.mul(group, w["panels"]), f.mul(all_rows, side.columns))), tile.ty
        )

        def block(i: Val, yb: Val, xb: Val) -> None:
            image, z = split(f, i, w["depth"])
            y0, x0 = f.mul(yb, w["row_block"]), f.mul(xb, w["column_block"])
            rows = f.smin(w["row_block"], f.sub(w["out_h"], y0))
            columns = f.smin(w["column_block"], f.sub(w["out_w"], x0))
            k = f.add(f.mul(f.sub(rows, 1), w["pitch"]), columns)
            keep = f.select(f.icmp("eq", f.add(f.add(f.sub(i, i0), yb), xb), 0), f.i64(0), one)
            length = f.mul(w["pitch"], f.mul(w["row_block"], side.columns))  # elements of one panel in scratch
            dy_at = f.add(f.add(f.mul(image, w["dy_n"]), f.mul(z, w["dy_d"])), f.add(f.mul(y0, w["out_w"]), x0))

            def panel_in(p: Val) -> None:
                o = f.mul(p, side.columns)
                valid = f.smin(f.i64(side.columns), f.sub(w["outputs"], o))
                source = f.add(dy_at, f.mul(f.add(f.mul(group, w["outputs"]), o), w["dy_c"]))
                to = f.gep(panels_at, f.mul(f.sub(p, p0), length), tile.ty)

                def row(y: Val) -> None:
                    q = f.mul(y, w["pitch"])
                    line = at(f, w["dy"], f.add(source, f.mul(y, w["out_w"])), dtype)
                    into = f.gep(to, f.mul(q, side.columns), tile.ty)
                    rest = [columns] if tiles.dot else [one, w["dy_c"], columns, valid]
                    f.call("void", pack, into, line, *rest)

                    def blank(x: Val) -> None:
                        for v in range(side.vectors):
                            f.store(zero, f.gep(to, f.add(f.mul(f.add(q, x), side.columns), v * tile.lanes), tile.ty))

                    either(f, f.icmp("slt", f.add(y, 1), rows), lambda: f.loop(columns, w["pitch"], 1, (), blank))

                f.loop(0, rows, 1, (), row)

            f.loop(p0, p1, 1, (), panel_in)

            def channel_block(b: Val) -> None:
                c0 = f.mul(b, w["c_block"])
                channels = f.smin(w["c_block"], f.sub(w["channels"], c0))
                offset = f.add(f.add(f.mul(image, w["source_n"]), f.mul(group, w["source_g"])), f.mul(c0, w["source_c"]))
                f.call("void", planes, args, scratch, at(f, w["source"], offset, dtype), channels, z, y0, rows, x0)
                count = f.mul(channels, w["row_taps"])
                first = f.mul(c0, w["row_taps"])

                def panel(p: Val) -> None:
                    b_at = f.gep(panels_at, f.mul(f.sub(p, p0), length), tile.ty)
                    to = f.gep(sums, f.mul(f.add(f.mul(p, all_rows), first), side.columns), tile.ty)

                    def tile_of(r: Val) -> None:
                        c = f.gep(to, f.mul(r, side.columns), tile.ty)
                        left = f.sub(count, r)
                        table, width = f.gep(w["rows"], r, "i32"), f.i64(side.columns)
                        whole = f.icmp("sge", left, tile.rows)
                        spare = f.gep(panels_at, f.mul(w["panel_block"], length), tile.ty)

                        def edge() -> None:
                            f.call("void", micro, scratch, table, one, left, b_at, width, k, spare, width, f.i64(0))
                            f.loop(0, f.mul(left, side.columns), side.lanes, (), lambda e: add(c, spare, e))

                        def add(c: Val, spare: Val, e: Val) -> None:
                            new, place = f.load(side.vector, f.gep(spare, e, tile.ty)), f.gep(c, e, tile.ty)

                            def sum_up() -> None:
                                old = f.load(side.vector, place)
                                f.store(f.fadd(old, new) if is_float(tile.ty) else f.add(old, new), place)

                            either(f, f.icmp("ne", keep, 0), sum_up, lambda: f.store(new, place))

                        either(f, whole, lambda: f.call("void", micro, scratch, table, one, left, b_at, width, k, c, width, keep), edge)

                    f.loop(0, count, tile.rows, (), tile_of)

                f.loop(p0, p1, 1, (), panel)

            f.loop(0, w["c_blocks"], 1, (), channel_block)

        def image(i: Val) -> None:
            f.loop(0, w["row_blocks"], 1, (), lambda yb: f.loop(0, w["column_blocks"], 1, (), lambda xb: block(i, yb, xb)))

        f.loop(i0, i1, 1, (), image)

    f.loop(f.param("begin"), f.param("end"), 1, (), unit)
    f.ret()


def _emit_reduce(module: Module, name: str, dtype: str, tile: Tile) -> None:
    f = module.function(name)
    w = REDUCE_WORDS.read(f, f.param("args"))
    stage = f.gep(f.param("scratch"), w["stage_at"])
    stored = STORAGE[dtype]

    def unit(u: Val) -> None:
        group, panel = split(f, u, w["panels"])
        o = f.mul(panel, tile.columns)
        valid = f.smin(f.i64(tile.columns), f.sub(w["outputs"], o))
        sums = f.gep(w["sums"], f.mul(f.mul(u, w["rows"]), tile.columns), tile.ty)
        to = f.gep(w["dst"], f.mul(f.add(f.mul(group, w["outputs"]), o), w["rows"]), stored)

        def row(r: Val) -> None:
            for v in range(tile.vectors):
                place = f.gep(sums, f.add(f.mul(r, tile.columns), v * tile.lanes), tile.ty)

                def add(s: Val, total: Val, place: Val = place) -> list[Val]:
                    new = f.load(tile.vector, f.gep(place, f.mul(s, w["sums_chunk"]), tile.ty))
                    return [f.fadd(total, new) if is_float(tile.ty) else f.add(total, new)]

                (total,) = f.loop(0, w["chunks"], 1, [f.const(0, tile.vector)], add)
                f.store(tighten(f, dtype, total) if narrow(dtype) else total, f.gep(stage, v * tile.lanes, stored))

            def lane(i: Val) -> None:
                f.store(f.load(stored, f.gep(stage, i, stored)), f.gep(to, f.add(f.mul(i, w["rows"]), r), stored))

            f.loop(0, valid, 1, (), lane)

        f.loop(0, w["rows"], 1, (), row)

    f.loop(f.param("begin"), f.param("end"), 1, (), unit)
    f.ret()
