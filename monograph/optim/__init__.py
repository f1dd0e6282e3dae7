"""Floor 7: torch.optim. Optimisers, their parameter groups and state, learning-rate schedules. See README.md."""

from __future__ import annotations

import importlib
from typing import Any

from monograph.optim import lr_scheduler
from monograph.optim.adam import Adam, AdamW
from monograph.optim.adaptive import Adadelta, Adagrad, Adamax, RMSprop
from monograph.optim.lbfgs import LBFGS
from monograph.optim.matrices import Adafactor, Muon
from monograph.optim.moments import NAdam, RAdam
from monograph.optim.optimizer import Optimizer
from monograph.optim.sgd import SGD
from monograph.optim.signs import ASGD, Rprop
from monograph.optim.sparse_adam import SparseAdam

__all__ = [
    "ASGD", "LBFGS", "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Muon", "NAdam", "Optimizer", "RAdam", "RMSprop",
    "Rprop", "SparseAdam", "lr_scheduler",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "swa_utils":  # averages are of modules, which live beside this room: utils/averaging.py, under torch's path
        return importlib.import_module(f"{__name__}.swa_utils")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
