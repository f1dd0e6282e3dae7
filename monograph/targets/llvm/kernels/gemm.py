"""The blocked matrix multiplication kernel: C[b, m, n] = epilogue(sum over k of A[b, m, k] * B[b, k, n]).

One unit of work is a block of row tiles x column panels of one batch element. It walks k in blocks (their size depends on k alone, so
every element of C is summed in one fixed order however the units are dealt out), panels in a block, row tiles in a panel. Where A or B
is read in place and where it is packed, by the unit itself or once for all by a call before, is the planner's choice (`gemm_plan.py`).

Tiles that need no tail go straight to C; the others (an epilogue, a narrow type, the right and lower edge) collect in scratch and are
finished after the last block of k, with a tail all those of a panel together.
"""

from __future__ import annotations

from dataclasses import dataclass

from monograph.targets.llvm.ir import Fn, Module, Val
from monograph.targets.llvm.kernels.call import KernelSource, Layout, Machine
from monograph.targets.llvm.kernels.element import at, divide, either, floor_share, narrow, split
from monograph.targets.llvm.kernels.epilogue import Epilogue, finish_rows, identity
from monograph.targets.llvm.kernels.gemm_pack import pack_panel, pack_tile
from monograph.targets.llvm.kernels.micro import Tile, micro_kernel, tile_for

BATCH_DIMS = 3
B_PACKED, B_IN_PLACE, B_PACK_HERE = 0, 1, 2

GEMM_WORDS = Layout(
    "a*", "a_tile", "rsa", "csa", "b*", "rsb", "csb", "b_mode", "c*", "ldc", "m", "n", "k", "k_block", "k_blocks", "row_units",
    "column_units", "batch1", "batch2", "a0", "a1", "a2", "b0", "b1", "b2", "c0", "c1", "c2", "pack_a", "panel_at", "partial_at",
    "partial_ld", "stage_at", "pointers_at",
)  # fmt: skip
OPERAND_WORDS = 2 + BATCH_DIMS  # pointer, row stride, batch strides: for each epilogue operand, after GEMM_WORDS
PACK_WORDS = Layout("dst*", "src*", "rsb", "csb", "n", "k", "k_block", "panels", "batch_stride", "batch_bytes")


@dataclass(frozen=True, slots=True)
class GemmSpec:
    """The structure of a multiplication: dtype of A and B, and the tail (None: the result itself, in the same dtype)."""

    dtype: str
    epilogue: Epilogue | None = None

    @property
    def tail(self) -> Epilogue:
        return self.epilogue or identity(self.dtype)

    @property
    def plain(self) -> bool:
        """The accumulators are the output, bit for bit."""
        return self.epilogue is None and not narrow(self.dtype)


def gemm_kernel(spec: GemmSpec, b_unit: str, machine: Machine) -> KernelSource:
    """The multiplying kernel. `b_unit`: the direction in which B has stride 1 ("n", "k" or "none")."""
    tile = tile_for(spec.dtype, machine)
    return KernelSource.make("gemm", (spec, b_unit, tile), lambda module, name: _emit_gemm(module, name, spec, b_unit, tile))


def pack_kernel(dtype: str, b_unit: str, machine: Machine) -> KernelSource:
    """Packs all of B into panels, [batch][k block][panel][k][columns]; a unit is one panel of one k block."""
    tile = tile_for(dtype, machine)
    return KernelSource.make("gemm_pack", (dtype, b_unit, tile), lambda module, name: _emit_pack(module, name, dtype, b_unit, tile))


def _emit_pack(module: Module, name: str, dtype: str, b_unit: str, tile: Tile) -> None:
    pack = pack_panel(module, tile, dtype, b_unit)
    f = module.function(name)
    w = PACK_WORDS.read(f, f.param("args"))
    blocks = divide(f, f.add(w["k"], f.sub(w["k_block"], 1)), w["k_block"])

    def unit(u: Val) -> None:
        rest, panel = split(f, u, w["panels"])
        batch, block = split(f, rest, blocks)
        k0, j0 = f.mul(block, w["k_block"]), f.mul(panel, tile.columns)
        length = f.smin(w["k_block"], f.sub(w["k"], k0))
        columns = f.smin(f.i64(tile.columns), f.sub(w["n"], j0))
        offset = f.add(f.mul(batch, w["batch_stride"]), f.add(f.mul(k0, w["rsb"]), f.mul(j0, w["csb"])))
        to = f.add(f.mul(f.mul(k0, w["panels"]), tile.columns), f.mul(f.mul(panel, length), tile.columns))
        dst = f.gep(f.gep(w["dst"], f.mul(batch, w["batch_bytes"])), to, tile.ty)
        f.call("void", pack, dst, at(f, w["src"], offset, dtype), w["rsb"], w["csb"], length, columns)

    f.loop(f.param("begin"), f.param("end"), 1, (), unit)
    f.ret()


def split_batch(f: Fn, w: dict[str, Val], u: Val) -> tuple[Val, Val, list[Val]]:
    """(row unit, column unit, batch indices) of a unit."""
    rest, row_unit = split(f, u, w["row_units"])
    batch, column_unit = split(f, rest, w["column_units"])
    rest, i2 = split(f, batch, w["batch2"])
    return row_unit, column_unit, [*split(f, rest, w["batch1"]), i2]


def batch_addresses(f: Fn, w: dict[str, Val], spec: GemmSpec, index: list[Val]) -> tuple[Val, Val, Val, list[Val]]:
    """A, B, C and the epilogue's operands at a batch index."""

    def offset(strides: list[Val]) -> Val:
        parts = [f.mul(i, s) for i, s in zip(index, strides, strict=True)]
        return f.add(f.add(parts[0], parts[1]), parts[2])

    dims = range(BATCH_DIMS)
    a, b, c = (
        at(f, w[x], offset([w[f"{x}{d}"] for d in dims]), dtype)
        for x, dtype in zip("abc", (spec.dtype, spec.dtype, spec.tail.out_dtype), strict=True)
    )
    bases = []
    for i, operand in enumerate(spec.tail.operands):
        first = GEMM_WORDS.size + OPERAND_WORDS * i
        strides = [f.word(f.param("args"), first + 2 + d) for d in dims]
        bases.append(at(f, f.word(f.param("args"), first, "ptr"), offset(strides), operand.dtype))
    return a, b, c, bases


def fill_operands(f: Fn, w: dict[str, Val], spec: GemmSpec, bases: list[Val], i0: Val, j0: Val) -> tuple[Val, Val, Val]:
    """Writes the tables that `finish_rows` takes, for a block that begins at row i0, column j0: (addresses, row strides, stage)."""
    pointers = f.gep(f.param("scratch"), w["pointers_at"])
    lds = f.gep(pointers, len(bases), "i64")
    for i, (base, operand) in enumerate(zip(bases, spec.tail.operands, strict=True)):
        ld = f.word(f.param("args"), GEMM_WORDS.size + OPERAND_WORDS * i + 1)
        offset = f.mul(i0, ld) if operand.row == "stride" else f.i64(0)
        offset = f.add(offset, j0) if operand.col == "unit" else offset
        f.store(at(f, base, offset, operand.dtype), f.gep(pointers, i, "ptr"))
        f.store(ld, f.gep(lds, i, "i64"))
    return pointers, lds, f.gep(f.param("scratch"), w["stage_at"])


def _emit_gemm(module: Module, name: str, spec: GemmSpec, b_unit: str, tile: Tile) -> None:
    micro = micro_kernel(module, tile)
    pack_b = pack_panel(module, tile, spec.dtype, b_unit)
    pack_a = pack_tile(module, tile, spec.dtype)
    finish = finish_rows(module, spec.dtype, spec.tail, tile.lanes)
    f = module.function(name)
    w = GEMM_WORDS.read(f, f.param("args"))
    tiles = divide(f, f.add(w["m"], tile.rows - 1), tile.rows)
    panels = divide(f, f.add(w["n"], tile.columns - 1), tile.columns)
    packed_k = f.icmp("eq", w["b_mode"], B_PACKED)

    def unit(u: Val) -> None:
        row_unit, column_unit, index = split_batch(f, w, u)
        a, b, c, bases = batch_addresses(f, w, spec, index)
        t0, t1 = (floor_share(f, tiles, f.add(row_unit, d), w["row_units"]) for d in (0, 1))
        p0, p1 = (floor_share(f, panels, f.add(column_unit, d), w["column_units"]) for d in (0, 1))
        block = _Block(a, b, c, bases, t0, t1, p0, p1)
        f.loop(0, w["k_blocks"], 1, (), lambda kb: _k_block(f, spec, tile, w, block, kb, micro, pack_a, pack_b, finish, packed_k, panels))

    f.loop(f.param("begin"), f.param("end"), 1, (), unit)
    f.ret()


@dataclass(slots=True)
class _Block:
    """What one unit works on: addresses with the batch offset in them, its row tiles and its panels."""

    a: Val
    b: Val
    c: Val
    bases: list[Val]
    t0: Val
    t1: Val
    p0: Val
    p1: Val


def _k_block(
    f: Fn, spec: GemmSpec, tile: Tile, w: dict[str, Val], block: _Block, kb: Val,
    micro: str, pack_a: str, pack_b: str, finish: str, packed_k: Val, panels: Val,
) -> None:  # fmt: skip
    """One block of k of one unit: pack, multiply every tile, finish the tiles if it is the last block."""
    dtype, scratch = spec.dtype, f.param("scratch")
    k0 = f.mul(kb, w["k_block"])
    length = f.smin(w["k_block"], f.sub(w["k"], k0))
    last = f.icmp("eq", f.add(kb, 1), w["k_blocks"])
    pack_rows = f.icmp("ne", w["pack_a"], 0)
    tile_elements = f.mul(w["k_block"], tile.rows)

    def tile_rows(t: Val) -> Val:
        return f.smin(f.i64(tile.rows), f.sub(w["m"], f.mul(t, tile.rows)))

    def a_source(t: Val) -> Val:
        return at(f, block.a, f.add(f.mul(t, w["a_tile"]), f.mul(k0, w["csa"])), dtype)

    def pack_one(t: Val) -> None:
        dst = f.gep(scratch, f.mul(f.sub(t, block.t0), tile_elements), tile.ty)
        f.call("void", pack_a, dst, a_source(t), w["rsa"], w["csa"], tile_rows(t), length)

    either(f, pack_rows, lambda: f.loop(block.t0, block.t1, 1, (), pack_one))
    rsa = f.select(pack_rows, f.i64(1), w["rsa"])
    csa = f.select(pack_rows, f.i64(tile.rows), w["csa"])

    def panel(p: Val) -> None:
        j0 = f.mul(p, tile.columns)
        columns = f.smin(f.i64(tile.columns), f.sub(w["n"], j0))
        whole = f.icmp("eq", columns, tile.columns)
        source = at(f, block.b, f.add(f.mul(k0, w["rsb"]), f.mul(j0, w["csb"])), dtype)
        shared = f.gep(block.b, f.add(f.mul(f.mul(k0, panels), tile.columns), f.mul(f.mul(p, length), tile.columns)), tile.ty)
        here = f.gep(scratch, w["panel_at"])
        in_place = f.binary("and", f.icmp("eq", w["b_mode"], B_IN_PLACE), whole)
        pack_here = f.binary("xor", f.binary("or", packed_k, in_place), f.const(True, "i1"))
        either(f, pack_here, lambda: f.call("void", pack_b, here, source, w["rsb"], w["csb"], length, columns))
        b = f.select(packed_k, shared, f.select(in_place, source, here))
        rsb = f.select(in_place, w["rsb"], f.i64(tile.columns))

        def one_tile(t: Val) -> None:
            rows = tile_rows(t)
            local = f.sub(t, block.t0)
            a = f.select(pack_rows, f.gep(scratch, f.mul(local, tile_elements), tile.ty), a_source(t))
            i0 = f.mul(t, tile.rows)
            c = at(f, block.c, f.add(f.mul(i0, w["ldc"]), j0), spec.tail.out_dtype)
            place = f.add(f.mul(f.mul(local, tile.rows), w["partial_ld"]), f.mul(f.sub(p, block.p0), tile.columns))
            partial = f.gep(f.gep(scratch, w["partial_at"]), place, tile.ty)
            to, ld = partial, w["partial_ld"]
            straight = f.const(False, "i1")
            if spec.plain:
                straight = f.binary("and", whole, f.icmp("eq", rows, tile.rows))
                to, ld = f.select(straight, c, partial), f.select(straight, w["ldc"], w["partial_ld"])
            f.call("void", micro, a, rsa, csa, rows, b, rsb, length, to, ld, kb)
            if spec.plain:
                finishing = f.binary("and", last, f.binary("xor", straight, f.const(True, "i1")))
                either(f, finishing, lambda: finish_tiles(rows, i0, partial, c))

        def finish_tiles(rows: Val, i0: Val, partial: Val, c: Val) -> None:
            pointers, lds, stage = fill_operands(f, w, spec, block.bases, i0, j0)
            f.call("void", finish, partial, w["partial_ld"], c, w["ldc"], rows, columns, pointers, lds, stage)

        def finish_panel() -> None:
            i0 = f.mul(block.t0, tile.rows)
            c = at(f, block.c, f.add(f.mul(i0, w["ldc"]), j0), spec.tail.out_dtype)
            partial = f.gep(f.gep(scratch, w["partial_at"]), f.mul(f.sub(p, block.p0), tile.columns), tile.ty)
            finish_tiles(f.sub(f.smin(f.mul(block.t1, tile.rows), w["m"]), i0), i0, partial, c)

        f.loop(block.t0, block.t1, 1, (), one_tile)
        if not spec.plain:
            either(f, last, finish_panel)

    f.loop(block.p0, block.p1, 1, (), panel)
