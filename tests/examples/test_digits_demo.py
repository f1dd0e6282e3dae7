"""The demo in short: a few epochs instead of all, then everything that `make demo` does with the result."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.house.source_tree import ROOT

Image = pytest.importorskip("PIL.Image", reason="the demo extra is not installed; `make test` installs it")
pytest.importorskip("sklearn", reason="the demo extra is not installed; `make test` installs it")


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    module = importlib.import_module("digits_cnn")
    monkeypatch.setattr(module, "OUT", tmp_path)
    monkeypatch.setattr(module, "EPOCHS", 5)
    monkeypatch.setattr(module, "UNCOMPILED_EPOCHS", 1)
    return module


def test_a_short_demo(demo: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = demo.load()
    assert [len(part) for part in data] == [1437, 1437, 360, 360]
    model = demo.DigitsCNN()
    losses, accuracies, seconds = demo.train(model, data)
    assert len(losses) == 5 * 22 and len(accuracies) == 5
    assert {mode: len(times) for mode, times in seconds.items()} == {"uncompiled": 22 + 4 * 5, "compiled": 4 * 17}
    assert np.mean(losses[-22:]) < 0.5 * np.mean(losses[:22])
    assert accuracies[-1] > 0.9

    reloaded, same_bits = demo.export_and_reload(model, data[2], data[3])
    assert reloaded == accuracies[-1]
    assert same_bits
    assert f"{reloaded:.2%} right" in capsys.readouterr().out


def test_the_picture_of_the_report(demo: ModuleType, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 60)
    predicted = np.where(rng.random(60) < 0.8, labels, (labels + 1) % 10)
    losses = np.geomspace(2.3, 0.01, 50) * rng.uniform(0.5, 2, 50)
    for name, guesses in (("some.png", predicted), ("none.png", labels)):
        demo.draw_report(tmp_path / name, losses.tolist(), [0.5, 0.9, 0.97], labels, guesses, rng.random((60, 8, 8)))
        with Image.open(tmp_path / name) as picture:
            assert picture.format == "PNG" and picture.width > 1000
            colours = picture.convert("RGB").getcolors(maxcolors=1 << 24)
            assert len(colours) > 50
