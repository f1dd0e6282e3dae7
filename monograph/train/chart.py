"""The curves of a `History` as inline SVG, for notebooks: one small chart for each metric, training and validation together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from monograph.core.html import caption, framed

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 300, 150, 52, 22, 20
COLOURS = ("#3b76d6", "#e07b1f")  # training, validation


def to_html(history: Mapping[str, Sequence[float]], epochs: Sequence[int]) -> str:
    """The HTML of the numbers of every epoch."""
    if not epochs or not history:
        return framed(caption("History", "no epochs yet"))
    names = list(dict.fromkeys(name.removeprefix("val_") for name in history))
    charts = [_chart(name, [history.get(name), history.get(f"val_{name}")], epochs) for name in names]
    last = [f"{name} {values[-1]:.4g}" for name, values in history.items() if values]
    title = f"{len(epochs)} epoch{'' if len(epochs) == 1 else 's'}"
    return framed(caption("History", title, *last), "".join(charts))


def _chart(name: str, curves: Sequence[Sequence[float] | None], epochs: Sequence[int]) -> str:
    values = [v for curve in curves if curve for v in curve if math.isfinite(v)]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    low, high = (low, high) if high > low else (low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1))
    first, last = epochs[0], max(epochs[-1], epochs[0] + 1)

    def at(epoch: float, value: float) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - 8) * (epoch - first) / (last - first)
        return x, TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    parts = [f'<text x="{LEFT}" y="12" font-weight="bold">{escape(name)}</text>']
    for value in (low, (low + high) / 2, high):
        y = at(first, value)[1]
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - 8}" y1="{y:.1f}" y2="{y:.1f}" stroke="currentColor" stroke-opacity=".15"/>')
        parts.append(f'<text x="{LEFT - 4}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for epoch in dict.fromkeys((epochs[0], epochs[-1])):
        parts.append(f'<text x="{at(epoch, low)[0]:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{epoch + 1}</text>')
    for curve, colour, kind in zip(curves, COLOURS, ("training", "validation"), strict=True):
        for run in _runs(curve or (), epochs):
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(epoch, value) for epoch, value in run))
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
            if len(run) == 1:
                x, y = at(*run[0])
                parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>')
        if curve:
            end = WIDTH - 8 if kind == "validation" else WIDTH - 78
            parts.append(f'<text x="{end}" y="12" text-anchor="end" fill="{colour}">{kind}</text>')
    style = "font:10px monospace;margin:2px;max-width:100%"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" fill="currentColor" '
        f'style="{style}" role="img" aria-label="{escape(name)} by epoch">{"".join(parts)}</svg>'
    )


def _runs(curve: Sequence[float], epochs: Sequence[int]) -> list[list[tuple[int, float]]]:
    """The pieces of a curve between values that are no numbers. A metric that came later belongs to the last epochs."""
    runs: list[list[tuple[int, float]]] = [[]]
    for epoch, value in zip(epochs[len(epochs) - len(curve) :], curve[-len(epochs) :], strict=True):
        if math.isfinite(value):
            runs[-1].append((epoch, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]
