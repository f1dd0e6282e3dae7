"""torch.random: the default generator."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from monograph.tensor.random import Generator, default_generator, manual_seed

get_rng_state, set_rng_state = default_generator.get_state, default_generator.set_state
seed, initial_seed = default_generator.seed, default_generator.initial_seed


@contextlib.contextmanager
def fork_rng(
    devices: Any = None, enabled: bool = True, _caller: str = "fork_rng", _devices_kw: str = "devices", device_type: str = "cuda"
) -> Iterator[None]:
    """Draws within the block leave no trace: afterwards the default generator is where it was.

    >>> import monograph as mg
    >>> before = mg.random.get_rng_state()
    >>> with mg.random.fork_rng():
    ...     _ = mg.rand(3)
    >>> mg.equal(before, mg.random.get_rng_state())
    True
    """
    state = get_rng_state() if enabled else None
    try:
        yield
    finally:
        if state is not None:
            set_rng_state(state)


__all__ = ["Generator", "default_generator", "fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]
