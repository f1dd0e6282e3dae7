"""The expression of a fused loop kernel: argument words, positions in the loop nest, and the values computed there.

A `Site` is a place in the loop nest: the indices of the open loops, each operand's pointer advanced by them, and the scalars known there.
`KernelWriter.compute` writes the values that change along the vector axis, for any number of lanes, at one index of that axis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from monograph.targets.llvm import loop_index
from monograph.targets.llvm.convert import VALUE_TYPES
from monograph.targets.llvm.ir import Fn, Val, element, size_of, vector
from monograph.targets.llvm.loop_access import MEMORY_TYPES, lane, load_lanes, spread, store_lanes
from monograph.targets.llvm.loop_passes import EFFECTS, MEMORY_OPS, Pass, passes_of
from monograph.targets.llvm.loop_reduce import SLOTS, Reducer
from monograph.targets.llvm.loop_spec import COLUMN_BLOCK, LoopKernel, error_word, operand_word, streamed
from monograph.targets.llvm.scalar import cost, emit_scalar

CACHE_LINE = 64
LONG_FORMULA = 8  # cost from which an op counts as a long formula
SHORT_KERNEL = 40  # cost up to which a kernel with one has room for four registers side by side


@dataclass
class Site:
    """A place in the loop nest."""

    index: dict[int, Val] = field(default_factory=dict)  # of the open dims
    pointer: dict[int, Val] = field(default_factory=dict)  # operands, advanced by all open dims
    scalars: dict[int, Val] = field(default_factory=dict)  # values known here
    splats: dict[tuple[int, int], Val] = field(default_factory=dict)  # (value, lanes)
    targets: dict[int, Val] = field(default_factory=dict)  # addresses of gathers and scatters whose indices are known here
    ahead: dict[int, Val] = field(default_factory=dict)  # rows that the next unit will read: to be fetched meanwhile
    flat: Val | None = None  # position within the reduced dims, of the last open one

    def copy(self) -> Site:
        return Site(
            dict(self.index), dict(self.pointer), dict(self.scalars), dict(self.splats), dict(self.targets), dict(self.ahead), self.flat
        )


def lanes_for(spec: LoopKernel, vector_bytes: int) -> int:
    """Lanes of one register: as many as the widest element of the expression allows, but 64-bit integers beside narrower
    values (indices, masks) take two registers; float16 and bfloat16 count as the float32 they are computed in."""
    sizes = set()
    for instr in spec.instrs:
        if instr.op not in EFFECTS and instr.dtype != "bool":
            sizes.add(4 if instr.dtype in ("float16", "bfloat16") else size_of(VALUE_TYPES[instr.dtype]))
    widest = max(sizes, default=1)
    if widest == 8 and not any(i.dtype == "float64" and i.op not in EFFECTS for i in spec.instrs) and sizes & {1, 2, 4}:
        widest = 4
    return max(1, min(SLOTS, vector_bytes // widest))


def side_by_side(spec: LoopKernel) -> int:
    """How many registers go through the expression together: several where an op is a long chain of dependent operations (exp, erf...),
    so that the processor has something to do while it waits. One where lanes are loaded one by one: the code would only get longer."""
    if any(o.inner == "strided" or o.extra for o in spec.operands):
        return 1
    costs = [cost(i.op) for i in spec.instrs if i.op not in (*MEMORY_OPS, "const", "index", "reduce")]
    return 1 if max(costs, default=0) < LONG_FORMULA else 4 if sum(costs) <= SHORT_KERNEL else 2


class KernelWriter:
    """Writes one kernel: what maps, row reductions and column reductions share."""

    def __init__(self, f: Fn, spec: LoopKernel, vector_bytes: int) -> None:
        self.f, self.spec = f, spec
        self.plan = passes_of(spec)
        self.dims = spec.kept + spec.reduced
        self.inner = spec.kept - 1 if spec.vector == "kept" else self.dims - 1  # the dim of the vector axis
        self.register = lanes_for(spec, vector_bytes)
        self.lanes = min(SLOTS, self.register * side_by_side(spec))  # of the main loops
        self.widths = sorted({self.lanes, self.register, 1}, reverse=True)  # main loops, then what is left, then single elements
        self.streams = streamed(spec) if spec.stream else []
        self.args = f.param("args")
        self.size = [f.word(self.args, d) for d in range(self.dims)]
        self.stride: dict[tuple[int, int], Val] = {}
        self.unit = Site()  # the current unit; row operands are addressed from its pointers
        self.origin: Val | None = None  # index of the vector axis at which the inner loop counts from 0
        self.saved: dict[int, Val] = {}  # arrays of saved columns
        self.partial: dict[int, Callable[[Val, int], list[Val]]] = {}  # columns: reads a reduction's partial result
        self.scratch: dict[int, Val] = {}  # arrays of spilled values
        self.ordinals = {v: k for k, v in enumerate(v for v, i in enumerate(spec.instrs) if i.op in ("gather", "scatter", "scatter_add"))}
        self.error = f.word(self.args, error_word(spec), "ptr") if spec.checks_indices else None
        self.extra: dict[int, list[tuple[Val, Val]]] = {}
        self._read_words()

    def _read_words(self) -> None:
        f, spec = self.f, self.spec
        rows = {i.attrs[0] for i in spec.instrs if i.op in MEMORY_OPS}
        fulls = {i.attrs[0] for v, i in enumerate(spec.instrs) if i.op in MEMORY_OPS and self.plan.full[v]}
        for o, operand in enumerate(spec.operands):
            if o not in rows:
                continue
            at = operand_word(spec, o)
            self.unit.pointer[o] = f.word(self.args, at, "ptr")
            for d in range(self.dims):
                if d == self.inner and operand.inner != "strided":
                    continue
                if d < spec.kept or o in fulls:
                    self.stride[o, d] = f.word(self.args, at + 1 + d)
            after = at + 1 + self.dims
            self.extra[o] = [(f.word(self.args, after + 2 * k), f.word(self.args, after + 2 * k + 1)) for k in range(operand.extra)]

    # ---- the loop nest ----
    def operands_of(self, values: Iterable[int], rows: bool = True) -> list[int]:
        """The operands that these instructions touch, in order; without `rows` only those that full accesses touch."""
        spec = self.spec
        return sorted({spec.instrs[v].attrs[0] for v in values if spec.instrs[v].op in MEMORY_OPS and (rows or self.plan.full[v])})

    def advance(self, site: Site, dim: int, index: Val, operands: Iterable[int]) -> Site:
        """The site inside one more loop, over `dim`, at `index`."""
        f, inside = self.f, site.copy()
        inside.index[dim] = index
        for o in operands:
            if (o, dim) in self.stride:
                inside.pointer[o] = f.gep(site.pointer[o], f.mul(index, self.stride[o, dim]))
        return inside

    def unit_loop(self, dims: Sequence[int], extents: Sequence[Val], body: Callable[[Sequence[Val]], None]) -> None:
        """Runs `body(indices)` for the units [begin, end), flattened over `extents`: divisions only at the start, then an odometer."""
        f = self.f
        begin, end = f.param("begin"), f.param("end")
        if len(dims) == 1:
            f.loop(begin, end, 1, (), lambda u: body([u]))
            return

        def run() -> None:
            start: list[Val] = []
            rest = begin
            for extent in reversed(extents[1:]):
                start.insert(0, f.urem(rest, extent))
                rest = f.udiv(rest, extent)
            start[:0] = [rest] if dims else []

            def step(_: Val, *indices: Val) -> list[Val]:
                body(indices)
                following = list(indices)
                carry: Val | None = None
                for d in reversed(range(len(following))):
                    moved = f.add(following[d], 1 if carry is None else f.cast("zext", carry, "i64"))
                    if d == 0:
                        following[d] = moved
                        break
                    carry = f.icmp("eq", moved, extents[d])
                    following[d] = f.select(carry, f.i64(0), moved)
                return following

            f.loop(begin, end, 1, start, step)

        f.if_(f.icmp("slt", begin, end), run)

    def enter(self, site: Site, level: int, values: Iterable[int]) -> Site:
        """Computes at `site` (in place) the given values of that level, which do not change in the loops further in."""
        for v in values:
            if self.plan.level[v] == level and level < self.dims and v not in site.scalars:
                site.scalars[v] = self.value(site, {}, v, None, 1)
        return site

    def enter_inner(self, site: Site, values: Sequence[int], effects: Sequence[int], roots: Iterable[int], widths: Iterable[int]) -> Site:
        """Prepares the vector loop (in place): addresses of gathers with known indices, vectors of the scalars that the loop uses."""
        used: set[int] = set(roots)
        for v in [*values, *effects]:
            if self.plan.level[v] == self.dims or v in effects:
                used.update(self.spec.instrs[v].args)
                if v in self.ordinals and all(self.plan.level[a] < self.dims for a in loop_index.indices_of(self.spec, v)):
                    site.targets[v] = loop_index.known_address(self, site, v)
        for n in sorted(set(widths) - {1}):
            for v in sorted(used):
                if v in site.scalars and (v, n) not in site.splats:
                    site.splats[v, n] = spread(self.f, site.scalars[v], n)
        return site

    # ---- values ----
    def get(self, site: Site, env: dict[int, Val], v: int, i: Val | None, n: int) -> Val:
        """The value v in n lanes (index i of the vector axis; None: outside the vector loop)."""
        f, instr = self.f, self.spec.instrs[v]
        if v in env:
            return env[v]
        if instr.op == "const":
            return f.const(instr.attrs[0], vector(VALUE_TYPES[instr.dtype], n))
        if v in site.scalars:
            if n == 1:
                return site.scalars[v]
            return site.splats[v, n] if (v, n) in site.splats else spread(f, site.scalars[v], n)
        if v in self.saved:
            assert i is not None
            env[v] = load_lanes(f, f.gep(self.saved[v], i, MEMORY_TYPES[instr.dtype]), instr.dtype, n, None)
            return env[v]
        raise AssertionError(f"value {v} ({instr.op}) is not known here")

    def value(self, site: Site, env: dict[int, Val], v: int, i: Val | None, n: int) -> Val:
        """Writes the computation of v in n lanes."""
        f, instr = self.f, self.spec.instrs[v]
        if instr.op == "load":
            return self.load(site, v, i, n)
        if instr.op == "gather":
            return loop_index.gather(self, site, env, v, i, n)
        if instr.op == "index":
            dim = instr.attrs[0]
            if i is None or dim != self.inner:
                return f.splat(site.index[dim], n)
            at = i if self.origin is None else f.add(i, self.origin)
            return f.add(f.splat(at, n), f.iota(n)) if n > 1 else at
        if instr.op == "reduce":
            assert i is not None
            return self.reducer(v).finish(f, self.partial[v](i, n))
        args = [self.get(site, env, a, i, n) for a in instr.args]
        if instr.op == "nonzero_divisor":
            return loop_index.refuse_zeros(self, args[0])
        return emit_scalar(f, instr.op, instr.attrs, instr.dtype, args, tuple(self.spec.instrs[a].dtype for a in instr.args))

    def reducer(self, v: int) -> Reducer:
        instr = self.spec.instrs[v]
        return Reducer(instr.attrs[0], self.spec.instrs[instr.args[0]].dtype, instr.dtype)

    def place(self, site: Site, v: int, i: Val | None, base: Val | None = None) -> tuple[Val, Val | None]:
        """Where the memory access v begins at index i of the vector axis, and the stride of its lanes (None: adjacent)."""
        f, o = self.f, self.spec.instrs[v].attrs[0]
        operand = self.spec.operands[o]
        if base is None:
            base = (site if self.plan.full[v] else self.unit).pointer[o]
        along = i is not None and self.dims > 0 and (self.plan.full[v] or self.spec.vector == "kept")
        if not along or operand.inner == "zero":
            return base, f.i64(0)
        assert i is not None
        if operand.inner == "unit":
            return f.gep(base, i, MEMORY_TYPES[operand.dtype]), None
        stride = self.stride[o, self.inner]
        return f.gep(base, f.mul(i, stride)), stride

    def load(self, site: Site, v: int, i: Val | None, n: int) -> Val:
        ptr, stride = self.place(site, v, i)
        return self.load_at(ptr, stride, self.spec.instrs[v].dtype, n)

    def load_at(self, ptr: Val, stride: Val | None, dtype: str, n: int) -> Val:
        if stride == "0" and n > 1:
            return spread(self.f, load_lanes(self.f, ptr, dtype, 1, None), n)
        return load_lanes(self.f, ptr, dtype, n, stride)

    def effect(self, site: Site, env: dict[int, Val], v: int, i: Val | None, n: int) -> None:
        """Writes a store or scatter."""
        instr = self.spec.instrs[v]
        if instr.op != "store":
            loop_index.scatter(self, site, env, v, i, n)
            return
        x = self.get(site, env, instr.args[0], i, n)
        ptr, stride = self.place(site, v, i)
        if stride == "0" and n > 1:
            x, stride = lane(self.f, x, n - 1), None
        stream = self.plan.full[v] and instr.attrs[0] in self.streams
        store_lanes(self.f, x, ptr, self.spec.instrs[instr.args[0]].dtype, stride, stream)

    def compute(self, site: Site, this: Pass, i: Val, n: int) -> dict[int, Val]:
        """Writes one step of a pass: n lanes from index i on. Returns the values."""
        f, instrs = self.f, self.spec.instrs
        env: dict[int, Val] = {}
        for v in this.reloads:
            env[v] = load_lanes(f, self.scratch_place(site, v, i), instrs[v].dtype, n, None)
        for v in this.values:
            if self.plan.level[v] == self.dims:
                env[v] = self.value(site, env, v, i, n)
        for v in this.spills:
            store_lanes(f, env[v], self.scratch_place(site, v, i), instrs[v].dtype, None)
        for v in this.effects:
            self.effect(site, env, v, i, n)
        return env

    def fetch_ahead(self, site: Site, i: Val, at: int, n: int) -> None:
        """Asks for the lines of the next unit's rows that correspond to n lanes from index i on, the `at`-th element of a step."""
        for o, row in site.ahead.items():
            ty = MEMORY_TYPES[self.spec.operands[o].dtype]
            if at * size_of(ty) % CACHE_LINE < n * size_of(ty):
                self.f.prefetch(self.f.gep(row, i, ty))

    # ---- scratch ----
    def open_scratch(self, elements: Val) -> None:
        """Divides the scratch memory among the spilled values (in the order and alignment of `loop_spec.scratch_bytes`)."""
        f, at = self.f, self.f.param("scratch")
        for v in self.plan.spilled:
            self.scratch[v] = at
            total = f.mul(elements, size_of(element(MEMORY_TYPES[self.spec.instrs[v].dtype])))
            at = f.gep(at, f.binary("and", f.add(total, 63), f.i64(-64)))

    def scratch_place(self, site: Site, v: int, i: Val) -> Val:
        assert site.flat is not None
        start = self.f.mul(site.flat, COLUMN_BLOCK) if self.spec.columns else site.flat
        return self.f.gep(self.scratch[v], self.f.add(start, i), MEMORY_TYPES[self.spec.instrs[v].dtype])
