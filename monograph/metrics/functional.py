"""Metrics as functions of one batch: `functional.multiclass_accuracy(preds, target, num_classes=3)`, `functional.accuracy(..., task=...)`.

Each class of the room has its function, whose name is the class's in snake_case: it makes the metric with the settings given, and returns
its value for the batch. So a function and its class cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.metrics import accuracy as _accuracy
from monograph.metrics import confusion, curves, image, precision_recall, probability, regression, retrieval, text
from monograph.metrics.base import Metric
from monograph.metrics.counting import ByTask
from monograph.metrics.naming import snake

_FAMILIES = (_accuracy, confusion, curves, image, precision_recall, probability, regression, retrieval, text)


_BASES = {
    "BinaryConfusion", "BinaryCurve", "Calibration", "Confusion", "Curve", "EditCounts", "MeanOf", "Moments", "MulticlassConfusion",
    "MulticlassCurve", "MultilabelCurve", "Retrieval",
}  # fmt: skip


def _public(name: str, made: Any, module: Any) -> bool:
    if isinstance(made, ByTask):
        return True
    return isinstance(made, type) and issubclass(made, Metric) and made.__module__ == module.__name__ and name not in _BASES


def _function(name: str, made: Any) -> Callable[..., Any]:
    def function(preds: Any, target: Any, *args: Any, **settings: Any) -> Any:
        metric = made(*args, **settings)
        metric.update(preds, target)
        return metric.compute()

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`{made.__name__}` of one batch: the same settings, and its value."
    return function


_made = {snake(name): made for module in _FAMILIES for name, made in vars(module).items() if _public(name, made, module)}
__all__ = sorted(_made)
globals().update({name: _function(name, made) for name, made in _made.items()})


def __getattr__(name: str) -> Any:
    raise AttributeError(f"monograph.metrics.functional has no {name!r}; there are {', '.join(__all__)}")
