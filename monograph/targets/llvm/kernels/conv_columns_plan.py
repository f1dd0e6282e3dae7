"""Plans of convolutions as one matrix product over all images (see `conv_columns.py`), and what they cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monograph.targets.llvm.kernels.call import ConstBuffer, KernelCall, Machine, TempBuffer, Word, round_up
from monograph.targets.llvm.kernels.conv_columns import GATHER_WORDS, SPREAD_WORDS, gather_kernel, spread_kernel
from monograph.targets.llvm.kernels.conv_geometry import ConvShape, three
from monograph.targets.llvm.kernels.element import itemsize
from monograph.targets.llvm.kernels.epilogue import Epilogue, identity, stage_bytes
from monograph.targets.llvm.kernels.gemm import GemmSpec
from monograph.targets.llvm.kernels.gemm_plan import Matrix, plan_gemm
from monograph.targets.llvm.kernels.micro import tile_for

MOST_ENTRIES = 1 << 16  # of a table
COLUMN_MULTIPLE = 16
DTYPES = ("float32", "float64")  # sums stay in memory between the stages, which a narrow type would round twice
# What the stages cost, in operations that the products could have done meanwhile. Measured; they need not be exact.
PER_ELEMENT = 60
PRODUCT_SHARE = 0.92  # of its peak that the product reaches


def positions_of(shape: ConvShape) -> int:
    """Columns of the matrix: positions of all images, filled up with zeros."""
    return round_up(shape.batch * int(np.prod(shape.out)), COLUMN_MULTIPLE)


def fits(dtype: str, shape: ConvShape) -> bool:
    """Whether the tables stay small: a function of the sizes of one channel of all images."""
    taps = int(np.prod(shape.kernel))
    entries = taps * max(positions_of(shape), shape.batch * int(np.prod(shape.size)))
    return dtype in DTYPES and len(shape.kernel) <= 2 and entries <= MOST_ENTRIES


def columns_cost(shape: ConvShape, kind: str, machine: Machine, dtype: str) -> float:
    """The estimated cost of a plan; `kind` is "forward", "input" or "weight"."""
    tile = tile_for(dtype, machine)
    outer, inner, taps, n = _sizes(shape)
    if kind == "forward":
        product, moved = round_up(outer, tile.rows) * inner * taps * n, (inner * taps + 2 * outer) * n
    elif kind == "input":
        product, moved = round_up(inner * taps, tile.rows) * outer * n, (2 * inner * taps + outer) * n
    else:
        product, moved = round_up(outer, tile.rows) * round_up(inner * taps, tile.columns) * n, (2 * inner * taps + outer) * n
    return shape.groups * (2 * product / PRODUCT_SHARE + PER_ELEMENT * moved)


def plan_columns_forward(
    dtype: str, epilogue: Epilogue | None, shape: ConvShape, x: Word, w: Word, y: Word, operands: Sequence[Word], machine: Machine
) -> list[KernelCall]:
    """y = epilogue(conv(x, w)); words as those of `plan_conv_forward`."""
    outer, inner, taps, n = _sizes(shape)
    columns, call = _spread(dtype, _source_table(shape), shape.channels, shape, x, shape.size)
    sums = TempBuffer((shape.out_channels * n + 64) * itemsize(dtype))
    k = inner * taps
    product = plan_gemm(
        GemmSpec(dtype), outer, n, k, Matrix(w, k, 1, (outer * k,)), Matrix(columns, n, 1, (k * n,)), Matrix(sums, n, 1, (outer * n,)), (),
        (shape.groups,), machine,
    )  # fmt: skip
    return [call, *product, _gather(dtype, epilogue, sums, n, None, shape.out_channels, shape.batch, shape.out, y, operands, machine)]


def plan_columns_input(
    dtype: str, epilogue: Epilogue | None, shape: ConvShape, dy: Word, w: Word, dx: Word, operands: Sequence[Word], machine: Machine
) -> list[KernelCall]:
    """dx = epilogue(gradient of the input); words as those of `plan_conv_backward_input`."""
    outer, inner, taps, n = _sizes(shape)
    turned, call = _spread(dtype, _result_table(shape), shape.out_channels, shape, dy, shape.out)
    k = inner * taps
    sums = TempBuffer(shape.groups * k * n * itemsize(dtype))
    product = plan_gemm(
        GemmSpec(dtype), k, n, outer, Matrix(w, 1, k, (outer * k,)), Matrix(turned, n, 1, (outer * n,)), Matrix(sums, n, 1, (k * n,)), (),
        (shape.groups,), machine,
    )  # fmt: skip
    table = _summand_table(shape)
    return [call, *product, _gather(dtype, epilogue, sums, taps * n, table, shape.channels, shape.batch, shape.size, dx, operands, machine)]


def plan_columns_weight(dtype: str, shape: ConvShape, x: Word, dy: Word, dw: Word, machine: Machine) -> list[KernelCall]:
    """dw = gradient of the weights; words as those of `plan_conv_backward_weight`."""
    outer, inner, taps, n = _sizes(shape)
    columns, first = _spread(dtype, _source_table(shape), shape.channels, shape, x, shape.size)
    turned, second = _spread(dtype, _result_table(shape), shape.out_channels, shape, dy, shape.out)
    k = inner * taps
    product = plan_gemm(
        GemmSpec(dtype), outer, k, n, Matrix(turned, n, 1, (outer * n,)), Matrix(columns, 1, n, (k * n,)), Matrix(dw, k, 1, (outer * k,)),
        (), (shape.groups,), machine,
    )  # fmt: skip
    return [first, second, *product]


def _sizes(shape: ConvShape) -> tuple[int, int, int, int]:
    """(result channels, source channels) of a group, taps, columns."""
    return shape.out_channels // shape.groups, shape.channels // shape.groups, int(np.prod(shape.kernel)), positions_of(shape)


def _spread(
    dtype: str, table: np.ndarray, channels: int, shape: ConvShape, src: Word, plane: tuple[int, ...]
) -> tuple[TempBuffer, KernelCall]:
    size, count = itemsize(dtype), table.size
    to = TempBuffer(channels * count * size)
    words = SPREAD_WORDS.fill(dst=to, src=src, src_channel=int(np.prod(plane)), table=ConstBuffer(table.tobytes()), count=count)
    moved = channels * (count + shape.batch * int(np.prod(plane))) * size
    return to, KernelCall(spread_kernel(dtype), words, channels, 1 + 4096 // count, 64, 0, moved)


def _gather(
    dtype: str, epilogue: Epilogue | None, sums: Word, step: int, table: np.ndarray | None, channels: int, images: int,
    size: tuple[int, ...], result: Word, operands: Sequence[Word], machine: Machine,
) -> KernelCall:  # fmt: skip
    tail, plane = epilogue or identity(dtype), int(np.prod(size))
    dense_at = 64
    stage_at = round_up(dense_at + (images * plane + 64) * itemsize(dtype), 64)
    pointers_at = stage_at + stage_bytes(tail)
    words = GATHER_WORDS.fill(
        src=sums, src_channel=step, table=ConstBuffer(table.tobytes() if table is not None else b"\0" * 8),
        summands=0 if table is None else len(table), images=images, plane=plane, result=result, channels=channels, zero_at=0,
        dense_at=dense_at, stage_at=stage_at, pointers_at=pointers_at,
    )  # fmt: skip
    for operand, kind in zip(operands, tail.operands, strict=True):
        spans, moves = kind.col == "unit", kind.row == "stride"
        words += [operand, (plane if spans else 1) * moves, channels * plane * (spans and moves)]
    moved = channels * (step + images * plane * (1 + len(operands))) * itemsize(dtype)
    grain = 1 + 4096 // (images * plane)
    return KernelCall(gather_kernel(dtype, tail, machine), words, channels, grain, pointers_at + 16 * len(operands) + 64, 0, moved)


def _taps(shape: ConvShape) -> tuple[np.ndarray, np.ndarray]:
    """Row and column in the source of [tap row, tap column, result row, result column], before they are looked at for being inside."""
    (_, kh, kw), (_, sh, sw), (_, dh, dw) = three(shape.kernel, 1), three(shape.stride, 1), three(shape.dilation, 1)
    (_, ph, pw), (_, oh, ow) = three(shape.padding, 0), three(shape.out, 1)
    rows = np.arange(oh) * sh - ph + np.arange(kh)[:, None] * dh
    columns = np.arange(ow) * sw - pw + np.arange(kw)[:, None] * dw
    full = (kh, kw, oh, ow)
    return np.broadcast_to(rows[:, None, :, None], full), np.broadcast_to(columns[None, :, None, :], full)


def _filled_up(table: np.ndarray, width: int) -> np.ndarray:
    out = np.full((table.shape[0], width), -1, np.int32)
    out[:, : table.shape[1]] = table
    return out


def _source_table(shape: ConvShape) -> np.ndarray:
    """[tap, column]: offset from the first image's plane of a channel to the source of a position of an image."""
    _, h, w = three(shape.size, 1)
    rows, columns = _taps(shape)
    inside = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
    offsets = (rows * w + columns)[:, :, None] + (np.arange(shape.batch) * (shape.channels * h * w))[:, None, None]
    offsets = np.where(inside[:, :, None], offsets, -1)
    return _filled_up(offsets.reshape(rows.shape[0] * rows.shape[1], -1), positions_of(shape))


def _result_table(shape: ConvShape) -> np.ndarray:
    """[1, column]: offset from the first image's plane of a channel to a position of an image, of what is laid out as the result."""
    plane = int(np.prod(shape.out))
    offsets = np.arange(shape.batch)[:, None] * (shape.out_channels * plane) + np.arange(plane)
    return _filled_up(offsets.reshape(1, -1), positions_of(shape))


def _summand_table(shape: ConvShape) -> np.ndarray:
    """[summand, image, position of the source]: offsets among the products of a channel, [tap, column], of what reaches that position."""
    _, h, w = three(shape.size, 1)
    plane = int(np.prod(shape.out))
    rows, columns = (a.reshape(-1, plane) for a in _taps(shape))
    inside = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
    tap, position = np.nonzero(inside)
    to = rows[tap, position] * w + columns[tap, position]
    order = np.argsort(to, kind="stable")  # by place, and there by tap
    tap, position, to = tap[order], position[order], to[order]
    rank = np.arange(len(to)) - np.searchsorted(to, to)
    table = np.full((int(rank.max(initial=0)) + 1, shape.batch, h * w), -1, np.int32)
    images = np.arange(shape.batch)[:, None]
    table[rank, images, to] = tap * positions_of(shape) + position + images * plane
    return table
