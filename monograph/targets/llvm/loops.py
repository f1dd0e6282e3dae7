"""The emitter of fused loop kernels: one `LoopKernel` becomes one LLVM function with the kernel signature.

    module = Module()
    emit_loop_kernel(module, "k", spec, vector_bytes=32)
    text = module.text()

Maps (no reduced dims) are written in `loop_maps`, reductions vectorised along the last reduced dim in `loop_rows`, along the last kept dim
in `loop_columns`. Every element goes through the same operations whatever the vector width and the position, so results do not depend
on how the units were divided among threads, nor on what else was fused into the kernel.
"""

from __future__ import annotations

from monograph.targets.llvm.ir import Fn, Module
from monograph.targets.llvm.loop_body import KernelWriter
from monograph.targets.llvm.loop_columns import column_reduction
from monograph.targets.llvm.loop_maps import map_kernel
from monograph.targets.llvm.loop_rows import row_reduction
from monograph.targets.llvm.loop_spec import LoopKernel, arg_words, scratch_bytes, units

__all__ = ["arg_words", "emit_loop_kernel", "scratch_bytes", "units"]


def emit_loop_kernel(module: Module, name: str, spec: LoopKernel, vector_bytes: int = 32) -> Fn:
    """Adds the kernel to `module`. Raises ValueError where the spec contradicts itself."""
    f = module.function(name)
    w = KernelWriter(f, spec, vector_bytes)
    if not spec.reduced:
        map_kernel(w)
    elif spec.columns:
        column_reduction(w)
    else:
        row_reduction(w)
    f.ret()
    return f
