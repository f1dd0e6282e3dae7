"""`Logger`: the small interface that a trainer talks to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Logger:
    """Takes the numbers of a run. Subclass it and write `log_metrics`; the rest is optional.

    >>> from monograph import train
    >>> class Printed(train.Logger):
    ...     def log_metrics(self, metrics, step=None):
    ...         print(step, metrics)
    """

    @property
    def name(self) -> str:
        """The name of the experiment."""
        return type(self).__name__

    @property
    def version(self) -> str | int:
        """Which run of the experiment this is."""
        return 0

    @property
    def log_dir(self) -> str | None:
        """The folder that the run writes to, if it has one: checkpoints go below it."""
        return None

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Numbers by name, after so many updates."""
        raise NotImplementedError(f"{type(self).__name__} has no log_metrics(self, metrics, step)")

    def log_hyperparams(self, params: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        """The settings of the run."""

    def log_graph(self, model: Any, input_array: Any = None) -> None:
        """The program of the model."""

    def save(self) -> None:
        """Brings to the disk what is only in memory."""

    def finalize(self, status: str) -> None:
        """The end of a stage: "finished" or "interrupted"."""
        self.save()


class Experiment(Logger):
    """A logger with a folder of its own: save_dir/name/version_n, with the next free n."""

    def __init__(self, save_dir: str | Path, name: str = "monograph_logs", version: int | str | None = None) -> None:
        self.save_dir, self._name, self._version = Path(save_dir), name, version

    @property
    def name(self) -> str:
        """See Logger."""
        return self._name

    @property
    def version(self) -> int | str:
        """See Logger."""
        if self._version is None:
            root = self.save_dir / self._name
            taken = [int(m[1]) for p in (root.iterdir() if root.is_dir() else ()) if (m := re.fullmatch(r"version_(\d+)", p.name))]
            self._version = max(taken, default=-1) + 1
        return self._version

    @property
    def log_dir(self) -> str:
        """See Logger."""
        version = f"version_{self.version}" if isinstance(self.version, int) else self.version
        return str(self.save_dir / self._name / version)


def prefixed(metrics: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The names with a prefix before them."""
    return {f"{prefix}-{name}" if prefix else name: value for name, value in metrics.items()}


def flat(params: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Settings inside of settings, by paths: {"optimizer": {"lr": 1}} is {"optimizer/lr": 1}.

    >>> flat({"optimizer": {"lr": 1}, "epochs": 2})
    {'optimizer/lr': 1, 'epochs': 2}
    """
    found: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, Mapping) and value:
            found.update(flat(value, f"{above}{name}/"))
        else:
            found[f"{above}{name}"] = value
    return found
