"""Seconds that the import statement takes in a fresh process, files and bytecode warm in the page cache; the first round does not count."""

from __future__ import annotations

import statistics

from benchmarks.harness import Line, fresh_process

TITLE = "import"
ROUNDS = 5
PACKAGES = {
    "monograph": (".venv", "monograph"), "numpy": (".venv", "numpy"), "torch": (".venv-torch", "torch"), "jax": (".venv-jax", "jax"),
    "tensorflow": (".venv-tensorflow", "tensorflow"),
}  # fmt: skip
PEERS = ("torch", "jax", "tensorflow")
BARS = {"monograph": "<= 0.3 s"}


def lines() -> list[Line]:
    seconds: dict[str, list[float]] = {name: [] for name in PACKAGES}
    for _ in range(ROUNDS + 1):
        for name, (environment, package) in PACKAGES.items():
            program = f"import time; start = time.perf_counter(); import {package}; print(time.perf_counter() - start)"
            seconds[name] += fresh_process(program, environment)
    medians = {name: statistics.median(figures[1:]) for name, figures in seconds.items()}
    best = min(medians[name] for name in PEERS)
    return [Line(TITLE, name, value, "s", value / best, BARS.get(name, "")) for name, value in medians.items()]
