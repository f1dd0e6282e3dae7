"""What `configure_optimizers` may return, in one form: optimisers, and schedulers with when they step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monograph.optim.lr_scheduler import ReduceLROnPlateau
from monograph.optim.optimizer import Optimizer


@dataclass
class Schedule:
    """A scheduler that steps every `frequency` epochs or steps (`interval`); one that watches a metric is given it."""

    scheduler: Any
    interval: str = "epoch"
    frequency: int = 1
    monitor: str | None = None
    strict: bool = True
    name: str | None = None  # for those who log its learning rate
    paused: bool = False  # somebody else says what the learning rate is

    def __post_init__(self) -> None:
        if self.interval not in ("epoch", "step"):
            raise ValueError(f"a scheduler's interval is 'epoch' or 'step', got {self.interval!r}")
        if self.frequency < 1:
            raise ValueError(f"a scheduler's frequency is at least 1, got {self.frequency}")
        if isinstance(self.scheduler, ReduceLROnPlateau) and self.monitor is None:
            raise ValueError("ReduceLROnPlateau needs to know what to watch: {'scheduler': ..., 'monitor': 'val_loss'}")

    def step(self, metrics: Mapping[str, Any]) -> None:
        """One step, with the metric it watches."""
        if self.paused:
            return
        if not isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step()
            return
        if self.monitor is None or self.monitor not in metrics:
            if self.strict:
                raise KeyError(
                    f"ReduceLROnPlateau watches {self.monitor!r}, which nobody logged; there are {', '.join(metrics) or 'no metrics'}"
                )
            return
        self.scheduler.step(float(metrics[self.monitor]))


def read_configuration(made: Any) -> tuple[list[Any], list[Schedule]]:
    """(optimisers, schedules) of whatever `configure_optimizers` returned. TypeError for anything else."""
    if made is None:
        return [], []
    if isinstance(made, Mapping):
        if "optimizer" not in made:
            raise KeyError(f"configure_optimizers() returned a dict without 'optimizer'; it has {', '.join(map(repr, made))}")
        schedules = [_schedule(made["lr_scheduler"])] if made.get("lr_scheduler") is not None else []
        if schedules and made.get("monitor") and schedules[0].monitor is None:
            schedules[0].monitor = made["monitor"]
        return [made["optimizer"]], schedules
    if _is_optimizer(made):
        return [made], []
    if isinstance(made, list | tuple):
        if len(made) == 2 and all(isinstance(part, list | tuple) for part in made):
            return [o for o in made[0]], [_schedule(s) for s in made[1]]
        parts = [read_configuration(part) for part in made]
        return [o for optimizers, _ in parts for o in optimizers], [s for _, schedules in parts for s in schedules]
    raise TypeError(
        f"configure_optimizers() returned {type(made).__name__}; return an optimiser, a list of them, (optimisers, schedulers), "
        "or {'optimizer': ..., 'lr_scheduler': ...}"
    )


def _is_optimizer(made: Any) -> bool:
    return isinstance(made, Optimizer) or (hasattr(made, "param_groups") and hasattr(made, "step"))


def _schedule(made: Any) -> Schedule:
    if not isinstance(made, Mapping):
        if isinstance(made, ReduceLROnPlateau):
            raise ValueError("ReduceLROnPlateau needs to know what to watch: return {'scheduler': ..., 'monitor': 'val_loss'}")
        return Schedule(made)
    unknown = set(made) - {"scheduler", "interval", "frequency", "monitor", "strict", "name", "reduce_on_plateau"}
    if unknown or "scheduler" not in made:
        raise KeyError(
            f"an lr_scheduler dict has 'scheduler' and may have interval, frequency, monitor, strict, name; got {', '.join(made)}"
        )
    return Schedule(
        made["scheduler"], made.get("interval", "epoch"), made.get("frequency", 1), made.get("monitor"), made.get("strict", True),
        made.get("name"),
    )  # fmt: skip
