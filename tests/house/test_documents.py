"""Documents are executed: the README's code, the examples in docstrings, the tour. What they show is what a reader gets."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import monograph
from tests.house.source_tree import ROOT

PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
TARGETS_OF_MAKE = re.compile(r"`make ([a-z-]+)")
NAMED_FILE = re.compile(r"`([\w/]+\.py)`")
ROOMS = ("monograph", "benchmarks", "parity")
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")


def public_modules() -> list[str]:
    found = pkgutil.walk_packages(monograph.__path__, "monograph.")
    return ["monograph", *sorted(module.name for module in found if not module.name.endswith("__main__"))]


def run_script(path: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    return subprocess.run([sys.executable, str(path)], cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def pages() -> list[str]:
    return ["ARCHITECTURE.md", *sorted(str(p.relative_to(ROOT)) for room in ROOMS for p in ROOT.glob(f"{room}/**/README.md"))]


@pytest.mark.parametrize("page", pages())
def test_files_that_pages_name_are_there(page: str) -> None:
    text, room = (ROOT / page).read_text(encoding="utf-8"), (ROOT / page).parent
    rooms = [ROOT / "monograph", *([] if room == ROOT else [room])]
    missing = [
        name for name in set(NAMED_FILE.findall(text)) if not (ROOT / name).exists() and not any([*r.glob(f"**/{name}")] for r in rooms)
    ]
    assert not missing, f"{page} names {missing}: renamed or gone"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_python_blocks_run(name: str, tmp_path: Path) -> None:
    """All blocks of one document are one program, read from top to bottom as a reader would type them."""
    text = (ROOT / name).read_text(encoding="utf-8")
    program = "\n".join(PYTHON_BLOCK.findall(text))
    if name == "README.md":
        assert program, "the README lost its tour"
    script = tmp_path / f"{Path(name).stem.lower()}_blocks.py"
    script.write_text(program, encoding="utf-8")
    result = run_script(script, tmp_path)
    assert result.returncode == 0, f"{name}:\n{result.stdout}\n{result.stderr}"


def test_the_tour_runs(tmp_path: Path) -> None:
    result = run_script(ROOT / "docs" / "tour.py", tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    for stage in ("node", "gradient", "pass", "loop", "LLVM", "assembly"):
        assert stage.lower() in result.stdout.lower(), f"the tour no longer shows the stage {stage!r}"


@pytest.mark.parametrize("name", public_modules())
def test_docstring_examples(name: str) -> None:
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    runner = doctest.DocTestRunner(optionflags=flags)
    for test in finder.find(module, name, extraglobs={"mg": monograph, "nn": monograph.nn, "F": monograph.nn.functional}):
        runner.run(test)
    assert runner.failures == 0, f"{runner.failures} of {runner.tries} examples in {name} print something else (see captured output)"


def test_documents_name_existing_files_and_make_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    wrong = []
    for name in DOCUMENTS:
        text = (ROOT / name).read_text(encoding="utf-8")
        targets = TARGETS_OF_MAKE.findall(text)
        wrong += [f"{name}: make {target}" for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)]
        links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith(("http", "#"))]
        paths = re.findall(r"`((?:monograph|tests|docs|examples|benchmarks|parity)/[\w./-]*)`", text)
        wrong += [f"{name}: {path}" for path in [*links, *paths] if not (ROOT / path).exists()]
    assert not wrong, "\n".join(wrong)
