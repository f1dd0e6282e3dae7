"""What users see, snippet by snippet, is what torch 2.13 gave: values, dtypes, shapes, error classes and printed text."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

import monograph as mg

from .snippets import agree, answer, recorded


@pytest.mark.parametrize("name", ["dtypes", "functions", "indexing", "memory", "printing", "views_and_autograd"])
def test_same_answers(name: str) -> None:
    wrong = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for code, wanted in recorded(name):
            got = answer(code, mg)
            if not agree(wanted, got):
                wrong.append(f"{code}\n  torch: {wanted}\n  here:  {got}")
    assert not wrong, f"{len(wrong)} cases differ\n" + "\n".join(wrong[:10])


def test_every_case_has_an_answer() -> None:
    folder = Path(__file__).parent / "cases"
    assert {p.stem for p in folder.glob("*.txt")} == {p.stem for p in folder.glob("*.json")}
