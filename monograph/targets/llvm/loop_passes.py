"""Where each value of a fused loop kernel is computed: its level in the loop nest, and the passes over the reduced dims.

*Level* of a value: how many loops, outermost first, must be open before it can be computed (0 for constants, all of them for a value
that changes along the vector axis). *Depth*: how many reductions it has to wait for, one after another. Pass p walks the reduced dims
and computes the reductions whose argument has depth p, and the full stores of depth p; stage d, before pass d, computes the row values
of depth d. Full values are computed again in each pass that needs them, unless they are dear and the kernel spills.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from monograph.targets.llvm.scalar import cost

if TYPE_CHECKING:
    from monograph.targets.llvm.loop_spec import LoopKernel

SPILL_COST = 8  # computing a value again for less than this beats a round trip through the scratch row
EFFECTS = ("store", "scatter", "scatter_add")
MEMORY_OPS = ("load", "gather", *EFFECTS)


@dataclass
class Pass:
    """One walk over the reduced dims (the only one, over the kept dims, in a map)."""

    reduces: list[int] = field(default_factory=list)
    effects: list[int] = field(default_factory=list)  # full stores and scatters
    values: list[int] = field(default_factory=list)  # to compute inside the loops, in order
    spills: list[int] = field(default_factory=list)  # of those: to be written to the scratch row
    reloads: list[int] = field(default_factory=list)  # to be read back from the scratch row
    cost: int = 0  # of the values computed at the innermost level


@dataclass
class Stage:
    """Row values computed between passes."""

    values: list[int] = field(default_factory=list)
    effects: list[int] = field(default_factory=list)
    saved: list[int] = field(default_factory=list)  # columns only: kept in arrays for later passes and stages


@dataclass
class Passes:
    full: list[bool]
    level: list[int]
    depth: list[int]
    passes: list[Pass]
    stages: list[Stage]  # stage d comes before pass d; there is one more stage than passes
    spilled: list[int]
    unit_values: list[int]  # columns only: row values that do not change along the columns


def validate(spec: LoopKernel) -> None:
    """Raises ValueError where a spec contradicts itself."""
    if spec.vector not in ("kept", "reduced") or (spec.vector == "reduced" and not spec.reduced) or (spec.columns and not spec.kept):
        raise ValueError(f"no axis to vectorise along: vector={spec.vector!r} with {spec.kept} kept and {spec.reduced} reduced dims")
    for at, instr in enumerate(spec.instrs):
        where = f"instruction {at} ({instr.op})"
        if any(not 0 <= a < at for a in instr.args):
            raise ValueError(f"{where} uses {instr.args}: arguments must be earlier values")
        if instr.op == "reduce" and not spec.reduced:
            raise ValueError(f"{where} needs reduced dims, the kernel has none")
        if instr.op == "index" and not 0 <= instr.attrs[0] < spec.kept + spec.reduced:
            raise ValueError(f"{where}: there is no dim {instr.attrs[0]} among {spec.kept + spec.reduced}")
        if instr.op not in MEMORY_OPS:
            continue
        if not 0 <= instr.attrs[0] < len(spec.operands):
            raise ValueError(f"{where}: there is no operand {instr.attrs[0]} among {len(spec.operands)}")
        operand = spec.operands[instr.attrs[0]]
        held = spec.instrs[instr.args[0]].dtype if instr.op in EFFECTS else instr.dtype
        if operand.dtype != held:
            raise ValueError(f"{where}: the operand holds {operand.dtype}, the value is {held}")
        if instr.op in EFFECTS and not operand.written:
            raise ValueError(f"{where}: operand {instr.attrs[0]} is not marked as written")
        indices = len(instr.args) - (instr.op in EFFECTS)
        if indices != (operand.extra if instr.op not in ("load", "store") else 0):
            raise ValueError(f"{where} has {indices} indices, operand {instr.attrs[0]} has {operand.extra} extra dims")


def _classify(spec: LoopKernel) -> tuple[list[bool], list[int], list[int]]:
    dims = spec.kept + spec.reduced
    full: list[bool] = []
    level: list[int] = []
    depth: list[int] = []
    for instr in spec.instrs:
        row = "row" in instr.attrs[1:]
        is_full = any(full[a] for a in instr.args)
        here = max((level[a] for a in instr.args), default=0)
        if instr.op == "load" or instr.op in EFFECTS or instr.op == "gather":
            if instr.op == "store":
                is_full = is_full or "full" in instr.attrs[1:]
            else:
                is_full = not row
            moves = spec.operands[instr.attrs[0]].inner != "zero"
            if spec.columns:
                own = dims if moves else (spec.kept - 1 if row else dims - 1)
            elif spec.reduced:
                own = spec.kept if row else (dims if moves else dims - 1)
            else:
                own = dims if moves else max(dims - 1, 0)
            here = max(here, own)
        elif instr.op == "index":
            dim = instr.attrs[0]
            is_full = dim >= spec.kept
            if spec.columns:
                here = dims if dim == spec.kept - 1 else (dim if dim >= spec.kept else dim + 1)
            else:
                here = dim + 1
        elif instr.op == "reduce":
            is_full = False
            here = dims if spec.columns else spec.kept
        full.append(is_full or not spec.reduced)
        level.append(here)
        depth.append(max((depth[a] for a in instr.args), default=0) + (instr.op == "reduce"))
    return full, level, depth


class _Walk:
    """Collects what roots need, stopping at values that are at hand."""

    def __init__(self, spec: LoopKernel) -> None:
        self.spec = spec
        self.full, self.level, self.depth = _classify(spec)
        self.dims = spec.kept + spec.reduced

    def at_hand(self, v: int) -> bool:
        """Row values that a pass finds ready: scalars of the unit, or saved columns."""
        if self.full[v]:
            return False
        return not self.spec.columns or self.level[v] < self.dims or self.depth[v] > 0

    def again(self, v: int, seen: set[int]) -> int:
        """The cost of computing v again, in the vector loop."""
        if v in seen or self.at_hand(v) or self.level[v] < self.dims:
            return 0
        seen.add(v)
        return self.own_cost(v) + sum(self.again(a, seen) for a in self.spec.instrs[v].args)

    def own_cost(self, v: int) -> int:
        """The cost of one step of the vector loop for v alone: what it takes in time, and in code where lanes are handled one by one."""
        instr = self.spec.instrs[v]
        if instr.op in ("const", "index"):
            return 1
        if instr.op not in MEMORY_OPS:
            return cost(instr.op)
        adjacent = self.spec.operands[instr.attrs[0]].inner != "strided"
        scattered = instr.op not in ("load", "store") and any(self.level[a] == self.dims for a in instr.args[instr.op != "gather" :])
        return 16 if scattered else 1 if adjacent else 13

    def alive(self) -> set[int]:
        alive: set[int] = set()
        for v in reversed(range(len(self.spec.instrs))):
            if self.spec.instrs[v].op in EFFECTS or v in alive:
                alive.update((v, *self.spec.instrs[v].args))
        return alive


def _one_pass(walk: _Walk, p: int, alive: set[int], computed: dict[int, int], passes: list[Pass], saved: set[int]) -> Pass:
    spec, instrs = walk.spec, walk.spec.instrs
    this = Pass()
    this.reduces = [v for v in alive if instrs[v].op == "reduce" and walk.depth[v] == p + 1]
    this.effects = [v for v, i in enumerate(instrs) if i.op in EFFECTS and walk.full[v] and walk.depth[v] == p]
    this.reduces.sort()
    seen: set[int] = set()
    pending = [a for v in this.reduces + this.effects for a in instrs[v].args]
    while pending:
        v = pending.pop()
        if v in seen or instrs[v].op == "const":
            continue
        if walk.at_hand(v):
            if spec.columns and walk.level[v] == walk.dims:
                saved.add(v)
            continue
        seen.add(v)
        earlier = computed.get(v)
        if spec.spill and earlier is not None and walk.full[v] and walk.level[v] == walk.dims and walk.again(v, set()) >= SPILL_COST:
            if v not in passes[earlier].spills:
                passes[earlier].spills.append(v)
            this.reloads.append(v)
            continue
        this.values.append(v)
        pending.extend(instrs[v].args)
    for v in this.values:
        computed.setdefault(v, p)
    this.values.sort()
    this.reloads.sort()
    this.cost = sum(walk.own_cost(v) for v in [*this.values, *this.effects] if walk.level[v] == walk.dims)
    return this


@lru_cache(maxsize=1024)
def passes_of(spec: LoopKernel) -> Passes:
    """Analyses a spec (raises ValueError where it contradicts itself)."""
    validate(spec)
    walk = _Walk(spec)
    instrs, alive = spec.instrs, walk.alive()
    computed: dict[int, int] = {}
    saved: set[int] = set()
    passes: list[Pass] = []
    count = 1 + max((walk.depth[v] - (instrs[v].op == "reduce") for v in alive if walk.full[v] or instrs[v].op == "reduce"), default=-1)
    for p in range(count):
        passes.append(_one_pass(walk, p, alive, computed, passes, saved))
    stages = [Stage() for _ in range(count + 1)]
    rows = [v for v in sorted(alive) if not walk.full[v] and instrs[v].op not in ("const", *EFFECTS)]
    unit_values = [v for v in rows if spec.columns and walk.level[v] < walk.dims]
    for d in reversed(range(count + 1)) if spec.reduced else ():
        stage = stages[d]
        stage.effects = [v for v, i in enumerate(instrs) if i.op in EFFECTS and not walk.full[v] and walk.depth[v] == d]
        if not spec.columns:
            stage.values = [v for v in rows if walk.depth[v] == d]
            continue
        stage.saved = sorted(v for v in saved if walk.depth[v] == d)
        seen: set[int] = set()
        pending = [a for v in stage.effects for a in instrs[v].args] + stage.saved
        while pending:
            v = pending.pop()
            if v in seen or instrs[v].op == "const" or walk.level[v] < walk.dims:
                continue
            if walk.depth[v] == d or walk.depth[v] == 0:
                seen.add(v)
                pending.extend(instrs[v].args if instrs[v].op != "reduce" else ())
            else:
                saved.add(v)
        stage.values = sorted(seen)
    spilled = sorted({v for p in passes for v in p.spills})
    return Passes(walk.full, walk.level, walk.depth, passes, stages, spilled, unit_values)
