"""Optuna's pruning: a trial that does not look promising ends early."""

from __future__ import annotations

from typing import Any

from monograph.core.extras import optional
from monograph.train.callbacks.watching import Watched
from monograph.train.hooks import Callback


class OptunaPruningCallback(Callback):
    """Tells an Optuna trial the metric after each epoch that was validated (each one without validation), and ends it if Optuna says so.

    Works in both styles: `model.fit(..., callbacks=[...])` and `Trainer(callbacks=[...])`. `optuna.TrialPruned` goes through `fit` to
    Optuna. Needs the extra `optuna`.

    >>> from monograph import train
    >>> def objective(trial):
    ...     prune = train.OptunaPruningCallback(trial, monitor="val_loss")
    ...     history = make_model(trial).fit(x, y, epochs=20, validation_split=0.2, callbacks=[prune])
    ...     return history.history["val_loss"][-1]
    """

    def __init__(self, trial: Any, monitor: str = "val_loss") -> None:
        self.trial, self.monitor = trial, monitor
        self.watched = Watched(monitor)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        epoch = trainer.current_epoch
        if trainer.fitting.val and (epoch + 1) % trainer.check_val_every_n_epoch:
            return  # nothing new is known
        value = self.watched.read(trainer.callback_metrics, who="OptunaPruningCallback")
        self.trial.report(value, step=epoch)
        if self.trial.should_prune():
            raise optional("optuna", "OptunaPruningCallback").TrialPruned(f"Trial was pruned at epoch {epoch}.")
