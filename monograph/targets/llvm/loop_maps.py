"""Kernels without reduced dims, and the vector loop of a pass that carries nothing from element to element."""

from __future__ import annotations

from collections.abc import Sequence

from monograph.targets.llvm.ir import Val
from monograph.targets.llvm.loop_body import KernelWriter, Site
from monograph.targets.llvm.loop_passes import Pass

CHEAP, MODERATE = 8, 24  # costs up to which the body is unrolled four times, twice
TILE = 16  # rows and columns of a tile: as many elements as share a cache line


def map_kernel(w: KernelWriter) -> None:
    f, spec = w.f, w.spec
    if not w.plan.passes:
        return
    this = w.plan.passes[0]
    operands = w.operands_of([*this.values, *this.effects])
    begin, end = f.param("begin"), f.param("end")
    if spec.kept == 0:

        def single(_: Val) -> None:
            w.compute(w.unit, this, f.i64(0), 1)

        f.loop(begin, end, 1, (), single)
    elif spec.kept == 1:
        f.if_(f.icmp("slt", begin, end), lambda: map_inner(w, w.enter(w.unit.copy(), 0, this.values), this, begin, end))
    elif any(spec.operands[o].inner == "strided" for o in operands):
        f.if_(f.icmp("slt", begin, end), lambda: _tiles(w, this, operands, begin, end))
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


def _tiles(w: KernelWriter, this: Pass, operands: Sequence[int], begin: Val, end: Val) -> None:
    """The rows [begin, end) in tiles: where an operand is not adjacent along the rows (a transpose), the memory that neighbouring
    rows share is still in the cache when the next row asks for it."""
    f, root, dim = w.f, w.unit, w.dims - 2
    rows, columns = w.size[dim], w.size[dim + 1]

    def segment(outer: Val) -> None:  # the rows that have all indices but their own in common
        rest, indices = outer, [outer] * dim
        for d in reversed(range(1, dim)):
            indices[d], rest = f.urem(rest, w.size[d]), f.udiv(rest, w.size[d])
        if dim:
            indices[0] = rest
        site = w.enter(root.copy(), 0, this.values)
        for d, index in enumerate(indices):
            site = w.enter(w.advance(site, d, index, operands), d + 1, this.values)
        before = f.mul(outer, rows)
        lo, hi = f.smax(f.sub(begin, before), 0), f.smin(f.sub(end, before), rows)

        def tile(first: Val, column: Val) -> None:
            after = f.smin(f.add(column, TILE), columns)

            def row(r: Val) -> None:
                w.unit = w.enter(w.advance(site, dim, r, operands), dim + 1, this.values)
                map_inner(w, w.unit, this, column, after)

            f.loop(first, f.smin(f.add(first, TILE), hi), 1, (), row)

        def band(first: Val) -> None:
            f.loop(0, columns, TILE, (), lambda column: tile(first, column))

        f.loop(lo, hi, TILE, (), band)

    f.loop(f.udiv(begin, rows), f.add(f.udiv(f.sub(end, 1), rows), 1), 1, (), segment)


def map_inner(w: KernelWriter, site: Site, this: Pass, lo: Val, hi: Val) -> None:
    """The loops over [lo, hi) of the vector axis, in a pass that carries nothing: unrolled vectors, vectors, single elements."""
    f, n = w.f, w.lanes
    w.enter_inner(site, this.values, this.effects, (), w.widths)
    times = 1 if n > 2 * w.register or this.cost > MODERATE else 2 if this.cost > CHEAP else 4
    for chunk, width in sorted({(times * n, n), *((k, k) for k in w.widths)}, reverse=True):
        middle = hi if chunk == 1 else f.add(lo, f.binary("and", f.sub(hi, lo), f.i64(-chunk)))

        def step(i: Val, chunk: int = chunk, width: int = width) -> None:
            for k in range(chunk // width):
                at = f.add(i, k * width) if k else i
                if chunk > 1:
                    w.fetch_ahead(site, at, k * width, width)
                w.compute(site, this, at, width)

        f.loop(lo, middle, chunk, (), step)
        lo = middle
