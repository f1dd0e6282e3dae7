"""English texts that packages ship: Debian's `fortunes` (apt-get install fortunes), else the documentation inside of Python itself.

The fortunes are short texts in files by subject; their copyright file calls them freely distributable. Python's are the docstrings of its
standard library, by package, and its language reference as `help()` shows it.
"""

from __future__ import annotations

import ast
import functools
import random
import re
import sysconfig
from pathlib import Path
from pydoc_data import topics

FORTUNES = Path("/usr/share/games/fortunes")
PACKAGES = (
    "asyncio", "concurrent", "ctypes", "email", "http", "importlib", "json", "logging", "multiprocessing", "tkinter", "unittest", "xml",
)  # fmt: skip
MODULES = (
    "argparse", "datetime", "decimal", "difflib", "doctest", "inspect", "pathlib", "socket", "ssl", "statistics", "subprocess", "typing",
)  # fmt: skip


def by_subject() -> dict[str, list[str]]:
    """Short texts by subject."""
    if FORTUNES.is_dir():
        files = sorted(f for f in FORTUNES.iterdir() if f.is_file() and not f.suffix and f.name not in ("ascii-art", "translate-me"))
        return {f.name: [t.strip() for t in f.read_text(encoding="utf-8").split("\n%\n") if t.strip()] for f in files}
    library = Path(sysconfig.get_paths()["stdlib"])
    found = {name: [d for f in sorted((library / name).rglob("*.py")) for d in docstrings(f)] for name in PACKAGES}
    return found | {name: docstrings(library / f"{name}.py") for name in MODULES}


@functools.cache
def docstrings(file: Path) -> list[str]:
    """The docstrings of a module and everything in it that are more than a few words."""
    nodes = [n for n in ast.walk(ast.parse(file.read_bytes())) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)]
    return [d for n in nodes if (d := ast.get_docstring(n)) and len(d) > 40]


def one_text() -> str:
    """Everything as one text of more than a million letters, ASCII only. The subjects are mixed, so that every part is like every other."""
    texts = [t for found in by_subject().values() for t in found]
    if not FORTUNES.is_dir():
        texts += [str(t) for t in topics.topics.values()]
    random.Random(0).shuffle(texts)
    text = "\n\n".join(texts).expandtabs(4)
    return re.sub(r"[^\x20-\x7e\n]", "", re.sub(r"[ ]{2,}", " ", text))


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return re.findall(r"[a-z]+(?:'[a-z]+)?", text.lower())
