"""`TensorBoardLogger`: a run's numbers, settings and graph for TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monograph.tensor.core import Tensor
from monograph.train.loggers.base import Experiment, flat, prefixed
from monograph.utils.tensorboard import SummaryWriter
from monograph.utils.tensorboard.messages import hyperparameters


class TensorBoardLogger(Experiment):
    """Writes save_dir/name/version_n for TensorBoard, with hparams.json beside it. Lightning's arguments; needs the extra `tensorboard`.

    `log_graph` draws the graph of models with an `example_input_array`; `default_hp_metric` puts the run into the HPARAMS tab before it
    has reached anything. Further arguments are `SummaryWriter`'s. `experiment` is the writer, for images, histograms and the rest.

    >>> from monograph import train
    >>> trainer = train.Trainer(logger=train.TensorBoardLogger("runs", name="digits"))
    """

    def __init__(
        self, save_dir: str | Path, name: str | None = "monograph_logs", version: int | str | None = None, log_graph: bool = False,
        default_hp_metric: bool = True, prefix: str = "", sub_dir: str | None = None, **writer: Any,
    ) -> None:  # fmt: skip
        super().__init__(save_dir, name or "", version)
        self._draw, self._default_hp_metric, self._prefix, self._sub_dir, self._arguments = (
            log_graph, default_hp_metric, prefix, sub_dir, writer,
        )  # fmt: skip
        self._writer: SummaryWriter | None = None
        self.hparams: dict[str, Any] = {}

    @property
    def root_dir(self) -> str:
        """The folder of all versions."""
        return str(self.save_dir / self.name)

    @property
    def log_dir(self) -> str:
        """See Logger."""
        folder = super().log_dir
        return str(Path(folder) / self._sub_dir) if self._sub_dir else folder

    @property
    def experiment(self) -> SummaryWriter:
        """The writer; opened when it is first asked for."""
        if self._writer is None:
            self._writer = SummaryWriter(self.log_dir, **self._arguments)
        return self._writer

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """See Logger."""
        for name, value in prefixed(metrics, self._prefix).items():
            if isinstance(value, Mapping):
                self.experiment.add_scalars(name, value, step)
            else:
                self.experiment.add_scalar(name, value, step)

    def log_hyperparams(self, params: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        """The settings, and what they have reached: log_hyperparams(params, metrics=None, step=None)."""
        metrics = args[0] if args else kwargs.get("metrics")
        self.hparams.update(flat(params))
        if metrics is None:
            metrics = {"hp_metric": -1} if self._default_hp_metric else {}
        elif not isinstance(metrics, Mapping):
            metrics = {"hp_metric": metrics}
        plain = (bool, int, float, str, Tensor)
        shown = {name: value if isinstance(value, plain) else str(value) for name, value in self.hparams.items() if value is not None}
        for part in hyperparameters(shown, metrics, None):
            self.experiment._get_file_writer().add_summary(part)
        if metrics:
            self.log_metrics(metrics, kwargs.get("step", 0))

    def log_graph(self, model: Any, input_array: Any = None) -> None:
        """See Logger."""
        if not self._draw:
            return
        example = input_array if input_array is not None else getattr(model, "example_input_array", None)
        if example is None:
            raise ValueError(
                f"TensorBoardLogger(log_graph=True) needs an input to trace {type(model).__name__} with: set self.example_input_array in it"
            )
        self.experiment.add_graph(model, example)

    def save(self) -> None:
        """See Logger."""
        if self._writer is not None:
            self._writer.flush()
        if self.hparams:
            Path(self.log_dir).mkdir(parents=True, exist_ok=True)
            (Path(self.log_dir) / "hparams.json").write_text(json.dumps(self.hparams, indent=2, default=str))

    def finalize(self, status: str) -> None:
        """See Logger."""
        self.save()
        if self._writer is not None:
            self._writer.close()
