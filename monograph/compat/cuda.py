"""torch.cuda as on a build without CUDA: nothing is available, counts are zero, what needs a GPU raises as torch raises it."""

from __future__ import annotations

import sys
from collections import OrderedDict
from contextlib import nullcontext
from types import ModuleType
from typing import Any

from monograph.amp import GradScaler as _GradScaler
from monograph.amp import autocast as _autocast
from monograph.core.dtype import dtype as DType
from monograph.core.dtype import float16
from monograph.tensor.legacy import unavailable_tensor_types

NOT_COMPILED = "Torch not compiled with CUDA enabled"


class OutOfMemoryError(RuntimeError):
    """Raised by torch when a GPU's memory is full; here only a name for `except`."""


CudaError = OutOfMemoryError
AcceleratorError = type("AcceleratorError", (RuntimeError,), {"__doc__": "An error of a GPU; here only a name for `except`."})
default_generators: tuple[Any, ...] = ()
has_half = False
has_magma = False


def is_available() -> bool:
    """False: monograph computes on the CPU."""
    return False


def device_count() -> int:
    """0."""
    return 0


def is_initialized() -> bool:
    """False."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False: there is no GPU."""
    return False


def get_arch_list() -> list[str]:
    """Empty: there is no GPU."""
    return []


def _raises(name: str) -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError(NOT_COMPILED)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = "Needs a GPU: raises AssertionError, as torch does without CUDA."
    return function


def _gives(name: str, value: Any) -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        return value() if callable(value) else value

    function.__name__ = function.__qualname__ = name
    function.__doc__ = "There is no GPU: does nothing."
    return function


for _name in (
    "current_device synchronize init initial_seed mem_get_info get_device_name get_device_capability get_device_properties current_stream "
    "default_stream set_stream get_rng_state ipc_collect can_device_access_peer set_per_process_memory_fraction get_sync_debug_mode "
    "current_blas_handle "
    "reset_peak_memory_stats reset_max_memory_allocated reset_max_memory_cached memory_snapshot list_gpu_processes utilization temperature"
).split():
    globals()[_name] = _raises(_name)
for _name in "empty_cache manual_seed manual_seed_all seed seed_all set_rng_state set_rng_state_all".split():
    globals()[_name] = _gives(_name, None)
for _name in "memory_allocated max_memory_allocated memory_reserved max_memory_reserved memory_cached max_memory_cached".split():
    globals()[_name] = _gives(_name, 0)
memory_stats = _gives("memory_stats", OrderedDict)
get_rng_state_all = _gives("get_rng_state_all", list)


def set_device(device: Any) -> None:
    """Accepts None and -1 (no device); raises AssertionError for any other, since there is none."""
    if device is not None and device != -1:
        raise AssertionError(NOT_COMPILED)


def is_current_stream_capturing() -> bool:
    """False: there is no stream."""
    return False


def stream(stream: Any) -> Any:
    """A context that does nothing for None; there is no stream to enter."""
    if stream is not None:
        raise AssertionError(NOT_COMPILED)
    return nullcontext()


class device:  # noqa: N801 - torch's name
    """Context manager that selects a GPU; entering it raises for every device but None and -1."""

    def __init__(self, device: Any) -> None:
        self.idx = device

    def __enter__(self) -> None:
        set_device(self.idx)

    def __exit__(self, *error: object) -> None:
        """Nothing was changed."""


class device_of(device):  # noqa: N801 - torch's name
    """Context manager that selects the GPU of a tensor: none, so it does nothing."""

    def __init__(self, obj: Any) -> None:
        super().__init__(None)


def _dummy(name: str) -> type:
    def refuse(self: Any, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(f"torch.cuda.{name} requires CUDA support")

    return type(name, (), {"__init__": refuse, "__doc__": "Needs a GPU: making one raises RuntimeError.", "__module__": __name__})


Stream, ExternalStream, Event = _dummy("Stream"), _dummy("ExternalStream"), _dummy("Event")
CUDAGraph, StreamContext, graph = _dummy("CUDAGraph"), _dummy("StreamContext"), _dummy("graph")
globals().update(unavailable_tensor_types("cuda"))


def _module(name: str, **content: Any) -> ModuleType:
    made = ModuleType(f"{__name__}.{name}", f"torch.cuda.{name}.")
    vars(made).update(content)
    sys.modules[made.__name__] = made
    return made


class _CudaAutocast(_autocast):
    """torch.cuda.amp.autocast: autocast for "cuda", which is not here, so it warns and does nothing."""

    def __init__(self, enabled: bool = True, dtype: DType = float16, cache_enabled: bool = True) -> None:
        super().__init__("cuda", enabled=enabled, dtype=dtype, cache_enabled=cache_enabled)


class _CudaGradScaler(_GradScaler):
    """torch.cuda.amp.GradScaler: without CUDA it is disabled and passes everything through."""

    def __init__(
        self, init_scale: float = 2.0**16, growth_factor: float = 2.0, backoff_factor: float = 0.5, growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:  # fmt: skip
        super().__init__("cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled)


def _nvtx_missing(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("NVTX functions not installed. Are you sure you have a CUDA build?")


amp = _module("amp", autocast=_CudaAutocast, GradScaler=_CudaGradScaler)
nvtx = _module("nvtx", range_push=_nvtx_missing, range_pop=_nvtx_missing, mark=_nvtx_missing, range=_nvtx_missing)
memory = _module(
    "memory",
    **{_name: globals()[_name] for _name in ("empty_cache", "memory_allocated", "max_memory_allocated", "memory_reserved", "memory_stats")},
)
random = _module(
    "random", **{_name: globals()[_name] for _name in ("manual_seed", "manual_seed_all", "get_rng_state", "set_rng_state", "seed")}
)
