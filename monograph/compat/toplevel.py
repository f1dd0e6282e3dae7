"""What else torch itself has at its top: determinism and precision switches, autocast flags, typenames, assertions, storages."""

from __future__ import annotations

import warnings
from typing import Any

from monograph.amp.autocast import (
    autocast,
    clear_autocast_cache,
    get_autocast_cpu_dtype,
    get_autocast_dtype,
    get_autocast_gpu_dtype,
    is_autocast_cache_enabled,
    is_autocast_cpu_enabled,
    is_autocast_enabled,
    set_autocast_cache_enabled,
    set_autocast_cpu_dtype,
    set_autocast_cpu_enabled,
    set_autocast_dtype,
    set_autocast_enabled,
    set_autocast_gpu_dtype,
)  # fmt: skip
from monograph.compat import cpu
from monograph.compat.cuda import AcceleratorError, OutOfMemoryError
from monograph.tensor.core import Size, Tensor
from monograph.tensor.random import default_generator
from monograph.tensor.storage import TypedStorage

_PRECISIONS = ("highest", "high", "medium")
_settings: dict[str, Any] = {
    "precision": "highest",
    "deterministic": False,
    "warn_only": False,
    "fill": True,
    "warn_always": False,
    "interop": 1,
}


def set_float32_matmul_precision(precision: str) -> None:
    """Sets the flag; products of float32 are computed in float32 whatever it says."""
    if precision not in _PRECISIONS:
        raise RuntimeError(f"{precision!r} is not one of {', '.join(_PRECISIONS)}")
    _settings["precision"] = precision


def get_float32_matmul_precision() -> str:
    """The flag as it was set, "highest" at first."""
    return _settings["precision"]


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Sets the flag; every algorithm of monograph is deterministic anyway."""
    _settings.update(deterministic=bool(mode), warn_only=bool(warn_only))


def are_deterministic_algorithms_enabled() -> bool:
    """The flag as it was set."""
    return _settings["deterministic"]


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """The flag as it was set."""
    return _settings["warn_only"]


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """use_deterministic_algorithms by a number or a name: 0 "default", 1 "warn", 2 "error"."""
    mode = {"default": 0, "warn": 1, "error": 2}.get(debug_mode, debug_mode) if isinstance(debug_mode, str) else debug_mode
    if mode not in (0, 1, 2):
        raise RuntimeError(f"invalid value of debug_mode, expected `default`, `warn`, `error` or 0, 1, 2, got {debug_mode!r}")
    use_deterministic_algorithms(mode > 0, warn_only=mode == 1)  # type: ignore[operator]


def get_deterministic_debug_mode() -> int:
    """0, 1 or 2, as `set_deterministic_debug_mode` takes."""
    return 0 if not _settings["deterministic"] else 1 if _settings["warn_only"] else 2


def set_warn_always(b: bool) -> None:
    """Whether warnings that torch gives once are given every time."""
    _settings["warn_always"] = bool(b)
    warnings.filterwarnings("always" if b else "default", module="monograph")


def is_warn_always_enabled() -> bool:
    """The flag as it was set."""
    return _settings["warn_always"]


def set_num_interop_threads(n: int) -> None:
    """Sets the number that `get_num_interop_threads` returns: one program runs at a time, on all threads."""
    if not isinstance(n, int) or n <= 0:
        raise RuntimeError("Expected positive number of threads")
    _settings["interop"] = n


def get_num_interop_threads() -> int:
    """The number as it was set."""
    return _settings["interop"]


def set_flush_denormal(mode: bool) -> bool:
    """False: denormal numbers are always kept."""
    return False


def typename(obj: Any) -> str:
    """The name of a tensor's old type ("torch.FloatTensor"), or of an object's class with its module."""
    if isinstance(obj, Tensor):
        return obj.type()  # type: ignore[attr-defined]
    cls = obj if isinstance(obj, type) else type(obj)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def is_storage(obj: Any) -> bool:
    """Whether an object is a storage."""
    return isinstance(obj, TypedStorage)


def compiled_with_cxx11_abi() -> bool:
    """True."""
    return True


def get_rng_state() -> Tensor:
    """The state of the default generator."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Sets the state of the default generator."""
    default_generator.set_state(new_state)


def seed() -> int:
    """Seeds the default generator from the system; returns the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_device_module(device: Any = None) -> Any:
    """The module of a device type: `monograph.cpu`."""
    name = str(device or "cpu").partition(":")[0]
    if name != "cpu":
        raise RuntimeError(f"Invalid device module requested: {name}; this build has the CPU only")
    return cpu


def _assert(condition: Any, message: str) -> None:
    """Raises AssertionError unless the condition (a bool or a tensor) holds."""
    if not condition:
        raise AssertionError(message)


def _check(cond: Any, message: Any = None) -> None:
    """Raises RuntimeError unless the condition holds; the message may be a function."""
    if not cond:
        raise RuntimeError(message() if callable(message) else message or "Expected cond to be True")


class Stream:
    """A queue of work on a device: there is none on the CPU, so making one raises."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("Cannot access accelerator device when none is available.")


class Event(Stream):
    """A mark in a Stream: making one raises."""


__all__ = [
    "AcceleratorError", "Event", "OutOfMemoryError", "Size", "Stream", "are_deterministic_algorithms_enabled", "autocast",
    "clear_autocast_cache",
    "compiled_with_cxx11_abi", "get_autocast_cpu_dtype", "get_autocast_dtype", "get_autocast_gpu_dtype", "get_deterministic_debug_mode",
    "get_device_module", "get_float32_matmul_precision", "get_num_interop_threads", "get_rng_state", "initial_seed",
    "is_autocast_cache_enabled",
    "is_autocast_cpu_enabled", "is_autocast_enabled", "is_deterministic_algorithms_warn_only_enabled", "is_storage",
    "is_warn_always_enabled", "seed", "set_autocast_cache_enabled", "set_autocast_cpu_dtype", "set_autocast_cpu_enabled",
    "set_autocast_dtype",
    "set_autocast_enabled", "set_autocast_gpu_dtype", "set_deterministic_debug_mode", "set_float32_matmul_precision", "set_flush_denormal",
    "set_num_interop_threads", "set_rng_state", "set_warn_always", "typename", "use_deterministic_algorithms",
]  # fmt: skip
