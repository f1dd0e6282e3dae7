"""From sizes and strides to kernel calls: which kernel, what is packed, how the work is cut into units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from monograph.targets.llvm.kernels.call import KernelCall, Machine, TempBuffer, Word, round_up
from monograph.targets.llvm.kernels.element import itemsize, narrow
from monograph.targets.llvm.kernels.epilogue import stage_bytes
from monograph.targets.llvm.kernels.gemm import (
    B_IN_PLACE,
    B_PACK_HERE,
    B_PACKED,
    BATCH_DIMS,
    GEMM_WORDS,
    PACK_WORDS,
    GemmSpec,
    gemm_kernel,
    pack_kernel,
)  # fmt: skip
from monograph.targets.llvm.kernels.gemv import COLUMN_GROUP, gemv_kernel
from monograph.targets.llvm.kernels.micro import Tile, tile_for

UNIT_FLOPS = 200_000  # a unit this large hides the cost of handing it to a thread


@dataclass(frozen=True, slots=True)
class Matrix:
    """Where a matrix (a batch of them) lies: address, strides in elements of row, column and each batch dim (0 broadcasts)."""

    ref: Word
    row: int
    col: int
    batch: tuple[int, ...] = ()


def plan_gemm(
    spec: GemmSpec,
    m: int,
    n: int,
    k: int,
    a: Matrix,
    b: Matrix,
    c: Matrix,
    operands: Sequence[Matrix] = (),
    batch: Sequence[int] = (),
    machine: Machine | None = None,
    *,
    repeated: bool = False,
) -> list[KernelCall]:
    """Calls that compute C[batch, m, n] = epilogue(A[batch, m, k] @ B[batch, k, n]).

    A and B may have any strides. C must have `col` 1. `operands` are the epilogue's, in order. Adding to what is in C is an
    epilogue with C as an operand as well. `repeated`: B is packed by a call of its own, which the caller can leave out where another
    product has packed the same matrix.
    """
    machine = machine or Machine()
    batch, (a, b, c, *operands) = _merge_batch(tuple(batch), [a, b, c, *operands])
    if not m or not n or not prod(batch):
        return []
    if len(batch) > BATCH_DIMS:
        raise ValueError(
            f"a batch of {len(batch)} dims that cannot be merged, sizes {batch}: the kernel takes {BATCH_DIMS}; make an operand contiguous"
        )
    if len(batch) == 1 and _rows_continue(spec, m, a, b, c, operands):
        m, batch = m * batch[0], ()
        a, b, c, *operands = (replace(x, batch=()) for x in (a, b, c, *operands))
    if n == 1 and m > 1 and _can_swap(spec, a, c, operands):
        spec, m, n = _swapped(spec), 1, m
        a, b, c, *operands = (Matrix(x.ref, x.col, x.row, x.batch) for x in (b, a, c, *operands))
    unit = "n" if b.col == 1 or n == 1 else "k" if b.row == 1 or k == 1 else "none"
    if m == 1 and unit != "none":
        return [_plan_gemv(spec, n, k, a, b, c, operands, batch, unit, machine)]
    tile = tile_for(spec.dtype, machine)
    k_block, k_blocks = cut_k(k, tile, machine)
    tiles, panels, batches = -(-m // tile.rows), -(-n // tile.columns), prod(batch)
    row_units, column_units = cut_work(tiles, panels, batches, k, k_block, tile, machine)
    shared = (row_units > 1 or repeated) and not any(b.batch)
    calls: list[KernelCall] = []
    work = 2 * m * n * k * batches
    if shared:
        packed = TempBuffer(k * panels * tile.columns * tile.item)
        words = PACK_WORDS.fill(
            dst=packed, src=b.ref, rsb=b.row, csb=b.col, n=n, k=k, k_block=k_block, panels=panels, batch_stride=0, batch_bytes=0,
        )  # fmt: skip
        source = pack_kernel(spec.dtype, unit, machine)
        moved = k * n * (itemsize(spec.dtype) + tile.item)
        calls.append(KernelCall(source, words, panels * -(-k // k_block), max(1, 16384 // (k_block * tile.columns)), 0, 0, moved))
    b_mode = B_PACKED if shared else B_PACK_HERE
    unit_tiles, unit_panels = -(-tiles // row_units), -(-panels // column_units)
    pack_a = _pack_a(spec, a, unit_tiles, unit_panels, k_block, tile)
    panel_at = round_up(unit_tiles * tile.rows * k_block * tile.item, 64) if pack_a else 0
    partial_at = panel_at + round_up(k_block * tile.columns * tile.item, 64)
    partial_ld = unit_panels * tile.columns
    stage_at = partial_at + round_up(unit_tiles * tile.rows * partial_ld * tile.item, 64)
    pointers_at = stage_at + stage_bytes(spec.tail)
    words = GEMM_WORDS.fill(
        a=a.ref, a_tile=tile.rows * a.row, rsa=a.row, csa=a.col, b=packed if shared else b.ref, rsb=b.row, csb=b.col, b_mode=b_mode,
        c=c.ref, ldc=c.row, m=m, n=n, k=k,
        k_block=k_block, k_blocks=k_blocks, row_units=row_units, column_units=column_units, pack_a=int(pack_a), panel_at=panel_at,
        partial_at=partial_at, partial_ld=partial_ld, stage_at=stage_at, pointers_at=pointers_at, **_batch_words(batch, a, b, c),
    ) + _operand_words(operands)  # fmt: skip
    units = row_units * column_units * batches
    size = itemsize(spec.dtype)
    moved = batches * ((m * k + (0 if shared else k * n)) * size + m * n * itemsize(spec.tail.out_dtype))
    grain = max(1, UNIT_FLOPS * units // max(1, work))
    scratch = pointers_at + 16 * len(spec.tail.operands) + 64
    return [*calls, KernelCall(gemm_kernel(spec, unit, machine), words, units, grain, scratch, work, moved)]


def _merge_batch(batch: tuple[int, ...], views: list[Matrix]) -> tuple[tuple[int, ...], list[Matrix]]:
    """Drops batch dims of size 1 and joins neighbours that every view walks through evenly."""
    views = [replace(v, batch=v.batch or (0,) * len(batch)) for v in views]
    dims = [d for d, size in enumerate(batch) if size != 1]
    sizes: list[int] = []
    strides: list[list[int]] = [[] for _ in views]
    for d in dims:
        step = [v.batch[d] for v in views]
        if sizes and all(s[-1] == t * batch[d] for s, t in zip(strides, step, strict=True)):
            sizes[-1] *= batch[d]
            for s, t in zip(strides, step, strict=True):
                s[-1] = t
        else:
            sizes.append(batch[d])
            for s, t in zip(strides, step, strict=True):
                s.append(t)
    return tuple(sizes), [replace(v, batch=tuple(s)) for v, s in zip(views, strides, strict=True)]


def _rows_continue(spec: GemmSpec, m: int, a: Matrix, b: Matrix, c: Matrix, operands: Sequence[Matrix]) -> bool:
    """Whether one batch dim can be read as more rows: B is the same for all, everything else goes on with its row stride."""
    if b.batch[0] or a.batch[0] != m * a.row or c.batch[0] != m * c.row:
        return False
    kinds = spec.tail.operands
    return all(v.batch[0] == (m * v.row if o.row == "stride" else 0) for v, o in zip(operands, kinds, strict=True))


def _can_swap(spec: GemmSpec, a: Matrix, c: Matrix, operands: Sequence[Matrix]) -> bool:
    """Whether a matrix times a column can be seen as a row times the transposed matrix."""
    moving = (o.row == "zero" or v.row == 1 for v, o in zip(operands, spec.tail.operands, strict=True))
    return c.row == 1 and 1 in (a.row, a.col) and all(moving)


def _swapped(spec: GemmSpec) -> GemmSpec:
    """The spec of the transposed product of one column."""
    if spec.epilogue is None:
        return spec
    turned = tuple(replace(o, row="zero", col="unit" if o.row == "stride" else "zero") for o in spec.epilogue.operands)
    return replace(spec, epilogue=replace(spec.epilogue, operands=turned))


def _plan_gemv(
    spec: GemmSpec,
    n: int,
    k: int,
    a: Matrix,
    b: Matrix,
    c: Matrix,
    operands: Sequence[Matrix],
    batch: tuple[int, ...],
    unit: str,
    machine: Machine,
) -> KernelCall:
    """One row: blocks of columns that leave room for the row of A and the results in the first-level cache."""
    tile = tile_for(spec.dtype, machine, 1)
    batches, groups = prod(batch), -(-n // COLUMN_GROUP)
    most = max(1, machine.l1_bytes // 2 // tile.item // COLUMN_GROUP)
    wanted = max(1, min(2 * machine.threads if machine.threads > 1 else 1, n * k * batches // 32768) // batches)
    column_units = min(groups, max(-(-groups // most), wanted))
    partial_at = round_up(k * tile.item, 64)
    stage_at = partial_at + round_up((-(-groups // column_units) * COLUMN_GROUP + tile.lanes) * tile.item, 64)
    pointers_at = stage_at + stage_bytes(spec.tail)
    words = GEMM_WORDS.fill(
        a=a.ref, a_tile=a.row, rsa=a.row, csa=a.col, b=b.ref, rsb=b.row, csb=b.col, b_mode=B_IN_PLACE, c=c.ref, ldc=c.row, m=1, n=n,
        k=k, k_block=k, k_blocks=1,
        row_units=1, column_units=column_units, pack_a=0, panel_at=0, partial_at=partial_at, partial_ld=0, stage_at=stage_at,
        pointers_at=pointers_at, **_batch_words(batch, a, b, c),
    ) + _operand_words(operands)  # fmt: skip
    units = column_units * batches
    moved = batches * (n * k + n + k) * itemsize(spec.dtype)
    scratch = pointers_at + 16 * len(operands) + 64
    return KernelCall(
        gemv_kernel(spec, unit, machine), words, units, max(1, 65536 * units // max(1, moved)), scratch, 2 * n * k * batches, moved
    )


def _batch_words(batch: tuple[int, ...], a: Matrix, b: Matrix, c: Matrix) -> dict[str, int]:
    """Sizes and strides of the batch dims, aligned to the right."""
    sizes = (1,) * (BATCH_DIMS - len(batch)) + batch
    strides = {f"{x}{d}": s for x, v in zip("abc", (a, b, c), strict=True) for d, s in enumerate(_aligned(v.batch))}
    return {"batch1": sizes[1], "batch2": sizes[2], **strides}


def _operand_words(operands: Sequence[Matrix]) -> list[Word]:
    words: list[Word] = []
    for operand in operands:
        words += [operand.ref, operand.row, *_aligned(operand.batch)]
    return words


def _aligned(strides: tuple[int, ...]) -> tuple[int, ...]:
    return (0,) * (BATCH_DIMS - len(strides)) + strides


def cut_k(k: int, tile: Tile, machine: Machine) -> tuple[int, int]:
    """(size, count) of the blocks of k: a panel of B and a tile of A together fill most of the first-level cache. A function of k only."""
    most = max(32, machine.l1_bytes // ((tile.rows + tile.columns) * tile.item) // 8 * 8)
    count = max(1, -(-k // most))
    size = max(8, round_up(-(-k // count), 8))
    return size, max(1, -(-k // size))


def cut_work(tiles: int, panels: int, batches: int, k: int, k_block: int, tile: Tile, machine: Machine) -> tuple[int, int]:
    """How many parts the row tiles and the panels are cut into."""
    block_tiles = max(4, machine.l2_bytes // 3 // (k_block * tile.rows * tile.item))
    block_panels = max(1, 4096 // tile.columns)
    row_units, column_units = -(-tiles // block_tiles), -(-panels // block_panels)
    work = 2 * tiles * tile.rows * panels * tile.columns * max(k, 1) * batches
    wanted = min(2 * machine.threads if machine.threads > 1 else 1, max(1, work // UNIT_FLOPS))
    units = row_units * column_units * batches
    if units >= wanted:  # few large units are dealt out evenly
        return (min(tiles, round_up(row_units, machine.threads)) if units < 16 * machine.threads else row_units), column_units
    missing = -(-wanted // batches)
    if panels >= missing and tiles < 16 * missing:
        return row_units, min(panels, -(-missing // row_units))
    return min(tiles, round_up(max(row_units, -(-missing // column_units)), machine.threads)), column_units


def _pack_a(spec: GemmSpec, a: Matrix, unit_tiles: int, unit_panels: int, k_block: int, tile: Tile) -> bool:
    """Packing pays where A is read often, and soon where every step of k is another cache line; narrow types must be converted."""
    if narrow(spec.dtype):
        return True
    return unit_panels >= (24 if a.col == 1 else 3)
