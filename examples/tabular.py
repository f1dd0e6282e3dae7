"""Tabular data: benign or malignant, from 30 measurements of cell nuclei, with scaled features and weighted classes.

The table is scikit-learn's breast cancer set (pip install scikit-learn).
"""

from __future__ import annotations

import sys

import numpy as np
from verdict import package, verdict, wants_quick

import monograph as mg
from monograph import metrics, nn


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features with mean 0 and deviation 1 on the training part, 1 for malignant; 30 % are for testing."""
    table = package("sklearn.datasets", "scikit-learn").load_breast_cancer()
    order = np.random.default_rng(0).permutation(len(table.target))
    x, y = table.data[order], (table.target[order] == 0).astype(np.float32)[:, None]
    cut = len(x) * 7 // 10
    mean, deviation = x[:cut].mean(0), x[:cut].std(0)
    x = ((x - mean) / deviation).astype(np.float32)
    return x[:cut], y[:cut], x[cut:], y[cut:]


def main() -> int:
    quick = wants_quick(__doc__)
    mg.manual_seed(0)
    x, y, test_x, test_y = load()
    model = nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 1), nn.Sigmoid())
    optimizer = mg.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    model.compile(optimizer=optimizer, loss="binary_crossentropy", metrics=["accuracy"])
    # The rarer class counts for more, so that both weigh the same in all.
    weights = {0: float(len(y) / (2 * (y == 0).sum())), 1: float(len(y) / (2 * (y == 1).sum()))}
    stop = mg.train.EarlyStopping("val_loss", patience=8, restore_best_weights=True)
    model.fit(x, y, batch_size=32, epochs=15 if quick else 60, validation_split=0.15, class_weight=weights, callbacks=[stop], verbose=2)

    chance, malignant = model.predict(test_x)[:, 0], test_y[:, 0] == 1
    print(f"malignant ones found: {(chance[malignant] > 0.5).mean():.1%} of {malignant.sum()}")
    auroc = metrics.AUROC(task="binary")
    auroc.update(mg.from_numpy(chance), mg.from_numpy(malignant))
    print(f"area under the ROC curve: {float(auroc.compute()):.4f}")
    accuracy = float(((chance > 0.5) == malignant).mean())
    return verdict("test accuracy", accuracy, at_least=0.94 if quick else 0.95)


if __name__ == "__main__":
    sys.exit(main())
