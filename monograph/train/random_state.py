"""Every random stream of a process in one value: saved in checkpoints, set by `seed_everything`."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np

from monograph.tensor import random as streams
from monograph.tensor.random import Generator


def default_generator() -> Generator:
    """The generator that random functions draw from when given none."""
    return streams.default_generator


def seed_everything(seed: int | None = None, workers: bool = False, verbose: bool = False) -> int:
    """Seeds monograph's, NumPy's and Python's generators; without a seed takes one from the system. Returns the seed (0 to 2**32 - 1).

    `workers` and `verbose` are Lightning's; workers of a `DataLoader` always derive their seeds from monograph's.

    >>> from monograph.train import seed_everything
    >>> seed_everything(7)
    7
    """
    if seed is None:
        seed = int.from_bytes(os.urandom(4), "little")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ValueError(f"seed_everything takes an int from 0 to {2**32 - 1}, got {seed!r}")
    streams.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    return seed


def random_state() -> dict[str, Any]:
    """The states of all streams, as plain data."""
    name, words, *rest = np.random.get_state(legacy=True)  # type: ignore[misc]
    version, internal, gauss = random.getstate()
    return {
        "monograph": default_generator().get_state(),
        "numpy": [str(name), np.asarray(words), *rest],
        "python": [version, list(internal), gauss],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Undoes what happened since `random_state()`."""
    default_generator().set_state(state["monograph"])
    np.random.set_state(tuple(state["numpy"]))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
