"""Writes checkpoints on a thread: training waits for a copy of the state, not for the disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from monograph.train import checkpoint as checkpoints


class Writer:
    """One checkpoint at a time. What goes wrong in the background is raised by the next `write` or by `wait`."""

    def __init__(self, background: bool = True) -> None:
        self.background = background
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def write(self, state: dict[str, Any], path: Path, then: Callable[[], None] = lambda: None) -> None:
        """Writes `state` to `path`, and calls `then` once it is safely there. Waits for the write before, so that at most one copy is
        held.
        """
        self.wait()
        if not self.background:
            checkpoints.write(state, path)
            then()
            return

        def work() -> None:
            try:
                checkpoints.write(state, path)
                then()
            except BaseException as error:
                self._error = error

        # No daemon: a program that ends waits until its last checkpoint is whole.
        self._thread = threading.Thread(target=work, name="monograph-checkpoint", daemon=False)
        self._thread.start()

    def wait(self) -> None:
        """Until everything is on the disk. Raises what went wrong."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error
