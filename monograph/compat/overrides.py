"""torch.overrides: no tensor of monograph overrides functions, so every question has the same answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.tensor.core import Tensor


def has_torch_function(relevant_args: Any) -> bool:
    """False."""
    return False


def has_torch_function_unary(tensor: Any) -> bool:
    """False."""
    return False


def has_torch_function_variadic(*args: Any) -> bool:
    """False."""
    return False


def handle_torch_function(public_api: Callable[..., Any], relevant_args: Any, *args: Any, **kwargs: Any) -> Any:
    """Calls the function."""
    return public_api(*args, **kwargs)


def is_tensor_like(inp: Any) -> bool:
    """Whether it is a Tensor."""
    return isinstance(inp, Tensor)


class TorchFunctionMode:
    """A mode that would see every call in torch; entering one raises, since nothing here would call it."""

    def __enter__(self) -> None:
        raise NotImplementedError("monograph has no __torch_function__; a graph of what was called is explain(function, *args)")

    def __exit__(self, *error: object) -> None:
        """Never entered."""
