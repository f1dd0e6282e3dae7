"""What the metrics of texts, pictures and rankings must equal; see `references.py`."""

from __future__ import annotations

import functools
import itertools
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn import metrics as sk

from tests.metrics.references import CASES, case

__all__ = ["CASES"]


# ---- data ----
def texts(rng: np.random.Generator, rows: int) -> tuple[Any, ...]:
    """Sentences of few words, with some words changed, left out and added; at least one is the same."""

    def sentence() -> list[str]:
        return rng.choice(["the", "cat", "dog", "sat", "on", "mats"], rng.integers(4, 12)).tolist()

    def heard(words: list[str]) -> list[str]:
        kept = [w for w in words if rng.random() > 0.1]
        return [w if rng.random() > 0.2 else "bird" for w in kept] or ["cat"]

    true = [sentence() for _ in range(rows)]
    said = [true[0], *(heard(words) for words in true[1:])]
    return [" ".join(s) for s in said], [" ".join(t) for t in true]


def pictures(rng: np.random.Generator, rows: int) -> tuple[Any, ...]:
    target = rng.random((6, 2, 14, 16))
    return np.clip(target + 0.1 * rng.normal(size=target.shape), 0, 1), target


def queries(rng: np.random.Generator, rows: int) -> tuple[Any, ...]:
    """Scores without ties, and relevance from 0 to 3; some queries have nothing relevant."""
    scores = np.stack([rng.permutation(8) / 8 for _ in range(rows)])
    return scores, rng.integers(0, 4, scores.shape) * (rng.random((rows, 1)) > 0.2) * (rng.random(scores.shape) > 0.5)


def answered(rng: np.random.Generator, rows: int) -> tuple[Any, ...]:
    scores, gains = queries(rng, rows)
    gains[:, 3] = 2
    return scores, gains


# ---- texts ----
def distance(a: Any, b: Any, cost: int = 1) -> int:
    """Levenshtein's distance, by its definition."""

    @functools.cache
    def d(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        return min(d(i - 1, j) + 1, d(i, j - 1) + 1, d(i - 1, j - 1) + (cost if a[i - 1] != b[j - 1] else 0))

    return d(len(a), len(b))


def sums(said: list[str], true: list[str]) -> tuple[int, int, int, int]:
    pairs = [(a.split(), b.split()) for a, b in zip(said, true, strict=True)]
    return (
        sum(distance(tuple(a), tuple(b)) for a, b in pairs), sum(len(b) for _, b in pairs), sum(len(a) for a, _ in pairs),
        sum(max(len(a), len(b)) for a, b in pairs),
    )  # fmt: skip


def kept_words(said: list[str], true: list[str]) -> float:
    edits, there, spoken, longest = sums(said, true)
    return (longest - edits) / there * (longest - edits) / spoken


def char_errors(said: list[str], true: list[str]) -> float:
    return sum(distance(a, b) for a, b in zip(said, true, strict=True)) / sum(map(len, true))


def grams(words: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(itertools.pairwise(words)) if n == 2 else Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def bleu(said: list[str], true: list[str], n_gram: int = 4, smooth: bool = False) -> float:
    logs = 0.0
    for n in range(1, n_gram + 1):
        own = [(grams(a.split(), n), grams(b.split(), n)) for a, b in zip(said, true, strict=True)]
        matching, there = (sum(sum(c.values()) for c in cs) for cs in ([a & b for a, b in own], [a for a, _ in own]))
        more = int(smooth and n > 1)
        logs += np.log((matching + more) / (there + more)) / n_gram
    spoken, nearest = (sum(len(s.split()) for s in side) for side in (said, true))
    return float(np.exp(logs) * (1.0 if spoken > nearest else np.exp(1 - nearest / spoken)))


def rouge(said: list[str], true: list[str]) -> dict[str, float]:
    rows = []
    for a, b in zip(said, true, strict=True):
        a, b = re.findall("[a-z]+", a), re.findall("[a-z]+", b)
        row = []
        for n in (1, 2, 0):
            left, right = (sum(grams(x, n).values()) if n else len(x) for x in (a, b))
            both = sum((grams(a, n) & grams(b, n)).values()) if n else (left + right - distance(tuple(a), tuple(b), 2)) // 2
            p, r = (both / left if left else 0.0), (both / right if right else 0.0)
            row += [2 * p * r / (p + r) if both else 0.0, p, r]
        rows.append(row)
    names = [f"{key}_{kind}" for key in ("rouge1", "rouge2", "rougeL") for kind in ("fmeasure", "precision", "recall")]
    return dict(zip(names, np.mean(rows, 0), strict=True))


case("WordErrorRate", texts, lambda s, t: sums(s, t)[0] / sums(s, t)[1])
case("MatchErrorRate", texts, lambda s, t: sums(s, t)[0] / sums(s, t)[3])
case("WordInfoPreserved", texts, kept_words)
case("WordInfoLost", texts, lambda s, t: 1 - kept_words(s, t))
case("CharErrorRate", texts, char_errors)
case("EditDistance", texts, lambda s, t: np.mean([distance(a, b, 2) for a, b in zip(s, t, strict=True)]), substitution_cost=2)
case("EditDistance", texts, lambda s, t: sum(distance(a, b) for a, b in zip(s, t, strict=True)), reduction="sum")
case("BLEUScore", texts, bleu)
case("BLEUScore", texts, lambda s, t: bleu(s, t, 3, True), n_gram=3, smooth=True)
case("ROUGEScore", texts, rouge)


# ---- pictures and rankings ----
def ssim(p: np.ndarray, t: np.ndarray) -> float:
    def blurred(x: np.ndarray) -> np.ndarray:
        return gaussian_filter(x, (0, 0, 1.5, 1.5), truncate=3.5)[..., 5:-5, 5:-5]

    mp, mt = blurred(p), blurred(t)
    vp, vt, both = blurred(p**2) - mp**2, blurred(t**2) - mt**2, blurred(p * t) - mp * mt
    return float(((2 * mp * mt + 1e-4) * (2 * both + 9e-4) / ((mp**2 + mt**2 + 1e-4) * (vp + vt + 9e-4))).mean())


case("PeakSignalNoiseRatio", pictures, lambda p, t: -10 * np.log10(((p - t) ** 2).mean()), data_range=1.0)
case("StructuralSimilarityIndexMeasure", pictures, ssim, data_range=1.0)
OF_A_QUERY: dict[str, Callable[[np.ndarray, int], float]] = {
    "RetrievalMRR": lambda r, k: next((1 / rank for rank, yes in enumerate(r[:k], 1) if yes), 0.0),
    "RetrievalMAP": lambda r, k: np.mean([r[: i + 1].mean() for i in range(k) if r[i]]) if r[:k].any() else 0.0,
    "RetrievalPrecision": lambda r, k: r[:k].sum() / k,
    "RetrievalRecall": lambda r, k: r[:k].sum() / r.sum() if r.any() else 0.0,
    "RetrievalHitRate": lambda r, k: float(r[:k].any()),
}


def of_queries(name: str, k: int) -> Callable[..., float]:
    """The mean over queries of what is said of one whose relevance is in order; 0 where nothing is relevant."""

    def value(scores: np.ndarray, gains: np.ndarray) -> float:
        ordered = (np.take_along_axis(gains, np.argsort(-scores, 1), 1) > 0).astype(float)
        return float(np.mean([OF_A_QUERY[name](row, k) for row in ordered]))

    return value


for name in OF_A_QUERY:
    case(name, queries, of_queries(name, 8))
    case(name, queries, of_queries(name, 3), top_k=3)
case("RetrievalNormalizedDCG", answered, lambda s, g: sk.ndcg_score(g, s))
case("RetrievalNormalizedDCG", answered, lambda s, g: sk.ndcg_score(g, s, k=3), top_k=3)
