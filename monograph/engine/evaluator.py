"""Evaluation on demand: from the nodes somebody looks at to values.

One evaluation takes all that the wanted nodes still need as one graph, adds what live handles will want later, asks the target for a plan
(cached by structure), runs it, fills `node.value`, and lets go of everything that nobody can reach any more.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import Any

from monograph.core import knobs
from monograph.core.errors import DeviceError
from monograph.core.modes import MODES
from monograph.engine.plans import Plan, make_plan
from monograph.graph.node import Node, topological
from monograph.graph.op import Trait
from monograph.ops import source

FREED = 2
PENDING_BYTES = knobs.pending_megabytes.get() << 20
IMMEDIATE = knobs.eager.get()
_lock = threading.RLock()



def _has_value(node: Node) -> bool:
    return node.value is not None


def evaluate(wanted: Sequence[Node]) -> None:
    """Computes the values of `wanted` (and of what live tensors will need of the same graph)."""
    wanted = [n for n in wanted if n.value is None]
    if not wanted:
        return
    with _lock:
        order = topological(wanted, stop=_has_value)
        for node in order:
            if node.value is None and node.op is source.source:
                raise DeviceError(
                    f"a value of {node.dtype.name}{list(node.shape)} was asked for that is never computed: the tensor is on device 'meta', or it is "
                    "an input of a program being captured. Create it on device 'cpu' to compute with it."
                )
        outputs = _kept(order, wanted)
        run(order, outputs)
        _settle(order)


def evaluate_now(node: Node) -> None:
    """One op at once (the eager knob, anomaly mode)."""
    evaluate([node])
    if MODES.anomaly:
        check_nan(node)


def check_nan(node: Node) -> None:
    """Raises RuntimeError naming op and line if a value holds a NaN (anomaly mode)."""
    import numpy as np  # noqa: PLC0415 - only when hunting

    from monograph.graph.node import provenance  # noqa: PLC0415

    if node.dtype is not None and node.dtype.kind == "f" and node.value is not None:
        array = node.value.array(node.shape, node.dtype.np)
        if np.isnan(array.astype(np.float32)).any():
            raise RuntimeError(f"anomaly: {node.op.name} returned nan values in its output {node.dtype.name}{list(node.shape)}, recorded at {provenance(node)}")


# How many references sys.getrefcount reports for an object held by one list and looked at in a loop: measured, since it differs between Pythons.
def _calibrate() -> int:
    for item in [object()]:
        return sys.getrefcount(item)
    return 0


def _is_cheap(node: Node) -> bool:
    """Whether recomputing a node inside its users' kernels costs less than keeping it: elementwise work and movement."""
    traits = node.op.traits
    return Trait.POINTWISE in traits or Trait.VIEW in traits or Trait.ALIAS in traits or not node.inputs


def _kept(order: list[Node], wanted: Sequence[Node]) -> list[Node]:
    """The nodes whose values must survive this evaluation.

    Besides the wanted ones: whatever somebody outside of this graph still holds (a live tensor, a tape that a later backward pass will
    read). Such a holder shows in the reference count: more references than the graph itself has. Cheap nodes that only a tape holds are
    recomputed later instead.
    """
    internal: dict[int, int] = {}
    for node in order:
        for i in node.inputs:
            internal[id(i)] = internal.get(id(i), 0) + 1
    pending = {id(n) for n in MODES.pending}
    keep = {id(n) for n in wanted}
    outputs = []
    for node in order:
        if node.value is not None:
            continue
        if id(node) in keep:
            outputs.append(node)
            continue
        extra = sys.getrefcount(node) - BASELINE - internal.get(id(node), 0) - (id(node) in pending)
        if extra > 0 and node.dtype is not None:
            outputs.append(node)
        elif node.requires_grad is True and not _is_cheap(node) and node.dtype is not None:
            outputs.append(node)
    return outputs


BASELINE = 3


def _settle(order: list[Node]) -> None:
    """Lets go of history: values need no inputs, unless a backward pass may still come."""
    for node in order:
        if node.value is not None and node.inputs and node.requires_grad is not True:
            node.inputs = ()
    modes = MODES
    modes.pending = [n for n in modes.pending if n.value is None and sys.getrefcount(n) > PENDING_BASELINE]
    modes.pending_bytes = 0


PENDING_BASELINE = 3


def relieve(newest: Node) -> None:
    """The pending graph has passed its limit: evaluates everything that is still held by someone."""
    if MODES.capture is not None:
        MODES.pending.clear()
        return
    pending = MODES.pending
    roots = [n for n in pending if n.value is None and sys.getrefcount(n) > PENDING_BASELINE and n.dtype is not None]
    if not any(n is newest for n in roots):
        roots.append(newest)
    used = {id(i) for n in roots for i in n.inputs}
    evaluate([n for n in roots if id(n) not in used] or [newest])
    MODES.pending.clear()


_plans: dict[Any, Plan] = {}
PLANS_KEPT = 2000


def structure(order: Sequence[Node], outputs: Sequence[Node]) -> tuple[Any, list[Node], list[Node]]:
    """The structural key of a pending graph, with its sources (nodes that have values) and scalars, in order of appearance."""
    position: dict[int, int] = {}
    sources: list[Node] = []
    scalars: list[Node] = []
    key: list[Any] = []
    for i, node in enumerate(order):
        position[id(node)] = i
        if node.value is not None:
            sources.append(node)
            key.append((node.shape, node.dtype.number))
        elif node.op is source.scalar:
            scalars.append(node)
            key.append(node.dtype.number)
        else:
            key.append((node.op.number, node.attrs, *[position[id(x)] for x in node.inputs]))
    key.append(tuple([position[id(n)] for n in outputs]))
    return tuple(key), sources, scalars


def run(order: list[Node], outputs: list[Node]) -> None:
    """Computes `outputs` by a plan, made once per structure."""
    key, sources, scalars = structure(order, outputs)
    key = (knobs.target.get(), key)
    plan = _plans.get(key)
    if plan is None:
        if len(_plans) >= PLANS_KEPT:
            _plans.clear()
        plan = _plans[key] = make_plan(sources, scalars, outputs)
    values = plan.run([n.value for n in sources], [n.attrs.value for n in scalars])  # type: ignore[attr-defined]
    for node, value in zip(outputs, values, strict=True):
        node.value = value
