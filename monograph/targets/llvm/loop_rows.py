"""Reductions vectorised along the last reduced dim: one unit is one kept index, its row values are scalars.

Each row of the last reduced dim is walked in chunks of SLOTS elements, then of TAIL_SLOTS, then one by one; each of the three parts has
partial results of its own, joined at the end by a fixed tree. Where the expression is long, a chunk is a loop over its vectors with the
partial results in memory, instead of SLOTS elements written out. `loop_flat` has the rows that are several dims.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from monograph.targets.llvm.ir import Val
from monograph.targets.llvm.loop_access import MEMORY_TYPES, load_lanes, store_lanes
from monograph.targets.llvm.loop_body import KernelWriter, Site
from monograph.targets.llvm.loop_flat import FlatRow
from monograph.targets.llvm.loop_maps import map_inner
from monograph.targets.llvm.loop_passes import Pass, Stage
from monograph.targets.llvm.loop_reduce import BLOCK, SLOTS, TAIL_SLOTS, Reducer, combine_slots
from monograph.targets.llvm.loop_spec import ELEMENT_BYTES

FETCHED_BYTES = 64 * 1024  # of a row that is fetched before its turn: it must not push this one out of the cache
HEAVY = 200  # cost of a chunk above which it is not written out

Partial = list[list[Val]]  # the vectors of one part of the row, each a list of components
Cells = dict[tuple[int, str], Partial]  # (reduction, part) -> partial results


def row_reduction(w: KernelWriter) -> None:
    """Writes the whole kernel."""
    _Rows(w).write()


class _Rows:
    def __init__(self, w: KernelWriter) -> None:
        self.w, self.f = w, w.f
        self.narrow = min(w.lanes, TAIL_SLOTS)
        self.reducers: dict[int, Reducer] = {v: w.reducer(v) for this in w.plan.passes for v in this.reduces}
        self.stacked: dict[int, list[Val]] = {}  # partial results kept in memory while a heavy chunk loop runs
        self.staged: dict[int, Val] = {}  # arguments of the reductions of an uneven row, a chunk at a time
        for this in w.plan.passes:
            for root in {w.spec.instrs[v].args[0] for v in this.reduces if w.spec.flat > 1} - self.staged.keys():
                self.staged[root] = self.f.emit("ptr", f"alloca [{SLOTS} x {MEMORY_TYPES[w.spec.instrs[root].dtype]}], align 64")
            for v in this.reduces if self.heavy(this) else ():
                self.stacked[v] = [self.f.emit("ptr", f"alloca [{SLOTS} x {MEMORY_TYPES[d]}], align 64") for d in self.reducers[v].dtypes]

    def heavy(self, this: Pass) -> bool:
        return self.w.lanes < SLOTS and this.cost * (SLOTS // self.w.register) > HEAVY

    def write(self) -> None:
        w, f, spec = self.w, self.f, self.w.spec
        self.elements = w.size[spec.kept]
        for d in range(spec.kept + 1, w.dims):
            self.elements = f.mul(self.elements, w.size[d])
        if spec.spill:
            w.open_scratch(self.elements)
        root, operands = w.unit, sorted(w.unit.pointer)
        # Later passes find the row in the cache and leave the memory idle: the one that computes most fetches the next row meanwhile.
        dearest = max(w.plan.passes[1:], key=lambda this: this.cost, default=None)

        def one(indices: Sequence[Val]) -> None:
            site = root
            for d, index in enumerate(indices):
                site = w.advance(site, d, index, operands)
            w.unit = site = site.copy()
            for this, stage in zip(w.plan.passes, w.plan.stages, strict=False):
                self.stage(site, stage)
                site.ahead = self.next_rows(site) if this is dearest else {}
                self.one_pass(site, this)
            self.stage(site, w.plan.stages[-1])

        w.unit_loop(range(spec.kept), w.size[: spec.kept], one)

    def next_rows(self, site: Site) -> dict[int, Val]:
        """Where the rows begin that the first pass of the next unit will read (this unit's own where they are too long for the cache)."""
        w, f, spec = self.w, self.f, self.w.spec
        loads = [spec.instrs[v].attrs[0] for v in w.plan.passes[0].values if spec.instrs[v].op == "load" and w.plan.full[v]]
        if not spec.kept or spec.reduced > 1:
            return {}
        found: dict[int, Val] = {}
        for o in sorted({o for o in loads if spec.operands[o].inner == "unit"}):
            fits = f.icmp("sle", f.mul(w.size[w.inner], ELEMENT_BYTES[spec.operands[o].dtype]), FETCHED_BYTES)
            found[o] = f.gep(site.pointer[o], f.select(fits, w.stride[o, spec.kept - 1], f.i64(0)))
        return found

    def stage(self, site: Site, stage: Stage) -> None:
        for v in stage.values:
            if v not in site.scalars:
                site.scalars[v] = self.w.value(site, {}, v, None, 1)
        for v in stage.effects:
            self.w.effect(site, {}, v, None, 1)

    # ---- one pass ----
    def one_pass(self, site: Site, this: Pass) -> None:
        """Writes the loops of a pass; its reductions are scalars of the site afterwards."""
        w, f = self.w, self.f
        cells: Cells = {}
        for v in this.reduces:
            r, n = self.reducers[v], w.lanes
            cells[v, "chunks"] = [r.identity(n) for _ in range(SLOTS // n)]
            cells[v, "rest"] = [r.identity(self.narrow) for _ in range(TAIL_SLOTS // self.narrow)]
            cells[v, "tail"] = [r.identity(1)]

        def walk(cells: Cells) -> Cells:
            inside = site.copy()
            for level in range(w.spec.kept + 1):
                w.enter(inside, level, this.values)
            return self.nest(inside, w.spec.kept, this, cells)

        if any(w.plan.level[v] <= w.spec.kept for v in this.values):  # these may load: not from an empty array
            some = f.cast("zext", f.icmp("ne", self.elements, 0), "i64")
            cells = self.carry(f.i64(0), some, 1, cells, lambda _, inner: walk(inner))
        else:
            cells = walk(cells)
        for v in this.reduces:
            joined = combine_slots(f, self.reducers[v], cells[v, "chunks"], cells[v, "rest"], cells[v, "tail"][0])
            site.scalars[v] = self.reducers[v].finish(f, joined)

    def carry(self, lo: Val, hi: Val, step: int, cells: Cells, body: Callable[[Val, Cells], Cells]) -> Cells:
        """A loop that carries partial results."""

        def unpack(values: Sequence[Val]) -> Cells:
            at = iter(values)
            return {key: [[next(at) for _ in part] for part in parts] for key, parts in cells.items()}

        def run(i: Val, *values: Val) -> list[Val]:
            after = body(i, unpack(values))
            return [c for key in cells for part in after[key] for c in part]

        return unpack(self.f.loop(lo, hi, step, [c for parts in cells.values() for part in parts for c in part], run))

    def nest(self, site: Site, dim: int, this: Pass, cells: Cells) -> Cells:
        """The loops over the reduced dims from `dim` on."""
        w, f = self.w, self.f
        if this.reduces and w.spec.flat > 1 and dim == w.dims - w.spec.flat:
            return FlatRow(self, site, this, self.staged).write(cells)
        if dim < w.dims - 1:

            def inside(i: Val, cells: Cells) -> Cells:
                here = w.advance(site, dim, i, w.operands_of([*this.values, *this.effects], rows=False))
                here.flat = i if site.flat is None else f.add(f.mul(site.flat, w.size[dim]), i)
                return self.nest(w.enter(here, dim + 1, this.values), dim + 1, this, cells)

            return self.carry(f.i64(0), w.size[dim], 1, cells, inside)
        site = site.copy()
        site.flat = f.i64(0) if site.flat is None else f.mul(site.flat, w.size[dim])
        if not this.reduces:
            map_inner(w, site, this, f.i64(0), w.size[dim])
            return cells
        roots = [a for v in this.reduces for a in w.spec.instrs[v].args]
        w.enter_inner(site, this.values, this.effects, roots, (w.lanes, self.narrow))
        return self.inner(site, this, cells)

    def inner(self, site: Site, this: Pass, cells: Cells) -> Cells:
        """The last reduced dim: chunks, rest, tail."""
        w, f = self.w, self.f
        size = w.size[w.inner]
        chunks_end, rest_end = (f.binary("and", size, f.i64(-slots)) for slots in (SLOTS, TAIL_SLOTS))

        def part(name: str) -> Cells:
            return {key: parts for key, parts in cells.items() if key[1] == name}

        def steps(width: int) -> Callable[[Val, Cells], Cells]:
            return lambda i, carried: self.steps(site, this, i, width, carried)

        heavy = self.heavy(this)
        if heavy or any(self.reducers[v].cascaded for v in this.reduces):

            def block(i: Val, carried: Cells) -> Cells:
                return self.block(site, this, i, chunks_end, carried, heavy)

            done = self.carry(f.i64(0), chunks_end, SLOTS * BLOCK, part("chunks"), block)
        else:
            done = self.carry(f.i64(0), chunks_end, SLOTS, part("chunks"), steps(w.lanes))
        done |= self.carry(chunks_end, rest_end, TAIL_SLOTS, part("rest"), steps(self.narrow))
        return done | self.carry(rest_end, size, 1, part("tail"), steps(1))

    def steps(self, site: Site, this: Pass, i: Val, width: int, cells: Cells) -> Cells:
        """One vector after another from index i on, each into its own partial result."""
        f = self.f
        following: Cells = {key: [] for key in cells}
        for k in range(len(next(iter(cells.values())))):
            at = f.add(i, k * width) if k else i
            if width > 1:
                self.w.fetch_ahead(site, at, k * width, width)
            env = self.w.compute(site, this, at, width)
            for key, parts in cells.items():
                following[key].append(self.step(site, env, key[0], at, width, parts[k]))
        return following

    def step(self, site: Site, env: dict[int, Val], v: int, i: Val, width: int, acc: list[Val]) -> list[Val]:
        r, f = self.reducers[v], self.f
        index = None
        if r.arg_of_index:
            assert site.flat is not None
            first = f.add(site.flat, i)
            index = f.add(f.splat(first, width), f.iota(width)) if width > 1 else first
        return r.step(f, acc, self.w.get(site, env, self.w.spec.instrs[v].args[0], i, width), index)

    def block(self, site: Site, this: Pass, start: Val, end: Val, totals: Cells, heavy: bool) -> Cells:
        """BLOCK chunks: partial results that start anew (all of them in a heavy pass, else cascaded sums) and are merged afterwards."""
        f, w = self.f, self.w
        end = f.smin(f.add(start, SLOTS * BLOCK), end)
        if not heavy:
            cascaded = [key for key in totals if self.reducers[key[0]].cascaded]
            fresh = {key: [self.reducers[key[0]].identity(w.lanes) for _ in totals[key]] for key in cascaded}
            after = self.carry(start, end, SLOTS, {**totals, **fresh}, lambda i, carried: self.steps(site, this, i, w.lanes, carried))
            for key in fresh:
                after[key] = self.merge(key[0], totals[key], after[key])
            return after
        self.clear(this)
        self.carry(start, end, SLOTS, {}, lambda i, none: self.chunk(site, this, i, none, True))
        stacked = self.stacked_cells(totals)
        return {key: self.merge(key[0], parts, stacked[key]) for key, parts in totals.items()}

    def chunk(self, site: Site, this: Pass, i: Val, cells: Cells, heavy: bool) -> Cells:
        """SLOTS elements from index i on, into the partial results given, or (heavy) into those in memory."""
        w, f = self.w, self.f
        if not heavy:
            return self.steps(site, this, i, w.lanes, cells)

        def vector(k: Val) -> None:
            at = f.add(i, k)
            w.fetch_ahead(site, at, 0, w.lanes)
            env = w.compute(site, this, at, w.lanes)
            for v in this.reduces:
                self.put(v, k, self.step(site, env, v, at, w.lanes, self.take(v, k)))

        f.loop(0, SLOTS, w.lanes, (), vector)
        return cells

    def clear(self, this: Pass) -> None:
        """Empty partial results in memory."""
        for v in this.reduces:
            for k in range(0, SLOTS, self.w.lanes):
                self.put(v, self.f.i64(k), self.reducers[v].identity(self.w.lanes))

    def stacked_cells(self, like: Cells) -> Cells:
        """The partial results that lie in memory."""
        return {key: [self.take(key[0], self.f.i64(k * self.w.lanes)) for k in range(len(parts))] for key, parts in like.items()}

    def merge(self, v: int, a: Partial, b: Partial) -> Partial:
        return [self.reducers[v].merge(self.f, x, y) for x, y in zip(a, b, strict=True)]

    def take(self, v: int, k: Val) -> list[Val]:
        """Reads a vector of partial results from memory."""
        f, dtypes = self.f, self.reducers[v].dtypes
        return [load_lanes(f, f.gep(p, k, MEMORY_TYPES[d]), d, self.w.lanes, None) for p, d in zip(self.stacked[v], dtypes, strict=True)]

    def put(self, v: int, k: Val, parts: list[Val]) -> None:
        for p, d, x in zip(self.stacked[v], self.reducers[v].dtypes, parts, strict=True):
            store_lanes(self.f, x, self.f.gep(p, k, MEMORY_TYPES[d]), d, None)
