"""All workloads in order, one Markdown table: `python -m benchmarks.run [workload ...]`."""

from __future__ import annotations

import datetime
import importlib
import platform
import sys

import torch

import monograph
from benchmarks.harness import Line, compare, table
from monograph.targets.cpu.machine import machine_peak

WORKLOADS = ("record", "mlp", "matmul", "gelu", "softmax", "cnn", "first_call", "import_time", "million")


def machine() -> str:
    peak = machine_peak()
    return (
        f"{datetime.date.today()}, {processor()}, {peak.threads} threads, Linux {platform.release()}, Python {platform.python_version()}, "
        f"monograph {monograph.__version__}, torch {torch.__version__}\n"
        f"measured limits: {peak.flops / 1e9:.0f} GFLOP/s float32 ({peak.thread_flops / 1e9:.0f} on one thread), "
        f"{peak.read_bw / 1e9:.0f} GB/s read, {peak.copy_bw / 1e9:.0f} GB/s moved by a copy"
    )


def processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def main(names: list[str]) -> None:
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown:
        sys.exit(f"no workload named {', '.join(unknown)}; there are: {', '.join(WORKLOADS)}")
    print(machine(), flush=True)
    lines: list[Line] = []
    for name in names or WORKLOADS:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        module = importlib.import_module(f"benchmarks.{name}")
        lines += module.lines() if hasattr(module, "lines") else compare(module)
    print("\n" + table(lines))


if __name__ == "__main__":
    main(sys.argv[1:])
