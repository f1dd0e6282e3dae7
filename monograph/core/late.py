"""Rooms that lower floors call without knowing them: the front door says how to fetch one, and it is fetched when first needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_fetch: dict[str, Callable[[], Any]] = {}


def offer(what: str, fetch: Callable[[], Any]) -> None:
    """Tells how to get what is called `what`."""
    _fetch[what] = fetch


def fetched(what: str, needed_for: str) -> Any:
    """What was offered under the name. RuntimeError in a program that loaded only parts of the package."""
    if what not in _fetch:
        raise RuntimeError(f"{needed_for} needs {what}: import monograph first")
    return _fetch[what]()
