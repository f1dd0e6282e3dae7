"""`SummaryWriter`: torch's interface, TensorBoard's own event files."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from monograph.core.extras import optional
from monograph.utils.tensorboard import messages
from monograph.utils.tensorboard.arrays import array_of, figure_pixels, gif, grid_of, number_of, pixels_of, png, rescaled, wav, with_boxes
from monograph.utils.tensorboard.graph_tab import graph_of
from monograph.utils.tensorboard.projector import write_embedding


class FileWriter:
    """Writes TensorBoard's events to one file in a folder; a thread of the `tensorboard` package brings them to the disk."""

    def __init__(self, log_dir: Any, max_queue: int = 10, flush_secs: int = 120, filename_suffix: str = "") -> None:
        event_files = optional("tensorboard.summary.writer.event_file_writer", "SummaryWriter")
        self.event_writer = event_files.EventFileWriter(os.fspath(log_dir), max_queue, flush_secs, filename_suffix)

    def get_logdir(self) -> str:
        """The folder."""
        return str(self.event_writer.get_logdir())

    def add_event(self, event: Any, step: Any = None, walltime: float | None = None) -> None:
        """One event, with its time and step."""
        event.wall_time = time.time() if walltime is None else walltime
        if step is not None:
            event.step = int(number_of(step))
        self.event_writer.add_event(event)

    def add_summary(self, summary: Any, global_step: Any = None, walltime: float | None = None) -> None:
        """One summary."""
        self.add_event(messages.proto("event").Event(summary=summary), global_step, walltime)

    def add_graph(self, graph: Any, walltime: float | None = None) -> None:
        """One graph."""
        self.add_event(messages.proto("event").Event(graph_def=graph.SerializeToString()), None, walltime)

    def flush(self) -> None:
        """Brings to the disk what is waiting."""
        self.event_writer.flush()

    def close(self) -> None:
        """Ends the file."""
        self.event_writer.close()


class SummaryWriter:
    """Writes what TensorBoard shows into a folder, by default runs/<date>_<host>. Needs `pip install 'monograph[tensorboard]'`.

    Look at it with `tensorboard --logdir runs`. Numbers and arrays may be tensors, NumPy arrays or Python's. Writing after `close()`
    opens a new file.

    >>> from monograph.utils.tensorboard import SummaryWriter
    >>> with SummaryWriter("runs/first") as writer:  # doctest: +SKIP
    ...     writer.add_scalar("loss", 0.5, global_step=1)
    """

    def __init__(
        self, log_dir: Any = None, comment: str = "", purge_step: int | None = None, max_queue: int = 10, flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:  # fmt: skip
        if not log_dir:
            log_dir = os.path.join("runs", time.strftime("%b%d_%H-%M-%S") + "_" + socket.gethostname() + comment)
        self.log_dir = os.fspath(log_dir)
        self.purge_step, self.max_queue, self.flush_secs, self.filename_suffix = purge_step, max_queue, flush_secs, filename_suffix
        self.file_writer: FileWriter | None = None
        self.all_writers: dict[str, FileWriter] | None = None
        self._get_file_writer()

    def _get_file_writer(self) -> FileWriter:
        if self.all_writers is None or self.file_writer is None:
            self.file_writer = self._open(self.log_dir)
            self.all_writers = {self.file_writer.get_logdir(): self.file_writer}
            if self.purge_step is not None:
                kinds = messages.proto("event")
                self.file_writer.add_event(kinds.Event(file_version="brain.Event:2"), self.purge_step)
                start = kinds.SessionLog(status=kinds.SessionLog.START)
                self.file_writer.add_event(kinds.Event(session_log=start), self.purge_step)
                self.purge_step = None
        return self.file_writer

    def _open(self, folder: str) -> FileWriter:
        return FileWriter(folder, self.max_queue, self.flush_secs, self.filename_suffix)

    def get_logdir(self) -> str:
        """The folder that is written to."""
        return self.log_dir

    def _add(self, summary: Any, step: Any, walltime: float | None) -> None:
        self._get_file_writer().add_summary(summary, step, walltime)

    # ---- numbers ----
    def add_scalar(
        self, tag: str, scalar_value: Any, global_step: Any = None, walltime: float | None = None, new_style: bool = False,
        double_precision: bool = False,
    ) -> None:  # fmt: skip
        """A number of a curve."""
        self._add(messages.scalar(tag, number_of(scalar_value), new_style, double_precision), global_step, walltime)

    def add_scalars(
        self, main_tag: str, tag_scalar_dict: Mapping[str, Any], global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Numbers of several curves in one chart; each curve has a folder of its own."""
        walltime = time.time() if walltime is None else walltime
        root = self._get_file_writer().get_logdir()
        for name, value in tag_scalar_dict.items():
            folder = os.path.join(root, main_tag.replace("/", "_") + "_" + name)
            assert self.all_writers is not None
            if folder not in self.all_writers:
                self.all_writers[folder] = self._open(folder)
            self.all_writers[folder].add_summary(messages.scalar(main_tag, number_of(value)), global_step, walltime)

    def add_tensor(self, tag: str, tensor: Any, global_step: Any = None, walltime: float | None = None) -> None:
        """Numbers of any shape, for programs that read the files."""
        self._add(messages.tensor(tag, array_of(tensor)), global_step, walltime)

    def add_histogram(
        self, tag: str, values: Any, global_step: Any = None, bins: Any = "tensorflow", walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:  # fmt: skip
        """How values are distributed. `bins`: "tensorflow" (powers of 1.1), or what numpy.histogram takes."""
        self._add(messages.histogram(tag, array_of(values), bins, max_bins), global_step, walltime)

    def add_histogram_raw(
        self, tag: str, min: Any, max: Any, num: Any, sum: Any, sum_squares: Any, bucket_limits: Any, bucket_counts: Any,  # noqa: A002
        global_step: Any = None, walltime: float | None = None,
    ) -> None:  # fmt: skip
        """A histogram that is counted already: the upper limit and the count of each bucket."""
        if len(bucket_limits) != len(bucket_counts):
            raise ValueError("len(bucket_limits) != len(bucket_counts), see the document.")
        made = messages.raw_histogram(tag, min, max, num, sum, sum_squares, bucket_limits, bucket_counts)
        self._add(made, global_step, walltime)

    def add_pr_curve(
        self, tag: str, labels: Any, predictions: Any, global_step: Any = None, num_thresholds: int = messages.MOST_THRESHOLDS,
        weights: Any = None, walltime: float | None = None,
    ) -> None:  # fmt: skip
        """Precision over recall for labels of 0 and 1 and predictions in [0, 1]."""
        count = min(num_thresholds, messages.MOST_THRESHOLDS)
        rows = messages.precision_and_recall(array_of(labels), array_of(predictions), count, weights)
        self._add(messages.pr_curve(tag, rows, count), global_step, walltime)

    def add_pr_curve_raw(
        self, tag: str, true_positive_counts: Any, false_positive_counts: Any, true_negative_counts: Any, false_negative_counts: Any,
        precision: Any, recall: Any, global_step: Any = None, num_thresholds: int = messages.MOST_THRESHOLDS, weights: Any = None,
        walltime: float | None = None,
    ) -> None:  # fmt: skip
        """A curve that is computed already: one number for each threshold, thresholds rising."""
        given = (true_positive_counts, false_positive_counts, true_negative_counts, false_negative_counts, precision, recall)
        rows = np.stack([array_of(row) for row in given])
        self._add(messages.pr_curve(tag, rows, min(num_thresholds, messages.MOST_THRESHOLDS)), global_step, walltime)

    # ---- pictures, sounds, texts ----
    def add_image(
        self, tag: str, img_tensor: Any, global_step: Any = None, walltime: float | None = None, dataformats: str = "CHW"
    ) -> None:
        """An image; floats are taken from [0, 1], integers from [0, 255]."""
        self._add_pixels(tag, pixels_of(img_tensor, dataformats), global_step, walltime)

    def add_images(
        self, tag: str, img_tensor: Any, global_step: Any = None, walltime: float | None = None, dataformats: str = "NCHW"
    ) -> None:
        """A batch of images, side by side in rows of eight."""
        self._add_pixels(tag, grid_of(img_tensor, dataformats), global_step, walltime)

    def add_image_with_boxes(
        self, tag: str, img_tensor: Any, box_tensor: Any, global_step: Any = None, walltime: float | None = None, rescale: float = 1,
        dataformats: str = "CHW", labels: Any = None,
    ) -> None:  # fmt: skip
        """An image with boxes [n, 4] (left, top, right, bottom), and a label for each."""
        labels = [labels] if isinstance(labels, str) else labels
        if labels is not None and len(labels) != len(array_of(box_tensor).reshape(-1, 4)):
            raise ValueError(f"there are {len(labels)} labels for {len(array_of(box_tensor).reshape(-1, 4))} boxes")
        drawn = with_boxes(pixels_of(img_tensor, dataformats), box_tensor, labels)
        self._add_pixels(tag, rescaled(drawn, rescale), global_step, walltime)

    def add_figure(self, tag: str, figure: Any, global_step: Any = None, close: bool = True, walltime: float | None = None) -> None:
        """A matplotlib figure, or a list of them; `close` closes them afterwards."""
        figures = list(figure) if isinstance(figure, list | tuple) else [figure]
        pictures = [figure_pixels(one) for one in figures]
        if len(pictures) == 1:
            self._add_pixels(tag, pictures[0], global_step, walltime)
        else:
            self._add_pixels(tag, grid_of(np.stack(pictures), "NHWC"), global_step, walltime)
        if close:
            for one in figures:
                optional("matplotlib.pyplot", "add_figure").close(one)

    def _add_pixels(self, tag: str, pixels: np.ndarray, step: Any, walltime: float | None) -> None:
        height, width, channels = pixels.shape
        self._add(messages.image(tag, png(pixels), height, width, channels), step, walltime)

    def add_video(self, tag: str, vid_tensor: Any, global_step: Any = None, fps: float = 4, walltime: float | None = None) -> None:
        """Films [n, time, channels, height, width], side by side, as an animated image."""
        file, height, width = gif(vid_tensor, fps)
        self._add(messages.image(tag, file, height, width, 3), global_step, walltime)

    def add_audio(
        self, tag: str, snd_tensor: Any, global_step: Any = None, sample_rate: int = 44100, walltime: float | None = None
    ) -> None:
        """A sound in [-1, 1]: [frames] or [channels, frames]."""
        file, frames = wav(snd_tensor, sample_rate)
        channels = 1 if array_of(snd_tensor).ndim < 2 else len(array_of(snd_tensor))
        self._add(messages.audio(tag, file, sample_rate, channels, frames), global_step, walltime)

    def add_text(self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None) -> None:
        """A text, shown as Markdown."""
        self._add(messages.text(tag, text_string), global_step, walltime)

    def add_mesh(
        self, tag: str, vertices: Any, colors: Any = None, faces: Any = None, config_dict: Mapping[str, Any] | None = None,
        global_step: Any = None, walltime: float | None = None,
    ) -> None:  # fmt: skip
        """Points [batch, n, 3] with colours (0 to 255), and triangles over them."""
        self._add(messages.mesh(tag, vertices, colors, faces, config_dict), global_step, walltime)

    # ---- the model ----
    def add_graph(self, model: Any, input_to_model: Any = None, verbose: bool = False, use_strict_trace: bool = True) -> None:
        """What the model computes for an input (a tensor, or a tuple of arguments): its recorded graph, grouped by modules.

        Nothing is computed and no state changes. `verbose` prints the names of the nodes; `use_strict_trace` is torch's.
        """
        graph = graph_of(model, () if input_to_model is None else input_to_model)
        if verbose:
            print("\n".join(f"{node.name}: {node.op}" for node in graph.node))
        self._get_file_writer().add_graph(graph)

    def add_embedding(
        self, mat: Any, metadata: Any = None, label_img: Any = None, global_step: Any = None, tag: str = "default",
        metadata_header: list[str] | None = None,
    ) -> None:  # fmt: skip
        """Points [n, d] for the projector, with a label (or several, named by `metadata_header`) and an image [n, C, H, W] for each."""
        root = Path(self._get_file_writer().get_logdir())
        step = None if global_step is None else int(number_of(global_step))
        write_embedding(root, tag, step, mat, metadata, label_img, metadata_header)

    def add_hparams(
        self, hparam_dict: Mapping[str, Any], metric_dict: Mapping[str, Any], hparam_domain_discrete: Mapping[str, list[Any]] | None = None,
        run_name: str | None = None, global_step: Any = None,
    ) -> None:  # fmt: skip
        """The settings of a run with what it reached, as a run of its own below this one (called `run_name`)."""
        if not isinstance(hparam_dict, Mapping) or not isinstance(metric_dict, Mapping):
            raise TypeError("hparam_dict and metric_dict should be dictionary.")
        parts = messages.hyperparameters(hparam_dict, metric_dict, hparam_domain_discrete)
        folder = os.path.join(self._get_file_writer().get_logdir(), str(time.time()) if run_name is None else run_name)
        with SummaryWriter(folder) as writer:
            for part in parts:
                writer._add(part, None, None)
            for name, value in metric_dict.items():
                writer.add_scalar(name, value, global_step)

    # ---- charts of several curves ----
    def add_custom_scalars(self, layout: Mapping[str, Mapping[str, Any]]) -> None:
        """Charts for the CUSTOM SCALARS tab: {category: {title: ["Multiline", [tags]]}} or ["Margin", [value, lower, upper]]."""
        self._add(messages.custom_scalars(layout), None, None)

    def add_custom_scalars_multilinechart(self, tags: list[str], category: str = "default", title: str = "untitled") -> None:
        """One chart of several curves."""
        self.add_custom_scalars({category: {title: ["Multiline", tags]}})

    def add_custom_scalars_marginchart(self, tags: list[str], category: str = "default", title: str = "untitled") -> None:
        """One chart of a curve between two others: tags are value, lower, upper."""
        self.add_custom_scalars({category: {title: ["Margin", tags]}})

    # ---- the files ----
    def flush(self) -> None:
        """Brings to the disk what is waiting."""
        for writer in (self.all_writers or {}).values():
            writer.flush()

    def close(self) -> None:
        """Ends the files; writing again opens new ones."""
        for writer in (self.all_writers or {}).values():
            writer.flush()
            writer.close()
        self.file_writer = self.all_writers = None

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


__all__ = ["FileWriter", "SummaryWriter"]
