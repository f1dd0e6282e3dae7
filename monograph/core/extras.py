"""Packages that only some people need: imported where they are used, with an error that names the extra which brings them."""

from __future__ import annotations

import importlib
from typing import Any

EXTRAS = {
    "pyarrow": "arrow", "PIL": "image", "tensorboard": "tensorboard", "rich": "train", "mlflow": "mlflow", "wandb": "wandb",
    "optuna": "optuna", "matplotlib": "plot",
}  # fmt: skip


def optional(module: str, what: str) -> Any:
    """A package that is not needed otherwise; raises ImportError that names the extra which brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        if error.name is not None and error.name.split(".")[0] != package:
            raise  # the package is there, and something that it needs itself is not
        raise ImportError(f"{what} needs {package}: pip install 'monograph[{EXTRAS[package]}]'", name=package) from None
