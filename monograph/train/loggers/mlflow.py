"""`MLflowLogger`: a run in MLflow's store, a database file or a server."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monograph.core.extras import optional
from monograph.train.loggers.base import Logger, flat, prefixed

LONGEST_VALUE = 6000  # characters of a setting that MLflow takes
MOST_AT_ONCE = 100  # settings in one request
_STATUS = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}


class MLflowLogger(Logger):
    """Logs to MLflow. Needs the extra `mlflow`.

    `tracking_uri` names the store ("sqlite:///runs.db", a server's address; MLFLOW_TRACKING_URI if not given, else the file mlflow.db in
    `save_dir`). `run_id` goes on with a run that is there. `prefix` comes before all names of metrics.

    >>> from monograph import train
    >>> log = train.MLflowLogger("digits", tracking_uri="sqlite:///runs.db", tags={"team": "vision"})
    """

    def __init__(
        self, experiment_name: str = "monograph_logs", run_name: str | None = None, tracking_uri: str | None = None,
        tags: Mapping[str, Any] | None = None, save_dir: str | Path = ".", prefix: str = "", artifact_location: str | None = None,
        run_id: str | None = None,
    ) -> None:  # fmt: skip
        self._experiment_name, self._run_name, self._tags = experiment_name, run_name, dict(tags or {})
        self._uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path(save_dir).absolute() / 'mlflow.db'}"
        self._prefix, self._artifact_location = prefix, artifact_location
        self._run_id = run_id
        self._client: Any = None
        self._experiment_id: str | None = None

    @property
    def experiment(self) -> Any:
        """MLflow's client, with the run begun."""
        if self._client is None:
            self._client = optional("mlflow", "MLflowLogger").tracking.MlflowClient(self._uri)
        if self._run_id is None:
            found = self._client.get_experiment_by_name(self._experiment_name)
            self._experiment_id = (
                found.experiment_id if found is not None else self._client.create_experiment(self._experiment_name, self._artifact_location)
            )
            run = self._client.create_run(self._experiment_id, tags={k: str(v) for k, v in self._tags.items()}, run_name=self._run_name)
            self._run_id = run.info.run_id
        return self._client

    @property
    def name(self) -> str:
        """See Logger."""
        return self._experiment_name

    @property
    def run_id(self) -> str:
        """MLflow's name of the run."""
        _ = self.experiment
        assert self._run_id is not None
        return self._run_id

    @property
    def version(self) -> str:
        """See Logger."""
        return self.run_id

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """See Logger."""
        kinds = optional("mlflow.entities", "MLflowLogger")
        now = int(time.time() * 1000)
        made = [kinds.Metric(name, float(value), now, step or 0) for name, value in prefixed(metrics, self._prefix).items()]
        self.experiment.log_batch(self.run_id, metrics=made)

    def log_hyperparams(self, params: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        """See Logger."""
        kinds = optional("mlflow.entities", "MLflowLogger")
        made = [kinds.Param(name, str(value)[:LONGEST_VALUE]) for name, value in flat(params).items()]
        for start in range(0, len(made), MOST_AT_ONCE):
            self.experiment.log_batch(self.run_id, params=made[start : start + MOST_AT_ONCE])

    def log_artifact(self, path: str | Path, artifact_path: str | None = None) -> None:
        """Copies a file (a checkpoint, a picture) into the run."""
        self.experiment.log_artifact(self.run_id, str(path), artifact_path)

    def finalize(self, status: str) -> None:
        """See Logger."""
        if self._run_id is not None:
            self.experiment.set_terminated(self._run_id, _STATUS.get(status, "FINISHED"))
