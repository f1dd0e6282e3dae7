"""Text classification: what is a short text about? Words and pairs of words, embedded and averaged, as in fastText.

The texts are Debian's fortunes by subject, or docstrings by package; see shipped_texts.py.
"""

from __future__ import annotations

import itertools
import sys
import zlib

import numpy as np
from shipped_texts import by_subject, words
from verdict import verdict, wants_quick

import monograph as mg
from monograph import nn

SUBJECTS, LENGTH, BUCKETS = 6, 64, 1 << 14


class Averaged(nn.Module):
    """The mean of the vectors of what is in a text, and a linear layer. Bucket 0 is the filling at the end."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(BUCKETS, 32, padding_idx=0)
        nn.init.uniform_(self.vectors.weight, -0.1, 0.1)
        self.drop = nn.Dropout(0.3)
        self.out = nn.Linear(32, classes)

    def forward(self, numbers: mg.Tensor) -> mg.Tensor:
        count = (numbers != 0).sum(1, keepdim=True).clamp(min=1)
        return self.out(self.drop(self.vectors(numbers).sum(1) / count))


def numbers(text: str) -> np.ndarray:
    """The words of a text and its pairs of neighbours, each as the number of a bucket."""
    found = words(text)[: LENGTH // 2]
    hashed = [1 + zlib.crc32(w.encode()) % (BUCKETS - 1) for w in [*found, *map(" ".join, itertools.pairwise(found))]]
    return np.pad(np.array(hashed, np.int64), (0, LENGTH - len(hashed)))


def load(most: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """At most `most` texts of each of the subjects that have the most, in a mixed order."""
    texts = {name: [t for t in found if len(words(t)) >= 5] for name, found in by_subject().items()}
    texts.pop("cookie", None)  # a mixture of all subjects
    names = sorted(texts, key=lambda name: -len(texts[name]))[:SUBJECTS]
    order = np.random.default_rng(0).permutation(sum(min(most, len(texts[n])) for n in names))
    x = np.stack([numbers(t) for n in names for t in texts[n][:most]])
    y = np.array([i for i, n in enumerate(names) for _ in texts[n][:most]])
    return x[order], y[order], names


def main() -> int:
    quick = wants_quick(__doc__)
    mg.manual_seed(0)
    x, y, names = load(500 if quick else 2000)
    cut = len(x) * 4 // 5
    print(f"{cut} texts to learn from, about {', '.join(names)}")

    model = Averaged(len(names))
    model.compile(optimizer=mg.optim.Adam(model.parameters(), lr=5e-3), loss=nn.CrossEntropyLoss(), metrics=["accuracy"])
    stop = mg.train.EarlyStopping("val_loss", patience=2, restore_best_weights=True)
    model.fit(
        x[:cut], y[:cut], batch_size=64, epochs=6 if quick else 12, validation_data=(x[cut:], y[cut:]), callbacks=[stop], verbose=2
    )

    accuracy = model.evaluate(x[cut:], y[cut:], batch_size=200, verbose=0, return_dict=True)["accuracy"]
    often = np.bincount(y[cut:]).max() / len(y[cut:])
    print(f"always naming the most frequent subject: {often:.1%}")
    return verdict("test accuracy", accuracy, at_least=0.4 if quick else 0.5)


if __name__ == "__main__":
    sys.exit(main())
