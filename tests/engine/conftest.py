"""Every engine test runs on each target that is named here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from monograph.core import knobs


@pytest.fixture(autouse=True, params=["reference", "cpu"])
def target(request: pytest.FixtureRequest) -> Iterator[str]:
    """The target that evaluates the test's graphs."""
    with knobs.target.scoped(request.param):
        yield request.param
