"""Averages of the weights over training: exponential ones (EMA) and stochastic weight averaging (SWA).

The averages stand in for the weights where a model is looked at: in validation, in what a checkpoint calls `state_dict`, and at the end.
Training goes on with the weights themselves, which a checkpoint keeps beside them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from monograph.core.modes import no_grad
from monograph.nn.batchnorm import _BatchNorm
from monograph.tensor.compiling import compile as compiled
from monograph.tensor.core import Tensor
from monograph.tensor.dispatch import assign, evaluate
from monograph.train.batches import as_tensors
from monograph.train.callbacks.learning_rate import groups_of, note_rate, set_rate
from monograph.train.hooks import Callback
from monograph.train.logbook import collecting
from monograph.train.task import call_step

CURRENT = "current_model_state"  # in checkpoints: the weights that training goes on with


class WeightAveraging(Callback):
    """Averages chosen by a subclass: `should_update(step_idx, epoch_idx)` says when, `move(average, current, count)` gives the new average.

    Here: after every step, plain means. `use_buffers` averages floating buffers (running statistics) too; `validate_with_average=False`
    leaves validation to the weights themselves.
    """

    stands_in = True

    def __init__(self, use_buffers: bool = True, validate_with_average: bool = True) -> None:
        self.use_buffers, self.validate_with_average = use_buffers, validate_with_average
        self._forget()

    def _forget(self) -> None:
        self.averages: dict[str, Tensor] = {}  # empty until the first update
        self.count, self._last_step = 0, 0
        self._aside: dict[str, Tensor] | None = None  # the weights, while the averages stand in for them
        self._training = False
        self._update: Callable[[], None] | None = None

    # ---- what a subclass says ----
    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Whether to take the weights in, after step number `step_idx` or epoch number `epoch_idx`."""
        return step_idx is not None

    def move(self, average: Tensor, current: Tensor, count: Tensor) -> Tensor:
        """The new average; `count` is how many values are in the old one."""
        return average + (current - average) / (count + 1)

    # ---- taking the weights in ----
    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """See Callback."""
        if trainer.global_step > self._last_step and self.should_update(step_idx=trainer.global_step - 1):
            self._take(trainer)
            self._last_step = trainer.global_step

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        if self.should_update(epoch_idx=trainer.current_epoch):
            self._take(trainer)

    def _take(self, trainer: Any) -> None:
        current = self._averaged(trainer.model)
        if not self.averages:
            self.averages = {name: value.detach().clone() for name, value in current.items()}
            evaluate(self.averages.values())
            self.count = 1
            return
        if self._update is None:
            # Compiled: otherwise every step would hang one more node on a graph that nobody asks for.
            pairs = [(self.averages[name], value) for name, value in current.items()]
            self._counted = next(iter(self.averages.values())).new_tensor(0.0)

            def update() -> None:
                with no_grad():
                    for average, value in pairs:
                        assign(average, self.move(average, value.detach(), self._counted).to(average.dtype))

            self._update = compiled(update)
        with no_grad():
            self._counted.fill_(float(self.count))
        self._update()
        evaluate(self.averages.values())
        self.count += 1

    def _averaged(self, model: Any) -> dict[str, Tensor]:
        """What is averaged, each tensor once, by its first name."""
        found = dict(model.named_parameters())
        if self.use_buffers:
            found.update({name: buffer for name, buffer in model.named_buffers() if buffer.dtype.kind in "fc"})
        return found

    # ---- standing in ----
    def _swap_in(self, trainer: Any) -> None:
        if not self.averages or self._aside is not None:
            return
        weights = self._averaged(trainer.model)
        self._aside = {name: value.detach().clone() for name, value in weights.items()}
        evaluate(self._aside.values())
        _copy(self.averages, weights)

    def _swap_out(self, trainer: Any) -> None:
        if self._aside is not None:
            _copy(self._aside, self._averaged(trainer.model))
            self._aside = None

    def setup(self, trainer: Any, module: Any, stage: str) -> None:
        """See Callback."""
        if stage == "fit":
            self._forget()

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self._training = True

    def on_validation_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        if self._training and self.validate_with_average:
            self._swap_in(trainer)

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self._swap_out(trainer)

    def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
        """See Callback."""
        self._swap_out(trainer)
        self._training = False

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        if self.averages:
            _copy(self.averages, self._averaged(trainer.model))
        self._training = False

    # ---- checkpoints ----
    def on_save_checkpoint(self, trainer: Any, module: Any, checkpoint: dict[str, Any]) -> None:
        """See Callback."""
        if not self.averages or not self._training:
            return
        state = dict(checkpoint["state_dict"])
        if "loop" in checkpoint:
            first, aside = self._first_names(trainer.model), self._aside or {}
            checkpoint[CURRENT] = {name: aside.get(first.get(name, ""), value) for name, value in state.items()}
        checkpoint["state_dict"] = self.in_place_of(trainer.model, state)

    def _first_names(self, model: Any) -> dict[str, str]:
        """All names of what is averaged, each with its first one."""
        by_id = {id(value): name for name, value in self._averaged(model).items()}
        every_name = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
        return {name: by_id[id(value)] for name, value in every_name if id(value) in by_id}

    def in_place_of(self, model: Any, state: dict[str, Any]) -> dict[str, Any]:
        """A state of the model with the averages in it."""
        first = self._first_names(model)
        return {name: self.averages[first[name]] if name in first else value for name, value in state.items()}

    def on_load_checkpoint(self, trainer: Any, module: Any, checkpoint: dict[str, Any]) -> None:
        """See Callback."""
        if CURRENT in checkpoint:
            names = self._averaged(trainer.model)
            self.averages = {name: value.detach().clone() for name, value in checkpoint["state_dict"].items() if name in names}
            self._update = None
            checkpoint["state_dict"] = checkpoint[CURRENT]

    def state_dict(self) -> dict[str, Any]:
        """See Callback."""
        return {"count": self.count, "last_step": self._last_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See Callback."""
        self.count, self._last_step = int(state_dict["count"]), int(state_dict["last_step"])


def _copy(values: dict[str, Tensor], into: dict[str, Tensor]) -> None:
    with no_grad():
        for name, tensor in into.items():
            tensor.copy_(values[name])
    evaluate(into.values())


def judged_state(trainer: Any) -> dict[str, Any]:
    """The state of the model as validation has seen it: with averages where they stood in for the weights."""
    state: dict[str, Any] = trainer.model.state_dict()
    for callback in trainer.callbacks:
        if isinstance(callback, WeightAveraging) and callback.validate_with_average and callback.averages:
            state = callback.in_place_of(trainer.model, state)
    return state


class EMA(WeightAveraging):
    """The exponential moving average of the weights: average = decay * average + (1 - decay) * weight, every `every_n_steps` updates.

    It starts as a copy of the weights at `starting_at_step` (or `starting_at_epoch`; then also updated at the end of each epoch). The best
    weights that `EarlyStopping(restore_best_weights=True)` restores are averages too, if validation judged averages.

    >>> from monograph import train
    >>> ema = train.EMA(decay=0.99)
    """

    def __init__(
        self, decay: float = 0.999, every_n_steps: int = 1, starting_at_step: int | None = None, starting_at_epoch: int | None = None,
        use_buffers: bool = True, validate_with_average: bool = True,
    ) -> None:  # fmt: skip
        if not 0.0 <= decay <= 1.0:
            raise ValueError(f"decay is from 0 (the weights themselves) to 1 (the first ones for ever), got {decay}")
        if every_n_steps < 0:
            raise ValueError(f"every_n_steps is a number of updates, or 0 for the ends of epochs only; got {every_n_steps}")
        super().__init__(use_buffers, validate_with_average)
        self.decay, self.every_n_steps = decay, every_n_steps
        self.starting_at_step, self.starting_at_epoch = starting_at_step, starting_at_epoch

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """See WeightAveraging."""
        if step_idx is not None:
            begun = self.starting_at_step is None or step_idx >= self.starting_at_step
            waits = self.starting_at_step is None and self.starting_at_epoch is not None and not self.averages
            return begun and not waits and self.every_n_steps > 0 and step_idx % self.every_n_steps == 0
        return self.starting_at_epoch is not None and epoch_idx is not None and epoch_idx >= self.starting_at_epoch

    def move(self, average: Tensor, current: Tensor, count: Tensor) -> Tensor:
        """See WeightAveraging."""
        return average.lerp(current, 1.0 - self.decay)


class StochasticWeightAveraging(WeightAveraging):
    """The mean of the weights at the ends of the last epochs, trained with a high constant learning rate (Izmailov et al., 2018).

    `swa_epoch_start` is an epoch (from 1) or the part of `max_epochs` that comes before. From there on each group's rate goes to `swa_lrs`
    within `annealing_epochs` ("cos" or "linear"), and schedulers rest. At the end the model gets the averages, and batch normalisation
    new statistics from one more pass through the training data.

    >>> from monograph import train
    >>> swa = train.StochasticWeightAveraging(swa_lrs=0.05, swa_epoch_start=0.75)
    """

    def __init__(
        self, swa_lrs: float | list[float], swa_epoch_start: int | float = 0.8, annealing_epochs: int = 10, annealing_strategy: str = "cos"
    ) -> None:
        rates = [swa_lrs] if isinstance(swa_lrs, int | float) else list(swa_lrs)
        if not rates or any(not isinstance(rate, int | float) or rate <= 0 for rate in rates):
            raise ValueError(f"swa_lrs is a positive number, or one for each parameter group; got {swa_lrs!r}")
        whole = isinstance(swa_epoch_start, int) and not isinstance(swa_epoch_start, bool)
        if swa_epoch_start < 1 if whole else not 0.0 <= swa_epoch_start <= 1.0:
            raise ValueError(f"swa_epoch_start is an epoch from 1 on, or a part from 0.0 to 1.0; got {swa_epoch_start!r}")
        if annealing_strategy not in ("cos", "linear"):
            raise ValueError(f"annealing_strategy is 'cos' or 'linear', got {annealing_strategy!r}")
        super().__init__(use_buffers=False, validate_with_average=False)
        self.swa_lrs, self.swa_epoch_start = rates, swa_epoch_start
        self.annealing_epochs, self.annealing_strategy = annealing_epochs, annealing_strategy
        self.first_epoch = 0
        self._rates_before: list[float] = []

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """See WeightAveraging."""
        return epoch_idx is not None and epoch_idx >= self.first_epoch

    def setup(self, trainer: Any, module: Any, stage: str) -> None:
        """See Callback."""
        super().setup(trainer, module, stage)
        if stage != "fit":
            return
        self._rates_before = []
        if isinstance(self.swa_epoch_start, int):
            self.first_epoch = self.swa_epoch_start - 1
        elif trainer.max_epochs < 0:
            raise ValueError("swa_epoch_start is a part of max_epochs, which the trainer does not know: give an epoch")
        else:
            self.first_epoch = min(int(trainer.max_epochs * self.swa_epoch_start), trainer.max_epochs - 1)

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        super().on_train_start(trainer, module)
        groups = groups_of(trainer)
        if len(self.swa_lrs) not in (1, len(groups)):
            raise ValueError(f"swa_lrs has {len(self.swa_lrs)} rates for {len(groups)} parameter groups")
        for schedule in trainer.schedulers:
            schedule.paused = bool(self._rates_before)

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        done = trainer.current_epoch - self.first_epoch
        if done < 0:
            return
        groups = groups_of(trainer)
        self._rates_before = self._rates_before or [float(group["lr"]) for group in groups]
        for schedule in trainer.schedulers:
            schedule.paused = True
        part = min(1.0, (done + 1) / max(1, self.annealing_epochs))
        part = (1 - math.cos(math.pi * part)) / 2 if self.annealing_strategy == "cos" else part
        targets = self.swa_lrs * len(groups) if len(self.swa_lrs) == 1 else self.swa_lrs
        for group, before, target in zip(groups, self._rates_before, targets, strict=True):
            set_rate(group, before + (target - before) * part)
        note_rate(trainer)

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        super().on_train_end(trainer, module)
        for schedule in trainer.schedulers:
            schedule.paused = False
        norms = [m for m in trainer.model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
        if self.averages and norms:
            _new_statistics(trainer, norms)

    def state_dict(self) -> dict[str, Any]:
        """See Callback."""
        return {**super().state_dict(), "rates_before": list(self._rates_before)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See Callback."""
        super().load_state_dict(state_dict)
        self._rates_before = list(state_dict["rates_before"])


def _new_statistics(trainer: Any, norms: list[Any]) -> None:
    """Running statistics as plain means over the training data, by running the steps for what they do to the statistics."""
    fitting = trainer.fitting
    momenta = [norm.momentum for norm in norms]
    trainer.model.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    try:
        with no_grad(), collecting({}, {}):
            for number, batch in enumerate(fitting.train.epoch(fitting.epoch)):
                if trainer.num_training_batches is not None and number >= trainer.num_training_batches:
                    break
                call_step(trainer.task.training_step, as_tensors(batch), number)
                evaluate([value for norm in norms for value in norm.buffers()])
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        fitting.stepper.take_metrics("train")
        fitting._close()
