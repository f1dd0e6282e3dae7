"""The CPU's plan: a graph lowered, laid out in memory, compiled, and run as one native call."""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Callable, Sequence
from ctypes import memmove, memset
from functools import cached_property
from typing import Any

import numpy as np

from monograph.core import knobs
from monograph.core.dtype import FLOAT8, bfloat16, by_name
from monograph.core.dtype import dtype as DType
from monograph.core.errors import DimensionError, MonographError
from monograph.core.shape import numel
from monograph.core.symbol import Sym, hint_of
from monograph.graph.node import Node, provenance
from monograph.graph.op import Trait
from monograph.ops import attention, compare, contraction, movement, source
from monograph.passes.fuse import ASSEMBLE, GATHER, HEAVY, POINT, PROJECT, REDUCE, SOURCE, VIEW, VIRTUAL, Unit, fuse
from monograph.passes.graph import Graph, extract, quiet, rewrite
from monograph.passes.pipeline import optimise, pipeline
from monograph.passes.schedule import schedule
from monograph.passes.views import View, materialise_reshapes, resolve
from monograph.runtime.buffers import Buffer, Several
from monograph.runtime.observing import observing
from monograph.runtime.program import ARENA, REFUSES, Address, HostKernel, Program, Step
from monograph.targets.base import KernelInfo
from monograph.targets.cpu import attention_lowering, pool_lowering
from monograph.targets.cpu.epilogues import absorb
from monograph.targets.cpu.handover import Handover, heirs, last_check
from monograph.targets.cpu.heavy_lowering import ASSEMBLED, SCATTERS, Heavy, has_rule, lower_heavy, scatter_operands
from monograph.targets.cpu.jit import jit
from monograph.targets.cpu.loop_lowering import GATHERS, RANDOM, REDUCTIONS, LoopOutline, is_pointwise, outline_loop
from monograph.targets.cpu.memory_plan import KnownSizes, place, size_of
from monograph.targets.cpu.packed_weights import PackedWeights, packed_once
from monograph.targets.cpu.pool import native_entry
from monograph.targets.cpu.steps import REFUSED, ErrorWords, PlannedStep, Ref
from monograph.targets.cpu.updates_last import updates_last
from monograph.targets.llvm.kernels.call import ConstBuffer, KernelSource, TempBuffer
from monograph.targets.llvm.loop_index import ZERO_DIVISOR

RULE_FILES = (pool_lowering, attention_lowering)  # importing them registers their rules
LARGE_RUN = 8 << 20  # bytes of working memory from which on the compiler's must not lie beside it
BRIEF_RUN = 1 << 20  # FLOPs and bytes moved, together: about ten microseconds
FORMATS = {
    "bool": "?",
    "uint8": "B",
    "uint16": "H",
    "uint32": "I",
    "uint64": "Q",
    "int8": "b",
    "int16": "h",
    "int32": "i",
    "int64": "q",
    "float16": "e",
    "bfloat16": "H",
    "float32": "f",
    "float64": "d",
    "complex64": "8s",
    "complex128": "16s",
    **dict.fromkeys((d.name for d in FLOAT8), "1s"),
}
WALKING = (contraction.matmul, attention.scaled_dot_product_attention, attention.attention_backward)  # read operands by their strides
_FOLLOWED = (movement.reshape, movement.permute, movement.expand, movement.slice, movement.diagonal, movement.unfold, movement.flip)


def kind_of(node: Node) -> str:
    """What a node is to this target."""
    op = node.op
    if op is source.source or op is source.scalar:
        return SOURCE
    if op is source.full or op is source.arange:
        return VIRTUAL if node.dtype.compiled else HEAVY
    if op is source.project:
        return PROJECT
    if op in _FOLLOWED:
        return VIEW
    if node.dtype is not None and node.dtype.compiled and all(i.dtype is not None and i.dtype.compiled for i in node.inputs):
        if op in REDUCTIONS:
            return REDUCE if numel(node.inputs[0].shape) or op.name not in ("argmax", "argmin") else HEAVY
        if op in GATHERS:
            # An empty dim cannot be indexed at all; the reference says so.
            return GATHER if numel(node.inputs[0].shape) and node.shape else HEAVY
        if (Trait.POINTWISE in op.traits or op in RANDOM or op is source.clone) and is_pointwise(node):
            return POINT
    return ASSEMBLE if op in ASSEMBLED and node.dtype.compiled else HEAVY


def keeps(node: Node) -> bool:
    """Composites that this target takes whole: those for which it has a scalar rule of its own, and attention."""
    return kind_of(node) == POINT or attention_lowering.takes_attention(node)


def ready(graph: Graph) -> Graph:
    """Copies where a value must lie in memory of its own: outputs that are none, operands of heavy ops that are walked oddly."""
    graph = materialise_reshapes(graph)
    memo: dict[Node, View] = {}

    def contiguous(x: Node) -> Node:
        v = resolve(x, memo)
        return x if v.contiguous and kind_of(v.root) != VIRTUAL else source.clone(x)

    def copyable(x: Node) -> Node:
        """What a copy step can read: memory or one constant, no numbers that are counted up."""
        return source.clone(x) if resolve(x, memo).root.op is source.arange else x

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        kind = kind_of(node)
        if node.op in SCATTERS and has_rule(node):
            fresh = scatter_operands(node, inputs, lambda x: source.clone(x) if kind_of(resolve(x, memo).root) == VIRTUAL else x)
            fresh = (copyable(fresh[0]), *fresh[1:])
        elif kind == ASSEMBLE:
            fresh = tuple(copyable(x) for x in inputs)
        elif kind == HEAVY and not has_rule(node):  # a host step walks any view, but through memory
            fresh = tuple(source.clone(x) if kind_of(resolve(x, memo).root) == VIRTUAL else x for x in inputs)
        elif kind == HEAVY and node.op not in WALKING:
            fresh = tuple(contiguous(x) for x in inputs)
        elif kind == HEAVY:
            fresh = tuple(source.clone(x) if kind_of(resolve(x, memo).root) == VIRTUAL else x for x in inputs)
        elif kind == GATHER:
            fresh = (source.clone(inputs[0]) if kind_of(resolve(inputs[0], memo).root) == VIRTUAL else inputs[0], *inputs[1:])
        else:
            return None
        return None if fresh == inputs else Node(node.op, fresh, node.attrs, node.shape, node.dtype)

    graph = rewrite(graph, rule)
    seen: set[Node] = set()
    outputs = []
    for o in graph.outputs:
        if kind_of(o) in (SOURCE, VIEW, VIRTUAL) or o in seen:
            o = Node(source.clone, (o,), source.clone.make_attrs(), o.shape, o.dtype)
        seen.add(o)
        outputs.append(o)
    return Graph(graph.sources, graph.scalars, tuple(outputs))


def prepared(sources: Sequence[Node], scalars: Sequence[Node], outputs: Sequence[Node]) -> Graph:
    """The graph between live nodes, cut loose and optimised for this target."""
    return optimise(extract(sources, scalars, outputs), pipeline(keeps), _ladder())


class Lowering:
    """A graph cut into units of work, in an order in which they can run."""

    def __init__(self, graph: Graph, number: Callable[[Sym], Node] | None = None) -> None:
        self.graph = graph = ready(graph)
        self.fusion = fuse(graph, kind_of)
        if number is not None:
            self.fusion.number = number
        projections: dict[Node, dict[int, Node]] = {}
        for node in graph.nodes():
            if node.op is source.project:
                projections.setdefault(node.inputs[0], {})[node.attrs.index] = node  # type: ignore[attr-defined]
        self.heavy = Heavy(self.fusion, projections, graph.outputs)
        self.stored = set(self.fusion.stored)
        outside = {*graph.sources, *graph.scalars, *graph.outputs}  # what lies in memory of its own
        self.units = schedule(
            absorb(self.fusion, self.stored, self.heavy), self._reads, self._writes, lambda n: 0 if n in outside else hint_of(size_of(n))
        )

    def _reads(self, unit: Unit) -> list[Node]:
        """The values in memory that a unit reads (and of heavy ones, what their tails read and write beside the result)."""
        view = self.fusion.view
        found = [view(x).root for node in unit.nodes for x in node.inputs]
        tail = self.heavy.tails.get(unit.nodes[0]) if unit.kind != "loop" else None
        return found if tail is None else [*found, *(ref.node for ref, _ in tail.operands)]

    def _writes(self, unit: Unit) -> list[Node]:
        """The values in memory that a unit makes."""
        if unit.kind == "loop":
            return [node for node in unit.nodes if node in self.stored]
        node = unit.nodes[0]
        tail = self.heavy.tails.get(node)
        if tail is not None:
            return [tail.result, *(tail.operands[k][0].node for _, k in tail.epilogue.stores)]
        return [node] if node.dtype is not None else list(self.heavy.projections.get(node, {}).values())

    def outline(self, unit: Unit) -> LoopOutline | None:
        """The kernel of a loop unit, None if nobody would see what it does."""
        made = outline_loop(unit, self.fusion, self.stored)
        return made if made.writes else None

    def steps(self) -> list[PlannedStep]:
        """All steps of the graph."""
        out: list[PlannedStep] = []
        for unit in self.units:
            if unit.kind != "loop":
                out += lower_heavy(self.heavy, unit.nodes[0])
            elif (outline := self.outline(unit)) is not None:
                out.append(outline.step(outline.figures()))
        return out


class CpuPlan:
    """A compiled graph. `run` is one native call."""

    def __init__(self, sources: Sequence[Node], scalars: Sequence[Node], outputs: Sequence[Node]) -> None:
        with quiet():
            lowering = Lowering(prepared(sources, scalars, outputs))
            steps = lowering.steps()
        self._layout(lowering.graph, steps, (), KnownSizes())

    @classmethod
    def of(cls, graph: Graph, steps: Sequence[PlannedStep], numbers: Sequence[Any], sizes: KnownSizes) -> CpuPlan:
        """The plan of steps that are made already. `numbers` are the values of the last scalars of the graph, which a run is not given."""
        plan = cls.__new__(cls)
        plan._layout(graph, steps, numbers, sizes)
        return plan

    # ---- memory and code ----
    def _layout(self, graph: Graph, steps: Sequence[PlannedStep], numbers: Sequence[Any], sizes: KnownSizes) -> None:
        steps = updates_last(packed_once([s for s in steps if s.units]), graph.sources, graph.outputs)
        self._numbers = tuple(numbers)
        where: dict[Node, tuple[int, int]] = {}  # node -> (buffer, byte offset)
        for i, s in enumerate(graph.sources):
            where[s] = (i, 0)
        at_scalars = len(graph.sources)
        layout = "="
        offset = 0
        for s in graph.scalars:
            where[s] = (at_scalars, offset)
            form = FORMATS[s.dtype.name]
            pad = -struct.calcsize("=" + form) % 8
            layout += form + (f"{pad}x" if pad else "")
            offset += struct.calcsize("=" + form) + pad
        at_outputs = at_scalars + 1
        self.output_sizes = [sizes.of(o) for o in graph.outputs]
        self._outputs = Several(self.output_sizes)
        self._partial: dict[Any, Several] = {}  # of runs in which some take over sources
        for i, o in enumerate(graph.outputs):
            where[o] = (at_outputs + i, 0)
        at_errors = at_outputs + len(graph.outputs)
        arena, arena_bytes = place(steps, set(where), sizes)
        self.checked: list[str] = []  # what to say when an index is refused
        self.constants: list[Buffer] = []

        def address(word: Any) -> Any:
            if isinstance(word, Ref):
                found = where.get(word.node)
                return Address(ARENA, arena[word.node] + word.offset) if found is None else Address(found[0], found[1] + word.offset)
            if isinstance(word, TempBuffer):
                return Address(ARENA, arena[word])
            if isinstance(word, ConstBuffer):
                buffer = Buffer(max(1, len(word.data)))
                buffer.array((len(word.data),), "u1")[...] = memoryview(word.data)
                self.constants.append(buffer)
                return buffer.ptr
            if isinstance(word, ErrorWords):
                self.checked.append(_refusal(word.node))
                return Address(at_errors, 16 * (len(self.checked) - 1))
            return word

        kernels = {s.kernel.name: s.kernel for s in steps if not isinstance(s.kernel, HostKernel)}
        addresses = jit().kernels(kernels)
        refusing = last_check(steps)
        program_steps = [
            Step(
                s.kernel if isinstance(s.kernel, HostKernel) else addresses[s.kernel.name],
                [w if type(w) is int else address(w) for w in s.words],
                s.units,
                s.grain,
                REFUSES if i == refusing else 0,
                s.kind,
            )
            for i, s in enumerate(steps)
        ]
        self.heirs = heirs(steps, graph.sources, graph.outputs)  # (output, source) pairs that may share memory
        self._scalars = struct.Struct(layout).pack if graph.scalars else None
        # Packing makes floats of all that are none.
        as_they_are = all(s.dtype.name in ("float32", "float64") for s in graph.scalars)
        self._converts = None if as_they_are else [_converter(s.dtype.name) for s in graph.scalars]
        self._scalar_bytes = max(8, offset)
        scratch = max((s.scratch for s in steps), default=0)
        # Python's lock is kept where giving it away and waiting for it again would take longer than the program.
        size = sum(s.flops + s.nbytes for s in steps)
        brief = size <= BRIEF_RUN and not any(isinstance(s.kernel, HostKernel) for s in steps)
        made: dict[str, Any] = {"scratch_bytes": scratch, "arena_bytes": arena_bytes, "keep": self.constants, "brief": brief}
        self._has_outcome = bool(self.checked or self.heirs)
        if self._has_outcome:
            made["outcome"] = at_errors, 2 * len(self.checked)
        n_buffers = at_errors + self._has_outcome
        self.program = Program(native_entry(), program_steps, n_buffers, **made)
        self._packed = PackedWeights.of(native_entry(), steps, program_steps, graph.sources, made, n_buffers)
        self._dummy = Buffer(8)
        # The plan keeps no node alive: a cached one may outlive many programs.
        self._shown = [
            (s.kernel, s.kind, s.ops, [(n.dtype, n.shape) for n in s.writes], s.units, s.flops, s.nbytes, _lines(s.writes)) for s in steps
        ]
        self._number = sizes.number  # of a dim in these shapes
        if arena_bytes + sum(self.output_sizes) >= LARGE_RUN:
            jit().rest()

    # ---- running ----
    def run(self, sources: Sequence[Buffer], scalars: Sequence[Any]) -> list[Buffer]:
        """See engine.plans.Plan."""
        outputs, addresses, keep = self.prepare(sources, scalars)
        self.launch(sources, addresses, keep)
        return outputs

    def prepare(
        self, sources: Sequence[Buffer], scalars: Sequence[Any], taking: Sequence[tuple[int, int]] = ()
    ) -> tuple[list[Buffer], list[int], list[Buffer]]:
        """(outputs, all addresses, what must live until the run ends). `taking`: see `handover`."""
        addresses = [b.ptr for b in sources]
        keep: list[Buffer] = []
        if self._scalars is not None:
            block = Buffer(self._scalar_bytes)
            keep.append(block)
            values: Sequence[Any] = (*scalars, *self._numbers)
            if self._converts is not None:
                values = [c(v) for c, v in zip(self._converts, values, strict=True)]
            packed = self._scalars(*values)
            memmove(block.ptr, packed, len(packed))
            addresses.append(block.ptr)
        else:
            addresses.append(self._dummy.ptr)
        if taking:
            several = self._partial.get(taking)
            if several is None:
                several = self._partial[taking] = Several(self.output_sizes, {o for o, _ in taking})
            outputs = several.make()
            for o, source in taking:
                outputs[o].ptr = addresses[source]
        else:
            outputs = self._outputs.make()
        addresses += [b.ptr for b in outputs]
        if self.checked or taking:
            size = 16 * len(self.checked) + 8
            outcome = Buffer(size)
            memset(outcome.ptr, 0, size)
            keep.append(outcome)
            addresses.append(outcome.ptr)
        elif self._has_outcome:  # nobody will look at it
            addresses.append(self._dummy.ptr)
        return outputs, addresses, keep

    def handover(self, sources: Sequence[Buffer], scalars: Sequence[Any], taking: Sequence[tuple[int, int]]) -> Handover:
        """A run in which outputs take over sources: pairs of `heirs`."""
        return Handover(self, sources, scalars, taking)

    def launch(self, sources: Sequence[Buffer], addresses: list[int], keep: Sequence[Buffer]) -> None:
        """The native call of a run that is prepared. Raises for refused indices."""
        failure: RuntimeError | None = None
        try:
            if observing.kernels is None:
                kept = self._packed.use(sources) if self._packed is not None else None
                if kept is None:
                    self.program.run(addresses)
                else:
                    kept.program.run([*addresses, kept.memory.ptr])
            else:
                start = time.perf_counter_ns()
                observing.kernels(self, start, self.program.profile(addresses))
        except RuntimeError as error:
            failure = error
        if failure is not None:
            if self.checked:
                self._check(keep[-1])
            raise failure

    def _check(self, errors: Buffer) -> None:
        words = errors.array((len(self.checked), 2), "i8")
        for refused, (code, value) in zip(self.checked, words, strict=True):
            if code == ZERO_DIVISOR:
                raise MonographError(compare.DIVIDED_BY_ZERO)
            if code:
                raise DimensionError(refused.format(value=int(value) - (1 << 63) if value >= REFUSED else int(value)))

    def describe(self) -> list[KernelInfo]:
        """The kernel calls of one run, in order."""
        return self.steps

    @cached_property
    def steps(self) -> list[KernelInfo]:
        """See `describe`."""
        return [_info(self._number, *shown) for shown in self._shown]

    def profile(self, sources: Sequence[Buffer], scalars: Sequence[Any]) -> list[int]:
        """Runs once and returns the nanoseconds of every kernel call."""
        _, addresses, keep = self.prepare(sources, scalars)
        times = self.program.profile(addresses)
        del keep
        return times


def _refusal(node: Node) -> str:
    """The message for an index that is out of range, with a place for its value."""
    if node.op is compare.nonzero_divisor:
        return compare.DIVIDED_BY_ZERO
    x = node.inputs[0]
    a: Any = node.attrs
    dims = a.dims if hasattr(a, "dims") else (a.dim,)
    line = provenance(node)
    sizes = ", ".join(str(x.shape[d]) for d in dims) if x.shape else "1"
    text = (
        f"is out of bounds for dimension {dims[0]} with size {sizes} ({node.op.name} of a tensor of shape "
        f"{list(x.shape)}{', recorded at ' + line if line else ''})"
    )
    start = "index out of range in self: " if node.op.name == "index_select" else ""  # torch's words, of embedding too
    return start + "index {value} " + text.replace("{", "{{").replace("}", "}}")


def _lines(nodes: Sequence[Node]) -> tuple[str, ...]:
    """The user's lines that asked for these values, where they are known."""
    return tuple(dict.fromkeys(filter(None, map(provenance, nodes))))


def _info(
    number: Callable[[Any], int],
    kernel: KernelSource | HostKernel,
    kind: str,
    ops: tuple[str, ...],
    written: list[tuple[DType, Any]],
    n_units: int,
    flops: int,
    nbytes: int,
    lines: tuple[str, ...],
) -> KernelInfo:  # fmt: skip
    outputs = tuple(f"{dtype.name}[{', '.join(str(number(n)) for n in shape)}]" for dtype, shape in written)
    if isinstance(kernel, HostKernel):
        note = "the reference, in Python"
        return KernelInfo("host", kind, ops, outputs, n_units, flops, nbytes, lambda: note, lambda: note, None, lines)
    return KernelInfo(
        kernel.name, kind, ops, outputs, n_units, flops, nbytes, kernel.text, lambda: jit().assembly(kernel.text()), kernel.key, lines
    )


def _converter(name: str) -> Callable[[Any], Any]:
    if name == "bool":
        return bool
    if name in ("float16", "float32", "float64"):
        return float
    if FORMATS[name].endswith("s"):
        return lambda value: np.asarray(value).astype(by_name(name).np).tobytes()
    return _bfloat16_bits if name == "bfloat16" else int


def _bfloat16_bits(value: Any) -> int:
    return int(np.asarray(value).astype(bfloat16.np).view(np.uint16))


def _ladder() -> Callable[[str, Graph], None] | None:
    return None if knobs.debug.get() < 2 else lambda name, graph: print(f"-- pass {name} --\n{len(graph.nodes())} nodes", file=sys.stderr)


__all__ = ["CpuPlan", "kind_of"]
