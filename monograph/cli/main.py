"""`monograph run --as torch script.py args...`, `monograph run --as torch -m package args...`, `monograph info`."""

from __future__ import annotations

import argparse
import os
import platform
import runpy
import sys
from collections.abc import Sequence

from monograph.compat.alias import SHIM, install
from monograph.compat.version import STANDS_FOR
from monograph.core.knobs import KNOBS
from monograph.runtime.threads import get_num_threads


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="monograph", description="A deep-learning framework whose dynamic graph is its static graph.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run", help="run a script, also one written for torch", description="Runs a Python script or module as `python` would."
    )
    run.add_argument("--as", dest="alias", choices=("torch",), help="the name under which the script imports monograph")
    run.add_argument("-m", dest="module", action="store_true", help="what follows is a module, as with `python -m`")
    run.add_argument("script", help="path of the script, or name of the module")
    run.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the script")
    run.set_defaults(function=_run)
    info = commands.add_parser("info", help="versions, threads and knobs")
    info.set_defaults(function=_info)
    return parser


def _run(options: argparse.Namespace) -> int:
    """Runs the script in this process, as __main__, with its own arguments and its folder on the path."""
    if not options.module and not os.path.exists(options.script):
        print(f"monograph run: can't open file {options.script!r}: there is no such file", file=sys.stderr)
        return 2
    if options.alias == "torch":
        install()
        os.environ["PYTHONPATH"] = os.pathsep.join(
            filter(None, (os.environ.get("PYTHONPATH"), SHIM))
        )  # for programs that the script starts
    sys.argv = [options.script, *options.arguments]
    if options.module:
        sys.path.insert(0, os.getcwd())
        runpy.run_module(options.script, run_name="__main__", alter_sys=True)
        return 0
    if not os.path.isdir(options.script):
        sys.path.insert(0, os.path.dirname(os.path.abspath(options.script)))
    runpy.run_path(options.script, run_name="__main__")
    return 0


def _info(options: argparse.Namespace) -> int:
    """Prints what a report of a problem needs."""
    print(f"monograph (follows torch {STANDS_FOR}), Python {platform.python_version()} on {platform.platform()}")
    print(f"threads: {get_num_threads()} of {os.cpu_count()} processors")
    for name, knob in sorted(KNOBS.items()):
        print(f"  {name} = {knob.get()!r}: {knob.doc}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options = _parser().parse_args(argv)
    return options.function(options)
