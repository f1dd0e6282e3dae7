"""Callbacks with Keras's hooks: (epoch, logs) and (batch, logs), with `self.model` and `self.params`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.tensor.core import Tensor
from monograph.train.hooks import Callback

NAMES = tuple(
    f"on_{what}"
    for what in (
        *("train_begin", "train_end", "epoch_begin", "epoch_end", "train_batch_begin", "train_batch_end"),
        *("test_begin", "test_end", "test_batch_begin", "test_batch_end", "predict_begin", "predict_end", "predict_batch_begin"),
        "predict_batch_end",
    )
)


class KerasCallback:
    """Subclass it as keras.callbacks.Callback: override `on_epoch_end(self, epoch, logs=None)` and its kin.

    `self.model` is the module (setting `self.model.stop_training = True` stops), `self.params` has epochs, steps and verbose, `logs` the
    numbers of the batch or epoch; "loss" and metrics of training, those of validation with "val_" before them.

    >>> from monograph import train
    >>> class Shout(train.KerasCallback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print(epoch, sorted(logs))
    """

    model: Any = None
    params: dict[str, Any]

    def set_model(self, model: Any) -> None:
        """The module that is trained."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Epochs, steps and verbose."""
        self.params = params

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """After the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Before each epoch."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """After each epoch and its validation."""

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Before each step."""

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """After each step, with the epoch's means so far."""

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Before each evaluation, those of validation included."""

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """After each evaluation."""

    def on_test_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Before each batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """After each batch of an evaluation."""

    def on_predict_begin(self, logs: dict[str, float] | None = None) -> None:
        """Before a prediction."""

    def on_predict_end(self, logs: dict[str, float] | None = None) -> None:
        """After a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Before each batch of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """After each batch of a prediction."""


class LambdaCallback(KerasCallback):
    """Hooks given as functions, by Keras's names: LambdaCallback(on_epoch_end=lambda epoch, logs: ...)."""

    def __init__(self, **functions: Callable[..., Any]) -> None:
        for name, function in functions.items():
            if name not in NAMES:
                raise TypeError(f"LambdaCallback() has no hook {name!r}; there are {', '.join(NAMES)}")
            if function is not None:
                setattr(self, name, function)


class Adapted(Callback):
    """A Keras callback among the others."""

    def __init__(self, callback: Any) -> None:
        self.callback = callback

    @property
    def state_key(self) -> str:
        """See Callback."""
        return type(self.callback).__qualname__

    def _uses(self, name: str) -> bool:
        return name in vars(self.callback) or getattr(type(self.callback), name, None) is not getattr(KerasCallback, name)

    def setup(self, trainer: Any, module: Any, stage: str) -> None:
        """See Callback."""
        self.callback.set_model(trainer.model)
        self.callback.set_params(
            {"epochs": trainer.max_epochs, "steps": trainer.num_training_batches, "verbose": int(trainer.has_progress_bar)}
        )

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        trainer.model.__dict__["stop_training"] = False
        self.callback.on_train_begin(None)

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self.callback.on_train_end(numbers(trainer))

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self.callback.on_epoch_begin(trainer.current_epoch, None)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self.callback.on_epoch_end(trainer.current_epoch, numbers(trainer))
        self._look(trainer)

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        """See Callback."""
        if self._uses("on_train_batch_begin"):
            self.callback.on_train_batch_begin(batch_idx, {})

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """See Callback."""
        if self._uses("on_train_batch_end"):
            self.callback.on_train_batch_end(batch_idx, trainer.fitting.means.results())
        self._look(trainer)

    def _look(self, trainer: Any) -> None:
        if trainer.model.__dict__.get("stop_training"):
            trainer.should_stop = True

    def on_validation_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self.callback.on_test_begin(None)

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self.callback.on_test_end({k: v for k, v in numbers(trainer).items() if k.startswith("val_")})

    on_test_start = on_validation_start

    def on_test_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self.callback.on_test_end(numbers(trainer))

    def on_validation_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """See Callback."""
        self.callback.on_test_batch_begin(batch_idx, {})

    def on_validation_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """See Callback."""
        self.callback.on_test_batch_end(batch_idx, {})

    on_test_batch_start, on_test_batch_end = on_validation_batch_start, on_validation_batch_end

    def on_predict_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self.callback.on_predict_begin(None)

    def on_predict_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self.callback.on_predict_end(None)

    def on_predict_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """See Callback."""
        self.callback.on_predict_batch_begin(batch_idx, {})

    def on_predict_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """See Callback."""
        self.callback.on_predict_batch_end(batch_idx, {"outputs": outputs})


def numbers(trainer: Any) -> dict[str, float]:
    """The metrics of now as Python numbers."""
    return {k: float(v) for k, v in trainer.callback_metrics.items() if not isinstance(v, Tensor) or v.numel() == 1}


def adapted(callback: Any) -> Any:
    """The callback itself, or in a coat if it has Keras's hooks."""
    if isinstance(callback, Callback):
        return callback
    if isinstance(callback, KerasCallback) or hasattr(callback, "set_model"):
        return Adapted(callback)
    if hasattr(callback, "log_metrics"):
        raise TypeError(
            f"{type(callback).__name__} is a logger: give it as logger=...; a table of epochs among the callbacks is "
            "train.callbacks.CSVLogger(filename), curves for TensorBoard are train.TensorBoard(log_dir)"
        )
    raise TypeError(f"{callback!r} is no callback: subclass train.Callback (trainer, module, ...) or train.KerasCallback (epoch, logs)")
