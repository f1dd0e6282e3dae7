"""Watching a metric: which direction is better, and whether it has improved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

RISING = ("acc", "auc", "auroc", "f1", "precision", "recall", "r2", "iou", "dice", "bleu", "top")


class Watched:
    """A metric by name. `mode` is "min", "max" or "auto", which takes what the name suggests (accuracy rises, losses fall)."""

    def __init__(self, monitor: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        if mode not in ("min", "max", "auto"):
            raise ValueError(f"mode is 'min', 'max' or 'auto', got {mode!r}")
        self.monitor = monitor
        self.mode = mode if mode != "auto" else "max" if any(word in monitor.lower() for word in RISING) else "min"
        self.min_delta = abs(min_delta)

    @property
    def worst(self) -> float:
        """What everything is better than."""
        return math.inf if self.mode == "min" else -math.inf

    def better(self, new: float, old: float) -> bool:
        """Whether `new` improves on `old` by more than min_delta. NaN never does."""
        return new < old - self.min_delta if self.mode == "min" else new > old + self.min_delta

    def beyond(self, value: float, limit: float) -> bool:
        """Whether `value` is better than a limit, by however little."""
        return value < limit if self.mode == "min" else value > limit

    def read(self, metrics: Mapping[str, Any], strict: bool = True, who: str = "a callback") -> float | None:
        """The metric's value; None, or KeyError if `strict`, where nobody has logged it."""
        value = metrics.get(self.monitor)
        if value is None:
            if strict:
                raise KeyError(f"{who} watches {self.monitor!r}, which nobody has logged; there are: {', '.join(metrics) or 'no metrics'}")
            return None
        return float(value)
