"""What this machine can do at best, measured: the yardstick for every "share of peak" that is reported."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from monograph.runtime.buffers import Buffer
from monograph.runtime.program import Address, Program, Step
from monograph.runtime.threads import get_num_threads, setting
from monograph.targets.cpu.features import MIB, CpuFeatures, cpu_features
from monograph.targets.cpu.jit import jit
from monograph.targets.cpu.pool import native_entry
from monograph.targets.llvm.ir import STREAMED, Fn, Module, Val, vector

ACCUMULATORS = 12
FMA_ROUNDS = 4096
UNIT_BYTES = 64 * 1024
REPEATS = 5
SECONDS = 0.03


@dataclass(frozen=True)
class MachinePeak:
    """Measured limits of `threads` threads: float32 FMA rate (FLOP/s; of all and of one), bytes a second read, and moved by a copy."""

    flops: float
    thread_flops: float
    read_bw: float
    copy_bw: float
    threads: int


def fma_ir(cpu: CpuFeatures) -> str:
    """A kernel of independent multiply-add chains in registers: `FMA_ROUNDS * ACCUMULATORS * 2 * lanes` FLOPs a unit."""
    module = Module()
    f = module.function("measure_fma")
    ty = vector("float", cpu.lanes(4))
    scale, shift = f.const(0.999, ty), f.const(0.001, ty)

    def rounds(_: Val, *sums: Val) -> list[Val]:
        return f.loop(0, FMA_ROUNDS, 1, sums, lambda _, *s: [f.fma(x, scale, shift) for x in s])

    sums = f.loop(f.param("begin"), f.param("end"), 1, [f.const(float(i), ty) for i in range(ACCUMULATORS)], rounds)
    _keep_sum(f, sums)
    return module.text()


def read_ir(cpu: CpuFeatures) -> str:
    """A kernel that adds up UNIT_BYTES of the buffer in word 0 for each unit."""
    module = Module()
    f = module.function("measure_read")
    ty, width = vector("float", cpu.lanes(4)), cpu.vector_bytes
    base = f.word(f.param("args"), 0, "ptr")

    def add(at: Val, *sums: Val) -> list[Val]:
        return [f.fadd(s, f.load(ty, f.gep(base, f.add(at, i * width)), width)) for i, s in enumerate(sums)]

    first, last = f.mul(f.param("begin"), UNIT_BYTES), f.mul(f.param("end"), UNIT_BYTES)
    _keep_sum(f, f.loop(first, last, 8 * width, [f.const(0.0, ty)] * 8, add))
    return module.text()


def copy_ir(cpu: CpuFeatures) -> str:
    """A kernel that copies UNIT_BYTES from the buffer in word 0 to the one in word 1 for each unit, past the caches: no store has to
    read first what it overwrites."""
    module = Module()
    f = module.function("measure_copy")
    ty, width = vector("float", cpu.lanes(4)), cpu.vector_bytes
    source, target = f.word(f.param("args"), 0, "ptr"), f.word(f.param("args"), 1, "ptr")

    def move(at: Val) -> None:
        values = [f.load(ty, f.gep(source, f.add(at, i * width)), width) for i in range(4)]
        for i, value in enumerate(values):
            f.store(value, f.gep(target, f.add(at, i * width)), width, STREAMED)

    f.loop(f.mul(f.param("begin"), UNIT_BYTES), f.mul(f.param("end"), UNIT_BYTES), 4 * width, (), move)
    f.line("fence seq_cst")
    f.ret()
    return module.text()


def _keep_sum(f: Fn, sums: list[Val]) -> None:
    """Stores the sum, so that the work cannot be optimised away."""
    total = sums[0]
    for value in sums[1:]:
        total = f.fadd(total, value)
    f.store(total, f.param("scratch"), 64)
    f.ret()


def _best_seconds(program: Program, buffers: list[int], threads: int) -> float:
    before, setting.count = setting.count, threads
    try:
        times: list[float] = []
        # Long enough that other processes on the machine let go of the cores once.
        while len(times) < REPEATS or sum(times) < SECONDS:
            start = time.perf_counter()
            program.run(buffers)
            times.append(time.perf_counter() - start)
        return min(times)
    finally:
        setting.count = before


_measured: dict[int, MachinePeak] = {}


def machine_peak() -> MachinePeak:
    """The limits of this machine with `get_num_threads()` threads, measured once in about 0.2 s."""
    threads = get_num_threads()
    if threads not in _measured:
        _measured[threads] = _measure(threads)
    return _measured[threads]


def _measure(threads: int) -> MachinePeak:
    cpu, entry = cpu_features(), native_entry()
    kernels = jit().compile_many({"measure_fma": fma_ir(cpu), "measure_read": read_ir(cpu), "measure_copy": copy_ir(cpu)})

    flops_per_unit = 2 * FMA_ROUNDS * ACCUMULATORS * cpu.lanes(4)
    units = 48 * threads
    fma = Program(entry, [Step(kernels["measure_fma"], (), units, 4)], 0, scratch_bytes=64)
    one = Program(entry, [Step(kernels["measure_fma"], (), 48, 4)], 0, scratch_bytes=64)

    # Past the last cache, of which twice its size would still find a part there; yet soon touched for the first time.
    nbytes = min(max(4 * cpu.l3, 32 * MIB), 256 * MIB) // (2 * UNIT_BYTES) * 2 * UNIT_BYTES
    memory = Buffer(nbytes)
    # Pages never written would all be the same zero page, and lines of zeros or of like values move up to twice as fast as others.
    memory.array((nbytes // (2 * UNIT_BYTES), UNIT_BYTES // 4), "float64")[:] = np.random.default_rng(0).random(UNIT_BYTES // 4)
    units_read = nbytes // UNIT_BYTES
    read = Program(entry, [Step(kernels["measure_read"], (Address(0),), units_read, 8)], 1, scratch_bytes=64)
    copy = Program(entry, [Step(kernels["measure_copy"], (Address(0), Address(0, nbytes // 2)), units_read // 2, 8)], 1)
    buffers = [memory.ptr]
    return MachinePeak(
        flops=units * flops_per_unit / _best_seconds(fma, [], threads),
        thread_flops=48 * flops_per_unit / _best_seconds(one, [], 1),
        read_bw=nbytes / _best_seconds(read, buffers, threads),
        copy_bw=nbytes / _best_seconds(copy, buffers, threads),
        threads=threads,
    )
