"""Interleaved rounds over contenders that each live in a process of their own."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
ROUND_SECONDS = 0.25
WARM_UP_SECONDS = 0.6


@dataclasses.dataclass(frozen=True)
class Contender:
    """`setup` returns the step to be timed; a step leaves no work pending behind it."""

    setup: Callable[[], Callable[[], object]]
    threads: int = 2
    baseline: bool = False


@dataclasses.dataclass(frozen=True)
class Line:
    """One row of the table: what was measured, in which unit, compared with what, and the bar it is held to."""

    workload: str
    contender: str
    value: float
    unit: str
    ratio: float | None = None
    bar: str = ""
    spread: float = 0.0
    note: str = ""


class Child:
    """A contender's process. It reads a number of steps from its standard input and answers with the seconds they took."""

    def __init__(self, workload: str, name: str, threads: int) -> None:
        settings = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "MONOGRAPH_NUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(settings, str(threads))}
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.harness", workload, name],
            cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.rounds: list[float] = []
        self.steps = 1

    def warm_up(self) -> None:
        """Run until caches, plans and clocks have settled, and choose how many steps a round takes."""
        self.ask(2)
        spent = 0.0
        while spent < WARM_UP_SECONDS:
            seconds = self.ask(self.steps)
            spent += seconds
            self.steps = max(1, min(4 * self.steps, round(ROUND_SECONDS / (seconds / self.steps))))

    def ask(self, steps: int) -> float:
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # the empty answer below tells
            self.process.stdin.write(f"{steps}\n")
            self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.name!r} ended with exit status {self.process.wait()}; its error is above")
        return float(answer)

    def close(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended already
            self.process.stdin.close()
        self.process.wait(timeout=30)


def interleaved(workload: str, contenders: dict[str, Contender], rounds: int = 9) -> dict[str, list[float]]:
    """Seconds per step of every contender, one figure per round, the contenders taking turns."""
    children = [Child(workload, name, contender.threads) for name, contender in contenders.items()]
    try:
        for child in children:
            child.warm_up()
        for _ in range(rounds):
            for child in children:
                child.ask(1)  # wakes the process and its threads; not counted
                child.rounds.append(child.ask(child.steps) / child.steps)
        return {child.name: child.rounds for child in children}
    finally:
        for child in children:
            child.close()


def compare(module: ModuleType, rounds: int = 9) -> list[Line]:
    """Lines of a workload module: medians, and their ratio to the best contender marked as baseline."""
    assert module.__spec__ is not None
    workload = module.__spec__.name.rsplit(".", 1)[-1]  # also right where the module runs as __main__
    seconds = interleaved(workload, module.CONTENDERS, rounds)
    medians = {name: statistics.median(figures) for name, figures in seconds.items()}
    base = min(medians[name] for name, contender in module.CONTENDERS.items() if contender.baseline)
    scale, unit = getattr(module, "SCALE", (1e3, "ms"))
    lines = []
    for name, contender in module.CONTENDERS.items():
        figures = sorted(seconds[name])
        spread = (figures[-(len(figures) // 4) - 1] - figures[len(figures) // 4]) / medians[name]
        note = module.note(medians[name]) if hasattr(module, "note") else ""
        ratio = None if contender.baseline else medians[name] / base
        lines.append(Line(module.TITLE, name, medians[name] * scale, unit, ratio, module.BARS.get(name, ""), spread, note))
    return lines


def table(lines: list[Line]) -> str:
    rows = ["| workload | | figure | of torch | bar | spread | |", "| --- | --- | ---: | ---: | --- | ---: | --- |"]
    previous = ""
    for line in lines:
        title = line.workload if line.workload != previous else ""
        previous = line.workload
        ratio = f"{line.ratio:.2f}x" if line.ratio is not None else ""
        spread = f"{line.spread:.0%}" if line.spread else ""
        rows.append(f"| {title} | {line.contender} | {line.value:.4g} {line.unit} | {ratio} | {line.bar} | {spread} | {line.note} |")
    return "\n".join(rows)


def fresh_process(program: str, **environment: str) -> list[float]:
    """Run a program in a Python of its own and return the numbers that it prints."""
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=900
    )
    if result.returncode:
        raise RuntimeError(f"a measured program failed:\n{result.stderr}")
    return [float(word) for word in result.stdout.split()]


def serve(workload: str, name: str) -> None:
    """The child's side: set up, then time as many steps as each line asks for."""
    module = importlib.import_module(f"benchmarks.{workload}")
    step = module.CONTENDERS[name].setup()
    for line in sys.stdin:
        count = int(line)
        start = time.perf_counter()
        for _ in range(count):
            step()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2])
