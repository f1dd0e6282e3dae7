"""Callbacks that end training: no more progress, NaN, time."""

from __future__ import annotations

import math
import time
from typing import Any

from monograph.train.callbacks.averaging import judged_state
from monograph.train.callbacks.watching import Watched
from monograph.train.hooks import Callback
from monograph.train.limits import seconds_of


class EarlyStopping(Callback):
    """Stops when a metric has not improved for more than `patience` checks.

    Keras's and Lightning's arguments. A check comes after each validation (after each epoch without one, or with
    `check_on_train_epoch_end`). `baseline`: what must be improved upon at first; `restore_best_weights` puts the weights of the best
    check back at the end; `start_from_epoch` waits; `stopping_threshold` stops as soon as it is passed, `divergence_threshold` when it
    gets worse than that; `check_finite` stops at NaN and infinity.

    >>> from monograph import train
    >>> stop = train.EarlyStopping(monitor="val_loss", patience=3, min_delta=1e-4)
    """

    def __init__(
        self, monitor: str = "val_loss", min_delta: float = 0.0, patience: int = 0, verbose: int = 0, mode: str = "auto",
        baseline: float | None = None, restore_best_weights: bool = False, start_from_epoch: int = 0, *, strict: bool = True,
        check_finite: bool = True, stopping_threshold: float | None = None, divergence_threshold: float | None = None,
        check_on_train_epoch_end: bool | None = None,
    ) -> None:  # fmt: skip
        self.watched = Watched(monitor, mode, min_delta)
        self.monitor, self.patience, self.verbose, self.baseline = monitor, patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch, self.strict, self.check_finite = (
            restore_best_weights,
            start_from_epoch,
            strict,
            check_finite,
        )
        self.stopping_threshold, self.divergence_threshold = stopping_threshold, divergence_threshold
        self.check_on_train_epoch_end = check_on_train_epoch_end
        self.setup(None, None, "fit")

    def setup(self, trainer: Any, module: Any, stage: str) -> None:
        """See Callback."""
        if stage == "fit":  # every fit counts from the start, unless a checkpoint says how far it was
            self.wait = self.wait_count = self.stopped_epoch = 0
            self.best = self.best_score = self.watched.worst
            self.best_epoch = 0
            self.best_weights: dict[str, Any] | None = None

    @property
    def state_key(self) -> str:
        """See Callback."""
        return f"EarlyStopping[{self.monitor}]"

    def state_dict(self) -> dict[str, Any]:
        """See Callback."""
        return {
            "wait": self.wait, "stopped_epoch": self.stopped_epoch, "best": float(self.best), "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See Callback."""
        self.wait = self.wait_count = state_dict["wait"]
        self.stopped_epoch, self.best_epoch = state_dict["stopped_epoch"], state_dict["best_epoch"]
        self.best = self.best_score = state_dict["best"]
        self.best_weights = state_dict["best_weights"]

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        if (
            not self.check_on_train_epoch_end
            and not trainer.sanity_checking
            and trainer.stage == "validate"
            and trainer.fitting is not None
        ):
            self._check(trainer)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        if self.check_on_train_epoch_end or (self.check_on_train_epoch_end is None and not trainer.fitting.val):
            self._check(trainer)

    def _check(self, trainer: Any) -> None:
        if trainer.current_epoch < self.start_from_epoch:
            return
        value = self.watched.read(trainer.callback_metrics, self.strict, "EarlyStopping")
        if value is None:
            return
        if self.check_finite and not math.isfinite(value):
            self._stop(trainer, f"{self.monitor} is {value}")
        elif self.stopping_threshold is not None and self.watched.beyond(value, self.stopping_threshold):
            self._stop(trainer, f"{self.monitor} = {value:.4g} has passed {self.stopping_threshold}")
        elif self.divergence_threshold is not None and self.watched.beyond(self.divergence_threshold, value):
            self._stop(trainer, f"{self.monitor} = {value:.4g} is worse than {self.divergence_threshold}")
        if self.watched.better(value, self.best):
            self.best = self.best_score = value
            self.best_epoch = trainer.current_epoch
            if self.restore_best_weights:
                judged = judged_state(trainer) if trainer.stage == "validate" else trainer.model.state_dict()
                self.best_weights = {k: v.detach().clone() for k, v in judged.items()}
            improved = self.baseline is None or self.watched.better(value, self.baseline)
        else:
            improved = False
        self.wait = 0 if improved else self.wait + 1
        if self.wait >= max(1, self.patience):
            self._stop(trainer, f"{self.monitor} has not improved on {self.best:.4g} for {self.wait} checks")
        self.wait_count = self.wait

    def _stop(self, trainer: Any, why: str) -> None:
        trainer.should_stop, self.stopped_epoch = True, trainer.current_epoch
        if self.verbose:
            print(f"epoch {trainer.current_epoch}: early stopping, {why}")

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        if self.restore_best_weights and self.best_weights is not None:
            trainer.model.load_state_dict(self.best_weights)


class TerminateOnNaN(Callback):
    """Stops when a training loss is NaN or infinite. Looks every `every_n_steps` steps (each look waits for the step)."""

    def __init__(self, every_n_steps: int = 1) -> None:
        self.every_n_steps = every_n_steps

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """See Callback."""
        if outputs is None or trainer.global_step % self.every_n_steps:
            return
        loss = float(outputs["loss"] if isinstance(outputs, dict) else outputs)
        if not math.isfinite(loss):
            print(f"epoch {trainer.current_epoch}, batch {batch_idx}: the loss is {loss}, training stops")
            trainer.should_stop = True


class Timer(Callback):
    """Stops after a time (as the trainer's `max_time`) and tells how long each stage took: `time_elapsed("train")` in seconds."""

    def __init__(self, duration: Any = None, interval: str = "step", verbose: bool = True) -> None:
        if interval not in ("step", "epoch"):
            raise ValueError(f"interval is 'step' or 'epoch', got {interval!r}")
        self.seconds, self.interval, self.verbose = seconds_of(duration), interval, verbose
        self._begun: dict[str, float] = {}
        self._taken: dict[str, float] = {}
        self._before = 0.0

    def time_elapsed(self, stage: str = "train") -> float:
        """Seconds spent in "train", "validate" or "test" so far; training includes runs before a restart."""
        begun = self._begun.get(stage)
        now = time.monotonic() - begun if begun is not None else 0.0
        return self._taken.get(stage, 0.0) + now + (self._before if stage == "train" else 0.0)

    def time_remaining(self, stage: str = "train") -> float | None:
        """Seconds left; None without a limit."""
        return None if self.seconds is None else self.seconds - self.time_elapsed(stage)

    def _begin(self, stage: str) -> None:
        self._begun[stage] = time.monotonic()

    def _end(self, stage: str) -> None:
        begun = self._begun.pop(stage, None)
        if begun is not None:
            self._taken[stage] = self._taken.get(stage, 0.0) + time.monotonic() - begun

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self._begin("train")

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self._end("train")

    def on_validation_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self._begin("validate")

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self._end("validate")

    def on_test_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self._begin("test")

    def on_test_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self._end("test")

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """See Callback."""
        if self.interval == "step":
            self._check(trainer)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self._check(trainer)

    def _check(self, trainer: Any) -> None:
        if self.seconds is not None and self.time_elapsed() >= self.seconds and not trainer.should_stop:
            trainer.should_stop = True
            if self.verbose:
                print(f"time limit of {self.seconds:.0f} s reached, training stops")

    def state_dict(self) -> dict[str, Any]:
        """See Callback."""
        return {"train": self.time_elapsed("train")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See Callback."""
        self._before = float(state_dict["train"])
