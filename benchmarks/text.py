"""An epoch of training a small GPT on text whose 64 batches have 64 different lengths, the first epoch of the process included.

What is compiled for sizes pays for each new one here; the figure is the wall time of the whole first epoch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import gpt
from benchmarks.frames import arrays, setups, with_weights
from benchmarks.workload import COMPILED, TORCH, UNCOMPILED, Case, Running, Workload, integers

BATCH, LENGTHS = 8, [17 + (37 * i) % 64 for i in range(64)]


def epoch(frame: Any, compiled: bool, case: Case) -> Running:
    model = with_weights(frame, gpt.network)
    optimizer = frame.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    texts = [frame.from_numpy(integers(f"text {i}", gpt.WORDS, BATCH, length + 1)) for i, length in enumerate(LENGTHS)]

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = gpt.next_token(frame, model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run = frame.compile(step, dynamic=True) if compiled else step

    def steps() -> list[np.ndarray]:
        return [arrays(run(text[:, :-1].contiguous(), text[:, 1:].contiguous()))[0] for text in texts]

    return Running(steps, list)


WORKLOADS = {
    "text": Workload(
        "GPT, an epoch of 64 lengths, the first one", setups(epoch), {COMPILED: 0.75, UNCOMPILED: 0.75}, threads=(2,), against=(TORCH,),
        tolerance=2e-2, first_call_is_the_figure=True,
    ),
}  # fmt: skip
