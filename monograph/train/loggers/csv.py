"""`CSVLogger`: metrics.csv, one row for each time that something was logged."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monograph.train.loggers.base import Experiment


class CSVLogger(Experiment):
    """Writes save_dir/name/version_n/metrics.csv (and hparams.json). A new name in the middle of a run adds a column.

    >>> import tempfile
    >>> from monograph import train
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = train.CSVLogger(folder)
    ...     log.log_metrics({"loss": 0.5}, step=1)
    ...     log.save()
    ...     print((log.path).read_text())
    step,loss
    1,0.5
    <BLANKLINE>
    """

    FLUSH_AFTER = 100

    def __init__(
        self,
        save_dir: str | Path,
        name: str = "monograph_logs",
        version: int | str | None = None,
        flush_logs_every_n_steps: int = FLUSH_AFTER,
    ) -> None:
        super().__init__(save_dir, name, version)
        self._waiting: list[dict[str, Any]] = []
        self._fields: list[str] = []
        self._flush_after = flush_logs_every_n_steps

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.log_dir) / "metrics.csv"

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """See Logger."""
        self._waiting.append({"step": step, **metrics})
        if len(self._waiting) >= self._flush_after:
            self.save()

    def log_hyperparams(self, params: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        """See Logger."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        (self.path.parent / "hparams.json").write_text(json.dumps(dict(params), indent=2, default=str))

    def save(self) -> None:
        """See Logger."""
        if not self._waiting:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        old: list[dict[str, Any]] = []
        if not self._fields and self.path.exists():
            with self.path.open(newline="") as file:
                self._fields = list(csv.DictReader(file).fieldnames or ())
        fields = [*dict.fromkeys([*(self._fields or ["step"]), *(k for row in self._waiting for k in row)])]
        rewrite = fields != self._fields
        if rewrite and self._fields and self.path.exists():
            with self.path.open(newline="") as file:
                old = list(csv.DictReader(file))
        with self.path.open("w" if rewrite else "a", newline="") as file:
            writer = csv.DictWriter(file, fields, lineterminator="\n")
            if rewrite:
                writer.writeheader()
                writer.writerows(old)
            writer.writerows(self._waiting)
        self._fields, self._waiting = fields, []
