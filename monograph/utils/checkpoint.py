"""torch.utils.checkpoint: directions about what backward should compute again. Evaluation decides that itself, so the functions just
run.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar

from monograph.nn import Module
from monograph.tensor import Tensor


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


@contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Iterator[None]:
    """Accepted; there is no second computation to report on."""
    yield


def noop_context_fn() -> tuple[Any, Any]:
    """Two contexts that do nothing: for the computation and for its repetition."""
    return nullcontext(), nullcontext()


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The tensors among the inputs off their tape, those that need gradients as leaves. Raises RuntimeError for what is no tuple."""
    if not isinstance(inputs, tuple):
        raise RuntimeError(f"Only tuple of tensors is supported. Got Unsupported input type: {type(inputs).__name__}")
    return tuple(x.detach().requires_grad_(x.requires_grad) if isinstance(x, Tensor) else x for x in inputs)


def check_backward_validity(inputs: Iterable[Any]) -> None:
    """Warns when no tensor among the inputs needs a gradient."""
    if not any(x.requires_grad for x in inputs if isinstance(x, Tensor)):
        warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2)


def get_device_states(*args: Any) -> tuple[list[int], list[Any]]:
    """Indices and random states of the devices other than the CPU that the arguments live on: none.

    >>> get_device_states(3)
    ([], [])
    """
    return [], []


def set_device_states(devices: Iterable[int], states: Iterable[Any], *, device_type: str | None = None) -> None:
    """Sets the random states that `get_device_states` gave."""
    for device, _ in zip(devices, states, strict=True):
        raise RuntimeError(f"set_device_states: there is no device {device} other than the CPU; its state is random.set_rng_state(state)")


class DefaultDeviceType:
    """The type of device whose random state is kept when no argument tells."""

    _default_device_type: ClassVar[str | None] = None

    @staticmethod
    def set_device_type(device: str = "cuda") -> None:
        """Sets it."""
        DefaultDeviceType._default_device_type = device

    @staticmethod
    def get_device_type() -> str:
        """What was set; "cuda" before."""
        return DefaultDeviceType._default_device_type or "cuda"


__all__ = [
    "DefaultDeviceType", "check_backward_validity", "checkpoint", "checkpoint_sequential", "detach_variable", "get_device_states",
    "noop_context_fn", "set_checkpoint_debug_enabled", "set_checkpoint_early_stop", "set_device_states",
]  # fmt: skip
