"""Optuna's pruning: a trial that does not look promising ends early."""

from __future__ import annotations

from typing import Any

from monograph.core.extras import optional
from monograph.train.callbacks.watching import Watched
from monograph.train.hooks import Callback


class OptunaPruningCallback(Callback):
    """Tells an Optuna trial the metric after each validation (after each epoch without one), and ends it if Optuna says so.

    Works in both styles: `model.fit(..., callbacks=[...])` and `Trainer(callbacks=[...])`. `optuna.TrialPruned` goes through `fit` to Optuna.
    Needs the extra `optuna`.

    >>> from monograph import train
    >>> def objective(trial):
    ...     prune = train.OptunaPruningCallback(trial, monitor="val_loss")
    ...     history = make_model(trial).fit(x, y, epochs=20, validation_split=0.2, callbacks=[prune])
    ...     return history.history["val_loss"][-1]
    """

    def __init__(self, trial: Any, monitor: str = "val_loss") -> None:
        self.trial, self.monitor = trial, monitor
        self.watched = Watched(monitor)

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        if not trainer.sanity_checking and trainer.stage == "validate" and trainer.fitting is not None and self.monitor in trainer.callback_metrics:
            self._report(trainer)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        if not trainer.fitting.val or self._told != trainer.current_epoch:
            self._report(trainer)

    _told = -1

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self._told = -1

    def _report(self, trainer: Any) -> None:
        value = self.watched.read(trainer.callback_metrics, who="OptunaPruningCallback")
        epoch = trainer.current_epoch
        if value is None or self._told == epoch:  # Optuna wants one value for each step
            return
        self._told = epoch
        self.trial.report(value, step=epoch)
        if self.trial.should_prune():
            raise optional("optuna", "OptunaPruningCallback").TrialPruned(f"Trial was pruned at epoch {epoch}.")
