"""`train`, `evaluate`, `predict`, `export`: from a configuration to an artifact."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import monograph as mg
from tests.cli.running import monograph

pytest.importorskip("sklearn", reason="the built-in data sets come from scikit-learn (the extra `demo`)")

CONFIG = """\
output = "run"
loss = "cross_entropy"
metrics = ["accuracy"]
seed = 3
model = "mlp"

[data]
name = "iris"
batch_size = 16

[optimizer]
name = "adam"
args = { lr = 0.02 }

[trainer]
max_epochs = 12
enable_progress_bar = false
enable_model_summary = false
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "iris.toml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def test_the_whole_way(project: Path) -> None:
    trained = monograph("train", "iris.toml")
    assert trained.status == 0, trained.err
    assert {p.name for p in (project / "run").iterdir()} == {"config.json", "checkpoints", "logs"}

    evaluated = monograph("evaluate", "run", "--json")
    assert evaluated.status == 0 and json.loads(evaluated.out)["accuracy"] >= 0.9, evaluated.out + evaluated.err
    assert set(json.loads(monograph("evaluate", "run", "--json", "--on", "validation", "--checkpoint", "last").out)) == {"loss", "accuracy"}

    x = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    np.save("x.npy", x)
    np.savez("x.npz", x=x, other=x)
    assert monograph("export", "run", "--output", "iris.mg").status == 0
    outputs = []
    for source, file in (("run", "x.npy"), ("iris.mg", "x.npy"), ("iris.mg", "x.npz")):
        assert monograph("predict", source, "--input", file, "--output", "y.npy", "--batch", 3).status == 0
        outputs.append(np.load("y.npy"))
    assert outputs[0].shape == (7, 3) and all(np.array_equal(outputs[0], y) for y in outputs)
    assert "30 rows" not in monograph("predict", "run", "--input", "x.npy").out and "30 rows" in monograph("predict", "run").out

    again = monograph("train", "iris.toml")
    assert again.status == 4 and "--resume" in again.err and "--overwrite" in again.err


def test_a_resumed_run_ends_with_the_same_bits(project: Path) -> None:
    def weights(folder: str) -> dict[str, mg.Tensor]:
        return mg.load(project / folder / "checkpoints" / "last.ckpt")["state_dict"]

    assert monograph("train", "iris.toml", "--output=whole", "--trainer.max_epochs=4").status == 0
    assert monograph("train", "iris.toml", "--output", "parts", "--trainer.max_epochs=2").status == 0
    resumed = monograph("train", "iris.toml", "--output=parts", "--trainer.max_epochs=4", "--resume")
    assert resumed.status == 0, resumed.err
    whole, parts = weights("whole"), weights("parts")
    assert all(mg.equal(whole[name], parts[name]) for name in whole)
    nothing = monograph("train", "iris.toml", "--output=empty", "--resume")
    assert nothing.status == 4 and "nothing to resume" in nothing.err


def test_a_model_of_the_users_own(project: Path) -> None:
    (project / "mine.py").write_text(
        """\
import numpy as np
import monograph as mg
from monograph import nn, train


class Line(nn.Module):
    def __init__(self, width: int = 1) -> None:
        super().__init__()
        self.layer = nn.Linear(2, width)

    def forward(self, x):
        return self.layer(x)


class Task(train.TrainModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = (self.layer(x) - y).square().mean()
        self.log("loss", loss)
        return loss

    test_step = training_step

    def configure_optimizers(self):
        return mg.optim.SGD(self.parameters(), lr=0.1)


def points(n: int = 100):
    x = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
    return x, x @ np.array([[1.0], [2.0]], np.float32)


def broken():
    raise ZeroDivisionError("in the user's own code")
""",
        encoding="utf-8",
    )
    common = {"data": {"name": "mine.py:points", "args": {"n": 200}}, "trainer": {"max_epochs": 20, "enable_progress_bar": False}}
    (project / "line.json").write_text(json.dumps({**common, "model": "mine.py:Line", "loss": "mse", "optimizer": {"args": {"lr": 0.05}}}))
    (project / "task.json").write_text(json.dumps({**common, "model": "mine.py:Task"}))
    for name in ("line", "task"):
        assert monograph("train", f"{name}.json").status == 0
        assert json.loads(monograph("evaluate", f"runs/{name}", "--json").out)["loss"] < 1e-2
    wrong = monograph("train", "line.json", "--model.args.widht=2")
    assert wrong.status == 3 and "model.args.widht (= 2) is not known; did you mean width?" in wrong.err
    wrong = monograph("train", "line.json", "--model.args.width=wide")
    assert wrong.status == 3 and "model.args.width is 'wide'; it takes a whole number" in wrong.err
    wrong = monograph("train", "line.json", "--model.name=mine.py:Lime")
    assert wrong.status == 3 and "did you mean Line?" in wrong.err
    with pytest.raises(ZeroDivisionError, match="user's own"):
        monograph("train", "line.json", "--data.name=mine.py:broken", "--data.args={}", "--output=elsewhere")


def test_data_from_files(project: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    np.savez("d.npz", x=x, y=(x.sum(1) > 0).astype(np.int64), x_test=x[:9], y_test=(x[:9].sum(1) > 0).astype(np.int64))
    rows = "\n".join(f'{a:.4f},{b:.4f},{c:.4f},"{"up, high" if a + b + c > 0 else "down"}"' for a, b, c in x)
    Path("d.csv").write_text(f"a,b,c,kind\n{rows}\n", encoding="utf-8")
    for file in ("d.npz", "d.csv"):
        trained = monograph("train", "iris.toml", f"--data.name={file}", f"--output={file}-run")
        assert trained.status == 0, trained.err
        assert json.loads(monograph("evaluate", f"{file}-run", "--json").out)["accuracy"] >= 0.75
    missing = monograph("train", "iris.toml", "--data.name=none.npz")
    assert missing.status == 4 and "there is no file" in missing.err
    target = monograph("train", "iris.toml", "--data.name=d.csv", "--data.args.target=kinds", "--output=other")
    assert target.status == 3 and "did you mean kind?" in target.err


def test_everything_wrong_is_named_at_once(project: Path) -> None:
    result = monograph(
        "train", "iris.toml", "--trainer.max_epoch=3", "--optimizer.args.lr=fast", "--loss=cros_entropy", '--metrics=["acuracy"]',
        "--callbacks.EarlyStoping.patience=3", "--model.name=mlpp", "--data.name=irish",
    )  # fmt: skip
    assert result.status == 3 and "7 problems" in result.err
    for message in (
        "trainer.max_epoch (= 3) is not known; did you mean max_epochs?", "optimizer.args.lr is 'fast'; it takes a number",
        "loss (= 'cros_entropy') is not known; did you mean cross_entropy?",
        "metrics[0] (= 'acuracy') is not known; did you mean accuracy?",
        "did you mean EarlyStopping?", "model.name (= 'mlpp') is not known; did you mean mlp?", "did you mean iris?",
    ):  # fmt: skip
        assert message in result.err, message
    shapes = monograph("train", "iris.toml", "--data.batch_size=0", "--data.validation_split=1", "--seed=x", "--data.shufle=false")
    assert shapes.status == 3
    for message in (
        "data.batch_size is 0; it must be 1 or more", "data.validation_split is 1; it must be 0 or more and below 1",
        "seed is 'x'; it takes a whole number", "data.shufle (= False) is not known; did you mean shuffle?",
    ):  # fmt: skip
        assert message in shapes.err, message
    refused = monograph("train", "iris.toml", "--optimizer.args.lr=-1")
    assert refused.status == 3 and "Adam refuses" in refused.err
    refused = monograph("train", "iris.toml", "--trainer.accelerator=gpu")
    assert refused.status == 3 and "accelerator='gpu'" in refused.err
    assert not (project / "run").exists()


def test_files_that_are_no_configuration(project: Path) -> None:
    Path("a.toml").write_text("model = [", encoding="utf-8")
    Path("b.json").write_text("[1]", encoding="utf-8")
    Path("c.txt").write_text("", encoding="utf-8")
    Path("d.toml").write_text("[data]\nname = 'iris'\n", encoding="utf-8")
    for name, status, text in (
        ("a.toml", 3, "not valid TOML"), ("b.json", 3, "not a table"), ("c.txt", 3, "'.txt'"), ("none.toml", 4, "No such file"),
        ("nothing", 4, "built-in example (digits, iris, diabetes)"), (".", 4, "no config.json"), ("d.toml", 3, "model is missing"),
    ):  # fmt: skip
        result = monograph("train", name)
        assert result.status == status and text in result.err, (name, result)


def test_print_config_writes_what_train_reads(project: Path) -> None:
    printed = monograph("train", "iris.toml", "--print-config", "--seed=9", "--model.args.hidden=[8]")
    assert printed.status == 0 and not (project / "run").exists()
    Path("again.json").write_text(printed.out, encoding="utf-8")
    assert monograph("train", "again.json", "--print-config").out == printed.out
    assert json.loads(printed.out)["seed"] == 9 and json.loads(printed.out)["model"]["args"] == {"hidden": [8]}


def test_weights_of_another_model_and_damaged_checkpoints(project: Path) -> None:
    assert monograph("train", "iris.toml", "--trainer.max_epochs=1").status == 0
    other = monograph("evaluate", "run", "--model.args.hidden=[5]")
    assert other.status == 3 and "another model" in other.err
    last = project / "run" / "checkpoints" / "last.ckpt"
    cut = project / "cut.ckpt"
    cut.write_bytes(last.read_bytes()[:500])
    damaged = monograph("evaluate", "run", "--checkpoint", cut)
    assert damaged.status == 4 and "damaged" in damaged.err
    assert monograph("evaluate", "run", "--checkpoint", "none.ckpt").status == 4
    for file in last.parent.iterdir():
        file.unlink()
    none = monograph("evaluate", "run")
    assert none.status == 4 and "no whole checkpoint" in none.err
