"""docs/coverage.md is true: it is what scripts/coverage.py finds now, and no name that worked is lost."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest

from tests.house.source_tree import ROOT


@pytest.fixture(scope="module")
def coverage() -> ModuleType:
    spec = importlib.util.spec_from_file_location("coverage_script", ROOT / "scripts" / "coverage.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["coverage_script"] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_is_found(coverage: ModuleType) -> None:
    now = coverage.page(coverage.examine()).splitlines()
    before = (ROOT / "docs" / "coverage.md").read_text(encoding="utf-8").splitlines()
    differences = [f"now: {line}" for line in now if line not in before] + [f"page: {line}" for line in before if line not in now]
    assert not differences, "run `python scripts/coverage.py`:\n" + "\n".join(differences[:40])


def test_every_smoke_line_names_a_counted_name_and_holds(coverage: ModuleType) -> None:
    entries = {entry.name: entry for entry in coverage.examine()}
    wrong = {name: coverage.passes(expression) for name, expression in coverage._smoke().items()}
    assert not {name: what for name, what in wrong.items() if what}
    assert len(entries) > 600
