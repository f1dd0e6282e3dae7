"""Changing dtype or device of a whole module in place: `to`, `float`, `half` and their kin."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from monograph.core import dtype as dtypes
from monograph.core.dtype import dtype as DType
from monograph.core.errors import DeviceError
from monograph.core.modes import no_grad
from monograph.nn.parameter import Parameter, is_lazy
from monograph.nn.registry import EPOCH
from monograph.tensor import Tensor, empty

if TYPE_CHECKING:
    pass

SelfModule = TypeVar("SelfModule", bound="Conversion")


class Conversion:
    """The part of `Module` that converts."""

    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    children: Callable[[], Any]

    def _apply(self: SelfModule, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SelfModule:
        """Replaces the value of every parameter, its gradient, and every buffer by `fn` of it; parameters keep their identity on a
        device, and are others on another.
        """
        if recurse:
            for module in self.children():
                module._apply(fn)
        EPOCH.value += 1
        with no_grad():
            for name, parameter in list(self._parameters.items()):
                if parameter is None:
                    continue
                if is_lazy(parameter):
                    parameter.convert(fn)
                    continue
                changed = fn(parameter)
                gradient = parameter.grad
                if changed.device != parameter.device:
                    moved = self._parameters[name] = Parameter(changed, parameter.requires_grad)
                    moved.grad = None if gradient is None else fn(gradient)
                elif changed is not parameter:
                    parameter.grad = None
                    parameter.data = changed
                    if gradient is not None:
                        gradient = fn(gradient)
                        parameter.grad = gradient
            for name, buffer in list(self._buffers.items()):
                if is_lazy(buffer):
                    buffer.convert(fn)
                elif buffer is not None:
                    self._buffers[name] = fn(buffer)
        return self

    def to(self: SelfModule, *args: Any, **kwargs: Any) -> SelfModule:
        """Changes dtype and device in place: to(dtype), to(device), to(device, dtype), to(tensor). A dtype applies to floating values only.

        Returns self.
        """
        device, dtype = _parse_to(args, kwargs)
        if dtype is not None and dtype.kind not in "fc":
            raise TypeError(f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}")

        def convert(t: Tensor) -> Tensor:
            wanted = dtype if dtype is not None and t.dtype.kind in "fc" else None
            if wanted is None and device is None:
                return t
            return t.to(device=device, dtype=wanted) if device is not None else t.to(dtype=wanted)

        return self._apply(convert)

    def to_empty(self: SelfModule, *, device: Any, recurse: bool = True) -> SelfModule:
        """Moves to a device without copying values."""
        return self._apply(lambda t: empty(t.shape, dtype=t.dtype, device=device), recurse)

    def type(self: SelfModule, dst_type: Any) -> SelfModule:
        """Casts all parameters and buffers to one dtype."""
        return self._apply(lambda t: t.type(dst_type))

    def _cast_floating(self: SelfModule, dtype: DType) -> SelfModule:
        return self._apply(lambda t: t.to(dtype=dtype) if t.dtype.kind == "f" else t)

    def float(self: SelfModule) -> SelfModule:
        """Casts floating values to float32."""
        return self._cast_floating(dtypes.float32)

    def double(self: SelfModule) -> SelfModule:
        """Casts floating values to float64."""
        return self._cast_floating(dtypes.float64)

    def half(self: SelfModule) -> SelfModule:
        """Casts floating values to float16."""
        return self._cast_floating(dtypes.float16)

    def bfloat16(self: SelfModule) -> SelfModule:
        """Casts floating values to bfloat16."""
        return self._cast_floating(dtypes.bfloat16)

    def cpu(self: SelfModule) -> SelfModule:
        """Moves to the CPU, where everything is."""
        return self._apply(lambda t: t.to(device="cpu"))

    def cuda(self, device: Any = None) -> Any:
        """Raises: this build computes on the CPU."""
        raise DeviceError("Torch not compiled with CUDA enabled: monograph computes on the CPU. Leave out .cuda(), or use .to('cpu')")


def _parse_to(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, DType | None]:
    """(device, dtype) of the arguments of `to`."""
    unknown = set(kwargs) - {"device", "dtype", "non_blocking", "copy", "memory_format", "tensor", "other"}
    if unknown:
        raise TypeError(f"to() got an unexpected keyword argument '{sorted(unknown)[0]}'")
    device, dtype = kwargs.get("device"), kwargs.get("dtype")
    like = kwargs.get("tensor", kwargs.get("other"))
    for value in args:
        if isinstance(value, DType):
            dtype = value
        elif isinstance(value, Tensor):
            like = value
        elif value is not None and not isinstance(value, bool):
            device = value
    if like is not None:
        device, dtype = like.device, like.dtype
    return device, dtype
