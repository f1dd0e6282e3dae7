"""What an error says below its first line: the shapes with the clashing sizes marked, and the likely fix, derived from them.

The first line stays torch's wording, which people search for. Nothing here runs unless an error is about to be raised.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

Shape = tuple[Any, ...]


def marked(shape: Shape, *dims: int) -> str:
    """The shape with the sizes of `dims` marked; numbers of dims may be negative, those that do not exist mark nothing.

    >>> marked((32, 128, 7), 1)
    '[32, >128<, 7]'
    """
    wanted = {d % len(shape) for d in dims if -len(shape) <= d < len(shape)}
    return "[" + ", ".join(f">{s}<" if i in wanted else str(s) for i, s in enumerate(shape)) + "]"


def explained(message: str, fix: str = "", **operands: str) -> str:
    """A message of several lines: torch's, then one line for each operand (of `marked`, say), then the fix.

    >>> print(explained("sizes do not match", "use x.T", x=marked((2, 3), 1), weight="[4]"))
    sizes do not match
      x      [2, >3<]
      weight [4]
      fix: use x.T
    """
    width = max((len(name) for name in operands), default=0)
    lines = [message, *(f"  {name.replace('_', ' '):{width}} {text}" for name, text in operands.items())]
    return "\n".join([*lines, f"  fix: {fix}"] if fix else lines)


def _known(*shapes: Shape) -> bool:
    """Whether all sizes are plain numbers: symbolic ones are asked nothing for the sake of a hint."""
    return all(isinstance(s, int) for shape in shapes for s in shape)


def broadcasts(a: Shape, b: Shape) -> bool:
    """Whether two shapes of plain numbers fit NumPy's rule."""
    return all(m == n or 1 in (m, n) for m, n in zip(reversed(a), reversed(b)))  # noqa: B905 - the shorter one ends it


def feature_fix(shape: Shape, wanted: Any, default: str, name: str = "input") -> str:
    """How an input of `shape` gets a last dimension of `wanted`: by flattening, by moving a dimension to the end, or else `default`.

    >>> feature_fix((2, 8, 6, 6), 288, "")
    'did you forget input.flatten(1)? It gives [2, 288]'
    >>> feature_fix((2, 64, 10), 64, "")
    'the 64 are in dimension 1: input.transpose(1, -1) gives [2, 10, 64]'
    """
    if not _known(shape, (wanted,)):
        return default
    n = len(shape)
    for first in range(1, n - 1):
        if math.prod(shape[first:]) == wanted:
            return f"did you forget {name}.flatten({first})? It gives {[*shape[:first], wanted]}"
    for d in range(n - 2, -1, -1):
        if shape[d] == wanted:
            swapped = [*shape[:d], shape[-1], *shape[d + 1 : -1], wanted]
            return f"the {wanted} are in dimension {d}: {name}.transpose({d}, -1) gives {swapped}"
    return default


def channel_fix(shape: Shape, wanted: Any, default: str) -> str:
    """How an input [N, C, ...] gets `wanted` channels in dimension 1.

    >>> channel_fix((1, 8, 8, 3), 3, "")
    'the 3 channels are in dimension 3: input.movedim(3, 1) gives [1, 3, 8, 8]'
    """
    if _known(shape, (wanted,)):
        for d in range(len(shape) - 1, 1, -1):
            if shape[d] == wanted:
                rest = [*shape[1:d], *shape[d + 1 :]]
                return f"the {wanted} channels are in dimension {d}: input.movedim({d}, 1) gives {[shape[0], wanted, *rest]}"
    return default


def broadcast_fix(a: Shape, b: Shape, names: tuple[str, str] = ("a", "b")) -> str:
    """How two shapes that do not broadcast would: by a dimension of one put in, by a transpose, or by a reshape.

    >>> broadcast_fix((32, 10), (32,))
    'b.unsqueeze(-1) has shape [32, 1], which broadcasts with [32, 10]'
    >>> broadcast_fix((2, 3), (3, 2))
    'b.transpose(0, 1) has shape [2, 3], as a'
    """
    if not _known(a, b):
        return ""
    (small, name), (large, other) = ((a, names[0]), (b, names[1])) if len(a) < len(b) else ((b, names[1]), (a, names[0]))
    for place in range(len(small), -1, -1) if len(small) < len(large) else ():
        wider = [*small[:place], 1, *small[place:]]
        if broadcasts(tuple(wider), large):
            place = -1 if place == len(small) else place
            return f"{name}.unsqueeze({place}) has shape {wider}, which broadcasts with {list(large)}"
    if len(small) == len(large):
        for i, j in itertools.combinations(range(len(small)), 2):
            turned = list(small)
            turned[i], turned[j] = turned[j], turned[i]
            if tuple(turned) == large:
                return f"{name}.transpose({i}, {j}) has shape {turned}, as {other}"
    if math.prod(small) == math.prod(large):
        return f"both have {math.prod(small)} elements: {name}.reshape({list(large)}), if their order is the same"
    return "sizes must be equal, or one of them 1"


def reshape_fix(shape: Shape, wanted: Shape) -> str:
    """Which size of a requested shape could be left open as -1, "" if none.

    >>> reshape_fix((2, 3), (4, 3))
    '-1 stands for the size that fits: (-1, 3) gives [2, 3]'
    """
    if not _known(shape, wanted) or 0 in shape or any(s < 1 for s in wanted):
        return ""
    total = math.prod(shape)
    for i in range(len(wanted)):
        rest = math.prod(wanted[:i] + wanted[i + 1 :])
        if total % rest == 0:
            asked = ", ".join("-1" if d == i else str(s) for d, s in enumerate(wanted)) + ("," if len(wanted) == 1 else "")
            return f"-1 stands for the size that fits: ({asked}) gives {[*wanted[:i], total // rest, *wanted[i + 1 :]]}"
    return f"the sizes must multiply to {total}"
