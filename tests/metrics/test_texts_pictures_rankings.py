"""Text, pictures and rankings: known values, scikit-learn's nDCG, SciPy's filters, and merges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn import metrics as sk

import monograph as mg
from monograph import metrics
from monograph.metrics.text import edit_distance
from tests.metrics.streaming import streamed

SAID = ["this is the prediction", "there is an other sample", "yes"]
TRUE = ["this is the reference", "there is another one", "yes indeed"]


def slow_distance(a: str, b: str, cost: int) -> int:
    table = {(i, 0): i for i in range(len(a) + 1)} | {(0, j): j for j in range(len(b) + 1)}
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            same = 0 if a[i - 1] == b[j - 1] else cost
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + same)
    return table[len(a), len(b)]


def test_edit_distance() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        a, b = ("".join(rng.choice(list("abc"), rng.integers(0, 9))) for _ in range(2))
        for cost in (1, 2):
            assert edit_distance(a, b, cost) == slow_distance(a, b, cost)


def merged(made: metrics.Metric) -> float:
    other = made.clone()
    made.update(SAID[:1], TRUE[:1])
    other.update(SAID[1:], TRUE[1:])
    made.merge([other.state()])
    return made.compute().item()


def test_error_rates() -> None:
    assert merged(metrics.WordErrorRate()) == pytest.approx(5 / 10)
    assert merged(metrics.MatchErrorRate()) == pytest.approx(5 / 11)
    assert merged(metrics.WordInfoPreserved()) == pytest.approx(6 / 10 * 6 / 10)
    assert merged(metrics.WordInfoLost()) == pytest.approx(1 - 0.36)
    edits = [edit_distance(a, b) for a, b in zip(SAID, TRUE, strict=True)]
    assert merged(metrics.CharErrorRate()) == pytest.approx(sum(edits) / sum(map(len, TRUE)))
    assert merged(metrics.EditDistance()) == pytest.approx(np.mean(edits)) and merged(metrics.EditDistance(reduction="sum")) == sum(edits)
    assert metrics.WordErrorRate()("", "one two").item() == 1.0 and np.isnan(metrics.WordErrorRate()("", "").item())
    with pytest.raises(ValueError, match="2 predictions for 1 targets"):
        metrics.WordErrorRate().update(["a", "b"], ["a"])
    with pytest.raises(TypeError, match="strings or lists of strings, got int"):
        metrics.CharErrorRate().update([1], ["a"])


def test_bleu_and_rouge() -> None:
    bleu = metrics.BLEUScore()
    assert bleu("the cat is on the mat", ["there is a cat on the mat", "a cat is on the mat"]).item() == pytest.approx(0.7598, abs=1e-4)
    bleu.update(["the dog"], ["the dog"])
    matching, there = np.array([5 + 2, 4 + 1, 3, 2]), np.array([6 + 2, 5 + 1, 4, 3])
    assert bleu.compute().item() == pytest.approx(np.exp(np.log(matching / there).mean()))
    assert metrics.BLEUScore()("a b", "c d").item() == 0.0 and metrics.BLEUScore().compute().item() == 0.0
    assert metrics.BLEUScore(n_gram=1)("a b", "a b c d").item() == pytest.approx(np.exp(1 - 4 / 2))
    smooth = metrics.BLEUScore(n_gram=2, smooth=True)("a b c", "a c b").item()
    assert smooth == pytest.approx(np.sqrt(3 / 3 * 1 / 3))
    rouge = metrics.ROUGEScore(rouge_keys=("rouge2", "rougeL"))("The cat sat on a mat", ["A cat sat on the mat.", "no"])
    assert rouge["rouge2_precision"].item() == pytest.approx(2 / 5) and rouge["rougeL_recall"].item() == pytest.approx(4 / 6)
    with pytest.raises(ValueError, match="rouge_keys are rouge1 to rouge9 and rougeL, got 'rouge'"):
        metrics.ROUGEScore("rouge")


def test_pictures() -> None:
    rng = np.random.default_rng(0)
    target = rng.random((4, 2, 16, 20))
    preds = np.clip(target + 0.1 * rng.normal(size=target.shape), 0, 1)
    error = ((preds - target) ** 2).mean()
    assert streamed(metrics.PeakSignalNoiseRatio(data_range=1.0), preds, target) == pytest.approx(-10 * np.log10(error))
    assert streamed(metrics.PeakSignalNoiseRatio(), preds, target) == pytest.approx(10 * np.log10(target.max() ** 2 / error))

    def blurred(x: np.ndarray) -> np.ndarray:
        return gaussian_filter(x, (0, 0, 1.5, 1.5), truncate=3.5)[..., 5:-5, 5:-5]

    mp, mt = blurred(preds), blurred(target)
    vp, vt, both = blurred(preds**2) - mp**2, blurred(target**2) - mt**2, blurred(preds * target) - mp * mt
    expected = ((2 * mp * mt + 1e-4) * (2 * both + 9e-4) / ((mp**2 + mt**2 + 1e-4) * (vp + vt + 9e-4))).mean()
    assert streamed(metrics.StructuralSimilarityIndexMeasure(data_range=1.0), preds, target) == pytest.approx(expected, rel=1e-9)
    with pytest.raises(ValueError, match=r"H and W from 11, the window's size for sigma=1.5; got \[1, 1, 8, 8\]"):
        metrics.StructuralSimilarityIndexMeasure()(mg.ones(1, 1, 8, 8), mg.ones(1, 1, 8, 8))


@pytest.mark.parametrize("top_k", [None, 3])
def test_rankings(top_k) -> None:
    rng = np.random.default_rng(0)
    scores, gains = np.round(rng.random((8, 6)), 1), rng.integers(0, 4, (8, 6))
    gains[:, 0] = 1
    expected = sk.ndcg_score(gains, scores, k=top_k)
    assert streamed(metrics.RetrievalNormalizedDCG(top_k=top_k), scores, gains) == pytest.approx(expected)
    spread = metrics.RetrievalNormalizedDCG(top_k=top_k)
    order = rng.permutation(48)  # the documents of a query are in different batches
    for part in np.array_split(order, 5):
        spread.update(*(mg.tensor(a.ravel()[part]) for a in (scores, gains, np.repeat(np.arange(8), 6).reshape(8, 6))))
    assert spread.compute().item() == pytest.approx(expected)


def test_ranks_of_what_is_relevant() -> None:
    scores, relevant = mg.tensor([[0.9, 0.5, 0.1], [0.1, 0.5, 0.9]]), mg.tensor([[0, 1, 1], [0, 0, 0]])
    names = ("RetrievalMRR", "RetrievalMAP", "RetrievalPrecision", "RetrievalRecall", "RetrievalHitRate")
    found = [getattr(metrics, name)(empty_target_action="skip", top_k=2)(scores, relevant).item() for name in names]
    assert found == [0.5, 0.5, 0.5, 0.5, 1.0]
    assert metrics.RetrievalMRR()(scores, relevant).item() == 0.25
    assert metrics.RetrievalMRR(empty_target_action="pos")(scores, relevant).item() == 0.75
    assert np.isnan(metrics.RetrievalMRR().compute().item())
    with pytest.raises(ValueError, match="a query has no relevant document"):
        metrics.RetrievalMRR(empty_target_action="error")(scores, relevant)
