"""docs/first_model.md, as a newcomer would follow it: Python is typed, TOML is saved under its name, commands are run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import monograph
from tests.house.source_tree import ROOT

pytest.importorskip("sklearn", reason="the page's data come from scikit-learn (the extra `demo`)")

BLOCK = re.compile(r"^```(python|toml|sh)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def test_the_page_works_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = BLOCK.findall((ROOT / "docs" / "first_model.md").read_text(encoding="utf-8"))
    assert {kind for kind, _ in blocks} == {"python", "toml", "sh"}
    monkeypatch.chdir(tmp_path)
    program = "\n".join(text for kind, text in blocks if kind == "python")
    Path("tumours.py").write_text(program, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    result = subprocess.run([sys.executable, "tumours.py"], env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    said = ""
    for kind, text in blocks:
        if kind == "toml":
            name = text.split("\n")[0].removeprefix("# ")
            Path(name).write_text(text, encoding="utf-8")
        for line in text.splitlines() if kind == "sh" else ():
            program_name, *arguments = line.split()
            assert program_name == "monograph"
            done = monograph(*arguments)
            assert done.status == 0, f"{line}\n{done.err}"
            said += done.out
    assert "epoch 6/6" in said and "checkpoint, " in said and "artifact, " in said and "-> expected.npy" in said
