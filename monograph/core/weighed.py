"""A memory that forgets: what is kept by structure (plans, templates, gradients written down) is let go when it weighs too much."""

from __future__ import annotations

from typing import Any, TypeVar

Value = TypeVar("Value")


class Weighed(dict[Any, Value]):
    """A dictionary whose entries hold nodes. All are let go before they would hold more than `most`.

    >>> kept = Weighed(10)
    >>> for name in "abc":
    ...     kept.weigh(4)
    ...     kept[name] = name
    >>> list(kept), kept.nodes
    (['c'], 4)
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.nodes = most, 0

    def weigh(self, nodes: int) -> None:
        """Notes that so many nodes more will be held."""
        if self.nodes + nodes > self.most:
            self.clear()
        self.nodes += nodes

    def clear(self) -> None:
        """Lets all go."""
        super().clear()
        self.nodes = 0
