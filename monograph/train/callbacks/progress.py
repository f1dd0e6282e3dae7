"""`ProgressBar`: how far training is. Lively in a terminal, one line per epoch elsewhere (files, CI), and quiet where it would cost
time.
"""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from monograph.tensor.core import Tensor
from monograph.train.hooks import Callback

WIDTH = 24


class ProgressBar(Callback):
    """Shows epoch, steps, time and the numbers logged with `prog_bar=True` (all numbers under Keras's `fit`).

    In a terminal the line is redrawn at most `refresh_rate` times a second; in a notebook too; otherwise each epoch is one line.
    `all_metrics`: show everything that is logged. `file`: where to (standard output).
    """

    shows_progress = True

    def __init__(self, refresh_rate: float = 10.0, all_metrics: bool = False, live: bool | None = None, file: TextIO | None = None) -> None:
        self.refresh_rate, self.all_metrics, self.file = refresh_rate, all_metrics, file
        self._live = live
        self._shown = 0.0
        self._begun = time.monotonic()
        self._width = 0
        self._first = 0

    @property
    def live(self) -> bool:
        """Whether the line may be redrawn."""
        if self._live is None:
            out = self.file or sys.stdout
            self._live = out.isatty() or "ipykernel" in sys.modules
        return self._live

    def _write(self, text: str, end: str) -> None:
        out = self.file or sys.stdout
        if self.live:
            text = "\r" + text.ljust(self._width)
            self._width = len(text) - 1
        print(text, end=end, file=out, flush=True)
        if end == "\n":
            self._width = 0

    # ---- training ----
    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self._begun, self._first = time.monotonic(), trainer.fitting.batch

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """See Callback."""
        if not self.live:
            return
        now = time.monotonic()
        if now - self._shown >= 1 / self.refresh_rate:
            self._shown = now
            self._write(self._line(trainer, batch_idx + 1), "")

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self._write(self._line(trainer, trainer.batch_idx + 1, done=True), "\n")

    def _line(self, trainer: Any, batch: int, done: bool = False) -> str:
        total = trainer.num_training_batches
        epochs = f"/{trainer.max_epochs}" if trainer.max_epochs > 0 else ""
        seconds = time.monotonic() - self._begun
        pace = seconds / max(1, batch - self._first)
        if total:
            filled = WIDTH * batch // total
            bar = f"[{'#' * filled}{'.' * (WIDTH - filled)}] {batch}/{total}" if self.live else f"{batch}/{total}"
        else:
            bar = f"{batch} steps"
        left = f" {_duration(pace * (total - batch))} left" if total and not done else ""
        times = f"{_duration(seconds)}{left} {_duration(pace)}/step"
        return f"epoch {trainer.current_epoch + 1}{epochs} {bar} {times}  {self._numbers(trainer, done)}"

    def _numbers(self, trainer: Any, done: bool) -> str:
        if self.all_metrics:
            shown = trainer.callback_metrics if done else (trainer.fitting.means.results() if trainer.fitting is not None else {})
        else:
            shown = trainer.progress_bar_metrics
        shown = dict(sorted(shown.items(), key=lambda item: item[0].startswith("val_")))  # what was trained first, as Keras shows it
        return "  ".join(f"{k} {float(v):.4g}" for k, v in shown.items() if not isinstance(v, Tensor) or v.numel() == 1)

    # ---- looking ----
    def on_validation_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """See Callback."""
        if not self.live:
            return
        now = time.monotonic()
        if now - self._shown >= 1 / self.refresh_rate:
            self._shown = now
            self._write(f"{trainer.stage}: batch {batch_idx + 1}", "")

    on_test_batch_end = on_predict_batch_end = on_validation_batch_end

    def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
        """See Callback."""
        if self.live and self._width:
            print(file=self.file or sys.stdout)


def _duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f}us"
    if seconds < 1:
        return f"{seconds * 1e3:.0f}ms"
    if seconds < 60:
        return f"{seconds:.0f}s"
    return (
        f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02d}:{int(seconds) % 60:02d}"
        if seconds >= 3600
        else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
    )
