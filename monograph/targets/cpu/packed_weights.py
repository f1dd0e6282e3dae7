"""Weights that a plan packs for its kernels, kept from run to run as long as the weights stay the same.

Values are immutable: a weight that is written, by an optimiser or by its user, becomes another buffer. So weights that come in the same
buffers as in the run before need not be packed again. Once that has been seen, the plan gets a second program, without those steps, that
reads what they wrote from a buffer of its own. Buffers whose memory is open to others (NumPy arrays that share it) never count as the same.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from monograph.graph.node import Node
from monograph.runtime.buffers import Buffer, exposed
from monograph.runtime.program import Address, NativeEntry, Program, Step
from monograph.targets.cpu.steps import PlannedStep, Ref
from monograph.targets.llvm.kernels.call import KernelSource, TempBuffer, round_up

PACKERS = ("conv_weights", "winograd_weights", "gemm_pack")  # kernels that lay out one operand of a product
MOST_PATIENCE = 1 << 20  # runs


def packed_once(steps: Sequence[PlannedStep]) -> list[PlannedStep]:
    """The steps of a plan without those that pack what an earlier one has packed in the same way: a weight that is used at every step of
    a recurrence."""
    first: dict[Any, TempBuffer] = {}
    instead: dict[TempBuffer, TempBuffer] = {}
    out: list[PlannedStep] = []
    for step in steps:
        if isinstance(step.kernel, KernelSource) and step.kernel.key[0] in PACKERS:
            made = [w for w in step.words if type(w) is TempBuffer]
            if len(made) == 1:
                key = (step.kernel.name, *[None if w is made[0] else w for w in step.words])
                if key in first:
                    instead[made[0]] = first[key]
                    continue
                first[key] = made[0]
        if instead:
            words = [instead.get(w, w) if type(w) is TempBuffer else w for w in step.words]
            step = replace(step, words=words) if words != step.words else step
        out.append(step)
    return out


@dataclass(frozen=True)
class _Pack:
    """A step that packs one source, and all places where its result is named: (step, word)."""

    step: int
    source: int
    nbytes: int
    places: tuple[tuple[int, int], ...]


class _Kept:
    """Packed weights, and the program that reads them."""

    def __init__(self, sources: list[tuple[int, weakref.ref[Any]]], program: Program, memory: Buffer) -> None:
        self.sources, self.program, self.memory = sources, program, memory
        self.exposures = exposed.changes


class PackedWeights:
    """What of a plan's packing can be kept. `use` is called before every run."""

    def __init__(self, entry: NativeEntry, packs: list[_Pack], steps: Sequence[Step], made: dict[str, Any], n_buffers: int) -> None:
        self.entry, self.packs, self.steps, self.made, self.n_buffers = entry, packs, steps, made, n_buffers
        self.last: dict[int, weakref.ref[Any]] = {}
        self.patience = self.left = 1  # runs with the same weights before they are kept: each time they change after all, twice as many
        self.kept: _Kept | None = None

    @staticmethod
    def of(
        entry: NativeEntry,
        planned: Sequence[PlannedStep],
        steps: Sequence[Step],
        sources: Sequence[Node],
        made: dict[str, Any],
        n_buffers: int,
    ) -> PackedWeights | None:
        """Of a plan's steps; None if none of them packs a source. `made`: the sizes that its program was made with."""
        number = {node: i for i, node in enumerate(sources)}
        places: dict[TempBuffer, list[tuple[int, int]]] = {}
        for j, step in enumerate(planned):
            for k, word in enumerate(step.words):
                if type(word) is TempBuffer:
                    places.setdefault(word, []).append((j, k))
        packs = []
        for i, step in enumerate(planned):
            if not isinstance(step.kernel, KernelSource) or step.kernel.key[0] not in PACKERS:
                continue
            read = {w.node for w in step.words if isinstance(w, Ref)}
            written = [w for w in step.words if isinstance(w, TempBuffer)]
            source = number.get(next(iter(read))) if len(read) == len(written) == 1 else None
            if source is not None:
                packs.append(_Pack(i, source, written[0].nbytes, tuple(places[written[0]])))
        return PackedWeights(entry, packs, steps, made, n_buffers) if packs else None

    def use(self, sources: Sequence[Buffer]) -> _Kept | None:
        """The packed weights for a run on these sources, None if the run has to pack them itself."""
        kept = self.kept
        if kept is not None:
            if kept.exposures == exposed.changes and all(ref() is sources[i] for i, ref in kept.sources):
                return kept
            self.kept = None
            self.patience = min(2 * self.patience, MOST_PATIENCE)
        same = {p.source for p in self.packs if p.source in self.last and self.last[p.source]() is sources[p.source]}
        same = {i for i in same if sources[i] not in exposed.buffers}
        self.left = self.left - 1 if same else self.patience
        if same and self.left <= 0:
            self.left = self.patience
            self.kept = kept = self._keep([p for p in self.packs if p.source in same], sources)
            return kept
        self.last = {p.source: weakref.ref(b) for p in self.packs if isinstance(b := sources[p.source], Buffer)}
        return None

    def _keep(self, packs: list[_Pack], sources: Sequence[Buffer]) -> _Kept:
        """Packs now, and makes the program for later runs."""
        offsets: list[int] = []
        total = 0
        for pack in packs:
            offsets.append(total)
            total += round_up(pack.nbytes, 64)
        memory = Buffer(total)
        steps = [step._replace(args=list(step.args)) for step in self.steps]
        for pack, offset in zip(packs, offsets, strict=True):
            for i, k in pack.places:
                steps[i].args[k] = Address(self.n_buffers, offset)  # type: ignore[index]
        done = {pack.step for pack in packs}
        addresses = [b.ptr for b in sources] + [0] * (self.n_buffers - len(sources)) + [memory.ptr]
        refs = [(i, weakref.ref(sources[i])) for i in sorted({pack.source for pack in packs})]
        Program(self.entry, [steps[i] for i in sorted(done)], self.n_buffers + 1, scratch_bytes=self.made["scratch_bytes"]).run(addresses)
        later = [step for i, step in enumerate(steps) if i not in done]
        return _Kept(refs, Program(self.entry, later, self.n_buffers + 1, **self.made), memory)
