"""Draws of a handful of numbers in plain integers: what `philox_reference` says of one block, without arrays and without a program.

Augmentation, samplers and users' own coins draw one number and look at it. Preparing a program for that costs ten times the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.core.dtype import float32, float64
from monograph.core.modes import MODES
from monograph.graph.node import Node
from monograph.ops import source
from monograph.ops.philox_reference import MASK64, WEYL
from monograph.ops.random import random_int, random_uniform
from monograph.runtime.buffers import Buffer

LOW = 0xFFFFFFFF
KEYS = tuple((i * WEYL[0], i * WEYL[1]) for i in range(10))  # what the rounds add to the two halves of the key


def block(key: int, counter: int) -> tuple[int, int, int, int]:
    """The four words of one block.

    >>> from monograph.ops.philox_reference import philox_blocks
    >>> block(7, 3) == tuple(philox_blocks(7, 3, 1)[0].tolist())
    True
    """
    c0, c1, c2, c3 = counter & LOW, (counter & MASK64) >> 32, 0, 0
    k0, k1 = key & LOW, (key & MASK64) >> 32
    for more0, more1 in KEYS:
        p0, p1 = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ ((k0 + more0) & LOW), p1 & LOW, (p0 >> 32) ^ c3 ^ ((k1 + more1) & LOW), p0 & LOW
    return c0, c1, c2, c3


def _pairs(words: tuple[int, int, int, int]) -> tuple[int, int]:
    """The block as two numbers of 64 bits."""
    return words[0] | words[1] << 32, words[2] | words[3] << 32


def _uniform(attrs: Any, words: tuple[int, int, int, int]) -> tuple[float, ...] | None:
    if attrs.dtype is float32:
        return tuple([(word >> 8) * 2.0**-24 for word in words])
    if attrs.dtype is float64:
        return tuple([(bits >> 11) * 2.0**-53 for bits in _pairs(words)])
    return None


def _integers(attrs: Any, words: tuple[int, int, int, int]) -> tuple[int, ...] | None:
    span = attrs.high - attrs.low
    return tuple([attrs.low + (bits * span >> 64) for bits in _pairs(words)]) if attrs.dtype.kind == "i" else None


_RULES: dict[Any, Callable[[Any, tuple[int, int, int, int]], Any]] = {random_uniform: _uniform, random_int: _integers}


def numbers_of(node: Node) -> tuple[Any, ...] | None:
    """What a draw gives whose numbers come out of one block; None of anything else."""
    rule = _RULES.get(node.op)
    if rule is None:
        return None
    key, offset = node.inputs
    count = node.numel
    if count > 4 or key.op is not source.scalar or offset.op is not source.scalar:
        return None
    numbers = rule(node.attrs, block(key.attrs.value, offset.attrs.value))  # type: ignore[attr-defined]
    return None if numbers is None or count > len(numbers) else numbers[:count]


def drawn_at_once(node: Node) -> bool:
    """Fills in the value of such a draw; says whether it was one."""
    numbers = numbers_of(node) if node.op in _RULES else None
    if numbers is None:
        return False
    value = Buffer(len(numbers) * node.dtype.itemsize)
    value.array((len(numbers),), node.dtype.np)[...] = numbers
    node.value, node.inputs = value, ()
    forget(node)
    return True


def forget(node: Node) -> None:
    """Takes a node that was just recorded off the list of pending work; what stands further in, the next evaluation drops."""
    pending = MODES.pending
    if pending and pending[-1] is node:
        pending.pop()
