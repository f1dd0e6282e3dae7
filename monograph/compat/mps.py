"""torch.mps: Apple's GPUs, none of which is here."""

from __future__ import annotations

from typing import Any


def is_available() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing to seed."""


def seed() -> None:
    """Nothing to seed."""


def _raises(name: str) -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"Cannot execute {name}() without MPS backend.")

    function.__name__, function.__doc__ = name, "Needs the MPS backend: raises RuntimeError."
    return function


for _name in (
    "empty_cache synchronize current_allocated_memory driver_allocated_memory recommended_max_memory get_rng_state set_rng_state "
    "set_per_process_memory_fraction"
).split():
    globals()[_name] = _raises(_name)
