"""What every public metric must equal: cases of random data with a value from scikit-learn, SciPy, or the definition written out.

`CASES[name]` is a list of (settings, data of a seed, expected value of the data). Data have ties, classes that never occur, and labels that
nobody has, depending on the seed. Metrics of texts, pictures and rankings: `references_texts.py`.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from scipy import stats
from sklearn import metrics as sk

Data = Callable[[np.random.Generator, int], tuple[Any, ...]]
Case = tuple[dict[str, Any], Data, Callable[..., Any]]
CASES: dict[str, list[Case]] = {}
AVERAGES = ("micro", "macro", "weighted", "none")
C, L = 5, 4  # classes, labels


def case(name: str, data: Data, expected: Callable[..., Any], **settings: Any) -> None:
    CASES.setdefault(name, []).append((settings, data, expected))


def quietly(function: Callable[..., Any]) -> Callable[..., Any]:
    """scikit-learn warns of what is missing in the data, which is what the data are for."""

    @functools.wraps(function)
    def quiet(*args: Any, **how: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*args, **how)

    return quiet


# ---- data ----
def yes_or_no(rng: np.random.Generator, rows: int) -> tuple[Any, ...]:
    target = rng.integers(0, 2, rows)
    return np.round(np.clip(rng.random(rows) * 0.8 + 0.2 * target, 0.01, 0.99), 2), target


def classes(rng: np.random.Generator, rows: int) -> tuple[Any, ...]:
    """Every other time a class is never true, and sometimes never predicted either."""
    missing = int(rng.integers(0, 3))
    scores = np.round(rng.normal(size=(rows, C)), 2)
    if missing == 2:
        scores[:, C - 1] = -10.0
    return scores, rng.integers(0, C - (missing > 0), rows)


def shares(rng: np.random.Generator, rows: int) -> tuple[Any, ...]:
    scores = np.exp(np.round(rng.normal(size=(rows, C)), 1))
    return scores / scores.sum(1, keepdims=True), np.r_[np.arange(C), rng.integers(0, C, rows - C)]


def labels(rng: np.random.Generator, rows: int) -> tuple[Any, ...]:
    target = rng.integers(0, 2, (rows, L))
    target[:, L - 1] *= int(rng.integers(0, 2))  # every other time nobody has the last label
    return np.round(rng.random((rows, L)), 2), target


def held(rng: np.random.Generator, rows: int) -> tuple[Any, ...]:
    """Labels that each somebody has and somebody has not."""
    target = np.r_[np.zeros((1, L), int), np.ones((1, L), int), rng.integers(0, 2, (rows - 2, L))]
    return np.round(rng.random((rows, L)), 2), target


def numbers(rng: np.random.Generator, rows: int) -> tuple[Any, ...]:
    target = np.round(rng.normal(size=rows), 1) + 0.05
    return target + np.round(0.3 * rng.normal(size=rows), 1), target


def vectors(rng: np.random.Generator, rows: int) -> tuple[Any, ...]:
    target = rng.normal(size=(rows, 3))
    return target + 0.3 * rng.normal(size=target.shape), target


def positive(rng: np.random.Generator, rows: int) -> tuple[Any, ...]:
    return tuple(np.abs(x) for x in numbers(rng, rows))


# ---- counts: each score of yes and no, averaged over classes and labels ----
OF_TWO: dict[str, Callable[..., float]] = {
    "Precision": functools.partial(sk.precision_score, zero_division=0),
    "Recall": functools.partial(sk.recall_score, zero_division=0),
    "F1Score": functools.partial(sk.f1_score, zero_division=0),
    "FBetaScore": functools.partial(sk.fbeta_score, beta=0.5, zero_division=0),
    "JaccardIndex": functools.partial(sk.jaccard_score, zero_division=0),
    "Specificity": lambda t, p: sk.recall_score(~t, ~p, zero_division=0),
    "NegativePredictiveValue": lambda t, p: sk.precision_score(~t, ~p, zero_division=0),
}


def over(score: Callable[..., float], t: np.ndarray, p: np.ndarray, average: str, every: bool) -> Any:
    """A score of columns of yes and no, averaged as scikit-learn does; without `every`, over the columns where there is a yes."""
    if average == "micro":
        return score(t.ravel(), p.ravel())
    each = np.array([score(t[:, i], p[:, i]) for i in range(t.shape[1])])
    if average == "none":
        return each
    weights = t.sum(0).astype(float) if average == "weighted" else np.ones(len(each)) if every else (t | p).any(0).astype(float)
    return (weights * each).sum() / weights.sum()


def counted(name: str, binary: Callable[..., float], many: Callable[..., float]) -> None:
    beta = {"beta": 0.5} if name == "FBetaScore" else {}
    case(f"Binary{name}", yes_or_no, lambda p, t: binary(t == 1, p > 0.5), **beta)
    case(f"Binary{name}", yes_or_no, lambda p, t: binary(t == 1, p > 0.3), threshold=0.3, **beta)
    for average in AVERAGES:

        def of_classes(p: np.ndarray, t: np.ndarray, average: str = average) -> Any:
            return over(many, np.eye(C, dtype=bool)[t], np.eye(C, dtype=bool)[p.argmax(1)], average, False)

        def of_labels(p: np.ndarray, t: np.ndarray, average: str = average) -> Any:
            return over(binary, t == 1, p > 0.5, average, True)

        case(f"Multiclass{name}", classes, of_classes, num_classes=C, average=average, **beta)
        case(f"Multilabel{name}", labels if average != "weighted" else held, of_labels, num_labels=L, average=average, **beta)


for name, score in OF_TWO.items():
    counted(name, score, score)
counted("Accuracy", sk.accuracy_score, OF_TWO["Recall"])
counted("HammingDistance", sk.hamming_loss, lambda t, p: (t & ~p).sum() / max(1, t.sum()))
for k in (2, 3):
    top = functools.partial(lambda p, t, k: sk.top_k_accuracy_score(t, p, k=k, labels=range(C)), k=k)
    case(
        "MulticlassAccuracy",
        lambda rng, rows: (rng.random((rows, C)), rng.integers(0, C, rows)),
        top,
        num_classes=C,
        average="micro",
        top_k=k,
    )
for adjusted in (False, True):
    balanced = functools.partial(lambda p, t, a: sk.balanced_accuracy_score(t, p.argmax(1), adjusted=a), a=adjusted)
    case("BalancedAccuracy", classes, quietly(balanced), num_classes=C, adjusted=adjusted)
case("MulticlassExactMatch", lambda rng, rows: tuple(rng.integers(0, 2, (2, rows, 3))), lambda p, t: (p == t).all(1).mean(), num_classes=2)
case("MultilabelExactMatch", labels, lambda p, t: sk.accuracy_score(t, p > 0.5), num_labels=L)
case("DiceScore", classes, lambda p, t: sk.f1_score(t, p.argmax(1), average="macro", zero_division=0), num_classes=C)
case("DiceScore", classes, lambda p, t: f1_of_labels(p, t)[1:].mean(), num_classes=C, include_background=False)
case("BinaryStatScores", yes_or_no, lambda p, t: counts_of(t == 1, p > 0.5))
case("MulticlassStatScores", classes, lambda p, t: [counts_of(t == c, p.argmax(1) == c) for c in range(C)], num_classes=C)


def f1_of_labels(p: np.ndarray, t: np.ndarray) -> Any:
    return sk.f1_score(t, p.argmax(1), average=None, zero_division=0)


def counts_of(t: np.ndarray, p: np.ndarray) -> list[int]:
    (tn, fp), (fn, tp) = sk.confusion_matrix(t, p, labels=[False, True])
    return [tp, fp, tn, fn, tp + fn]


# ---- matrices ----
for how in (None, "true", "pred", "all"):

    def matrix(p: np.ndarray, t: np.ndarray, how: str | None = how) -> Any:
        return sk.confusion_matrix(t, p.argmax(1), labels=range(C), normalize=how)

    case("MulticlassConfusionMatrix", classes, quietly(matrix), num_classes=C, normalize=how)
    two_by_two = functools.partial(lambda p, t, how: sk.confusion_matrix(t, p > 0.5, labels=[0, 1], normalize=how), how=how)
    case("BinaryConfusionMatrix", yes_or_no, quietly(two_by_two), normalize=how)
case("MultilabelConfusionMatrix", labels, lambda p, t: sk.multilabel_confusion_matrix(t, p > 0.5), num_labels=L)
for weights in (None, "linear", "quadratic"):

    def kappa(p: np.ndarray, t: np.ndarray, weights: str | None = weights) -> float:
        return float(sk.cohen_kappa_score(t, p.argmax(1) if p.ndim > 1 else p > 0.5, weights=weights))

    def kappa_of_all(p: np.ndarray, t: np.ndarray, weights: str | None = weights) -> float:
        return float(sk.cohen_kappa_score(t, p.argmax(1), weights=weights, labels=range(C)))

    case("BinaryCohenKappa", yes_or_no, kappa, weights=weights)
    case("MulticlassCohenKappa", classes, kappa_of_all, num_classes=C, weights=weights)
case("BinaryMatthewsCorrCoef", yes_or_no, lambda p, t: sk.matthews_corrcoef(t, p > 0.5))
case("MulticlassMatthewsCorrCoef", classes, lambda p, t: sk.matthews_corrcoef(t, p.argmax(1)), num_classes=C)


# ---- curves ----
def of_each(score: Callable[..., float]) -> Callable[..., Any]:
    """A score of one class against the rest, of each class."""
    return lambda p, t: np.array([score(t == c, p[:, c]) for c in range(C)])


def by_part(curves: Iterable[Any]) -> list[Any]:
    """The first parts of all curves, their second parts, and so on."""
    return [*zip(*curves, strict=True)]


case("BinaryAUROC", yes_or_no, lambda p, t: sk.roc_auc_score(t, p))
case("BinaryAUROC", yes_or_no, lambda p, t: sk.roc_auc_score(t, p, max_fpr=0.4), max_fpr=0.4)
case("BinaryAUROC", yes_or_no, lambda p, t: sk.roc_auc_score(t, p), thresholds=[i / 100 for i in range(101)])
case("BinaryAveragePrecision", yes_or_no, lambda p, t: sk.average_precision_score(t, p))
case("BinaryROC", yes_or_no, lambda p, t: sk.roc_curve(t, p, drop_intermediate=False))
case("BinaryPrecisionRecallCurve", yes_or_no, lambda p, t: sk.precision_recall_curve(t, p))
case("MulticlassROC", shares, lambda p, t: by_part(sk.roc_curve(t == c, p[:, c], drop_intermediate=False) for c in range(C)), num_classes=C)
case(
    "MulticlassPrecisionRecallCurve", shares, lambda p, t: by_part(sk.precision_recall_curve(t == c, p[:, c]) for c in range(C)),
    num_classes=C,
)  # fmt: skip
case("AUC", lambda rng, rows: (np.arange(rows) / 7.0, rng.random(rows)), lambda x, y: sk.auc(x, y))
for kind, area in (("AUROC", sk.roc_auc_score), ("AveragePrecision", sk.average_precision_score)):
    each = of_each(area)
    case(f"Multiclass{kind}", shares, each, num_classes=C, average="none")
    case(f"Multiclass{kind}", shares, lambda p, t, each=each: each(p, t).mean(), num_classes=C, average="macro")
    case(
        f"Multiclass{kind}", shares, lambda p, t, each=each: (each(p, t) * np.bincount(t, minlength=C)).sum() / len(t), num_classes=C,
        average="weighted",
    )  # fmt: skip
    for average in AVERAGES:
        of_labels = functools.partial(
            lambda p, t, area, how: area(t, p, average=how), area=area, how=None if average == "none" else average
        )
        case(f"Multilabel{kind}", held, of_labels, num_labels=L, average=average)


# ---- numbers ----
def pearson(p: np.ndarray, t: np.ndarray) -> float:
    return float(stats.pearsonr(p, t)[0])


for name, expected in {
    "MeanSquaredError": lambda p, t: sk.mean_squared_error(t, p),
    "RootMeanSquaredError": lambda p, t: sk.root_mean_squared_error(t, p),
    "MeanAbsoluteError": lambda p, t: sk.mean_absolute_error(t, p),
    "MeanAbsolutePercentageError": lambda p, t: sk.mean_absolute_percentage_error(t, p),
    "SymmetricMeanAbsolutePercentageError": lambda p, t: (2 * np.abs(p - t) / (np.abs(p) + np.abs(t))).mean(),
    "WeightedMeanAbsolutePercentageError": lambda p, t: np.abs(p - t).sum() / np.abs(t).sum(),
    "LogCoshError": lambda p, t: np.log(np.cosh(p - t)).mean(),
    "R2Score": lambda p, t: sk.r2_score(t, p),
    "ExplainedVariance": lambda p, t: sk.explained_variance_score(t, p),
    "PearsonCorrCoef": pearson,
    "SpearmanCorrCoef": lambda p, t: stats.spearmanr(p, t)[0],
    "ConcordanceCorrCoef": lambda p, t: 2 * np.cov(p, t, ddof=0)[0, 1] / (p.var() + t.var() + (p.mean() - t.mean()) ** 2),
}.items():
    case(name, numbers, expected)
case("MeanSquaredLogError", positive, lambda p, t: sk.mean_squared_log_error(t, p))
case("MinkowskiDistance", numbers, lambda p, t: (np.abs(p - t) ** 3).sum() ** (1 / 3), p=3)
case("MeanSquaredError", numbers, lambda p, t: sk.root_mean_squared_error(t, p), squared=False)
case("R2Score", numbers, lambda p, t: 1 - (1 - sk.r2_score(t, p)) * (len(t) - 1) / (len(t) - 3), adjusted=2)
for how in ("uniform_average", "raw_values", "variance_weighted"):
    r2 = functools.partial(lambda p, t, how: sk.r2_score(t, p, multioutput=how), how=how)
    explained = functools.partial(lambda p, t, how: sk.explained_variance_score(t, p, multioutput=how), how=how)
    case("R2Score", vectors, r2, num_outputs=3, multioutput=how)
    case("ExplainedVariance", vectors, explained, num_outputs=3, multioutput=how)
for how, reduce in (("mean", np.mean), ("sum", np.sum)):
    cosines = functools.partial(lambda p, t, reduce: reduce(1 - sk.pairwise.paired_cosine_distances(p, t)), reduce=reduce)
    case("CosineSimilarity", vectors, cosines, reduction=how)
case("MeanMetric", lambda rng, rows: numbers(rng, rows)[:1], np.mean)
case("MeanMetric", lambda rng, rows: (rng.normal(size=rows), rng.random(rows)), lambda x, w: np.average(x, weights=w))
case("SumMetric", lambda rng, rows: numbers(rng, rows)[:1], np.sum)
case("MaxMetric", lambda rng, rows: numbers(rng, rows)[:1], np.max)
case("MinMetric", lambda rng, rows: numbers(rng, rows)[:1], np.min)
case("CatMetric", lambda rng, rows: numbers(rng, rows)[:1], np.sort)
# One batch of equal values: then neither the window nor the order of merges plays a part, which other tests look at.
case("RunningMean", lambda rng, rows: (np.full(rows, rng.normal()),), lambda x: x[0])


# ---- probabilities and margins ----
def calibration(sure: np.ndarray, right: np.ndarray, norm: str) -> float:
    place = np.minimum((sure * 15).astype(int), 14)
    gaps = np.array([abs(sure[place == b].mean() - right[place == b].mean()) for b in np.unique(place)])
    part = np.array([(place == b).mean() for b in np.unique(place)])
    return float({"l1": (part * gaps).sum(), "l2": np.sqrt((part * gaps**2).sum()), "max": gaps.max()}[norm])


def uneven(rng: np.random.Generator, rows: int) -> tuple[Any, ...]:
    """Probabilities that are not on the border of a bin, where rounding decides."""
    return rng.random(rows), rng.integers(0, 2, rows)


for norm in ("l1", "l2", "max"):
    case("BinaryCalibrationError", uneven, functools.partial(calibration, norm=norm), norm=norm)
    sure = functools.partial(lambda p, t, norm: calibration(p.max(1), p.argmax(1) == t, norm), norm=norm)
    case("MulticlassCalibrationError", shares, sure, num_classes=C, norm=norm)
case("BinaryLogLoss", yes_or_no, lambda p, t: sk.log_loss(t, p, labels=[0, 1]), from_logits=False)
case(
    "MulticlassLogLoss", shares, lambda p, t: sk.log_loss(t, p / p.sum(1, keepdims=True), labels=range(C)), num_classes=C, from_logits=False
)
case("MulticlassLogLoss", classes, lambda p, t: (np.log(np.exp(p).sum(1)) - p[range(len(t)), t]).mean(), num_classes=C, from_logits=True)
case("BrierScore", yes_or_no, lambda p, t: sk.brier_score_loss(t, p), from_logits=False)
case("Perplexity", classes, lambda p, t: np.exp((np.log(np.exp(p).sum(1)) - p[range(len(t)), t]).mean()))
case("KLDivergence", lambda rng, rows: (shares(rng, rows)[0], shares(rng, rows)[0]), lambda p, q: stats.entropy(p, q, axis=1).mean())
for squared in (False, True):
    power = 1 + squared
    two = functools.partial(lambda p, t, power: (np.maximum(0, 1 - np.where(t == 1, p, -p)) ** power).mean(), power=power)
    case("BinaryHingeLoss", yes_or_no, two, squared=squared)

    def margin(p: np.ndarray, t: np.ndarray, power: int = power) -> float:
        own = p[range(len(t)), t]
        best = np.where(np.arange(C) == t[:, None], -np.inf, p).max(1)
        return float((np.maximum(0, 1 - own + best) ** power).mean())

    case("MulticlassHingeLoss", classes, margin, num_classes=C, squared=squared)
case("MulticlassHingeLoss", classes, lambda p, t: sk.hinge_loss(t, p, labels=range(C)), num_classes=C)
