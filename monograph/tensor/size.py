"""The shape of a tensor as users see it."""

from __future__ import annotations

from typing import Any

from monograph.core.naming import naming
from monograph.core.shape import numel


class Size(tuple):
    """A shape, as torch.Size."""

    def numel(self) -> Any:
        """The number of elements."""
        return numel(self)

    def __repr__(self) -> str:
        return f"{naming.package}.Size({list(self)})"

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return Size(found) if isinstance(key, slice) else found

    def __add__(self, other: Any) -> Size:
        return Size(super().__add__(tuple(other)))

    def __mul__(self, times: Any) -> Size:
        return Size(super().__mul__(times))

    __rmul__ = __mul__
