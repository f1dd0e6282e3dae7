"""Gradient accumulation that changes while training goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monograph.train.hooks import Callback


class GradientAccumulationScheduler(Callback):
    """Adds up the gradients of so many batches before an update, by epoch: {0: 1, 4: 8} means eight batches from epoch 4 on.

    Epochs before the first one named accumulate nothing. A plain number counts from the start.

    >>> from monograph import train
    >>> bigger = train.GradientAccumulationScheduler({0: 1, 4: 8})
    """

    def __init__(self, scheduling: Mapping[int, int] | int) -> None:
        table = {0: scheduling} if isinstance(scheduling, int) else dict(scheduling)
        if not table:
            raise TypeError("scheduling says how many batches to accumulate from which epoch on: {0: 1, 4: 8}; it is empty")
        for epoch, factor in table.items():
            if not _counts(epoch, 0):
                raise ValueError(f"scheduling names epochs from 0 on, got {epoch!r}")
            if not _counts(factor, 1):
                raise ValueError(f"scheduling accumulates at least 1 batch, got {factor!r} from epoch {epoch} on")
        self.scheduling = {0: 1, **table}
        self._given = 1  # what the trainer was told by this callback

    def get_accumulate_grad_batches(self, epoch: int) -> int:
        """How many batches an update takes in this epoch."""
        return self.scheduling[max(start for start in self.scheduling if start <= epoch)]

    def setup(self, trainer: Any, module: Any, stage: str) -> None:
        """See Callback."""
        if stage == "fit" and trainer.accumulate_grad_batches not in (1, self._given):
            raise ValueError(
                f"the trainer has accumulate_grad_batches={trainer.accumulate_grad_batches} and a GradientAccumulationScheduler: "
                "give one of them"
            )

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        if not getattr(trainer.task, "automatic_optimization", True):
            raise RuntimeError("a step that optimises by itself (automatic_optimization = False) accumulates by itself")
        self._tell(trainer, trainer.fitting.epoch)

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self._tell(trainer, trainer.current_epoch)

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self._tell(trainer, 0)

    def _tell(self, trainer: Any, epoch: int) -> None:
        self._given = self.get_accumulate_grad_batches(epoch)
        trainer.accumulate(self._given)


def _counts(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
