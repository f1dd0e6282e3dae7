"""`History`: what `fit` returns, the numbers of every epoch."""

from __future__ import annotations

from typing import Any

from monograph.train.callbacks.keras_style import numbers
from monograph.train.chart import to_html
from monograph.train.hooks import Callback


class History(Callback):
    """`history` maps each name to its value after each epoch, `epoch` lists the epochs.

    >>> from monograph import train
    >>> train.History().history
    {}
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self.model: Any = None
        self.params: dict[str, Any] = {}

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self.model = trainer.model
        self.params = {"epochs": trainer.max_epochs, "steps": trainer.num_training_batches}

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self.epoch.append(trainer.current_epoch)
        for name, value in numbers(trainer).items():
            self.history.setdefault(name, []).append(value)

    def state_dict(self) -> dict[str, Any]:
        """See Callback."""
        return {"history": {k: list(v) for k, v in self.history.items()}, "epoch": list(self.epoch)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See Callback."""
        self.history = {k: list(v) for k, v in state_dict["history"].items()}
        self.epoch = list(state_dict["epoch"])

    def _repr_html_(self) -> str:
        """What notebooks show: a chart for each metric."""
        return to_html(self.history, self.epoch)

    def __repr__(self) -> str:
        last = ", ".join(f"{k}={v[-1]:.4g}" for k, v in self.history.items() if v)
        return f"<History of {len(self.epoch)} epochs: {last}>"
