"""A million iterations of `x = x * 0.999 + 1` and nothing that flushes by hand: memory must not grow, the stack must not overflow."""

from __future__ import annotations

from benchmarks.harness import Line, fresh_process

TITLE = "1,000,000 x `x = x * 0.999 + 1`"
PROGRAM = """
import resource, time
import {name} as frame
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
x = frame.zeros(4)
for _ in range(20_000):
    x = x * 0.999 + 1
x.sum().item()
before, start = peak(), time.perf_counter()
for _ in range(1_000_000):
    x = x * 0.999 + 1
value = x.mean().item()
print(time.perf_counter() - start, peak() - before, abs(value - 1000))
"""


def lines() -> list[Line]:
    found = []
    for name, environment in (("torch", ".venv-torch"), ("monograph", ".venv")):
        seconds, megabytes, error = fresh_process(PROGRAM.format(name=name), environment, OMP_NUM_THREADS="1")
        if error > 1:
            raise RuntimeError(f"{name}: the loop converges to 1000, not to something {error} away")
        found.append(Line(TITLE, name, megabytes, "MiB more", bar="constant" if name == "monograph" else "", note=f"{seconds:.1f} s"))
    return found
