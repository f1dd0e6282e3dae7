"""Modules without initial values, and with another memory format."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

from monograph.nn.conv import Conv2d, Conv3d, ConvTranspose2d, ConvTranspose3d
from monograph.nn.module import Module

ModuleT = TypeVar("ModuleT", bound=Module)


def skip_init(module_cls: Any, *args: Any, **kwargs: Any) -> Any:
    """A module of that class whose parameters hold unspecified values: for one that is loaded or initialised afterwards.

    >>> import monograph as mg
    >>> mg.nn.utils.skip_init(mg.nn.Linear, 2, 3).weight.shape
    monograph.Size([3, 2])
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    device = kwargs.pop("device", "cpu")
    kwargs["device"] = "meta"
    return module_cls(*args, **kwargs).to_empty(device=device)


def convert_conv2d_weight_memory_format(module: ModuleT, memory_format: Any) -> ModuleT:
    """Asks for another order of dimensions in the memory of 2-d convolutions' weights. Returns the module."""
    return _convert(module, memory_format, (Conv2d, ConvTranspose2d))


def convert_conv3d_weight_memory_format(module: ModuleT, memory_format: Any) -> ModuleT:
    """Asks for another order of dimensions in the memory of 3-d convolutions' weights. Returns the module."""
    return _convert(module, memory_format, (Conv3d, ConvTranspose3d))


def _convert(module: ModuleT, memory_format: Any, kinds: tuple[type, ...]) -> ModuleT:
    for sub in module.modules():
        if isinstance(sub, kinds):
            weight: Any = sub.weight  # type: ignore[attr-defined]
            weight.data = weight.detach().clone().contiguous(memory_format=memory_format)
    return module
