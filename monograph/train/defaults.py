"""The callbacks and loggers that a trainer has without being asked."""

from __future__ import annotations

from typing import Any

from monograph.train.callbacks.checkpointing import ModelCheckpoint
from monograph.train.callbacks.keras_style import adapted
from monograph.train.callbacks.model_summary import ModelSummary
from monograph.train.callbacks.progress import ProgressBar
from monograph.train.loggers.csv import CSVLogger


def callbacks_of(trainer: Any, given: Any, checkpointing: bool | None, progress: bool | None, summary: bool | None) -> list[Any]:
    """The callbacks given, and a progress bar, a summary and a ModelCheckpoint unless they are there or unwanted."""
    made = [adapted(c) for c in (given if isinstance(given, list | tuple) else [] if given is None else [given])]
    keys = [c.state_key for c in made]
    twice = next((k for k in keys if keys.count(k) > 1 and any(c.state_key == k and c.state_dict() for c in made)), None)
    if twice is not None:
        raise ValueError(f"two callbacks are called {twice} in checkpoints; give one of their classes another state_key")
    if progress is not False and not any(getattr(c, "shows_progress", False) for c in made):
        made.append(ProgressBar())
    if summary is not False and not trainer.fast_dev_run and not any(isinstance(c, ModelSummary) for c in made):
        made.append(ModelSummary())
    if checkpointing is not False and not any(c.saves for c in made):
        made.append(ModelCheckpoint())
    if checkpointing is False and any(isinstance(c, ModelCheckpoint) for c in made):
        raise ValueError("enable_checkpointing=False, but callbacks has a ModelCheckpoint: take one of them away")
    return made


def loggers_of(trainer: Any, given: Any) -> list[Any]:
    """The loggers given; True or None: CSV files in lightning_logs-like folders below default_root_dir."""
    if given is False:
        return []
    if given is None or given is True:
        return [CSVLogger(trainer.default_root_dir)]
    return list(given) if isinstance(given, list | tuple) else [given]
