"""`bench`: a few timings of this machine with monograph, beside what the machine can do at best."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from monograph import nn, optim
from monograph.cli.exits import OK
from monograph.cli.text import command, table
from monograph.nn import functional as F
from monograph.runtime.threads import get_num_threads
from monograph.targets.cpu.features import cpu_features
from monograph.targets.cpu.machine import machine_peak
from monograph.tensor import FUNCTIONS
from monograph.tensor.compiling import compile as compiled
from monograph.tensor.random import manual_seed


def add_commands(commands: Any) -> None:
    """Adds `bench`."""
    made = command(commands, "bench", bench, "measure this machine with monograph", """\
The limits of the machine (multiply-adds in registers, memory), a matrix product, an elementwise chain and a training step, each
the median of several runs. Close other programs: they are measured too.""", [
        "monograph bench", "monograph bench --quick --json", "MONOGRAPH_NUM_THREADS=1 monograph bench",
    ])  # fmt: skip
    made.add_argument("--quick", action="store_true", help="smaller sizes and fewer runs: seconds, and rough numbers")
    made.add_argument("--json", action="store_true", help="print a JSON object")


@dataclass
class Timing:
    """The median and the best of some runs, and the rate of the median. `share` is that of the machine's limit."""

    name: str
    seconds: float
    best: float
    rate: float
    unit: str
    share: float | None


def bench(options: argparse.Namespace) -> int:
    """Prints the timings."""
    manual_seed(0)
    peak = machine_peak()
    n, elements, budget = (256, 1 << 18, 0.1) if options.quick else (1024, 1 << 22, 1.0)
    a, b = FUNCTIONS["randn"](n, n), FUNCTIONS["randn"](n, n)
    x = FUNCTIONS["randn"](elements)
    step, samples = mlp_step()
    chain = compiled(lambda v: F.gelu(v) * 2.0 + v)
    product = compiled(lambda p, q: p @ q)
    timings = [
        timed(f"matrix product {n}x{n}", lambda: observe(product(a, b)), budget, 2 * n**3 / 1e9, "GFLOP/s", peak.flops / 1e9),
        timed(f"gelu(x)*2+x of {elements:,}", lambda: observe(chain(x)), budget, 8 * elements / 1e9, "GB/s", peak.copy_bw / 1e9),
        timed("MLP 784-128-10 Adam step, batch 64", step, budget, samples, "samples/s", None),
    ]
    if options.json:
        print(json.dumps({"machine": {"name": cpu_features().name, **asdict(peak)}, "timings": [asdict(t) for t in timings]}, indent=2))
        return OK
    print(f"{cpu_features().name}, {get_num_threads()} threads")
    print(f"limits: {peak.flops / 1e9:.0f} GFLOP/s (one thread {peak.thread_flops / 1e9:.0f}), "
          f"{peak.read_bw / 1e9:.1f} GB/s read, {peak.copy_bw / 1e9:.1f} GB/s copied\n")  # fmt: skip
    rows = []
    for t in timings:
        share = "" if t.share is None else f"{t.share:.0%}"
        rows.append([t.name, f"{t.seconds * 1e6:.0f} us", f"{t.best * 1e6:.0f} us", f"{t.rate:,.1f} {t.unit}", share])
    print(table(rows, ["what", "median", "best", "rate", "of limit"]))
    return OK


def mlp_step() -> tuple[Callable[[], Any], int]:
    """(a compiled training step, samples in it)."""
    batch = 64
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    x, y = FUNCTIONS["randn"](batch, 784), FUNCTIONS["randint"](0, 10, (batch,))

    @compiled
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return lambda: observe(step(x, y)), batch


def observe(result: Any) -> None:
    """Has a result computed."""
    result.detach().numpy()


def timed(name: str, run: Callable[[], Any], budget: float, work: float, unit: str, limit: float | None) -> Timing:
    """Runs for about `budget` seconds after a few runs that compile and warm up."""
    for _ in range(3):
        run()
    times: list[float] = []
    end = time.perf_counter() + budget
    while len(times) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    median = statistics.median(times)
    return Timing(name, median, min(times), work / median, unit, None if limit is None else work / median / limit)
