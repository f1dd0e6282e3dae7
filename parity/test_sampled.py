"""A fixed part of the sampled comparison (see `parity/sampled`): no disagreement without a reason, no reason without a disagreement."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from typing import Any

import pytest

from parity.sampled.checks import Comparison, Result, all_ops, full_name
from parity.sampled.known import KNOWN, known, not_compared

# The n-th op is compared in dtype n modulo 3: a third of the work, and every check with hundreds of ops. Gradients are float64's; errors,
# which cost nothing, are compared for every op.
DTYPES = ("float32", "float64", "int64")
CHECKS = ("function", "inplace", "out", "gradient")
OPS = [op for op in all_ops() if not not_compared(full_name(op))]
MET: set[object] = set()
COUNTS: collections.Counter[str] = collections.Counter()


def fixed_part(number: int) -> Iterator[Result]:
    """The comparisons of one op."""
    yield from Comparison(OPS[number], DTYPES[number % len(DTYPES)], 1).run(CHECKS)
    yield from Comparison(OPS[number], "float32", 1).run(("error",))


def judged(results: Iterator[Any]) -> list[str]:
    """Counts results; those that disagree without a reason."""
    unexplained = []
    for result in results:
        if result.verdict in ("", "extension"):
            COUNTS["agree"] += 1
            continue
        reason = known(result.op, result.dtype, result.check, result.verdict)
        MET.add(reason)
        COUNTS["known" if reason else "unexplained"] += 1
        if reason is None:
            unexplained.append(f"{result.dtype} {result.check} #{result.sample}: {result.verdict}")
    return unexplained


@pytest.mark.parametrize("number", range(len(OPS)), ids=[full_name(op) for op in OPS])
def test_op(number: int) -> None:
    unexplained = judged(fixed_part(number))
    COUNTS["ops"] += 1
    assert not unexplained, "\n".join(unexplained)


def test_every_known_difference_is_one() -> None:
    if COUNTS["ops"] < len(OPS):
        pytest.skip("needs the whole run")
    idle = [k for k in KNOWN if k.in_fixed_run and k not in MET]
    assert not idle, f"these agree after all: take them out of known.py: {idle}"


def test_enough_agree() -> None:
    """99.5 % of the comparisons of the whole run, the known differences counted against us."""
    if COUNTS["ops"] < len(OPS):
        pytest.skip("needs the whole run")
    compared = sum(COUNTS[kind] for kind in ("agree", "known", "unexplained"))
    assert COUNTS["agree"] >= 0.995 * compared, dict(COUNTS)
