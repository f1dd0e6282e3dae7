"""The process of one contender: `python -m benchmarks.contender FILE WORKLOAD CONTENDER THREADS`.

It reads commands from its standard input, one a line, and answers each with a line of JSON:

    start CASE FILE   set the case up, call it for the first time, write the first results to FILE (NumPy's npz)
    time CASE STEPS   run so many steps
    memory            how far the memory of the process has grown since its framework was imported
    flops CASE        what torch counts for one step (only there)
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from typing import Any

import numpy as np

from benchmarks.workload import Running, Workload

IMPORTS = {"monograph": ("monograph",), "torch": ("torch",), "tf": ("tensorflow",), "JAX": ("jax", "jax.numpy"), "ONNX": ("onnxruntime",),
           "OpenVINO": ("openvino",)}  # fmt: skip


def kilobytes(field: str) -> int:
    """A figure of this process's status: VmRSS (now) or VmHWM (highest so far)."""
    with open("/proc/self/status", encoding="ascii") as lines:
        return next((int(line.split()[1]) for line in lines if line.startswith(field)), 0)


class Serving:
    """The commands of the protocol, on one workload."""

    def __init__(self, workload: Workload, contender: str) -> None:
        self.workload, self.contender = workload, contender
        self.cases = {case.name or "-": case for case in workload.cases}
        self.running: dict[str, Running] = {}
        for name in IMPORTS[next(key for key in IMPORTS if contender.startswith(key))]:
            importlib.import_module(name)
        self.imported = kilobytes("VmRSS")

    def start(self, name: str, path: str) -> dict[str, Any]:
        begin = time.perf_counter()
        running = self.workload.setups[self.contender](self.cases[name])
        ready = time.perf_counter()
        result = running.step()
        called = time.perf_counter()
        results = running.numbers(result)
        for _ in range(self.workload.checked_steps - 1):
            results += running.numbers(running.step())
        np.savez(path, *results)
        self.running[name] = running
        return {"setup": ready - begin, "first": called - ready}

    def time(self, name: str, steps: str) -> dict[str, Any]:
        step, count = self.running[name].step, int(steps)
        begin = time.perf_counter()
        for _ in range(count):
            step()
        return {"seconds": time.perf_counter() - begin}

    def memory(self) -> dict[str, Any]:
        return {"grown": (kilobytes("VmHWM") - self.imported) / 1024, "peak": kilobytes("VmHWM") / 1024}

    def flops(self, name: str) -> dict[str, Any]:
        counting = importlib.import_module("torch.utils.flop_counter").FlopCounterMode(display=False)
        with counting:
            self.running[name].step()
        return {"flops": counting.get_total_flops()}


def find(file: str, workload: str) -> Workload:
    found: Workload = importlib.import_module(f"benchmarks.{file}").WORKLOADS[workload]
    return found


def main(file: str, workload: str, contender: str, threads: str) -> None:
    # Some frameworks take the size of their pools from the environment, some from the cores they may use.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(threads)])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what frameworks print goes elsewhere
    serving = Serving(find(file, workload), contender)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        command, *arguments = line.rstrip("\n").split("\t")
        print(json.dumps(getattr(serving, command)(*arguments)), file=answers, flush=True)
    answers.close()
    os._exit(0)  # thread pools of several frameworks do not like to be taken down


if __name__ == "__main__":
    main(*sys.argv[1:])
