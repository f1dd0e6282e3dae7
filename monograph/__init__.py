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
from monograph.core.late import offer as _offer
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
from monograph.tensor.dispatch import read as _read
from monograph.tensor.dispatch import store as _store

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
    "masked",
    "profiler",
    "sparse",
    "special",
    "fft",
    "signal",
    "distributions",
    "func",
    "metrics",
    "train",
    "array_api",
)
_LAZY = {
    "compile": "monograph.tensor.compiling",
    "explain": "monograph.tensor.compiling",
    "GradientTape": "monograph.tensor.tape",
    "TensorSpec": "monograph.tensor.spec",
    **dict.fromkeys(("function", "run_functions_eagerly", "functions_run_eagerly"), "monograph.tensor.polymorphic"),
    "autocast": "monograph.amp.autocast",
    "load": "monograph.serialization",
    "save": "monograph.serialization",
    **dict.fromkeys("digamma i0 igamma igammac lgamma logit mvlgamma polygamma sinc xlogy".split(), "monograph.special"),
    **dict.fromkeys(
        (
            "cholesky cholesky_inverse cholesky_solve cross det geqrf inverse logdet lu lu_solve lu_unpack matrix_exp matrix_power ormqr "
            "pca_lowrank pinverse qr slogdet svd svd_lowrank triangular_solve vander"
        ).split(),
        "monograph.linalg.top_level",
    ),
    **dict.fromkeys(("stft", "istft"), "monograph.fft.short_time"),
    **dict.fromkeys(
        "constant_pad_nd grid_sampler grid_sampler_2d grid_sampler_3d native_batch_norm native_group_norm native_layer_norm".split(),
        "monograph.nn.functional.native",
    ),
    **dict.fromkeys("bartlett_window blackman_window hamming_window hann_window kaiser_window".split(), "monograph.signal.top_level"),
    **dict.fromkeys(
        "smm sparse_compressed_tensor sparse_coo_tensor sparse_csc_tensor sparse_csr_tensor sparse_mask spmm to_sparse to_sparse_coo "
        "to_sparse_csc to_sparse_csr".split(), "monograph.sparse"
    ),
    "vmap": "monograph.func",
    **dict.fromkeys(("binomial", "poisson"), "monograph.distributions.sampling"),
    **dict.fromkeys(
        [
            f"_foreach_{name}"
            for name in (
                "abs abs_ acos acos_ add add_ addcdiv addcdiv_ addcmul addcmul_ asin asin_ atan atan_ ceil ceil_ clamp_max clamp_max_ "
                "clamp_min clamp_min_ clone copy_ cos cos_ cosh cosh_ div div_ erf erf_ erfc erfc_ exp exp_ expm1 expm1_ floor floor_ frac "
                "frac_ lerp lerp_ lgamma lgamma_ log log10 log10_ log1p log1p_ log2 log2_ log_ max maximum maximum_ minimum minimum_ mul "
                "mul_ neg neg_ norm pow pow_ reciprocal reciprocal_ round round_ rsqrt rsqrt_ sigmoid sigmoid_ sign sign_ sin sin_ sinh "
                "sinh_ sqrt sqrt_ sub sub_ tan tan_ tanh tanh_ trunc trunc_ zero_ "
            ).split()
        ],
        "monograph.compat.foreach",
    ),
    "_int_mm": "monograph.compat.aten",
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
_offer("the training room", lambda: importlib.import_module("monograph.train.verbs"))
_offer("linear algebra", lambda: importlib.import_module("monograph.linalg"))


def eval(*tensors: Any) -> None:  # noqa: A001
    """Computes the pending values of tensors now (observing them does so by itself).

    >>> import monograph as mg
    >>> x = mg.ones(3) * 2
    >>> mg.eval(x)
    """
    for t in tensors:
        if not isinstance(t, Tensor):
            raise TypeError(f"eval() takes tensors, got {type(t).__name__}: {t!r:.60}")
    _evaluate(tensors)


def __getattr__(name: str) -> Any:
    if name in ("_softmax_backward_data", "_log_softmax_backward_data"):
        return _FUNCTIONS[name]
    if name in _MODULES:
        return importlib.import_module(f"monograph.{name}")
    if name in _TORCH_ONLY:
        return _find(name)
    if name in _LAZY:
        found = getattr(importlib.import_module(_LAZY[name]), name)
        globals()[name] = found
        return found
    if not name.startswith("_") and (found := importlib.import_module("monograph.compat.top_functions").top_function(name)) is not None:
        return found
    raise AttributeError(f"module 'monograph' has no attribute {name!r}")


def _late(name: str, in_place: Any = False) -> Any:
    """The method of tensors that calls a function of a room which is fetched when first asked for."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = (globals().get(name) or __getattr__(name))(self, *args, **kwargs)
        return _store(self, _read(result), name + "_") if in_place else result

    method.__name__ = name + "_" if in_place else name
    return method


for _name in (
    "cholesky cholesky_inverse cholesky_solve cross det digamma geqrf i0 igamma igammac inverse lgamma logdet logit lu lu_solve matrix_exp "
    "matrix_power ormqr triangular_solve "
    "mvlgamma pinverse polygamma qr sinc slogdet stft istft svd xlogy smm sparse_mask spmm to_sparse to_sparse_coo "
    "to_sparse_csc to_sparse_csr hardshrink prelu"
).split():
    setattr(Tensor, _name, _late(_name))
for _name in "digamma i0 igamma igammac lgamma logit mvlgamma polygamma sinc xlogy".split():
    setattr(Tensor, _name + "_", _late(_name, in_place=True))


def _array_namespace(self: Tensor, /, *, api_version: str | None = None) -> Any:
    """The namespace of the Python array API standard for this tensor: `monograph.array_api`. Raises ValueError for an unknown version."""
    return importlib.import_module("monograph.array_api.data_types").namespace(api_version)


Tensor.__array_namespace__ = _array_namespace  # type: ignore[attr-defined]

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
