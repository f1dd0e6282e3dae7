"""The import law: the contracts hold, and the linter that checks them does see a violation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.house.source_tree import PACKAGE, ROOT, imported_modules, name_of, python_files

# What a room may import besides Python's own library (DESIGN: "external imports"). A room that is absent may import nothing.
EXTERNAL = {
    "core": {"numpy", "ml_dtypes"},
    "graph": {"numpy"},
    "runtime": {"numpy"},
    "ops": {"numpy", "ml_dtypes"},
    "targets/reference": {"numpy"},
    "targets/llvm": {"llvmlite", "numpy", "ml_dtypes"},
    "targets/cpu": {"llvmlite", "numpy"},
    "engine": {"numpy", "safetensors"},
    "tensor": {"numpy"},
    "linalg": {"numpy"},
    "sparse": {"numpy"},
    "fft": {"numpy"},
    "signal": {"numpy"},
    "serialization": {"numpy", "safetensors"},
    "testing": {"numpy"},
    "array_api": {"numpy"},
    "nn": {"numpy"},
    "optim": {"numpy"},
    "data": {"numpy", "safetensors"},
    "utils": {"numpy"},
    "metrics": {"numpy"},
    "train": {"numpy"},
    "cli": {"numpy", "safetensors"},
}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"}
    return subprocess.run([sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def copy_of_the_house(tmp_path: Path) -> Path:
    shutil.copytree(PACKAGE, tmp_path / "monograph", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_contract_is_kept() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


@pytest.mark.parametrize(
    ("where", "planted", "contract"),
    [
        ("core/planted.py", "from monograph import tensor", "The floors of the house"),
        ("nn/planted.py", "from monograph import optim", "The floors of the house"),
        ("passes/planted.py", "def later():\n    import monograph.engine", "The floors of the house"),
        ("attic/__init__.py", "", "The floors of the house"),
        ("targets/reference/planted.py", "import monograph.targets.cpu", "Targets do not know each other"),
        ("engine/planted.py", "import llvmlite.binding", "llvmlite stays"),
        ("data/planted.py", "import torch", "No other framework"),
    ],
    ids=["upwards", "sideways", "inside a function", "a room without a floor", "target to target", "llvmlite upstairs", "torch"],
)
def test_a_planted_violation_is_seen(copy_of_the_house: Path, where: str, planted: str, contract: str) -> None:
    path = copy_of_the_house / "monograph" / where
    path.parent.mkdir(exist_ok=True)
    path.write_text(planted + "\n", encoding="utf-8")
    result = lint_imports(copy_of_the_house)
    assert result.returncode != 0, "the linter passed a house with a planted violation"
    assert contract in result.stdout + result.stderr


def test_external_imports_are_the_listed_ones() -> None:
    strangers = []
    for path in python_files("monograph"):
        parts = path.relative_to(PACKAGE).parts[:-1]
        room = "/".join(parts[: 2 if parts[:1] == ("targets",) else 1])
        for line, module in imported_modules(path):
            top = module.split(".")[0]
            if top not in sys.stdlib_module_names and top != "monograph" and top not in EXTERNAL.get(room, set()):
                strangers.append(f"{name_of(path)}:{line} imports {top}")
    assert not strangers, "\n".join(strangers)


def test_nobody_inside_goes_through_the_front_door() -> None:
    below = {path.stem if path.suffix else path.name for path in PACKAGE.iterdir()}
    through = [
        f"{name_of(path)}:{line} imports {module}"
        for path in python_files("monograph")
        if path != PACKAGE / "__init__.py"
        for line, module in imported_modules(path)
        if module == "monograph" or (module.startswith("monograph.") and module.split(".")[1] not in below)
    ]
    assert not through, "import the room that defines the name instead:\n" + "\n".join(through)


def test_hard_dependencies_are_the_four() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert sorted(line.split(">")[0] for line in project["dependencies"]) == ["llvmlite", "ml_dtypes", "numpy", "safetensors"]


def test_importing_monograph_does_not_load_llvm() -> None:
    program = "import sys, monograph; print(sorted(m for m in sys.modules if m.split('.')[0] in ('llvmlite', 'scipy', 'torch')))"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"
