"""Plans of depthwise convolutions (see `depthwise.py`): forward and both gradients."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from monograph.targets.llvm.kernels.call import KernelCall, Machine, Word, round_up
from monograph.targets.llvm.kernels.conv_geometry import ConvShape
from monograph.targets.llvm.kernels.depthwise import (
    PLANE_WORDS,
    WEIGHT_WORDS,
    DepthwiseKey,
    depthwise_kernel,
    depthwise_weight_kernel,
)
from monograph.targets.llvm.kernels.element import itemsize
from monograph.targets.llvm.kernels.epilogue import Epilogue, identity, stage_bytes
from monograph.targets.llvm.kernels.micro import Tile, tile_for

FLOATS = ("float32", "float64", "float16", "bfloat16")
MOST_TAPS = 49
UNIT_FLOPS = 200_000  # a unit this large hides the cost of handing it to a thread


def fits_depthwise(dtype: str, shape: ConvShape, machine: Machine) -> bool:
    """Whether these kernels take a convolution: one channel a group, two dims, strides of 1 or 2, planes that a cache holds."""
    if not (shape.groups == shape.channels == shape.out_channels and shape.groups > 1 and len(shape.kernel) == 2 and dtype in FLOATS):
        return False
    if set(shape.dilation) != {1} or shape.stride not in ((1, 1), (2, 2)) or prod(shape.kernel) > MOST_TAPS:
        return False
    if any(p >= k for p, k in zip(shape.padding, shape.kernel, strict=True)):
        return False
    dims = zip(shape.out, shape.stride, shape.kernel, shape.size, shape.padding, strict=True)
    exact = all((o - 1) * s + k <= n + 2 * p for o, s, k, n, p in dims)
    around = prod(n + 2 * k + 16 for n, k in zip(shape.size, shape.kernel, strict=True))
    return exact and 2 * 8 * around <= 4 * machine.l2_bytes


def _key(dtype: str, shape: ConvShape, stride: int, spread: int, out_w: int, machine: Machine) -> DepthwiseKey:
    wide = tile_for(dtype, machine)
    tile = Tile(wide.ty, 1, 1, wide.lanes)
    rows, vectors = (7, 1) if out_w <= tile.lanes else (4, 2)
    return DepthwiseKey(dtype, shape.kernel[0], shape.kernel[1], stride, spread, tile, rows, vectors)


def _copy(key: DepthwiseKey, size: tuple[int, ...], out: tuple[int, ...], padding: tuple[int, ...]) -> tuple[dict[str, int], int]:
    """Words that describe the copy of a plane, and its bytes."""
    lanes = key.tile.lanes
    reach = round_up(out[1], key.block_vectors * lanes) + (key.columns - 1) // key.stride + 1
    width = max(reach, (padding[1] + key.spread * size[1]) // key.stride + 1) + 2 * key.spread * lanes
    pitch = round_up(width * key.stride, lanes)
    rows = max((round_up(out[0], key.block_rows) - 1) * key.stride + key.rows, padding[0] + (size[0] - 1) * key.spread + 1)
    elements = round_up(rows * pitch + 2 * lanes, lanes)
    words = {
        "size_h": size[0], "size_w": size[1], "pad_h": padding[0], "pad_w": padding[1], "pitch": pitch,
        "odd_at": pitch // 2 // lanes * lanes, "copy_elements": elements,
    }  # fmt: skip
    return words, elements * key.tile.item


def plan_depthwise(
    dtype: str, epilogue: Epilogue | None, shape: ConvShape, backward: bool, source: Word, w: Word, result: Word,
    operands: Sequence[Word], machine: Machine,
) -> list[KernelCall]:  # fmt: skip
    """The forward convolution or the gradient of its input; words as those of `plan_conv_forward` and `plan_conv_backward_input`."""
    tail, stride, taps = epilogue or identity(dtype), shape.stride[0], prod(shape.kernel)
    size, out = (shape.out, shape.size) if backward else (shape.size, shape.out)
    padding = tuple(k - 1 - p for k, p in zip(shape.kernel, shape.padding, strict=True)) if backward else shape.padding
    key = _key(dtype, shape, 1 if backward else stride, stride if backward else 1, out[1], machine)
    copy, copy_bytes = _copy(key, size, out, padding)
    planes, lanes = shape.batch * shape.channels, key.tile.lanes
    weights_at = round_up(copy_bytes, 64)
    dense_at = round_up(weights_at + taps * lanes * key.tile.item, 64)
    dense = (round_up(out[0], key.block_rows) + 1) * out[1] + key.block_vectors * lanes * 2
    stage_at = round_up(dense_at + dense * key.tile.item, 64)
    pointers_at = stage_at + stage_bytes(tail)
    work = 2 * taps * prod(out)
    block = max(1, min(-(-planes // (4 * machine.threads)), 8 * UNIT_FLOPS // work))
    words = PLANE_WORDS.fill(
        source=source, **copy, weights=w, first_tap=taps - 1 if backward else 0, tap_step=-1 if backward else 1, channels=shape.channels,
        planes=planes, block=block, result=result, out_h=out[0], out_w=out[1], weights_at=weights_at, dense_at=dense_at, stage_at=stage_at,
        pointers_at=pointers_at,
    )  # fmt: skip
    for operand, kind in zip(operands, tail.operands, strict=True):
        spans, moves = kind.col == "unit", kind.row == "stride"
        words += [operand, (prod(out) if spans else 1) * moves, shape.channels * prod(out) * (spans and moves)]
    moved = planes * (prod(size) * itemsize(dtype) + prod(out) * itemsize(tail.out_dtype) * (1 + len(operands)))
    units, scratch = -(-planes // block), pointers_at + 16 * len(operands) + 64
    return [KernelCall(depthwise_kernel(key, tail), words, units, max(1, UNIT_FLOPS // (block * work)), scratch, shape.flops, moved)]


def plan_depthwise_weight(dtype: str, shape: ConvShape, x: Word, dy: Word, dw: Word, machine: Machine) -> list[KernelCall]:
    """The gradient of the weights; words as those of `plan_conv_backward_weight`."""
    key = _key(dtype, shape, shape.stride[0], 1, shape.out[1], machine)
    copy, copy_bytes = _copy(key, shape.size, shape.out, shape.padding)
    lanes, item = key.tile.lanes, key.tile.item
    dy_at, dy_pitch = round_up(copy_bytes, 64), round_up(shape.out[1], lanes)
    sums_at = round_up(dy_at + (shape.out[0] * dy_pitch + lanes) * item, 64)
    words = WEIGHT_WORDS.fill(
        source=x, **copy, dy=dy, out_h=shape.out[0], out_w=shape.out[1], channels=shape.channels, images=shape.batch, dw=dw, dy_at=dy_at,
        dy_pitch=dy_pitch, sums_at=sums_at,
    )  # fmt: skip
    moved = shape.batch * shape.channels * (prod(shape.size) + prod(shape.out)) * itemsize(dtype)
    grain = max(1, UNIT_FLOPS * shape.channels // max(1, shape.flops))
    scratch = sums_at + prod(shape.kernel) * lanes * item + 64
    return [KernelCall(depthwise_weight_kernel(key), words, shape.channels, grain, scratch, shape.flops, moved)]
