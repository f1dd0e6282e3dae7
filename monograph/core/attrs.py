"""Attributes of a node: frozen, hashable records with typed fields, so that equal programs compare equal and print alike."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, dataclass_transform


class Attrs:
    """Base of all attribute records. A subclass is declared with `@attrs`."""

    __slots__ = ()

    def items(self) -> list[tuple[str, Any]]:
        """Field names and values, in order of declaration."""
        return [(f.name, getattr(self, f.name)) for f in fields(self)]  # type: ignore[arg-type]


@dataclass_transform(frozen_default=True)
def attrs(cls: type) -> type:
    """Declares an attribute record: a frozen, slotted dataclass with value equality."""
    return dataclass(frozen=True, slots=True)(cls)


@attrs
class NoAttrs(Attrs):
    """For ops without attributes."""


NO_ATTRS = NoAttrs()
