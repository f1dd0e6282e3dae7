"""How commands are declared (help with examples), and how tables and sizes are printed."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any


def command(commands: Any, name: str, function: Callable[..., int], brief: str, description: str, examples: Sequence[str]) -> Any:
    """A subcommand whose help ends with examples."""
    made = commands.add_parser(
        name, help=brief, description=f"{brief[0].upper()}{brief[1:]}.\n\n{description}".rstrip(), allow_abbrev=False,
        epilog="examples:\n" + "\n".join(f"  {line}" for line in examples), formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.set_defaults(function=function)
    return made


def table(rows: Sequence[Sequence[str]], head: Sequence[str]) -> str:
    """Rows under a head, columns aligned."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [head, ["-" * w for w in widths], *rows]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def size(count: float) -> str:
    """Bytes in the unit that suits them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("unreachable")
