"""The main job of the house: a convolutional network learns handwritten digits, is compiled, exported and served by a fresh process.

Run it with `make demo`. It needs scikit-learn, whose package carries the 1797 images of 8x8 pixels, and Pillow for the picture.
Larger sets: README, "Larger data sets".
"""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from picture import draw_report
from sklearn.datasets import load_digits

import monograph as mg
import monograph.nn.functional as F
from monograph import nn
from monograph.utils.data import DataLoader, TensorDataset

OUT = Path(__file__).resolve().parents[1] / "out"
EPOCHS, UNCOMPILED_EPOCHS, UNCOMPILED_EVERY, BATCH = 24, 3, 4, 64  # at first all steps run uncompiled, later one of so many
PEAK_LR = 4e-3


class DigitsCNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.norm = nn.BatchNorm2d(64)
        self.drop = nn.Dropout(0.3)
        self.fc1 = nn.Linear(64 * 4 * 4, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x: mg.Tensor) -> mg.Tensor:
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.relu(self.norm(self.conv2(x))), 2)
        x = F.relu(self.fc1(self.drop(x.flatten(1))))
        return self.fc2(x)


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images and labels, then the 20 % of each that training never sees. Pixels in 0..1, as (n, 1, 8, 8) float32."""
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[:, None]
    labels = digits.target.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(labels))
    cut = len(labels) * 4 // 5
    return images[order[:cut]], labels[order[:cut]], images[order[cut:]], labels[order[cut:]]


def shifted(images: mg.Tensor, rng: np.random.Generator) -> mg.Tensor:
    """The batch moved by up to one pixel each way: a digit one pixel to the left is the same digit."""
    down, right = rng.integers(0, 3, 2)
    return F.pad(images, (1, 1, 1, 1))[:, :, down : down + 8, right : right + 8]


def learning_rate(progress: float) -> float:
    """Up during the first fifth, then down along a cosine."""
    return PEAK_LR * (progress / 0.2 if progress < 0.2 else 0.5 * (1 + math.cos(math.pi * (progress - 0.2) / 0.8)))


def predictions(model: nn.Module, images: np.ndarray) -> np.ndarray:
    model.eval()
    with mg.no_grad():
        return model(mg.from_numpy(images)).argmax(1).numpy()


def progress(epoch: int, step: int, steps: int, loss: float, accuracy: float | None, text: str) -> None:
    done = (epoch * steps + step) / (EPOCHS * steps)
    bar = "#" * int(30 * done) + "." * (30 - int(30 * done))
    shown = f"accuracy {accuracy:6.2%}" if accuracy is not None else ""
    end = "\n" if done == 1 or not sys.stdout.isatty() else "\r"
    print(f"[{bar}] epoch {epoch + 1:2d}/{EPOCHS}  loss {loss:.4f}  {shown}  {text}", end=end, flush=True)


def train(model: nn.Module, data: tuple[np.ndarray, ...]) -> tuple[list[float], list[float], dict[str, list[float]]]:
    """Losses of all steps, test accuracy after each epoch, seconds per step uncompiled and compiled."""
    train_x, train_y, test_x, test_y = data
    loader = DataLoader(TensorDataset(mg.from_numpy(train_x), mg.from_numpy(train_y)), batch_size=BATCH, shuffle=True, drop_last=True)
    optimizer = mg.optim.Adam(model.parameters(), lr=PEAK_LR)
    rng = np.random.default_rng(0)

    def step(x: mg.Tensor, y: mg.Tensor) -> mg.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    steps_of = {"uncompiled": step, "compiled": mg.compile(step)}
    losses: list[float] = []
    accuracies: list[float] = []
    seconds: dict[str, list[float]] = {"uncompiled": [], "compiled": []}
    for epoch in range(EPOCHS):
        model.train()
        for number, (x, y) in enumerate(loader, 1):
            # Both ways give the same bits; a few uncompiled steps all along let the two be timed side by side.
            mode = "uncompiled" if epoch < UNCOMPILED_EPOCHS or number % UNCOMPILED_EVERY == 0 else "compiled"
            optimizer.param_groups[0]["lr"] = learning_rate((epoch + number / len(loader)) / EPOCHS)
            x = shifted(x, rng)
            start = time.perf_counter()
            losses.append(steps_of[mode](x, y).item())
            seconds[mode].append(time.perf_counter() - start)
            if sys.stdout.isatty():
                progress(epoch, number, len(loader), losses[-1], accuracies[-1] if accuracies else None, mode)
        accuracies.append(float((predictions(model, test_x) == test_y).mean()))
        progress(epoch, len(loader), len(loader), float(np.mean(losses[-len(loader) :])), accuracies[-1], mode)
    return losses, accuracies, seconds


def export_and_reload(model: nn.Module, images: np.ndarray, labels: np.ndarray) -> tuple[float, bool]:
    """The accuracy of what a fresh process computes from the artifact alone, and whether its outputs are ours bit for bit."""
    model.eval()
    example = mg.from_numpy(images[:2])
    program = mg.export.export(model, (example,), dynamic_shapes=({0: mg.export.Dim("batch")},))
    mg.export.save(program, OUT / "digits_cnn.mg")
    sizes = (1, 7, 100, len(images))
    np.savez(OUT / "test_set.npz", images=images, labels=labels, sizes=sizes)
    with mg.no_grad():
        ours = {size: model(mg.from_numpy(images[:size])).numpy() for size in sizes}

    script = Path(__file__).with_name("run_artifact.py")
    command = [sys.executable, str(script), str(OUT / "digits_cnn.mg"), str(OUT / "test_set.npz"), str(OUT / "outputs.npz")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if result.returncode:
        raise RuntimeError(f"the fresh process could not run the artifact:\n{result.stderr}")
    print(result.stdout, end="")
    with np.load(OUT / "outputs.npz") as arrays:
        theirs = {size: arrays[str(size)] for size in sizes}
    same = all(np.array_equal(ours[size], theirs[size]) for size in sizes)
    return float((theirs[len(images)].argmax(1) == labels).mean()), same


def main() -> int:
    OUT.mkdir(exist_ok=True)
    mg.manual_seed(0)
    data = load()
    model = DigitsCNN()
    count = sum(p.numel() for p in model.parameters())
    print(f"{len(data[0])} images to learn from, {len(data[2])} to test on; {count:,} parameters, {mg.get_num_threads()} threads")

    start = time.perf_counter()
    losses, accuracies, seconds = train(model, data)
    took = time.perf_counter() - start

    predicted = predictions(model, data[2])
    accuracy = float((predicted == data[3]).mean())
    # The first compiled call records and compiles; it is named apart from the step that follows it.
    first, per_step = seconds["compiled"][0], {mode: statistics.median(times[1:]) for mode, times in seconds.items()}
    print(f"trained in {took:.1f} s; test accuracy {accuracy:.2%} ({int((predicted != data[3]).sum())} of {len(predicted)} wrong)")
    print(f"time per step: uncompiled {per_step['uncompiled'] * 1e3:.2f} ms, compiled {per_step['compiled'] * 1e3:.2f} ms", end="")
    print(f" (uncompiled / compiled = {per_step['uncompiled'] / per_step['compiled']:.2f}; the first compiled call took {first:.2f} s)")

    reloaded, same_bits = export_and_reload(model, data[2], data[3])
    verdict = "bit for bit ours" if same_bits else "DIFFERENT"
    print(f"the same in a fresh process from out/digits_cnn.mg: {reloaded:.2%}, outputs {verdict} at 4 batch sizes")

    draw_report(OUT / "digits_cnn.png", losses, accuracies, data[3], predicted, data[2][:, 0])
    print("loss curve, confusion matrix and mistakes: out/digits_cnn.png")
    if accuracy < 0.98 or reloaded != accuracy or not same_bits:
        print("the demo expects at least 98 % and the same outputs from the artifact", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
