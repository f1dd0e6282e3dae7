"""`MetricCollection`: several metrics that are updated, computed, reset and merged together."""

from __future__ import annotations

import inspect
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence, ValuesView
from typing import Any, cast

from monograph.metrics.base import Metric
from monograph.nn.container import ModuleDict


class MetricCollection(Metric):
    """Metrics by name: a dict of them, or a sequence, whose names are those of their classes. Results are a dict; `prefix` and `postfix`
    stand around its names. A metric that returns a dict has its names in the result.

    >>> from monograph.metrics import MetricCollection, MulticlassAccuracy, MulticlassF1Score
    >>> both = MetricCollection({"acc": MulticlassAccuracy(3, average="micro"), "f1": MulticlassF1Score(3)}, prefix="val_")
    >>> both.update(mg.tensor([0, 1, 2, 1]), mg.tensor([0, 1, 2, 2]))
    >>> {name: round(value.item(), 4) for name, value in both.compute().items()}
    {'val_acc': 0.75, 'val_f1': 0.7778}
    """

    def __init__(
        self, metrics: Metric | Mapping[str, Metric] | Sequence[Metric], *more: Metric, prefix: str | None = None,
        postfix: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.prefix, self.postfix = prefix or "", postfix or ""
        self._metrics = ModuleDict()
        self.add_metrics(metrics, *more)

    def add_metrics(self, metrics: Metric | Mapping[str, Metric] | Sequence[Metric], *more: Metric) -> None:
        """Adds metrics. ValueError for a name that is taken, TypeError for what is no metric."""
        if isinstance(metrics, Mapping):
            named = list(metrics.items())
        else:
            given = [metrics] if isinstance(metrics, Metric) else list(metrics)
            named = [(type(metric).__name__, metric) for metric in (*given, *more)]
        for name, metric in named:
            if not isinstance(metric, Metric):
                raise TypeError(f"MetricCollection: {name!r} is no Metric but a {type(metric).__name__}")
            if name in self._metrics:
                raise ValueError(f"MetricCollection: there are two metrics called {name!r}: give a dict with names of your own")
            self._metrics[name] = metric

    # ---- as a mapping ----
    def _name(self, name: str) -> str:
        return f"{self.prefix}{name}{self.postfix}"

    def __getitem__(self, name: str) -> Metric:
        inner = name.removeprefix(self.prefix).removesuffix(self.postfix) if name not in self._metrics else name
        if inner not in self._metrics:
            raise KeyError(f"no metric is called {name!r}; there are {', '.join(self.keys())}")
        return cast(Metric, self._metrics[inner])

    def __len__(self) -> int:
        return len(self._metrics)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, name: object) -> bool:
        return name in self._named()

    def _named(self) -> dict[str, Metric]:
        return {self._name(name): metric for name, metric in self._metrics.items()}

    def keys(self) -> KeysView[str]:
        """The names, with prefix and postfix."""
        return self._named().keys()

    def values(self) -> ValuesView[Metric]:
        """The metrics."""
        return self._named().values()

    def items(self) -> ItemsView[str, Metric]:
        """(name, metric)."""
        return self._named().items()

    # ---- as a metric ----
    def update(self, *args: Any, **kwargs: Any) -> None:
        """Updates all. Of the keyword arguments each metric gets those that its `update` has."""
        for metric in self._metrics.values():
            metric.update(*args, **_wanted(metric, kwargs))

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Updates all and returns the values of this batch alone."""
        return self._results({name: metric(*args, **_wanted(metric, kwargs)) for name, metric in self._metrics.items()})

    def compute(self) -> dict[str, Any]:
        """The values by name."""
        return self._results({name: metric.compute() for name, metric in self._metrics.items()})

    def _results(self, values: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in values.items():
            found.update({self._name(k): v for k, v in value.items()} if isinstance(value, dict) else {self._name(name): value})
        return found

    def reset(self) -> None:
        """Resets all."""
        for metric in self._metrics.values():
            metric.reset()

    def state(self) -> dict[str, Any]:
        """The states of all, by name (without prefix and postfix)."""
        return {name: metric.state() for name, metric in self._metrics.items()}

    def merge(self, states: Iterable[dict[str, Any] | Metric]) -> None:
        """Adds the states of other collections with the same metrics."""
        for other in states:
            given = other.state() if isinstance(other, Metric) else other
            if set(given) != set(self._metrics.keys()):
                raise ValueError(f"merge: these states are of {sorted(given)}, this collection has {sorted(self._metrics.keys())}")
            for name, metric in self._metrics.items():
                metric.merge([given[name]])

    def clone(self, prefix: str | None = None, postfix: str | None = None) -> MetricCollection:
        """A collection of its own, with another prefix and postfix if given."""
        made = super().clone()
        made.prefix = self.prefix if prefix is None else prefix
        made.postfix = self.postfix if postfix is None else postfix
        return made

    @property
    def collects(self) -> bool:
        """Whether one of them does."""
        return any(metric.collects for metric in self._metrics.values())


def _wanted(metric: Metric, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(metric.update).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return dict(kwargs)
    return {name: value for name, value in kwargs.items() if name in parameters}
