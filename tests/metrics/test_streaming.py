"""The mechanism: states, merging, batch values, collections, and updates within compiled steps."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import monograph as mg
from monograph import metrics, nn
from monograph.metrics import Metric, functional

FIXED = [
    metrics.MulticlassAccuracy(3, average="micro"), metrics.MulticlassAccuracy(3, top_k=2), metrics.MulticlassF1Score(3, ignore_index=0),
    metrics.MulticlassConfusionMatrix(3), metrics.MulticlassAUROC(3, thresholds=10), metrics.MulticlassLogLoss(3),
    metrics.MulticlassCalibrationError(3), metrics.MulticlassHingeLoss(3), metrics.Perplexity(),
]  # fmt: skip


@pytest.mark.parametrize("metric", FIXED, ids=lambda m: type(m).__name__)
def test_updates_are_part_of_a_compiled_step(metric: Metric) -> None:
    inside, outside = metric.clone(), metric.clone()

    def step(scores, target):
        inside.update(scores, target)
        return scores.sum()

    compiled = mg.compile(step)
    for _ in range(4):
        scores, target = mg.randn(8, 3), mg.randint(0, 3, (8,))
        compiled(scores, target)
        outside.update(scores, target)
    assert compiled.engine.captures == 1 and not compiled.engine.reasons and not metric.collects
    np.testing.assert_allclose(inside.compute().numpy(), outside.compute().numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    "metric",
    [metrics.R2Score(), metrics.MeanSquaredError(), metrics.BinaryAUROC(thresholds=4), metrics.PeakSignalNoiseRatio()],
    ids=lambda m: type(m).__name__,
)
def test_numbers_within_a_compiled_step(metric: Metric) -> None:
    inside, outside = metric.clone(), metric.clone()

    def step(p, t):
        inside.update(p, t)
        return p

    compiled = mg.compile(step)
    for _ in range(4):
        p, t = mg.rand(8), mg.randint(0, 2, (8,))
        compiled(p, t)
        outside.update(p, t)
    assert compiled.engine.captures == 1
    np.testing.assert_allclose(inside.compute().numpy(), outside.compute().numpy(), rtol=1e-12)


def test_a_label_out_of_range_is_an_error_within_a_compiled_step_too() -> None:
    metric = metrics.MulticlassConfusionMatrix(3)
    compiled = mg.compile(lambda p, t: metric.update(p, t))
    compiled(mg.tensor([0, 1]), mg.tensor([1, 2]))
    with pytest.raises((IndexError, RuntimeError)):
        compiled(mg.tensor([0, 1]), mg.tensor([1, 7]))
        metric.compute().tolist()


def test_forward_gives_the_batch_and_keeps_everything() -> None:
    for made in (metrics.BinaryAccuracy(), metrics.BinaryAUROC(), metrics.R2Score()):
        first, second = made.clone(), made.clone()
        batches = [(mg.tensor([0.1, 0.7, 0.4]), mg.tensor([0, 1, 1])), (mg.tensor([0.8, 0.2, 0.6]), mg.tensor([0, 0, 1]))]
        alone = []
        for p, t in batches:
            alone.append(first(p, t).item())
            second.update(p, t)
        made.update(*batches[1])
        assert alone[1] == made.compute().item() and first.compute().item() == second.compute().item()
    cat = metrics.CatMetric()
    cat(1.0)
    cat(mg.tensor([2.0, 3.0]))
    assert cat.compute().tolist() == [1.0, 2.0, 3.0]


def test_states_keep_their_dtype_and_stay_out_of_files() -> None:
    model = nn.Module()
    model.error = metrics.MeanSquaredError()
    model.half()
    model.error.update(mg.tensor([1.0]), mg.tensor([1.5]))
    assert model.error.total.dtype == mg.float64 and model.error.compute().item() == 0.25 and not model.state_dict()
    other = copy.deepcopy(model.error)
    other.reset()
    assert model.error.compute().item() == 0.25 and np.isnan(other.compute().item())


def test_data_may_change_after_an_update() -> None:
    scores = np.array([0.1, 0.9])
    auc, cat = metrics.BinaryAUROC(), metrics.CatMetric()
    given = mg.from_numpy(scores)
    auc.update(given, mg.tensor([0, 1]))
    cat.update(given)
    given.mul_(-1)
    assert auc.compute().item() == 1.0 and cat.compute().tolist() == [0.1, 0.9]


def test_what_cannot_be_merged() -> None:
    with pytest.raises(ValueError, match="these states are"):
        metrics.MeanMetric().merge([metrics.SumMetric()])
    with pytest.raises(ValueError, match=r"the state 'counts' is \[4, 5\] there and \[4, 3\] here"):
        metrics.MulticlassRecall(3).merge([metrics.MulticlassRecall(5)])
    with pytest.raises(ValueError, match="merged by 'sum', 'max', 'min' or a function"):
        metrics.MeanMetric().add_state("x", 0.0, "mean")


def test_aggregation() -> None:
    values = mg.tensor([3.0, float("nan"), -1.0])
    assert np.isnan(metrics.MeanMetric()(values).item()) and metrics.MeanMetric("ignore")(values).item() == 1.0
    assert metrics.MeanMetric(10.0)(values).item() == 4.0
    with pytest.raises(ValueError, match="there is NaN among the values"):
        metrics.MeanMetric("error")(values)
    assert metrics.MaxMetric()(mg.tensor([2.0, 5.0])).item() == 5.0 and metrics.MinMetric()([2.0, 5.0]).item() == 2.0
    assert metrics.MaxMetric().compute().item() == -np.inf and metrics.SumMetric()(mg.zeros(0)).item() == 0.0
    greatest = metrics.MaxMetric()
    greatest.update(mg.zeros(0))
    assert greatest.compute().item() == -np.inf


def test_collections() -> None:
    both = metrics.MetricCollection([metrics.MulticlassAccuracy(3, average="micro"), metrics.MulticlassF1Score(3)], prefix="val_")
    preds, target = mg.tensor([0, 1, 2, 1]), mg.tensor([0, 1, 2, 2])
    assert set(both(preds, target)) == {"val_MulticlassAccuracy", "val_MulticlassF1Score"} == set(both.keys())
    other = both.clone(prefix="test_")
    other.merge([both.state()])
    assert other.compute()["test_MulticlassAccuracy"].item() == 0.75 and "val_MulticlassF1Score" in both and len(both) == 2
    both.reset()
    assert both["MulticlassAccuracy"].compute().item() == 0.0 and both["val_MulticlassF1Score"].counts.sum().item() == 0
    assert not both.collects and metrics.MetricCollection({"auc": metrics.BinaryAUROC()}).collects
    with pytest.raises(ValueError, match="two metrics called 'MeanMetric'"):
        metrics.MetricCollection(metrics.MeanMetric(), metrics.MeanMetric())
    with pytest.raises(KeyError, match="no metric is called 'f1'"):
        both["f1"]
    with pytest.raises(ValueError, match="this collection has"):
        both.merge([{"other": {}}])
    asked = metrics.MetricCollection({"mrr": metrics.RetrievalMRR(), "auc": metrics.BinaryAUROC()})
    asked.update(mg.tensor([0.9, 0.1]), mg.tensor([1, 0]), indexes=mg.tensor([0, 0]))
    assert [v.item() for v in asked.compute().values()] == [1.0, 1.0]


def test_functions_are_the_classes() -> None:
    p, t = mg.tensor([0.1, 0.9, 0.6]), mg.tensor([0, 1, 0])
    assert functional.accuracy(p, t, task="binary").item() == functional.binary_accuracy(p, t).item() == pytest.approx(2 / 3)
    assert functional.mean_squared_error(p, p).item() == 0.0 and functional.auroc(p, t, task="binary").item() == 1.0
    wanted = "f1_score fbeta_score multiclass_matthews_corrcoef pearson_corrcoef r2_score bleu_score word_error_rate perplexity"
    assert set(wanted.split()) <= set(functional.__all__) and "curve" not in functional.__all__
    with pytest.raises(AttributeError, match="has no 'acuracy'; there are accuracy"):
        functional.acuracy  # noqa: B018
