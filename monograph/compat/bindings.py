"""torch._C: the few names of torch's private bindings that libraries touch."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from monograph.compat.dispatch_keys import DispatchKey, DispatchKeySet
from monograph.core.dtype import dtype
from monograph.core.errors import AutogradError
from monograph.tensor.core import Device as device
from monograph.tensor.core import Size
from monograph.tensor.core import Tensor as TensorBase
from monograph.tensor.layouts import layout, memory_format
from monograph.tensor.random import Generator

DisableTorchFunctionSubclass = DisableTorchFunction = nullcontext
_LinAlgError = type("_LinAlgError", (RuntimeError,), {"__doc__": "Only a name for `except`."})


def _get_tracing_state() -> None:
    """None: nothing is traced."""


def _get_default_device() -> str:
    """The type of the device on which tensors are made: "cpu"."""
    return "cpu"


def _log_api_usage_once(event: Any) -> None:
    """Nothing is logged."""


def _disabled_torch_function_impl(*args: Any, **kwargs: Any) -> Any:
    """NotImplemented: no tensor overrides functions."""
    return NotImplemented


__all__ = [
    "AutogradError",
    "DisableTorchFunction",
    "DisableTorchFunctionSubclass",
    "DispatchKey",
    "DispatchKeySet",
    "Generator",
    "Size",
    "TensorBase",
    "device",
    "dtype",
    "layout",
    "memory_format",
]
