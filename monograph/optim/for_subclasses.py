"""Private names of torch.optim.optimizer that optimisers written elsewhere import from it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, TypeVar

from monograph.core.dtype import dtype as DType
from monograph.core.dtype import float32, float64
from monograph.core.modes import set_grad_enabled
from monograph.tensor import FUNCTIONS
from monograph.tensor.core import Tensor

F = TypeVar("F", bound=Callable[..., Any])
ParamsT: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
_Groups = dict[tuple[Any, Any], tuple[list[list[Any]], list[int]]]


def _use_grad_for_differentiable(func: F) -> F:
    """Decorator of `step`: gradients are recorded only if the optimiser was made with differentiable=True."""

    @functools.wraps(func)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        with set_grad_enabled(self.defaults.get("differentiable", False)):
            return func(self, *args, **kwargs)

    return step  # type: ignore[return-value]


def _get_value(x: Any) -> Any:
    """A number of a 0-d tensor, or the number."""
    return x.item() if isinstance(x, Tensor) else x


def _stack_if_compiling(x: Any) -> Any:
    """The numbers as they are."""
    return x


def _get_capturable_supported_devices(supports_xla: bool = True) -> list[str]:
    """Devices on which torch's `capturable` works: it names GPUs only."""
    return ["cuda", "xpu", "hpu", *(["xla"] if supports_xla else [])]


def _default_to_fused_or_foreach(params: list[Tensor], differentiable: bool, use_fused: bool = False) -> tuple[bool, bool]:
    """Which of torch's faster variants to choose when nobody did: (fused, foreach). On the CPU neither."""
    return False, False


def _view_as_real(params: Any, *state_and_grads: Any) -> None:
    """Puts real views in the place of complex tensors, in these lists."""
    for place, parameter in enumerate(params):
        if parameter.is_complex():
            for values in (params, *state_and_grads):
                values[place] = FUNCTIONS["view_as_real"](values[place])


def _get_scalar_dtype(is_fused: bool | None = None) -> DType:
    """The dtype of a step counter."""
    return float32 if is_fused or FUNCTIONS["get_default_dtype"]() is not float64 else float64


def _to_scalar(x: Any) -> Any:
    """A tensor of one element as a 0-d one; numbers as they are."""
    return x.squeeze() if isinstance(x, Tensor) and x.ndim else x


def _disable_dynamo_if_unsupported(single_tensor_fn: Any = None) -> Callable[[F], F]:
    """Decorator that leaves the function as it is: what cannot be compiled runs uncompiled by itself."""
    return lambda function: function


def _group_tensors_by_device_and_dtype(tensorlistlist: list[list[Any]], with_indices: bool = False) -> _Groups:
    """Lists of as many tensors, taken apart by device and dtype of the first list's: (device, dtype) -> (lists, places)."""
    groups: _Groups = {}
    for place, first in enumerate(tensorlistlist[0]):
        lists, places = groups.setdefault((first.device, first.dtype), ([[] for _ in tensorlistlist], []))
        places.append(place)
        for target, source in zip(lists, tensorlistlist, strict=True):
            if source:
                target.append(source[place])
    return groups if with_indices else {key: (lists, []) for key, (lists, _) in groups.items()}
