"""Random calls made in both frameworks, the same ones every time; `python -m parity.fuzz` draws others for as long as one likes."""

from __future__ import annotations

import pytest

from parity.fuzz.comparing import compared, drawn, name_of, reason, shared_names


@pytest.mark.parametrize("seed", (601, 602))
def test_random_calls(seed: int) -> None:
    found = [(text, said) for text, said in compared(drawn(seed, 60)) if said.startswith(("[values]", "[state]", "[crash]", "[class]"))]
    wrong = [f"{said}\n    {text}" for text, said in found if not reason(text, said)]
    assert not wrong, "\n".join(wrong)


def test_names_are_read_from_calls() -> None:
    assert name_of("t((2, 3), 'float32', 1, 'plain').add(1)") == "Tensor.add"
    assert name_of("step(mg.optim.Adam, t((2,), 'float32', 1, 'plain'), 0.1)") == "mg.optim.Adam"
    assert name_of("mg.linalg.svd(1)") == "mg.linalg.svd" and "mg.linalg.svd" in shared_names()
    assert "mg.rand" not in shared_names() and "mg.add" in shared_names()
