"""All workloads in order, one Markdown table: `python -m benchmarks.run [file or workload ...]`."""

from __future__ import annotations

import argparse
import compileall
import datetime
import importlib
import os
import platform
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import monograph
from benchmarks import harness
from benchmarks.harness import Limits, Line
from benchmarks.workload import Workload
from monograph.targets.cpu.machine import machine_peak

FILES = (
    "mlp",
    "cnn",
    "resnet",
    "gpt",
    "lstm",
    "mobilenet",
    "matmul",
    "convolution",
    "rows",
    "indexing",
    "text",
    "import_time",
    "scaling",
    "record",
    "million",
)


def limits() -> Limits:
    with harness.alone():
        peak = machine_peak()
    return Limits(peak.flops, max(peak.read_bw, peak.copy_bw))


def heading(found: Limits) -> str:
    return (
        f"{datetime.date.today()}, {processor()}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}, "
        f"monograph {monograph.__version__}; measured limits: {found.flops / 1e9:.0f} GFLOP/s float32, {found.stream / 1e9:.1f} GB/s"
    )


def processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def measure(file: str, name: str, workload: Workload, only: tuple[str, ...], rounds: int, found: Limits, scratch: str) -> list[Line]:
    """The rows of one workload."""
    field = harness.set_up(file, name, workload, only, scratch)
    try:
        if field.children and not workload.first_call_is_the_figure:
            with harness.alone():
                harness.run_rounds(field, rounds or workload.rounds)
        return harness.lines(field, found)
    finally:
        for child in field.children:
            child.close()


def show(lines: list[Line]) -> None:
    """Prints rows as soon as they are known: a run takes long, and what it has found is kept if it is stopped."""
    print("\n".join(harness.rows(lines)), flush=True)


def chosen(names: list[str]) -> list[tuple[str, ModuleType]]:
    modules = [(file, importlib.import_module(f"benchmarks.{file}")) for file in FILES]
    known = {*FILES, *(name for _, module in modules for name in getattr(module, "WORKLOADS", ()))}
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no workload named {', '.join(unknown)}; there are: {', '.join(sorted(known))}")
    return modules


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("names", nargs="*", help="files or single workloads; all of them without")
    parser.add_argument("--only", default="", help="contenders, by the beginnings of their names: --only 'monograph,torch'")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each contender (default: the workload's, mostly 7)")
    options = parser.parse_args()
    only = tuple(filter(None, options.only.split(",")))
    modules = chosen(options.names)
    compileall.compile_dir(Path(monograph.__file__).parent, quiet=2)  # as installing it does, also where Python must not write bytecode
    found = limits()
    print(heading(found) + "\n", flush=True)
    print(harness.HEADING, flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for file, module in modules:
            for name, workload in getattr(module, "WORKLOADS", {}).items():
                if not options.names or file in options.names or name in options.names:
                    print(f"measuring {name} ...", file=sys.stderr, flush=True)
                    show(measure(file, name, workload, only, options.rounds, found, scratch))
            if hasattr(module, "lines") and (not options.names or file in options.names):
                print(f"measuring {file} ...", file=sys.stderr, flush=True)
                with harness.alone():
                    measured = module.lines()
                show(measured)


if __name__ == "__main__":
    main()
