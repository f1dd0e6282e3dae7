"""`import torch` under the alias: the same modules, torch's version, clear errors, and no trace afterwards."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import monograph as mg
from monograph.compat.paths import FORWARDS, HIDDEN, MODULES
from monograph.compat.version import TorchVersion
from tests.house.source_tree import ROOT


def test_the_modules_are_ours() -> None:
    with mg.as_torch() as torch:
        import torch.nn as nn
        import torch.nn.functional as F
        import torch.optim.lr_scheduler
        import torch.utils.data as data
        from torch.nn.modules.batchnorm import _BatchNorm
        from torch.nn.modules.conv import Conv2d
        from torch.utils.data import DataLoader

        assert nn is mg.nn and F is mg.nn.functional and Conv2d is mg.nn.Conv2d and torch.Tensor is mg.Tensor
        assert issubclass(nn.BatchNorm2d, _BatchNorm) and data.DataLoader is DataLoader
        assert torch.optim.lr_scheduler.StepLR is mg.optim.lr_scheduler.StepLR
        assert mg.nn.__spec__.name == "monograph.nn"
    assert "torch" not in sys.modules and not any(name.startswith("torch.") for name in sys.modules)


@pytest.mark.parametrize("path", sorted({*MODULES, *FORWARDS} - HIDDEN))
def test_every_path_can_be_imported_under_both_names(path: str) -> None:
    ours = importlib.import_module(f"monograph.{path}")
    with mg.as_torch():
        theirs = importlib.import_module(f"torch.{path}")
    assert ours is theirs


def test_the_version_is_a_version() -> None:
    with mg.as_torch() as torch:
        assert torch.__version__ >= (2, 0) and torch.__version__ > "1.9.1" and torch.__version__ >= "2.13.0"
        assert not torch.__version__ < "2.9"
        assert importlib.metadata.version("torch") == str(torch.__version__)
        assert importlib.util.find_spec("torch") is not None


def test_versions_compare_by_number() -> None:
    v = TorchVersion("2.13.0a1+cpu")
    assert v < "2.13.0" and v > "2.12.9" and v >= (2, 12) and v == "2.13.0a1" and v != "2.13" and hash(v) == hash("2.13.0a1+cpu")


def test_what_is_not_there_is_said() -> None:
    with mg.as_torch() as torch:
        with pytest.raises(ModuleNotFoundError, match=r"torch\.nope.*torch is monograph here"):
            importlib.import_module("torch.nope")
        with pytest.raises(AttributeError, match="monograph under that name"):
            _ = torch.nope
        for room in ("engine", "targets", "compat", "data"):
            assert not hasattr(torch, room)
            with pytest.raises(ModuleNotFoundError):
                importlib.import_module(f"torch.{room}")


def test_nested_and_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), mg.as_torch() as outer:
        with mg.as_torch() as inner:
            assert inner is outer
        import torch

        assert torch is outer
        _ = 1 / 0
    assert not isinstance(sys.modules.get("torch"), type(outer))


def run(program: str, tmp_path: Path, *args: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "script.py"
    script.write_text(program, encoding="utf-8")
    command = [sys.executable, "-m", "monograph", "run", "--as", "torch", str(script), *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_a_script_with_worker_processes(tmp_path: Path) -> None:
    program = """
import sys
import torch, torch.multiprocessing as mp
from helper import TWO
def work(rank, out):
    import torch
    out.put((rank, torch.ones(TWO).sum().item(), torch.__name__))
if __name__ == "__main__":
    queue = mp.get_context("spawn").SimpleQueue()
    mp.spawn(work, args=(queue,), nprocs=1)
    print(queue.get(), sys.argv[1:], __file__.endswith("script.py"))
"""
    (tmp_path / "helper.py").write_text("TWO = 2\n", encoding="utf-8")
    result = run(program, tmp_path, "--lr", "1")
    assert result.stdout.strip() == "(0, 2.0, 'torch') ['--lr', '1'] True", result.stderr


def test_a_child_that_fails_is_reported(tmp_path: Path) -> None:
    program = """
import torch.multiprocessing as mp
def work(rank):
    raise ValueError("in the child")
if __name__ == "__main__":
    try:
        mp.spawn(work, nprocs=1)
    except mp.ProcessRaisedException as error:
        print("ValueError: in the child" in str(error))
"""
    result = run(program, tmp_path)
    assert result.stdout.strip() == "True", result.stderr


def test_import_stays_light() -> None:
    heavy = ("importlib.metadata", "email", "multiprocessing", "urllib.request")
    program = f"import sys, monograph; print(sorted(m for m in sys.modules if m in {heavy}))"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "[]", result.stderr


def test_what_prints_its_package_says_torch() -> None:
    shown = [mg.float32, mg.Size([2, 3]), mg.strided, mg.channels_last, mg.zeros(1, dtype=mg.int8)]
    before = [repr(x) for x in shown]
    assert before[:2] == ["monograph.float32", "monograph.Size([2, 3])"]
    with mg.as_torch() as torch:
        assert [repr(x) for x in shown] == [text.replace("monograph", "torch") for text in before]
        assert str(torch.ones(2).dtype) == "torch.float32"
    assert [repr(x) for x in shown] == before
