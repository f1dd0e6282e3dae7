"""What training writes for TensorBoard, read by its own reader and looked at in a browser."""

from __future__ import annotations

import contextlib
import gzip
import importlib.util
import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph import nn, train
from monograph.utils.tensorboard import SummaryWriter
from tests.train.browser import CHROMIUM, Page
from tests.train.line import Line, data, quiet

if importlib.util.find_spec("tensorboard") is None:
    pytest.skip("tensorboard is the extra of that name", allow_module_level=True)


def events(folder: Path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    everything = dict.fromkeys(accumulator.DEFAULT_SIZE_GUIDANCE, 0)
    return accumulator.EventAccumulator(str(folder), size_guidance=everything).Reload()


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(6, 4), nn.Linear(4, 1)

    def forward(self, x):
        return self.head(self.table(x).mean(1))


def test_keras_callback(tmp_path) -> None:
    x = np.random.default_rng(0).integers(0, 6, (40, 3))
    model = Words()
    model.compile("sgd", "mse")
    board = train.TensorBoard(
        tmp_path, histogram_freq=2, write_images=True, update_freq=2, write_steps_per_second=True, embeddings_freq=1,
        embeddings_metadata={"table": list("abcdef")},
    )  # fmt: skip
    history = model.fit(x, x.sum(1, keepdims=True), batch_size=10, validation_split=0.25, epochs=3, verbose=0, callbacks=[board])
    found, looked = events(tmp_path / "train"), events(tmp_path / "validation")
    np.testing.assert_allclose([e.value for e in found.Scalars("epoch_loss")], history.history["loss"], rtol=1e-6)
    np.testing.assert_allclose([e.value for e in looked.Scalars("epoch_loss")], history.history["val_loss"], rtol=1e-6)
    assert [e.step for e in found.Scalars("batch_loss")] == [2, 4, 6, 8]
    assert [e.step for e in looked.Scalars("evaluation_loss_vs_iterations")] == [3, 6, 9]
    assert [e.step for e in found.Histograms("head/weight")] == [0, 2] and found.Images("table/weight/image")[0].height == 6
    assert len(found.Scalars("epoch_steps_per_second")) == 3
    assert "Words/table/weight" in {node.name for node in found.Graph().node}
    assert (tmp_path / "train" / "00002" / "table" / "metadata.tsv").read_text().split() == list("abcdef")
    with pytest.raises(ValueError, match="the model's embeddings are table"):
        board = train.TensorBoard(tmp_path, embeddings_metadata={"tabel": []})
        model.fit(x, x.sum(1, keepdims=True), verbose=0, callbacks=[board])
    for wrong in ((3, 2), -1, (0, 2), "2"):
        with pytest.raises(ValueError, match="profile_batch is the number of a step"):
            train.TensorBoard(profile_batch=wrong)


@pytest.mark.parametrize(("given", "steps"), [(2, {2}), ((5, 7), {5, 6, 7}), ((9, 40), {9, 10}), (0, set())])
def test_keras_callback_profiles_steps(tmp_path, given, steps) -> None:
    board = train.TensorBoard(tmp_path, write_graph=False, profile_batch=given)
    model = nn.Linear(4, 1)
    model.compile("sgd", "mse")
    model.fit(np.ones((40, 4), np.float32), np.ones((40, 1), np.float32), batch_size=8, epochs=2, verbose=0, callbacks=[board])
    files = list(tmp_path.glob("train/plugins/profile/*/*.xplane.pb"))
    assert len(files) == bool(steps)
    told = files[0].read_bytes().count(b"ProfilerStep") if files else 0
    assert told == bool(steps)  # the name once, and each step refers to it
    assert not files or files[0].read_bytes().count(b"matmul:Matmul") == 1


def test_a_model_that_cannot_be_drawn_is_trained_all_the_same(tmp_path) -> None:
    class Odd(Line):
        def forward(self, x, scale, mask):
            return self.layer(x) * scale * mask

    quiet(max_epochs=1, callbacks=[train.TensorBoard(tmp_path)]).fit(Odd(), data())
    told = events(tmp_path / "train").Tensors("graph/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "so there is no graph of it: TypeError" in told


def test_logger(tmp_path) -> None:
    class Described(Line):
        def __init__(self) -> None:
            super().__init__()
            self.example_input_array = mg.zeros(1, 4)
            self.save_hyperparameters(lr=0.05, nested={"a": 1}, kind="line")

    def fit(**settings) -> train.TensorBoardLogger:
        logger = train.TensorBoardLogger(tmp_path, name="lines", **settings)
        trainer = train.Trainer(max_epochs=2, logger=logger, enable_progress_bar=False, log_every_n_steps=2)
        trainer.fit(Described(), data(), data())
        return logger

    logger = fit(log_graph=True)
    folder = tmp_path / "lines" / "version_0"
    found = events(folder)
    assert [e.step for e in found.Scalars("train_loss_step")] == [2, 4, 6, 8, 10] and len(found.Scalars("val_loss")) == 2
    assert found.Scalars("hp_metric")[0].value == -1 and "Described/layer/linear" in {node.name for node in found.Graph().node}
    assert "_hparams_/session_start_info" in found.Tags()["tensors"]
    assert json.loads((folder / "hparams.json").read_text()) == {"lr": 0.05, "nested/a": 1, "kind": "line"}
    assert [p.name for p in (folder / "checkpoints").iterdir()] == ["epoch=1-step=10.ckpt"]
    assert logger.version == 0 and fit(prefix="run", sub_dir="sub").version == 1
    assert events(tmp_path / "lines" / "version_1" / "sub").Scalars("run-val_loss")
    logger.log_metrics({"later": 1.0}, 3)
    logger.finalize("finished")
    assert events(folder).Scalars("later")[0].step == 3
    with pytest.raises(ValueError, match=r"set self\.example_input_array"):
        train.TensorBoardLogger(tmp_path, log_graph=True).log_graph(Line())


# ---- in a browser ----
class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs)

    def forward(self, x):
        return nn.functional.relu(self.norm(self.conv(x)))


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks, self.head = nn.Sequential(Block(1, 4), Block(4, 8)), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.blocks(x).mean((2, 3)))


def write_everything(folder: Path) -> None:
    """Something for every tab."""
    rng = np.random.default_rng(0)
    with SummaryWriter(folder / "first") as writer:
        for step in range(20):
            writer.add_scalar("curve/loss", 1 / (step + 1), step)
            writer.add_scalar("curve/bound", 1.5 / (step + 1), step)
            writer.add_histogram("weights", rng.normal(step / 10, 1, 1000), step)
        picture = np.linspace(0, 1, 32 * 32).reshape(1, 32, 32)
        writer.add_image("gradient", picture, 0)
        writer.add_text("note", "| a | b |\n|---|---|\n| one | two |", 0)
        writer.add_audio("tone", np.sin(np.linspace(0, 3000, 8000)), 0, sample_rate=8000)
        writer.add_graph(Classifier(), mg.zeros(2, 1, 16, 16))
        writer.add_embedding(rng.normal(size=(40, 8)), [f"point {i}" for i in range(40)], tag="points")
        writer.add_pr_curve("detector", rng.integers(0, 2, 300), rng.random(300), 0)
        writer.add_custom_scalars({"losses": {"together": ["Multiline", ["curve/loss", "curve/bound"]]}})
        writer.add_hparams({"lr": 0.125, "kind": "sgd"}, {"reached": 0.875}, run_name="small")
        writer.add_hparams({"lr": 0.25, "kind": "adam"}, {"reached": 0.9375}, run_name="large")
        writer.add_mesh("cloud", rng.normal(size=(1, 200, 3)), rng.integers(0, 255, (1, 200, 3)))


TABS = {
    "scalars": ("curve", "loss"),
    "timeseries": ("curve", "loss", "weights", "gradient"),
    "images": ("gradient", "step 0"),
    "graphs": ("Classifier", "input", "output", "blocks", "head"),
    "histograms": ("weights",),
    "distributions": ("weights",),
    "text": ("note", "one", "two"),
    "audio": ("tone",),
    "projector": ("points:00000", "Dimension", "40"),
    "hparams": ("lr", "0.12500", "adam", "reached"),
    "pr_curves": ("detector",),
    "custom_scalars": ("losses", "together"),
    "mesh": ("cloud",),
}


# A double click on the model, as a person would make to look inside.
EXPAND = """(() => {
  const find = (root) => {
    for (const node of root.querySelectorAll("*")) {
      if (node.matches("g.node") && node.getAttribute("data-name") === "Classifier") return node;
      const inside = node.shadowRoot && find(node.shadowRoot);
      if (inside) return inside;
    }
  };
  const target = find(document).querySelector(".nodeshape rect, rect");
  target.dispatchEvent(new MouseEvent("dblclick", {bubbles: true, composed: true}));
})()"""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """TensorBoard on a folder; gives its address."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", "0", "--load_fast", "false"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    said: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:  # to the end, so that it never waits for a reader
        with server.stdout as lines:
            for line in lines:
                said.put(line)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        while (found := re.search(r"http://[^:]+:(\d+)", said.get(timeout=120))) is None:
            pass
        yield f"http://127.0.0.1:{found[1]}"
    finally:
        server.terminate()
        server.wait(30)
        reader.join(30)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium to look with")
def test_every_tab_shows_its_data_in_a_browser(tmp_path) -> None:
    write_everything(tmp_path / "logs")
    pictures = Path(os.environ.get("MONOGRAPH_SCREENSHOTS", tmp_path))
    missing = {}
    with served(tmp_path / "logs") as address, Page(tmp_path / "profile") as page:
        page.open(f"{address}/#scalars")
        page.wait_for("curve")  # the server has read the files
        for tab, words in TABS.items():
            page.open(f"{address}/#{tab}")
            if tab == "graphs":
                page.wait_for("Classifier")
                page.evaluate(EXPAND)
            text = page.wait_for(*words)
            picture = page.picture(pictures / f"{tab}.png")
            absent = [word for word in words if word not in text]
            if absent or len(picture) < 10_000:
                missing[tab] = absent, len(picture), text[-600:]
    assert not missing, missing


def write_trace(folder: Path) -> None:
    """Two recorded steps of a small layer, as users have them written."""
    layer = nn.Linear(8, 4)
    handler = mg.profiler.tensorboard_trace_handler(str(folder), worker_name="here")
    with mg.profiler.profile(on_trace_ready=handler, schedule=mg.profiler.schedule(wait=0, warmup=1, active=2)) as profiler:
        for _ in range(3):
            with mg.profiler.record_function("forward"):
                layer(mg.ones(16, 8)).exp().sum().item()
            profiler.step()


# A click on an entry of a list that a click on the list opens: what a person does to choose a tool.
CHOOSE = """(async () => {
  const page = document.querySelector("iframe").contentDocument;
  const wait = () => new Promise((done) => setTimeout(done, 100));
  const found = async (kind, text) => {
    for (;;) {
      const one = [...page.querySelectorAll(kind)].find((node) => node.innerText.trim() === text);
      if (one) return one;
      await wait();
    }
  };
  (await found("mat-select", "Overview Page")).querySelector(".mat-mdc-select-trigger").click();
  (await found("mat-option", "Trace Viewer")).click();
})()"""
# How many colours the trace's canvas has: none where nothing was drawn.
COLOURS = """(() => {
  const all = (node) => {
    const body = node.nodeName === "IFRAME" ? node.contentDocument?.body : null;
    const inner = [...(node.shadowRoot ? node.shadowRoot.childNodes : []), ...node.childNodes, ...(body ? [body] : [])];
    return [...(node.nodeName === "CANVAS" ? [node] : []), ...inner.flatMap(all)];
  };
  return Math.max(0, ...all(document.body).filter((canvas) => canvas.width * canvas.height).map((canvas) => {
    const data = canvas.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height).data ?? new Uint8Array(0);
    return new Set(new Uint32Array(data.buffer)).size;
  }));
})()"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium to look with")
def test_the_profile_tab_shows_our_traces_in_a_browser(tmp_path) -> None:
    """xprof's page is whole without the net, but for the charts of its tables: their numbers are asked of its server."""
    if importlib.util.find_spec("xprof") is None:
        pytest.skip("the tab is a package of its own, in the extra `profile`")
    write_trace(tmp_path / "logs" / "first")
    run = "first/" + next(tmp_path.glob("logs/first/plugins/profile/*")).name

    def asked(tool: str) -> str:
        query = urllib.parse.urlencode({"run": run, "tag": tool, "host": "here"})
        with urllib.request.urlopen(f"{address}/data/plugin/profile/data?{query}", timeout=60) as answer:
            data = answer.read()
        return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()

    pictures = Path(os.environ.get("MONOGRAPH_SCREENSHOTS", tmp_path))
    with served(tmp_path / "logs") as address, Page(tmp_path / "profile") as page:
        page.open(f"{address}/#profile")
        overview = page.wait_for("Performance Summary", run)
        assert "Performance Summary" in overview and run in overview
        page.picture(pictures / "profile_overview.png")
        page.evaluate(CHOOSE)
        trace = page.wait_for("thread 1", "here /host:CPU", "Flow events")
        assert "thread 1" in trace and "here /host:CPU" in trace
        page.picture(pictures / "profile_trace.png")
        assert page.evaluate(COLOURS) > 5
        for word in ("ProfilerStep", "forward", "aten::exp", "kernel::matmul"):
            assert word in asked("trace_viewer@"), word
        assert "ProfilerStep 2" in asked("overview_page")
        table = next(part for part in json.loads(asked("framework_op_stats")) if part["rows"])
        calls = {row["c"][3]["v"]: row["c"][4]["v"] for row in table["rows"]}
        assert calls["exp"] == 2 and "matmul" in calls


@pytest.mark.slow
def test_the_other_profiler_tab_reads_our_traces(tmp_path) -> None:
    """Its page fetches its chart and trace libraries from the net, so what is looked at is what its server gives the page."""
    pytest.importorskip("torch_tb_profiler", reason="the tab is a package of its own, torch-tb-profiler")
    write_trace(tmp_path / "run")

    def asked(what: str) -> Any:
        with urllib.request.urlopen(f"{address}/data/plugin/pytorch_profiler/{what}", timeout=30) as answer:
            return json.load(answer)

    with served(tmp_path) as address:
        end = time.monotonic() + 60
        while asked("runs") != {"runs": ["run"], "loading": False} and time.monotonic() < end:
            time.sleep(0.5)
        assert "Trace" in asked("views?run=run") and asked("workers?run=run&view=Overview") == ["here"]
        of = "run=run&worker=here&span=1"
        table = {row["name"]: row for row in asked(f"operation/table?{of}&view=Operator&group_by=Operation")["data"]}
        assert {"aten::exp", "aten::sum"} <= set(table) and table["aten::exp"]["calls"] == 2
        assert len(asked(f"overview?{of}&view=Overview")["steps"]["rows"]) == 2
