"""Convolutions of small planes as one matrix product: all images side by side, the source spread out into columns (im2col).

Where a plane has few positions, a kernel that works image by image leaves most of a register tile empty. Here the positions of all images
are the columns of one matrix, whose rows are pairs of a channel and a tap. Two kernels surround the product: one copies channels by a table
of offsets, one adds up by a table what belongs to the same place (for the gradient of the input), puts the images in order and applies
the tail. The tables are the same for all channels; an offset of -1 stands for zero.
"""

from __future__ import annotations

from monograph.targets.llvm.ir import Module, Val
from monograph.targets.llvm.kernels.call import KernelSource, Layout, Machine
from monograph.targets.llvm.kernels.element import COMPUTE, STORAGE, at
from monograph.targets.llvm.kernels.epilogue import Epilogue, finish_rows
from monograph.targets.llvm.kernels.micro import Tile, tile_for

SPREAD_WORDS = Layout("dst*", "src*", "src_channel", "table*", "count")
GATHER_WORDS = Layout(
    "src*", "src_channel", "table*", "summands", "images", "plane", "result*", "channels", "zero_at", "dense_at", "stage_at", "pointers_at"
)
GATHER_OPERAND_WORDS = 3  # pointer, channel stride, image stride: for each operand of the tail, after GATHER_WORDS


def spread_kernel(dtype: str) -> KernelSource:
    """dst[c, i] = src[c, table[i]] for i < count; a unit is a channel."""
    return KernelSource.make("conv_spread", (dtype,), lambda module, name: _emit_spread(module, name, STORAGE[dtype]))


def gather_kernel(dtype: str, tail: Epilogue, machine: Machine) -> KernelSource:
    """result[n, c, i] = tail(sum over j of src[c, table[j, n, i]]), or of src[c, n, i] where `summands` is 0; a unit is a channel."""
    tile = tile_for(dtype, machine)
    return KernelSource.make("conv_gather", (dtype, tail, tile), lambda module, name: _emit_gather(module, name, dtype, tail, tile))


def _emit_spread(module: Module, name: str, ty: str) -> None:
    f = module.function(name)
    w = SPREAD_WORDS.read(f, f.param("args"))
    zero = f.param("scratch")
    f.store(f.const(0, ty), zero)

    def unit(c: Val) -> None:
        src, dst = f.gep(w["src"], f.mul(c, w["src_channel"]), ty), f.gep(w["dst"], f.mul(c, w["count"]), ty)

        def four(i: Val, count: int) -> None:
            for k in range(count):
                j = f.add(i, k)
                offset = f.load("i32", f.gep(w["table"], j, "i32"))
                place = f.select(f.icmp("slt", offset, 0), zero, f.gep(src, f.cast("sext", offset, "i64"), ty))
                f.store(f.load(ty, place), f.gep(dst, j, ty))

        whole = f.binary("and", w["count"], f.i64(-4))
        f.loop(0, whole, 4, (), lambda i: four(i, 4))
        f.loop(whole, w["count"], 1, (), lambda i: four(i, 1))

    f.loop(f.param("begin"), f.param("end"), 1, (), unit)
    f.ret()


def _emit_gather(module: Module, name: str, dtype: str, tail: Epilogue, tile: Tile) -> None:
    finish = finish_rows(module, dtype, tail, tile.lanes)
    f = module.function(name)
    args, scratch = f.param("args"), f.param("scratch")
    w = GATHER_WORDS.read(f, args)
    ty = COMPUTE[dtype]
    zero, dense, pointers = (f.gep(scratch, w[x]) for x in ("zero_at", "dense_at", "pointers_at"))
    lds = f.gep(pointers, len(tail.operands), "i64")
    f.store(f.const(0, ty), zero)
    count = f.mul(w["images"], w["plane"])

    def unit(c: Val) -> None:
        src = f.gep(w["src"], f.mul(c, w["src_channel"]), ty)

        def element(i: Val) -> None:
            def add(j: Val, total: Val) -> list[Val]:
                offset = f.load("i32", f.gep(w["table"], f.add(f.mul(j, count), i), "i32"))
                place = f.select(f.icmp("slt", offset, 0), zero, f.gep(src, f.cast("sext", offset, "i64"), ty))
                return [f.fadd(total, f.load(ty, place))]

            (total,) = f.loop(0, w["summands"], 1, [f.const(0, ty)], add)
            f.store(total, f.gep(dense, i, ty))

        alone = f.icmp("eq", w["summands"], 0)
        f.loop(0, f.select(alone, f.i64(0), count), 1, (), element)
        for i, operand in enumerate(tail.operands):
            first = GATHER_WORDS.size + GATHER_OPERAND_WORDS * i
            base, across, image = f.word(args, first, "ptr"), f.word(args, first + 1), f.word(args, first + 2)
            f.store(at(f, base, f.mul(c, across), operand.dtype), f.gep(pointers, i, "ptr"))
            f.store(image, f.gep(lds, i, "i64"))
        result = at(f, w["result"], f.mul(c, w["plane"]), tail.out_dtype)
        step = f.mul(w["channels"], w["plane"])
        stage = f.gep(scratch, w["stage_at"])
        source = f.select(alone, src, dense)
        f.call("void", finish, source, w["plane"], result, step, w["images"], w["plane"], pointers, lds, stage)

    f.loop(f.param("begin"), f.param("end"), 1, (), unit)
    f.ret()
