"""Each test here looks at its own work only."""

from __future__ import annotations

import pytest

from monograph.core.modes import MODES


@pytest.fixture(autouse=True)
def _nothing_pending_from_before() -> None:
    """What earlier tests left pending (tensors in the traceback of an expected error, say) is not swept along with a test's own work."""
    MODES.pending = []
