"""Random numbers while samples are made: a stream for each batch, so that what is drawn does not depend on who makes it.

A batch's stream is a function of the epoch's seed (drawn once, in the main process) and of the batch's number. So augmentation gives the
same values with any number of workers, and when an epoch is taken up in its middle.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np

from monograph.core.modes import MODES
from monograph.tensor import random as streams

MASK = (1 << 64) - 1


def batch_seed(epoch_seed: int, number: int) -> int:
    """The 63-bit seed of a batch: neighbours have nothing in common (the finaliser of SplitMix64).

    >>> batch_seed(7, 0) == batch_seed(7, 0) != batch_seed(7, 1)
    True
    """
    z = (epoch_seed + (number + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
    return (z ^ z >> 31) >> 1


@contextlib.contextmanager
def making_samples(seed: int | None) -> Iterator[None]:
    """Within, the default generator gives the stream of `seed` (None: its own); afterwards it goes on where it was.

    And small work is done without a plan: see `engine.interpreting`.
    """
    now, generator = MODES.now, streams.default_generator
    sampling, before = now.sampling, None if seed is None else generator.where()
    now.sampling = now.capture is None
    try:
        if seed is not None:
            generator.go_to(seed, 0)
        yield
    finally:
        now.sampling = sampling
        if before is not None:
            generator.go_to(*before)


class WorkerStreams:
    """The three global streams of a worker process: monograph's, Python's and NumPy's. What `worker_init_fn` seeds is left to it."""

    def __init__(self, seed: int) -> None:
        self._generator = streams.default_generator
        self._generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - the generator that users' transforms share
        self._places = self._look()
        self._ours = [True, True, True]

    def _look(self) -> list[Any]:
        numpy_state: Any = np.random.get_state(legacy=True)  # noqa: NPY002
        return [self._generator.where(), random.getstate(), (numpy_state[1].tobytes(), *numpy_state[2:])]

    def after_init(self) -> None:
        """Notes which streams the user's function has touched."""
        self._ours = [before == now for before, now in zip(self._places, self._look(), strict=True)]

    def seed_of_batch(self, epoch_seed: int, number: int) -> int | None:
        """Starts Python's and NumPy's streams for a batch; returns the seed for monograph's, None where the user has chosen."""
        seed = batch_seed(epoch_seed, number)
        own, of_python, of_numpy = self._ours
        if of_python:
            random.seed(seed)
        if of_numpy:
            np.random.seed(seed % 2**32)  # noqa: NPY002
        return seed if own else None
