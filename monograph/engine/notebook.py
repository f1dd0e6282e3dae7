"""How notebooks show an explanation: what a compiled function is, its kernels with their share of the machine's peak, the graphs folded."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from monograph.core.html import caption, folded, framed, plain, table
from monograph.engine.ladder import bound_by, share

if TYPE_CHECKING:
    from monograph.engine.explain import Explanation, Piece


def to_html(explanation: Explanation) -> str:
    """The HTML of an explanation."""
    parts = [
        f"<b>{escape(explanation.function)}</b>",
        caption(_counted(explanation.captures, "capture"), _counted(explanation.replays, "replay"), _peak(explanation)),
        *(f"<div>runs uncompiled: {escape(reason)}</div>" for reason in explanation.reasons),
        *(f"<div>split: {escape(str(split))}</div>" for split in explanation.splits),
        *(_piece(piece, explanation) for piece in explanation.pieces),
    ]
    return framed(*parts)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _peak(explanation: Explanation) -> str:
    peak = explanation.peak
    return "" if peak is None else f"{peak.threads} threads: {peak.flops / 1e9:.0f} GFLOP/s, {peak.read_bw / 1e9:.1f} GB/s read at best"


def _piece(piece: Piece, explanation: Explanation) -> str:
    lines = len(piece.graph.rstrip().splitlines())
    graph = folded(f"graph, {_counted(lines, 'line')}", plain(piece.graph.rstrip()))
    if not piece.kernels:
        return f"<div>{escape(piece.title)}</div>{graph}"
    flops, nbytes = sum(k.flops for k in piece.kernels), sum(k.nbytes for k in piece.kernels)
    facts = [_counted(len(piece.kernels), "kernel"), f"{flops / 1e6:.3f} MFLOP", f"{nbytes / 1e6:.3f} MB"]
    if piece.times is not None:
        facts.append(f"{sum(piece.times) / 1000:.1f} us")
    head = ["", "kernel", "what", "writes", "MB", "MFLOP", *(["us", "bound by", "of peak"] if piece.times is not None else [])]
    rows, tints = [], []
    for i, kernel in enumerate(piece.kernels):
        cost = [f"{kernel.nbytes / 1e6:.3f}", f"{kernel.flops / 1e6:.3f}"]
        row = [str(i), kernel.kind, " ".join(kernel.ops), ", ".join(kernel.outputs), *cost]
        tint = [""] * len(row)
        if piece.times is not None:
            part = 0.0 if explanation.peak is None else share(kernel, max(piece.times[i], 1), explanation.peak)
            bound = "" if explanation.peak is None else bound_by(kernel, explanation.peak)
            row += [f"{piece.times[i] / 1000:.1f}", bound, "" if explanation.peak is None else f"{part:.0%}"]
            # The kernels that take the time are what a reader looks for.
            tint += [f"rgba(220,120,0,{0.5 * piece.times[i] / max(sum(piece.times), 1):.2f})", ""]
        rows.append(row)
        tints.append(tint)
    return f"<div>{escape(piece.title)}</div>{caption(*facts)}{table(rows, head, (1, 2, 3), tints)}{graph}"
