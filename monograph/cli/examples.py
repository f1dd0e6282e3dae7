"""Models, data and whole configurations that `monograph train` knows by name. The data are those that scikit-learn carries: no download."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from monograph import nn
from monograph.cli.exits import FAILED, CommandError
from monograph.nn import functional as F
from monograph.tensor.core import Tensor


class MLP(nn.Module):
    """Linear layers with an activation between them; inputs of any shape are flattened."""

    def __init__(self, inputs: int, outputs: int, hidden: list[int] | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        sizes = [inputs, *([64, 64] if hidden is None else hidden)]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, ...) to (batch, outputs)."""
        return self.layers(x.flatten(1))


class SmallCNN(nn.Module):
    """Two convolutions, pooling and two linear layers, for small images of one channel or more."""

    def __init__(self, outputs: int, channels: int = 1, side: int = 8, width: int = 32, dropout: float = 0.3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.norm = nn.BatchNorm2d(2 * width)
        self.drop = nn.Dropout(dropout)
        self.hidden = nn.Linear(2 * width * (side // 2) ** 2, 128)
        self.head = nn.Linear(128, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, side, side) to (batch, outputs)."""
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.relu(self.norm(self.conv2(x))), 2)
        return self.head(F.relu(self.hidden(self.drop(x.flatten(1)))))


MODELS: dict[str, Callable[..., nn.Module]] = {"mlp": MLP, "cnn": SmallCNN}


def shipped(loader: str) -> Any:
    """What a function of sklearn.datasets gives. CommandError that names the extra if scikit-learn is not there."""
    try:
        sets = importlib.import_module("sklearn.datasets")
    except ImportError:
        raise CommandError("the built-in data sets need scikit-learn: pip install 'monograph[demo]'", FAILED) from None
    return getattr(sets, loader)()


def digits() -> tuple[np.ndarray, np.ndarray]:
    """1797 handwritten digits as (n, 1, 8, 8) in 0..1, and their values."""
    found = shipped("load_digits")
    return (found.images / 16).astype(np.float32)[:, None], found.target.astype(np.int64)


def _table(loader: str) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Columns scaled to mean 0 and deviation 1; classes as integers, other targets scaled too."""

    def load() -> tuple[np.ndarray, np.ndarray]:
        found = shipped(loader)
        x = standardised(found.data)
        return x, found.target.astype(np.int64) if hasattr(found, "target_names") else standardised(found.target[:, None])

    return load


def standardised(columns: np.ndarray) -> np.ndarray:
    """Each column with mean 0 and deviation 1, as float32."""
    spread = columns.std(0)
    return ((columns - columns.mean(0)) / np.where(spread > 0, spread, 1)).astype(np.float32)


DATA: dict[str, Callable[[], Sequence[np.ndarray]]] = {
    "digits": digits, "iris": _table("load_iris"), "wine": _table("load_wine"), "breast-cancer": _table("load_breast_cancer"),
    "diabetes": _table("load_diabetes"),
}  # fmt: skip

CONFIGS: dict[str, dict[str, Any]] = {
    "digits": {
        "model": {"name": "cnn"}, "data": {"name": "digits", "batch_size": 64}, "optimizer": {"name": "adamw", "args": {"lr": 2e-3}},
        "loss": "cross_entropy", "metrics": ["accuracy"], "trainer": {"max_epochs": 8},
    },
    "iris": {
        "model": {"name": "mlp"}, "data": {"name": "iris", "batch_size": 16}, "optimizer": {"name": "adam", "args": {"lr": 5e-3}},
        "loss": "cross_entropy", "metrics": ["accuracy"], "trainer": {"max_epochs": 30},
    },
    "diabetes": {
        "model": {"name": "mlp", "args": {"hidden": [32]}}, "data": {"name": "diabetes"}, "loss": "mse", "metrics": ["mae"],
        "optimizer": {"name": "adam", "args": {"lr": 3e-3}}, "trainer": {"max_epochs": 20},
    },
}  # fmt: skip
