"""`autocast`: matrix products and convolutions in a low dtype, losses in float32, everything else as it comes."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from monograph.core.dtype import bfloat16, float16
from monograph.core.dtype import dtype as DType
from monograph.core.modes import MODES
from monograph.tensor.core import Device, Tensor
from monograph.tensor.pointwise import to_dtype

DEVICES = ("cpu", "cuda", "mps", "xpu", "hpu", "xla", "meta", "mtia", "ipu", "maia")
LOW_DTYPES = (bfloat16, float16)


class _Flags(threading.local):
    """What is set per device type in this thread; only the CPU's has an effect, since that is where this build computes."""

    def __init__(self) -> None:
        self.enabled: dict[str, bool] = {}
        self.dtypes: dict[str, DType] = {"cuda": float16}
        self.cache = True


_flags = _Flags()


def _known(device_type: Any) -> str:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    name = device_type.partition(":")[0]
    if name not in DEVICES:
        raise RuntimeError(f"User specified an unsupported autocast device_type '{device_type}'; known are {', '.join(DEVICES)}")
    return name


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast has an effect for the device type here: for "cpu"."""
    return _known(device_type) == "cpu"


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether autocast is on for a device type in this thread."""
    return _flags.enabled.get(_known(device_type), False)


def set_autocast_enabled(device_type: Any, enabled: bool | None = None) -> None:
    """Switches autocast for a device type: set_autocast_enabled("cpu", True); with one argument for "cuda", as torch of old."""
    device, value = ("cuda", device_type) if enabled is None else (_known(device_type), enabled)
    _flags.enabled[device] = bool(value)
    _apply()


def get_autocast_dtype(device_type: str) -> DType:
    """The dtype that autocast uses for a device type."""
    return _flags.dtypes.get(_known(device_type), bfloat16)


def set_autocast_dtype(device_type: str, dtype: DType) -> None:
    """Sets the dtype that autocast uses for a device type."""
    _flags.dtypes[_known(device_type)] = dtype
    _apply()


def _apply() -> None:
    MODES.autocast = _flags.dtypes.get("cpu", bfloat16) if _flags.enabled.get("cpu") else None


def is_autocast_cpu_enabled() -> bool:
    """`is_autocast_enabled("cpu")`."""
    return is_autocast_enabled("cpu")


def set_autocast_cpu_enabled(enabled: bool) -> None:
    """`set_autocast_enabled("cpu", enabled)`."""
    set_autocast_enabled("cpu", enabled)


def get_autocast_cpu_dtype() -> DType:
    """`get_autocast_dtype("cpu")`."""
    return get_autocast_dtype("cpu")


def set_autocast_cpu_dtype(dtype: DType) -> None:
    """`set_autocast_dtype("cpu", dtype)`."""
    set_autocast_dtype("cpu", dtype)


def get_autocast_gpu_dtype() -> DType:
    """`get_autocast_dtype("cuda")`."""
    return get_autocast_dtype("cuda")


def set_autocast_gpu_dtype(dtype: DType) -> None:
    """`set_autocast_dtype("cuda", dtype)`."""
    set_autocast_dtype("cuda", dtype)


def is_autocast_cache_enabled() -> bool:
    """The flag as it was set; equal casts are one node of the graph in any case."""
    return _flags.cache


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Sets the flag that `is_autocast_cache_enabled` reads."""
    _flags.cache = bool(enabled)


def clear_autocast_cache() -> None:
    """Nothing to clear: casts are nodes of the graph, no cache holds them."""


class autocast:  # noqa: N801 - torch's name
    """Inside, matrix products and convolutions take their floating inputs in `dtype`, losses take them in float32. Context manager and
    decorator.

    On this machine it acts for device_type "cpu" with bfloat16 (the default) or float16; for other devices it warns and does nothing, as
    torch does without a GPU. Parameters keep their dtype, and so do their gradients.

    >>> import monograph as mg
    >>> with mg.autocast("cpu", dtype=mg.bfloat16):
    ...     (mg.ones(2, 2) @ mg.ones(2, 2)).dtype
    monograph.bfloat16
    """

    def __init__(self, device_type: str, dtype: DType | None = None, enabled: bool = True, cache_enabled: bool | None = None) -> None:
        self.device = device_type.type if isinstance(device_type, Device) else _known(device_type)
        if dtype is not None and not isinstance(dtype, DType):
            raise ValueError(f"Expected `dtype` to be a dtype, got: `{type(dtype)}`")
        self.fast_dtype = get_autocast_dtype(self.device) if dtype is None else dtype
        self._cache_enabled = is_autocast_cache_enabled() if cache_enabled is None else cache_enabled
        if enabled and self.device not in ("cpu", "meta"):
            warnings.warn(
                f"User provided device_type of '{self.device}', but {self.device.upper()} is not available. Disabling", stacklevel=2
            )
            enabled = False
        if enabled and self.fast_dtype not in LOW_DTYPES:
            warnings.warn(
                f"In {self.device.upper()} autocast, but the target dtype {self.fast_dtype} is not supported. Disabling autocast. "
                "It takes bfloat16 and float16",
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled
        self._before: list[tuple[bool, DType]] = []

    def __enter__(self) -> autocast:
        self._before.append((is_autocast_enabled(self.device), get_autocast_dtype(self.device)))
        _flags.enabled[self.device], _flags.dtypes[self.device] = self._enabled, self.fast_dtype
        _apply()
        return self

    def __exit__(self, *error: object) -> None:
        _flags.enabled[self.device], _flags.dtypes[self.device] = self._before.pop()
        _apply()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with autocast around every call."""

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return inside


def _cast(value: Any, dtype: DType) -> Any:
    """Floating tensors of a nested value in another dtype, float64 as it is."""
    if isinstance(value, Tensor):
        return to_dtype(value, dtype) if value.dtype.kind == "f" and value.dtype.name != "float64" else value
    if isinstance(value, Mapping):
        return {_cast(k, dtype): _cast(v, dtype) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)([_cast(v, dtype) for v in value])
    return value


def custom_fwd(fwd: Callable[..., Any] | None = None, *, device_type: str, cast_inputs: DType | None = None) -> Any:
    """For the forward of a custom Function: with `cast_inputs`, its floating inputs come in that dtype and autocast is off inside."""
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        ctx._dtype = get_autocast_dtype(device_type)
        if cast_inputs is None or not is_autocast_enabled(device_type):
            ctx._fwd_used_autocast = is_autocast_enabled(device_type)
            return fwd(ctx, *args, **kwargs)
        ctx._fwd_used_autocast = False
        with autocast(device_type, enabled=False):
            return fwd(ctx, *_cast(args, cast_inputs), **_cast(kwargs, cast_inputs))

    return decorated


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Any:
    """For the backward of a custom Function: it runs under the autocast that its forward ran under."""
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def decorated(ctx: Any, *args: Any) -> Any:
        with autocast(device_type, enabled=ctx._fwd_used_autocast, dtype=ctx._dtype):
            return bwd(ctx, *args)

    return decorated
