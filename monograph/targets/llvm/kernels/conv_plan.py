"""Plans of convolutions: forward, gradient of the input (which is also the transposed convolution)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monograph.targets.llvm.kernels.call import ConstBuffer, KernelCall, Machine, TempBuffer, Word, round_up
from monograph.targets.llvm.kernels.conv_columns_plan import columns_cost, fits, plan_columns_forward, plan_columns_input
from monograph.targets.llvm.kernels.conv_geometry import ConvShape, Geometry, backward_geometry, forward_geometry, three
from monograph.targets.llvm.kernels.conv_taps import CONV_WORDS, WEIGHT_WORDS, conv_kernel, weight_kernel
from monograph.targets.llvm.kernels.depthwise_plan import fits_depthwise, plan_depthwise
from monograph.targets.llvm.kernels.element import itemsize, narrow
from monograph.targets.llvm.kernels.epilogue import Epilogue, identity, stage_bytes
from monograph.targets.llvm.kernels.gemm import GemmSpec
from monograph.targets.llvm.kernels.gemm_plan import Matrix, plan_gemm
from monograph.targets.llvm.kernels.micro import Tile, tile_for
from monograph.targets.llvm.kernels.winograd_plan import Plane, choose, plan_winograd


@dataclass(frozen=True, slots=True)
class ConvSpec:
    """The structure of a convolution: dtype of its tensors and the tail (rows of its operands are channels, columns are positions)."""

    dtype: str
    epilogue: Epilogue | None = None

    @property
    def tail(self) -> Epilogue:
        return self.epilogue or identity(self.dtype)


def plan_conv_forward(
    spec: ConvSpec, shape: ConvShape, x: Word, w: Word, y: Word, operands: Sequence[Word] = (), machine: Machine | None = None
) -> list[KernelCall]:
    """y[n, o, ...] = epilogue(conv(x, w)). All tensors contiguous: x [N, C, *size], w [O, C/groups, *kernel], y [N, O, *out].

    An operand with row "stride", column "zero" is one value per output channel; with column "unit" it is laid out like y.
    """
    return _plan(spec, shape, forward_geometry(shape), False, x, w, y, operands, machine or Machine())


def plan_conv_backward_input(
    spec: ConvSpec, shape: ConvShape, dy: Word, w: Word, dx: Word, operands: Sequence[Word] = (), machine: Machine | None = None
) -> list[KernelCall]:
    """dx = epilogue(gradient of the input), dy laid out as y, dx as x. `shape` is that of the forward convolution.

    A transposed convolution is this with dy = its input and dx = its output (`shape.out` the sizes of its input,
    `shape.size` of its output).
    """
    return _plan(spec, shape, backward_geometry(shape), True, dy, w, dx, operands, machine or Machine())


def copy_words(geometry: Geometry, source_c: int, pitch: int, rows: int) -> dict[str, int]:
    """The words that describe the source copy, for blocks of at most `rows` rows."""
    g = geometry
    sub_plane = round_up((rows + g.extra_rows) * pitch + g.extra_columns, 16)
    plane = g.sub_h * g.sub_w * sub_plane
    plane += 16 if plane % 1024 == 0 else 0  # planes a multiple of 4 KiB apart would fall on the same cache sets
    d, h, w = g.source
    return {
        "source_c": source_c, "source_d": h * w, "source_h": w, "size_d": d, "size_h": h, "size_w": w, "depth_taps": g.depth_taps,
        "depth_mul": g.depth_mul, "depth_add": g.depth_add, "depth_step": g.depth_step, "depth_div": g.depth_div, "sub_h": g.sub_h,
        "sub_w": g.sub_w,
        "pad_h": g.pad_h, "pad_w": g.pad_w, "pitch": pitch, "sub_plane": sub_plane, "plane": plane, "extra_rows": g.extra_rows,
        "extra_columns": g.extra_columns,
    }  # fmt: skip


def tap_offset(geometry: Geometry, copy: dict[str, int], tap_index: int, phase: int = 0) -> int:
    """Where a tap reads in the copy of one channel."""
    tap = geometry.phases[phase].taps[tap_index]
    return tap.depth * copy["plane"] + tap.plane * copy["sub_plane"] + tap.rows * copy["pitch"] + tap.columns


@dataclass(frozen=True, slots=True)
class _Blocks:
    """How the work is cut: positions (rows, columns), result channels, source channels."""

    rows: int
    columns: int
    channels: int
    reduced: int
    pitch: int


def _blocks(g: Geometry, channels: int, reduced: int, tile: Tile, machine: Machine, units: int) -> _Blocks:
    """Blocks that keep a source copy and the partial sums in the second-level cache. Source channels per block depend on the shape only."""
    most_taps = max(1, max(len(phase.taps) for phase in g.phases))
    c_block = max(1, min(reduced, 320 // most_taps))
    c_block = -(-reduced // -(-reduced // c_block)) if reduced else 1
    row_count, column_count = -(-g.result[1] // g.out_h), -(-g.result[2] // g.out_w)
    budget = machine.l2_bytes // 4 // tile.item
    channel_block = round_up(min(channels, 128), tile.rows)
    phases = len(g.phases)
    per_row = g.pitch(column_count, True) * max(c_block * g.depth_taps * g.sub_h * g.sub_w, channel_block * phases)
    if g.result[1] == 1:
        most = max(
            tile.columns * 4,
            budget // max(c_block * g.depth_taps * g.sub_h * g.sub_w, channel_block * phases) // tile.columns * tile.columns,
        )
        pieces = -(-column_count // most)
        columns = round_up(-(-column_count // pieces), tile.columns) if pieces > 1 else column_count
        return _Blocks(1, columns, channel_block, c_block, g.pitch(columns, pieces == 1))
    most = max(1, budget // per_row)
    pieces = max(-(-row_count // most), min(row_count, -(-2 * machine.threads // max(1, units))) if machine.threads > 1 else 1)
    return _Blocks(-(-row_count // pieces), column_count, channel_block, c_block, g.pitch(column_count, True))


def _plan(
    spec: ConvSpec,
    shape: ConvShape,
    g: Geometry,
    backward: bool,
    source: Word,
    w: Word,
    result: Word,
    operands: Sequence[Word],
    machine: Machine,
) -> list[KernelCall]:
    dtype, groups = spec.dtype, shape.groups
    outer, inner = shape.out_channels // groups, shape.channels // groups
    channels, reduced = (inner, outer) if backward else (outer, inner)
    if not shape.batch or not channels or 0 in g.result:
        return []
    if set(shape.kernel) == {1} and set(shape.stride) == {1} and not any(shape.padding) and shape.out == shape.size:
        return _plan_pointwise(spec, shape, backward, source, w, result, operands, machine)
    if fits_depthwise(dtype, shape, machine):
        return plan_depthwise(dtype, spec.epilogue, shape, backward, source, w, result, operands, machine)
    cost = _direct_cost(g, dtype, shape, channels, reduced, machine)
    if fits(dtype, shape) and (other := columns_cost(shape, "input" if backward else "forward", machine, dtype)) < cost:
        cost, by_columns = other, True
    else:
        by_columns = False
    if machine.winograd and _winograd_fits(spec, shape, backward):
        padding = tuple(2 - n for n in shape.padding) if backward else shape.padding
        plane = Plane(shape.batch, reduced, channels, g.source[1:], g.result[1:], (padding[0], padding[1]), backward)
        if m := choose(plane, cost, machine):
            return plan_winograd(m, spec.epilogue, plane, source, w, result, operands, machine)
    if by_columns:
        plan = plan_columns_input if backward else plan_columns_forward
        return plan(dtype, spec.epilogue, shape, source, w, result, operands, machine)
    tile_rows = 1 if channels == 1 else 4
    tile = tile_for(dtype, machine, tile_rows)
    b = _blocks(g, channels, reduced, tile, machine, shape.batch * groups * g.result[0] * -(-channels // 128))
    source_plane, result_plane = int(np.prod(g.source)), int(np.prod(g.result))
    copy = copy_words(g, source_plane, b.pitch, b.rows)
    tiles = -(-channels // tile.rows)
    kernel_size = int(np.prod(three(shape.kernel, 1)))
    phases: list[tuple[int, ...]] = []
    offsets: list[int] = []
    indices: list[int] = []
    first_weight = 0
    for number, phase in enumerate(g.phases):
        phases.append((phase.row, phase.column, len(phase.taps), first_weight, len(indices)))
        indices += [tap.index for tap in phase.taps]
        one = [tap_offset(g, copy, j, number) for j in range(len(phase.taps))]
        offsets += [c * g.depth_taps * copy["plane"] + at for c in range(b.reduced) for at in one]
        first_weight += reduced * tiles * len(phase.taps) * tile.rows
    phase_table, offset_table = ConstBuffer(np.array(phases, np.int64).tobytes()), ConstBuffer(np.array(offsets, np.int32).tobytes())
    packed = TempBuffer(max(64, groups * first_weight * tile.item))
    steps = (kernel_size, inner * kernel_size)
    weight_words = WEIGHT_WORDS.fill(
        dst=packed, src=w, src_group=outer * inner * kernel_size, src_row=steps[0 if backward else 1],
        src_reduced=steps[1 if backward else 0],
        indices=ConstBuffer(np.array(indices, np.int32).tobytes()), phases=phase_table, phase_count=len(phases), reduced=reduced,
        c_block=b.reduced,
        rows=channels, tiles=tiles, group_size=first_weight,
    )  # fmt: skip
    size = itemsize(dtype)
    weight_bytes = shape.out_channels * inner * kernel_size * size
    weight_call = KernelCall(
        weight_kernel(dtype, machine, tile_rows), weight_words, groups * len(phases) * tiles, 1, 0, 0, 2 * weight_bytes
    )
    row_count, column_count = -(-g.result[1] // g.out_h), -(-g.result[2] // g.out_w)
    units = (-(-channels // b.channels), -(-row_count // b.rows), -(-column_count // b.columns))
    partial_ld = round_up((b.rows - 1) * b.pitch + b.columns, tile.columns)
    partial_ld += 16 if partial_ld % 1024 == 0 else 0
    partial_phase = partial_ld * round_up(b.channels, tile.rows)
    copy_elements = b.reduced * g.depth_taps * copy["plane"] + tile.columns + copy["extra_columns"] + copy["extra_rows"] * b.pitch
    partial_at = round_up(copy_elements * tile.item, 64)
    dense_at = partial_at + round_up(partial_phase * len(phases) * tile.item, 64)
    plain = spec.epilogue is None and not narrow(dtype)
    dense = 0 if plain else max(b.rows * g.out_h * g.result[2], b.columns * g.out_w) + tile.lanes
    stage_at = dense_at + round_up(dense * tile.item, 64)
    pointers_at = stage_at + stage_bytes(spec.tail)
    words = CONV_WORDS.fill(
        **copy, source=source, source_n=groups * reduced * source_plane, source_g=reduced * source_plane, weights=packed,
        weights_g=first_weight,
        taps=offset_table, phases=phase_table, phase_count=len(phases), reduced=reduced, c_block=b.reduced,
        c_blocks=max(1, -(-reduced // b.reduced)), result=result, result_n=groups * channels * result_plane, result_c=result_plane,
        result_d=g.result[1] * g.result[2], out_rows=g.result[1], out_columns=g.result[2], out_depth=g.result[0], channels=channels,
        channel_block=b.channels, channel_units=units[0], row_count=row_count, row_block=b.rows, row_units=units[1],
        column_count=column_count,
        column_block=b.columns, column_units=units[2], groups=groups, out_h=g.out_h, out_w=g.out_w, partial_ld=partial_ld,
        partial_phase=partial_phase, partial_at=partial_at, dense_at=dense_at, stage_at=stage_at, pointers_at=pointers_at,
    )  # fmt: skip
    for operand, kind in zip(operands, spec.tail.operands, strict=True):
        across = result_plane if kind.col == "unit" else 1
        channel_step = across if kind.row == "stride" else 0
        image = groups * channels * result_plane if kind.col == "unit" and kind.row == "stride" else 0
        words += [operand, channel_step, image, g.result[1] * g.result[2] if kind.col == "unit" else 0]
    n_units = shape.batch * groups * g.result[0] * units[0] * units[1] * units[2]
    moved = shape.batch * groups * (reduced * source_plane * size + channels * result_plane * itemsize(spec.tail.out_dtype)) + weight_bytes
    grain = max(1, 200_000 * n_units // max(1, shape.flops))
    kernel = conv_kernel(dtype, spec.epilogue, machine, tile_rows)
    return [weight_call, KernelCall(kernel, words, n_units, grain, pointers_at + 8 * len(spec.tail.operands) + 64, shape.flops, moved)]


DIRECT_SHARE = 0.88  # of its peak that direct convolution reaches on full vectors
PER_WEIGHT = 36  # what packing a weight costs, in operations. Counted half: constant weights are packed once, others for every call


def _direct_cost(g: Geometry, dtype: str, shape: ConvShape, channels: int, reduced: int, machine: Machine) -> float:
    """The estimated cost of direct convolution, in operations at full speed: tiles are filled up image by image."""
    tile = tile_for(dtype, machine, 1 if channels == 1 else 4)
    rows, columns = -(-g.result[1] // g.out_h), -(-g.result[2] // g.out_w)
    positions = round_up((rows - 1) * g.pitch(columns, True) + columns, tile.columns)
    per_channel = shape.batch * g.result[0] * positions * sum(len(phase.taps) for phase in g.phases)
    weights = channels * reduced * sum(len(phase.taps) for phase in g.phases)
    return shape.groups * (2 * reduced * round_up(channels, tile.rows) * per_channel / DIRECT_SHARE + PER_WEIGHT * weights)


def _winograd_fits(spec: ConvSpec, shape: ConvShape, backward: bool) -> bool:
    """Whether a convolution is one that Winograd's algorithm computes: two dims, 3x3, no steps, dense in channels."""
    plain = shape.kernel == (3, 3) and set(shape.stride) == set(shape.dilation) == {1}
    sizes = all(o == n + 2 * q - 2 for o, n, q in zip(shape.out, shape.size, shape.padding, strict=True))
    return spec.dtype == "float32" and plain and sizes and shape.groups == 1 and (not backward or max(shape.padding) <= 2)


def _plan_pointwise(
    spec: ConvSpec, shape: ConvShape, backward: bool, source: Word, w: Word, result: Word, operands: Sequence[Word], machine: Machine
) -> list[KernelCall]:
    """A kernel of size one is a matrix product per image and group: weights times channels x positions."""
    groups, plane = shape.groups, int(np.prod(shape.size))
    outer, inner = shape.out_channels // groups, shape.channels // groups
    channels, reduced = (inner, outer) if backward else (outer, inner)
    a = Matrix(w, *((1, inner) if backward else (inner, 1)), (0, outer * inner))
    b = Matrix(source, plane, 1, (groups * reduced * plane, reduced * plane))
    c = Matrix(result, plane, 1, (groups * channels * plane, channels * plane))
    extra = []
    for operand, kind in zip(operands, spec.tail.operands, strict=True):
        moves, spans = kind.row == "stride", kind.col == "unit"
        step = (plane if spans else 1) if moves else 0
        image = groups * channels * plane if moves and spans else 0
        extra.append(Matrix(operand, step, int(spans), (image, channels * step)))
    return plan_gemm(GemmSpec(spec.dtype, spec.epilogue), channels, plane, reduced, a, b, c, extra, (shape.batch, groups), machine)
