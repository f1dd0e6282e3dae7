"""What a replayed call returns, in the nesting in which the captured call returned it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Maker = Callable[[Sequence[Any], Sequence[Any]], Any]


def maker(structure: Any, leaves: Sequence[tuple[str, Any, Any]], view_of: Callable[[Any, Any], Any]) -> Maker:
    """A function of (the tensors of all places, the new tensors) that gives the result.

    `structure` is that of `core.trees`; a leaf is (how it is had, what that needs, more of it): "new" and "place" are numbers of tensors,
    "grad" the number of a gradient's owner, "twin" of a tensor that shares memory, each with steps of views to take; "value" is itself.
    It is written as one expression of Python: a call for each leaf and container would be much of a small replay's time.
    """
    names: dict[str, Any] = {"view_of": view_of}

    def bind(value: Any) -> str:
        name = f"c{len(names)}"
        names[name] = value
        return name

    def leaf(how: str, what: Any, more: Any) -> str:
        if how == "value":
            return f"{bind(what)}.copy()" if isinstance(what, np.ndarray) else bind(what)
        if how == "twin":
            steps, silent = more
            text = f"tensors[{what}]._twin({bind(silent)})"
        else:
            steps, text = more, {"new": f"new[{what}]", "place": f"tensors[{what}]", "grad": f"tensors[{what}]._grad"}[how]
        return f"view_of({text}, {bind(steps)})" if steps else text

    rest = iter([leaf(*one) for one in leaves])

    def nested(part: Any) -> str:
        if part is None:
            return next(rest)
        kind, items = part[0], [nested(p) for p in part[-1]]
        if kind is tuple:
            return f"({''.join(f'{i}, ' for i in items)})"
        if kind is list:
            return f"[{', '.join(items)}]"
        if len(part) == 3:
            pairs = f"{{{', '.join(f'{bind(key)}: {item}' for key, item in zip(part[1], items, strict=True))}}}"
            return pairs if kind is dict else f"{bind(kind)}({pairs})"
        return f"{bind(kind)}({', '.join(items)})"  # a named tuple

    return eval(f"lambda tensors, new: {nested(structure)}", names)  # type: ignore[no-any-return]
