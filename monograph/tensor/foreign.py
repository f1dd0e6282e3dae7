"""Arguments of a foreign type: a function that asks a number for its shape raises torch's TypeError, which names the argument."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from monograph.tensor.core import Tensor

# Themes whose functions read every operand through `dispatch.read` or `operands`, which refuse foreign ones: they are recorded by the
# thousand, and a wrapper would be felt.
READ_BY_DISPATCH = frozenset(f"monograph.tensor.{theme}" for theme in ("pointwise", "contraction", "views"))
DTYPES = frozenset(("dtype", "from_", "to", "type1", "type2", "from_dtype"))  # parameters that are no tensors


def refuses_foreign(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, whose AttributeError on one of its own arguments is a TypeError.

    >>> refuses_foreign(lambda input: input.ndim)(3)
    Traceback (most recent call last):
    TypeError: <lambda>(): argument 'input' (position 1) must be Tensor, not int
    """

    @wraps(function)
    def refusing(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except AttributeError as error:
            said = _complaint(function, args, kwargs, error.obj)
            if not said:
                raise
        raise TypeError(said)

    return refusing


def _complaint(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], culprit: Any) -> str:
    """What is wrong if the object without the attribute is an argument and no tensor, else ""."""
    if isinstance(culprit, Tensor):
        return ""
    try:
        bound = inspect.signature(function).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        return ""
    kind = type(culprit).__name__

    def wanted(name: str) -> str:
        return "monograph.dtype" if name in DTYPES else "Tensor"

    for position, (name, value) in enumerate(bound.items(), 1):
        if value is culprit:
            return f"{function.__name__}(): argument '{name}' (position {position}) must be {wanted(name)}, not {kind}"
        if isinstance(value, list | tuple) and any(part is culprit for part in value):
            at = next(i for i, part in enumerate(value) if part is culprit)
            return f"{function.__name__}(): expected Tensor as element {at} in argument '{name}' (position {position}), but got {kind}"
    return ""


def all_refuse_foreign(*rooms: dict[str, Any], names: Iterable[str] = ()) -> None:
    """Gives the public functions of namespaces this manner (or only those of some names); one function in two of them stays one."""
    made: dict[Any, Any] = {}
    for room in rooms:
        for name in list(names or room):
            function = room.get(name)
            if inspect.isfunction(function) and not name.startswith("_") and function.__module__ not in READ_BY_DISPATCH:
                if function not in made:
                    made[function] = refuses_foreign(function)
                room[name] = made[function]
