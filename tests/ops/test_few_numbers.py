"""Draws of a few numbers give what long draws begin with."""

from __future__ import annotations

import pytest

import monograph as mg
from monograph.ops.few_numbers import block
from monograph.ops.philox_reference import philox_blocks

DRAWS = {
    "rand": lambda n: mg.rand(n),
    "rand float64": lambda n: mg.rand(n, dtype=mg.float64),
    "rand float16": lambda n: mg.rand(n, dtype=mg.float16),
    "randn": lambda n: mg.randn(n),
    "randint": lambda n: mg.randint(-3, 4, (n,)),
    "randint of all": lambda n: mg.randint(-(2**63), 2**63 - 1, (n,)),
    "randint int32": lambda n: mg.randint(0, 9, (n,), dtype=mg.int32),
}


@pytest.mark.parametrize("key", [0, 7, -1, 2**63 - 1])
def test_a_block(key: int) -> None:
    for counter in (0, 5, 2**32 - 1, 2**40, 2**64 - 1):
        assert block(key, counter) == tuple(philox_blocks(key, counter, 1)[0].tolist())


@pytest.mark.parametrize("name", DRAWS)
def test_few_are_the_first_of_many(name: str) -> None:
    draw = DRAWS[name]
    for seed in range(5):
        mg.manual_seed(seed)
        many = draw(9).tolist()
        for n in (0, 1, 2, 3, 4):
            mg.manual_seed(seed)
            assert draw(n).tolist() == many[:n]
        mg.manual_seed(seed)
        one = draw(1)
        assert one.item() == many[0] and one.tolist() == many[:1] and one.dtype is draw(9).dtype
        assert type(one.item()) is type(many[0])


def test_nothing_is_left_behind() -> None:
    from monograph.core.modes import MODES  # noqa: PLC0415

    before = len(MODES.pending)
    for _ in range(50):
        mg.rand(1).tolist()
        mg.randint(0, 5, (1,)).item()
    assert len(MODES.pending) <= before + 1
