"""Iteration domains: factorisations of a flat range, their common refinement, and strides over refined dims."""

from __future__ import annotations

from itertools import pairwise

Sizes = tuple[int, ...]


def squeeze(shape: Sizes) -> Sizes:
    """The shape without dims of size 1."""
    return tuple(n for n in shape if n != 1)


def refine(a: Sizes, b: Sizes) -> Sizes | None:
    """The coarsest factorisation that both shapes (of equal element count, without ones) are groupings of; None if there is none.

    >>> refine((6, 4), (2, 12)), refine((6, 4), (4, 6))
    ((2, 3, 4), None)
    """
    if a == b:
        return a
    if 0 in a or 0 in b:
        return None
    steps = sorted(_boundaries(a) | _boundaries(b))
    out = []
    for low, high in pairwise(steps):
        if high == low:  # two symbolic sizes that are written differently
            continue
        if high % low:
            return None
        out.append(high // low)
    return tuple(reversed(out))


def _boundaries(shape: Sizes) -> set[int]:
    found, total = {1}, 1
    for n in reversed(shape):
        total *= n
        found.add(total)
    return found


def groups(shape: Sizes, refined: Sizes) -> list[int]:
    """For each refined dim, the dim of `shape` (ones allowed in it) that it is a part of."""
    if 0 in shape:  # an empty domain is never refined
        return [d for d, n in enumerate(shape) if n != 1]
    owner: list[int] = []
    at = 0
    for d, n in enumerate(shape):
        if n == 1:
            continue
        filled = 1
        while filled < n:
            filled *= refined[at]
            owner.append(d)
            at += 1
    return owner


def spread(shape: Sizes, strides: Sizes, refined: Sizes) -> Sizes:
    """Strides over the refined dims, from strides over the dims of `shape`."""
    owner = groups(shape, refined)
    out = [0] * len(refined)
    step: dict[int, int] = {}
    for i in range(len(refined) - 1, -1, -1):
        d = owner[i]
        inner = step.get(d, 1)
        out[i] = strides[d] * inner
        step[d] = inner * refined[i]
    return tuple(out)
