"""`ModelSummary`: the table of layers at the start of `fit`."""

from __future__ import annotations

from typing import Any

from monograph.train.hooks import Callback
from monograph.train.summary import summary


class ModelSummary(Callback):
    """Prints the layers and their parameters before training, where something shows progress. `max_depth`: how deep to go."""

    def __init__(self, max_depth: int = 1) -> None:
        self.max_depth = max_depth

    def on_fit_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        if trainer.has_progress_bar:
            example = getattr(trainer.task, "example_input_array", None)
            print(summary(trainer.model, *([] if example is None else [example]), depth=self.max_depth))
