"""The emitter of fused loop kernels: one `LoopKernel` becomes one LLVM function with the kernel signature.

    module = Module()
    emit_loop_kernel(module, "k", spec, vector_bytes=32)
    text = module.text()

Maps (no reduced dims) are written in `loop_maps`, reductions vectorised along the last reduced dim in `loop_rows`, along the last kept dim
in `loop_columns`. Every element goes through the same operations whatever the vector width and the position, so results do not depend
on how the units were divided among threads, nor on what else was fused into the kernel.
"""

from __future__ import annotations

from dataclasses import replace

from monograph.targets.llvm.ir import KERNEL_PARAMS, Fn, Module, Val
from monograph.targets.llvm.loop_access import STREAM_ALIGNMENT
from monograph.targets.llvm.loop_body import KernelWriter
from monograph.targets.llvm.loop_columns import column_reduction
from monograph.targets.llvm.loop_maps import map_kernel
from monograph.targets.llvm.loop_rows import row_reduction
from monograph.targets.llvm.loop_spec import ELEMENT_BYTES, LoopKernel, arg_words, operand_word, scratch_bytes, streamed, units

__all__ = ["arg_words", "emit_loop_kernel", "scratch_bytes", "units"]


def emit_loop_kernel(module: Module, name: str, spec: LoopKernel, vector_bytes: int = 32) -> Fn:
    """Adds the kernel to `module`. Raises ValueError where the spec contradicts itself."""
    if not spec.stream:
        return _emit(module, name, spec, vector_bytes)
    past = _emit(module, f"{name}_past", spec, vector_bytes, "internal")
    into = _emit(module, f"{name}_into", replace(spec, stream=False), vector_bytes, "internal")
    f = module.function(name)

    def run(kernel: Fn) -> None:
        f.call("void", kernel.name, *(f.param(p) for _, p in KERNEL_PARAMS))

    f.if_(_lies_evenly(f, spec), lambda: run(past), lambda: run(into))
    f.ret()
    return f


def _lies_evenly(f: Fn, spec: LoopKernel) -> Val:
    """Whether all that is written begins, in each row, where a register can be stored past the caches."""
    args, dims, uneven = f.param("args"), spec.kept + spec.reduced, f.i64(0)
    along = spec.kept - 1 if spec.vector == "kept" else dims - 1
    for o in streamed(spec):
        at = operand_word(spec, o)
        steps = [f.word(args, at), *(f.word(args, at + 1 + d) for d in range(dims) if d != along)]
        if dims == 1:
            steps.append(f.mul(f.param("begin"), ELEMENT_BYTES[spec.operands[o].dtype]))
        for step in steps:
            uneven = f.binary("or", uneven, step)
    return f.icmp("eq", f.binary("and", uneven, f.i64(STREAM_ALIGNMENT - 1)), 0)


def _emit(module: Module, name: str, spec: LoopKernel, vector_bytes: int, linkage: str = "") -> Fn:
    f = module.function(name, linkage=linkage)
    w = KernelWriter(f, spec, vector_bytes)
    if not spec.reduced:
        map_kernel(w)
    elif spec.columns:
        column_reduction(w)
    else:
        row_reduction(w)
    if spec.stream:
        f.line("fence seq_cst")  # such stores are not ordered with those that say that the kernel is done
    f.ret()
    return f
