"""Causal masks for queries and keys of different lengths."""

from __future__ import annotations

from enum import IntEnum

from monograph.core.dtype import bool_
from monograph.tensor import FUNCTIONS, Tensor


class CausalVariant(IntEnum):
    """Where the diagonal of a causal mask that is not square begins."""

    UPPER_LEFT = 1
    LOWER_RIGHT = 2


def _mask(size: tuple[int, ...], diagonal: int) -> Tensor:
    if len(size) != 2:
        raise RuntimeError(f"a causal mask has a length of queries and a length of keys, got {size}")
    return FUNCTIONS["tril"](FUNCTIONS["ones"](size, dtype=bool_), diagonal)


def causal_upper_left(*size: int) -> Tensor:
    """True where key <= query: a bool mask [queries, keys] for `scaled_dot_product_attention`.

    >>> from monograph.nn.attention.bias import causal_upper_left
    >>> causal_upper_left(2, 3).tolist()
    [[True, False, False], [True, True, False]]
    """
    return _mask(size, 0)


def causal_lower_right(*size: int) -> Tensor:
    """As `causal_upper_left`, with the last query at the last key."""
    return _mask(size, size[-1] - size[0])


__all__ = ["CausalVariant", "causal_lower_right", "causal_upper_left"]
