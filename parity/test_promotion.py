"""The result dtype of every pair of dtypes, where each side is a tensor, a 0-d tensor or a Python scalar.

Thousands of pairs of tiny tensors: they run on the reference target, which compiles nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from monograph.core import knobs
from parity.frames import ALL, COMPLEX, FRAMES, attempt, compare, disagreement

SIDES = ("tensor", "0-d")
# Of half precision torch makes complex32, which is not here: it becomes complex64.
PAIRS = [pair for pair in itertools.product(ALL, ALL) if not ("float16" in pair and set(pair) & set(COMPLEX))]
SCALARS = (True, 2, 1.5)
OPERATIONS = {
    "add": lambda t, a, b: a + b,
    "sub": lambda t, a, b: a - b,
    "mul": lambda t, a, b: a * b,
    "div": lambda t, a, b: a / b,
    "floor_divide": lambda t, a, b: a // b,
    "remainder": lambda t, a, b: a % b,
    "pow": lambda t, a, b: a**b,
    "lt": lambda t, a, b: a < b,
    "eq": lambda t, a, b: a == b,
    "maximum": lambda t, a, b: t.maximum(t.as_tensor(a), t.as_tensor(b)),
    "where": lambda t, a, b: t.where(t.tensor([True, False]), a, b),
    "bitwise_and": lambda t, a, b: a & b,
    "logical_and": lambda t, a, b: t.logical_and(t.as_tensor(a), t.as_tensor(b)),
    "atan2": lambda t, a, b: t.atan2(t.as_tensor(a), t.as_tensor(b)),
    "add_": lambda t, a, b: t.as_tensor(a).clone().add_(b),
    "div_": lambda t, a, b: t.as_tensor(a).clone().div_(b),
    "cat": lambda t, a, b: t.cat([a, b]),
    "stack": lambda t, a, b: t.stack([a, b]),
    "result_type": lambda t, a, b: t.result_type(a, b),
}


@pytest.fixture(autouse=True)
def _on_the_reference_target() -> Iterator[None]:
    before = knobs.target.get()
    knobs.target.set("reference")
    yield
    knobs.target.set(before)


def operand(frame: Any, dtype: str, side: str) -> Any:
    return frame.tensor([1, 1] if side == "tensor" else 1, dtype=getattr(frame, dtype))


@pytest.mark.parametrize("name", OPERATIONS)
def test_pairs_of_tensors(name: str) -> None:
    problems = []
    for (left, right), sides in itertools.product(PAIRS, itertools.product(SIDES, SIDES)):
        results = [
            attempt(lambda f=f, x=left, y=right, s=sides: OPERATIONS[name](f, operand(f, x, s[0]), operand(f, y, s[1]))) for f in FRAMES
        ]
        if problem := disagreement(*results):
            problems.append(f"{left} {sides[0]}, {right} {sides[1]}: {problem}")
    assert not problems, f"{len(problems)} pairs:\n" + "\n".join(problems[:12])


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in ("cat", "stack")])
def test_tensors_with_scalars(name: str) -> None:
    problems = []
    for dtype, side, scalar, swapped in itertools.product(ALL, SIDES, SCALARS, (False, True)):
        def program(frame: Any, dtype: str = dtype, side: str = side, scalar: Any = scalar, swapped: bool = swapped) -> Any:
            tensor = operand(frame, dtype, side)
            return OPERATIONS[name](frame, *((scalar, tensor) if swapped else (tensor, scalar)))

        if problem := compare(program):
            problems.append(f"{dtype} {side} with {scalar!r}{' on the left' if swapped else ''}: {problem}")
    assert not problems, f"{len(problems)} combinations:\n" + "\n".join(problems[:12])


def test_promote_types_and_can_cast() -> None:
    problems = []
    for left, right in PAIRS:
        for program in (
            lambda t, a=left, b=right: t.promote_types(getattr(t, a), getattr(t, b)),
            lambda t, a=left, b=right: t.can_cast(getattr(t, a), getattr(t, b)),
        ):
            if problem := compare(program):
                problems.append(f"{left}, {right}: {problem}")
    assert not problems, "\n".join(problems[:12])


ONE = "exp sqrt sin sigmoid mean sum cumsum prod abs neg floor reciprocal erf logsumexp".split()


@pytest.mark.parametrize("name", ONE)
def test_what_one_tensor_becomes(name: str) -> None:
    def program(frame: Any, dtype: str) -> Any:
        more = (0,) if name in ("cumsum", "logsumexp") else ()
        return getattr(frame, name)(operand(frame, dtype, "tensor"), *more)

    problems = [f"{dtype}: {problem}" for dtype in ALL if (problem := compare(program, (dtype,)))]
    assert not problems, "\n".join(problems)


def test_default_dtype_governs_division_and_creation() -> None:
    def program(frame: Any) -> Any:
        before = frame.get_default_dtype()
        frame.set_default_dtype(frame.float64)
        try:
            return frame.tensor([1, 2]) / 2, frame.tensor(1.5), frame.ones(2), frame.tensor([1, 2]) * 1.5, frame.arange(3.0)
        finally:
            frame.set_default_dtype(before)

    assert not compare(program)
