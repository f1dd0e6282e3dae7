"""Keras's `TensorBoard`: curves, weights and the graph of a run. (For Trainer(logger=...) there is `train.TensorBoardLogger`.)"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monograph.nn.sparse import Embedding
from monograph.profiler import profile, schedule
from monograph.tensor.core import Tensor
from monograph.train.callbacks.keras_style import numbers
from monograph.train.hooks import Callback
from monograph.utils.tensorboard import SummaryWriter


class TensorBoard(Callback):
    """Writes log_dir/train and log_dir/validation for TensorBoard. Keras's arguments; needs the extra `tensorboard`.

    Curves `epoch_loss` ... after each epoch, and `batch_loss` ... every `update_freq` steps where that is a number ("batch": each one).
    `histogram_freq`: every so many epochs how each weight is distributed, with `write_images` also as pictures. `write_graph`: the graph of
    the module on its first batch. `embeddings_freq`: every so many epochs the tables of `nn.Embedding` layers, with labels from
    `embeddings_metadata` ({layer: labels}). `profile_batch`: the number of a step, counted from 1, or the first and last of several, whose
    kernels are recorded for the tab "Profile" (the extra `profile`).

    >>> from monograph import train
    >>> board = train.TensorBoard("logs/first", histogram_freq=1)
    """

    def __init__(
        self, log_dir: str | Path = "logs", histogram_freq: int = 0, write_graph: bool = True, write_images: bool = False,
        write_steps_per_second: bool = False, update_freq: str | int = "epoch", profile_batch: int | tuple[int, int] = 0,
        embeddings_freq: int = 0, embeddings_metadata: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        if update_freq not in ("epoch", "batch") and (not isinstance(update_freq, int) or update_freq < 1):
            raise ValueError(f"update_freq is 'epoch', 'batch' or a number of steps, got {update_freq!r}")
        self.profile_batch = steps_to_profile(profile_batch)
        self.log_dir, self.histogram_freq, self.write_graph, self.write_images = Path(log_dir), histogram_freq, write_graph, write_images
        self.write_steps_per_second, self.embeddings_freq = write_steps_per_second, embeddings_freq
        self.update_freq = 1 if update_freq == "batch" else update_freq
        self.embeddings_metadata = dict(embeddings_metadata or {})
        self._writers: dict[str, SummaryWriter] = {}
        self._begun, self._first_step, self._drawn = 0.0, 0, False
        self._profiler: profile | None = None

    @property
    def state_key(self) -> str:
        """See Callback."""
        return f"TensorBoard[{self.log_dir}]"

    def writer(self, part: str) -> SummaryWriter:
        """The writer of "train" or "validation"."""
        if part not in self._writers:
            self._writers[part] = SummaryWriter(self.log_dir / part)
        return self._writers[part]

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self.writer("train")  # says now, not after an epoch, that the package is missing
        tables = [name for name, layer in trainer.model.named_modules() if isinstance(layer, Embedding)]
        strange = [name for name in self.embeddings_metadata if name not in tables]
        if strange:
            raise ValueError(f"embeddings_metadata names {', '.join(strange)}; the model's embeddings are {', '.join(tables) or 'none'}")

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self._begun, self._first_step = time.monotonic(), trainer.global_step

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        """See Callback."""
        if self.write_graph and not self._drawn:
            self._drawn = True
            draw_graph(self.writer("train"), trainer.model, batch)
        if self._profiler is None and trainer.global_step + 1 == self.profile_batch[0]:
            first, last = self.profile_batch
            steps = schedule(wait=0, warmup=0, active=last - first + 1, repeat=1)
            self._profiler = profile(
                schedule=steps, record_shapes=True, on_trace_ready=lambda done: done.export_xplane(str(self.log_dir / "train"))
            )
            self._profiler.start()

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """See Callback."""
        if self._profiler is not None:
            self._profiler.step()
            if trainer.global_step >= self.profile_batch[1]:
                self._end_profile()
        if isinstance(self.update_freq, int) and trainer.global_step % self.update_freq == 0:
            for name, value in trainer.fitting.means.results().items():
                self.writer("train").add_scalar(f"batch_{name}", value, trainer.global_step)
            if self.write_steps_per_second:
                self.writer("train").add_scalar("batch_steps_per_second", self._pace(trainer), trainer.global_step)

    def _end_profile(self) -> None:
        profiler, self._profiler = self._profiler, None
        if profiler is not None:
            profiler.stop()

    def _pace(self, trainer: Any) -> float:
        return (trainer.global_step - self._first_step) / max(1e-9, time.monotonic() - self._begun)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        epoch = trainer.current_epoch
        for name, value in numbers(trainer).items():
            if name.startswith("val_"):
                self.writer("validation").add_scalar(f"epoch_{name.removeprefix('val_')}", value, epoch)
            else:
                self.writer("train").add_scalar(f"epoch_{name}", value, epoch)
        if self.write_steps_per_second:
            self.writer("train").add_scalar("epoch_steps_per_second", self._pace(trainer), epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(trainer.model, epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._write_embeddings(trainer.model, epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        if isinstance(self.update_freq, int) and not trainer.sanity_checking and trainer.fitting is not None:
            for name, value in numbers(trainer).items():
                if name.startswith("val_"):
                    tag = f"evaluation_{name.removeprefix('val_')}_vs_iterations"
                    self.writer("validation").add_scalar(tag, value, trainer.global_step)

    def _write_weights(self, model: Any, epoch: int) -> None:
        for name, parameter in model.named_parameters():
            tag = name.replace(".", "/")
            self.writer("train").add_histogram(tag, parameter, epoch)
            if self.write_images:
                self.writer("train").add_image(f"{tag}/image", weight_picture(parameter), epoch, dataformats="HW")

    def _write_embeddings(self, model: Any, epoch: int) -> None:
        for name, layer in model.named_modules():
            if isinstance(layer, Embedding):
                labels = self.embeddings_metadata.get(name)
                if isinstance(labels, str | Path):
                    labels = Path(labels).read_text(encoding="utf-8").splitlines()
                self.writer("train").add_embedding(layer.weight, labels, global_step=epoch, tag=name)

    def teardown(self, trainer: Any, module: Any, stage: str) -> None:
        """See Callback."""
        self._end_profile()
        for writer in self._writers.values():
            writer.close()
        self._writers = {}
        self._drawn = False


def steps_to_profile(given: int | tuple[int, int]) -> tuple[int, int]:
    """The first and the last step that `profile_batch` names; (0, 0), which no step is, for 0."""
    first, last = given if isinstance(given, tuple | list) and len(given) == 2 else (given, given)
    if not (isinstance(first, int) and isinstance(last, int) and 0 <= first <= last and (first > 0 or last == 0)):
        raise ValueError(f"profile_batch is the number of a step, counted from 1, (first, last), or 0 for none; got {given!r}")
    return first, last


def weight_picture(parameter: Tensor) -> Tensor:
    """A weight as a grey picture from its smallest to its largest value: vectors are one row, later axes go side by side."""
    flat = parameter.detach().float()
    flat = flat.reshape(1, -1) if flat.ndim < 2 else flat.reshape(flat.shape[0], -1)
    low, high = flat.min(), flat.max()
    return (flat - low) / (high - low).clamp(min=1e-12)


def draw_graph(writer: SummaryWriter, model: Any, batch: Any) -> None:
    """The graph of a model on a batch: on its example input if it has one, else on the first part of the batch, or on all of it."""
    example = getattr(model, "example_input_array", None)
    first = batch[0] if isinstance(batch, tuple | list) and batch else batch
    for given in (first, batch) if example is None else (example,):
        try:
            return writer.add_graph(model, given)
        except (TypeError, ValueError, NotImplementedError, RuntimeError, AttributeError, KeyError) as error:
            why = error
    writer.add_text("graph", f"The model could not be called on a batch, so there is no graph of it: {type(why).__name__}: {why}")
