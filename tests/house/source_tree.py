"""What the house tests look at: the files of the package, parsed once."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "monograph"


def python_files(*folders: str) -> list[Path]:
    """Every Python file of ours below the given folders of the repository, sorted."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts)


def rooms() -> list[Path]:
    """The rooms: the packages directly inside monograph, and one level down the targets, which are rooms of their own."""
    top = sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))
    targets = sorted(path.parent for path in (PACKAGE / "targets").glob("*/__init__.py"))
    return top + targets


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported_modules(path: Path) -> list[tuple[int, str]]:
    """(line, absolute dotted name) of everything a file imports, also inside functions."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    found = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            found += [(node.lineno, f"{module}.{alias.name}") for alias in node.names]
    return found
