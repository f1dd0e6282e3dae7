"""Reductions vectorised along the last kept dim: one unit is a block of columns, its row values are vectors along the columns.

The reduced dims are walked in order, for all columns of the block at each step; partial results and the row values that later passes
need are small arrays on the stack, one element a column. Every column is accumulated in the same sequential order (float sums in blocks
of BLOCK steps of the last reduced dim, or of the last `flat` dims as one), whatever its position.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from monograph.targets.llvm.ir import Val
from monograph.targets.llvm.loop_access import MEMORY_TYPES, load_lanes, store_lanes
from monograph.targets.llvm.loop_body import KernelWriter, Site
from monograph.targets.llvm.loop_passes import Pass, Stage
from monograph.targets.llvm.loop_reduce import BLOCK, Reducer
from monograph.targets.llvm.loop_spec import COLUMN_BLOCK

CHEAP, MODERATE = 12, 24  # costs up to which four or two steps of the last reduced dim are taken at a time


def column_reduction(w: KernelWriter) -> None:
    """Writes the whole kernel."""
    _Columns(w).write()


class _Columns:
    def __init__(self, w: KernelWriter) -> None:
        self.w, self.f = w, w.f
        self.reducers: dict[int, Reducer] = {v: w.reducer(v) for this in w.plan.passes for v in this.reduces}
        self.running = {v: [self.array(d) for d in r.dtypes] for v, r in self.reducers.items()}
        self.totals = {v: [self.array(d) for d in r.dtypes] for v, r in self.reducers.items() if r.cascaded}
        for stage in w.plan.stages:
            for v in stage.saved:
                w.saved[v] = self.array(w.spec.instrs[v].dtype)
        for v in self.reducers:
            w.partial[v] = partial(self.take, self.totals.get(v) or self.running[v], v)

    def array(self, dtype: str) -> Val:
        return self.f.emit("ptr", f"alloca [{COLUMN_BLOCK} x {MEMORY_TYPES[dtype]}], align 64")

    def write(self) -> None:
        w, f, spec = self.w, self.f, self.w.spec
        if spec.spill:
            elements = f.i64(COLUMN_BLOCK)
            for d in range(spec.kept, w.dims):
                elements = f.mul(elements, w.size[d])
            w.open_scratch(elements)
        root, operands = w.unit, sorted(w.unit.pointer)
        columns = w.size[spec.kept - 1]
        blocks = f.udiv(f.add(columns, COLUMN_BLOCK - 1), COLUMN_BLOCK)

        def one(indices: Sequence[Val]) -> None:
            site = root
            for d, index in enumerate(indices[:-1]):
                site = w.advance(site, d, index, operands)
            first = f.mul(indices[-1], COLUMN_BLOCK)
            w.unit = site = site.copy()
            w.origin = first
            for o in operands:
                inner = spec.operands[o].inner
                if inner == "unit":
                    site.pointer[o] = f.gep(site.pointer[o], first, MEMORY_TYPES[spec.operands[o].dtype])
                elif inner == "strided":
                    site.pointer[o] = f.gep(site.pointer[o], f.mul(first, w.stride[o, w.inner]))
            self.width = f.smin(f.sub(columns, first), COLUMN_BLOCK)
            for v in w.plan.unit_values:
                site.scalars[v] = w.value(site, {}, v, None, 1)
            for this, stage in zip(w.plan.passes, w.plan.stages, strict=False):
                self.stage(site, stage)
                self.one_pass(site, this)
            self.stage(site, w.plan.stages[-1])

        w.unit_loop(range(spec.kept), [*w.size[: spec.kept - 1], blocks], one)

    def across(self, body: Callable[[Val, int], None]) -> None:
        """Runs `body(column, lanes)` over the columns of the block."""
        f, lo = self.f, self.f.i64(0)
        for width in self.w.widths:
            hi = self.width if width == 1 else f.binary("and", self.width, f.i64(-width))
            f.loop(lo, hi, width, (), lambda i, width=width: body(i, width))
            lo = hi

    def stage(self, site: Site, stage: Stage) -> None:
        w = self.w
        if not stage.saved and not stage.effects:
            return
        site = w.enter_inner(site.copy(), stage.values, stage.effects, stage.saved, w.widths)

        def body(i: Val, n: int) -> None:
            env: dict[int, Val] = {}
            for v in stage.values:
                env[v] = w.value(site, env, v, i, n)
            for v in stage.saved:
                dtype = w.spec.instrs[v].dtype
                store_lanes(self.f, env[v], self.f.gep(w.saved[v], i, MEMORY_TYPES[dtype]), dtype, None)
            for v in stage.effects:
                w.effect(site, env, v, i, n)

        self.across(body)

    # ---- one pass ----
    def one_pass(self, site: Site, this: Pass) -> None:
        if this.reduces:
            self.across(lambda i, n: self.reset(this, i, n))
        self.nest(site, self.w.spec.kept, this)

    def nest(self, site: Site, dim: int, this: Pass) -> None:
        """The loops over the reduced dims from `dim` on."""
        w, f = self.w, self.f
        if dim < w.dims - 1:

            def inside(i: Val) -> None:
                here = self.inside(site, dim, i, this)
                self.nest(w.enter(here, dim, this.values), dim + 1, this)

            f.loop(0, w.size[dim], 1, (), inside)
            return
        size = w.size[dim]
        if not any(v in self.totals for v in this.reduces):
            self.rows(site, this, f.i64(0), size)
            return
        if w.spec.flat > 1:
            self.uneven_rows(site, this, size)
            return

        def block(start: Val) -> None:
            self.rows(site, this, start, f.smin(f.add(start, BLOCK), size))
            self.across(lambda i, n: self.flush(this, i, n))

        f.loop(0, size, BLOCK, (), block)

    def uneven_rows(self, site: Site, this: Pass, size: Val) -> None:
        """The last reduced dim where it is one of several that count as one: blocks begin and end at flat positions."""
        w, f = self.w, self.f
        before, total = f.i64(0), f.i64(1)
        for d in range(w.dims - w.spec.flat, w.dims - 1):
            before, total = f.add(f.mul(before, w.size[d]), site.index[d]), f.mul(total, w.size[d])
        before, total = f.mul(before, size), f.mul(total, size)

        def block(start: Val) -> None:
            end = f.add(start, BLOCK)
            self.rows(site, this, f.smax(f.sub(start, before), 0), f.smin(f.sub(end, before), size))
            complete = f.binary("or", f.icmp("sle", end, f.add(before, size)), f.icmp("eq", f.add(before, size), total))
            f.if_(complete, lambda: self.across(lambda i, n: self.flush(this, i, n)))

        f.loop(f.binary("and", before, f.i64(-BLOCK)), f.add(before, size), BLOCK, (), block)

    def inside(self, site: Site, dim: int, i: Val, this: Pass) -> Site:
        here = self.w.advance(site, dim, i, self.w.operands_of([*this.values, *this.effects], rows=False))
        here.flat = i if site.flat is None else self.f.add(self.f.mul(site.flat, self.w.size[dim]), i)
        return here

    def rows(self, site: Site, this: Pass, lo: Val, hi: Val) -> None:
        """The last reduced dim from lo to hi: a few steps at a time, so that partial results are read and written less often."""
        f = self.f
        times = 4 if this.cost <= CHEAP else 2 if this.cost <= MODERATE else 1
        for count in sorted({times, 1}, reverse=True):
            middle = hi if count == 1 else f.add(lo, f.binary("and", f.sub(hi, lo), f.i64(-count)))
            f.loop(lo, middle, count, (), lambda i, count=count: self.steps(site, this, i, count))
            lo = middle

    def steps(self, site: Site, this: Pass, start: Val, count: int) -> None:
        w, f = self.w, self.f
        roots = [a for v in this.reduces for a in w.spec.instrs[v].args]
        sites = []
        for k in range(count):
            here = self.inside(site, w.dims - 1, f.add(start, k) if k else start, this)
            w.enter(here, w.dims - 1, this.values)
            sites.append(w.enter_inner(here, this.values, this.effects, roots, w.widths))

        def body(i: Val, n: int) -> None:
            acc = {v: self.take(self.running[v], v, i, n) for v in this.reduces}
            for here in sites:
                env = w.compute(here, this, i, n)
                for v in this.reduces:
                    r = self.reducers[v]
                    assert here.flat is not None
                    index = f.splat(here.flat, n) if r.arg_of_index else None
                    acc[v] = r.step(f, acc[v], w.get(here, env, w.spec.instrs[v].args[0], i, n), index)
            for v in this.reduces:
                self.put(self.running[v], v, i, acc[v])

        self.across(body)

    # ---- partial results ----
    def take(self, arrays: list[Val], v: int, i: Val, n: int) -> list[Val]:
        f, dtypes = self.f, self.reducers[v].dtypes
        return [load_lanes(f, f.gep(p, i, MEMORY_TYPES[d]), d, n, None) for p, d in zip(arrays, dtypes, strict=True)]

    def put(self, arrays: list[Val], v: int, i: Val, parts: list[Val]) -> None:
        for p, d, x in zip(arrays, self.reducers[v].dtypes, parts, strict=True):
            store_lanes(self.f, x, self.f.gep(p, i, MEMORY_TYPES[d]), d, None)

    def reset(self, this: Pass, i: Val, n: int) -> None:
        for v in this.reduces:
            self.put(self.running[v], v, i, self.reducers[v].identity(n))
            if v in self.totals:
                self.put(self.totals[v], v, i, self.reducers[v].identity(n))

    def flush(self, this: Pass, i: Val, n: int) -> None:
        """Moves the running sums of a block to the totals."""
        for v in this.reduces:
            if v in self.totals:
                merged = self.reducers[v].merge(self.f, self.take(self.totals[v], v, i, n), self.take(self.running[v], v, i, n))
                self.put(self.totals[v], v, i, merged)
                self.put(self.running[v], v, i, self.reducers[v].identity(n))
