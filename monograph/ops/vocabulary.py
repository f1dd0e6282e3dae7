"""The whole vocabulary: some files of ops are fetched only with the room that publishes them, a saved program may speak of any op."""

from __future__ import annotations

import importlib
import pkgutil
import sys


def complete() -> None:
    """Imports every file of ops that has not been imported yet."""
    room = __name__.rpartition(".")[0]
    for found in pkgutil.iter_modules(sys.modules[room].__path__):
        importlib.import_module(f"{room}.{found.name}")
