"""The first call of the CNN's compiled step in a fresh process: with an empty object cache, and with the one that run left behind."""

from __future__ import annotations

import statistics
import tempfile

from benchmarks.harness import Line, fresh_process, table

TITLE = "first call of the CNN's compiled step"
ROUNDS = 3
PROGRAM = """
import time
import monograph
from benchmarks.cnn import build
step = monograph.compile(build(monograph))
start = time.perf_counter()
monograph.eval(step())
print(time.perf_counter() - start)
"""


def lines() -> list[Line]:
    cold, warm = [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            cold += fresh_process(PROGRAM, MONOGRAPH_CACHE_DIR=folder)
            warm += fresh_process(PROGRAM, MONOGRAPH_CACHE_DIR=folder)
    return [
        Line(TITLE, "monograph, cold", statistics.median(cold), "s", bar="<= 3 s"),
        Line(TITLE, "monograph, with the disk cache", statistics.median(warm), "s", bar="<= 0.7 s"),
    ]


if __name__ == "__main__":
    print(table(lines()))
