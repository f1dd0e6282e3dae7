"""torch.optim.swa_utils: averages of a model's parameters over training, and the schedule that goes with them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from typing import Any

from monograph.core.modes import no_grad
from monograph.nn.batchnorm import _BatchNorm
from monograph.nn.module import Module
from monograph.optim.lr_scheduler import LRScheduler
from monograph.tensor import FUNCTIONS, Tensor
from monograph.tensor.dispatch import assign

Averages = list[Any]


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[..., None]:
    """Exponential moving averages of lists of parameters, in place: decay * average + (1 - decay) * parameter."""
    _check_decay(decay)

    def ema_update(ema_param_list: Averages, current_param_list: Averages, _: Any) -> None:
        for average, current in zip(ema_param_list, current_param_list, strict=True):
            if average.dtype.kind in "fc":
                assign(average, average.detach().lerp(current.detach(), 1 - decay))
            else:
                average.copy_(average * decay + current * (1 - decay))

    return ema_update


def get_swa_multi_avg_fn() -> Callable[..., None]:
    """Plain averages of lists of parameters, in place."""

    def swa_update(averaged_param_list: Averages, current_param_list: Averages, num_averaged: Any) -> None:
        for average, current in zip(averaged_param_list, current_param_list, strict=True):
            assign(average, _moved_towards(average.detach(), current.detach(), num_averaged))

    return swa_update


def _moved_towards(average: Any, current: Any, count: Any) -> Any:
    moved = average + (current - average) / (count + 1)
    return moved.to(average.dtype)


def get_ema_avg_fn(decay: float = 0.999) -> Callable[..., Any]:
    """The exponential moving average of one parameter."""
    _check_decay(decay)

    def ema_update(ema_param: Any, current_param: Any, num_averaged: Any) -> Any:
        return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_avg_fn() -> Callable[..., Any]:
    """The plain average of one parameter."""

    def swa_update(averaged_param: Any, current_param: Any, num_averaged: Any) -> Any:
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


class AveragedModel(Module):
    """A copy of a model, `module`, whose parameters are averages: over all calls of `update_parameters(model)`, or as `avg_fn` (of one
    parameter) or `multi_avg_fn` (of all) says. With `use_buffers` buffers are averaged too, else copied.

    >>> import monograph as mg
    >>> from monograph.utils.averaging import AveragedModel
    >>> layer = mg.nn.Linear(1, 1)
    >>> averaged = AveragedModel(layer)
    >>> averaged.update_parameters(layer)
    >>> averaged.n_averaged.item()
    1
    """

    n_averaged: Tensor

    def __init__(
        self, model: Module, device: Any = None, avg_fn: Callable[..., Any] | None = None, multi_avg_fn: Callable[..., Any] | None = None,
        use_buffers: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", FUNCTIONS["tensor"](0))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The averaged model's."""
        return self.module(*args, **kwargs)

    def _averaged(self, model: Any) -> Iterator[Any]:
        return itertools.chain(model.parameters(), model.buffers()) if self.use_buffers else iter(model.parameters())

    def update_parameters(self, model: Module) -> None:
        """Takes the parameters of `model` into the averages."""
        pairs = list(zip(self._averaged(self.module), self._averaged(model), strict=True))
        with no_grad():
            if int(self.n_averaged) == 0:  # type: ignore[call-overload]
                for mine, theirs in pairs:
                    mine.copy_(theirs.detach())
            elif self.multi_avg_fn is not None or self.avg_fn is None:
                update = self.multi_avg_fn or get_swa_multi_avg_fn()
                update([m for m, _ in pairs], [t.detach() for _, t in pairs], self.n_averaged)
            else:
                for mine, theirs in pairs:
                    mine.copy_(self.avg_fn(mine.detach(), theirs.detach(), self.n_averaged))
            if not self.use_buffers:
                for mine, theirs in zip(self.module.buffers(), model.buffers(), strict=True):
                    mine.copy_(theirs.detach())
            self.n_averaged += 1  # type: ignore[operator]


def update_bn(loader: Iterable[Any], model: Any, device: Any = None) -> None:
    """Computes the running statistics of the model's BatchNorm layers anew, over one pass through `loader` (batches, or lists whose first
    item is one).
    """
    momenta: dict[Any, Any] = {}
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()
            momenta[module] = module.momentum
    if not momenta:
        return
    was_training = model.training
    model.train()
    for module in momenta:
        module.momentum = None
    with no_grad():
        for batch in loader:
            x = batch[0] if isinstance(batch, list | tuple) else batch
            model(x if device is None else x.to(device))
    for module, momentum in momenta.items():
        module.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """Brings the learning rate of each group to `swa_lr` within `anneal_epochs`, along a cosine or a line, and keeps it there."""

    def __init__(self, optimizer: Any, swa_lr: Any, anneal_epochs: int = 10, anneal_strategy: str = "cos", last_epoch: int = -1) -> None:
        rates = list(swa_lr) if isinstance(swa_lr, list | tuple) else [swa_lr] * len(optimizer.param_groups)
        if len(rates) != len(optimizer.param_groups):
            raise ValueError(
                f"swa_lr must have the same length as optimizer.param_groups: swa_lr has {len(rates)}, "
                f"optimizer.param_groups has {len(optimizer.param_groups)}"
            )
        for rate, group in zip(rates, optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must by one of 'cos' or 'linear', instead got {anneal_strategy}")
        self._anneal_strategy = anneal_strategy
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _anneal(self, t: float) -> float:
        return (1 - math.cos(math.pi * t)) / 2 if self._anneal_strategy == "cos" else t

    def get_lr(self) -> list[Any]:
        """The next rates."""
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        # The rate that annealing began with follows from the present one and how far it has come.
        before = self._anneal(max(0, min(1, (step - 1) / max(1, self.anneal_epochs))))
        starts = [
            group["swa_lr"] if before == 1 else (group["lr"] - before * group["swa_lr"]) / (1 - before)
            for group in self.optimizer.param_groups
        ]
        now = self._anneal(max(0, min(1, step / max(1, self.anneal_epochs))))
        return [group["swa_lr"] * now + start * (1 - now) for group, start in zip(self.optimizer.param_groups, starts, strict=True)]


__all__ = [
    "SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn", "update_bn",
]  # fmt: skip
