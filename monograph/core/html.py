"""The HTML that notebooks show: escaped text, tables, parts that fold. Colours come from the page, so light and dark themes both work."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

MONO = "font-family:monospace;font-size:12px;line-height:1.35"
FAINT = "opacity:.65"
CELL = "padding:1px 8px;border:none;white-space:nowrap;text-align:{};font-variant-numeric:tabular-nums"


def framed(*parts: str) -> str:
    """Parts below each other, as one value shown by a notebook."""
    return f'<div style="{MONO}">{"".join(parts)}</div>'


def caption(*facts: str) -> str:
    """A faint line of facts."""
    return f'<div style="{FAINT}">{" &middot; ".join(escape(f) for f in facts if f)}</div>'


def plain(text: str) -> str:
    """Text as it is, with its line breaks."""
    return f'<pre style="margin:2px 0;background:none;color:inherit;{MONO}">{escape(text)}</pre>'


def folded(head: str, body: str, is_open: bool = False) -> str:
    """A part that folds away under its head; both are HTML already."""
    return f'<details{" open" if is_open else ""} style="margin-left:12px"><summary style="cursor:pointer">{head}</summary>{body}</details>'


def table(rows: Sequence[Sequence[str]], head: Sequence[str] = (), left: Sequence[int] = (), tints: Sequence[Sequence[str]] = ()) -> str:
    """Rows of texts; columns in `left` stand left, others right; `tints` are background colours, one for each cell ("" for none)."""

    def row(cells: Sequence[str], tag: str, colours: Sequence[str]) -> str:
        made = []
        for i, cell in enumerate(cells):
            tint = f";background:{colours[i]}" if i < len(colours) and colours[i] else ""
            made.append(f'<{tag} style="{CELL.format("left" if i in left else "right")}{tint}">{escape(cell)}</{tag}>')
        return f"<tr>{''.join(made)}</tr>"

    body = "".join(row(cells, "td", tints[i] if i < len(tints) else ()) for i, cells in enumerate(rows))
    top = f"<thead>{row(head, 'th', ())}</thead>" if head else ""
    return f'<table style="border-collapse:collapse;margin:2px 0;{MONO}">{top}<tbody>{body}</tbody></table>'
