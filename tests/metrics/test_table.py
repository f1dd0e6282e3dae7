"""Every public metric equals its reference to 1e-6 over random cases, in batches of any size on several workers merged in any order."""

from __future__ import annotations

import inspect
import zlib
from typing import Any

import numpy as np
import pytest

from monograph import metrics
from monograph.metrics.counting import ByTask
from tests.metrics.references import Case
from tests.metrics.references_texts import CASES
from tests.metrics.streaming import streamed

SEEDS = range(2)
IN_ORDER = ("AUC", "RunningMean")  # what comes first matters: nothing to be merged


def same(got: Any, expected: Any, what: str) -> None:
    if isinstance(expected, dict):
        assert set(got) == set(expected), what
        got, expected = [got[name] for name in expected], list(expected.values())
    if isinstance(got, list):
        assert len(got) == len(expected), what
        for one, other in zip(got, expected, strict=True):
            same(one, other, what)
    else:
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6, err_msg=what)


@pytest.mark.parametrize("name", CASES)
def test_it_equals_its_reference(name: str) -> None:
    for number, (settings, data, expected) in enumerate(CASES[name]):
        for seed in SEEDS:
            rng = np.random.default_rng([seed, number, zlib.crc32(name.encode())])
            columns = data(rng, 45)
            metric = getattr(metrics, name)(**settings)
            got = streamed(metric, *columns, seed=seed, workers=1 if name in IN_ORDER else 3)
            same(np.sort(got) if name == "CatMetric" else got, expected(*columns), f"{name}{settings}, seed {seed}")


def single(columns: tuple[Any, ...]) -> tuple[Any, ...]:
    """Numbers as training has them."""
    return tuple(c.astype(np.float32) if isinstance(c, np.ndarray) and c.dtype == np.float64 else c for c in columns)


@pytest.mark.parametrize("name", CASES)
def test_float32_is_summed_in_float64(name: str) -> None:
    settings, data, expected = CASES[name][0]
    columns = single(data(np.random.default_rng([7, zlib.crc32(name.encode())]), 45))
    wide = tuple(c.astype(np.float64) if isinstance(c, np.ndarray) and c.dtype == np.float32 else c for c in columns)
    got = streamed(getattr(metrics, name)(**settings), *columns, workers=1 if name in IN_ORDER else 3)
    same(np.sort(got) if name == "CatMetric" else got, expected(*wide), name)


def test_no_metric_is_left_out() -> None:
    public = {name: getattr(metrics, name) for name in metrics.__all__}
    classes = {name for name, kind in public.items() if inspect.isclass(kind)} - {"Metric", "MetricCollection"}
    assert classes == set(CASES), "tests/metrics/references.py has a case for each metric"
    kinds = {kind.__name__ for family in public.values() if isinstance(family, ByTask) for kind in family.kinds.values() if kind}
    assert kinds <= set(CASES), sorted(kinds - set(CASES))


def test_the_table_would_find_a_wrong_metric() -> None:
    """Each case's value depends on the data: none is a constant that any metric would have."""

    def moves(case: Case) -> bool:
        _, data, expected = case
        values = [repr(expected(*data(np.random.default_rng(seed), 40))) for seed in range(6)]
        return len(set(values)) > 1

    assert [name for name, cases in CASES.items() for case in cases if not moves(case)] == []
