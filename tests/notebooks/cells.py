"""Runs the code cells of a notebook in one namespace, and shows the value of a cell's last expression as Jupyter would.

python tests/notebooks/cells.py FILE.ipynb OUTPUT.json    # writes the shown values: [[cell, class, HTML or text], ...]
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any


def code_cells(path: Path) -> list[str]:
    """The source of each code cell."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in document["cells"] if cell["cell_type"] == "code"]


def run(path: Path) -> list[list[Any]]:
    """Runs the notebook; what its cells showed. Errors name the cell in their traceback."""
    space: dict[str, Any] = {"__name__": "__main__"}
    shown: list[list[Any]] = []
    for number, source in enumerate(code_cells(path), 1):
        tree = ast.parse(source)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        name = f"{path.name}, code cell {number}"
        exec(compile(tree, name, "exec"), space)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), name, "eval"), space)
            if value is not None:
                rich = getattr(value, "_repr_html_", None)
                shown.append([number, type(value).__name__, rich() if rich is not None else repr(value)])
    return shown


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(run(Path(sys.argv[1]))), encoding="utf-8")
