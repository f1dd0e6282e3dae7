"""Every call of the tables, in both frameworks: values, dtypes, shapes, error classes, and gradients.

All variants run on the reference target, whose ops are the meaning that `tests/` holds every other target to; one variant of each runs
compiled, which is what users get.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph.core import knobs
from parity.cases import complex_numbers, elementwise, indexing, movement, networks, reduce
from parity.cases.describe import Case, with_layout
from parity.frames import ALL, COMPLEX, FLOATS, FRAMES, HALVES, WIDE_UNSIGNED, attempt, disagreement, outcome, to_tensor

FAMILIES = (complex_numbers, elementwise, indexing, movement, networks, reduce)
CASES = [pytest.param(case, id=f"{family.__name__.rsplit('.', 1)[-1]}: {case.name}") for family in FAMILIES for case in family.CASES]


def called_plainly(case: Case, frame: Any, arrays: list[np.ndarray], dtype: str, layout: str) -> Any:
    tensors = [with_layout(frame, array, spec.dtype or dtype, layout) for spec, array in zip(case.inputs, arrays, strict=True)]
    return case.call(frame, *tensors)


def called_with_gradients(case: Case, frame: Any, arrays: list[np.ndarray], dtype: str, layout: str) -> Any:
    """(results, requires_grad of each, gradient of a fixed weighting of the float results for every float input)."""
    leaves = [to_tensor(frame, array, spec.dtype or dtype) for spec, array in zip(case.inputs, arrays, strict=True)]
    tracked = [leaf.requires_grad_() for spec, leaf in zip(case.inputs, leaves, strict=True) if not spec.dtype]
    # A view of the leaf in the wanted layout, so that the gradient flows through it.
    views = [leaf.transpose(-1, -2).clone().transpose(-1, -2) if layout == "transposed" and leaf.ndim > 1 else leaf for leaf in leaves]
    result = case.call(frame, *views)
    flat = [item for item in (result if isinstance(result, (tuple, list)) else (result,)) if hasattr(item, "requires_grad")]
    total = None
    for place, item in enumerate(flat):
        if item.requires_grad:
            kind = str(item.dtype).rsplit(".", 1)[-1]
            weight = np.random.default_rng(place).uniform(0.5, 1.5, tuple(item.shape)).astype(np.float32)
            part = (item * to_tensor(frame, weight * (1 - 0.5j) if kind in COMPLEX else weight, kind)).sum()
            part = part.real if kind in COMPLEX else part
            total = part if total is None else total + part
    if total is not None:
        total.backward()
    zeros = [leaf.grad if leaf.grad is not None else frame.zeros_like(leaf) for leaf in tracked]
    return [item.requires_grad for item in flat], [gradient.detach() for gradient in zeros]


def variants(case: Case) -> Iterator[tuple[str, str]]:
    several = any(len(spec.shape) >= 1 for spec in case.inputs)
    for dtype in case.dtypes:
        for layout in case.layouts if several else ("contiguous",):
            yield dtype, layout


def name_is_missing(case: Case) -> bool:
    arrays = [spec.array(case.generator(), case.dtypes[0]) for spec in case.inputs]
    result = attempt(lambda: called_plainly(case, mg, arrays, case.dtypes[0], "contiguous"))
    return not isinstance(result, tuple) and result.kind == "error" and bool(re.match(r"(AttributeError|module).*", result.message))


def difference(case: Case, dtype: str, layout: str) -> str:
    """Where the frameworks disagree about one variant of a case, its gradients included; empty where they agree."""
    arrays = [spec.array(case.generator(), dtype) for spec in case.inputs]
    theirs, ours = (attempt(lambda f=f: called_plainly(case, f, arrays, dtype, layout)) for f in FRAMES)
    problem = disagreement(theirs, ours, case.loosen)
    failed = not isinstance(theirs, tuple) and theirs.kind == "error"
    if problem or failed or not case.grad or dtype not in (*FLOATS, *COMPLEX) or layout not in ("contiguous", "transposed"):
        return problem
    theirs, ours = (attempt(lambda f=f: called_with_gradients(case, f, arrays, dtype, layout)) for f in FRAMES)
    problem = disagreement(theirs, ours, 4 * case.loosen)
    return f"gradients: {problem}" if problem else ""


@pytest.mark.parametrize("case", CASES)
def test_call(case: Case) -> None:
    if case.absent:
        assert name_is_missing(case), f"{case.name} exists now: remove absent=True and compare it"
        return
    runs = [("reference", dtype, layout) for dtype, layout in variants(case)]
    runs.append(("cpu", case.dtypes[0], "contiguous"))
    problems = []
    for target, dtype, layout in runs:
        with knobs.target.scoped(target):
            problem = difference(case, dtype, layout)
        if problem:
            problems.append(f"{dtype} {layout} on {target}: {problem}")
    assert not problems, f"{len(problems)} of {len(runs)} variants of {case.name}:\n" + "\n".join(problems[:6])


def test_the_tables_name_dtypes_that_exist() -> None:
    assert all(set(param.values[0].dtypes) <= {*ALL, *WIDE_UNSIGNED} for param in CASES)
    assert set(HALVES) < set(ALL)
    assert outcome(mg.zeros(2)).dtype == "float32"
