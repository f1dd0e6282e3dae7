"""The hooks of training, with their order. A `Callback` has them with (trainer, module, ...), a `TrainModule` without.

    setup, on_fit_start, on_sanity_check_start / _end
    on_train_start
        on_train_epoch_start
            on_train_batch_start, [step], on_train_batch_end
            on_validation_start, on_validation_epoch_start, on_validation_batch_start / _end, on_validation_epoch_end, on_validation_end
        on_train_epoch_end
    on_train_end, on_fit_end, teardown

Callbacks come in the order given (those that average weights before the others, which see the weights as they will be), then the module's
own hook, then those callbacks that save checkpoints, so that what they save holds what the others have done. `on_exception` tells callbacks
of an error before it is raised again; `teardown` comes in any case. An error in a hook ends training as an error in a step does.
"""

from __future__ import annotations

from typing import Any


class ModuleHooks:
    """Hooks that a `TrainModule` may define."""

    def setup(self, stage: str) -> None:
        """Before a stage: "fit", "validate", "test" or "predict"."""

    def teardown(self, stage: str) -> None:
        """After a stage, whatever happened."""

    def on_fit_start(self) -> None:
        """Before anything of fit."""

    def on_fit_end(self) -> None:
        """At the very end of fit."""

    def on_train_start(self) -> None:
        """Before the first epoch."""

    def on_train_end(self) -> None:
        """After the last epoch."""

    def on_train_epoch_start(self) -> None:
        """Before each epoch."""

    def on_train_epoch_end(self) -> None:
        """After each epoch and its validation."""

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> Any:
        """Before each step; returning -1 ends the epoch here."""

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """After each step; `outputs` is what training_step returned."""

    def on_validation_epoch_start(self) -> None:
        """Before each validation."""

    def on_validation_epoch_end(self) -> None:
        """After each validation, before its means are taken: `log` still works."""

    def on_test_epoch_start(self) -> None:
        """Before a test."""

    def on_test_epoch_end(self) -> None:
        """After a test, before its means are taken."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """May add to what is saved: plain data and tensors."""

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Sees what is loaded, before the state is taken from it."""


class Callback:
    """Something that watches training and acts on it. Every hook gets the trainer and the module that is trained.

    >>> from monograph import train
    >>> class Shout(train.Callback):
    ...     def on_train_epoch_end(self, trainer, module):
    ...         print("epoch", trainer.current_epoch, "done")
    """

    saves = False  # those that write checkpoints come last
    stands_in = False  # those that put other weights in the place of the model's come first

    @property
    def state_key(self) -> str:
        """Its name in checkpoints: two callbacks of one class need different ones."""
        return type(self).__qualname__

    def state_dict(self) -> dict[str, Any]:
        """Plain data that a checkpoint keeps."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes it back."""

    def setup(self, trainer: Any, module: Any, stage: str) -> None:
        """Before a stage: "fit", "validate", "test" or "predict"."""

    def teardown(self, trainer: Any, module: Any, stage: str) -> None:
        """After a stage, whatever happened."""

    def on_fit_start(self, trainer: Any, module: Any) -> None:
        """Before anything of fit, with checkpoint loaded."""

    def on_fit_end(self, trainer: Any, module: Any) -> None:
        """At the very end of fit."""

    def on_sanity_check_start(self, trainer: Any, module: Any) -> None:
        """Before the few batches of validation that come before training."""

    def on_sanity_check_end(self, trainer: Any, module: Any) -> None:
        """After them."""

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Before the first epoch."""

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """After the last epoch."""

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        """Before each epoch."""

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """After each epoch and its validation; `trainer.callback_metrics` has the means."""

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> Any:
        """Before each step; returning -1 ends the epoch here."""

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """After each step; `outputs` is what training_step returned."""

    def on_validation_start(self, trainer: Any, module: Any) -> None:
        """Before each validation."""

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """After each validation, with its means in `trainer.callback_metrics`."""

    def on_validation_epoch_start(self, trainer: Any, module: Any) -> None:
        """Before the batches of a validation."""

    def on_validation_epoch_end(self, trainer: Any, module: Any) -> None:
        """After the batches of a validation."""

    def on_validation_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Before each batch of validation."""

    def on_validation_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """After each batch of validation."""

    def on_test_start(self, trainer: Any, module: Any) -> None:
        """Before a test."""

    def on_test_end(self, trainer: Any, module: Any) -> None:
        """After a test."""

    def on_test_epoch_start(self, trainer: Any, module: Any) -> None:
        """Before the batches of a test."""

    def on_test_epoch_end(self, trainer: Any, module: Any) -> None:
        """After the batches of a test."""

    def on_test_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Before each batch of a test."""

    def on_test_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """After each batch of a test."""

    def on_predict_start(self, trainer: Any, module: Any) -> None:
        """Before a prediction."""

    def on_predict_end(self, trainer: Any, module: Any) -> None:
        """After a prediction."""

    def on_predict_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Before each batch of a prediction."""

    def on_predict_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """After each batch of a prediction."""

    def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
        """When training ends by an error or by Ctrl-C, before that is raised again."""

    def on_save_checkpoint(self, trainer: Any, module: Any, checkpoint: dict[str, Any]) -> None:
        """May add to what is saved: plain data and tensors."""

    def on_load_checkpoint(self, trainer: Any, module: Any, checkpoint: dict[str, Any]) -> None:
        """Sees what is loaded, before the state is taken from it."""


_EMPTY = {name: value for name, value in vars(Callback).items() if callable(value)}


class Hooks:
    """The callbacks and the module at one place: `call(name, ...)` calls those that define the hook, and costs nothing where nobody
    does.
    """

    def __init__(self, trainer: Any, module: Any, callbacks: list[Any]) -> None:
        self.trainer, self.module = trainer, module
        self.callbacks = sorted(callbacks, key=lambda c: (bool(c.saves), not getattr(c, "stands_in", False)))
        self._found: dict[str, list[tuple[Any, bool]]] = {}

    def defined(self, name: str) -> list[tuple[Any, bool]]:
        """The methods that do something, in order, each with whether it takes (trainer, module) first."""
        found = self._found.get(name)
        if found is None:
            methods = [(getattr(c, name), True) for c in self.callbacks if not c.saves and _does_something(c, name)]
            own = getattr(type(self.module), name, None)
            if own is not None and own is not getattr(ModuleHooks, name, None) and isinstance(self.module, ModuleHooks):
                methods.append((getattr(self.module, name), False))
            methods += [(getattr(c, name), True) for c in self.callbacks if c.saves and _does_something(c, name)]
            found = self._found[name] = methods
        return found

    def call(self, name: str, *args: Any) -> bool:
        """Calls a hook everywhere. True if somebody returned -1."""
        profiler = self.trainer.profiler
        if profiler is not None and self.defined(name):
            return bool(profiler.timed(name, self._call, name, *args))
        return self._call(name, *args)

    def _call(self, name: str, *args: Any) -> bool:
        stop = False
        for method, with_trainer in self.defined(name):
            answer = method(self.trainer, self.module, *args) if with_trainer else method(*args)
            stop |= isinstance(answer, int) and answer == -1
        return stop


def _does_something(callback: Any, name: str) -> bool:
    if name in vars(callback):
        return True
    method = getattr(type(callback), name, None)
    return method is not None and method is not _EMPTY.get(name)
