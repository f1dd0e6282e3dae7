"""Writes that turn out to be refused: the tensor gets back what it held before, as if the failing line had raised at once.

An index out of range or a division by zero is found when values are computed, after the in-place op that asked for it has long returned.
"""

from __future__ import annotations

import contextlib
import weakref

from monograph.core.modes import MODES
from monograph.engine import evaluator
from monograph.graph.node import Node, value_checks_pending
from monograph.tensor.core import Tensor

# What a write made, with the base tensor and its node before. All weak: a pending node keeps what it was computed from by itself.
_written: weakref.WeakKeyDictionary[Node, tuple[weakref.ref[Tensor], weakref.ref[Node]]] = weakref.WeakKeyDictionary()
DEPTH = 5  # how far back from a write the op that checks is looked for


def may_refuse(node: Node, depth: int = DEPTH) -> bool:
    """Whether computing a node may raise because of values (an index, a divisor)."""
    if node.value is not None or not value_checks_pending():
        return False
    return node.op.checks_values or (depth > 0 and any(may_refuse(i, depth - 1) for i in node.inputs))


def note_write(base: Tensor, before: Node) -> None:
    """Remembers what a base tensor held before the write that just happened, if that may be refused."""
    if MODES.capture is None and may_refuse(base._node):
        _written[base._node] = weakref.ref(base), weakref.ref(before)


def roll_back() -> None:
    """After a failed evaluation: undoes the writes that are refused."""
    pending = [(new, *refs) for new, refs in _written.items()]
    _written.clear()
    restored: set[int] = set()  # to what was there before the first refused write: the later ones read it
    for new, base, before in pending:
        tensor, old = base(), before()
        if tensor is None or old is None or new.value is not None or id(tensor) in restored:
            continue
        with contextlib.suppress(Exception):
            evaluator.evaluate([new])
            continue
        tensor._write(old)
        restored.add(id(tensor))


evaluator.after_refusal = roll_back
