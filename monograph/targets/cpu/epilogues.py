"""Tails: an elementwise unit that only finishes what one product or convolution has computed goes into that kernel.

The tile is still in cache, or in registers, when bias, activation and residual are applied: the result crosses memory once instead of
three times. The values are the same to the bit, since the tail's operations are the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from monograph.core.shape import contiguous_strides, numel
from monograph.graph.node import Node
from monograph.ops import contraction, conv
from monograph.passes.domains import Sizes, squeeze
from monograph.passes.fuse import Fusion, Unit
from monograph.passes.views import restride
from monograph.targets.cpu.heavy_lowering import Heavy, has_rule
from monograph.targets.cpu.loop_lowering import LoopWriter
from monograph.targets.cpu.steps import Ref
from monograph.targets.llvm.kernels.epilogue import Epilogue, EpilogueOperand
from monograph.targets.llvm.loop_spec import Instr

TAKES_TAIL = (contraction.matmul, conv.conv, conv.conv_backward_input)
MOST_INSTRS = 24
POSITIONLESS = frozenset({"index", "reduce", "gather", "scatter", "scatter_add", "nonzero_divisor"})


@dataclass
class Tail:
    """What a heavy kernel does to its result: the structure, the operands with their strides over the result's dims, the final value."""

    epilogue: Epilogue
    operands: list[tuple[Ref, Sizes]]
    result: Node
    ops: tuple[str, ...]


def absorb(fusion: Fusion, stored: set[Node], heavy: Heavy) -> list[Unit]:
    """Finds tails, notes them in `heavy.tails`, and returns the units that are left, in order."""
    readers: dict[Node, set[Unit]] = {}
    for unit in fusion.units:
        for node in unit.nodes:
            for i in node.inputs:
                readers.setdefault(fusion.view(i).root, set()).add(unit)
    gone: set[Unit] = set()
    takes_place: dict[Unit, Unit] = {}
    outputs = set(heavy.outputs)
    for unit in fusion.units:
        node = unit.nodes[0]
        if unit.kind != "heavy" or node.op not in TAKES_TAIL or node.dtype.name not in ("float32", "float64") or not has_rule(node):
            continue
        users = readers.get(node, set())
        if len(users) != 1 or node in outputs or not numel(node.shape) or 0 in node.inputs[0].shape:
            continue
        (user,) = users
        if user.kind != "loop" or user.reduced or user in takes_place or numel(user.sizes) != numel(node.shape):
            continue
        tail = _tail(node, user, fusion, stored)
        if tail is not None:
            heavy.tails[node] = tail
            takes_place[user] = unit
            gone.add(unit)
    return [takes_place.get(u, u) for u in fusion.units if u not in gone]


def _tail(node: Node, unit: Unit, fusion: Fusion, stored: set[Node]) -> Tail | None:
    writer = LoopWriter(unit, fusion, stored)
    for n in unit.nodes:
        writer.node(n)
    if len(writer.instrs) > MOST_INSTRS or any(i.op in POSITIONLESS or i.op.startswith("random") for i in writer.instrs):
        return None
    if unit.sizes != squeeze(node.shape) and restride(unit.sizes, contiguous_strides(unit.sizes), node.shape) is None:
        return None
    contiguous = contiguous_strides(node.shape)
    kinds: dict[int, EpilogueOperand] = {}
    walks: dict[int, Sizes] = {}
    itself: set[int] = set()
    for k, access in enumerate(writer.accesses):
        strides = restride(unit.sizes, access.strides, node.shape)
        if strides is None:
            return None
        strides = tuple(0 if n == 1 else s for n, s in zip(node.shape, strides, strict=True))
        whole = all(n == 1 or s == c for n, s, c in zip(node.shape, strides, contiguous, strict=True)) and access.ref.offset == 0
        if access.ref.node is node:
            if not whole:
                return None
            itself.add(k)
            continue
        kind = _kind(node, strides, whole)
        if kind is None or (access.written and not whole):
            return None
        kinds[k] = EpilogueOperand(access.dtype, *kind)
        walks[k] = contiguous if whole else strides
    return _assemble(node, unit, writer, kinds, walks, itself)


def _kind(node: Node, strides: Sizes, whole: bool) -> tuple[str, str] | None:
    """How an operand moves with the rows and columns of the result."""
    if node.op is contraction.matmul:
        row, col = strides[-2], strides[-1]
        if col not in (0, 1):
            return None
        return ("stride" if row else "zero", "unit" if col or whole else "zero")
    if whole:
        return ("stride", "unit")
    if not any(strides):
        return ("zero", "zero")
    return ("stride", "zero") if strides[1] == 1 and not any(s for d, s in enumerate(strides) if d != 1) else None


def _assemble(
    node: Node, unit: Unit, writer: LoopWriter, kinds: dict[int, EpilogueOperand], walks: dict[int, Sizes], itself: set[int]
) -> Tail | None:
    stores = [(i.args[0], i.attrs[0]) for i in writer.instrs if i.op == "store"]
    computed = [k for k, i in enumerate(writer.instrs) if i.op not in ("load", "store")]
    if not stores or not computed:
        return None
    main = next((s for s in stores if s[0] == computed[-1]), None)
    if main is None:
        return None
    places = [k for k in kinds if k != main[1]]  # operands in order; the main output is the kernel's own
    number = {k: 1 + i for i, k in enumerate(places)}
    values: dict[int, int] = {}
    instrs: list[Instr] = []
    for k, instr in enumerate(writer.instrs):
        if instr.op == "store":
            continue
        if instr.op == "load":
            values[k] = 0 if instr.attrs[0] in itself else number[instr.attrs[0]]
            continue
        values[k] = 1 + len(places) + len(instrs)
        instrs.append(Instr(instr.op, tuple(values[a] for a in instr.args), instr.dtype, instr.attrs))
    accesses = writer.accesses
    epilogue = Epilogue(
        tuple(instrs),
        tuple(kinds[k] for k in places),
        accesses[main[1]].dtype,
        tuple((values[v], places.index(k)) for v, k in stores if k != main[1]),
    )
    operands = [(accesses[k].ref, walks[k]) for k in places]
    ops = tuple(n.op.name for n in unit.nodes)
    return Tail(epilogue, operands, accesses[main[1]].ref.node, ops)
