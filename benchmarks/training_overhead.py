"""What the trainer costs on top of the loop one would write: the same compiled step over the same batches, in three ways.

Each round trains for two epochs and times the second, in which everything has been compiled. All three report the mean loss of an epoch.
`python -m benchmarks.training_overhead` needs nothing but monograph.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import monograph as mg
from monograph import nn, train
from monograph.nn import functional as F

ROUNDS = 9
Batch = tuple[mg.Tensor, mg.Tensor]


def tiny() -> nn.Module:
    """An MLP whose step is mostly Python."""
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))


def convolutional() -> nn.Module:
    """The network of `benchmarks.cnn`."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


# name -> (model, shape of a batch, classes, batches of an epoch, the bar)
CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int, int, str]] = {
    "tiny MLP 16-32-4, batch 32": (tiny, (32, 16), 4, 1000, "<= 30 us more"),
    "CNN 32-64-128-10, batch 128, 28x28": (convolutional, (128, 1, 28, 28), 10, 6, "<= 1.03x"),
}


class Batches:
    """An epoch of batches that are there already."""

    def __init__(self, shape: tuple[int, ...], classes: int, count: int) -> None:
        few = [(mg.randn(*shape), mg.randint(0, classes, shape[:1])) for _ in range(min(count, 16))]
        mg.eval(*[part for batch in few for part in batch])
        self.batches = [few[i % len(few)] for i in range(count)]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)


class Classifier(train.TrainModule):
    """Any network, trained by a Trainer."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def training_step(self, batch: Batch, batch_idx: int) -> mg.Tensor:
        loss = F.cross_entropy(self.net(batch[0]), batch[1])
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> Any:
        return mg.optim.Adam(self.parameters(), lr=1e-3)


class Stopwatch(train.Callback):
    """The seconds of the last epoch. It has no hook inside of an epoch."""

    started = seconds = 0.0

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        self.seconds = time.perf_counter() - self.started


def raw(net: nn.Module, data: Batches) -> float:
    """The loop that everyone writes, around a compiled step."""
    optimizer = mg.optim.Adam(net.parameters(), lr=1e-3)

    @mg.compile
    def step(x: mg.Tensor, y: mg.Tensor) -> mg.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    for _ in range(2):
        start = time.perf_counter()
        losses = [step(x, y) for x, y in data]
        sum(loss.item() for loss in losses)
        seconds = time.perf_counter() - start
    return seconds


def by_trainer(net: nn.Module, data: Batches) -> float:
    """Lightning's style."""
    watch = Stopwatch()
    trainer = train.Trainer(
        max_epochs=2, callbacks=[watch], logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False
    )
    trainer.fit(Classifier(net), data)
    return watch.seconds


def by_fit(net: nn.Module, data: Batches) -> float:
    """Keras's style."""
    watch = Stopwatch()
    net.compile(optimizer=mg.optim.Adam(net.parameters(), lr=1e-3), loss=F.cross_entropy)
    net.fit(data, epochs=2, verbose=0, callbacks=[watch])
    return watch.seconds


WAYS = {"raw compiled loop": raw, "Trainer.fit": by_trainer, "Module.fit": by_fit}


def rows(rounds: int = ROUNDS) -> list[str]:
    """One row of a table for each case and way: the median of a step, times the raw loop's, microseconds more than it."""
    found = []
    for title, (make, shape, classes, count, bar) in CASES.items():
        mg.manual_seed(0)
        data = Batches(shape, classes, count)
        seconds: dict[str, list[float]] = {name: [] for name in WAYS}
        for _ in range(rounds):
            for name, way in WAYS.items():
                seconds[name].append(way(make(), data) / count)
        base = statistics.median(seconds["raw compiled loop"])
        for name, figures in seconds.items():
            median, ordered = statistics.median(figures), sorted(figures)
            spread = (ordered[-(len(ordered) // 4) - 1] - ordered[len(ordered) // 4]) / median
            compared = "| | | " if name == "raw compiled loop" else f"| {median / base:.3f}x | {(median - base) * 1e6:+.1f} us | {bar}"
            found.append(f"| {title} | {name} | {median * 1e6:.1f} us {compared} | {spread:.0%} |")
    return found


if __name__ == "__main__":
    print("| workload | | step | of the raw loop | more | bar | spread |\n| --- | --- | ---: | ---: | ---: | --- | ---: |")
    print("\n".join(rows(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)))
