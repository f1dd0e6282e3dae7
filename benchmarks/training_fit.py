"""Fashion-MNIST with a small CNN, trained by `fit` in both styles, beside Keras on TensorFlow and Lightning on PyTorch.

The same architecture, batch size, learning rates and number of epochs, each framework with its own order of the data (shuffled anew in
every epoch, from memory), and each as it is faster: with one thread or two, Keras with `jit_compile` as it decides itself or off, Lightning
with a loader that takes whole batches out of the tensors. A run is a process of its own, with another seed in each round: the wall time is
that of building, compiling and training, not of importing and reading data; then comes the test accuracy. The peers live in environments of
their own, which `make bench-fit` makes:

    python -m benchmarks.training_fit --keras .venv-tensorflow/bin/python --lightning .venv-lightning/bin/python
    python -m benchmarks.training_fit --epochs 1 --images 2000       # does it run? (monograph alone)
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path("/usr/share/datasets/fashion-mnist")  # of Debian's dataset-fashion-mnist
BATCH, RATES = 128, (2e-3, 1e-3, 1e-4)  # Adam's learning rate in each epoch
Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Answer = tuple[float, float]  # seconds of training, test accuracy


def load(images: int | None) -> Data:
    """Pictures (n, 1, 28, 28) in 0..1 with classes, for training and testing."""
    if not FOLDER.is_dir():
        sys.exit("this benchmark needs Fashion-MNIST: apt-get install dataset-fashion-mnist")
    x, test_x = (idx(f"{part}-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28).astype(np.float32) / 255 for part in ("train", "t10k"))
    y, test_y = (idx(f"{part}-labels-idx1-ubyte", 8).astype(np.int64) for part in ("train", "t10k"))
    return x[:images], y[:images], test_x, test_y


def idx(name: str, header: int) -> np.ndarray:
    """The bytes of a file of MNIST's format, without its header."""
    return np.frombuffer(gzip.decompress((FOLDER / f"{name}.gz").read_bytes()), np.uint8, offset=header)


def layers(nn: Any) -> Any:
    """The network, for both frameworks with torch's names."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 49, 128), nn.ReLU(), nn.Dropout(0.1), nn.Linear(128, 10),
    )  # fmt: skip


def rate(epoch: int, *_: Any) -> float:
    """The learning rate of an epoch, from 0."""
    return RATES[min(epoch, len(RATES) - 1)]


def lightning_style(frame: Any, module: type, trainer: Callable[..., Any], batches: Any, data: Data, epochs: int) -> Answer:
    """A module with steps and a trainer; the same text for Lightning and for us."""
    _, _, test_x, test_y = (frame.from_numpy(a) for a in data)

    class Classifier(module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = layers(frame.nn)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = frame.nn.functional.cross_entropy(self.net(batch[0]), batch[1])
            self.log("loss", loss, on_step=False, on_epoch=True)
            return loss

        def test_step(self, batch: Any, batch_idx: int) -> None:
            self.log("accuracy", (self.net(batch[0]).argmax(1) == batch[1]).float().mean(), batch_size=len(batch[0]))

        def configure_optimizers(self) -> Any:
            optimizer = frame.optim.Adam(self.parameters(), lr=1.0)
            return [optimizer], [frame.optim.lr_scheduler.LambdaLR(optimizer, rate)]

    tools = frame.utils.data
    start = time.perf_counter()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    work = trainer(max_epochs=epochs, accelerator="cpu", **quiet)
    model = Classifier()
    work.fit(model, batches)
    seconds = time.perf_counter() - start
    (found,) = work.test(model, tools.DataLoader(tools.TensorDataset(test_x, test_y), batch_size=500), verbose=False)
    return seconds, float(found["accuracy"])


def our_trainer(data: Data, epochs: int, seed: int) -> Answer:
    """monograph, Lightning's style."""
    frame = importlib.import_module("monograph")
    frame.manual_seed(seed)
    tools = frame.utils.data
    batches = tools.DataLoader(tools.TensorDataset(frame.from_numpy(data[0]), frame.from_numpy(data[1])), batch_size=BATCH, shuffle=True)
    return lightning_style(frame, frame.train.TrainModule, frame.train.Trainer, batches, data, epochs)


def lightning(data: Data, epochs: int, seed: int) -> Answer:
    """Lightning on torch."""
    frame, peer = importlib.import_module("torch"), importlib.import_module("lightning")
    tools = importlib.import_module("torch.utils.data")
    frame.manual_seed(seed)
    frame.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    dataset = tools.TensorDataset(frame.from_numpy(data[0]), frame.from_numpy(data[1]))
    whole = tools.BatchSampler(tools.RandomSampler(dataset), BATCH, drop_last=False)  # sample by sample takes three times as long
    return lightning_style(
        frame, peer.LightningModule, peer.Trainer, tools.DataLoader(dataset, batch_size=None, sampler=whole), data, epochs
    )


def our_fit(data: Data, epochs: int, seed: int) -> Answer:
    """monograph, Keras's style."""
    mg = importlib.import_module("monograph")
    mg.manual_seed(seed)
    x, y, test_x, test_y = data
    start = time.perf_counter()
    model = layers(mg.nn)
    loss = mg.nn.CrossEntropyLoss()
    model.compile(optimizer=mg.optim.Adam(model.parameters()), loss=loss, metrics=["accuracy"])
    model.fit(x, y, batch_size=BATCH, epochs=epochs, callbacks=[mg.train.LearningRateScheduler(rate)], verbose=0)
    seconds = time.perf_counter() - start
    return seconds, model.evaluate(test_x, test_y, batch_size=500, verbose=0, return_dict=True)["accuracy"]


def keras(data: Data, epochs: int, seed: int, jit_compile: Any = "auto") -> Answer:
    """Keras on TensorFlow, channels last, as it wants them."""
    peer, flow = importlib.import_module("keras"), importlib.import_module("tensorflow")
    threads = int(os.environ["OMP_NUM_THREADS"])
    flow.config.threading.set_intra_op_parallelism_threads(threads)
    flow.config.threading.set_inter_op_parallelism_threads(threads)
    peer.utils.set_random_seed(seed)
    x, y, test_x, test_y = (a.transpose(0, 2, 3, 1) if a.ndim == 4 else a for a in data)
    some = peer.layers
    start = time.perf_counter()
    parts: list[Any] = []
    for width in (32, 64):
        norm = some.BatchNormalization(momentum=0.9, epsilon=1e-5)  # torch's, by Keras's way of counting
        parts += [some.Conv2D(width, 3, padding="same"), norm, some.ReLU(), some.MaxPooling2D()]
    parts += [some.Flatten(), some.Dense(128, activation="relu"), some.Dropout(0.1), some.Dense(10)]
    model = peer.Sequential([some.Input((28, 28, 1)), *parts])
    loss = peer.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=peer.optimizers.Adam(epsilon=1e-8), loss=loss, metrics=["accuracy"], jit_compile=jit_compile)
    model.fit(x, y, batch_size=BATCH, epochs=epochs, callbacks=[peer.callbacks.LearningRateScheduler(rate)], verbose=0)
    seconds = time.perf_counter() - start
    return seconds, model.evaluate(test_x, test_y, batch_size=500, verbose=0, return_dict=True)["accuracy"]


def keras_without_jit(data: Data, epochs: int, seed: int) -> Answer:
    """Keras without XLA."""
    return keras(data, epochs, seed, jit_compile=False)


CONTENDERS = {
    "monograph, Module.fit": our_fit, "monograph, Trainer.fit": our_trainer, "Keras (TensorFlow)": keras,
    "Keras (TensorFlow), jit_compile=False": keras_without_jit, "Lightning (torch)": lightning,
}  # fmt: skip
PEERS = ("Keras", "Lightning")


def ask(python: str, name: str, threads: int, given: argparse.Namespace, seed: int) -> Answer:
    """One run in a process of its own."""
    settings = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "MONOGRAPH_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(settings, str(threads)), "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    command = [*given.before.split(), python, "-m", "benchmarks.training_fit", "--serve", name, "--epochs", str(given.epochs)]
    command += ["--seed", str(seed)] + ([] if given.images is None else ["--images", str(given.images)])
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{name} failed:\n{result.stderr[-3000:]}")
    seconds, accuracy = json.loads(result.stdout.splitlines()[-1])
    return seconds, accuracy


def table(answers: dict[tuple[str, int], list[Answer]]) -> str:
    """Each contender at its better number of threads, by medians; the ratios are to the best of each peer."""
    medians = {key: statistics.median(seconds for seconds, _ in found) for key, found in answers.items()}
    best = {name: min((m, threads) for (n, threads), m in medians.items() if n == name) for name, _ in answers}
    peers = {peer: min(m for (n, _), m in medians.items() if n.startswith(peer)) for peer in PEERS if any(n.startswith(peer) for n in best)}
    lines = ["| contender | threads | seconds | " + "".join(f"of {peer} | " for peer in peers) + "test accuracy |"]
    lines.append("| --- | ---: | ---: | " + "---: | " * len(peers) + "---: |")
    for name, (seconds, threads) in best.items():
        accuracies = sorted(accuracy for _, accuracy in answers[name, threads])
        ratios = "".join(f"{seconds / peer:.2f}x | " for peer in peers.values())
        lines.append(f"| {name} | {threads} | {seconds:.1f} | {ratios}{accuracies[0]:.2%} to {accuracies[-1]:.2%} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keras", help="the Python of an environment with keras and tensorflow")
    parser.add_argument("--lightning", help="the Python of an environment with lightning and torch")
    parser.add_argument("--epochs", type=int, default=len(RATES))
    parser.add_argument("--images", type=int, help="only so many pictures to learn from")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contender at each number of threads, taking turns")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), help="some of the contenders")
    parser.add_argument("--before", default="", help="a command that each run is an argument of, such as `nice -n -5`")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--serve", choices=CONTENDERS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        print(json.dumps(CONTENDERS[given.serve](load(given.images), given.epochs, given.seed)))
        return 0

    pythons = {"monograph": sys.executable, "Keras": given.keras, "Lightning": given.lightning}
    present = {name: python for name in given.only for start, python in pythons.items() if name.startswith(start) and python}
    answers: dict[tuple[str, int], list[Answer]] = {(name, threads): [] for name in present for threads in given.threads}
    for number in range(given.rounds):
        for (name, threads), found in answers.items():
            found.append(ask(present[name], name, threads, given, given.seed + number))
            print(f"{name}, {threads} threads: {found[-1][0]:.1f} s, {found[-1][1]:.2%}", file=sys.stderr, flush=True)
    print(table(answers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
