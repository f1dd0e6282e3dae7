"""SummaryWriter's files, read back by TensorBoard's own reader."""

from __future__ import annotations

import importlib.util
import io
import struct
import sys
import wave
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph import nn
from monograph.utils.checkpoint import checkpoint, checkpoint_sequential
from monograph.utils.tensorboard import SummaryWriter
from monograph.utils.tensorboard.arrays import pixels_of, png

needs_tensorboard = pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="tensorboard is the extra of that name"
)


def events(folder: Path) -> Any:
    """What TensorBoard reads from a folder."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(folder), size_guidance=dict.fromkeys(accumulator.DEFAULT_SIZE_GUIDANCE, 0))
    found.Reload()
    return found


def test_without_the_package_the_error_names_the_extra(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    for name in [name for name in sys.modules if name.startswith("tensorboard.")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"SummaryWriter needs tensorboard: pip install 'monograph\[tensorboard\]'"):
        SummaryWriter(tmp_path)


@needs_tensorboard
def test_scalars(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path, purge_step=0) as writer:
        for step in range(3):
            writer.add_scalar("loss", mg.tensor(1.0 / (step + 1), dtype=mg.bfloat16 if step else mg.float32), step, walltime=100.0 + step)
        writer.add_scalar("new", 2.5, 1, new_style=True)
        writer.add_scalar("double", np.float64(1) / 3, mg.tensor(2), double_precision=True)
        writer.add_scalars("both", {"train": 1.0, "test": 2}, 4)
        writer.add_tensor("numbers", mg.arange(3), 1)
        assert writer.get_logdir() == str(tmp_path)
        with pytest.raises(ValueError, match="a scalar is one number"):
            writer.add_scalar("x", [1.0, 2.0])
    found = events(tmp_path)
    assert [(e.wall_time, e.step, e.value) for e in found.Scalars("loss")] == [(100, 0, 1), (101, 1, 0.5), (102, 2, 0.333984375)]
    from tensorboard.util import tensor_util  # noqa: PLC0415

    assert tensor_util.make_ndarray(found.Tensors("new")[0].tensor_proto) == np.float32(2.5)
    assert tensor_util.make_ndarray(found.Tensors("double")[0].tensor_proto) == 1 / 3
    assert tensor_util.make_ndarray(found.Tensors("numbers")[0].tensor_proto).tolist() == [0, 1, 2]
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == ["both_test", "both_train"]
    assert events(tmp_path / "both_test").Scalars("both")[0].value == 2.0


@needs_tensorboard
def test_writing_after_close_opens_a_new_file(tmp_path: Path) -> None:
    writer = SummaryWriter(tmp_path, filename_suffix=".mine")
    writer.add_scalar("a", 1, 0)
    writer.close()
    writer.add_scalar("a", 2, 1)
    writer.close()
    files = list(tmp_path.iterdir())
    assert len(files) == 2 and all(file.name.endswith(".mine") for file in files)


@needs_tensorboard
def test_histograms(tmp_path: Path) -> None:
    values = np.concatenate([np.random.default_rng(0).normal(size=999), [np.nan]])
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("weights", mg.tensor([-1.0, 0.0, 1.0, 1.0]), 1)
        writer.add_histogram("few", values[:-1], 1, bins="auto", max_bins=5)
        writer.add_histogram("nan", values, 1)
        writer.add_histogram_raw("raw", 0, 2, 3, 4, 6, [1, 2], [1, 2])
        with pytest.raises(ValueError, match="The input has no element"):
            writer.add_histogram("none", mg.zeros(0))
        with pytest.raises(ValueError, match="len\\(bucket_limits\\)"):
            writer.add_histogram_raw("raw", 0, 2, 3, 4, 6, [1, 2], [1])
    found = events(tmp_path)
    weights = found.Histograms("weights")[0].histogram_value
    assert (weights.min, weights.max, weights.num, weights.sum, weights.sum_squares) == (-1, 1, 4, 1, 3)
    assert sum(weights.bucket) == 4 and len(weights.bucket) == len(weights.bucket_limit)
    few = found.Histograms("few")[0].histogram_value
    assert len(few.bucket) <= 5 and sum(few.bucket) == 999
    assert sum(found.Histograms("nan")[0].histogram_value.bucket) == 999
    assert list(found.Histograms("raw")[0].histogram_value.bucket) == [1, 2]


@needs_tensorboard
def test_images_videos_and_figures(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).random((3, 4, 5)).astype(np.float32)
    image = pytest.importorskip("PIL.Image")
    with SummaryWriter(tmp_path) as writer:
        writer.add_image("picture", mg.from_numpy(picture), 1)
        writer.add_image("grey", (picture[0] * 255).astype(np.uint8), dataformats="HW")
        writer.add_images("pictures", mg.zeros(10, 1, 2, 2))
        writer.add_image_with_boxes("boxes", mg.zeros(3, 20, 20), [[2, 2, 10, 10]], labels=["a"], rescale=2)
        writer.add_video("film", mg.rand(1, 3, 3, 6, 6), fps=2)
        with pytest.raises(ValueError, match="size of input tensor and input format are different"):
            writer.add_image("wrong", mg.zeros(2, 2))
        with pytest.raises(ValueError, match="1, 3 or 4 channels"):
            writer.add_image("wrong", mg.zeros(2, 2, 2))
    found = events(tmp_path)

    def pixels(tag: str) -> np.ndarray:
        return np.asarray(image.open(io.BytesIO(found.Images(tag)[0].encoded_image_string)))

    np.testing.assert_array_equal(pixels("picture"), (picture * 255).astype(np.uint8).transpose(1, 2, 0))
    assert pixels("grey").shape == (4, 5) and pixels("pictures").shape == (4, 16)
    assert pixels("boxes").shape == (40, 40, 3) and pixels("boxes")[..., 0].max() == 255
    film = image.open(io.BytesIO(found.Images("film")[0].encoded_image_string))
    assert (film.format, film.n_frames, film.size) == ("GIF", 3, (6, 6))


@needs_tensorboard
def test_a_figure_is_its_picture(tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is the extra `plot`")
    matplotlib.use("agg")
    plot = pytest.importorskip("matplotlib.pyplot")
    figure, axes = plot.subplots(figsize=(2, 1), dpi=50)
    axes.plot([1, 2])
    with SummaryWriter(tmp_path) as writer:
        writer.add_figure("figure", figure, 1)
    assert not plot.fignum_exists(figure.number)
    assert (events(tmp_path).Images("figure")[0].width, events(tmp_path).Images("figure")[0].height) == (100, 50)


@needs_tensorboard
def test_audio_and_text(tmp_path: Path) -> None:
    sound = np.sin(np.linspace(0, 100, 800))
    with SummaryWriter(tmp_path) as writer:
        writer.add_audio("tone", mg.from_numpy(sound), 1, sample_rate=8000)
        writer.add_audio("stereo", np.stack([sound, -sound]), 1, sample_rate=8000)
        writer.add_text("note", "**hello** wörld", 1)
        with pytest.raises(ValueError, match="a sound is"):
            writer.add_audio("wrong", mg.zeros(2, 2, 2))
    found = events(tmp_path)
    with wave.open(io.BytesIO(found.Audio("tone")[0].encoded_audio_string)) as file:
        assert (file.getframerate(), file.getnframes(), file.getnchannels()) == (8000, 800, 1)
        back = np.frombuffer(file.readframes(800), "<i2") / 32767
    np.testing.assert_allclose(back, sound, atol=1e-4)
    with wave.open(io.BytesIO(found.Audio("stereo")[0].encoded_audio_string)) as file:
        assert file.getnchannels() == 2
    assert found.Tensors("note/text_summary")[0].tensor_proto.string_val[0].decode() == "**hello** wörld"


@needs_tensorboard
def test_precision_and_recall(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 200), rng.random(200)
    with SummaryWriter(tmp_path) as writer:
        writer.add_pr_curve("pr", labels, mg.from_numpy(scores), 1, num_thresholds=11)
    from tensorboard.util import tensor_util  # noqa: PLC0415

    rows = tensor_util.make_ndarray(events(tmp_path).Tensors("pr")[0].tensor_proto)
    for column, threshold in enumerate(np.arange(11) / 10):
        above = np.floor(scores * 10) >= np.round(threshold * 10)
        true = int((above & (labels == 1)).sum())
        assert rows[0, column] == true and rows[1, column] == int(above.sum()) - true
        assert rows[5, column] == pytest.approx(true / labels.sum(), rel=1e-6)


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.Dropout()

    def forward(self, x):
        return self.drop(nn.functional.relu(self.norm(self.conv(x))))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks, self.head = nn.Sequential(Block(1, 4), Block(4, 4)), nn.Linear(4, 3)

    def forward(self, x, scale):
        return {"scores": self.head(self.blocks(x).mean((2, 3)) * scale)}


@needs_tensorboard
def test_the_graph_is_grouped_by_modules_and_changes_nothing(tmp_path: Path) -> None:
    net = Net()
    before = {name: value.numpy().copy() for name, value in net.state_dict().items()}
    with SummaryWriter(tmp_path) as writer:
        writer.add_graph(net, (mg.rand(2, 1, 8, 8), mg.tensor(2.0)))
        with pytest.raises(ValueError, match="needs an example input"):
            writer.add_graph(net)
    graph = events(tmp_path).Graph()
    nodes = {node.name: node for node in graph.node}
    assert len(nodes) == len(graph.node)
    conv = nodes["Net/blocks/1/conv/conv"]
    assert list(conv.input) == ["Net/blocks/0/relu", "Net/blocks/1/conv/weight"]
    assert nodes["Net/blocks/1/conv/weight"].op == "Parameter" and nodes["input/0"].op == "Input"
    assert [d.size for d in conv.attr["_output_shapes"].list.shape[0].dim] == [2, 4, 8, 8]
    assert all(name in nodes for node in graph.node for name in node.input)
    assert list(nodes["output"].input) == ["Net/head/linear"]
    assert net.training and not net._forward_hooks and not net.head._forward_pre_hooks
    assert all(np.array_equal(before[name], value.numpy()) for name, value in net.state_dict().items())


@needs_tensorboard
def test_embeddings_for_the_projector(tmp_path: Path) -> None:
    points = np.random.default_rng(0).random((5, 3)).astype(np.float32)
    with SummaryWriter(tmp_path) as writer:
        writer.add_embedding(mg.from_numpy(points), ["a", "b\tb", "c", "d", "e"], mg.rand(5, 1, 4, 4), 3, "words")
        writer.add_embedding(points, [["a", 1]] * 5, tag="more", metadata_header=["name", "n"])
        writer.add_embedding(points, [["a", 1]] * 5, tag="more", metadata_header=["name", "n"])
        with pytest.raises(ValueError, match="#labels should equal with #data points"):
            writer.add_embedding(points, ["a"])
        with pytest.raises(ValueError, match="mat should be 2D"):
            writer.add_embedding(mg.zeros(3))
    folder = tmp_path / "00003" / "words"
    np.testing.assert_array_equal(np.loadtxt(folder / "tensors.tsv", dtype=np.float32), points)
    assert (folder / "metadata.tsv").read_text().splitlines() == ["a", "b b", "c", "d", "e"]
    assert struct.unpack(">II", (folder / "sprite.png").read_bytes()[16:24]) == (12, 12)
    config = (tmp_path / "projector_config.pbtxt").read_text()
    assert config.count("embeddings {") == 2 and 'tensor_path: "00003/words/tensors.tsv"' in config
    assert (tmp_path / "00000" / "more" / "metadata.tsv").read_text().splitlines()[:2] == ["name\tn", "a\t1"]


@needs_tensorboard
def test_hparams_custom_charts_and_meshes(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_hparams({"lr": 0.1, "deep": True, "kind": "sgd", "n": mg.tensor(3)}, {"accuracy": 0.9}, {"lr": [0.1, 1.0]}, "run")
        writer.add_custom_scalars({"all": {"losses": ["Multiline", ["train", "test"]], "band": ["Margin", ["m", "lo", "hi"]]}})
        writer.add_mesh("points", mg.rand(1, 4, 3), colors=mg.zeros(1, 4, 3), faces=mg.tensor([[[0, 1, 2]]]))
        with pytest.raises(ValueError, match="hyperparameter 'lr' is"):
            writer.add_hparams({"lr": object()}, {"a": 1})
        with pytest.raises(TypeError, match="should be dictionary"):
            writer.add_hparams([1], {})
        with pytest.raises(ValueError, match="three tags"):
            writer.add_custom_scalars_marginchart(["a"])
    run = events(tmp_path / "run")
    from tensorboard.plugins.hparams import metadata  # noqa: PLC0415

    content = run.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    started = metadata.parse_session_start_info_plugin_data(content).hparams
    assert (started["lr"].number_value, started["deep"].bool_value, started["kind"].string_value, started["n"].number_value) == (
        0.1, True, "sgd", 3.0,
    )  # fmt: skip
    assert run.Scalars("accuracy")[0].value == pytest.approx(0.9)
    assert {"custom_scalars__config__", "points_VERTEX", "points_FACE", "points_COLOR"} <= set(events(tmp_path).Tags()["tensors"])


def test_pixels() -> None:
    assert pixels_of(np.array([[0.5, np.nan, 2.0]]), "hw")[..., 0].tolist() == [[127, 0, 255]]
    assert pixels_of(np.array([[True, False]]), "HW")[..., 0].tolist() == [[255, 0]]
    with pytest.raises(ValueError, match="dataformats has H, W"):
        pixels_of(np.zeros((2, 2)), "HX")


def test_png() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    data = png(pixels)
    start = data.index(b"IDAT") + 4
    size = struct.unpack(">I", data[start - 8 : start - 4])[0]
    rows = np.frombuffer(zlib.decompress(data[start : start + size]), np.uint8).reshape(2, 13)
    np.testing.assert_array_equal(rows[:, 1:].reshape(2, 4, 3), pixels)


def test_checkpoint_calls_the_function() -> None:
    x = mg.ones(2, requires_grad=True)
    checkpoint(lambda a, k: a * k, x, 3, use_reentrant=False).sum().backward()
    assert x.grad.tolist() == [3, 3]
    assert checkpoint_sequential(mg.nn.Sequential(mg.nn.ReLU(), mg.nn.Flatten()), 2, mg.ones(1, 2)).shape == (1, 2)
