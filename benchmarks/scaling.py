"""How much faster two threads are than one, and how many requests a second several Python threads get from one compiled model.

The steps are those of other workloads, in one process, in turn with one and with two threads; a figure is the ratio of medians. A request
is one call of the MLP's or ResNet-18's inference; the threads share the model, each with its own loop, as a server's would.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

import monograph
from benchmarks.contender import find
from benchmarks.harness import Line, fresh_process
from benchmarks.workload import COMPILED

TITLE = "from 1 to 2 threads"
SERVING = "4 Python threads, one compiled model"
ROUNDS, SECONDS = 7, 0.3
# (name, file, workload, case)
STEPS = (
    ("matmul 1024x1024", "matmul", "matmul", "1024x1024"), ("conv 3x3 64ch 56x56", "convolution", "convolution", "3x3 64ch 56x56, forward"),
    ("GPT training", "gpt", "gpt_training", ""), ("ResNet-18 training", "resnet", "resnet_training", ""),
    ("ResNet-18 inference", "resnet", "resnet_one", ""),
)  # fmt: skip
SERVED = (("MLP inference", "mlp", "mlp_inference"), ("ResNet-18 inference", "resnet", "resnet_one"))
CLIENTS = 4


def _step(file: str, workload: str, case: str) -> Callable[[], Any]:
    """The compiled step of another workload."""
    found = find(file, workload)
    running = found.setups[COMPILED](next(c for c in found.cases if not case or c.name == case))
    for _ in range(3):
        running.step()
    return running.step


def _seconds(step: Callable[[], Any], least: float) -> float:
    """Of one step, over at least so many seconds."""
    count, begin = 0, time.perf_counter()
    while (taken := time.perf_counter() - begin) < least or not count:
        step()
        count += 1
    return taken / count


def threads(file: str, workload: str, case: str) -> None:
    """Prints the seconds of a step on one thread and on two."""
    step = _step(file, workload, case)
    taken: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for count, seconds in taken.items():
            monograph.set_num_threads(count)
            seconds.append(_seconds(step, SECONDS))
    print(*[statistics.median(seconds) for seconds in taken.values()])


def clients(file: str, workload: str) -> None:
    """Prints the seconds of a request: from one Python thread, and from several (those of all requests, over their number)."""
    step = _step(file, workload, "")
    alone = statistics.median(_seconds(step, SECONDS) for _ in range(ROUNDS))
    counts = [0] * CLIENTS
    end = 0.0

    def client(number: int) -> None:
        monograph.set_grad_enabled(False)
        while time.perf_counter() < end:
            step()
            counts[number] += 1

    rates = []
    for _ in range(ROUNDS):
        counts[:] = [0] * CLIENTS
        end = time.perf_counter() + SECONDS
        workers = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
        begin = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        rates.append((time.perf_counter() - begin) / sum(counts))
    print(alone, statistics.median(rates))


def lines() -> list[Line]:
    found = []
    for name, *which in STEPS:
        one, two = fresh_process(f"from benchmarks import scaling; scaling.threads(*{which!r})")
        found.append(Line(TITLE, name, one / two, "x", bar=">= 1.8 x", note=f"{one * 1e3:.3g} ms, {two * 1e3:.3g} ms"))
    for name, *which in SERVED:
        one, several = fresh_process(f"from benchmarks import scaling; scaling.clients(*{which!r})")
        found.append(Line(SERVING, name, 1 / several, "requests/s", note=f"{one / several:.2f}x those of one Python thread"))
    return found
