"""Help before training: a learning rate from a range test, and the largest batch that fits into memory."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from monograph.core.extras import optional
from monograph.nn.module import Module
from monograph.train import verbs
from monograph.train.callbacks.learning_rate import groups_of, set_rate
from monograph.train.callbacks.statistics import MachineReader
from monograph.train.checkpoint import copied
from monograph.train.hooks import Callback
from monograph.train.module import DataModule
from monograph.train.random_state import random_state, set_random_state
from monograph.train.trainer import Trainer

SMOOTHING = 0.98


class LRFinder:
    """What a range test found: `results` has the rates tried ("lr") and the smoothed losses ("loss"); `suggestion()` reads them."""

    def __init__(self, mode: str, lr_min: float, lr_max: float, num_training: int) -> None:
        self.mode, self.lr_min, self.lr_max, self.num_training = mode, lr_min, lr_max, num_training
        self.results: dict[str, list[float]] = {"lr": [], "loss": []}

    def rate(self, step: int) -> float:
        """The learning rate of a step of the test."""
        part = step / max(1, self.num_training - 1)
        if self.mode == "linear":
            return self.lr_min + part * (self.lr_max - self.lr_min)
        return float(self.lr_min * (self.lr_max / self.lr_min) ** part)

    def suggestion(self, skip_begin: int = 10, skip_end: int = 1) -> float | None:
        """The rate at which the loss falls fastest, over the logarithm of the rate; None if there are too few losses to say."""
        rates = np.asarray(self.results["lr"])[skip_begin : len(self.results["lr"]) - skip_end]
        losses = np.asarray(self.results["loss"])[skip_begin : len(self.results["loss"]) - skip_end]
        finite = np.isfinite(losses)
        rates, losses = rates[finite], losses[finite]
        if len(losses) < 2:
            return None
        return float(rates[int(np.argmin(np.gradient(losses, np.log(rates))))])

    def plot(self, suggest: bool = False, ax: Any = None) -> Any:
        """A matplotlib figure of the losses, with the suggestion as a point. Needs matplotlib."""
        figure = None
        if ax is None:
            figure, ax = optional("matplotlib.pyplot", "LRFinder.plot").subplots()
        ax.plot(self.results["lr"], self.results["loss"])
        ax.set(xlabel="learning rate", ylabel="loss", xscale="log" if self.mode == "exponential" else "linear")
        best = self.suggestion() if suggest else None
        if best is not None:
            ax.plot(best, np.interp(best, self.results["lr"], self.results["loss"]), "ro")
        return figure if figure is not None else ax.get_figure()

    def __repr__(self) -> str:
        return f"<LRFinder: {len(self.results['lr'])} rates from {self.lr_min:g} to {self.lr_max:g}, suggests {self.suggestion()}>"


class _RangeTest(Callback):
    """Sets the rate before every step and notes the loss after it."""

    def __init__(self, finder: LRFinder, threshold: float | None) -> None:
        self.finder, self.threshold = finder, threshold
        self._average, self._best = 0.0, math.inf

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        for schedule in trainer.schedulers:
            schedule.paused = True

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        """See Callback."""
        for group in groups_of(trainer):
            set_rate(group, self.finder.rate(trainer.global_step))

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """See Callback."""
        found = self.finder.results
        if outputs is None or trainer.global_step == len(found["lr"]):  # in the middle of an accumulation
            return
        loss = float(outputs["loss"] if isinstance(outputs, dict) else outputs)
        self._average = SMOOTHING * self._average + (1 - SMOOTHING) * loss
        smooth = self._average / (1 - SMOOTHING**trainer.global_step)
        found["lr"].append(self.finder.rate(trainer.global_step - 1))
        found["loss"].append(smooth)
        if self.threshold is not None and trainer.global_step > 1 and not smooth <= self.threshold * self._best:
            trainer.should_stop = True
        self._best = min(self._best, smooth)


def lr_find(
    model: Any, x: Any = None, y: Any = None, *, min_lr: float = 1e-8, max_lr: float = 1.0, num_training: int = 100,
    mode: str = "exponential", early_stop_threshold: float | None = 4.0, update_attr: bool = False, attr_name: str = "",
    batch_size: int | None = None, sample_weight: Any = None, trainer: Trainer | None = None, datamodule: DataModule | None = None,
) -> LRFinder:  # fmt: skip
    """Trains for `num_training` steps with a learning rate that rises from `min_lr` to `max_lr`, and puts everything back.

    `model` is a `TrainModule` (x: its loader, y: nothing, or `datamodule`), or any module after `compile(optimizer, loss)` (x and y as for
    `fit`). The test ends early once the loss is `early_stop_threshold` times the best one. `update_attr` sets `model.lr` (or
    `learning_rate`, or `attr_name`) of a `TrainModule`, and the optimiser's rate of a compiled module. `trainer` gives precision,
    accumulation and clipping.

    >>> import monograph as mg
    >>> from monograph import nn, train
    >>> x = mg.linspace(-1, 1, 64).reshape(64, 1)
    >>> model = nn.Linear(1, 1)
    >>> model.compile("sgd", "mse")
    >>> found = train.lr_find(model, x, 3 * x, num_training=30)
    >>> len(found.results["lr"]), found.results["lr"][0]
    (30, 1e-08)
    """
    if mode not in ("exponential", "linear"):
        raise ValueError(f"mode is 'exponential' or 'linear', got {mode!r}")
    if not 0 < min_lr < max_lr:
        raise ValueError(f"the rates go from min_lr up to max_lr, both positive; got {min_lr} and {max_lr}")
    if num_training < 2:
        raise ValueError(f"a range test takes at least 2 steps, got num_training={num_training}")
    task, loader = _task_and_data(model, x, y, batch_size, sample_weight)
    name = _attribute(task, attr_name, ("lr", "learning_rate")) if update_attr and not _is_compiled(task) else ""
    finder = LRFinder(mode, min_lr, max_lr, num_training)
    with _left_as_it_was(task):
        _trial_trainer(trainer, num_training, [_RangeTest(finder, early_stop_threshold)]).fit(task, loader, datamodule=datamodule)
    best = finder.suggestion()
    if update_attr and best is not None:
        if name:
            _set(task, name, best)
        else:
            for group in task.configure_optimizers().param_groups:
                set_rate(group, best)
    return finder


def scale_batch_size(
    model: Any, x: Any = None, y: Any = None, *, mode: str = "power", steps_per_trial: int = 3, init_val: int = 2, max_trials: int = 25,
    batch_arg_name: str = "batch_size", memory: float = 0.8, trainer: Trainer | None = None, datamodule: DataModule | None = None,
) -> int:  # fmt: skip
    """The largest batch size that fits: doubles it ("power"), and then halves the gap ("binsearch"), with `steps_per_trial` steps each.

    A size is too large when memory runs out, or would: when what the last doubling took, once more, is above the share `memory` of what
    the machine has left. It is never more than the data. The model or data module keeps the size in `batch_arg_name` and reads it
    in its `train_dataloader`; with arrays x, y no attribute is needed. Weights and optimisers are as before afterwards.

    >>> import monograph as mg
    >>> from monograph import nn, train
    >>> x = mg.linspace(-1, 1, 64).reshape(64, 1)
    >>> model = nn.Linear(1, 1)
    >>> model.compile("sgd", "mse")
    >>> train.scale_batch_size(model, x, 3 * x)
    64
    """
    if mode not in ("power", "binsearch"):
        raise ValueError(f"mode is 'power' or 'binsearch', got {mode!r}")
    if init_val < 1 or steps_per_trial < 1 or max_trials < 1:
        raise ValueError("init_val, steps_per_trial and max_trials are at least 1")
    if x is not None and not verbs._gives_batches(x):
        task, most = verbs.task_of(model, "scale_batch_size"), len(x)
        owner, name = None, ""
    elif x is not None:
        raise ValueError("a loader has its batch size already: give arrays, or a model or data module that makes its own loader")
    else:
        task, most = model, None
        owner = datamodule if datamodule is not None and hasattr(datamodule, batch_arg_name) else task
        name = _attribute(owner, batch_arg_name, ())
    before = _get(owner, name) if name else None

    def run(size: int) -> None:
        loader = None
        if name:
            _set(owner, name, size)
        else:
            loader = _task_and_data(model, x, y, size, None)[1]
        _trial_trainer(trainer, steps_per_trial, []).fit(task, loader, datamodule=datamodule)

    try:
        with _left_as_it_was(task):
            best = _search(run, init_val, max_trials, mode, most, memory)
    except BaseException:
        if name:
            _set(owner, name, before)
        raise
    if name:
        _set(owner, name, best)
    return best


def _search(run: Callable[[int], None], size: int, trials: int, mode: str, most: int | None, memory: float) -> int:
    reader = MachineReader()
    fits, too_large, taken = 0, None, 0.0
    for _ in range(trials):
        size = size if most is None else min(size, most)
        left, peak = reader.memory_left(), reader.memory_of_process()
        try:
            if left is not None and taken * (size / max(1, fits) - 1) * 2 > memory * left:
                raise MemoryError
            run(size)
            if peak is not None:
                taken = (reader.memory_of_process() or peak) - peak
            fits = size
        except MemoryError:
            too_large, taken = size, 0.0
            if fits == 0 and size == 1:
                raise MemoryError("not even one sample fits into memory: the model is too large for this machine") from None
        if fits == most or (too_large is not None and ((mode == "power" and fits) or too_large - fits <= 1)):
            break
        size = fits * 2 if too_large is None else max(1, (fits + too_large) // 2)
    if fits == 0:
        raise MemoryError(f"no batch size fitted in {trials} trials: give a smaller init_val")
    return fits


class Tuner:
    """Lightning's name for the two finders, with the trainer they take settings from: Tuner(trainer).lr_find(model)."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def lr_find(self, model: Any, train_dataloaders: Any = None, datamodule: DataModule | None = None, **more: Any) -> LRFinder:
        """See lr_find. Here `update_attr` is True unless said otherwise, as in Lightning."""
        return lr_find(model, train_dataloaders, trainer=self.trainer, datamodule=datamodule, **{"update_attr": True, **more})

    def scale_batch_size(self, model: Any, datamodule: DataModule | None = None, **more: Any) -> int:
        """See scale_batch_size."""
        return scale_batch_size(model, trainer=self.trainer, datamodule=datamodule, **more)


# ---- what both need ----
def _is_compiled(task: Any) -> bool:
    return not isinstance(task, Module)


def _task_and_data(model: Any, x: Any, y: Any, batch_size: int | None, sample_weight: Any) -> tuple[Any, Any]:
    if hasattr(model, "training_step"):
        return model, x
    if not isinstance(model, Module):
        raise TypeError(f"give a TrainModule, or an nn.Module after compile(optimizer, loss); got {type(model).__name__}")
    return verbs.task_of(model, "lr_find"), verbs._source(x, y, sample_weight, batch_size, True)


def _trial_trainer(like: Trainer | None, steps: int, callbacks: list[Any]) -> Trainer:
    settings: dict[str, Any] = {}
    if like is not None:
        settings = {
            "precision": like.precision.name, "accumulate_grad_batches": like.accumulate_grad_batches, "compile": like.compile,
            "gradient_clip_val": like.gradient_clip_val, "gradient_clip_algorithm": like.gradient_clip_algorithm,
        }  # fmt: skip
    return Trainer(
        max_epochs=-1, max_steps=steps, callbacks=callbacks, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, limit_val_batches=0, default_root_dir=Path.cwd(), **settings,
    )  # fmt: skip


@contextmanager
def _left_as_it_was(task: Any) -> Iterator[None]:
    """Weights, the optimiser of a compiled module, random streams and modes are put back."""
    module = task.module
    weights, random = copied(dict(module.state_dict())), copy.deepcopy(random_state())
    modes = [(m, m.training) for m in module.modules()]
    optimizer = task.configure_optimizers() if _is_compiled(task) else None
    state = copied(optimizer.state_dict()) if optimizer is not None else None
    fits = getattr(task, "_fits", None)
    try:
        yield
    finally:
        module.load_state_dict(weights)
        module.zero_grad()
        set_random_state(random)
        for part, training in modes:
            part.training = training
        if optimizer is not None:
            optimizer.load_state_dict(state)
        if fits is not None:
            task._fits = fits


def _attribute(owner: Any, wanted: str, usual: tuple[str, ...]) -> str:
    names = (wanted,) if wanted else usual
    found = next((name for name in names if hasattr(owner, name) or name in getattr(owner, "hparams", {})), None)
    if found is None:
        raise AttributeError(f"{type(owner).__name__} has no attribute {' or '.join(names)}, nor is there one in its hparams, to be set")
    return found


def _get(owner: Any, name: str) -> Any:
    return getattr(owner, name) if hasattr(owner, name) else owner.hparams[name]


def _set(owner: Any, name: str, value: Any) -> None:
    if hasattr(owner, name):
        setattr(owner, name, value)
    if name in getattr(owner, "hparams", {}):
        owner.hparams[name] = value
