"""Kernels without reduced dims, and the vector loop of a pass that carries nothing from element to element."""

from __future__ import annotations

from collections.abc import Sequence

from monograph.targets.llvm.ir import Val
from monograph.targets.llvm.loop_body import KernelWriter, Site
from monograph.targets.llvm.loop_passes import Pass

CHEAP, MODERATE = 8, 24  # costs up to which the body is unrolled four times, twice


def map_kernel(w: KernelWriter) -> None:
    f, spec = w.f, w.spec
    if not w.plan.passes:
        return
    this = w.plan.passes[0]
    operands = w.operands_of([*this.values, *this.effects])
    begin, end = f.param("begin"), f.param("end")
    if spec.kept == 0:
        f.loop(begin, end, 1, (), lambda u: w.compute(w.unit, this, f.i64(0), 1) and None)
    elif spec.kept == 1:
        f.if_(f.icmp("slt", begin, end), lambda: map_inner(w, w.enter(w.unit.copy(), 0, this.values), this, begin, end))
    else:
        root, outer = w.unit, range(spec.kept - 1)

        def one(indices: Sequence[Val]) -> None:
            site = w.enter(root.copy(), 0, this.values)
            for d in outer:
                site = w.advance(site, d, indices[d], operands)
                w.enter(site, d + 1, this.values)
            w.unit = site
            map_inner(w, site, this, f.i64(0), w.size[-1])

        w.unit_loop(outer, w.size[:-1], one)


def map_inner(w: KernelWriter, site: Site, this: Pass, lo: Val, hi: Val) -> None:
    """The loops over [lo, hi) of the vector axis, in a pass that carries nothing: unrolled vectors, vectors, single elements."""
    f, n = w.f, w.lanes
    w.enter_inner(site, this.values, this.effects, (), w.widths)
    times = 4 if this.cost <= CHEAP else 2 if this.cost <= MODERATE else 1
    for chunk, width in sorted({(times * n, n), *((k, k) for k in w.widths)}, reverse=True):
        middle = hi if chunk == 1 else f.add(lo, f.binary("and", f.sub(hi, lo), f.i64(-chunk)))

        def step(i: Val, chunk: int = chunk, width: int = width) -> None:
            for k in range(chunk // width):
                w.compute(site, this, f.add(i, k * width) if k else i, width)

        f.loop(lo, middle, chunk, (), step)
        lo = middle
