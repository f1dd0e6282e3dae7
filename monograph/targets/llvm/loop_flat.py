"""Row reductions whose row is several dims that some operand does not walk evenly (a slice, a transpose, a broadcast within the row).

The row is accumulated just as if it were one dim: slot and block of an element depend on its flat position in the row alone, so the result
has the same bits however its operands lie in memory. Chunks of SLOTS elements that lie within one run of the last dim are walked as usual;
a chunk that straddles runs, and the end of the row, is computed element by element into a small array and taken in from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from monograph.targets.llvm.ir import Val
from monograph.targets.llvm.loop_access import MEMORY_TYPES, load_lanes, store_lanes
from monograph.targets.llvm.loop_body import Site
from monograph.targets.llvm.loop_passes import Pass
from monograph.targets.llvm.loop_reduce import BLOCK, SLOTS, TAIL_SLOTS

if TYPE_CHECKING:
    from monograph.targets.llvm.loop_rows import Cells, _Rows


class FlatRow:
    """The walk of one pass over the last `spec.flat` dims, at a site inside all loops before them."""

    def __init__(self, rows: _Rows, site: Site, this: Pass, staged: dict[int, Val]) -> None:
        self.rows, self.w, self.f = rows, rows.w, rows.w.f
        self.site, self.this, self.staged = site, this, staged
        w, f = self.w, self.f
        self.first = w.dims - w.spec.flat
        self.run = w.size[w.inner]  # elements of one run of the last dim
        self.total = self.run
        for d in range(self.first, w.inner):
            self.total = f.mul(self.total, w.size[d])
        self.before = f.i64(0) if site.flat is None else f.mul(site.flat, self.total)
        self.roots = sorted({a for v in this.reduces for a in w.spec.instrs[v].args})

    def write(self, cells: Cells) -> Cells:
        """All elements of the row, taken into the partial results."""
        f, rows = self.f, self.rows
        chunks_end, rest_end = (f.binary("and", self.total, f.i64(-slots)) for slots in (SLOTS, TAIL_SLOTS))
        done = rows.carry(
            f.i64(0), chunks_end, SLOTS * BLOCK, _part(cells, "chunks"), lambda start, totals: self.block(start, chunks_end, totals)
        )
        self.fill(chunks_end, f.sub(self.total, chunks_end))
        rest = f.sub(rest_end, chunks_end)

        def take_in(width: int) -> Callable[[Val, Cells], Cells]:
            return lambda i, carried: self.take_in(i, chunks_end, width, carried)

        done |= rows.carry(f.i64(0), rest, TAIL_SLOTS, _part(cells, "rest"), take_in(rows.narrow))
        return done | rows.carry(rest, f.sub(self.total, chunks_end), 1, _part(cells, "tail"), take_in(1))

    def block(self, start: Val, chunks_end: Val, totals: Cells) -> Cells:
        """BLOCK chunks: partial results that start anew and are merged afterwards."""
        f, w, rows = self.f, self.w, self.rows
        end = f.smin(f.add(start, SLOTS * BLOCK), chunks_end)
        heavy = rows.heavy(self.this)
        fresh: Cells = {}
        if heavy:
            rows.clear(self.this)
        else:
            fresh = {key: [rows.reducers[key[0]].identity(w.lanes) for _ in parts] for key, parts in totals.items()}

        def one_run(q: Val, carried: Cells) -> Cells:
            base = f.mul(q, self.run)
            here, limit = self.enter_run(self.coordinates(q)), f.smin(end, f.add(base, self.run))
            lo = f.smax(start, f.binary("and", f.add(base, SLOTS - 1), f.i64(-SLOTS)))
            whole = f.smax(lo, f.binary("and", limit, f.i64(-SLOTS)))
            w.enter_inner(here, self.this.values, self.this.effects, self.roots, (w.lanes,))
            carried = rows.carry(f.sub(lo, base), f.sub(whole, base), SLOTS, carried, lambda i, c: rows.chunk(here, self.this, i, c, heavy))
            straddling = f.binary("and", f.icmp("slt", whole, limit), f.icmp("slt", whole, end))

            def straddle(at: Val, carried: Cells) -> Cells:
                self.fill(at, f.i64(SLOTS))
                if heavy:
                    f.loop(0, SLOTS, w.lanes, (), lambda k: self.take_in_memory(k, at))
                    return carried
                return self.take_in(f.i64(0), at, w.lanes, carried)

            return rows.carry(whole, f.select(straddling, f.add(whole, SLOTS), whole), SLOTS, carried, straddle)

        last = f.add(f.udiv(f.sub(end, 1), self.run), 1)
        after = rows.carry(f.udiv(start, self.run), last, 1, fresh, one_run)
        if heavy:
            after = rows.stacked_cells(totals)
        return {key: rows.merge(key[0], parts, after[key]) for key, parts in totals.items()}

    # ---- runs ----
    def coordinates(self, q: Val) -> list[Val]:
        """Indices of the dims before the last one, of run q."""
        f, w, rest = self.f, self.w, q
        out: list[Val] = []
        for d in range(w.inner - 1, self.first, -1):
            out.insert(0, f.urem(rest, w.size[d]))
            rest = f.udiv(rest, w.size[d])
        return [rest, *out]

    def enter_run(self, indices: Sequence[Val]) -> Site:
        """The site inside the loops over all dims but the last."""
        f, w, values = self.f, self.w, self.this.values
        here = self.site.copy()
        operands = w.operands_of([*values, *self.this.effects], rows=False)
        for d, index in zip(range(self.first, w.inner), indices, strict=True):
            flat = index if here.flat is None else f.add(f.mul(here.flat, w.size[d]), index)
            here = w.advance(here, d, index, operands)
            here.flat = flat
            w.enter(here, d + 1, values)
        assert here.flat is not None
        here.flat = f.mul(here.flat, self.run)
        return here

    # ---- elements one by one ----
    def fill(self, start: Val, count: Val) -> None:
        """Computes the arguments of the reductions for `count` elements from flat position `start` on, into the staging arrays."""
        f, w = self.f, self.w

        def walk() -> None:
            at = f.urem(start, self.run)
            indices = [*self.coordinates(f.udiv(start, self.run)), at]

            def one(k: Val, *indices: Val) -> list[Val]:
                here = self.enter_run(indices[:-1])
                env = w.compute(here, self.this, indices[-1], 1)
                for root in self.roots:
                    x = w.get(here, env, root, indices[-1], 1)
                    store_lanes(f, x, self.place(root, k), w.spec.instrs[root].dtype, None)
                return self.following(indices)

            f.loop(0, count, 1, indices, one)

        f.if_(f.icmp("sgt", count, 0), walk)

    def following(self, indices: Sequence[Val]) -> list[Val]:
        """The indices of the next element."""
        f, w, out = self.f, self.w, list(indices)
        carry: Val | None = None
        for k in reversed(range(len(out))):
            moved = f.add(out[k], 1 if carry is None else f.cast("zext", carry, "i64"))
            if k == 0:
                out[k] = moved
                break
            carry = f.icmp("eq", moved, w.size[self.first + k])
            out[k] = f.select(carry, f.i64(0), moved)
        return out

    def place(self, root: Val | int, k: Val) -> Val:
        return self.f.gep(self.staged[int(root)], k, MEMORY_TYPES[self.w.spec.instrs[int(root)].dtype])

    def staged_value(self, v: int, k: Val, width: int) -> Val:
        """The argument of reduction v in `width` lanes from staged element k on."""
        root = self.w.spec.instrs[v].args[0]
        return load_lanes(self.f, self.place(root, k), self.w.spec.instrs[root].dtype, width, None)

    def position(self, at: Val, k: Val, width: int) -> Val:
        """Positions of staged elements among all that the reduction runs over."""
        f = self.f
        first = f.add(f.add(self.before, at), k)
        return f.add(f.splat(first, width), f.iota(width)) if width > 1 else first

    def take_in(self, start: Val, at: Val, width: int, cells: Cells) -> Cells:
        """Staged elements from `start` on (flat positions from `at` on), one vector after another, each into its own partial result."""
        f, following = self.f, {}
        for (v, name), parts in cells.items():
            r = self.rows.reducers[v]
            out = []
            for k, acc in enumerate(parts):
                place = f.add(start, k * width) if k else start
                index = self.position(at, place, width) if r.arg_of_index else None
                out.append(r.step(f, acc, self.staged_value(v, place, width), index))
            following[v, name] = out
        return following

    def take_in_memory(self, k: Val, at: Val) -> None:
        """One vector of a staged chunk, into partial results that lie in memory."""
        rows, width = self.rows, self.w.lanes
        for v in self.this.reduces:
            r = rows.reducers[v]
            index = self.position(at, k, width) if r.arg_of_index else None
            rows.put(v, k, r.step(self.f, rows.take(v, k), self.staged_value(v, k, width), index))


def _part(cells: Cells, name: str) -> Cells:
    return {key: parts for key, parts in cells.items() if key[1] == name}
