"""torch.cpu: the device that is here."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any


def is_available() -> bool:
    """True."""
    return True


def is_initialized() -> bool:
    """True."""
    return True


def device_count() -> int:
    """1."""
    return 1


def current_device() -> str:
    """ "cpu"."""
    return "cpu"


def set_device(device: Any) -> None:
    """There is only one."""


def synchronize(device: Any = None) -> None:
    """Values are there when they are observed; nothing runs behind."""


def stream(stream: Any) -> Any:
    """A context that does nothing."""
    return nullcontext()
