"""`RichProgressBar`: the progress bar in colour, drawn by the package rich where that is installed and there is a terminal."""

from __future__ import annotations

import importlib.util
import time
from typing import Any

from monograph.core.extras import optional
from monograph.train.callbacks.progress import ProgressBar


class RichProgressBar(ProgressBar):
    """As `ProgressBar`, with rich's bars; without the package (extra `train`) or a terminal it is a `ProgressBar`.

    `leave` keeps the bar of every epoch on the screen. `console` is rich's, for those who have one.

    >>> from monograph import train
    >>> bar = train.RichProgressBar(leave=True)
    """

    def __init__(self, refresh_rate: float = 10.0, leave: bool = False, all_metrics: bool = False, console: Any = None) -> None:
        super().__init__(refresh_rate, all_metrics)
        self.leave, self.console = leave, console
        self._display: Any = None
        self._bars: dict[str, Any] = {}

    @property
    def rich(self) -> bool:
        """Whether rich draws."""
        return importlib.util.find_spec("rich") is not None and (self.console is not None or self.live)

    def _open(self) -> None:
        progress = optional("rich.progress", "RichProgressBar")
        columns = (
            progress.TextColumn("{task.description}"), progress.BarColumn(), progress.MofNCompleteColumn(), progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(), progress.TextColumn("{task.fields[numbers]}"),
        )  # fmt: skip
        self._display = progress.Progress(*columns, console=self.console, refresh_per_second=self.refresh_rate, transient=not self.leave)
        self._display.start()

    def _bar(self, name: str, description: str, total: int | None) -> Any:
        if name not in self._bars:
            self._bars[name] = self._display.add_task(description, total=total, numbers="")
        return self._bars[name]

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        if self.rich:
            self._open()

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        super().on_train_epoch_start(trainer, module)
        if self._display is None:
            return
        epochs = f"/{trainer.max_epochs}" if trainer.max_epochs > 0 else ""
        if not self.leave and "train" in self._bars:
            self._display.remove_task(self._bars["train"])
        self._bars.pop("train", None)
        self._bar("train", f"epoch {trainer.current_epoch + 1}{epochs}", trainer.num_training_batches)

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """See Callback."""
        if self._display is None:
            super().on_train_batch_end(trainer, module, outputs, batch, batch_idx)
            return
        now = time.monotonic()
        if now - self._shown >= 1 / self.refresh_rate:  # numbers wait for the step, so only as often as somebody can see them
            self._shown = now
            self._display.update(self._bars["train"], completed=batch_idx + 1, numbers=self._numbers(trainer, False))

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        if self._display is None:
            super().on_train_epoch_end(trainer, module)
            return
        self._display.update(self._bars["train"], completed=trainer.batch_idx + 1, numbers=self._numbers(trainer, True))

    def on_validation_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        if self._display is not None:
            self._bar("validation", "validation", None)

    def on_validation_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """See Callback."""
        if self._display is None:
            super().on_validation_batch_end(trainer, module, outputs, batch, batch_idx, dataloader_idx)
        elif "validation" in self._bars:
            self._display.update(self._bars["validation"], completed=batch_idx + 1)

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        if self._display is not None and "validation" in self._bars:
            self._display.remove_task(self._bars.pop("validation"))

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self._close()

    def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
        """See Callback."""
        super().on_exception(trainer, module, exception)
        self._close()

    def _close(self) -> None:
        if self._display is not None:
            self._display.stop()
        self._display, self._bars = None, {}
