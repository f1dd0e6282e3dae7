"""What a feature of an example is to become: a fixed shape, a list, or a padded list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FixedLenFeature:
    """Values of one shape; `default_value` where the example lacks the feature. dtype: float32, int64, or bytes for strings."""

    shape: Sequence[int] | int
    dtype: Any
    default_value: Any = None


@dataclass(frozen=True)
class VarLenFeature:
    """As many values as there are: a vector (tf has sparse tensors here)."""

    dtype: Any


@dataclass(frozen=True)
class FixedLenSequenceFeature:
    """As many values as there are, in rows of one shape."""

    shape: Sequence[int] | int
    dtype: Any
    allow_missing: bool = False
    default_value: Any = None
