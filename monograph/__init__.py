"""monograph: a deep-learning framework whose dynamic graph is its static graph. PyTorch's names and semantics.

This is the front door: everything public is here under torch's name. Nobody inside the house imports from it.
"""

from __future__ import annotations

import importlib
import typing as _typing
from math import e, inf, nan, pi
from typing import Any

from monograph.compat.finding import answer_below_monograph as _answer_below_monograph
from monograph.compat.finding import find as _find
from monograph.compat.paths import TOP as _TORCH_ONLY
from monograph.core.dtype import dtype
from monograph.core.modes import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from monograph.runtime.threads import get_num_threads, set_num_threads
from monograph.tensor import FUNCTIONS as _FUNCTIONS
from monograph.tensor.core import Device as device
from monograph.tensor.core import Size, Tensor
from monograph.tensor.dispatch import evaluate as _evaluate

if _typing.TYPE_CHECKING:
    from monograph.tensor.functions import *  # noqa: F403 - the same names, with their signatures

__version__ = "0.1.0"

globals().update({name: function for name, function in _FUNCTIONS.items() if not name.startswith("_")})

newaxis = None

# Rooms and names that are fetched when first asked for, so that `import monograph` stays quick.
_MODULES = (
    "nn",
    "optim",
    "data",
    "utils",
    "autograd",
    "export",
    "testing",
    "random",
    "serialization",
    "amp",
    "linalg",
    "special",
    "distributions",
    "func",
)
_LAZY = {
    "compile": "monograph.tensor.compiling",
    "explain": "monograph.tensor.compiling",
    "GradientTape": "monograph.tensor.tape",
    "autocast": "monograph.amp.autocast",
    "load": "monograph.serialization",
    "save": "monograph.serialization",
    **dict.fromkeys("digamma i0 igamma igammac lgamma logit mvlgamma polygamma sinc xlogy".split(), "monograph.special"),
    **dict.fromkeys(
        (
            "cholesky cholesky_inverse cholesky_solve cross det inverse logdet lu_solve lu_unpack matrix_exp matrix_power pinverse qr "
            "slogdet svd vander"
        ).split(),
        "monograph.linalg.top_level",
    ),
    "vmap": "monograph.func",
    **dict.fromkeys(("binomial", "poisson"), "monograph.distributions.sampling"),
    "as_torch": "monograph.compat.alias",
    "install": "monograph.compat.alias",
    **dict.fromkeys(
        "AcceleratorError Event OutOfMemoryError Stream _assert _check are_deterministic_algorithms_enabled "
        "clear_autocast_cache compiled_with_cxx11_abi get_autocast_cpu_dtype get_autocast_dtype get_autocast_gpu_dtype "
        "get_deterministic_debug_mode get_device_module get_float32_matmul_precision get_num_interop_threads get_rng_state initial_seed "
        "is_autocast_cache_enabled is_autocast_cpu_enabled is_autocast_enabled is_deterministic_algorithms_warn_only_enabled is_storage "
        "is_warn_always_enabled seed set_autocast_cache_enabled set_autocast_cpu_dtype "
        "set_autocast_cpu_enabled set_autocast_dtype set_autocast_enabled set_autocast_gpu_dtype set_deterministic_debug_mode "
        "set_float32_matmul_precision set_flush_denormal set_num_interop_threads set_rng_state set_warn_always "
        "typename use_deterministic_algorithms".split(),
        "monograph.compat.toplevel",
    ),
}

_answer_below_monograph()


def eval(*tensors: Any) -> None:  # noqa: A001
    """Computes the pending values of tensors now (observing them does so by itself).

    >>> import monograph as mg
    >>> x = mg.ones(3) * 2
    >>> mg.eval(x)
    """
    _evaluate(tensors)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"monograph.{name}")
    if name in _TORCH_ONLY:
        return _find(name)
    if name in _LAZY:
        found = getattr(importlib.import_module(_LAZY[name]), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'monograph' has no attribute {name!r}")


def _late(name: str) -> Any:
    """The method of tensors that calls a function of a room which is fetched when first asked for."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return (globals().get(name) or __getattr__(name))(self, *args, **kwargs)

    method.__name__ = name
    return method


for _name in (
    "cholesky cholesky_inverse cholesky_solve cross det digamma i0 igamma igammac inverse lgamma logdet logit matrix_exp matrix_power "
    "mvlgamma pinverse polygamma qr sinc slogdet svd xlogy"
).split():
    setattr(Tensor, _name, _late(_name))

__all__ = sorted(
    {
        *("Size", "Tensor", "device", "dtype", "e", "enable_grad", "eval", "get_num_threads", "inf", "inference_mode", "is_grad_enabled"),
        *("is_inference_mode_enabled", "nan", "newaxis", "no_grad", "pi", "set_grad_enabled", "set_num_threads"),
        *(name for name in _FUNCTIONS if not name.startswith("_")),
        *_MODULES,
        *_LAZY,
    }
)


def __dir__() -> list[str]:
    return __all__
