"""The loop of `fit`: epochs of steps, with validation where it is due. It can be left after any batch and entered there again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from monograph.core.dtype import float64
from monograph.tensor.core import Tensor
from monograph.tensor.creation import tensor
from monograph.train.batches import BatchSource, as_tensors, batch_rows
from monograph.train.evaluation import evaluate_loaders
from monograph.train.hooks import Hooks
from monograph.train.logbook import Means
from monograph.train.profilers import told
from monograph.train.random_state import set_random_state
from monograph.train.stepping import Stepper

if TYPE_CHECKING:
    from monograph.train.trainer import Trainer


class Fit:
    """Where training is: `epoch` and `batch` name what comes next, so they are what a checkpoint says."""

    def __init__(self, trainer: Trainer, hooks: Hooks, stepper: Stepper, train: BatchSource, val: list[BatchSource]) -> None:
        self.trainer, self.hooks, self.stepper, self.train, self.val = trainer, hooks, stepper, train, val
        self.epoch = self.batch = 0
        self.validated = -1  # the batch of this epoch after which validation was done last
        self.means = Means()
        self.data_state: Any = None  # of the source, in the middle of an epoch
        self._random: Any = None  # to be set once the source stands at its place
        self.seconds_before = 0.0  # of earlier runs

    # ---- all epochs ----
    def run(self) -> None:
        """Trains until an end is reached."""
        t, hooks = self.trainer, self.hooks
        t.should_stop = False
        t.num_training_batches = t.limits.batches("train", self.train.steps())
        hooks.call("on_fit_start")
        resumed = self.epoch > t.start_epoch or self.batch > 0
        if self.val and t.num_sanity_val_steps and not resumed:
            self._sanity_check()
        t.stage = "train"
        t.model.train()
        hooks.call("on_train_start")
        try:
            while not self._finished():
                self._run_epoch()
        finally:
            self._close()
        hooks.call("on_train_end")
        hooks.call("on_fit_end")

    def _finished(self) -> bool:
        t = self.trainer
        enough = self.epoch >= t.min_epochs and t.global_step >= t.min_steps
        return (
            (t.max_epochs >= 0 and self.epoch >= t.max_epochs)
            or (t.max_steps >= 0 and t.global_step >= t.max_steps)
            or (enough and (t.should_stop or self._out_of_time()))
        )

    def _out_of_time(self) -> bool:
        limit = self.trainer.max_seconds
        return limit is not None and self.seconds() >= limit

    def seconds(self) -> float:
        """How long training has taken, earlier runs included."""
        return self.seconds_before + time.monotonic() - self.trainer.started_at

    def _sanity_check(self) -> None:
        """A few batches of validation first: its mistakes show now, not after the first epoch."""
        t = self.trainer
        metrics = dict(t.callback_metrics)
        self.hooks.call("on_sanity_check_start")
        t.sanity_checking = True
        try:
            evaluate_loaders(
                t, self.hooks, self.stepper, self.val, "validate", at_most=None if t.num_sanity_val_steps < 0 else t.num_sanity_val_steps
            )
        finally:
            t.sanity_checking = False
        t.callback_metrics = metrics
        self.hooks.call("on_sanity_check_end")

    # ---- one epoch ----
    def _run_epoch(self) -> None:
        t, hooks = self.trainer, self.hooks
        t.current_epoch = t.clock.epoch = self.epoch
        every = t.limits.check_every(t.num_training_batches)
        batches = self._batches()
        self._set_random_state()
        if self.batch == 0:
            hooks.call("on_train_epoch_start")
        if self._due(every) and self.validated != self.batch:  # saved between a step and its validation
            self._validate()
        complete = True
        while not self._stop_inside():
            if t.num_training_batches is not None and self.batch >= t.num_training_batches:
                break
            batch = next(batches, self)
            if batch is self:
                complete = self.batch > 0 or t.num_training_batches is None
                break
            if not self._run_batch(as_tensors(batch)):
                break
            if every is not None and self._due(every):
                self._validate()
        if not complete and self.batch == 0:
            raise ValueError("the training data gave no batch at all: an epoch of nothing would never end")
        if self.batch == 0 and t.num_training_batches is None:
            raise ValueError(
                "the training data gave no batch in this epoch: a generator is read once; give something that can be read again"
            )
        self._end_epoch(every)

    def _batches(self) -> Iterator[Any]:
        state, self.data_state = self.data_state, None
        return told(self.trainer.profiler, "train_dataloader_next", iter(self.train.epoch(self.epoch, self.batch, state)))

    def _set_random_state(self) -> None:
        if self._random is not None:
            set_random_state(self._random)
            self._random = None

    def _stop_inside(self) -> bool:
        t = self.trainer
        if t.max_steps >= 0 and t.global_step >= t.max_steps:
            return True
        if not t.should_stop and t.max_seconds is None:
            return False
        enough = self.epoch >= t.min_epochs and t.global_step >= t.min_steps
        return enough and (t.should_stop or self._out_of_time())

    def _run_batch(self, batch: Any) -> bool:
        """One step with its hooks. False ends the epoch."""
        t, hooks, number = self.trainer, self.hooks, self.batch
        t.batch_idx = number
        if hooks.defined("on_train_batch_start") and hooks.call("on_train_batch_start", batch, number):
            return False
        last = t.num_training_batches is not None and number + 1 >= t.num_training_batches
        updates = (number + 1) % t.accumulate_grad_batches == 0 or last
        t.inside_step = True
        try:
            step = self.stepper.update if updates else self.stepper.accumulate
            outputs, logged = step(batch, number) if t.profiler is None else t.profiler.timed("training_step", step, batch, number)
        finally:
            t.inside_step = False
        if updates:
            t.global_step += 1
        if logged:
            self._note(logged, batch)
        if updates and t.schedulers:
            for schedule in t.schedulers:
                if schedule.interval == "step" and t.global_step % schedule.frequency == 0:
                    schedule.step(t.callback_metrics)
        self.batch = number + 1
        if hooks.defined("on_train_batch_end"):
            hooks.call("on_train_batch_end", outputs, batch, number)
        if t.profiler is not None:
            t.profiler.step()
        return True

    def _note(self, logged: dict[str, Any], batch: Any) -> None:
        t = self.trainer
        rows = batch_rows(batch)
        to_log: dict[str, Any] = {}
        for name, value in logged.items():
            o = self.stepper.options[name]
            if o.on_epoch:
                self.means.add(name, value, o.batch_size or rows, o.reduce)
            if o.on_step:
                t.callback_metrics[name] = value
                shown = f"{name}_step" if o.on_epoch else name
                if o.prog_bar:
                    t.progress_bar_metrics[shown] = value
                if o.logger and t.loggers:
                    to_log[shown] = value
        if to_log and t.global_step % t.log_every_n_steps == 0:
            t.log_metrics({"epoch": self.epoch, **to_log})

    # ---- validation ----
    def _due(self, every: int | None) -> bool:
        if not self.val or every is None or self.batch == 0:
            return False
        return self.batch % every == 0 and (self.epoch + 1) % self.trainer.check_val_every_n_epoch == 0

    def _validate(self) -> None:
        t = self.trainer
        self.validated = self.batch
        evaluate_loaders(t, self.hooks, self.stepper, self.val, "validate")
        t.stage = "train"
        t.model.train()

    def _end_epoch(self, every: int | None) -> None:
        t, hooks = self.trainer, self.hooks
        if self.val and every is None and self.validated != self.batch and (self.epoch + 1) % t.check_val_every_n_epoch == 0:
            self._validate()
        self.finish_means()
        for schedule in t.schedulers:
            if schedule.interval == "epoch" and (self.epoch + 1) % schedule.frequency == 0:
                schedule.step(t.callback_metrics)
        # From here on a checkpoint says that the next epoch comes next.
        self.epoch, self.batch, self.validated, self.means = self.epoch + 1, 0, -1, Means()
        late = t.call_collecting(hooks, "on_train_epoch_end", self.stepper, "train")
        if late:
            t.callback_metrics.update({name: as_number(value) for name, value in late.items()})
            t.log_metrics({"epoch": t.current_epoch, **late})

    def finish_means(self) -> None:
        """The epoch's means become metrics and go to the loggers."""
        t = self.trainer
        results = {**self.means.results(), **self.stepper.take_metrics("train")}
        logged: dict[str, Any] = {}
        for name, value in results.items():
            o = self.stepper.options.get(name)
            t.callback_metrics[name] = as_number(value)
            shown = f"{name}_epoch" if o is not None and o.on_step else name
            if shown != name:
                t.callback_metrics[shown] = t.callback_metrics[name]
            if o is not None and o.prog_bar:
                t.progress_bar_metrics[shown] = value
            if o is None or o.logger:
                logged[shown] = value
        if logged:
            t.log_metrics({"epoch": self.epoch, **logged})

    def _close(self) -> None:
        close = getattr(self.train, "close", None)
        if close is not None:
            close()

    # ---- checkpoints ----
    def state(self) -> dict[str, Any]:
        """What a checkpoint says of the loop."""
        inside = self.batch > 0
        return {
            "epoch": self.epoch, "batch": self.batch, "validated": self.validated, "means": self.means.state(),
            "data": self.train.state() if inside else None, "seconds": self.seconds(),
        }  # fmt: skip

    def restore(self, state: dict[str, Any], random: Any) -> None:
        """Stands where `state` says. Random streams are set once the data is at its place."""
        self.epoch, self.batch, self.validated = int(state["epoch"]), int(state["batch"]), int(state["validated"])
        self.data_state, self.seconds_before, self._random = state["data"], float(state["seconds"]), random
        self.means.restore(state["means"])
        self.trainer.current_epoch = self.epoch


def as_number(value: Any) -> Any:
    """A metric as a tensor with one element, as callbacks expect it."""
    if hasattr(value, "compute"):
        value = value.compute()
    return value.detach() if isinstance(value, Tensor) else tensor(float(value), dtype=float64)
