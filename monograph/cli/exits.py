"""Exit statuses, and the error that carries one. What a user's own code raises is none of these: it keeps its traceback and gives 1."""

from __future__ import annotations

OK, FAILED, USAGE, BAD_CONFIG, FILE_ERROR, INTERRUPTED = 0, 1, 2, 3, 4, 130
MEANINGS = {
    OK: "done",
    FAILED: "the work failed (a script that `run` started passes its own status on)",
    USAGE: "the command line is wrong",
    BAD_CONFIG: "the configuration is wrong: every wrong field is named",
    FILE_ERROR: "a file is missing, unreadable, damaged or of an unknown kind",
    INTERRUPTED: "stopped with Ctrl-C",
}


class CommandError(Exception):
    """Ends a command with a message (no traceback) and an exit status."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status
