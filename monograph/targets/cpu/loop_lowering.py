"""From loop units to fused loop kernels: strides of every access, collapsed dims, the instructions, the argument record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

from monograph.core.shape import contiguous_strides
from monograph.core.symbol import Sym
from monograph.graph.node import Node
from monograph.ops import compare, elementwise, index, random, reduce, source
from monograph.passes.domains import Sizes, spread
from monograph.passes.fuse import FULL, Fusion, Unit
from monograph.passes.views import View, broadcast_to, index_position, index_view
from monograph.targets.cpu.features import cpu_features
from monograph.targets.cpu.steps import REFUSED, ErrorWords, PlannedStep, Ref
from monograph.targets.cpu.takeover import takeovers
from monograph.targets.llvm.ir import Module
from monograph.targets.llvm.kernels.call import KernelSource
from monograph.targets.llvm.loop_spec import Instr, LoopKernel, Operand, arg_words, scratch_bytes, streamed, units
from monograph.targets.llvm.loops import emit_loop_kernel
from monograph.targets.llvm.scalar import cost, supports

GATHERS = (index.index_select, index.gather, index.index)
REDUCTIONS = {
    reduce.sum: "sum",
    reduce.prod: "prod",
    reduce.amax: "max",
    reduce.amin: "min",
    reduce.any: "any",
    reduce.all: "all",
    reduce.argmax: "argmax",
    reduce.argmin: "argmin",
}
RANDOM = {
    random.random_uniform: "random_uniform",
    random.random_normal: "random_normal",
    random.random_int: "random_integers",
    random.bernoulli: "random_bernoulli",
}
GRAIN_CYCLES = 24_000  # work for a thread to come back for: some ten microseconds
PARTS, PARTS_OF_CORE = 128, 16  # a step is not divided further where that makes parts of more than GRAIN_CYCLES
SPILL_BYTES = 192 * 1024


def streamed_from() -> int:
    """Bytes moved by a kernel from which on its results are stored past the caches: the last cache would not hold them for the reader."""
    return 2 * cpu_features().l3


def is_pointwise(node: Node) -> bool:
    """Whether a loop kernel can compute a primitive elementwise node."""
    if node.dtype is None or not node.dtype.compiled:
        return False
    if node.op in RANDOM or node.op is source.clone or node.op is elementwise.where:
        return True
    return supports(node.op.name, tuple(i.dtype.name for i in node.inputs) if node.op in _TESTS else (node.dtype.name,))


_TESTS = tuple(
    getattr(compare, n)
    for n in (
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "isnan",
        "isinf",
        "isfinite",
        "signbit",
        "logical_not",
        "logical_and",
        "logical_or",
        "logical_xor",
    )
)


@dataclass
class _Access:
    """An operand of the kernel: where it lies and how it is walked."""

    ref: Any
    dtype: str
    strides: Sizes  # in elements, over the unit's sizes
    itemsize: int
    written: bool = False
    extras: tuple[tuple[int, int], ...] = ()
    key: Any = None


class LoopWriter:
    """Writes the instructions of one loop unit and notes what memory they touch."""

    def __init__(self, unit: Unit, fusion: Fusion, stored: set[Node]) -> None:
        self.unit, self.fusion, self.stored = unit, fusion, stored
        self.sizes = unit.sizes
        kept = [i for i in range(len(self.sizes)) if i not in unit.reduced]
        self.kept = kept
        self.order = kept + sorted(unit.reduced)
        self.accesses: list[_Access] = []
        self.by_key: dict[Any, int] = {}
        self.instrs: list[Instr] = []
        self.values: dict[Any, int] = {}
        self.index_strides: list[Sizes] = []  # walks that index values need
        self.cycles = self.row_cycles = 0.0  # of the work done for each element, and for each row
        self.row_now = False
        self.checked: Node | None = None

    # ---- instructions ----
    def emit(self, op: str, args: tuple[int, ...], dtype: str, attrs: tuple[Any, ...] = ()) -> int:
        if op == "const" and isinstance(attrs[0], Sym):
            return self.number(attrs[0], dtype)
        # Constants by their text: 1, 1.0 and True are equal in Python, 0.0 and -0.0 too.
        key = None if op in ("store", "reduce") else (op, args, dtype, str(attrs) if op == "const" else attrs)
        if key is not None and key in self.values:
            return self.values[key]
        self.instrs.append(Instr(op, args, dtype, attrs))
        if key is not None:
            self.values[key] = len(self.instrs) - 1
        cycles = cost(op) if op not in ("load", "store", "const", "index", "reduce", "gather") else 1
        if self.row_now:
            self.row_cycles += cycles
        else:
            self.cycles += cycles
        return len(self.instrs) - 1

    def number(self, size: Sym, dtype: str) -> int:
        """A size that is not known yet, as a value: it is read from memory."""
        node = self.fusion.number(size)
        at = self.operand(_Access(Ref(node), "int64", (0,) * len(self.sizes), 8, key=(node, 0)))
        value = self.emit("load", (), "int64", (at, "row") if self.unit.reduced else (at,))
        return value if dtype == "int64" else self.emit("cast", (value,), dtype)

    def operand(self, access: _Access) -> int:
        key = (access.key, access.strides, access.extras, access.written)
        found = self.by_key.get(key)
        if found is None:
            found = self.by_key[key] = len(self.accesses)
            self.accesses.append(access)
        return found

    def is_row(self, node: Node) -> bool:
        return bool(self.unit.reduced) and self.unit.level[node] != FULL

    def walk(self, shape: Sizes, strides: Sizes, row: bool) -> Sizes:
        """Strides over the unit's sizes of something that a node of `shape` reads at its own position."""
        if not row:
            return spread(shape, strides, self.sizes)
        inner = spread(shape, strides, tuple(self.sizes[i] for i in self.kept))
        out = [0] * len(self.sizes)
        for i, s in zip(self.kept, inner, strict=True):
            out[i] = s
        return tuple(out)

    def read(self, x: Node, shape: Sizes, row: bool) -> int:
        """The value of input `x` in a node of `shape`."""
        v = broadcast_to(self.fusion.view(x), shape)
        root = v.root
        if root.op is source.full:
            return self.emit("const", (), root.dtype.name, (root.attrs.value,))  # type: ignore[attr-defined]
        if root.op is source.arange:
            return self.arange(root, v, shape, row)
        if root in self.unit.level and root in self.values:
            return self.values[root]
        return self.load(v, shape, row)

    def load(self, v: View, shape: Sizes, row: bool) -> int:
        root = v.root
        strides = self.walk(shape, v.strides, row)
        size = root.dtype.itemsize
        at = self.operand(_Access(Ref(root, v.offset * size), root.dtype.name, strides, size, key=(root, v.offset)))
        return self.emit("load", (), root.dtype.name, (at, "row") if row else (at,))

    def flat(self, strides: Sizes, offset: int) -> int:
        """offset + sum(stride * position) as int64."""
        total = self.emit("const", (), "int64", (offset,))
        for d, s in enumerate(strides):
            if s:
                i = self.emit("index", (), "int64", (("dim", d),))
                i = i if s == 1 else self.emit("mul", (i, self.emit("const", (), "int64", (s,))), "int64")
                total = self.emit("add", (total, i), "int64")
        self.index_strides.append(strides)
        return total

    def arange(self, root: Node, v: View, shape: Sizes, row: bool) -> int:
        a: Any = root.attrs
        i = self.flat(self.walk(shape, v.strides, row), v.offset)
        dtype = root.dtype.name
        if root.dtype.kind != "f":
            i = i if a.step == 1 else self.emit("mul", (i, self.emit("const", (), "int64", (a.step,))), "int64")
            i = i if a.start == 0 else self.emit("add", (i, self.emit("const", (), "int64", (a.start,))), "int64")
            return i if dtype == "int64" else self.emit("cast", (i,), dtype)
        x = self.emit("cast", (i,), "float64")
        x = self.emit("mul", (x, self.emit("const", (), "float64", (float(a.step),))), "float64")
        x = self.emit("add", (x, self.emit("const", (), "float64", (float(a.start),))), "float64")
        return x if dtype == "float64" else self.emit("cast", (x,), dtype)

    # ---- nodes ----
    def node(self, node: Node) -> None:
        row = self.is_row(node)
        self.row_now = row and node.op not in REDUCTIONS
        if node.op in REDUCTIONS:
            x = self.read(node.inputs[0], node.inputs[0].shape, False)
            value = self.emit("reduce", (x,), node.dtype.name, (REDUCTIONS[node.op],))
        elif node.op in GATHERS:
            value = self.gather(node, row)
        elif node.op in RANDOM:
            value = self.random(node, row)
        elif node.op is source.clone:
            value = self.read(node.inputs[0], node.shape, row)
        else:
            args = tuple(self.read(x, node.shape, row) for x in node.inputs)
            value = self.emit(node.op.name, args, node.dtype.name)
            if node.op is compare.nonzero_divisor and self.checked is None:
                self.checked = node
        self.values[node] = value
        if node in self.stored:
            size = node.dtype.itemsize
            strides = self.walk(node.shape, contiguous_strides(node.shape), row)
            at = self.operand(_Access(Ref(node), node.dtype.name, strides, size, written=True, key=(node, 0)))
            if self.unit.reduced and not row:
                self.emit("store", (value,), node.dtype.name, (at, "full"))
            else:
                self.emit("store", (value,), node.dtype.name, (at,))

    def random(self, node: Node, row: bool) -> int:
        flat = self.flat(self.walk(node.shape, contiguous_strides(node.shape), row), 0)
        *rest, key, offset = node.inputs
        args = [flat, self.read(key, node.shape, row), self.read(offset, node.shape, row)]
        if node.op is random.random_int:
            a: Any = node.attrs
            args += [self.emit("const", (), "int64", (a.low,)), self.emit("const", (), "int64", (a.high,))]
        elif node.op is random.bernoulli:
            args.append(self.read(rest[0], node.shape, row))
        return self.emit(RANDOM[node.op], tuple(args), node.dtype.name)

    def gather(self, node: Node, row: bool) -> int:
        x, *indices = node.inputs
        v = self.fusion.view(x)
        a: Any = node.attrs
        shape = node.shape
        dims = a.dims if node.op is index.index else (a.dim,) if shape else ()
        if node.op is index.index:
            at, width = index_position(node)
            inner = [d for d in range(len(x.shape)) if d not in dims]
            strides = [0] * len(shape)
            places = [p for p in range(len(shape)) if not at <= p < at + width]
            for p, d in zip(places, inner, strict=True):
                strides[p] = v.strides[d]
        else:
            strides = [0 if d == a.dim else s for d, s in enumerate(v.strides)]
        args = []
        for i in indices:
            iv = self.fusion.view(i)
            iv = broadcast_to(iv, shape) if node.op is index.gather else index_view(node, iv)
            args.append(self.counted(self.read_view(iv, shape, row), node))
        size = x.dtype.itemsize
        extras = tuple((v.strides[d] * size, x.shape[d]) for d in dims)
        at_operand = self.operand(
            _Access(
                Ref(v.root, v.offset * size),
                x.dtype.name,
                self.walk(shape, tuple(strides), row),
                size,
                extras=extras,
                key=("gather", v.root, v.offset),
            )
        )
        self.checked = node
        return self.emit("gather", tuple(args), node.dtype.name, (at_operand, "row") if row else (at_operand,))

    def counted(self, i: int, node: Node) -> int:
        """Only `index` counts negative indices from the end; for the others they become one that no size admits."""
        if node.op is index.index:
            return i
        zero, huge, least = (self.emit("const", (), "int64", (n,)) for n in (0, REFUSED, -(1 << 63)))
        far = self.emit("maximum", (self.emit("add", (i, least), "int64"), huge), "int64")  # 2 ** 63 more: the message subtracts it
        return self.emit("where", (self.emit("lt", (i, zero), "bool"), far, i), "int64")

    def read_view(self, v: View, shape: Sizes, row: bool) -> int:
        wide = broadcast_to(v, shape)
        root = wide.root
        if root.op is source.full:
            value = self.emit("const", (), root.dtype.name, (root.attrs.value,))  # type: ignore[attr-defined]
        elif root.op is source.arange:
            value = self.arange(root, wide, shape, row)
        elif root in self.unit.level and root in self.values:
            value = self.values[root]
        else:
            value = self.load(wide, shape, row)
        return value if root.dtype.name == "int64" else self.emit("cast", (value,), "int64")

    # ---- the kernel ----
    def finish(self) -> LoopOutline:
        dims = [[i] for i in self.order]
        kept = len(self.kept)
        walks = [a.strides for a in self.accesses] + self.index_strides
        dims, kept = _collapse(dims, kept, self.sizes, walks)
        reduced = len(dims) - kept
        flat = _uneven_row(dims, kept)
        if kept == 0:
            dims, kept = [[], *dims], 1
        sizes = [prod(self.sizes[i] for i in d) for d in dims]
        strides = [[a.strides[d[-1]] if d else 0 for d in dims] for a in self.accesses]
        vector = "kept" if not reduced or (self.order and max(self.order) in self.kept) else "reduced"
        if vector == "kept" and not reduced and kept > 1:
            dims, sizes, strides = _inner_last(dims, sizes, strides, self.accesses)
        axis = len(sizes) - 1 if vector == "reduced" else kept - 1
        operands = tuple(
            Operand(a.dtype, "unit" if s[axis] == 1 else "zero" if s[axis] == 0 else "strided", a.written, len(a.extras))
            for a, s in zip(self.accesses, strides, strict=True)
        )
        where = {d: (k, i) for k, group in enumerate(dims) for i, d in enumerate(group)}
        instrs = _renumber_indices(self.instrs, where, dims, self.sizes)
        spec = LoopKernel(kept, reduced, vector, operands, instrs, flat=flat)
        if reduced and any(cost(i.op) > 6 for i in instrs if i.op not in ("load", "store", "const", "index", "reduce", "gather")):
            spilling = replace(spec, spill=True)
            if scratch_bytes(spilling, sizes) <= SPILL_BYTES:
                spec = spilling
        return LoopOutline(
            spec,
            sizes,
            [(a.ref, [x * a.itemsize for x in s], a.extras, a.itemsize) for a, s in zip(self.accesses, strides, strict=True)],
            self.checked,
            (self.cycles, self.row_cycles),
            [a.ref.node for a in self.accesses if a.written],
            list(dict.fromkeys(a.ref.node for a in self.accesses if not a.written)),
            takeovers(self.accesses, self.instrs, [i for i in self.order if i in self.unit.reduced]),
            tuple(n.op.name for n in self.unit.nodes),
        )


@dataclass(eq=False)
class LoopOutline:
    """A loop kernel and what it runs on. Its sizes and strides may be symbolic, and then its `figures` are."""

    spec: LoopKernel
    sizes: list[Any]
    operands: list[tuple[Ref, list[Any], tuple[tuple[Any, Any], ...], int]]  # where, byte strides, (byte stride, size) of gathers, itemsize
    checked: Node | None
    cycles: tuple[float, float]  # of the work done for each element, and for each row
    writes: list[Node]
    reads: list[Node]
    reusable: list[tuple[Node, Node]]  # (written, read): see `takeovers`
    ops: tuple[str, ...]

    @cached_property
    def kernel(self) -> KernelSource:
        return loop_source(self.spec)

    @cached_property
    def streaming(self) -> KernelSource:
        """The kernel for sizes so large that what it stores had better go past the caches: one result; several (the states of an optimiser)
        that go past them in turn were measured to be slower by a quarter."""
        return loop_source(replace(self.spec, stream=True)) if len(streamed(self.spec)) == 1 else self.kernel

    @property
    def nodes(self) -> list[Node]:
        """All values it has to do with."""
        return [*self.reads, *self.writes, *([self.checked] if self.checked is not None else [])]

    def figures(self) -> LoopFigures:
        """What the step is made with, symbolic where sizes are."""
        spec, sizes = self.spec, self.sizes
        operands = [(ref, strides, extras) for ref, strides, extras, _ in self.operands]
        error = ErrorWords(self.checked) if self.checked is not None else None
        moved = sum(
            prod([size for size, s in zip(sizes, strides, strict=True) if s]) * itemsize for _, strides, _, itemsize in self.operands
        )
        rows = prod(sizes[: spec.kept])
        words = arg_words(spec, sizes, operands, error)
        return LoopFigures(words, units(spec, sizes), prod(sizes), rows, scratch_bytes(spec, sizes), moved)

    def step(self, figures: LoopFigures) -> PlannedStep:
        """The step of these figures, which are numbers now."""
        words, count, total, rows, scratch, moved = figures
        per_element, per_row = self.cycles
        work = total * (per_element / 8 + 0.5) + rows * per_row / 8
        # Of much work in many parts: a thread that takes parts that follow one another finds their memory fetched ahead.
        grain = max(1, int(GRAIN_CYCLES / max(1.0, work / max(1, count))), count // max(PARTS, PARTS_OF_CORE * cpu_features().cores))
        if not self.spec.reduced and self.spec.kept == 1:
            grain = max(256, (grain + 255) // 256 * 256)
        kernel = self.streaming if moved >= streamed_from() else self.kernel
        return PlannedStep(
            kernel, words, count, grain, self.reads, self.writes, scratch, int(total * per_element), moved,
            "reduce" if self.spec.reduced else "map", self.ops, self.reusable,
        )  # fmt: skip


class LoopFigures(NamedTuple):
    """The numbers of a loop's step: its argument words, units, elements, rows, bytes of scratch, bytes read and written."""

    words: list[Any]
    units: Any
    elements: Any
    rows: Any
    scratch: Any
    moved: Any


def _collapse(dims: list[list[int]], kept: int, sizes: Sizes, walks: list[Sizes]) -> tuple[list[list[int]], int]:
    """Joins neighbouring dims that every access walks through evenly, kept and reduced ones apart.

    Reduced dims with a kept one between them stay apart, however the operands lie: what is summed first must not depend on that.
    """
    out: list[list[int]] = []
    new_kept = 0
    for position, (i,) in enumerate(dims):
        if out and position != kept:
            j = out[-1][-1]
            if (position < kept or i == j + 1) and all(w[j] == w[i] * sizes[i] for w in walks):
                out[-1].append(i)
                continue
        out.append([i])
        if position < kept:
            new_kept += 1
    return out, new_kept


def _uneven_row(dims: list[list[int]], kept: int) -> int:
    """How many of the last (collapsed) reduced dims are neighbours in the domain: together they are what a reduction of a contiguous
    value would see as one dim, and they are accumulated as one."""
    count = 1
    while count < len(dims) - kept and dims[-count][0] == dims[-count - 1][-1] + 1:
        count += 1
    return count


def _inner_last(dims: list[list[int]], sizes: list[int], strides: list[list[int]], accesses: list[_Access]) -> tuple[Any, Any, Any]:
    """For maps: the dim that most accesses walk with stride one goes last, unless it is short and another is not."""

    def score(d: int) -> float:
        return sum((2.0 if a.written else 1.0) for a, s in zip(accesses, strides, strict=True) if s[d] == 1) + (
            0.0 if sizes[d] < 8 else 0.5
        )

    best = max(range(len(dims)), key=lambda d: (score(d), d))
    order = [d for d in range(len(dims)) if d != best] + [best]
    return [dims[d] for d in order], [sizes[d] for d in order], [[s[d] for d in order] for s in strides]


def _renumber_indices(instrs: list[Instr], where: dict[int, tuple[int, int]], dims: list[list[int]], sizes: Sizes) -> tuple[Instr, ...]:
    """`index` of a unit's dim becomes the index of the collapsed dim. Collapsed dims are walked evenly by every index sum, so only the
    innermost of them may carry the whole: the others contribute nothing of their own."""
    out: list[Instr] = []
    for instr in instrs:
        if instr.op == "index":
            d = instr.attrs[0][1]
            k, place = where[d]
            if place == len(dims[k]) - 1:
                out.append(Instr("index", (), "int64", (k,)))
            else:
                out.append(Instr("const", (), "int64", (0,)))
        else:
            out.append(instr)
    return tuple(out)


def loop_source(spec: LoopKernel) -> KernelSource:
    """The kernel of a loop spec."""

    width = cpu_features().vector_bytes

    def emit(module: Module, name: str) -> None:
        emit_loop_kernel(module, name, spec, width)

    return KernelSource.make("loop", (spec, width), emit)


def outline_loop(unit: Unit, fusion: Fusion, stored: set[Node]) -> LoopOutline:
    """A loop unit, written; its step follows when its sizes are known."""
    lowering = LoopWriter(unit, fusion, stored)
    for node in unit.nodes:
        lowering.node(node)
    return lowering.finish()


def copy_step(source_view: View | None, constant: Any, target: Node, shape: Sizes, strides: Sizes, offset: int) -> PlannedStep:
    """Copies a view (or a constant) into a strided region of a stored value."""
    size = target.dtype.itemsize
    name = target.dtype.name
    keep = [i for i, n in enumerate(shape) if n != 1]
    sizes = tuple(shape[i] for i in keep)
    accesses = []
    if source_view is not None:
        v = source_view
        accesses.append(_Access(Ref(v.root, v.offset * size), name, tuple(v.strides[i] for i in keep), size))
        instrs = [Instr("load", (), name, (0,)), Instr("store", (0,), name, (1,))]
    else:
        instrs = [Instr("const", (), name, (constant,)), Instr("store", (0,), name, (0,))]
    accesses.append(_Access(Ref(target, offset * size), name, tuple(strides[i] for i in keep), size, written=True))
    dims, kept = _collapse([[i] for i in range(len(sizes))], len(sizes), sizes, [a.strides for a in accesses])
    if not dims:
        dims, kept = [[]], 1
    extents = [prod(sizes[i] for i in d) for d in dims]
    walks = [[a.strides[d[-1]] if d else 0 for d in dims] for a in accesses]
    if kept > 1:
        dims, extents, walks = _inner_last(dims, extents, walks, accesses)
    operands = tuple(
        Operand(name, "unit" if s[-1] == 1 else "zero" if s[-1] == 0 else "strided", a.written)
        for a, s in zip(accesses, walks, strict=True)
    )
    spec = LoopKernel(kept, 0, "kept", operands, tuple(instrs))
    words = arg_words(spec, extents, [(a.ref, [x * size for x in s], []) for a, s in zip(accesses, walks, strict=True)])
    count = units(spec, extents)
    total = prod(extents)
    grain = max(1, int(16384 / max(1.0, total / max(1, count))))
    reads = [source_view.root] if source_view is not None else []
    return PlannedStep(
        loop_source(spec),
        words,
        count,
        grain if kept > 1 else max(4096, grain),
        reads,
        [target],
        nbytes=2 * total * size,
        kind="copy",
        ops=("copy",),
    )
