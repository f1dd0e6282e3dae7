"""What a fused loop kernel is: its structure (`LoopKernel`), its argument record, its work units and its scratch memory.

A `LoopKernel` is the structural key of one compiled function: dtypes, ranks, stride classes and the fused expression, never a size.
The iteration domain is kept dims x reduced dims, outermost first. A value is *full* (it depends on the reduced dims) or *row* (one per
kept index): constants, `index` of a kept dim, `reduce`, loads marked "row" and everything computed from row values alone are row
values; anything that uses a full value is full. Without reduced dims there is no difference.

Attributes of the instructions that touch memory (the operand's position in `operands` comes first):
    load        (operand,)          one value per domain element; (operand, "row"): one per kept index, reduced strides are not used
    store       (operand,)          args (value,): a full value is written for every domain element, a row value once per kept index;
                                    (operand, "full") writes a row value for every domain element
    gather      (operand,)          args (idx_0, ... idx_{extra-1}), int64; (operand, "row") as for load
    scatter     (operand,)          args (value, idx_0, ...): memory[...] = value; scatter_add: memory[...] += value, rounded at each step
    const (value,)      index (dim,)      reduce (kind,), kind in REDUCE_KINDS

A scatter runs in sequential order of the reduced dims within one kept index and its kept dims run in parallel: its addresses must never
collide between different kept indices (for example the kept dims address the operand with non-zero strides of their own), or the kernel
must have a single unit. The sizes of a gather's extra dims must be positive when the domain is not empty.

Argument record, in 8-byte words: sizes of the kept dims, sizes of the reduced dims; for each operand its pointer, a byte stride for each
kept dim and each reduced dim (0 = broadcast), then (byte stride, size) for each extra dim; last, if the kernel gathers or scatters, a
pointer to two int64 words (code, value), zero at first: the first index out of range sets code = 1 + ordinal of the gather or scatter among
those of the spec, value = the index as given; the access then uses index 0. A nonzero_divisor that meets a zero sets code = -1.

Units of work: a map (no reduced dims) over one kept dim: single elements; a map over more: rows, all kept dims but the last; reductions
with vector="reduced": kept indices; reductions with vector="kept": (kept dims but the last) x blocks of COLUMN_BLOCK columns.

The order in which a reduction accumulates is a function of the sizes of the reduced dims and of `vector`, nothing else; the last `flat`
reduced dims count as one dim there, the product of their sizes: so operands that walk a row unevenly do not change the bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from monograph.targets.llvm.loop_passes import EFFECTS, MEMORY_OPS, passes_of

COLUMN_BLOCK = 64  # columns of one unit of a reduction vectorised along the kept dim
REDUCE_KINDS = ("sum", "prod", "max", "min", "any", "all", "argmax", "argmin")
ELEMENT_BYTES = {
    "float32": 4, "float64": 8, "float16": 2, "bfloat16": 2, "int8": 1, "int16": 2, "int32": 4, "int64": 8, "uint8": 1,
    "uint16": 2, "uint32": 4, "uint64": 8, "bool": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Operand:
    """A strided array in memory. `inner` is the class of its stride along the vector axis ("unit", "zero" or "strided")."""

    dtype: str
    inner: str
    written: bool = False
    extra: int = 0  # extra dims addressed by gather and scatter


@dataclass(frozen=True)
class Instr:
    """One value: an operation on earlier values (positions in `LoopKernel.instrs`)."""

    op: str
    args: tuple[int, ...]
    dtype: str
    attrs: tuple[Any, ...] = ()


@dataclass(frozen=True)
class LoopKernel:
    """The structure of a fused loop kernel (see the module's docstring)."""

    kept: int
    reduced: int
    vector: str  # "kept": along the last kept dim; "reduced": along the last reduced dim
    operands: tuple[Operand, ...]
    instrs: tuple[Instr, ...]
    spill: bool = False  # keep expensive values that several passes need in the scratch row (see `scratch_bytes`)
    flat: int = 1  # how many of the last reduced dims are accumulated as if they were one
    stream: bool = False  # what is stored goes past the caches: for results so large that nobody would find them there

    @property
    def columns(self) -> bool:
        """A reduction vectorised along the last kept dim."""
        return self.vector == "kept" and self.reduced > 0

    @property
    def checks_indices(self) -> bool:
        return any(i.op in ("gather", "scatter", "scatter_add", "nonzero_divisor") for i in self.instrs)


def streamed(spec: LoopKernel) -> list[int]:
    """The operands that the kernel can store past the caches: in whole registers, in rows that it walks one after another."""
    full = passes_of(spec).full
    stores = [v for v, i in enumerate(spec.instrs) if i.op in EFFECTS]
    if any(o.inner == "strided" for o in spec.operands) or any(spec.instrs[v].op != "store" for v in stores):
        return []
    found = {spec.instrs[v].attrs[0] for v in stores if full[v]}
    return sorted(o for o in found if spec.operands[o].inner == "unit")


def units(spec: LoopKernel, sizes: Sequence[int]) -> int:
    """How many work units the kernel has; `sizes` are the kept sizes followed by the reduced sizes. 0: there is nothing to run."""
    kept = sizes[: spec.kept]
    if spec.columns:
        return prod(kept[:-1]) * -(-kept[-1] // COLUMN_BLOCK)
    if spec.reduced or spec.kept == 1:
        return prod(kept)
    return prod(kept[:-1]) if prod(kept) else 0


def arg_words(
    spec: LoopKernel,
    sizes: Sequence[int],
    operands: Sequence[tuple[Any, Sequence[int], Sequence[tuple[int, int]]]],
    error: Any = None,
) -> list[Any]:
    """The argument record. Each operand is (reference to its first element, byte strides of all dims, [(byte stride, size) of extra dims]).

    References (and `error`, the pair of error words) are passed through, so they may be addresses or whatever the planner resolves later.
    """
    if len(sizes) != spec.kept + spec.reduced or len(operands) != len(spec.operands):
        raise ValueError(
            f"the kernel has {spec.kept}+{spec.reduced} dims and {len(spec.operands)} operands, "
            f"got sizes {tuple(sizes)} and {len(operands)} operands"
        )
    words: list[Any] = list(sizes)
    for operand, (reference, strides, extras) in zip(spec.operands, operands, strict=True):
        if len(strides) != len(sizes) or len(extras) != operand.extra:
            raise ValueError(
                f"operand {operand} needs {len(sizes)} strides and {operand.extra} extra dims, got {tuple(strides)} and {tuple(extras)}"
            )
        words += [reference, *strides]
        for stride, size in extras:
            words += [stride, size]
    if spec.checks_indices:
        if error is None:
            raise ValueError("a kernel that gathers or scatters needs the address of its two error words")
        words.append(error)
    return words


def may_share(spec: LoopKernel, written: int, read: int) -> bool:
    """Whether operand `written` may be the same memory as operand `read` (same first element, same strides): whether the kernel reads each
    element for the last time before it writes it. Any other overlap of a written operand with another operand is forbidden."""
    plan, instrs = passes_of(spec), spec.instrs
    touching = {o: [v for v, i in enumerate(instrs) if i.op in MEMORY_OPS and i.attrs[0] == o] for o in (written, read)}
    stores, loads = touching[written], touching[read]
    if len(stores) != 1 or instrs[stores[0]].op != "store" or any(instrs[v].op != "load" for v in loads):
        return False
    full = plan.full[stores[0]]
    a, b = spec.operands[written], spec.operands[read]
    if any(plan.full[v] != full for v in loads) or a.inner != b.inner or ELEMENT_BYTES[a.dtype] != ELEMENT_BYTES[b.dtype]:
        return False
    at = plan.depth[stores[0]]
    if full:
        return a.inner != "zero" and not any(v in p.values for p in plan.passes[at + 1 :] for v in loads)
    later = [v for p in plan.passes[at:] for v in p.values] + [v for s in plan.stages[at + 1 :] for v in s.values]
    return not spec.columns or not any(v in later for v in loads)


def operand_word(spec: LoopKernel, operand: int) -> int:
    """The position in the argument record of an operand's pointer (its strides and extra pairs follow)."""
    dims = spec.kept + spec.reduced
    return dims + sum(1 + dims + 2 * o.extra for o in spec.operands[:operand])


def error_word(spec: LoopKernel) -> int:
    """The position in the argument record of the pointer to the error words."""
    return operand_word(spec, len(spec.operands))


def scratch_bytes(spec: LoopKernel, sizes: Sequence[int]) -> int:
    """Bytes of scratch memory each thread must give the kernel (0 unless `spec.spill`): one row or block of columns a spilled value."""
    if not spec.spill:
        return 0
    elements = prod(sizes[spec.kept :]) * (COLUMN_BLOCK if spec.columns else 1)
    return sum(-(-elements * ELEMENT_BYTES[spec.instrs[v].dtype] // 64) * 64 for v in passes_of(spec).spilled)
