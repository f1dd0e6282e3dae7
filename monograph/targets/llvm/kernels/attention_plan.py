"""From sizes and strides to the one kernel call of an attention, or of its gradient."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from math import prod

from monograph.targets.llvm.kernels.attention import (
    BATCH_DIMS,
    OPERANDS,
    PLACES,
    WORDS,
    AttentionSpec,
    backward_kernel,
    forward_kernel,
)
from monograph.targets.llvm.kernels.call import KernelCall, Machine, Word, round_up
from monograph.targets.llvm.kernels.gemm_plan import Matrix
from monograph.targets.llvm.kernels.micro import tile_for

UNIT_FLOPS = 400_000
LEAST_BLOCK, MOST_BLOCK = 4, 16  # row tiles in a block of queries of the backward pass


def plan_attention(
    spec: AttentionSpec,
    sizes: tuple[int, int, int, int],
    batch: Sequence[int],
    scale: float,
    operands: Mapping[str, Matrix],
    machine: Machine,
    *,
    backward: bool = False,
) -> KernelCall:
    """The call for `sizes` = (queries, keys, size, size of values). `operands`: those of `attention.OPERANDS` that the kernel has, with
    strides for all of `batch` (at most three dims). Results have adjacent columns.
    """
    queries, keys, size, v_size = sizes
    tile = tile_for(spec.dtype, machine)
    item, columns = tile.item, tile.columns
    batches = prod(batch)
    tiles = -(-queries // tile.rows)
    ld, ldk, ldv = (round_up(n, columns) for n in (keys, size, v_size))
    products = 2 * batches * queries * keys * (3 * size + 2 * v_size if backward else size + v_size)
    flops = products // 2 if spec.causal else products
    groups = 1
    block = tile.rows
    if backward:  # how many queries are taken at once depends on sizes and caches alone: it is the order of sums
        fitting = machine.l2_bytes // 3 // (2 * tile.rows * ld * item)
        block = tile.rows * max(1, min(tiles, MOST_BLOCK, max(LEAST_BLOCK, fitting)))
    elif machine.threads > 1 and batches < 4 * machine.threads:
        groups = max(1, min(tiles, -(-4 * machine.threads // max(1, batches)), flops // UNIT_FLOPS))
    key_rows = round_up(keys, tile.rows)
    lengths = {
        "keys_at": ld * size,
        "values_at": ld * v_size if backward else keys * ldv,
        "scores_at": block * ld,
        "out_at": tile.rows * (max(ldk, ldv) if backward else ldv),
        "share_at": tile.rows,
    }
    if backward:
        lengths |= {
            "g_scores_at": block * ld, "k_rows_at": keys * ldk, "q_rows_at": block * ldk, "g_rows_at": block * ldv,
            "gk_at": key_rows * ldk, "gv_at": key_rows * ldv,
        }  # fmt: skip
    places: dict[str, int] = {}
    scratch = 0
    for name in PLACES:
        places[name] = scratch
        scratch += round_up(lengths.get(name, 0) * item, 64)
    words: dict[str, Word] = dict(places)
    for x in OPERANDS:
        m = operands.get(x, Matrix(0, 0, 0))
        strides = (0,) * (BATCH_DIMS - len(m.batch)) + tuple(m.batch)
        words |= {x: m.ref, f"{x}_row": m.row, f"{x}_col": m.col, **{f"{x}_b{d}": s for d, s in enumerate(strides)}}
    lengths_of_batch = (1,) * (BATCH_DIMS - len(batch)) + tuple(batch)
    words |= {
        "queries": queries, "keys": keys, "size": size, "v_size": v_size, "scale": _bits(scale), "batch1": lengths_of_batch[1],
        "batch2": lengths_of_batch[2], "groups": groups, "block": block,
    }  # fmt: skip
    kernel = backward_kernel(spec, machine) if backward else forward_kernel(spec, machine)
    moved = batches * ((2 if backward else 1) * (queries * (size + v_size) + keys * (size + v_size))) * item
    units = batches * groups
    return KernelCall(kernel, WORDS.fill(**words), units, max(1, UNIT_FLOPS * units // max(1, flops)), scratch, flops, moved)


def _bits(value: float) -> int:
    return int(struct.unpack("<q", struct.pack("<d", value))[0])
