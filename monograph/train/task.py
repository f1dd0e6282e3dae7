"""A task: what a trainer does with one batch. `TrainModule` is one, and so is a plain module with Keras's `compile(optimizer, loss)`."""

from __future__ import annotations

import dis
from collections.abc import Callable
from typing import Any, Protocol

from monograph.nn.module import Module


class Task(Protocol):
    """What a trainer needs to know of what it trains."""

    automatic_optimization: bool

    @property
    def module(self) -> Module:
        """The module whose parameters are trained, saved and switched between train() and eval()."""
        ...

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """The loss of a batch (a tensor, or a dict with the key "loss"), None to skip it."""
        ...

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        """Logs what is to be known of a batch of validation data."""
        ...

    def test_step(self, batch: Any, batch_idx: int) -> Any:
        """The same for test data."""
        ...

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        """What `predict` gives for a batch."""
        ...

    def configure_optimizers(self) -> Any:
        """The optimisers and schedulers."""
        ...


def uses_argument(function: Callable[..., Any], position: int) -> bool:
    """Whether a function's body looks at its positional argument number `position` (`self` not counted).

    A step that ignores its `batch_idx` can be compiled once for all batches; one that looks at it gets the true number, uncompiled.
    """
    inner = getattr(function, "__func__", function)
    code = getattr(inner, "__code__", None)
    if code is None:
        return True
    position += int(inner is not function)
    if position >= code.co_argcount:
        return bool(code.co_flags & 0x04)  # *args may hold it
    name = code.co_varnames[position]
    return name in code.co_cellvars or any(
        i.argval == name for i in dis.get_instructions(code) if "FAST" in i.opname and "LOAD" in i.opname
    )


def call_step(step: Callable[..., Any], batch: Any, number: int) -> Any:
    """Calls a user's step with as many of (batch, batch_idx) as it takes."""
    inner = getattr(step, "__func__", step)
    code = getattr(inner, "__code__", None)
    takes = 2 if code is None or code.co_flags & 0x04 else code.co_argcount - int(inner is not step)
    if takes >= 3 and len(inner.__defaults__ or ()) < takes - 2:
        return step(batch, number, 0)  # dataloader_idx
    return step(batch) if takes == 1 else step(batch, number)
