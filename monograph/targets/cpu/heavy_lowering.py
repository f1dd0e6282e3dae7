"""Lowering of what is no loop: products, convolutions, pools, scans, sorts, scatters, assembled tensors; and host steps for the rest."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from monograph.core import knobs
from monograph.core.dtype import int64
from monograph.core.shape import broadcast_all, contiguous_strides
from monograph.graph.node import Node
from monograph.graph.op import OpDef
from monograph.ops import compare, contraction, conv, elementwise, index, movement, scan, sort, source
from monograph.passes.fuse import Fusion
from monograph.passes.views import View
from monograph.runtime.program import host_kernel, read_words
from monograph.targets.cpu.features import cpu_features
from monograph.targets.cpu.loop_lowering import _Access, copy_step, loop_source
from monograph.targets.cpu.steps import REFUSED, ErrorWords, PlannedStep, Ref
from monograph.targets.llvm.kernels.call import BufferRef, KernelCall, Machine
from monograph.targets.llvm.kernels.conv_geometry import ConvShape
from monograph.targets.llvm.kernels.conv_plan import ConvSpec, plan_conv_backward_input, plan_conv_forward
from monograph.targets.llvm.kernels.conv_weight_plan import plan_conv_backward_weight
from monograph.targets.llvm.kernels.gemm import GemmSpec
from monograph.targets.llvm.kernels.gemm_plan import Matrix, plan_gemm
from monograph.targets.llvm.loop_spec import Instr, LoopKernel, Operand, arg_words, units
from monograph.targets.llvm.scan import plan_scan
from monograph.targets.llvm.sorting import plan_sort, plan_topk
from monograph.targets.reference import run as interpret

Rule = Callable[["Heavy", Node], list[PlannedStep]]
RULES: dict[OpDef, Rule] = {}
ACCEPTS: dict[OpDef, Callable[[Node], bool]] = {}
FLOATS = ("float32", "float64")
FEWEST_REPEATED = 3  # products with one right operand from which on packing it for all of them pays


def rule(op: OpDef, accepts: Callable[[Node], bool] = lambda node: True) -> Callable[[Rule], Rule]:
    """Registers how `op` is lowered, where `accepts(node)` holds."""

    def register(function: Rule) -> Rule:
        RULES[op], ACCEPTS[op] = function, accepts
        return function

    return register


def has_rule(node: Node) -> bool:
    """Whether a rule of this file takes the node (else it becomes a host step)."""
    return node.op in RULES and is_compiled(node) and ACCEPTS[node.op](node)


def is_compiled(node: Node) -> bool:
    """Whether kernels take all the dtypes that go in and come out; complex numbers and float8 are NumPy's."""
    return all(d.compiled for _, d in node.outputs) and all(d.compiled for i in node.inputs for _, d in i.outputs)


class Heavy:
    """Where rules find views and addresses."""

    def __init__(self, fusion: Fusion, projections: dict[Node, dict[int, Node]], outputs: Sequence[Node] = ()) -> None:
        self.fusion = fusion
        self.projections = projections
        self.outputs = outputs
        self.tails: dict[Node, Any] = {}  # heavy nodes that finish an elementwise unit too (see `epilogues`)
        self.repeated = _repeated(fusion)  # products whose right operand is the right operand of others too
        self.machine = Machine.of(cpu_features(), knobs.winograd.get())

    def view(self, node: Node) -> View:
        return self.fusion.view(node)

    def ref(self, node: Node) -> Ref:
        """The address of an input that is contiguous."""
        v = self.view(node)
        return Ref(v.root, v.offset * node.dtype.itemsize)

    def output(self, node: Node, i: int) -> Node | None:
        """The node that projects output i, None if nobody wants it."""
        return self.projections.get(node, {}).get(i)

    def scratch_output(self, node: Node, i: int) -> Node:
        """A place for output i that nobody wants but the kernel writes."""
        shape, dtype = node.outputs[i]
        return Node(source.project, (node,), source.project.make_attrs(index=i), shape, dtype)

    def steps(self, node: Node, calls: Sequence[KernelCall], operands: Sequence[Ref | None], outputs: int = 1) -> list[PlannedStep]:
        """Planned calls as steps; `operands` are what their BufferRefs mean, the last `outputs` of them written (and those of a tail)."""
        tail = self.tails.get(node)
        nodes = [o.node if o is not None else None for o in operands]
        written = set(range(len(operands) - outputs, len(operands)))
        ops = (node.op.name,)
        if tail is not None:
            written |= {len(operands) + k for _, k in tail.epilogue.stores}
            operands = [*operands, *(ref for ref, _ in tail.operands)]
            nodes += [ref.node for ref, _ in tail.operands]
            ops += tail.ops
        out = []
        for call in calls:
            words = [_resolve(w, operands) for w in call.words]
            used = sorted({w.operand for w in call.words if isinstance(w, BufferRef)})
            reads = [n for i in used if i not in written and (n := nodes[i]) is not None]
            writes = [n for i in used if i in written and (n := nodes[i]) is not None]
            out.append(
                PlannedStep(
                    call.kernel,
                    words,
                    call.n_units,
                    call.grain,
                    reads,
                    writes,
                    call.scratch_bytes,
                    call.flops,
                    call.nbytes,
                    node.op.name,
                    ops,
                )
            )
        return out

    def tail_of(self, node: Node, first: int) -> tuple[Any, Node, list[tuple[BufferRef, tuple[int, ...]]]]:
        """(epilogue or None, node of the final value, operands as references from number `first` on with their strides)."""
        tail = self.tails.get(node)
        if tail is None:
            return None, node, []
        return tail.epilogue, tail.result, [(BufferRef(first + i), strides) for i, (_, strides) in enumerate(tail.operands)]


def _repeated(fusion: Fusion) -> set[Node]:
    users: dict[Any, list[Node]] = {}
    for unit in fusion.units:
        node = unit.nodes[0]
        if unit.kind == "heavy" and node.op is contraction.matmul:
            v = fusion.view(node.inputs[1])
            users.setdefault((v.root, v.shape, v.strides, v.offset, node.dtype), []).append(node)
    return {node for nodes in users.values() if len(nodes) >= FEWEST_REPEATED for node in nodes}


def _resolve(word: Any, operands: Sequence[Ref | None]) -> Any:
    if isinstance(word, BufferRef):
        ref = operands[word.operand]
        return 0 if ref is None else Ref(ref.node, ref.offset + word.byte_offset)
    return word


# ---- products ----


@rule(contraction.matmul, lambda n: n.dtype.name in (*FLOATS, "float16", "bfloat16"))
def _(h: Heavy, node: Node) -> list[PlannedStep]:
    a, b = (h.view(x) for x in node.inputs)
    batch = node.shape[:-2]
    size = node.dtype.itemsize

    def matrix(v: View) -> Matrix:
        lead = len(batch) - (len(v.shape) - 2)
        strides = tuple(0 if i < lead or (v.shape[i - lead] == 1 and n != 1) else v.strides[i - lead] for i, n in enumerate(batch))
        which = 0 if v is a else 1
        return Matrix(BufferRef(which), v.strides[-2], v.strides[-1], strides)

    m, n, k = node.shape[-2], node.shape[-1], a.shape[-1]
    ma, mb = matrix(a), Matrix(BufferRef(1), b.strides[-2], b.strides[-1], matrix(b).batch)
    c = contiguous_strides(node.shape)
    mc = Matrix(BufferRef(2), n, 1, c[:-2])
    if len(batch) > 3:
        merged = _merged_batch(batch, [ma.batch, mb.batch, mc.batch])
        if merged is None:
            return host_steps(h, node)
    if k == 0:  # (a product of nothing; no tail is attached to it)
        return [copy_step(None, 0, node, node.shape, c, 0)]
    epilogue, result, extra = h.tail_of(node, 3)
    operands = [Matrix(ref, s[-2], s[-1], s[:-2]) for ref, s in extra]
    spec = GemmSpec(node.dtype.name, epilogue)
    calls = plan_gemm(spec, m, n, k, ma, mb, mc, operands, batch, h.machine, repeated=node in h.repeated)
    return h.steps(node, calls, [Ref(a.root, a.offset * size), Ref(b.root, b.offset * size), Ref(result)])


def _merged_batch(batch: tuple[int, ...], walks: list[tuple[int, ...]]) -> int | None:
    """How many batch dims are left after joining even ones; None if more than the kernel takes."""
    count = 0
    last: int | None = None
    for i, n in enumerate(batch):
        if n == 1:
            continue
        if last is None or not all(w[last] == w[i] * n for w in walks):
            count += 1
        last = i
    return count if count <= 3 else None


def _conv_shape(x: tuple[int, ...], w: tuple[int, ...], out: tuple[int, ...], a: Any) -> ConvShape:
    return ConvShape(x[0], x[1], w[0], x[2:], w[2:], out, a.stride, a.padding, a.dilation, a.groups)


def _not_empty(node: Node) -> bool:
    return node.dtype.name in (*FLOATS, "float16", "bfloat16") and all(prod(x.shape) for x in node.inputs) and prod(node.shape) > 0


@rule(conv.conv, _not_empty)
def _(h: Heavy, node: Node) -> list[PlannedStep]:
    x, w = node.inputs
    shape = _conv_shape(x.shape, w.shape, node.shape[2:], node.attrs)
    epilogue, result, extra = h.tail_of(node, 3)
    spec = ConvSpec(node.dtype.name, epilogue)
    calls = plan_conv_forward(spec, shape, BufferRef(0), BufferRef(1), BufferRef(2), [ref for ref, _ in extra], h.machine)
    return h.steps(node, calls, [h.ref(x), h.ref(w), Ref(result)])


@rule(conv.conv_backward_input, _not_empty)
def _(h: Heavy, node: Node) -> list[PlannedStep]:
    g, w = node.inputs
    shape = _conv_shape(node.shape, w.shape, g.shape[2:], node.attrs)
    epilogue, result, extra = h.tail_of(node, 3)
    spec = ConvSpec(node.dtype.name, epilogue)
    calls = plan_conv_backward_input(spec, shape, BufferRef(0), BufferRef(1), BufferRef(2), [ref for ref, _ in extra], h.machine)
    return h.steps(node, calls, [h.ref(g), h.ref(w), Ref(result)])


@rule(conv.conv_backward_weight, _not_empty)
def _(h: Heavy, node: Node) -> list[PlannedStep]:
    g, x = node.inputs
    shape = _conv_shape(x.shape, node.shape, g.shape[2:], node.attrs)
    calls = plan_conv_backward_weight(ConvSpec(node.dtype.name), shape, BufferRef(0), BufferRef(1), BufferRef(2), h.machine)
    return h.steps(node, calls, [h.ref(x), h.ref(g), Ref(node)])


# ---- scans and sorts ----


def _lines(shape: tuple[int, ...], dim: int) -> tuple[int, int, int]:
    return (prod(shape[:dim]), shape[dim], prod(shape[dim + 1 :])) if shape else (1, 1, 1)


def _running(op: OpDef, name: str) -> None:
    @rule(op, lambda n: n.dtype is None or n.dtype.kind in "fiu")
    def _(h: Heavy, node: Node) -> list[PlannedStep]:
        x = node.inputs[0]
        sizes = _lines(x.shape, node.attrs.dim)  # type: ignore[attr-defined]
        return h.steps(node, plan_scan(name, x.dtype.name, sizes, machine=h.machine), [h.ref(x), Ref(node)])


_running(scan.cumsum, "cumsum")
_running(scan.cumprod, "cumprod")


def _ordered(op: OpDef) -> None:
    @rule(op, lambda n: True)
    def _(h: Heavy, node: Node) -> list[PlannedStep]:
        x = node.inputs[0]
        a: Any = node.attrs
        values, indices = h.output(node, 0), h.output(node, 1)
        if values is None and indices is None:
            return []
        if op is sort.sort:
            calls = plan_sort(x.dtype.name, _lines(x.shape, a.dim), a.descending, values=values is not None, indices=indices is not None)
        else:
            calls = plan_topk(x.dtype.name, _lines(x.shape, a.dim), a.k, a.largest, values=values is not None, indices=indices is not None)
        return h.steps(
            node, calls, [h.ref(x), Ref(values) if values is not None else None, Ref(indices) if indices is not None else None], outputs=2
        )


_ordered(sort.sort)
_ordered(sort.topk)


# ---- assembled tensors: an output filled region by region ----


def _fill(h: Heavy, x: Node, target: Node, shape: Any, strides: Any, offset: int) -> PlannedStep:
    v = h.view(x)
    if v.root.op is source.full:
        return copy_step(None, v.root.attrs.value, target, shape, strides, offset)  # type: ignore[attr-defined]
    return copy_step(v, None, target, shape, strides, offset)


@rule(movement.cat)
def _(h: Heavy, node: Node) -> list[PlannedStep]:
    strides = contiguous_strides(node.shape)
    d = node.attrs.dim  # type: ignore[attr-defined]
    out, at = [], 0
    for x in node.inputs:
        if prod(x.shape):
            out.append(_fill(h, x, node, x.shape, strides, at * strides[d]))
        at += x.shape[d]
    return out


@rule(movement.slice_scatter)
def _(h: Heavy, node: Node) -> list[PlannedStep]:
    base, new = node.inputs
    a: Any = node.attrs
    strides = contiguous_strides(node.shape)
    out = [_fill(h, base, node, node.shape, strides, 0)]
    if prod(new.shape):
        offset = sum(s * k for s, k in zip(strides, a.starts, strict=True))
        out.append(_fill(h, new, node, new.shape, tuple(s * k for s, k in zip(strides, a.steps, strict=True)), offset))
    return out


@rule(movement.pad)
def _(h: Heavy, node: Node) -> list[PlannedStep]:
    x = node.inputs[0]
    a: Any = node.attrs
    strides = contiguous_strides(node.shape)
    v = h.view(x)
    starts = [max(-low, 0) for low in a.low]
    lengths = [n + min(low, 0) + min(high, 0) for n, low, high in zip(x.shape, a.low, a.high, strict=True)]
    out = [] if any(n == 0 for n in node.shape) else [copy_step(None, a.value, node, node.shape, strides, 0)]
    if all(n > 0 for n in lengths):
        inner = View(v.root, tuple(lengths), v.strides, v.offset + sum(s * k for s, k in zip(v.strides, starts, strict=True)))
        offset = sum(s * max(low, 0) for s, low in zip(strides, a.low, strict=True))
        constant = v.root.attrs.value if v.root.op is source.full else None  # type: ignore[attr-defined]
        out.append(copy_step(None if v.root.op is source.full else inner, constant, node, tuple(lengths), strides, offset))
    return out


ASSEMBLED = (movement.cat, movement.slice_scatter, movement.pad)


# ---- scatters: a copy, then writes in the order of the index ----


def _accumulates(node: Node) -> bool:
    return node.op is not index.scatter and (node.op is not index.index_put or node.attrs.accumulate)  # type: ignore[attr-defined]


def _scatter(op: OpDef) -> None:
    # Adding to a tensor without dims is left to the reference. It is refused here, not below: only ops without a rule get their
    # constants written into memory.
    @rule(
        op,
        lambda n: (
            n.dtype.kind in "fiub"
            and (n.dtype.name not in ("float16", "bfloat16"))
            and all(i.dtype.kind in "fiub" for i in n.inputs)
            and not (n.shape == () and _accumulates(n))
        ),
    )
    def _(h: Heavy, node: Node) -> list[PlannedStep]:
        a: Any = node.attrs
        base, *rest = node.inputs
        strides = contiguous_strides(node.shape)
        out = [_fill(h, base, node, node.shape, strides, 0)] if prod(node.shape) else []
        if op is index.index_put:
            *indices, src = rest
            dims = a.dims
        else:
            indices, src, dims = [rest[0]], rest[1], (a.dim,)
        if not prod(src.shape) or not prod(node.shape):
            return out
        if not node.shape:
            return [*out, _fill(h, src, node, (), (), 0)]
        out.append(_scatter_step(h, node, dims, indices, src, _accumulates(node), getattr(a, "alpha", 1)))
        return out


def _scatter_step(h: Heavy, node: Node, dims: tuple[int, ...], indices: list[Node], src: Node, accumulate: bool, alpha: Any) -> PlannedStep:
    strides = contiguous_strides(node.shape)
    size = node.dtype.itemsize
    sv = h.view(src)
    elementwise = node.op in (index.scatter, index.scatter_add)
    if elementwise:
        width, at = 1, dims[0]
    else:
        width = len(indices[0].shape)
        together = all(q - p == 1 for p, q in pairwise(dims))
        at = dims[0] if together else 0
    shape = indices[0].shape if elementwise else src.shape
    run = range(at, at + width)  # positions in the domain that the index runs over
    inner = [d for d in range(len(node.shape)) if d not in dims]
    target = [0] * len(shape)
    for p, d in zip([p for p in range(len(shape)) if p not in run], inner, strict=True):
        target[p] = strides[d]
    kept = [p for p in range(len(shape)) if p not in run]
    order = [*kept, *run]
    sizes = [shape[p] for p in order]
    last_is_kept = bool(kept) and bool(run) and max(kept) > max(run)
    accesses = [_Access(Ref(sv.root, sv.offset * size), src.dtype.name, tuple(sv.strides[p] for p in order), size)]
    for i in indices:
        iv = h.view(i)
        wide = iv.strides if elementwise else (0,) * at + iv.strides + (0,) * (len(shape) - at - width)
        accesses.append(_Access(Ref(iv.root, iv.offset * 8), "int64", tuple(wide[p] for p in order), 8))
    extras = tuple((strides[d] * size, node.shape[d]) for d in dims)
    accesses.append(_Access(Ref(node), node.dtype.name, tuple(target[p] for p in order), size, True, extras))
    name = node.dtype.name
    instrs = [Instr("load", (), a.dtype, (k,)) for k, a in enumerate(accesses[:-1])]
    value = 0
    if alpha != 1:
        instrs += [Instr("const", (), name, (alpha,)), Instr("mul", (0, len(instrs)), name)]
        value = len(instrs) - 1
    instrs.append(Instr("scatter_add" if accumulate else "scatter", (value, *range(1, 1 + len(indices))), name, (len(accesses) - 1,)))
    vector = "kept" if last_is_kept or not run else "reduced"
    axis = len(kept) - 1 if vector == "kept" else len(sizes) - 1
    operands = tuple(
        Operand(a.dtype, "unit" if a.strides[axis] == 1 else "zero" if a.strides[axis] == 0 else "strided", a.written, len(a.extras))
        for a in accesses
    )
    spec = LoopKernel(len(kept), len(run), vector, operands, tuple(instrs))
    words = arg_words(spec, sizes, [(a.ref, [s * a.itemsize for s in a.strides], list(a.extras)) for a in accesses], ErrorWords(node))
    reads = [a.ref.node for a in accesses[:-1]]
    return PlannedStep(
        loop_source(spec),
        words,
        units(spec, sizes),
        1,
        [*reads, node],
        [node],
        nbytes=3 * prod(sizes) * size,
        kind="scatter",
        ops=(node.op.name,),
    )


SCATTERS = (index.index_add, index.index_put, index.scatter, index.scatter_add)
for _op in SCATTERS:
    _scatter(_op)


def scatter_operands(node: Node, inputs: tuple[Node, ...], stored: Callable[[Node], Node]) -> tuple[Node, ...]:
    """The operands as the scatter kernel takes them: int64 indices of one shape, values of the region's shape, negative indices refused
    where the op does not count from the end."""
    base, *rest = inputs
    if node.op is index.index_put:
        *indices, src = rest
        shape = broadcast_all([i.shape for i in indices])
        indices = [i if i.shape == shape else movement.expand(i, shape=shape) for i in indices]
        region = index.index(base, *indices, dims=node.attrs.dims).shape  # type: ignore[attr-defined]
        src = src if src.shape == region else movement.expand(src, shape=region)
    else:
        indices, src = [rest[0]], rest[1]
        if node.op is not index.index_add and src.shape != indices[0].shape:
            lengths = indices[0].shape
            src = movement.slice(src, starts=(0,) * len(lengths), steps=(1,) * len(lengths), lengths=lengths)
    whole = [i if i.dtype is int64 else elementwise.cast(i, dtype=int64) for i in indices]
    if node.op is not index.index_put:
        least, nowhere = source.constant(-(1 << 63), int64), source.constant(REFUSED, int64)  # as in `LoopLowering.counted`
        far = [elementwise.maximum(elementwise.add(i, least), nowhere) for i in whole]
        whole = [elementwise.where(compare.lt(i, source.constant(0, int64)), f, i) for i, f in zip(whole, far, strict=True)]
    return (base, *[stored(i) for i in whole], stored(src))


# ---- everything else: the reference, called from the program ----


def _memory(address: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    count = prod(shape)
    if not count:
        return np.empty(shape, dtype)
    return np.frombuffer(memoryview((ctypes.c_char * (count * dtype.itemsize)).from_address(address)), dtype).reshape(shape)


class _Raw:
    """Memory at an address, walked by strides, as NumPy takes it over."""

    def __init__(self, address: int, shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> None:
        self.__array_interface__ = {"version": 3, "data": (address, False), "shape": shape, "strides": strides, "typestr": f"|V{itemsize}"}


def _strided(address: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """A walk through memory as an array; the program keeps the memory alive while the step runs."""
    if not prod(shape):
        return np.empty(shape, dtype)
    return np.asarray(_Raw(address, shape, strides, dtype.itemsize)).view(dtype)


def host_steps(h: Heavy, node: Node) -> list[PlannedStep]:
    """The op's reference as a step: right, and as slow as NumPy."""
    views = [h.view(x) for x in node.inputs]
    inputs = [(v.shape, tuple(s * x.dtype.itemsize for s in v.strides), x.dtype.np) for v, x in zip(views, node.inputs, strict=True)]
    targets = [h.output(node, i) for i in range(len(node.shape))] if node.dtype is None else [node]
    outputs = [(t.shape, t.dtype.np) if t is not None else None for t in targets]
    stand_ins = [source.placeholder(x.shape, x.dtype) for x in node.inputs]
    again = Node(node.op, tuple(stand_ins), node.attrs, node.shape, node.dtype)

    def run(args: int, begin: int, end: int, scratch: int) -> None:
        words = read_words(args, len(inputs) + len(outputs))
        arrays = [_strided(w, *t) for w, t in zip(words, inputs, strict=False)]
        with np.errstate(all="ignore"):
            if node.op.reference is not None:
                result = node.op.reference(node.attrs, *arrays)
            else:
                result = interpret([again], dict(zip(stand_ins, arrays, strict=True)))[0]
        for w, t, value in zip(words[len(inputs) :], outputs, result if isinstance(result, tuple) else (result,), strict=True):
            if t is not None:
                _memory(w, *t)[...] = value

    refs = [h.ref(x) for x in node.inputs]
    words: list[Any] = [*refs, *(Ref(t) if t is not None else 0 for t in targets)]
    return [
        PlannedStep(
            host_kernel(run), words, 1, 1, [r.node for r in refs], [t for t in targets if t is not None], kind="host", ops=(node.op.name,)
        )
    ]


def lower_heavy(h: Heavy, node: Node) -> list[PlannedStep]:
    """The steps of a node that is no loop."""
    return RULES[node.op](h, node) if has_rule(node) else host_steps(h, node)
