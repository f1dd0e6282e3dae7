"""torch.utils.checkpoint: directions about what backward should compute again. Evaluation decides that itself, so the functions just
run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from monograph.nn import Module


def checkpoint(
    function: Callable[..., Any], *args: Any, use_reentrant: bool | None = None, context_fn: Any = None, determinism_check: str = "default",
    debug: bool = False, preserve_rng_state: bool = True, early_stop: bool = True, **kwargs: Any,
) -> Any:  # fmt: skip
    """function(*args, **kwargs). What is saved for backward and what is computed again is chosen for the whole graph when it is
    evaluated.
    """
    return function(*args, **kwargs)


def checkpoint_sequential(functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any) -> Any:  # noqa: A002
    """The functions (or the layers of a Sequential) one after the other."""
    layers: Iterable[Any] = functions.children() if isinstance(functions, Module) else functions
    for layer in layers:
        input = layer(input)  # noqa: A001
    return input


@contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """Accepted; nothing is computed a second time by request."""
    yield


__all__ = ["checkpoint", "checkpoint_sequential", "set_checkpoint_early_stop"]
