"""Fashion-MNIST with a small CNN, trained by `fit` in both styles, beside Keras on TensorFlow and Lightning on PyTorch.

The same architecture, batch size, learning rates and number of epochs, each framework with its own order of the data, and each with as many
threads as suit it better. A run is a process of its own: the wall time is that of building, compiling and training, not of importing and
reading data; then comes the test accuracy. The peers live in environments of their own, which `make bench-fit` makes:

    python -m benchmarks.training_fit --keras .venv-keras/bin/python --lightning .venv-lightning/bin/python
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
BATCH, RATE, SLOWER = 128, 2e-3, 0.5  # the learning rate is halved after each epoch
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
        nn.Flatten(), nn.Linear(64 * 49, 128), nn.ReLU(), nn.Dropout(0.25), nn.Linear(128, 10),
    )  # fmt: skip


def lightning_style(frame: Any, module: type, trainer: Callable[..., Any], data: Data, epochs: int) -> Answer:
    """A module with steps and a trainer; the same text for Lightning and for us."""
    x, y, test_x, test_y = (frame.from_numpy(a) for a in data)

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
            optimizer = frame.optim.Adam(self.parameters(), lr=RATE)
            return [optimizer], [frame.optim.lr_scheduler.ExponentialLR(optimizer, SLOWER)]

    tools = frame.utils.data
    batches = tools.DataLoader(tools.TensorDataset(x, y), batch_size=BATCH, shuffle=True)
    start = time.perf_counter()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    work = trainer(max_epochs=epochs, accelerator="cpu", **quiet)
    model = Classifier()
    work.fit(model, batches)
    seconds = time.perf_counter() - start
    (found,) = work.test(model, tools.DataLoader(tools.TensorDataset(test_x, test_y), batch_size=500), verbose=False)
    return seconds, float(found["accuracy"])


def our_trainer(data: Data, epochs: int) -> Answer:
    """monograph, Lightning's style."""
    frame = importlib.import_module("monograph")
    frame.manual_seed(0)
    return lightning_style(frame, frame.train.TrainModule, frame.train.Trainer, data, epochs)


def lightning(data: Data, epochs: int) -> Answer:
    """Lightning on torch."""
    frame, peer = importlib.import_module("torch"), importlib.import_module("lightning")
    importlib.import_module("torch.utils.data")
    frame.manual_seed(0)
    frame.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    return lightning_style(frame, peer.LightningModule, peer.Trainer, data, epochs)


def our_fit(data: Data, epochs: int) -> Answer:
    """monograph, Keras's style."""
    mg = importlib.import_module("monograph")
    mg.manual_seed(0)
    x, y, test_x, test_y = data
    start = time.perf_counter()
    model = layers(mg.nn)
    loss = mg.nn.CrossEntropyLoss()
    model.compile(optimizer=mg.optim.Adam(model.parameters(), lr=RATE), loss=loss, metrics=["accuracy"])
    slower = mg.train.LearningRateScheduler(lambda epoch, rate: RATE * SLOWER**epoch)
    model.fit(x, y, batch_size=BATCH, epochs=epochs, callbacks=[slower], verbose=0)
    seconds = time.perf_counter() - start
    return seconds, model.evaluate(test_x, test_y, batch_size=500, verbose=0, return_dict=True)["accuracy"]


def keras(data: Data, epochs: int) -> Answer:
    """Keras on TensorFlow, channels last, as it wants them."""
    peer, flow = importlib.import_module("keras"), importlib.import_module("tensorflow")
    threads = int(os.environ["OMP_NUM_THREADS"])
    flow.config.threading.set_intra_op_parallelism_threads(threads)
    flow.config.threading.set_inter_op_parallelism_threads(threads)
    peer.utils.set_random_seed(0)
    x, y, test_x, test_y = (a.transpose(0, 2, 3, 1) if a.ndim == 4 else a for a in data)
    some = peer.layers
    start = time.perf_counter()
    parts: list[Any] = []
    for width in (32, 64):
        norm = some.BatchNormalization(momentum=0.9, epsilon=1e-5)  # torch's, by Keras's way of counting
        parts += [some.Conv2D(width, 3, padding="same"), norm, some.ReLU(), some.MaxPooling2D()]
    parts += [some.Flatten(), some.Dense(128, activation="relu"), some.Dropout(0.25), some.Dense(10)]
    model = peer.Sequential([some.Input((28, 28, 1)), *parts])
    loss = peer.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=peer.optimizers.Adam(RATE, epsilon=1e-8), loss=loss, metrics=["accuracy"])
    slower = peer.callbacks.LearningRateScheduler(lambda epoch, rate: RATE * SLOWER**epoch)
    model.fit(x, y, batch_size=BATCH, epochs=epochs, callbacks=[slower], verbose=0)
    seconds = time.perf_counter() - start
    return seconds, model.evaluate(test_x, test_y, batch_size=500, verbose=0, return_dict=True)["accuracy"]


CONTENDERS = {
    "monograph, Module.fit": our_fit, "monograph, Trainer.fit": our_trainer, "Keras (TensorFlow)": keras, "Lightning (torch)": lightning
}  # fmt: skip


def ask(python: str, name: str, threads: int, epochs: int, images: int | None) -> Answer:
    """One run in a process of its own."""
    settings = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "MONOGRAPH_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(settings, str(threads)), "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    command = [python, "-m", "benchmarks.training_fit", "--serve", name, "--epochs", str(epochs)]
    command += [] if images is None else ["--images", str(images)]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{name} failed:\n{result.stderr[-3000:]}")
    seconds, accuracy = json.loads(result.stdout.splitlines()[-1])
    return seconds, accuracy


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keras", help="the Python of an environment with keras and tensorflow")
    parser.add_argument("--lightning", help="the Python of an environment with lightning and torch")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--images", type=int, help="only so many pictures to learn from")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contender at each number of threads, taking turns")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--serve", choices=CONTENDERS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        print(json.dumps(CONTENDERS[given.serve](load(given.images), given.epochs)))
        return 0

    pythons = {"Keras (TensorFlow)": given.keras, "Lightning (torch)": given.lightning}
    present = {name: pythons.get(name, sys.executable) for name in CONTENDERS if pythons.get(name, sys.executable)}
    answers: dict[tuple[str, int], list[Answer]] = {(name, threads): [] for name in present for threads in given.threads}
    for _ in range(given.rounds):
        for (name, threads), found in answers.items():
            found.append(ask(present[name], name, threads, given.epochs, given.images))
            print(f"{name}, {threads} threads: {found[-1][0]:.1f} s, {found[-1][1]:.2%}", file=sys.stderr, flush=True)

    medians = {key: statistics.median(seconds for seconds, _ in found) for key, found in answers.items()}
    best = {name: min((medians[name, threads], threads) for threads in given.threads) for name in present}
    peers = [name for name in present if pythons.get(name)]
    print("| contender | threads | seconds | " + "".join(f"of {name} | " for name in peers) + "test accuracy |")
    print("| --- | ---: | ---: | " + "---: | " * len(peers) + "---: |")
    for name, (seconds, threads) in best.items():
        accuracy = min(a for _, a in answers[name, threads])
        ratios = "".join(f"{seconds / best[peer][0]:.2f}x | " for peer in peers)
        print(f"| {name} | {threads} | {seconds:.1f} | {ratios}{accuracy:.2%} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
