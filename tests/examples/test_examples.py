"""Every example in its short form: it runs as a newcomer would run it, prints its metric, and reaches what is expected of it."""

from __future__ import annotations

import gzip
import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.house.source_tree import ROOT

NEEDS = {
    "cartpole": "gymnasium", "char_gpt": None, "fashion_mnist": "sklearn", "gan_digits": "sklearn", "tabular": "sklearn",
    "text_classification": None, "time_series": "statsmodels", "unet_shapes": None, "vae_digits": "sklearn", "word_embeddings": None,
}  # fmt: skip
OTHERS = {"digits_cnn", "picture", "run_artifact", "shipped_texts", "verdict"}


def test_no_example_is_left_out() -> None:
    assert {f.stem for f in (ROOT / "examples").glob("*.py")} == set(NEEDS) | OTHERS


def started(name: str, where: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py"), *arguments],
        cwd=where, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.mark.parametrize("name", NEEDS)
def test_it_reaches_its_metric(name: str, tmp_path: Path) -> None:
    needed = NEEDS[name]
    if needed is not None:
        pytest.importorskip(needed, reason=f"{needed} is not installed; it is in the demo or examples extra")
    result = started(name, tmp_path, "--quick")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    assert "(expected: at " in result.stdout.splitlines()[-1]
    assert not list(tmp_path.iterdir()), "an example leaves files where it is started"


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


def test_a_missed_metric_is_an_exit_status(examples: None, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = module("verdict").verdict
    assert verdict("accuracy", 0.95, at_least=0.9) == 0 and verdict("loss", 1.5, at_most=1.5) == 0
    assert verdict("accuracy", 0.85, at_least=0.9) == 1 and verdict("loss", float("nan"), at_most=1.5) == 1
    assert "accuracy: 0.85 (expected: at least 0.9)" in capsys.readouterr().err


def test_a_missing_package_is_named(examples: None) -> None:
    with pytest.raises(SystemExit, match="this example needs no-such: pip install no-such"):
        module("verdict").package("no_such_module", "no-such")


def test_without_the_debian_packages(examples: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    texts = module("shipped_texts")
    monkeypatch.setattr(texts, "FORTUNES", tmp_path / "absent")
    assert len(texts.one_text()) > 1_000_000
    assert sum(len(found) > 100 for found in texts.by_subject().values()) >= 6

    pytest.importorskip("sklearn", reason="the demo extra is not installed; `make test` installs it")
    fashion = module("fashion_mnist")
    monkeypatch.setattr(fashion, "FOLDER", tmp_path / "absent")
    x, y, test_x, _ = fashion.load()
    assert x.shape == (1437, 1, 28, 28) and test_x.shape == (360, 1, 28, 28) and x.dtype == np.float32 and y.dtype == np.int64


def test_it_reads_the_format_of_mnist(examples: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    header = bytes([0, 0, 8, 3]) + np.array(images.shape, ">u4").tobytes()
    (tmp_path / "some.gz").write_bytes(gzip.compress(header + images.tobytes()))
    fashion = module("fashion_mnist")
    monkeypatch.setattr(fashion, "FOLDER", tmp_path)
    assert np.array_equal(fashion.idx("some"), images)
