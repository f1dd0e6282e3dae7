"""Nested Python containers (dict, list, tuple, namedtuple) as leaves plus a hashable description of the structure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

CONTAINERS = (tuple, list, dict)


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """(leaves, structure). `unflatten` inverts it; the structure is hashable and comparable.

    >>> leaves, structure = flatten({"a": (1, 2), "b": [3]})
    >>> leaves
    [1, 2, 3]
    >>> unflatten(structure, [10, 20, 30])
    {'a': (10, 20), 'b': [30]}
    """
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves)


def _flatten(tree: Any, leaves: list[Any]) -> Any:
    kind = type(tree)
    if kind is list or kind is tuple:
        # A call for each leaf would be most of the time of a small batch; `append` returns None, which is what stands for a leaf.
        return (kind, tuple([_flatten(x, leaves) if isinstance(x, CONTAINERS) else leaves.append(x) for x in tree]))  # type: ignore[func-returns-value]
    if kind is dict or kind is OrderedDict:
        return (kind, tuple(tree), tuple([_flatten(x, leaves) for x in tree.values()]))
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return (kind, tuple([_flatten(x, leaves) for x in tree]))
    leaves.append(tree)
    return None


def unflatten(structure: Any, leaves: list[Any]) -> Any:
    """The tree of that structure with new leaves."""
    return _unflatten(structure, iter(leaves))


def _unflatten(structure: Any, leaves: Any) -> Any:
    if structure is None:
        return next(leaves)
    kind = structure[0]
    if len(structure) == 3:
        return kind(zip(structure[1], [_unflatten(s, leaves) for s in structure[2]], strict=True))
    items = [_unflatten(s, leaves) for s in structure[1]]
    return kind(items) if kind in (list, tuple) else kind(*items)


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same structure with `function` applied to each leaf."""
    leaves, structure = flatten(tree)
    return unflatten(structure, [function(x) for x in leaves])
