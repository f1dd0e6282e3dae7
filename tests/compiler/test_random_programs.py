"""Random programs: the CPU target computes what NumPy computes, and its bits depend on nothing but the program.

What is promised bit for bit, and checked here for every program: the same results with one thread and with two (even tiny steps are
shared out), fused as a whole and node by node with every intermediate in memory, compiled by `compile` (recorded and replayed) and
uncompiled, and whatever the fresh memory of a program held before. Not promised: the order of summation in a product with a single row or
column, which follows the layout of the matrix; the programs use exact values there.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from tests.compiler.program_builder import Program
from tests.compiler.program_runner import (
    FUSIBLE,
    assert_close,
    assert_same_bits,
    compiled_results,
    one_by_one,
    poisoned,
    programs,
    reference_results,
    results,
    small_grains,
    threads,
)

SLOW_TO_DRAW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example)


@pytest.fixture(scope="module", autouse=True)
def _shared_out() -> Iterator[None]:
    with small_grains():
        yield


def check(program: Program) -> None:
    with threads(2):
        got = results(program)
        assert_close(program, got, reference_results(program))
        with one_by_one():
            assert_same_bits(program, results(program), got, "node by node and fused")
        for number, again in enumerate(compiled_results(program)):
            assert_same_bits(program, again, got, f"call {number} of the compiled program and uncompiled")
    with threads(1), poisoned(0xFF):
        assert_same_bits(program, results(program), got, "with one thread and fresh memory full of NaNs, and with two threads")
    with threads(1), poisoned(0x3F):
        assert_same_bits(program, results(program), got, "with one thread and fresh memory full of 0x3f, and with two threads")


@settings(max_examples=420, suppress_health_check=SLOW_TO_DRAW)
@given(programs(16))
def test_programs_of_all_sorts(program: Program) -> None:
    check(program)


@settings(max_examples=200, suppress_health_check=SLOW_TO_DRAW)
@given(programs(14, FUSIBLE))
def test_programs_that_fuse(program: Program) -> None:
    check(program)
