"""Parity needs PyTorch, which only `make parity` installs: say so instead of failing with an ImportError."""

from __future__ import annotations

import importlib.util
import os

import pytest

from parity.differences import DIFFERENCES

# The training scripts are compared from the same weights; two summation orders within torch itself would only add noise.
os.environ.setdefault("OMP_NUM_THREADS", "2")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for start, reason in DIFFERENCES.items():
            if item.name.startswith(start):
                item.add_marker(pytest.mark.xfail(strict=True, reason=reason))


def pytest_configure(config: pytest.Config) -> None:
    if importlib.util.find_spec("torch") is None:
        raise pytest.UsageError("parity/ compares with PyTorch and this environment has none: run `make parity`")
