"""`monograph COMMAND`: the parser, and what becomes of errors. Each command is a function in the file of its theme."""

from __future__ import annotations

import argparse
import os
import re
import sys
import traceback
from collections.abc import Sequence

from monograph.cli import completing, describing, inspecting, learning, measuring, starting
from monograph.cli.config import FIELDS
from monograph.cli.exits import FAILED, INTERRUPTED, MEANINGS, CommandError

OVERRIDE = re.compile(rf"--((?:{'|'.join(FIELDS)})(?:\.[\w.-]+)?)(?:=(.*))?", re.DOTALL)


def parser() -> argparse.ArgumentParser:
    """The whole command line. Commands that take a configuration have `overrides=True` among their defaults."""
    statuses = "\n".join(f"  {status:>3}  {meaning}" for status, meaning in MEANINGS.items())
    made = argparse.ArgumentParser(
        prog="monograph", description="A deep-learning framework whose dynamic graph is its static graph.",
        epilog=f"exit statuses:\n{statuses}\n\n`monograph COMMAND --help` shows examples.",
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")
    for theme in (starting, learning, inspecting, measuring, describing, completing):
        theme.add_commands(commands)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status (see exits.py). Wrong usage raises SystemExit(2), as argparse does."""
    given, overrides = split_overrides(list(sys.argv[1:] if argv is None else argv))
    options = parser().parse_args(given)
    options.overrides = overrides
    try:
        return options.function(options)
    except CommandError as error:
        print(f"monograph {options.command}: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        if options.command == "run":
            traceback.print_exc()
        else:
            print(f"monograph {options.command}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) has had enough. Standard output must not be flushed again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def split_overrides(argv: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """The arguments without `--trainer.max_epochs=3` and the like, and those as (field, text). Other commands keep all their arguments."""
    if not argv or argv[0] not in learning.WITH_CONFIG:
        return argv, []
    kept: list[str] = []
    overrides: list[tuple[str, str]] = []
    rest = iter(argv)
    for argument in rest:
        match = OVERRIDE.fullmatch(argument)
        # `--output` alone is an option of its own in commands that write one file.
        if match is None or (match[1] == "output" and argv[0] != "train"):
            kept.append(argument)
        elif match[2] is not None:
            overrides.append((match[1], match[2]))
        else:
            value = next(rest, None)
            if value is None or value.startswith("--"):
                parser().error(f"{argument} needs a value: {argument}=VALUE")
            overrides.append((match[1], value))
    return kept, overrides
