"""Metrics of text: error rates by edit distance, BLEU, ROUGE. `preds` and `target` are strings, or lists of them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from monograph.core.dtype import float64
from monograph.metrics.aggregation import Averaging
from monograph.metrics.base import Metric
from monograph.metrics.inputs import one_of, positive_int
from monograph.metrics.tensors import mt
from monograph.tensor.core import Tensor
from monograph.tensor.creation import tensor


def edit_distance(a: Sequence[Any], b: Sequence[Any], substitution_cost: int = 1) -> int:
    """The least number of insertions, deletions and substitutions that make `b` of `a`.

    >>> from monograph.metrics.text import edit_distance
    >>> edit_distance("kitten", "sitting")
    3
    """
    if not a or not b:
        return len(a) + len(b)
    codes = {item: code for code, item in enumerate(dict.fromkeys([*a, *b]))}
    columns, places = np.array([codes[item] for item in b]), np.arange(len(b) + 1)
    row = places.copy()
    for number, item in enumerate(a, 1):
        reached = np.empty_like(row)
        reached[0] = number
        reached[1:] = np.minimum(row[1:] + 1, row[:-1] + np.where(columns == codes[item], 0, substitution_cost))
        row = np.minimum.accumulate(reached - places) + places  # insertions, from the best place to the left
    return int(row[-1])


def texts(metric: str, preds: Any, target: Any) -> list[tuple[str, str]]:
    """Pairs of strings. ValueError for numbers of them that differ."""
    left, right = ([given] if isinstance(given, str) else list(given) for given in (preds, target))
    if len(left) != len(right):
        raise ValueError(f"{metric}: {len(left)} predictions for {len(right)} targets: there must be as many of each")
    for one in (*left, *right):
        if not isinstance(one, str):
            raise TypeError(f"{metric}: preds and target are strings or lists of strings, got {type(one).__name__} among them")
    return list(zip(left, right, strict=True))


class EditCounts(Metric):
    """The state `counts`: edits, units of the target, units of the predictions, and of the longer of each pair."""

    higher_is_better: bool | None = False

    def __init__(self) -> None:
        super().__init__()
        self.add_state("counts", mt.zeros(4, dtype=float64))

    def units(self, text: str) -> Sequence[str]:
        """What is compared: words."""
        return text.split()

    def update(self, preds: Any, target: Any) -> None:
        """Strings, or lists of as many."""
        total = np.zeros(4)
        for pred, true in texts(type(self).__name__, preds, target):
            a, b = self.units(pred), self.units(true)
            total += edit_distance(a, b), len(b), len(a), max(len(a), len(b))
        self.counts.add_(tensor(total))


class WordErrorRate(EditCounts):
    """Edits of words over the number of words in the target.

    >>> from monograph.metrics import WordErrorRate
    >>> WordErrorRate()(["this is the prediction", "there is an other sample"], ["this is the reference", "there is another one"]).item()
    0.5
    """

    def compute(self) -> Tensor:
        """A 0-d tensor; NaN for an empty target."""
        return self.counts[0] / self.counts[1]


class CharErrorRate(WordErrorRate):
    """Edits of characters over the number of characters in the target.

    >>> from monograph.metrics import CharErrorRate
    >>> CharErrorRate()("kitten", "sitting").item()
    0.42857142857142855
    """

    def units(self, text: str) -> Sequence[str]:
        """What is compared: characters."""
        return text


class MatchErrorRate(EditCounts):
    """Edits of words over the number of words that were compared."""

    def compute(self) -> Tensor:
        """A 0-d tensor."""
        return self.counts[0] / self.counts[3]


class WordInfoPreserved(EditCounts):
    """The part of the words in the target that was kept, times the part of the predicted words that are right."""

    higher_is_better = True

    def compute(self) -> Tensor:
        """A 0-d tensor."""
        return (self.counts[3] - self.counts[0]) ** 2 / (self.counts[1] * self.counts[2])


class WordInfoLost(WordInfoPreserved):
    """1 - WordInfoPreserved."""

    higher_is_better = False

    def compute(self) -> Tensor:
        """A 0-d tensor."""
        return 1 - super().compute()


class EditDistance(Averaging):
    """The edit distance of characters: the mean over pairs, or with reduction="sum" their sum.

    >>> from monograph.metrics import EditDistance
    >>> EditDistance()(["rain", "kitten"], ["shine", "sitting"]).item()
    3.0
    """

    higher_is_better = False

    def __init__(self, substitution_cost: int = 1, reduction: str = "mean") -> None:
        super().__init__()
        self.substitution_cost = positive_int("EditDistance", "substitution_cost", substitution_cost, 0)
        self.reduction = one_of("EditDistance", "reduction", reduction, ("mean", "sum"))

    def update(self, preds: Any, target: Any) -> None:
        """Strings, or lists of as many."""
        self.add([float(edit_distance(a, b, self.substitution_cost)) for a, b in texts("EditDistance", preds, target)])

    def compute(self) -> Tensor:
        """A 0-d tensor."""
        return super().compute() if self.reduction == "mean" else self.total.clone()


def _grams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def _references(metric: str, preds: Any, target: Any) -> list[tuple[str, list[str]]]:
    """(prediction, its references): a target may be one string or several."""
    if isinstance(preds, str):
        preds, target = [preds], [target]
    preds, target = list(preds), [[one] if isinstance(one, str) else list(one) for one in target]
    if len(preds) != len(target):
        raise ValueError(f"{metric}: {len(preds)} predictions for {len(target)} targets: there must be as many of each")
    return list(zip(preds, target, strict=True))


class BLEUScore(Metric):
    """BLEU of a whole corpus: the geometric mean of the precisions of 1 to `n_gram` words, less a penalty for short output.

    A target is a string or a list of references. `smooth` adds 1 to the counts of two words and more; without it a corpus without
    a common run of `n_gram` words has 0.

    >>> from monograph.metrics import BLEUScore
    >>> bleu = BLEUScore()
    >>> round(bleu(["the cat is on the mat"], [["there is a cat on the mat", "a cat is on the mat"]]).item(), 4)
    0.7598
    """

    higher_is_better = True

    def __init__(self, n_gram: int = 4, smooth: bool = False, weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.n_gram, self.smooth = positive_int("BLEUScore", "n_gram", n_gram), smooth
        self.weights = [1.0 / n_gram] * n_gram if weights is None else [float(w) for w in weights]
        if len(self.weights) != n_gram:
            raise ValueError(f"BLEUScore: weights has {len(self.weights)} numbers for n_gram={n_gram}")
        self.add_state("counts", mt.zeros((2, n_gram), dtype=float64))  # n-grams that match, and that there are
        self.add_state("lengths", mt.zeros(2, dtype=float64))  # of the predictions, of the nearest references

    def update(self, preds: Any, target: Any) -> None:
        """Strings, and for each a reference or a list of them."""
        counts, lengths = np.zeros((2, self.n_gram)), np.zeros(2)
        for pred, references in _references("BLEUScore", preds, target):
            tokens, others = pred.split(), [r.split() for r in references]
            lengths += len(tokens), min((abs(len(o) - len(tokens)), len(o)) for o in others)[1]
            for n in range(1, self.n_gram + 1):
                own = _grams(tokens, n)
                most: Counter[tuple[str, ...]] = Counter()
                for other in others:
                    most |= _grams(other, n)
                counts[:, n - 1] += sum((own & most).values()), sum(own.values())
        self.counts.add_(tensor(counts))
        self.lengths.add_(tensor(lengths))

    def compute(self) -> Tensor:
        """A 0-d tensor."""
        (matching, there), (said, nearest) = self.counts.tolist(), self.lengths.tolist()
        if min(matching[:1] if self.smooth else matching) == 0:
            return tensor(0.0, dtype=float64)
        plus = [1.0 if self.smooth and n else 0.0 for n in range(self.n_gram)]
        logs = [w * math.log((m + p) / (t + p)) for w, m, t, p in zip(self.weights, matching, there, plus, strict=True)]
        penalty = 1.0 if said > nearest else math.exp(1 - nearest / said)
        return tensor(penalty * math.exp(sum(logs)), dtype=float64)


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    """The length of the longest common subsequence."""
    return (len(a) + len(b) - edit_distance(a, b, substitution_cost=2)) // 2


class ROUGEScore(Metric):
    """ROUGE-n (common runs of n words) and ROUGE-L (the longest common subsequence): means over predictions of precision, recall, F1.

    Words are lower case letters and digits. Of several references the one with the highest F1 counts.

    >>> from monograph.metrics import ROUGEScore
    >>> scores = ROUGEScore(rouge_keys=("rouge1", "rougeL"))("My name is John", "Is your name John")
    >>> scores["rouge1_fmeasure"].item(), scores["rougeL_fmeasure"].item()
    (0.75, 0.5)
    """

    higher_is_better = True

    def __init__(self, rouge_keys: str | Sequence[str] = ("rouge1", "rouge2", "rougeL")) -> None:
        super().__init__()
        self.rouge_keys = (rouge_keys,) if isinstance(rouge_keys, str) else tuple(rouge_keys)
        for key in self.rouge_keys:
            if not re.fullmatch(r"rouge([1-9]|L)", key):
                raise ValueError(f"ROUGEScore: rouge_keys are rouge1 to rouge9 and rougeL, got {key!r}")
        self.add_state("sums", mt.zeros((len(self.rouge_keys), 3), dtype=float64))
        self.add_state("count", tensor(0.0, dtype=float64))

    def _scores(self, key: str, pred: list[str], true: list[str]) -> tuple[float, float, float]:
        if key == "rougeL":
            common, said, there = _common(pred, true), len(pred), len(true)
        else:
            a, b = _grams(pred, int(key[-1])), _grams(true, int(key[-1]))
            common, said, there = sum((a & b).values()), sum(a.values()), sum(b.values())
        if not common:
            return 0.0, 0.0, 0.0
        precision, recall = common / said, common / there
        return 2 * precision * recall / (precision + recall), precision, recall

    def update(self, preds: Any, target: Any) -> None:
        """Strings, and for each a reference or a list of them."""
        sums, count = np.zeros((len(self.rouge_keys), 3)), 0
        for pred, references in _references("ROUGEScore", preds, target):
            tokens, *others = (re.findall("[a-z0-9]+", text.lower()) for text in (pred, *references))
            sums += [max(self._scores(key, tokens, other) for other in others) for key in self.rouge_keys]
            count += 1
        self.sums.add_(tensor(sums))
        self.count.add_(float(count))

    def compute(self) -> dict[str, Tensor]:
        """{"rouge1_fmeasure": ..., "rouge1_precision": ..., "rouge1_recall": ...}."""
        means, kinds = self.sums / self.count, ("fmeasure", "precision", "recall")
        return {f"{key}_{kind}": means[i, j] for i, key in enumerate(self.rouge_keys) for j, kind in enumerate(kinds)}
