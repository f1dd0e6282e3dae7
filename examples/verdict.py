"""What every example here ends with: its metric beside what was expected of it."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any


def wants_quick(description: str) -> bool:
    """Reads the command line: whether `--quick`, the short form with an easier bar, is asked for."""
    parser = argparse.ArgumentParser(description=description.strip().splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the short form that the tests run: less data, fewer steps, an easier bar")
    return bool(parser.parse_args().quick)


def verdict(name: str, value: float, at_least: float | None = None, at_most: float | None = None) -> int:
    """Prints the metric and gives the exit status: 0 where the expectation is met (NaN never meets one)."""
    met = (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
    expected = f"at least {at_least:g}" if at_least is not None else f"at most {at_most:g}"
    print(f"{name}: {value:.4g} (expected: {expected})", file=sys.stdout if met else sys.stderr)
    return 0 if met else 1


def package(module: str, name: str) -> Any:
    """An optional package, or the end of the program with the command that installs it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        sys.exit(f"this example needs {name}: pip install {name}")
