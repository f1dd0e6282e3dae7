"""Callbacks that save: the best, the last, every so often; and the one that lets an interrupted `fit` go on by itself."""

from __future__ import annotations

import datetime
import re
import time
from pathlib import Path
from typing import Any

from monograph.core.errors import ArtifactError
from monograph.tensor.core import Tensor
from monograph.train import checkpoint as checkpoints
from monograph.train.callbacks.watching import Watched
from monograph.train.hooks import Callback
from monograph.train.limits import seconds_of
from monograph.train.writer import Writer

_FIELD = re.compile(r"\{([^}:]+)(:[^}]*)?\}")


class ModelCheckpoint(Callback):
    """Saves checkpoints while training goes on. Keras's and Lightning's arguments.

    Where: `filepath` ("best.ckpt", "ckpt/{epoch:02d}-{val_loss:.2f}.ckpt"), or `dirpath` and `filename` ("{epoch}-{val_loss:.2f}", in
    which names are written too: epoch=3-val_loss=0.12.ckpt). When: after each epoch's validation, `every_n_epochs`, `every_n_train_steps`
    (or Keras's `save_freq`), `train_time_interval`. What is kept: the `save_top_k` best by `monitor` (-1: all, 0: none; without it the
    newest), and with `save_last` always last.ckpt. `save_best_only` is `save_top_k=1`. A file is removed only once a newer one is safely
    on the disk. `asynchronous`: files are written on a thread; training waits only while its state is copied.

    >>> from monograph import train
    >>> keep = train.ModelCheckpoint(dirpath="runs", monitor="val_loss", save_top_k=2, save_last=True)
    """

    saves = True

    def __init__(
        self, filepath: str | Path | None = None, monitor: str | None = None, verbose: int = 0, save_best_only: bool = False,
        save_weights_only: bool = False, mode: str = "auto", save_freq: str | int = "epoch", initial_value_threshold: float | None = None,
        *, dirpath: str | Path | None = None, filename: str | None = None, save_last: bool | None = None, save_top_k: int = 1,
        every_n_train_steps: int | None = None, train_time_interval: Any = None, every_n_epochs: int | None = None,
        save_on_train_epoch_end: bool | None = None, auto_insert_metric_name: bool = True, asynchronous: bool = True,
    ) -> None:  # fmt: skip
        if filepath is not None and (dirpath is not None or filename is not None):
            raise ValueError("give filepath, or dirpath and filename, not both")
        if save_top_k < -1:
            raise ValueError(f"save_top_k is -1 (all), 0 (none) or how many to keep, got {save_top_k}")
        if save_best_only and monitor is None:
            monitor = "val_loss"
        self.keras_style = filepath is not None
        if filepath is not None:
            dirpath, filename = Path(filepath).parent, Path(filepath).name
        self.dirpath = Path(dirpath) if dirpath is not None else None
        self.filename = filename
        if isinstance(save_freq, int):
            every_n_train_steps = save_freq
        elif save_freq != "epoch":
            raise ValueError(f"save_freq is 'epoch' or a number of steps, got {save_freq!r}")
        self.monitor, self.verbose, self.save_weights_only = monitor, verbose, save_weights_only
        self.watched = Watched(monitor or "", mode)
        self.save_last, self.save_top_k = save_last, save_top_k
        self.every_n_train_steps, self.seconds = every_n_train_steps, seconds_of(train_time_interval)
        quiet = every_n_train_steps is not None or self.seconds is not None
        self.every_n_epochs = every_n_epochs if every_n_epochs is not None else (0 if quiet else 1)
        self.save_on_train_epoch_end, self.auto_insert_metric_name = save_on_train_epoch_end, auto_insert_metric_name
        self.threshold = initial_value_threshold
        self.writer = Writer(asynchronous)
        self.kept: list[tuple[float, str]] = []  # (score, path), best first; without monitor newest first
        self.best_model_path = self.last_model_path = ""
        self.best_model_score: float | None = None
        self._folder: Path | None = None
        self._last_time = time.monotonic()
        self._last_step = -1

    # ---- when ----
    def setup(self, trainer: Any, module: Any, stage: str) -> None:
        """See Callback."""
        self.folder(trainer)

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self._last_time, self._last_step = time.monotonic(), trainer.global_step if trainer.fitting.batch or trainer.fitting.epoch else -1

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """See Callback."""
        steps = self.every_n_train_steps
        due = steps is not None and trainer.global_step != self._last_step and trainer.global_step % steps == 0
        if self.seconds is not None and time.monotonic() - self._last_time >= self.seconds:
            due = True
        if due:
            self._save(trainer)

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        # In the middle of an epoch; at its end the epoch's own hook comes, when everything else has had its turn.
        inside = (
            trainer.fitting is not None
            and not trainer.sanity_checking
            and trainer.stage == "validate"
            and trainer.limits.val_check is not None
        )
        if inside and self.every_n_epochs and not self.save_on_train_epoch_end and (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        if self.every_n_epochs and (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self._save(trainer)

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self.writer.wait()

    def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
        """See Callback."""
        try:
            self.writer.wait()
        except (OSError, RuntimeError) as error:
            exception.add_note(f"and the last checkpoint could not be written: {error}")

    # ---- where ----
    def folder(self, trainer: Any) -> Path:
        """The folder of the files: `dirpath`, or checkpoints/ in the logger's folder or the trainer's."""
        if self.dirpath is not None:
            return self.dirpath
        if self._folder is None:
            logged = getattr(trainer.logger, "log_dir", None)
            self._folder = Path(logged or trainer.default_root_dir) / "checkpoints"
        return self._folder

    def name_of(self, trainer: Any, values: dict[str, float]) -> str:
        """The file's name for these metrics."""
        shown = {**values, "epoch": trainer.current_epoch + (1 if self.keras_style else 0), "step": trainer.global_step}
        named = self.auto_insert_metric_name and not self.keras_style

        def fill(match: re.Match[str]) -> str:
            name, form = match[1], (match[2] or "")[1:]
            if name not in shown:
                raise KeyError(f"ModelCheckpoint: the file's name asks for {name!r}; there are {', '.join(shown)}")
            text = format(shown[name], form) if form else str(shown[name])
            return f"{name}={text}" if named else text

        name = _FIELD.sub(fill, self.filename or "{epoch}-{step}")
        return name if name.endswith(checkpoints.SUFFIX) or (self.keras_style and Path(name).suffix) else name + checkpoints.SUFFIX

    # ---- what ----
    def _save(self, trainer: Any) -> None:
        if trainer.sanity_checking or trainer.fast_dev_run:
            return
        self._last_time, self._last_step = time.monotonic(), trainer.global_step
        values = {k: float(v) for k, v in trainer.callback_metrics.items() if not isinstance(v, Tensor) or v.numel() == 1}
        score = float(trainer.global_step)
        if self.monitor is not None:
            read = self.watched.read(values, strict=self.save_top_k != 0 and self._should_know(trainer), who="ModelCheckpoint")
            if read is None:
                return
            score = read
        folder = self.folder(trainer)
        worth = self.save_top_k != 0 and self._worth(score)
        if worth:
            path = folder / self.name_of(trainer, values)
            known = [p for _, p in self.kept]
            if str(path) in known and self.monitor is None:
                self.kept = [(s, p) for s, p in self.kept if p != str(path)]
            self._remember(score, str(path))
            dropped = self._drop()
            self._write(trainer, path, dropped)
        if self.save_last:
            self._write(trainer, folder / f"last{checkpoints.SUFFIX}", [])
            self.last_model_path = str(folder / f"last{checkpoints.SUFFIX}")

    def _should_know(self, trainer: Any) -> bool:
        return not trainer.fitting.val or trainer.fitting.epoch > 0

    def _worth(self, score: float) -> bool:
        if self.monitor is None or self.save_top_k == -1:
            return True
        if self.threshold is not None and not self.watched.better(score, self.threshold):
            return False
        if score != score:
            return False
        return len(self.kept) < self.save_top_k or self.watched.better(score, self.kept[-1][0])

    def _remember(self, score: float, path: str) -> None:
        self.kept = [(s, p) for s, p in self.kept if p != path]
        self.kept.append((score, path))
        newest_or_best_first = self.monitor is None or self.watched.mode == "max"
        self.kept.sort(key=lambda item: item[0], reverse=newest_or_best_first)
        self.best_model_score, self.best_model_path = self.kept[0] if self.monitor is not None else (None, path)

    def _drop(self) -> list[str]:
        if self.save_top_k == -1:
            return []
        dropped = [p for _, p in self.kept[self.save_top_k :]]
        self.kept = self.kept[: self.save_top_k]
        return dropped

    def _write(self, trainer: Any, path: Path, dropped: list[str]) -> None:
        state = checkpoints.snapshot(trainer, self.save_weights_only)

        def clean() -> None:
            for old in dropped:
                if old != str(path):
                    Path(old).unlink(missing_ok=True)

        self.writer.write(state, path, clean)
        if self.verbose:
            print(f"epoch {trainer.current_epoch}, step {trainer.global_step}: saved {path}")

    @property
    def state_key(self) -> str:
        """See Callback."""
        return f"ModelCheckpoint[{self.monitor}, {self.every_n_train_steps}, {self.every_n_epochs}, {self.seconds}]"

    def state_dict(self) -> dict[str, Any]:
        """See Callback."""
        return {
            "kept": [[score, path] for score, path in self.kept], "best_model_path": self.best_model_path,
            "best_model_score": self.best_model_score, "last_model_path": self.last_model_path,
            "saved_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See Callback."""
        self.kept = [(float(score), path) for score, path in state_dict["kept"] if Path(path).exists()]
        self.best_model_path, self.best_model_score = state_dict["best_model_path"], state_dict["best_model_score"]
        self.last_model_path = state_dict.get("last_model_path", "")


class BackupAndRestore(Callback):
    """Keeps one checkpoint of an unfinished `fit` in a folder; the next `fit` of the same goes on from it. It goes when training ends.

    `save_freq` is "epoch" or a number of steps. A backup that is damaged is reported and left where it is.

    >>> from monograph import train
    >>> safe = train.BackupAndRestore("backup", save_freq=100)
    """

    saves = True

    def __init__(
        self, backup_dir: str | Path, save_freq: str | int = "epoch", double_checkpoint: bool = False, delete_checkpoint: bool = True,
        *, asynchronous: bool = True,
    ) -> None:  # fmt: skip
        if save_freq != "epoch" and (not isinstance(save_freq, int) or save_freq < 1):
            raise ValueError(f"save_freq is 'epoch' or a number of steps, got {save_freq!r}")
        self.backup_dir, self.save_freq, self.delete_checkpoint = Path(backup_dir), save_freq, delete_checkpoint
        self.path = self.backup_dir / f"backup{checkpoints.SUFFIX}"
        self.writer = Writer(asynchronous)
        self._last_step = -1

    def folder(self, trainer: Any) -> Path:
        """The folder of the file."""
        return self.backup_dir

    def on_fit_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        if not self.path.exists() or trainer.ckpt_path is not None:
            return
        try:
            trainer.restore_checkpoint(self.path)
        except ArtifactError as error:
            raise ArtifactError(f"the backup {self.path} is damaged ({error}); move it away to start from the beginning") from None
        trainer.ckpt_path = None

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """See Callback."""
        if isinstance(self.save_freq, int) and trainer.global_step != self._last_step and trainer.global_step % self.save_freq == 0:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self._save(trainer)

    def _save(self, trainer: Any) -> None:
        self._last_step = trainer.global_step
        self.writer.write(checkpoints.snapshot(trainer), self.path)

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self.writer.wait()
        if self.delete_checkpoint:
            self.path.unlink(missing_ok=True)

    def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
        """See Callback."""
        self.writer.wait()
