"""The rules that hold for every test: nothing random without a seed, no example database between runs, a compile cache of its own."""

from __future__ import annotations

import os
import random
import sys

import hypothesis
import numpy as np
import pytest

# Every graph that a test compiles is verified before and after every pass (read when monograph is first imported).
os.environ.setdefault("MONOGRAPH_VERIFY", "1")

# Derandomised: a failure seen once is seen by everyone. `print_blob` gives the line that replays it alone.
hypothesis.settings.register_profile("house", derandomize=True, deadline=None, database=None, print_blob=True)
hypothesis.settings.load_profile("house")


@pytest.fixture(autouse=True)
def _same_randomness_every_time() -> None:
    """Seed every generator before each test, so that no test depends on which ones ran before it."""
    random.seed(0)
    np.random.seed(0)  # the generator that user code shares
    monograph = sys.modules.get("monograph")
    if monograph is not None and hasattr(monograph, "manual_seed"):
        monograph.manual_seed(0)
