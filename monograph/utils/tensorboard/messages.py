"""What is written, as TensorBoard's messages: one function for each kind, giving a `Summary`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from monograph.core.extras import optional
from monograph.tensor.core import Tensor
from monograph.utils.tensorboard.arrays import array_of

MOST_THRESHOLDS = 127  # more than that TensorBoard does not show well


def proto(name: str) -> Any:
    """One of TensorBoard's modules of message types."""
    return optional(f"tensorboard.compat.proto.{name}_pb2", "SummaryWriter")


def plugin(name: str, part: str = "metadata") -> Any:
    """A part of one of TensorBoard's plugins."""
    return optional(f"tensorboard.plugins.{name}.{part}", "SummaryWriter")


def summary(tag: str, **value: Any) -> Any:
    """A Summary of one value."""
    kinds = proto("summary").Summary
    return kinds(value=[kinds.Value(tag=tag, **value)])


def tensor_message(array: np.ndarray) -> Any:
    """A TensorProto with an array's numbers."""
    kinds = {np.dtype(np.float32): "DT_FLOAT", np.dtype(np.float64): "DT_DOUBLE", np.dtype(np.int32): "DT_INT32",
             np.dtype(np.int64): "DT_INT64", np.dtype(np.uint8): "DT_UINT8", np.dtype(np.bool_): "DT_BOOL"}  # fmt: skip
    if array.dtype not in kinds:
        array = array.astype(np.float32)
    shape = proto("tensor_shape").TensorShapeProto
    return proto("tensor").TensorProto(
        dtype=proto("types").DataType.Value(kinds[array.dtype]), tensor_content=np.ascontiguousarray(array).tobytes(),
        tensor_shape=shape(dim=[shape.Dim(size=n) for n in array.shape]),
    )  # fmt: skip


def strings_message(texts: list[bytes]) -> Any:
    """A TensorProto with strings."""
    shape = proto("tensor_shape").TensorShapeProto
    return proto("tensor").TensorProto(
        dtype=proto("types").DataType.Value("DT_STRING"), string_val=texts, tensor_shape=shape(dim=[shape.Dim(size=len(texts))])
    )


def scalar(tag: str, value: float, new_style: bool = False, double_precision: bool = False) -> Any:
    """A number of a curve."""
    if not (new_style or double_precision):
        return summary(tag, simple_value=value)
    array = np.asarray(value, np.float64 if double_precision else np.float32)
    metadata = plugin("scalar").create_summary_metadata(display_name=tag, description="")
    return summary(tag, tensor=tensor_message(array), metadata=metadata)


def tensor(tag: str, array: np.ndarray) -> Any:
    """Numbers of any shape, for programs that read event files."""
    kinds = proto("summary").SummaryMetadata
    return summary(tag, tensor=tensor_message(array), metadata=kinds(plugin_data=kinds.PluginData(plugin_name="tensor")))


def histogram(tag: str, values: np.ndarray, bins: Any, max_bins: int | None) -> Any:
    """How values are distributed; `bins` as in NumPy's histogram, or "tensorflow": powers of 1.1."""
    array = values.astype(np.float64).reshape(-1)
    if array.size == 0:
        raise ValueError("The input has no element.")
    finite = array[np.isfinite(array)]
    if isinstance(bins, str) and bins == "tensorflow":
        powers = 1e-12 * 1.1 ** np.arange(774)
        edges: Any = np.concatenate([-powers[::-1], [0.0], powers])
        if finite.size:
            low, high = min(float(finite.min()), edges[0]), max(float(finite.max()), edges[-1])
            edges = np.concatenate([[low - 1], edges[(edges > low) & (edges < high)], [high + 1]])
    else:
        edges = bins
    counts, limits = np.histogram(finite, edges)
    if max_bins is not None and len(counts) > max_bins:
        together = -(-len(counts) // max_bins)
        counts = np.add.reduceat(counts, np.arange(0, len(counts), together))
        limits = np.append(limits[:-1:together], limits[-1])
    used = np.flatnonzero(counts)
    first, last = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 1)
    return raw_histogram(
        tag, array.min(), array.max(), array.size, array.sum(), array @ array, limits[first + 1 : last + 1], counts[first:last]
    )


def raw_histogram(tag: str, low: Any, high: Any, num: Any, total: Any, squares: Any, limits: Any, counts: Any) -> Any:
    """A histogram that somebody else has counted."""
    content = proto("summary").HistogramProto(
        min=float(low), max=float(high), num=float(num), sum=float(total), sum_squares=float(squares),
        bucket_limit=[float(v) for v in limits], bucket=[float(v) for v in counts],
    )  # fmt: skip
    return summary(tag, histo=content)


def image(tag: str, file: bytes, height: int, width: int, channels: int) -> Any:
    """A PNG or GIF file."""
    content = proto("summary").Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=file)
    return summary(tag, image=content)


def audio(tag: str, file: bytes, rate: int, channels: int, frames: int) -> Any:
    """A WAV file."""
    content = proto("summary").Summary.Audio(
        sample_rate=rate, num_channels=channels, length_frames=frames, encoded_audio_string=file, content_type="audio/wav"
    )
    return summary(tag, audio=content)


def text(tag: str, content: str) -> Any:
    """A text, shown as Markdown."""
    metadata = plugin("text").create_summary_metadata(display_name=None, description=None)
    return summary(f"{tag}/text_summary", tensor=strings_message([content.encode()]), metadata=metadata)


def pr_curve(tag: str, rows: np.ndarray, thresholds: int) -> Any:
    """Precision and recall over thresholds; rows are true and false positives, true and false negatives, precision, recall."""
    metadata = plugin("pr_curve").create_summary_metadata(display_name=tag, description="", num_thresholds=thresholds)
    return summary(tag, tensor=tensor_message(rows.astype(np.float32)), metadata=metadata)


def precision_and_recall(labels: np.ndarray, predictions: np.ndarray, thresholds: int, weights: Any) -> np.ndarray:
    """The six rows of `pr_curve` for labels of 0 and 1 and predictions in [0, 1]."""
    labels, predictions = labels.reshape(-1).astype(np.float64), predictions.reshape(-1).astype(np.float64)
    if labels.shape != predictions.shape:
        raise ValueError(f"there are {labels.size} labels and {predictions.size} predictions: give one prediction for each label")
    weighed = np.ones_like(labels) if weights is None else np.broadcast_to(array_of(weights).reshape(-1), labels.shape)
    bucket = np.clip(np.floor(predictions * (thresholds - 1)), 0, thresholds - 1).astype(np.int64)

    def above(counted: np.ndarray) -> np.ndarray:
        return np.bincount(bucket, counted, thresholds)[::-1].cumsum()[::-1]

    true, false = above(labels * weighed), above((1 - labels) * weighed)
    tiny = 1e-7
    negatives, missed = false[0] - false, true[0] - true
    return np.stack([true, false, negatives, missed, true / np.maximum(tiny, true + false), true / np.maximum(tiny, true + missed)])


def custom_scalars(layout: Mapping[str, Mapping[str, Any]]) -> Any:
    """Charts of several curves: {category: {title: ("Multiline" or "Margin", [tags])}}."""
    kinds = plugin("custom_scalar", "layout_pb2")
    categories = []
    for category, charts in layout.items():
        made = []
        for title, (kind, tags) in charts.items():
            if kind == "Multiline":
                made.append(kinds.Chart(title=title, multiline=kinds.MultilineChartContent(tag=list(tags))))
            elif kind == "Margin":
                if len(tags) != 3:
                    raise ValueError(f"a Margin chart has three tags (value, lower, upper), got {len(tags)}")
                value, lower, upper = tags
                series = kinds.MarginChartContent.Series(value=value, lower=lower, upper=upper)
                made.append(kinds.Chart(title=title, margin=kinds.MarginChartContent(series=[series])))
            else:
                raise ValueError(f"a chart is 'Multiline' or 'Margin', got {kind!r}")
        categories.append(kinds.Category(title=category, chart=made))
    told = plugin("custom_scalar")
    content = kinds.Layout(category=categories).SerializeToString()
    return summary(told.CONFIG_SUMMARY_TAG, tensor=strings_message([content]), metadata=told.create_summary_metadata())


def hyperparameters(values: Mapping[str, Any], metrics: Mapping[str, Any], domains: Mapping[str, list[Any]] | None) -> list[Any]:
    """What the HPARAMS tab wants to know of one run: the experiment, the session's start and its end."""
    kinds, api, told = plugin("hparams", "plugin_data_pb2"), plugin("hparams", "api_pb2"), plugin("hparams")
    start = kinds.SessionStartInfo()
    infos = []
    for name, value in values.items():
        info = api.HParamInfo(name=name)
        if isinstance(value, Tensor | np.ndarray | np.generic):
            value = array_of(value).item()
        if isinstance(value, bool):
            start.hparams[name].bool_value, info.type = value, api.DATA_TYPE_BOOL
        elif isinstance(value, int | float):
            start.hparams[name].number_value, info.type = value, api.DATA_TYPE_FLOAT64
        elif isinstance(value, str):
            start.hparams[name].string_value, info.type = value, api.DATA_TYPE_STRING
        elif value is not None:
            raise ValueError(f"value should be one of int, float, str, bool, or a tensor; hyperparameter {name!r} is {value!r}")
        for choice in (domains or {}).get(name, ()):
            added = info.domain_discrete.values.add()
            field = "bool_value" if isinstance(choice, bool) else "string_value" if isinstance(choice, str) else "number_value"
            setattr(added, field, choice)
        infos.append(info)
    shown = [api.MetricInfo(name=api.MetricName(tag=name)) for name in metrics]
    parts = {
        told.EXPERIMENT_TAG: kinds.HParamsPluginData(experiment=api.Experiment(hparam_infos=infos, metric_infos=shown)),
        told.SESSION_START_INFO_TAG: kinds.HParamsPluginData(session_start_info=start),
        told.SESSION_END_INFO_TAG: kinds.HParamsPluginData(session_end_info=kinds.SessionEndInfo(status=api.STATUS_SUCCESS)),
    }
    return [summary(tag, metadata=told.create_summary_metadata(part), tensor=told.NULL_TENSOR) for tag, part in parts.items()]


def mesh(tag: str, vertices: Any, colors: Any, faces: Any, config: Mapping[str, Any] | None) -> Any:
    """Points or triangles in space: [batch, n, 3] each."""
    told, data = plugin("mesh"), plugin("mesh", "plugin_data_pb2").MeshPluginData
    given = [(vertices, data.VERTEX, np.float32), (faces, data.FACE, np.int32), (colors, data.COLOR, np.uint8)]
    parts = [(array_of(part).astype(kind), content) for part, content, kind in given if part is not None]
    mask = told.get_components_bitmask([content for _, content in parts])
    kinds = proto("summary").Summary
    made = []
    for array, content in parts:
        if array.ndim != 3 or array.shape[-1] != 3:
            raise ValueError(f"a mesh has parts [batch, n, 3], got an array of shape {array.shape}")
        metadata = told.create_summary_metadata(tag, tag, content, mask, list(array.shape), json_config=json.dumps(config or {}))
        made.append(kinds.Value(tag=told.get_instance_name(tag, content), tensor=tensor_message(array), metadata=metadata))
    return kinds(value=made)
