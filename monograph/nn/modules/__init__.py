"""torch.nn.modules: the same layers under torch's longer paths (`nn.modules.batchnorm._BatchNorm`)."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import monograph.nn as _nn
from monograph.nn import (
    activation,
    batchnorm,
    container,
    conv,
    dropout,
    flatten,
    linear,
    loss,
    module,
    multihead,
    normalization,
    padding,
    pooling,
    rnn,
    sparse,
    transformer,
    upsampling,
)
from monograph.nn.module import Module


def _ntuple(n: int) -> Callable[[Any], tuple[Any, ...]]:
    """A function that repeats a number n times and makes a tuple of anything else."""

    def parse(x: Any) -> tuple[Any, ...]:
        return tuple(x) if isinstance(x, tuple | list) else (x,) * n

    return parse


def _made(name: str, **names: Any) -> types.ModuleType:
    made = types.ModuleType(f"{__name__}.{name}", f"torch.nn.modules.{name}.")
    made.__dict__.update(names)
    return made


_PATHS = {
    "activation": _made("activation", **{**vars(activation), "MultiheadAttention": multihead.MultiheadAttention}),
    "batchnorm": batchnorm, "channelshuffle": upsampling, "container": container, "conv": conv, "distance": upsampling, "dropout": dropout,
    "flatten": flatten, "fold": upsampling, "instancenorm": batchnorm, "linear": linear, "loss": loss, "module": module,
    "normalization": normalization, "padding": padding, "pixelshuffle": upsampling, "pooling": pooling, "rnn": rnn, "sparse": sparse,
    "transformer": transformer, "upsampling": upsampling,
    "utils": _made("utils", _ntuple=_ntuple, _single=_ntuple(1), _pair=_ntuple(2), _triple=_ntuple(3), _quadruple=_ntuple(4)),
}  # fmt: skip
for _name, _module in _PATHS.items():
    sys.modules[f"{__name__}.{_name}"] = _module
    globals()[_name] = _module

__all__ = sorted(
    name for name, value in vars(_nn).items() if isinstance(value, type) and issubclass(value, Module) and not name.startswith("_")
)
globals().update({name: getattr(_nn, name) for name in __all__})
