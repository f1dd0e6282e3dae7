"""Pictures from files, decoded, cut and mirrored by chance, in batches, by two worker processes: samples per second.

The pictures are made first, real files in a folder of their own: JPEGs of 256x256 in three colours, PNGs of 128x128. One sample is read
with Pillow, becomes a tensor of floats, loses what a random window leaves out and is mirrored by chance; 64 are a batch. monograph and
torch run the same text, each with its own tensors, random numbers and `DataLoader`; tf.data does the same with its own decoders, in
threads, two at a time. Every contender is a process of its own that keeps its workers; rounds of one epoch take turns.

    python -m benchmarks.data_loading                                  # beside torch
    python -m benchmarks.data_loading --keras .venv-keras/bin/python   # beside tf.data too
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
BATCH, WORKERS = 64, 2
SIZES = {"jpg": (256, 224), "png": (128, 112)}  # of a picture, and of the window that is cut out of it
Epoch = Callable[[], int]  # reads everything once, says how many samples there were


def make_pictures(folder: Path, kind: str, count: int) -> None:
    """Smooth colours with some noise, so that they compress as photographs do."""
    image = importlib.import_module("PIL.Image")
    rng = np.random.default_rng(0)
    size = SIZES[kind][0]
    across, down = np.meshgrid(np.linspace(0, 6, size), np.linspace(0, 6, size))
    for number in range(count):
        waves = [np.sin(across * rng.uniform(0.5, 2) + rng.uniform(0, 6)) * np.cos(down * rng.uniform(0.5, 2)) for _ in range(3)]
        pixels = 128 + 90 * np.stack(waves, 2) + rng.normal(0, 6, (size, size, 3))
        image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number:05d}.{kind}", quality=90)


def loader_epoch(frame: Any, folder: Path, kind: str) -> Epoch:
    """The text that monograph and torch share."""
    image, tools = importlib.import_module("PIL.Image"), frame.utils.data
    files, window = sorted(folder.glob(f"*.{kind}")), SIZES[kind][1]

    class Pictures(tools.Dataset):  # type: ignore[misc, name-defined]
        def __len__(self) -> int:
            return len(files)

        def __getitem__(self, index: int) -> Any:
            with image.open(files[index]) as opened:
                pixels = frame.from_numpy(np.array(opened.convert("RGB")))
            picture = pixels.permute(2, 0, 1).float().div(255)
            top, left = (int(frame.randint(0, n - window + 1, (1,)).item()) for n in picture.shape[1:])
            picture = picture[:, top : top + window, left : left + window]
            return (picture.flip(2) if frame.rand(1).item() < 0.5 else picture), index % 10

    batches = tools.DataLoader(Pictures(), batch_size=BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=True)

    def epoch() -> int:
        return sum(len(labels) for _, labels in batches)

    return epoch


def with_torch(folder: Path, kind: str) -> Epoch:
    frame = importlib.import_module("torch")
    importlib.import_module("torch.utils.data")
    return loader_epoch(frame, folder, kind)


def with_monograph(folder: Path, kind: str) -> Epoch:
    return loader_epoch(importlib.import_module("monograph"), folder, kind)


def with_tf_data(folder: Path, kind: str) -> Epoch:
    flow = importlib.import_module("tensorflow")
    window, files = SIZES[kind][1], [str(file) for file in sorted(folder.glob(f"*.{kind}"))]
    decode = flow.io.decode_jpeg if kind == "jpg" else flow.io.decode_png

    def sample(file: Any, label: Any) -> Any:
        picture = flow.cast(decode(flow.io.read_file(file), channels=3), flow.float32) / 255
        return flow.image.random_flip_left_right(flow.image.random_crop(picture, (window, window, 3))), label

    made = flow.data.Dataset.from_tensor_slices((files, [index % 10 for index in range(len(files))]))
    made = made.shuffle(len(files)).map(sample, num_parallel_calls=WORKERS, deterministic=True).batch(BATCH).prefetch(2 * WORKERS)

    def epoch() -> int:
        return sum(len(labels) for _, labels in made)

    return epoch


CONTENDERS = {"torch": with_torch, "monograph": with_monograph, "tf.data": with_tf_data}


class Child:
    """A contender's process: answers each line with the seconds of one epoch."""

    def __init__(self, python: str, name: str, folder: Path, kind: str) -> None:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "MONOGRAPH_NUM_THREADS"), "1")
        environment = {**os.environ, **threads, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
        command = [python, "-m", "benchmarks.data_loading", "--serve", name, "--folder", str(folder), "--kind", kind]
        self.name, self.rounds = name, list[float]()
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self) -> float:
        """Samples per second of one more epoch."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("epoch\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.name!r} ended with exit status {self.process.wait()}; its error is above")
        return float(answer)

    def close(self) -> None:
        """Ends the process; its workers end with it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)


def compare(pythons: dict[str, str], kind: str, pictures: int, rounds: int) -> dict[str, list[float]]:
    """Samples per second of every contender, one figure per round, the contenders taking turns."""
    with tempfile.TemporaryDirectory() as folder:
        make_pictures(Path(folder), kind, pictures)
        children = [Child(python, name, Path(folder), kind) for name, python in pythons.items()]
        try:
            for child in children:
                child.ask()  # starts the workers, warms caches; not counted
            for _ in range(rounds):
                for child in children:
                    child.rounds.append(child.ask())
            return {child.name: child.rounds for child in children}
        finally:
            for child in children:
                child.close()


def serve(name: str, folder: Path, kind: str) -> None:
    """The child's side."""
    epoch = CONTENDERS[name](folder, kind)
    for _ in sys.stdin:
        start = time.perf_counter()
        samples = epoch()
        print(samples / (time.perf_counter() - start), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch", default=sys.executable, help="the Python of an environment with torch (default: this one)")
    parser.add_argument("--keras", help="the Python of an environment with tensorflow and Pillow")
    parser.add_argument("--pictures", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--serve", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--kind", choices=SIZES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.folder, given.kind)
        return 0

    pythons = {"torch": given.torch, "monograph": given.torch}
    if given.keras:
        pythons["tf.data"] = given.keras
    else:
        print("without tf.data: name an environment that has tensorflow with --keras", file=sys.stderr)
    print("| pictures | contender | samples/s | of torch | spread |")
    print("| --- | --- | ---: | ---: | ---: |")
    for kind in SIZES if given.kind is None else [given.kind]:
        found = compare(pythons, kind, given.pictures, given.rounds)
        base = statistics.median(found["torch"])
        for name, figures in found.items():
            median, ordered = statistics.median(figures), sorted(figures)
            spread = (ordered[-(len(ordered) // 4) - 1] - ordered[len(ordered) // 4]) / median
            print(f"| {kind} {SIZES[kind][0]}x{SIZES[kind][0]} | {name} | {median:.0f} | {median / base:.2f}x | {spread:.0%} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
