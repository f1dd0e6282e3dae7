"""Seconds that the import statement takes in a fresh process, files warm in the page cache."""

from __future__ import annotations

import statistics

from benchmarks.harness import Line, fresh_process, table

TITLE = "import"
ROUNDS = 7
BARS = {"monograph": "<= 0.35 s"}


def lines() -> list[Line]:
    seconds: dict[str, list[float]] = {"torch": [], "monograph": []}
    for _ in range(ROUNDS + 1):
        for name, figures in seconds.items():
            figures += fresh_process(f"import time; start = time.perf_counter(); import {name}; print(time.perf_counter() - start)")
    medians = {name: statistics.median(figures[1:]) for name, figures in seconds.items()}
    ratios = {"torch": None, "monograph": medians["monograph"] / medians["torch"]}
    return [Line(TITLE, name, value, "s", ratios[name], BARS.get(name, "")) for name, value in medians.items()]


if __name__ == "__main__":
    print(table(lines()))
