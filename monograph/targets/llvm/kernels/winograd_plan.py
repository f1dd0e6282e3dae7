"""Plans of Winograd's convolution: weights, source to points, products, results; and when it pays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monograph.targets.llvm.kernels.call import KernelCall, Machine, TempBuffer, Word, round_up
from monograph.targets.llvm.kernels.epilogue import Epilogue, identity, stage_bytes
from monograph.targets.llvm.kernels.gemm import B_PACKED, GEMM_WORDS, GemmSpec, gemm_kernel
from monograph.targets.llvm.kernels.gemm_plan import cut_k, cut_work
from monograph.targets.llvm.kernels.micro import tile_for
from monograph.targets.llvm.kernels.winograd import (
    INPUT_WORDS,
    OUTPUT_WORDS,
    WEIGHT_WORDS,
    WHOLE_WORDS,
    input_kernel,
    input_scratch,
    output_kernel,
    output_scratch,
    weight_kernel,
    whole_kernel,
)

LINE_ELEMENTS = 16  # floats in a cache line
UNITS_PER_THREAD = 2  # fewer whole units would leave a thread waiting


@dataclass(frozen=True, slots=True)
class Plane:
    """A 3x3 convolution of stride 1 as Winograd sees it; `backward`: of the gradient of the result, with the kernel turned around."""

    batch: int
    reduced: int
    channels: int
    source: tuple[int, int]
    result: tuple[int, int]
    padding: tuple[int, int]
    backward: bool

    def tiles(self, m: int) -> tuple[int, int]:
        """Tiles of m x m results in a plane: rows, columns."""
        return -(-self.result[0] // m), -(-self.result[1] // m)

    def weight_bytes(self, m: int) -> int:
        """Of the weights at the points."""
        return 4 * (m + 2) ** 2 * self.reduced * self.channels

    @property
    def flops(self) -> int:
        """Operations of the direct convolution."""
        return 18 * self.batch * self.reduced * self.channels * self.result[0] * self.result[1]


def plan_winograd(
    m: int, epilogue: Epilogue | None, p: Plane, source: Word, w: Word, result: Word, operands: Sequence[Word], machine: Machine
) -> list[KernelCall]:
    """Calls for float32; operands as those of `plan_conv_forward`.

    With tiles for all threads, each takes a few panels of them through all stages by itself, in its scratch. Fewer go through one stage
    after the other, shared out by channels and points. The bits are the same.
    """
    tile, tail = tile_for("float32", machine), epilogue or identity("float32")
    points, row_tiles = (m + 2) ** 2, -(-p.channels // tile.rows)
    tiles_h, tiles_w = p.tiles(m)
    tiles = p.batch * tiles_h * tiles_w
    panels = -(-tiles // tile.columns)
    weights_point = _apart(row_tiles * p.reduced * tile.rows)
    weights = TempBuffer(4 * points * weights_point)
    block = max(8, -(-p.reduced // 8))
    words = WEIGHT_WORDS.fill(
        dst=weights, dst_point=weights_point, src=w, row_step=9 if p.backward else 9 * p.reduced, first_tap=8 if p.backward else 0,
        reduced_step=9 * p.channels if p.backward else 9, tap_step=-1 if p.backward else 1, rows=p.channels, reduced=p.reduced,
        c_block=block, c_units=-(-p.reduced // block),
    )  # fmt: skip
    moved = 4 * (9 * p.reduced * p.channels + points * weights_point)
    calls = [KernelCall(weight_kernel(m, machine), words, row_tiles * -(-p.reduced // block), 1, 0, 0, moved)]
    source_plane, result_plane = p.source[0] * p.source[1], p.result[0] * p.result[1]
    k_block, k_blocks = cut_k(p.reduced, tile, machine)
    common: dict[str, Word] = {
        "tiles_w": tiles_w, "tiles_image": tiles_h * tiles_w, "tiles": tiles, "k_block": k_block, "reduced": p.reduced,
        "channels": p.channels, "panels": panels,
    }  # fmt: skip
    taken: dict[str, Word] = {
        "source": source, "source_n": p.reduced * source_plane, "source_c": source_plane, "source_h": p.source[0], "source_w": p.source[1],
        "pad_h": p.padding[0], "pad_w": p.padding[1],
    }  # fmt: skip
    pieces, dense = output_scratch(m, tile)
    dense_at = round_up(pieces, 64)
    stage_at = round_up(dense_at + dense, 64)
    pointers_at = stage_at + stage_bytes(tail)
    given: dict[str, Word] = {
        "result": result, "result_n": p.channels * result_plane, "result_c": result_plane, "result_h": p.result[0], "result_w": p.result[1],
        "pieces_at": 0, "dense_at": dense_at, "stage_at": stage_at, "pointers_at": pointers_at,
    }  # fmt: skip
    scratch = round_up(pointers_at + 16 * len(operands), 64)
    extra: list[Word] = []
    for operand, kind in zip(operands, tail.operands, strict=True):
        spans, moves = kind.col == "unit", kind.row == "stride"
        extra += [operand, (result_plane if spans else 1) * moves, p.channels * result_plane * (spans and moves)]
    moved_in, moved_out = 4 * p.batch * p.reduced * source_plane, 4 * p.batch * p.channels * result_plane * (1 + len(operands))
    unit_panels = whole_panels(m, p, machine)
    units = -(-panels // unit_panels)
    if units >= UNITS_PER_THREAD * machine.threads:
        tables_at = scratch
        points_at = round_up(tables_at + input_scratch(m, tile), 64)
        point = _apart(p.reduced * unit_panels * tile.columns)
        products_at = points_at + 4 * points * point
        product_point = _apart(row_tiles * tile.rows * unit_panels * tile.columns)
        words = WHOLE_WORDS.fill(
            **taken, **given, **common, weights=weights, weights_point=weights_point, unit_panels=unit_panels, row_tiles=row_tiles,
            k_blocks=k_blocks, tables_at=tables_at, points_at=points_at, point=point, products_at=products_at, product_point=product_point,
        )  # fmt: skip
        scratch = products_at + 4 * points * product_point
        moved = moved_in + moved_out + 4 * points * weights_point
        return [*calls, KernelCall(whole_kernel(m, tail, machine), words + extra, units, 1, scratch, p.flops, moved)]
    at_points, n = _apart(p.reduced * panels * tile.columns), panels * tile.columns
    product_point = _apart(p.channels * n)
    points_of, products = TempBuffer(4 * points * at_points), TempBuffer(4 * points * product_point)
    c_block = _channel_block(p.reduced, panels, machine)
    c_units = -(-p.reduced // c_block)
    words = INPUT_WORDS.fill(**taken, **common, c_block=c_block, c_units=c_units, points=points_of, point=at_points)
    moved = moved_in + 4 * points * at_points
    calls.append(KernelCall(input_kernel(m, machine), words, panels * c_units, 1, input_scratch(m, tile), 0, moved))
    row_units, column_units = cut_work(row_tiles, panels, points, p.reduced, k_block, tile, machine)
    partial_ld = -(-panels // column_units) * tile.columns
    stage_at = round_up(-(-row_tiles // row_units) * tile.rows * partial_ld * 4, 64)
    pointers_at = stage_at + stage_bytes(identity("float32"))
    words = GEMM_WORDS.fill(
        a=weights, a_tile=tile.rows * p.reduced, rsa=1, csa=tile.rows, b=points_of, rsb=0, csb=0, b_mode=B_PACKED, c=products, ldc=n,
        m=p.channels, n=n, k=p.reduced, k_block=k_block, k_blocks=k_blocks, row_units=row_units, column_units=column_units, batch1=1,
        batch2=points, a0=0, a1=0, a2=weights_point, b0=0, b1=0, b2=at_points, c0=0, c1=0, c2=product_point, pack_a=0, panel_at=0,
        partial_at=0, partial_ld=partial_ld, stage_at=stage_at, pointers_at=pointers_at,
    )  # fmt: skip
    moved = 4 * points * (weights_point + at_points + product_point)
    kernel = gemm_kernel(GemmSpec("float32"), "n", machine)
    calls.append(KernelCall(kernel, words, points * row_units * column_units, 1, pointers_at + 64, p.flops, moved))
    c_block = _channel_block(p.channels, panels, machine)
    c_units = -(-p.channels // c_block)
    words = OUTPUT_WORDS.fill(**given, **common, c_block=c_block, c_units=c_units, points=products, point=product_point)
    moved = moved_out + 4 * points * product_point
    return [*calls, KernelCall(output_kernel(m, tail, machine), words + extra, panels * c_units, 1, scratch, 0, moved)]


def _apart(elements: int) -> int:
    """At least so many elements, such that neighbouring points do not fall on the same cache sets."""
    lines = -(-elements // LINE_ELEMENTS)
    return LINE_ELEMENTS * (lines | 1)


def _channel_block(channels: int, panels: int, machine: Machine) -> int:
    """Channels in a unit of a transform: enough that finding the tiles is little of the work, and units for every thread."""
    return min(channels, max(16, -(-channels * panels // (4 * machine.threads))))


def whole_panels(m: int, p: Plane, machine: Machine) -> int:
    """Panels that a thread takes through all stages at once: weights that do not stay in the last cache serve several of them."""
    return 1 if p.weight_bytes(m) <= 20 * machine.l2_bytes else 4


# What the stages cost, in operations that the products could have done meanwhile. Measured; they need not be exact.
PER_TILE = {2: 800, 4: 1500}  # of each channel: of the source to the points, of the result from them
PER_WEIGHT_BYTE = 9  # at the points. Counted half: constant weights are brought there once, others for every call
PER_STREAMED_BYTE = 9


def choose(p: Plane, cost: float, machine: Machine) -> int:
    """The m whose plan is estimated to be fastest, 0 if none costs less than `cost`. Depends on sizes and caches alone."""
    if machine.vector_bytes < 32:  # masked loads are slow there
        return 0
    tile = tile_for("float32", machine)
    best = 0
    for m in (2, 4):
        tiles_h, tiles_w = p.tiles(m)
        tiles = round_up(p.batch * tiles_h * tiles_w, tile.columns)
        products = 2 * (m + 2) ** 2 * p.reduced * round_up(p.channels, tile.rows) * tiles
        stages = PER_TILE[m] * tiles * (p.reduced + p.channels)
        total = max(products, PER_STREAMED_BYTE * p.weight_bytes(m)) + stages + PER_WEIGHT_BYTE * p.weight_bytes(m)
        if total < cost:
            best, cost = m, total
    return best
