"""Runs the command line inside this process."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass

from monograph.cli.main import main


@dataclass
class Result:
    """What a command said, and its exit status."""

    status: int
    out: str
    err: str


def monograph(*args: object) -> Result:
    """The command with these arguments; usage errors end with their status too."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main([str(a) for a in args])
        except SystemExit as stop:
            status = int(stop.code or 0)
    return Result(status, out.getvalue(), err.getvalue())
