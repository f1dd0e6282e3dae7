"""Every test of this room runs on both targets: what a tensor means does not depend on who computes it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from monograph.core import knobs


@pytest.fixture(params=["reference", "cpu"], autouse=True)
def target(request: pytest.FixtureRequest) -> Iterator[str]:
    """The target that evaluates."""
    with knobs.target.scoped(request.param):
        yield request.param
