"""The plan of the gradient of convolution weights."""

from __future__ import annotations

import numpy as np

from monograph.targets.llvm.kernels.call import ConstBuffer, KernelCall, Machine, TempBuffer, Word, round_up
from monograph.targets.llvm.kernels.conv_columns_plan import columns_cost, fits, plan_columns_weight
from monograph.targets.llvm.kernels.conv_geometry import ConvShape, forward_geometry
from monograph.targets.llvm.kernels.conv_plan import ConvSpec, copy_words, tap_offset
from monograph.targets.llvm.kernels.conv_weight import REDUCE_WORDS, WGRAD_WORDS, reduce_kernel, weight_gradient_tiles, wgrad_kernel
from monograph.targets.llvm.kernels.depthwise_plan import fits_depthwise, plan_depthwise_weight
from monograph.targets.llvm.kernels.element import itemsize

MOST_CHUNKS = 16
PER_TILE = 10  # what starting and ending a register tile costs, in steps of its sum
PARTIAL_BYTES = 8 << 20  # all partial gradients together


def _direct_cost(shape: ConvShape, machine: Machine, dtype: str) -> float:
    """The estimated cost of the direct kernel, in operations at full speed: every image begins its sums anew, rows are filled up."""
    g, outputs, channels = forward_geometry(shape), shape.out_channels // shape.groups, shape.channels // shape.groups
    tiles = weight_gradient_tiles(dtype, outputs, machine)
    steps = (g.result[1] - 1) * g.pitch(g.result[2], True) + g.result[2] + PER_TILE
    rows, columns = round_up(channels * len(g.phases[0].taps), tiles.tile.rows), round_up(outputs, tiles.panel.columns)
    return 2.0 * shape.groups * shape.batch * g.result[0] * steps * rows * columns * (4 if tiles.dot else 1)


def plan_conv_backward_weight(
    spec: ConvSpec, shape: ConvShape, x: Word, dy: Word, dw: Word, machine: Machine | None = None
) -> list[KernelCall]:
    """dw = gradient of the weights, from x and dy (all contiguous, laid out as in `plan_conv_forward`). `spec.epilogue` is not used.

    For a transposed convolution x is its output's gradient and dy its input.
    """
    machine, g, dtype, groups = machine or Machine(), forward_geometry(shape), spec.dtype, shape.groups
    outputs, channels, taps = shape.out_channels // groups, shape.channels // groups, len(g.phases[0].taps)
    if not outputs or not channels or not taps:
        return []
    if fits_depthwise(dtype, shape, machine):
        return plan_depthwise_weight(dtype, shape, x, dy, dw, machine)
    if fits(dtype, shape) and columns_cost(shape, "weight", machine, dtype) < _direct_cost(shape, machine, dtype):
        return plan_columns_weight(dtype, shape, x, dy, dw, machine)
    tiles = weight_gradient_tiles(dtype, outputs, machine)
    tile, columns = tiles.tile, tiles.panel.columns
    panels, rows = -(-outputs // columns), channels * taps
    depth, out_h, out_w = g.result
    images = shape.batch * depth * (1 if out_h and out_w else 0)
    most = 4 * machine.l1_bytes // 5 // (columns * tile.item)  # positions per block: a panel of dY stays in the first-level cache
    split = out_h == 1 and out_w > most
    column_block = round_up(-(-out_w // -(-out_w // most)), tile.lanes) if split else max(1, out_w)
    pitch = g.pitch(column_block, not split)
    row_block = max(1, most // pitch)
    row_block = -(-out_h // -(-out_h // row_block)) if out_h else 1
    copy = copy_words(g, int(np.prod(g.source)), pitch, row_block)
    c_block = max(1, min(channels, machine.l2_bytes // 3 // tile.item // (copy["plane"] * g.depth_taps)))
    c_block = -(-channels // -(-channels // c_block))
    if c_block < channels:  # whole tiles of (channel, tap) rows
        c_block = next((c for c in range(c_block, max(1, c_block // 2), -1) if c * taps % tile.rows == 0), c_block)
    partial = groups * panels * rows * columns
    chunks = min(images, max(1, min(MOST_CHUNKS, PARTIAL_BYTES // (partial * tile.item))))
    panel_block = min(panels, max(1, 64 // columns))
    table = [c * g.depth_taps * copy["plane"] + tap_offset(g, copy, j) for c in range(c_block) for j in range(taps)]
    sums = TempBuffer(max(64, chunks * partial * tile.item))
    copy_elements = c_block * g.depth_taps * copy["plane"] + copy["extra_columns"] + copy["extra_rows"] * pitch + columns
    panels_at = round_up(copy_elements * tile.item, 64)
    panel_elements = panel_block * pitch * row_block * columns + tile.rows * columns
    words = WGRAD_WORDS.fill(
        **copy, source=x, source_n=groups * channels * int(np.prod(g.source)), source_g=channels * int(np.prod(g.source)), dy=dy,
        dy_n=groups * outputs * depth * out_h * out_w, dy_c=depth * out_h * out_w, dy_d=out_h * out_w, rows=ConstBuffer(np.array(table,
        np.int32).tobytes()),
        row_taps=taps, channels=channels, c_block=c_block, c_blocks=-(-channels // c_block), sums=sums, sums_chunk=partial,
        outputs=outputs, panels=panels,
        panel_block=panel_block, panel_units=-(-panels // panel_block), images=images, chunks=max(1, chunks), depth=max(1, depth),
        groups=groups, out_h=out_h,
        out_w=out_w, row_block=row_block, row_blocks=-(-out_h // row_block), column_block=column_block,
        column_blocks=-(-out_w // column_block),
        panels_at=panels_at,
    )  # fmt: skip
    units = chunks * groups * -(-panels // panel_block)
    moved = shape.batch * groups * (channels * int(np.prod(g.source)) + outputs * depth * out_h * out_w) * itemsize(dtype)
    grain = max(1, 200_000 * units // max(1, shape.flops))
    calls = (
        [KernelCall(wgrad_kernel(dtype, tiles), words, units, grain, panels_at + panel_elements * tile.item + 64, shape.flops, moved)]
        if units
        else []
    )
    reduce_words = REDUCE_WORDS.fill(
        dst=dw, sums=sums, sums_chunk=partial, chunks=chunks, outputs=outputs, panels=panels, rows=rows, stage_at=0
    )
    moved = (chunks + 1) * partial * tile.item
    grain = max(1, 1 + 8192 // (chunks * rows * columns + 1))
    return [*calls, KernelCall(reduce_kernel(dtype, tiles), reduce_words, groups * panels, grain, 64 * tile.vectors + 64, 0, moved)]
