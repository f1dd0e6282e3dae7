"""Kernels that store past the caches: chosen by what they move, with the same bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph.engine import families
from monograph.targets.cpu import loop_lowering
from monograph.targets.llvm.loop_spec import LoopKernel

F = mg.nn.functional
FUNCTIONS: dict[str, tuple[Callable[[Any], Any], bool]] = {  # and whether a row of the result is that of its row of x alone
    "map": (lambda x: F.gelu(x * 1.5 + 0.25), True),
    "rows": (lambda x: F.softmax(x, dim=-1), True),
    "columns": (lambda x: x - x.mean(0), False),
}


@pytest.mark.parametrize("columns", [64, 57])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_large_results_go_past_the_caches(name: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    function, by_row = FUNCTIONS[name]
    x = mg.tensor(np.random.default_rng(3).standard_normal((29, columns)).astype(np.float32))
    usual = mg.compile(function)(x).numpy()
    chosen: list[LoopKernel] = []
    source = loop_lowering.loop_source
    monkeypatch.setattr(loop_lowering, "loop_source", lambda spec: (chosen.append(spec), source(spec))[1])
    monkeypatch.setattr(loop_lowering, "streamed_from", lambda: 1)
    families._families.clear()  # a template of such a structure has its kernels already
    longer = mg.cat([x, x.mean(0, keepdim=True) if not by_row else x[:1]])  # another size: no plan is remembered; the same mean
    made = mg.compile(lambda v: function(v))(longer).numpy()
    assert any(spec.stream for spec in chosen)
    if by_row:
        assert made[:29].tobytes() == usual.tobytes()
    else:
        np.testing.assert_allclose(made[:29], usual, atol=1e-6)
