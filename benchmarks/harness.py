"""Interleaved rounds over contenders that each live in a process of their own, in an environment of their own."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workload import COMPILED, JAX, ONNX_RUNTIME, OPENVINO, OURS, TENSORFLOW, TORCH, TORCH_COMPILE, UNCOMPILED, Case, Workload

ROOT = Path(__file__).resolve().parents[1]
ROUND_SECONDS = 0.25
WARM_UP_SECONDS = 0.5
PAUSE_SECONDS = 0.02
"""Between two contenders: pools that spin after their work let go of the cores."""

ENVIRONMENTS = {
    COMPILED: ".venv",
    UNCOMPILED: ".venv",
    TORCH: ".venv-torch",
    TORCH_COMPILE: ".venv-torch",
    TENSORFLOW: ".venv-tensorflow",
    JAX: ".venv-jax",
    ONNX_RUNTIME: ".venv-onnx",
    OPENVINO: ".venv-onnx",
}
OUR_THREADS = (2,)
"""Ours run with as many threads as they take by themselves; each peer at the better of those that its workload names."""


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
    limit: float = 0.0
    first: float = 0.0
    memory: float = 0.0


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the machine can do at best, measured in the same run."""

    flops: float
    stream: float

    def share(self, case: Case, seconds: float) -> float:
        """The time that the arithmetic or the memory traffic must take at least, over the time it took."""
        return max(case.flops / self.flops, case.nbytes / self.stream) / seconds


class Failure(Exception):
    """A contender could not be set up or died; the table says so."""


class Child:
    """A contender's process with its number of threads. `seconds` of a case are its rounds so far."""

    def __init__(self, file: str, workload: str, contender: str, threads: int, scratch: str) -> None:
        settings = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "MONOGRAPH_NUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(settings, str(threads)), "TF_CPP_MIN_LOG_LEVEL": "3", "BENCHMARKS_SCRATCH": scratch}
        environment.setdefault("MONOGRAPH_CACHE_DIR", os.path.join(scratch, "monograph"))  # cold at the start of a run
        environment.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.join(scratch, "inductor"))
        python = ROOT / ENVIRONMENTS[contender] / "bin" / "python"
        if not python.exists():
            raise Failure(f"no environment {ENVIRONMENTS[contender]}; make bench makes it")
        self.contender, self.threads = contender, threads
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the child
        self.process = subprocess.Popen(
            [str(python), "-m", "benchmarks.contender", file, workload, contender, str(threads)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        self.steps: dict[str, int] = {}
        self.started: dict[str, dict[str, float]] = {}
        self.seconds: dict[str, list[float]] = {}
        self.grown = 0.0

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.log.seek(0)
            words = [text for text in self.log.read().strip().splitlines() if text.strip()] or [f"exit status {self.process.returncode}"]
            raise Failure(words[-1][:200])
        found: dict[str, Any] = json.loads(line)
        return found

    def ask(self, *words: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the empty answer tells
            self.process.stdin.write("\t".join(words) + "\n")
            self.process.stdin.flush()
        return self.answer()

    def start(self, case: Case, scratch: str) -> list[np.ndarray]:
        name = case.name or "-"
        path = os.path.join(scratch, "results.npz")
        self.started[name] = self.ask("start", name, path)
        self.steps[name], self.seconds[name] = 1, []
        with np.load(path) as results:
            return [results[key] for key in results.files]

    def time(self, name: str, steps: int) -> float:
        return float(self.ask("time", name, str(steps))["seconds"])

    def warm_up(self, name: str) -> float:
        """Run until caches, plans and clocks have settled, and choose how many steps a round takes; the last round's seconds a step."""
        seconds = spent = self.time(name, 1)
        while spent < WARM_UP_SECONDS:
            self.steps[name] = max(1, min(4 * self.steps[name], round(ROUND_SECONDS / max(seconds, 1e-7))))
            took = self.time(name, self.steps[name])
            spent, seconds = spent + took, took / self.steps[name]
        return seconds

    def round(self, name: str) -> None:
        time.sleep(PAUSE_SECONDS)
        self.time(name, 1)  # wakes the process and its threads; not counted
        self.seconds[name].append(self.time(name, self.steps[name]) / self.steps[name])

    def close(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended already
            self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Around everything that is timed, for whoever has a way to keep other work off the machine meanwhile."""
    yield


@dataclasses.dataclass
class Field:
    """The contenders of one workload, set up and checked against each other; `failures` says who is missing and why."""

    workload: Workload
    children: list[Child]
    failures: dict[str, str]
    flops: dict[str, float]


def set_up(file: str, name: str, workload: Workload, only: tuple[str, ...], scratch: str) -> Field:
    """Starts every contender in turn, calls each case for the first time, and compares what they computed with the first one's."""
    field = Field(workload, [], {}, {})
    expected: dict[str, list[np.ndarray]] = {}
    order = sorted(workload.setups, key=lambda contender: (contender != TORCH, contender != JAX))  # the reference first
    for contender in order:
        if only and not any(contender.startswith(word) for word in only):
            continue
        for threads in OUR_THREADS if contender in OURS else workload.threads:
            child = None
            try:
                child = Child(file, name, contender, threads, scratch)
                child.answer()
                for case in workload.cases:
                    results = child.start(case, scratch)
                    compare(expected.setdefault(case.name, results), results, workload.tolerance)
                    if contender == TORCH and not case.flops and case.name not in field.flops and not workload.first_call_is_the_figure:
                        field.flops[case.name] = child.ask("flops", case.name or "-")["flops"]
                child.grown = float(child.ask("memory")["grown"])
                if workload.first_call_is_the_figure:
                    for case in workload.cases:
                        child.seconds[case.name or "-"] = [child.started[case.name or "-"]["first"]]
                field.children.append(child)
            except Failure as failure:
                field.failures[f"{contender}"] = str(failure)
                if child is not None:
                    child.close()
                break
    return field


def compare(expected: list[np.ndarray], results: list[np.ndarray], tolerance: float) -> None:
    if len(expected) != len(results):
        raise Failure(f"computes {len(results)} results, not {len(expected)}")
    for first, other in zip(expected, results, strict=True):
        if first.size != other.size:
            raise Failure(f"computes a result of shape {other.shape}, not {first.shape}")
        if not np.isfinite(first).all():
            raise Failure("the reference is not finite")
        difference = float(np.max(np.abs(first.reshape(-1).astype(np.float64) - other.reshape(-1)), initial=0.0))
        scale = float(np.max(np.abs(first), initial=1e-3))
        if not difference <= tolerance * scale:
            raise Failure(f"computes something else: {difference:.2g} away, largest value {scale:.2g}")


def run_rounds(field: Field, rounds: int) -> None:
    """Warms everybody up, leaves each peer with its better number of threads, and times the rounds, the contenders taking turns."""
    for case in field.workload.cases:
        name = case.name or "-"
        tried = {id(child): child.warm_up(name) for child in field.children}
        better = [min((c for c in field.children if c.contender == who), key=lambda c: tried[id(c)]) for who in contenders(field)]
        for _ in range(rounds):
            for child in better:
                child.round(name)


def contenders(field: Field) -> list[str]:
    return [name for name in ENVIRONMENTS if any(child.contender == name for child in field.children)]


def lines(field: Field, limits: Limits) -> list[Line]:
    """The rows of a workload; of several cases the geometric mean, the single ones below it."""
    workload = field.workload
    against = [name for name in contenders(field) if name in (workload.against or tuple(ENVIRONMENTS)) and name not in OURS]
    best: dict[str, dict[str, tuple[float, Child]]] = {}
    for case in workload.cases:
        timed = [child for child in field.children if child.seconds.get(case.name or "-")]
        best[case.name] = {
            who: min((statistics.median(c.seconds[case.name or "-"]), i, c) for i, c in enumerate(timed) if c.contender == who)[::2]
            for who in {child.contender for child in timed}
        }
    base = {name: min((of[peer][0] for peer in against), default=math.nan) for name, of in best.items()}
    found = []
    of_limit = f">= {workload.of_limit:.0%} of the limit" if workload.of_limit else ""
    for who in contenders(field):
        bar = f"<= {workload.bars[who]:.2f}x" if who in workload.bars else ""
        if len(workload.cases) > 1:
            of = {name: figures[who][0] / base[name] for name, figures in best.items()}
            mean = math.exp(statistics.fmean(map(math.log, of.values())))
            found.append(
                Line(
                    workload.title,
                    f"{who}: geometric mean",
                    mean,
                    "x",
                    mean,
                    "" if of_limit else bar,
                    note=f"worst {max(of.values()):.2f}x",
                )
            )
            bar = of_limit or (f"<= {workload.worst:.2f}x" if workload.worst else "") if who in workload.bars else ""
        for case in workload.cases:
            found.append(_line(field, case, best[case.name][who], base[case.name], bar, limits))
    if workload.training:
        found += _memory(field)
    missing = [Line(workload.title, who, math.nan, "", note=f"not measured: {why}") for who, why in field.failures.items()]
    return found + missing


def _line(field: Field, case: Case, figure: tuple[float, Child], base: float, bar: str, limits: Limits) -> Line:
    seconds, child = figure
    rounds = sorted(child.seconds[case.name or "-"])
    spread = (rounds[-(len(rounds) // 4) - 1] - rounds[len(rounds) // 4]) / seconds
    known = case if case.flops or case.nbytes else dataclasses.replace(case, flops=field.flops.get(case.name, 0.0))
    unit, scale = ("s", 1.0) if seconds >= 10 else ("ms", 1e3) if seconds >= 1e-4 else ("us", 1e6)
    of_limit = limits.share(known, seconds) if known.flops or known.nbytes else 0.0
    name = f"{child.contender}{': ' + case.name if case.name else ''}"
    note = "" if child.contender in OURS else f"{child.threads} thread{'s' if child.threads > 1 else ''}"
    return Line(
        field.workload.title,
        name,
        seconds * scale,
        unit,
        seconds / base,
        bar,
        spread,
        note,
        of_limit,
        child.started[case.name or "-"]["first"],
        child.grown,
    )


def _memory(field: Field) -> list[Line]:
    """Peak memory beside torch eager's: how far the process grew after the import of its framework, first call and compiler included."""
    grown = {who: min(child.grown for child in field.children if child.contender == who) for who in contenders(field)}
    if TORCH not in grown:
        return []
    return [
        Line(f"{field.workload.title}: peak memory", who, grown[who], "MiB", grown[who] / grown[TORCH], "<= 1.00x" if who in OURS else "")
        for who in grown
        if who in (*OURS, TORCH)
    ]


HEADING = """\
| workload | | figure | of the best peer | bar | of the limit | first call | memory | spread | |
| --- | --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | --- |"""


def table(lines: list[Line]) -> str:
    """The lines as a Markdown table."""
    return "\n".join([HEADING, *rows(lines)])


def rows(lines: list[Line]) -> list[str]:
    """The lines as rows of the table; a workload's name stands in its first one."""
    found = []
    previous = ""
    for line in lines:
        title = line.workload if line.workload != previous else ""
        previous = line.workload
        cells = [
            title,
            line.contender,
            "" if math.isnan(line.value) else f"{line.value:.4g} {line.unit}",
            f"{line.ratio:.2f}x" if line.ratio is not None and not math.isnan(line.ratio) else "",
            line.bar,
            f"{line.limit:.0%}" if line.limit else "",
            f"{line.first:.3g} s" if line.first else "",
            f"{line.memory:.0f} MiB" if line.memory else "",
            f"{line.spread:.0%}" if line.spread else "",
            line.note,
        ]
        found.append("| " + " | ".join(cells) + " |")
    return found


def fresh_process(program: str, environment: str = ".venv", **variables: str) -> list[float]:
    """Run a program in a Python of its own and return the numbers that it prints."""
    python = ROOT / environment / "bin" / "python"
    result = subprocess.run(
        [str(python) if python.exists() else sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=900,
    )
    if result.returncode:
        raise RuntimeError(f"a measured program failed:\n{result.stderr}")
    return [float(word) for word in result.stdout.split()]
