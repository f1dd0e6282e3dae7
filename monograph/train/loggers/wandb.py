"""`WandbLogger`: a run in Weights & Biases, online or offline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monograph.core.extras import optional
from monograph.train.loggers.base import Logger, prefixed


class WandbLogger(Logger):
    """Logs to Weights & Biases. Needs the extra `wandb`.

    `offline` writes below `save_dir` only ("wandb sync" sends it later). Further arguments are `wandb.init`'s.

    >>> from monograph import train
    >>> log = train.WandbLogger(project="digits", offline=True)
    """

    def __init__(
        self, name: str | None = None, save_dir: str | Path = ".", version: str | None = None, offline: bool = False,
        project: str = "monograph_logs", prefix: str = "", **init: Any,
    ) -> None:  # fmt: skip
        self._project, self._prefix, self._save_dir = project, prefix, Path(save_dir)
        self._arguments = {"name": name, "id": version, "project": project, "dir": str(save_dir), "resume": "allow", **init}
        if offline:
            self._arguments["mode"] = "offline"
        self._run: Any = None

    @property
    def experiment(self) -> Any:
        """The run of wandb; begun when it is first asked for."""
        if self._run is None:
            wandb = optional("wandb", "WandbLogger")
            self._save_dir.mkdir(parents=True, exist_ok=True)
            self._run = wandb.init(**self._arguments)
            # Steps are ours: validation logs after the step it belongs to, which wandb's own counter would refuse.
            self._run.define_metric("trainer/global_step")
            self._run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        return self._run

    @property
    def name(self) -> str:
        """See Logger."""
        return self._project

    @property
    def version(self) -> str:
        """See Logger."""
        return str(self.experiment.id)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """See Logger."""
        at = {} if step is None else {"trainer/global_step": step}
        self.experiment.log({**prefixed(metrics, self._prefix), **at})

    def log_hyperparams(self, params: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        """See Logger."""
        self.experiment.config.update(dict(params), allow_val_change=True)

    def finalize(self, status: str) -> None:
        """See Logger."""
        if self._run is not None:
            self._run.finish(exit_code=0 if status == "finished" else 1)
            self._arguments["id"] = self._run.id  # what is logged later goes on with this run
            self._run = None
