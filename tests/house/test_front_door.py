"""The front door: what `import monograph` offers, and that it is what it says."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import types

import pytest

import monograph as mg
import monograph.nn.functional as F
from monograph import nn
from tests.house.source_tree import ROOT

# Submodules that a script written for torch reaches as attributes, without importing them.
SUBMODULES = ("nn", "optim", "autograd", "utils", "export")
NAMES = (
    "Tensor tensor zeros ones empty full arange linspace eye zeros_like ones_like rand randn randint randperm manual_seed Generator "
    "float32 float64 float16 bfloat16 int8 int16 int32 int64 uint8 bool float double half int long short dtype device Size "
    "add sub mul div matmul bmm einsum cat stack split chunk where clamp exp log sqrt tanh sigmoid relu softmax sum mean var std max min "
    "argmax argmin sort topk gather scatter no_grad enable_grad inference_mode set_grad_enabled is_grad_enabled is_tensor allclose "
    "compile explain from_numpy as_tensor save load get_default_dtype set_default_dtype set_num_threads get_num_threads GradientTape"
).split()
LAYERS = (
    "Module Parameter Linear Conv1d Conv2d ConvTranspose2d BatchNorm1d BatchNorm2d LayerNorm GroupNorm Embedding Dropout ReLU GELU Tanh "
    "Sigmoid Softmax MaxPool2d AvgPool2d AdaptiveAvgPool2d Flatten Identity Sequential ModuleList ModuleDict MultiheadAttention LSTM GRU "
    "CrossEntropyLoss NLLLoss MSELoss BCEWithLogitsLoss"
).split()
FUNCTIONAL = "cross_entropy nll_loss mse_loss relu gelu softmax linear conv2d max_pool2d layer_norm dropout embedding".split()


def test_all_is_sorted_and_true() -> None:
    exported = mg.__all__
    assert list(exported) == sorted(set(exported), key=str)
    missing = [name for name in exported if not hasattr(mg, name)]
    assert not missing, missing


def test_all_lists_every_public_name() -> None:
    values = {name: value for name, value in vars(mg).items() if not name.startswith("_") and name not in ("annotations", "Any")}
    public = {name for name, value in values.items() if not isinstance(value, types.ModuleType)}
    assert not public - set(mg.__all__), f"reachable but not in __all__: {sorted(public - set(mg.__all__))}"


@pytest.mark.parametrize("name", SUBMODULES)
def test_submodules_are_reachable_without_importing_them(name: str) -> None:
    program = f"import monograph; print(type(monograph.{name}).__name__)"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "module", result.stderr


def test_the_names_of_the_first_milestone_are_there() -> None:
    missing = [name for name in NAMES if not hasattr(mg, name)]
    missing += [f"nn.{name}" for name in LAYERS if not hasattr(nn, name)]
    missing += [f"optim.{name}" for name in ("SGD", "Adam", "AdamW", "RMSprop") if not hasattr(mg.optim, name)]
    missing += [f"nn.functional.{name}" for name in FUNCTIONAL if not hasattr(F, name)]
    assert not missing, missing


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert mg.__version__ == project["version"]
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("module", ["monograph", "monograph.nn", "monograph.nn.functional", "monograph.optim"])
def test_public_functions_have_docstrings(module: str) -> None:
    __import__(module)
    names = vars(sys.modules[module])
    silent = [
        name
        for name in sys.modules[module].__all__
        if callable(names[name]) and not isinstance(names[name], type(mg.float32)) and not (names[name].__doc__ or "").strip()
    ]
    assert not silent, f"{module}: no docstring on {silent}"
