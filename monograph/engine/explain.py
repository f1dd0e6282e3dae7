"""What a compiled function has become, for people: graphs, splits with their reasons, kernels, code, timings, share of
the machine's peak.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from monograph.engine import ladder
from monograph.engine.compiled import Compiled
from monograph.engine.notebook import to_html
from monograph.engine.program import Part, Split
from monograph.engine.replay import Entry


@dataclass
class SplitNote:
    """A place where Python looks at a value."""

    line: str
    value: str
    branches: int

    def __str__(self) -> str:
        return f"{self.line}: looks at {self.value}; {self.branches} branch{'es' if self.branches != 1 else ''} known"


@dataclass
class Piece:
    """One graph of the program with its kernels: `times` in nanoseconds, one per kernel."""

    title: str
    graph: str
    kernels: list[Any] = field(default_factory=list)
    times: list[int] | None = None


@dataclass
class Explanation:
    """The answer of `explain`. `str()` is the report; `ir(i)` and `assembly(i)` show the code of kernel i of piece `piece`."""

    function: str
    pieces: list[Piece]
    splits: list[SplitNote]
    reasons: list[str]
    captures: int
    replays: int
    peak: Any = None

    def ir(self, i: int, piece: int = 0) -> str:
        """The LLVM IR of a kernel."""
        return self.pieces[piece].kernels[i].ir()

    def assembly(self, i: int, piece: int = 0) -> str:
        """The machine code of a kernel, as assembly."""
        return self.pieces[piece].kernels[i].assembly()

    def __str__(self) -> str:
        lines = [
            f"{self.function}: {self.captures} capture{'s' if self.captures != 1 else ''}, {self.replays} "
            f"replay{'s' if self.replays != 1 else ''}"
        ]
        lines += [f"runs uncompiled: {r}" for r in self.reasons]
        lines += ["", *(f"split: {s}" for s in self.splits)] if self.splits else []
        for piece in self.pieces:
            lines += ["", f"-- {piece.title} --", piece.graph.rstrip()]
            if piece.kernels:
                flops, nbytes = sum(k.flops for k in piece.kernels), sum(k.nbytes for k in piece.kernels)
                lines += ["", f"{len(piece.kernels)} kernels, {flops / 1e6:.3f} MFLOP, {nbytes / 1e6:.3f} MB"]
                lines.append(ladder.table(piece.kernels, piece.times, self.peak))
        if self.peak is not None:
            p = self.peak
            lines += ["", f"this machine, {p.threads} threads: {p.flops / 1e9:.0f} GFLOP/s, {p.read_bw / 1e9:.1f} GB/s read"]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """What notebooks show."""
        return to_html(self)


def explain(engine: Compiled, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], tries: int = 4) -> Explanation:
    """The state of `engine` for a call with these arguments. Calls the function until it is captured, if it is not yet."""
    entry, tensors = engine.lookup(args, kwargs)
    while entry is None and tries:
        tries -= 1
        engine.call(args, kwargs)
        entry, tensors = engine.lookup(args, kwargs)
    if entry is None:
        return Explanation(
            name, [], [], engine.reasons or ["it could not be captured yet: it changes Python's state at every call"], engine.captures, 0
        )
    splits = [SplitNote(s.line, f"{s.node_type[1].name}{list(s.node_type[0])} of {s.op_name}", len(s.branches)) for s in entry.splits()]
    pieces, peak = _pieces(entry, tensors)
    return Explanation(name, pieces, splits, list(engine.reasons), engine.captures, entry.replays, peak)


def _pieces(entry: Entry, tensors: Sequence[Any]) -> tuple[list[Piece], Any]:
    pieces: list[Piece] = []
    timed = False
    names = entry.names()
    for number, (at, part, feeds) in enumerate(entry.walk(tensors)):
        title = (
            f"piece {number}, up to {at.line}" if isinstance(at, Split) else "the graph" if not number else f"piece {number}, to the end"
        )
        if feeds is None:
            title += ", whose results stay on the tape: recorded again at every call, and compiled with what follows"
        piece = Piece(title, ladder.graph_text(part.sources, part.outputs, _named(part, names)))
        plan: Any = part.plan()
        if hasattr(plan, "describe"):
            piece.kernels = plan.describe()
            if feeds is not None and hasattr(plan, "profile"):
                plan.profile(*feeds)
                piece.times = plan.profile(*feeds)
                timed = True
        pieces.append(piece)
    return pieces, _peak() if timed else None


def _named(part: Part, places: dict[int, str]) -> dict[Any, str]:
    found: dict[Any, str] = {}
    taken: set[str] = set()
    for node, (kind, which) in zip(part.sources, part.picks, strict=True):
        name = places.get(which, f"input_{which}") if kind == 0 else f"constant_{len(found)}" if kind == 1 else f"carried_{which}"
        while name in taken:
            name += "_"
        taken.add(name)
        found[node] = name
    return found


def _peak() -> Any:
    # Only a plan that can be timed comes here, and then the compiler is loaded already.
    from monograph.targets.cpu.machine import machine_peak  # noqa: PLC0415

    return machine_peak()
