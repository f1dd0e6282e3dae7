"""Word vectors: words that occur in the same surroundings get similar vectors, as in word2vec with negative samples.

The text is Debian's fortunes, or Python's own documentation; see shipped_texts.py. The metric: given a word from a part of the text that
was not learned, how often does the model tell a neighbour of it from a word drawn at random (with the frequencies of the text)?
"""

from __future__ import annotations

import sys

import numpy as np
from shipped_texts import one_text, words
from verdict import verdict, wants_quick

import monograph as mg
import monograph.nn.functional as F
from monograph import nn

NEGATIVES, REACH = 5, 2


class Skipgram(nn.Module):
    """Two vectors for each word: as a word, and as a neighbour. A pair's score is their product."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.words, self.neighbours = nn.Embedding(count, width), nn.Embedding(count, width)
        nn.init.uniform_(self.words.weight, -0.5 / width, 0.5 / width)
        nn.init.zeros_(self.neighbours.weight)

    def forward(self, word: mg.Tensor, others: mg.Tensor) -> mg.Tensor:
        return (self.words(word)[:, None] * self.neighbours(others)).sum(2)


def first_is_neighbour(scores: mg.Tensor, _: mg.Tensor) -> mg.Tensor:
    """The loss: the first of the others is a true neighbour, the rest are not."""
    return F.softplus(-scores[:, 0]).mean() + F.softplus(scores[:, 1:]).sum(1).mean()


def pairs(text: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """All words with a neighbour at most REACH away, each with NEGATIVES words from anywhere in the text behind it."""
    rng = np.random.default_rng(seed)
    word = np.concatenate([text[:-d] for d in range(1, REACH + 1)])
    neighbour = np.concatenate([text[d:] for d in range(1, REACH + 1)])
    word, neighbour = np.concatenate([word, neighbour]), np.concatenate([neighbour, word])
    return word, np.concatenate([neighbour[:, None], rng.choice(text, (len(word), NEGATIVES))], 1)


def main() -> int:
    quick = wants_quick(__doc__)
    mg.manual_seed(0)
    every = words(one_text())[: 250_000 if quick else None]
    spelled, counts = np.unique(every, return_counts=True)
    kept = spelled[np.argsort(-counts, kind="stable")][: 1000 if quick else 8000]
    number = {word: i for i, word in enumerate(kept.tolist())}
    text = np.array([number[w] for w in every if w in number])
    # The most frequent words say little of their neighbours: most of their occurrences are left out.
    share = np.bincount(text, minlength=len(kept)) / len(text)
    text = text[np.random.default_rng(0).random(len(text)) < np.sqrt(1e-3 / share[text])]
    cut = len(text) * 9 // 10
    print(f"{len(every):,} words of text, vectors for {len(kept):,} different ones")

    model = Skipgram(len(kept), 32 if quick else 96)
    model.compile(optimizer=mg.optim.Adam(model.parameters(), lr=1e-2 if quick else 3e-3), loss=first_is_neighbour)
    word, others = pairs(text[:cut], 0)
    model.fit((word, others), np.zeros(len(word), np.float32), batch_size=2048, epochs=3, verbose=2)

    word, others = pairs(text[cut:], 1)
    scores = model.predict((word, others[:, :2]), batch_size=4096)
    told_apart = float((scores[:, 0] > scores[:, 1]).mean() + 0.5 * (scores[:, 0] == scores[:, 1]).mean())

    vectors = F.normalize(model.words.weight.detach(), dim=1)
    for wanted in ("time", "work", "file", "love", "computer"):
        if wanted in number:
            near = (vectors @ vectors[number[wanted]]).topk(6)[1][1:]
            print(f"{wanted:>10}: {', '.join(kept[near.numpy()])}")
    return verdict("neighbours told from random words", told_apart, at_least=0.53 if quick else 0.6)


if __name__ == "__main__":
    sys.exit(main())
