"""torch.compiler: directions for a compiler that may meet code it cannot follow. Ours splits where it must, so they are all optional."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.tensor.compiling import BACKENDS
from monograph.tensor.compiling import compile as _compile


def compile(*args: Any, **kwargs: Any) -> Any:  # noqa: A001 - torch's name
    """`monograph.compile`."""
    return _compile(*args, **kwargs)


def is_compiling() -> bool:
    """False: code is recorded by running it, so it may always take the branch that it takes uncompiled."""
    return False


is_dynamo_compiling = is_exporting = is_compiling


def disable(fn: Callable[..., Any] | None = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """The function as it is: what cannot be compiled runs uncompiled by itself."""
    return (lambda function: function) if fn is None else fn


def allow_in_graph(fn: Any) -> Any:
    """The function as it is."""
    return fn


assume_constant_result = substitute_in_graph = allow_in_graph


def reset() -> None:
    """Nothing to reset: what a compiled function learnt belongs to that function."""


def cudagraph_mark_step_begin() -> None:
    """Nothing to mark: results are never overwritten by the next call."""


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """The names that compile(backend=) takes."""
    return sorted(BACKENDS)


class set_stance:  # noqa: N801 - torch's name
    """Context manager and decorator; accepted without effect."""

    def __init__(self, stance: str = "default", **kwargs: Any) -> None:
        self.stance = stance

    def __enter__(self) -> None:
        """Nothing changes."""

    def __exit__(self, *error: object) -> None:
        """Nothing was changed."""

    def __call__(self, function: Any) -> Any:
        return function
