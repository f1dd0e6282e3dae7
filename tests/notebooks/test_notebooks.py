"""The tutorials run from top to bottom, their own assertions hold, and what they show is HTML that a notebook can show."""

from __future__ import annotations

import html.parser
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.source_tree import ROOT

pytest.importorskip("sklearn", reason="the notebooks' data come from scikit-learn (the extra `demo`)")

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SHOWN = {
    "first_steps": {"Tensor", "Sequential", "Explanation"},
    "from_keras": {"History"},
    "from_torch": {"Net", "Explanation", "History"},
}


class Balanced(html.parser.HTMLParser):
    """Fails on tags that are not closed where they should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"


def test_there_are_three() -> None:
    assert {path.stem for path in NOTEBOOKS} == set(SHOWN)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    program = [sys.executable, "-W", "error", str(ROOT / "tests" / "notebooks" / "cells.py"), str(path), str(tmp_path / "shown.json")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(program, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    shown = json.loads((tmp_path / "shown.json").read_text(encoding="utf-8"))
    assert SHOWN[path.stem] <= {kind for _, kind, _ in shown}
    for cell, kind, text in shown:
        if kind in SHOWN[path.stem]:
            reader = Balanced()
            reader.feed(text)
            assert text.startswith("<div") and not reader.open, (cell, kind)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_are_stored_without_outputs(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["nbformat"] == 4 and "kernelspec" in document["metadata"]
    for cell in document["cells"]:
        of_code = {"outputs", "execution_count"} if cell["cell_type"] == "code" else set()
        assert set(cell) == {"cell_type", "id", "metadata", "source"} | of_code
        assert cell.get("outputs", []) == [] and cell.get("execution_count") is None, "clear the outputs before you store it"
