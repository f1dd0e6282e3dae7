"""Metrics from counts of true and false positives and negatives: one state, and each score a ratio of it.

`BinaryCounts`, `MulticlassCounts` and `MultilabelCounts` count; a score is a subclass with `parts` (see scores.py).
"""

from __future__ import annotations

import inspect
from typing import Any

from monograph.core.dtype import int64
from monograph.metrics.base import Metric
from monograph.metrics.inputs import one_of, positive_int
from monograph.metrics.labels import Labelled, many_questions, one_of_many, yes_or_no
from monograph.metrics.scores import Parts, averaged, check_average, right
from monograph.metrics.tensors import mt
from monograph.tensor.core import Tensor

ALWAYS_CHECKED = {"validate_args"}  # torchmetrics' switch: what is given is looked at here wherever that costs no step its compilation


def class_sums(labels: Tensor, counts: Tensor, num_classes: int) -> Tensor:
    """How often each label is there, where it counts."""
    weight = counts.to(int64)
    return mt.zeros(num_classes, dtype=int64).index_add(0, labels * weight, weight)


def _four(tp: Tensor, preds: Tensor, actual: Tensor, total: Tensor) -> Tensor:
    """Counts [4, ...] from how often yes was right, was said, was true, and of how many."""
    return mt.stack([tp, preds - tp, total - preds - actual + tp, actual - tp])


class Counts(Metric):
    """What the three ways to count share: the state `counts`, [4] or [4, C], is true and false positives, true and false negatives."""

    higher_is_better: bool | None = True
    every_class = False  # whether a macro average includes classes that never occur
    parts: Parts = staticmethod(right)
    left_out: int | None = None

    def _keep(self, size: int | None, average: str | None, zero_division: float) -> None:
        self.average, self.zero_division = average, float(zero_division)
        self.add_state("counts", mt.zeros((4,) if size is None else (4, size), dtype=int64))

    def compute(self) -> Tensor:
        """The score; one for each class with average="none"."""
        return averaged(self.counts, type(self).parts, self.average, self.zero_division, self.every_class, self.left_out)


class BinaryCounts(Counts):
    """Two classes. `preds` are labels, probabilities or logits (a batch with a value outside of [0, 1] is taken for logits; say
    `from_logits=True` or False if you know), of the shape of `target`. Yes is what is above `threshold`."""

    def __init__(
        self, threshold: float = 0.5, ignore_index: int | None = None, *, zero_division: float = 0.0, from_logits: bool | None = None
    ) -> None:
        super().__init__()
        self.threshold, self.ignore_index, self.from_logits = threshold, ignore_index, from_logits
        self._keep(None, None, zero_division)

    def update(self, preds: Any, target: Any) -> None:
        """Both of one shape; `target` is 0 and 1."""
        yes, true, counts = yes_or_no(type(self).__name__, preds, target, self.threshold, self.ignore_index, self.from_logits)
        yes, true = (yes == 1) & counts, (true == 1) & counts
        self.counts.add_(_four(*(t.sum() for t in (yes & true, yes, true, counts))))


class MulticlassCounts(Counts):
    """Many classes. `preds` are labels [N, ...] or scores [N, C, ...], of which the highest counts (or with `top_k` whether the right
    one is among the k highest); `target` is labels [N, ...]. `average` is "micro", "macro", "weighted" or "none"."""

    def __init__(
        self, num_classes: int, top_k: int = 1, average: str | None = "macro", ignore_index: int | None = None, *,
        zero_division: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        name = type(self).__name__
        self.num_classes, self.ignore_index = positive_int(name, "num_classes", num_classes, 2), ignore_index
        self.top_k = positive_int(name, "top_k", top_k)
        if top_k > num_classes:
            raise ValueError(f"{name}: top_k={top_k} of num_classes={num_classes} would always be right")
        self._keep(None if average == "micro" else num_classes, check_average(name, average), zero_division)

    def _labels(self, preds: Any, target: Any) -> Labelled:
        return one_of_many(type(self).__name__, preds, target, self.num_classes, self.top_k, self.ignore_index)

    def update(self, preds: Any, target: Any) -> None:
        """Scores [N, C, ...] or labels [N, ...], and labels [N, ...]."""
        labels, target, counts = self._labels(preds, target)
        hit = (labels == target) & counts
        if self.average == "micro":  # sums over classes need no classes
            total = counts.sum()
            self.counts.add_(_four(hit.sum(), total, total, self.num_classes * total))
            return
        pairs = ((target, hit), (labels, counts), (target, counts))
        tp, said, true = (class_sums(given, which, self.num_classes) for given, which in pairs)
        self.counts.add_(_four(tp, said, true, counts.sum().expand(self.num_classes)))


class MultilabelCounts(Counts):
    """Many yes-or-no questions. `preds` are labels, probabilities or logits [N, L, ...] as in the binary case, `target` 0 and 1."""

    every_class = True

    def __init__(
        self, num_labels: int, threshold: float = 0.5, average: str | None = "macro", ignore_index: int | None = None, *,
        zero_division: float = 0.0, from_logits: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_labels = positive_int(type(self).__name__, "num_labels", num_labels, 1)
        self.threshold, self.ignore_index, self.from_logits = threshold, ignore_index, from_logits
        self._keep(num_labels, check_average(type(self).__name__, average), zero_division)

    def update(self, preds: Any, target: Any) -> None:
        """Both [N, L, ...]."""
        yes, true, counts = many_questions(
            type(self).__name__, preds, target, self.num_labels, self.threshold, self.ignore_index, self.from_logits
        )
        yes, true = (yes == 1) & counts, (true == 1) & counts
        self.counts.add_(_four(*(t.sum(0) for t in (yes & true, yes, true, counts))))


def _settings(kind: type) -> set[str]:
    """The names that `__init__` takes, through those that hand arguments on."""
    found: set[str] = set()
    for base in kind.__mro__:
        if "__init__" in vars(base):
            parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
            found |= {p.name for p in parameters}
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
    return found


class ByTask:
    """A metric of which there are three kinds: `Accuracy(task="multiclass", num_classes=10)` makes a MulticlassAccuracy."""

    def __init__(
        self, name: str, binary: type[Metric] | None, multiclass: type[Metric] | None = None, multilabel: type[Metric] | None = None
    ) -> None:
        self.__name__, self.kinds = name, {"binary": binary, "multiclass": multiclass, "multilabel": multilabel}
        made = ", ".join(kind.__name__ for kind in self.kinds.values() if kind)
        self.__doc__ = f"{name}(task, ...) makes {made}, whose settings it takes."

    def __call__(self, task: str, **settings: Any) -> Metric:
        """Settings that only the other tasks have are let go, as scripts pass them that choose the task at run time."""
        kind = self.kinds[one_of(self.__name__, "task", task, tuple(k for k, v in self.kinds.items() if v))]
        assert kind is not None
        known = _settings(kind)
        needed = {"multiclass": "num_classes", "multilabel": "num_labels"}.get(task, "")
        if needed in known and settings.get(needed) is None:
            raise ValueError(f'{self.__name__}(task="{task}") needs {needed}=')
        foreign = ({"num_classes", "num_labels"} | {name for other in self.kinds.values() if other for name in _settings(other)}) - known
        return kind(**{k: v for k, v in settings.items() if k not in foreign | ALWAYS_CHECKED and (v is not None or k == "average")})

    def __repr__(self) -> str:
        return f"<metric {self.__name__}>"
