"""torch.accelerator: there is none."""

from __future__ import annotations

from typing import Any

NONE_AVAILABLE = "Cannot access accelerator device when none is available."


def is_available() -> bool:
    """False."""
    return False


def current_accelerator(check_available: bool = False) -> None:
    """None: no accelerator was compiled in."""


def device_count() -> int:
    """0."""
    return 0


def _raises(name: str) -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(NONE_AVAILABLE)

    function.__name__, function.__doc__ = name, "Needs an accelerator: raises RuntimeError."
    return function


for _name in (
    "current_device_index current_device_idx set_device_index set_device_idx synchronize current_stream set_stream empty_cache "
    "memory_allocated "
    "max_memory_allocated memory_reserved max_memory_reserved memory_stats reset_peak_memory_stats get_memory_info"
).split():
    globals()[_name] = _raises(_name)


class device_index:  # noqa: N801 - torch's name
    """Context manager that selects an accelerator by number; entering it raises for any but None."""

    def __init__(self, device: int | None) -> None:
        self.idx = device

    def __enter__(self) -> None:
        if self.idx is not None:
            raise RuntimeError(NONE_AVAILABLE)

    def __exit__(self, *error: object) -> None:
        """Nothing was changed."""
