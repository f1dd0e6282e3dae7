"""Callbacks about the learning rate: a function of the epoch, reduction on a plateau, and a record of what it was."""

from __future__ import annotations

import inspect
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from monograph.core.dtype import float64
from monograph.core.modes import no_grad
from monograph.tensor.core import Tensor
from monograph.tensor.creation import tensor
from monograph.train.callbacks.watching import Watched
from monograph.train.hooks import Callback


def set_rate(group: dict[str, Any], rate: float) -> None:
    """Gives a parameter group its learning rate; one that is a tensor stays the same tensor."""
    if isinstance(group["lr"], Tensor):
        with no_grad():
            group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def groups_of(trainer: Any) -> list[dict[str, Any]]:
    """The parameter groups of all optimisers. ValueError without one: there is no learning rate then."""
    groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
    if not groups:
        raise ValueError("there is no optimiser, so there is no learning rate to change: configure_optimizers() must return one")
    return groups


def note_rate(trainer: Any) -> None:
    """Makes the rate of the epoch one of its metrics, as Keras does: `learning_rate`."""
    trainer.callback_metrics["learning_rate"] = tensor(float(groups_of(trainer)[0]["lr"]), dtype=float64)


class LearningRateScheduler(Callback):
    """Asks `schedule(epoch, lr)` (or `schedule(epoch)`) for the learning rate at the start of every epoch. All groups get it.

    >>> from monograph import train
    >>> halve = train.LearningRateScheduler(lambda epoch, lr: lr if epoch < 10 else lr * 0.5)
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self.schedule, self.verbose = schedule, verbose
        self._takes_rate = _takes_two(schedule)

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        groups, epoch = groups_of(trainer), trainer.current_epoch
        rate = self.schedule(epoch, float(groups[0]["lr"])) if self._takes_rate else self.schedule(epoch)
        if isinstance(rate, Tensor):
            rate = rate.item()
        if isinstance(rate, bool) or not isinstance(rate, int | float):
            raise ValueError(f"The output of the `schedule` function should be a float. Got: {rate!r}")
        for group in groups:
            set_rate(group, float(rate))
        note_rate(trainer)
        if self.verbose:
            print(f"epoch {epoch}: learning rate {rate:.6g}")


def _takes_two(schedule: Callable[..., float]) -> bool:
    try:
        parameters = inspect.signature(schedule).parameters.values()
    except ValueError:  # of some functions written in C nobody knows
        return True
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) >= 2 or any(p.kind is p.VAR_POSITIONAL for p in parameters)


class ReduceLROnPlateau(Callback):
    """Multiplies the learning rate by `factor` when a metric has not improved for `patience` epochs. Keras's arguments.

    After a reduction `cooldown` epochs pass before the count starts again; no rate goes below `min_lr`. Every parameter group keeps its
    own rate. (The scheduler of the same name in `optim.lr_scheduler` is torch's, for `configure_optimizers`.)

    >>> from monograph import train
    >>> slower = train.ReduceLROnPlateau(monitor="val_loss", factor=0.2, patience=5, min_lr=1e-5)
    """

    def __init__(
        self, monitor: str = "val_loss", factor: float = 0.1, patience: int = 10, verbose: int = 0, mode: str = "auto",
        min_delta: float = 1e-4, cooldown: int = 0, min_lr: float = 0.0,
    ) -> None:  # fmt: skip
        if factor >= 1.0:
            raise ValueError(f"ReduceLROnPlateau does not support a factor >= 1.0. Got {factor}")
        self.watched = Watched(monitor, mode, min_delta)
        self.monitor, self.factor, self.patience, self.verbose = monitor, factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr
        self.setup(None, None, "fit")

    def setup(self, trainer: Any, module: Any, stage: str) -> None:
        """See Callback."""
        if stage == "fit":  # every fit counts from the start, unless a checkpoint says how far it was
            self.best, self.wait, self.cooldown_counter = self.watched.worst, 0, 0

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        note_rate(trainer)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        value = self.watched.read(trainer.callback_metrics, strict=False)
        if value is None:
            there = ", ".join(trainer.callback_metrics) or "no metrics"
            warnings.warn(f"ReduceLROnPlateau watches {self.monitor!r}, which is not available; there are: {there}", stacklevel=2)
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.watched.better(value, self.best):
            self.best, self.wait = value, 0
        elif self.cooldown_counter <= 0:
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(trainer)

    def _reduce(self, trainer: Any) -> None:
        for group in groups_of(trainer):
            before = float(group["lr"])
            if before > self.min_lr:
                set_rate(group, max(before * self.factor, self.min_lr))
                self.cooldown_counter, self.wait = self.cooldown, 0
                if self.verbose:
                    print(f"epoch {trainer.current_epoch}: {self.monitor} stands still, learning rate {float(group['lr']):.6g}")

    @property
    def state_key(self) -> str:
        """See Callback."""
        return f"ReduceLROnPlateau[{self.monitor}]"

    def state_dict(self) -> dict[str, Any]:
        """See Callback."""
        return {"best": float(self.best), "wait": self.wait, "cooldown_counter": self.cooldown_counter}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See Callback."""
        self.best, self.wait = state_dict["best"], state_dict["wait"]
        self.cooldown_counter = state_dict["cooldown_counter"]


class LearningRateMonitor(Callback):
    """Logs the learning rate of every optimiser as "lr-Adam" ("lr-Adam-1" for a second one, "/pg1" ... for several groups).

    `logging_interval`: "step" (every `log_every_n_steps`), "epoch", or None, which takes each scheduler's own interval.
    `log_momentum` and `log_weight_decay` log those too. `lrs` keeps what was logged.

    >>> from monograph import train
    >>> watch = train.LearningRateMonitor(logging_interval="step")
    """

    def __init__(self, logging_interval: str | None = None, log_momentum: bool = False, log_weight_decay: bool = False) -> None:
        if logging_interval not in (None, "step", "epoch"):
            raise ValueError(f"logging_interval should be `step` or `epoch` or `None`, got {logging_interval!r}")
        self.logging_interval, self.log_momentum, self.log_weight_decay = logging_interval, log_momentum, log_weight_decay
        self.lrs: dict[str, list[float]] = {}

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        if not trainer.loggers:
            raise ValueError("LearningRateMonitor writes to the trainer's logger, and there is none: Trainer(logger=...)")
        self.lrs = {}

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        """See Callback."""
        if self.logging_interval != "epoch" and trainer.global_step % trainer.log_every_n_steps == 0:
            self._log(trainer, "step")

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        if self.logging_interval != "step":
            self._log(trainer, "epoch")

    def _log(self, trainer: Any, moment: str) -> None:
        found: dict[str, float] = {}
        for name, optimizer, interval in named_optimizers(trainer):
            if self.logging_interval is not None or interval == moment:
                found.update(self._numbers(name, optimizer))
        for key, value in found.items():
            self.lrs.setdefault(key, []).append(value)
        if found:
            trainer.callback_metrics.update({key: tensor(value, dtype=float64) for key, value in found.items()})
            trainer.log_metrics(found)

    def _numbers(self, name: str, optimizer: Any) -> Iterator[tuple[str, float]]:
        groups = optimizer.param_groups
        for number, group in enumerate(groups, 1):
            label = group.get("name", f"pg{number}")
            full = f"{name}/{label}" if len(groups) > 1 else name
            yield full, float(group["lr"])
            if self.log_momentum:
                momentum = group["betas"][0] if "betas" in group else group.get("momentum", 0.0)
                yield f"{full}-momentum", float(momentum)
            if self.log_weight_decay and "weight_decay" in group:
                yield f"{full}-weight_decay", float(group["weight_decay"])


def named_optimizers(trainer: Any) -> list[tuple[str, Any, str]]:
    """(name, optimiser, interval of its scheduler) for each: the scheduler's name, or lr- and the optimiser's class."""
    found, seen = [], Counter[str]()
    for optimizer in trainer.optimizers:
        schedule = next((s for s in trainer.schedulers if getattr(s.scheduler, "optimizer", None) is optimizer), None)
        name = (schedule.name if schedule is not None else None) or f"lr-{type(optimizer).__name__}"
        number, seen[name] = seen[name], seen[name] + 1
        found.append((f"{name}-{number}" if number else name, optimizer, schedule.interval if schedule is not None else "epoch"))
    return found
