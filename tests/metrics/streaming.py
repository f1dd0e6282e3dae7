"""Metrics as they are used: batches of any size on several workers, whose states are merged in any order."""

from __future__ import annotations

from typing import Any

import numpy as np

import monograph as mg
from monograph.metrics import Metric


def streamed(metric: Metric, *columns: Any, seed: int = 0, workers: int = 3) -> Any:
    """What the metric computes after batches of 0 to a third of the rows on each worker, and a merge in shuffled order."""
    rng = np.random.default_rng(seed)
    rows = len(columns[0])
    cuts = np.sort(rng.integers(0, rows + 1, 5))
    clones = [metric.clone() for _ in range(workers)]
    for number, (start, stop) in enumerate(zip([0, *cuts], [*cuts, rows], strict=True)):
        parts = [column[start:stop] for column in columns]  # texts stay lists
        clones[number % workers].update(*(mg.tensor(part) if isinstance(part, np.ndarray) else part for part in parts))
    order = rng.permutation(workers)
    first = clones[order[0]]
    first.merge([clones[i] if i % 2 else clones[i].state() for i in order[1:]])
    return plain(first.compute())


def plain(value: Any) -> Any:
    """Tensors as NumPy arrays or numbers."""
    if isinstance(value, dict):
        return {name: plain(v) for name, v in value.items()}
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    array = value.numpy()
    return array if array.ndim else array.item()
