"""What the compiler makes of whole models is what it made of them when the snapshot was written: a lost fusion fails here."""

from __future__ import annotations

import difflib

import pytest

from tests.structure.models import MODELS
from tests.structure.noting import processor, structure, written, written_for

SLOW = ("ResNet-18, training", "MobileNet-v3-small, training")


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in MODELS])
def test_kernels_are_those_of_the_snapshot(name: str) -> None:
    if processor() != written_for():
        pytest.skip(f"the snapshot is for {written_for()}; this processor has {processor()}")
    before, now = written().get(name, ""), structure(MODELS[name])
    difference = "\n".join(difflib.unified_diff(before.splitlines(), now.splitlines(), "snapshot", "now", lineterm="", n=0))
    assert now == before, f"the kernels of {name!r} changed:\n{difference}\nIf that is a gain, run python scripts/write_structure.py"


def test_snapshot_holds_no_other_models() -> None:
    assert list(written()) == list(MODELS)
