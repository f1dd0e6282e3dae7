"""torchmetrics: metrics of every domain on the same predictions, updated in two batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torchmetrics
from frame import case, generator, integers, main, normal, uniform
from torchmetrics import aggregation, classification, clustering, nominal, regression, retrieval, text, wrappers
from torchmetrics import audio as sound
from torchmetrics import image as picture

Batches = Callable[[int], tuple[Any, ...]]


KNOWN = {"MultilabelLogAUC": "interpolates between tied rates in the order that torch.argsort leaves them: with stable=True torch agrees"}


def of(name: str, make: Callable[[], Any], batches: Batches, *, forward: bool = True, count: int = 2, **options: Any) -> None:
    """Enters a case: what each batch gives, what all give, and the same after a reset."""

    @case(name=name, known=KNOWN.get(name, ""))
    def both() -> dict[str, Any]:
        metric = make()
        steps = []
        for i in range(count):
            if forward:
                steps.append(metric(*batches(i)))
            else:
                metric.update(*batches(i))
        found = {"computed": metric.compute(), "steps": dict(enumerate(steps))}
        metric.reset()
        metric.update(*batches(0))
        return plain({**found, "after reset": metric.compute()})


def plain(value: dict[Any, Any]) -> dict[str, Any]:
    """Names as strings; a list of tensors of several shapes by its places."""
    flat: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(item, (list, tuple)) and not (item and isinstance(item[0], (int, float, str))):
            item = {str(i): part for i, part in enumerate(item)}
        flat[str(name)] = plain(item) if isinstance(item, dict) else item
    return flat


# ---- classification ----
def binary(i: int) -> tuple[Any, ...]:
    return uniform(40, seed=("binary", i)), integers(40, high=2, seed=("binary", i))


def classes(i: int) -> tuple[Any, ...]:
    return normal(40, 5, seed=("classes", i)).softmax(-1), integers(40, high=5, seed=("classes", i))


def labels(i: int) -> tuple[Any, ...]:
    return uniform(20, 4, seed=("labels", i)), integers(20, 4, high=2, seed=("labels", i))


for _name in (
    "Accuracy Precision Recall F1Score Specificity StatScores CohenKappa MatthewsCorrCoef JaccardIndex ConfusionMatrix AUROC "
    "AveragePrecision HammingDistance CalibrationError HingeLoss PrecisionRecallCurve ROC ExactMatch NegativePredictiveValue LogAUC EER"
).split():
    if hasattr(classification, "Binary" + _name):
        of(f"Binary{_name}", lambda n=_name: getattr(classification, "Binary" + n)(), binary)
    if hasattr(classification, "Multiclass" + _name):
        of(f"Multiclass{_name}", lambda n=_name: getattr(classification, "Multiclass" + n)(num_classes=5), classes)
    if hasattr(classification, "Multilabel" + _name):
        of(f"Multilabel{_name}", lambda n=_name: getattr(classification, "Multilabel" + n)(num_labels=4), labels)
for _average in ("micro", "macro", "weighted", "none"):
    of(
        f"MulticlassF1Score {_average}",
        lambda a=_average: classification.MulticlassF1Score(num_classes=5, average=a, ignore_index=0),
        classes,
    )
    of(
        f"MulticlassAccuracy top 2 {_average}",
        lambda a=_average: classification.MulticlassAccuracy(num_classes=5, average=a, top_k=2),
        classes,
    )
of("BinaryFBetaScore", lambda: classification.BinaryFBetaScore(beta=0.5), binary)
of("BinaryROC binned", lambda: classification.BinaryROC(thresholds=7), binary)
of("MulticlassPrecisionRecallCurve binned", lambda: classification.MulticlassPrecisionRecallCurve(num_classes=5, thresholds=7), classes)
of("MulticlassAUROC binned", lambda: classification.MulticlassAUROC(num_classes=5, thresholds=11), classes)
of("BinaryRecallAtFixedPrecision", lambda: classification.BinaryRecallAtFixedPrecision(min_precision=0.5), binary)
of("MulticlassSpecificityAtSensitivity", lambda: classification.MulticlassSpecificityAtSensitivity(5, min_sensitivity=0.5), classes)
of("MultilabelRankingLoss", lambda: classification.MultilabelRankingLoss(4), labels)
of("MultilabelCoverageError", lambda: classification.MultilabelCoverageError(4), labels)
of("MultilabelRankingAveragePrecision", lambda: classification.MultilabelRankingAveragePrecision(4), labels)
of("Dice by task", lambda: torchmetrics.JaccardIndex(task="multiclass", num_classes=5), classes)
of(
    "BinaryFairness",
    lambda: classification.BinaryGroupStatRates(num_groups=2),
    lambda i: (*binary(i), integers(40, high=2, seed=("group", i))),
    forward=False,
)


# ---- regression ----
def pair(i: int) -> tuple[Any, ...]:
    return normal(30, seed=("pair", i)), normal(30, seed=("pair", i + 100))


def positive(i: int) -> tuple[Any, ...]:
    return uniform(30, low=0.1, high=3, seed=("positive", i)), uniform(30, low=0.1, high=3, seed=("positive", i + 100))


for _name in (
    "MeanSquaredError MeanAbsoluteError R2Score ExplainedVariance PearsonCorrCoef SpearmanCorrCoef KendallRankCorrCoef LogCoshError "
    "ConcordanceCorrCoef NormalizedRootMeanSquaredError RelativeSquaredError MinkowskiDistance WeightedMeanAbsolutePercentageError"
).split():
    of(_name, lambda n=_name: getattr(regression, n)(**({"p": 3} if n == "MinkowskiDistance" else {})), pair)
for _name in ("MeanAbsolutePercentageError", "SymmetricMeanAbsolutePercentageError", "MeanSquaredLogError", "TweedieDevianceScore"):
    of(_name, lambda n=_name: getattr(regression, n)(), positive)
of(
    "CosineSimilarity",
    lambda: regression.CosineSimilarity("mean"),
    lambda i: (normal(6, 5, seed=("cos", i)), normal(6, 5, seed=("cos", i + 9))),
)
of("KLDivergence", lambda: regression.KLDivergence(), lambda i: (classes(i)[0], classes(i + 50)[0]))
of(
    "MeanSquaredError 3 outputs",
    lambda: regression.MeanSquaredError(num_outputs=3),
    lambda i: (normal(6, 3, seed=("mse", i)), normal(6, 3, seed=("mse", i + 9))),
)
of("CriticalSuccessIndex", lambda: regression.CriticalSuccessIndex(0.2), pair)
of(
    "ContinuousRankedProbabilityScore",
    lambda: regression.ContinuousRankedProbabilityScore(),
    lambda i: (normal(6, 5, seed=("crps", i)), normal(6, seed=("crps", i + 9))),
)


# ---- images ----
def pictures(i: int) -> tuple[Any, ...]:
    first = uniform(2, 3, 48, 48, seed=("pictures", i))
    return (first * 0.8 + 0.2 * uniform(2, 3, 48, 48, seed=("pictures", i + 9))).clamp(0, 1), first


def large(i: int) -> tuple[Any, ...]:
    first = uniform(1, 1, 180, 180, seed=("large", i))
    return (first * 0.8 + 0.2 * uniform(1, 1, 180, 180, seed=("large", i + 9))).clamp(0, 1), first


of("SSIM", lambda: picture.StructuralSimilarityIndexMeasure(data_range=1.0), pictures)
of("SSIM uniform kernel", lambda: picture.StructuralSimilarityIndexMeasure(gaussian_kernel=False, kernel_size=7, data_range=1.0), pictures)
of("MS-SSIM", lambda: picture.MultiScaleStructuralSimilarityIndexMeasure(data_range=1.0), large)
of("PSNR", lambda: picture.PeakSignalNoiseRatio(data_range=1.0), pictures)
of("PSNR by picture", lambda: picture.PeakSignalNoiseRatio(data_range=1.0, dim=(1, 2, 3)), pictures)
of("PSNRB", lambda: picture.PeakSignalNoiseRatioWithBlockedEffect(data_range=1.0), lambda i: tuple(p[:, :1] for p in pictures(i)))
of("UniversalImageQualityIndex", lambda: picture.UniversalImageQualityIndex(), pictures)
of("TotalVariation", lambda: picture.TotalVariation(), lambda i: pictures(i)[:1])
of("SpectralAngleMapper", lambda: picture.SpectralAngleMapper(), pictures)
of("ERGAS", lambda: picture.ErrorRelativeGlobalDimensionlessSynthesis(), pictures)
of("RMSE sliding", lambda: picture.RootMeanSquaredErrorUsingSlidingWindow(), pictures)
of("RASE", lambda: picture.RelativeAverageSpectralError(), pictures)
of("SpatialCorrelationCoefficient", lambda: picture.SpatialCorrelationCoefficient(), pictures)
of("SpectralDistortionIndex", lambda: picture.SpectralDistortionIndex(), pictures)
of("VisualInformationFidelity", lambda: picture.VisualInformationFidelity(), pictures)


# ---- sound ----
def waves(i: int) -> tuple[Any, ...]:
    clean = normal(2, 400, seed=("waves", i))
    return clean + 0.3 * normal(2, 400, seed=("waves", i + 9)), clean


of("SNR", lambda: sound.SignalNoiseRatio(), waves)
of("SI-SNR", lambda: sound.ScaleInvariantSignalNoiseRatio(), waves)
of("SI-SDR", lambda: sound.ScaleInvariantSignalDistortionRatio(), waves)
of("SA-SDR", lambda: sound.SourceAggregatedSignalDistortionRatio(), lambda i: tuple(w[None] for w in waves(i)))
of("SDR", lambda: sound.SignalDistortionRatio(filter_length=32), waves)
of(
    "PIT",
    lambda: sound.PermutationInvariantTraining(torchmetrics.functional.audio.scale_invariant_signal_noise_ratio),
    lambda i: tuple(w[None] for w in waves(i)),
)
of(
    "C-SI-SNR",
    lambda: sound.ComplexScaleInvariantSignalNoiseRatio(),
    lambda i: (normal(1, 65, 20, 2, seed=("c", i)), normal(1, 65, 20, 2, seed=("c", i + 9))),
)

# ---- text ----
SAID = (["the cat is on the mat", "a quick brown fox jumps"], ["hello there general", "my name is john smith"])
MEANT = (
    [["there is a cat on the mat", "a cat is on the mat"], ["the quick brown fox jumped"]],
    [["hello there"], ["my name is jon smith"]],
)


def said(i: int) -> tuple[Any, ...]:
    return SAID[i], MEANT[i]


def said_once(i: int) -> tuple[Any, ...]:
    return SAID[i], [each[0] for each in MEANT[i]]


for _name in ("BLEUScore", "SacreBLEUScore", "CHRFScore", "TranslationEditRate", "ExtendedEditDistance"):
    of(_name, lambda n=_name: getattr(text, n)(), said)
for _name in ("WordErrorRate", "CharErrorRate", "MatchErrorRate", "WordInfoLost", "WordInfoPreserved", "EditDistance"):
    of(_name, lambda n=_name: getattr(text, n)(), said_once)
of(
    "Perplexity",
    lambda: text.Perplexity(ignore_index=0),
    lambda i: (normal(2, 8, 5, seed=("words", i)), integers(2, 8, high=5, seed=("words", i))),
)
of(
    "SQuAD",
    lambda: text.SQuAD(),
    lambda i: (
        [{"prediction_text": "1976" if i else "in 1976", "id": "56e10a3be3433e1400422b22"}],
        [{"answers": {"answer_start": [97], "text": ["1976"]}, "id": "56e10a3be3433e1400422b22"}],
    ),
)


# ---- retrieval, clustering, nominal, aggregation ----
def found(i: int) -> tuple[Any, ...]:
    return uniform(24, seed=("found", i)), integers(24, high=2, seed=("found", i)), torch.arange(24) // 8 + 3 * i


for _name in "MAP MRR Precision Recall FallOut HitRate NormalizedDCG RPrecision AUROC".split():
    of(f"Retrieval{_name}", lambda n=_name: getattr(retrieval, "Retrieval" + n)(), found)
of("RetrievalPrecisionRecallCurve", lambda: retrieval.RetrievalPrecisionRecallCurve(max_k=4), found)


def clusters(i: int) -> tuple[Any, ...]:
    return integers(50, high=4, seed=("clusters", i)), integers(50, high=3, seed=("clusters", i))


for _name in (
    "MutualInfoScore RandScore AdjustedRandScore AdjustedMutualInfoScore NormalizedMutualInfoScore FowlkesMallowsIndex HomogeneityScore "
    "CompletenessScore VMeasureScore"
).split():
    of(_name, lambda n=_name: getattr(clustering, n)(), clusters)
for _name in ("CalinskiHarabaszScore", "DaviesBouldinScore", "DunnIndex"):
    of(_name, lambda n=_name: getattr(clustering, n)(), lambda i: (normal(30, 3, seed=("points", i)), torch.arange(30) % 3))
for _name in ("CramersV", "TschuprowsT", "PearsonsContingencyCoefficient", "TheilsU"):
    of(_name, lambda n=_name: getattr(nominal, n)(num_classes=4), clusters)
for _name in ("MeanMetric", "SumMetric", "MaxMetric", "MinMetric", "CatMetric", "RunningMean", "RunningSum"):
    of(_name, lambda n=_name: getattr(aggregation, n)(), lambda i: (normal(6, seed=("values", i)),))
of(
    "MeanMetric weighted, with NaN",
    lambda: aggregation.MeanMetric(nan_strategy=0.5),
    lambda i: (torch.where(normal(6, seed=("values", i)) > 1, torch.nan, normal(6, seed=("values", i))), uniform(6, seed=("weights", i))),
)


# ---- what surrounds metrics ----
@case
def collection() -> dict[str, Any]:
    """Several metrics that share states, with names before and behind."""
    metrics = torchmetrics.MetricCollection(
        {
            "accuracy": classification.MulticlassAccuracy(5),
            "f1": classification.MulticlassF1Score(5),
            "auroc": classification.MulticlassAUROC(5),
        },
        prefix="val_",
        postfix="_end",
    )
    steps = [metrics(*classes(i)) for i in range(3)]
    return plain(
        {"all": metrics.compute(), "steps": dict(enumerate(steps)), "groups": str(sorted(map(sorted, metrics.compute_groups.values())))}
    )


@case
def wrapped() -> dict[str, Any]:
    """Tracked over epochs, per class, smallest and largest, several outputs, composed by arithmetic, saved and loaded, copied."""
    tracker = wrappers.MetricTracker(regression.MeanSquaredError(), maximize=False)
    for epoch in range(3):
        tracker.increment()
        tracker.update(*pair(epoch))
    by_class = wrappers.ClasswiseWrapper(classification.MulticlassAccuracy(5, average=None), labels=list("abcde"))
    limits = wrappers.MinMaxMetric(classification.MulticlassAccuracy(5))
    outputs = wrappers.MultioutputWrapper(regression.R2Score(), 2)
    composed = regression.MeanSquaredError() * 2 + regression.MeanAbsoluteError()
    composed.update(*pair(0))
    by_class.update(*classes(0))
    outputs.update(normal(9, 2, seed="a"), normal(9, 2, seed="b"))
    found = [limits(*classes(i)) for i in range(2)]
    saved = regression.PearsonCorrCoef()
    saved.persistent(True)
    saved.update(*pair(0))
    again = regression.PearsonCorrCoef()
    again.persistent(True)
    again.load_state_dict(saved.state_dict())
    return plain(
        {
            "best": tracker.best_metric(return_step=True),
            "all": tracker.compute_all(),
            "by class": by_class.compute(),
            "limits": dict(enumerate(found)),
            "outputs": outputs.compute(),
            "composed": composed.compute(),
            "clone": saved.clone().compute(),
            "names": list(again.state_dict()),
            "moved": saved.to(torch.float64).compute(),
        }
    )


@case
def own_metric() -> dict[str, Any]:
    """A metric of one's own with list and tensor states, as a module of a model, and differentiable."""

    class Spread(torchmetrics.Metric):
        full_state_update = False
        total: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.add_state("total", default=torch.tensor(0.0), dist_reduce_fx="sum")
            self.add_state("seen", default=[], dist_reduce_fx="cat")

        def update(self, x: torch.Tensor) -> None:
            self.total += x.abs().sum()
            self.seen.append(x)

        def compute(self) -> torch.Tensor:
            return torch.cat(self.seen).std() / self.total

    metric = torch.nn.ModuleDict({"spread": Spread()})["spread"]
    steps = [metric(normal(5, seed=i)) for i in range(3)]
    x = normal(2, 8, seed="x").requires_grad_()
    loss = -torchmetrics.functional.scale_invariant_signal_noise_ratio(x, normal(2, 8, seed="y")).mean()
    ssim = torchmetrics.functional.structural_similarity_index_measure(*[p[:, :, :16, :16] for p in pictures(0)], data_range=1.0)
    (grad,) = torch.autograd.grad(loss, x)
    return {"computed": metric.compute(), "steps": torch.stack(steps), "loss": loss, "grad": grad, "ssim": ssim}


@case
def functional() -> dict[str, Any]:
    """Pairwise distances and functions without a class."""
    from torchmetrics.functional import pairwise  # noqa: PLC0415

    x, y = normal(5, 4, seed="left"), normal(6, 4, seed="right")
    boxes = torch.from_numpy(generator("boxes").uniform(0, 10, (5, 4)).astype(np.float32)).sort(-1).values[:, [0, 1, 2, 3]]
    names = "cosine_similarity euclidean_distance linear_similarity manhattan_distance minkowski_distance".split()
    found = {name: getattr(pairwise, "pairwise_" + name)(x, y) for name in names}
    gradients = torchmetrics.functional.image.image_gradients(pictures(0)[0])
    return plain({**found, "gradients": gradients, "areas": (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])})


if __name__ == "__main__":
    main()
