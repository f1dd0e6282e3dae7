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
from monograph.core.errors import NoDataError, message_of
from monograph.core.modes import MODES, ROOM
from monograph.core.weighed import Weighed
from monograph.engine.families import find_plan, ledger
from monograph.engine.interpreting import interpreted
from monograph.engine.plans import Plan
from monograph.engine.sweeping import Decided, Noting, Recipe, Sweeps, perform
from monograph.graph.node import Node, provenance, topological
from monograph.graph.op import Trait
from monograph.ops import source
from monograph.ops.few_numbers import drawn_at_once

FREED = 2
PENDING_BYTES = knobs.pending_megabytes.get() << 20
IMMEDIATE = knobs.eager.get()
_lock = threading.RLock()


def after_refusal() -> None:
    """Called after an evaluation has failed; the tensors, which this room does not know, undo writes here."""


def _has_value(node: Node) -> bool:
    return node.value is not None


def evaluate(wanted: Sequence[Node], sweep: bool = False) -> None:
    """Computes the values of `wanted` (and of what live tensors will need of the same graph).

    `sweep`: of everything else that is pending and alive as well, as at the end of a training step: the loss shares its work with
    the gradients.
    """
    wanted = [n for n in wanted if n.value is None]
    if not wanted or (len(wanted) == 1 and drawn_at_once(wanted[0])):
        return
    if MODES.now.sampling and interpreted(wanted):
        _drop_last()
        return
    with _lock:
        MODES.pending = _alive(MODES.pending)
        try:
            if sweep:
                _sweep(wanted)
            else:
                _compute(wanted)
        except Exception:
            if not sweep:
                after_refusal()
                raise
            # What was swept along may refuse its values (a bad index in a tensor nobody looks at): that must not stop what was asked for.
            try:
                _compute(wanted)
            except Exception:
                after_refusal()
                raise
        else:
            if sweep:
                # Every live tensor has its value now. What is left without one is on a tape and cheap to compute again: pending no longer.
                MODES.pending = []
                MODES.now.room = ROOM


def _sweep(wanted: Sequence[Node]) -> None:
    """Computes `wanted` and all else that is pending, as the last time the same was pending, if it was."""
    if MODES.anomaly:
        _compute([*wanted, *_pending_roots()])
        return
    met = _plans.sweeps.find(MODES.pending, wanted)
    if met is None:
        _plans.weigh(len(MODES.pending))
        _compute([*wanted, *_pending_roots()])
        return
    known, nodes = met
    del met
    holders = known.holders(nodes)
    recipe = known.recipes.get(holders)
    if recipe is not None:
        _plans.sweeps.found += 1
        _again(recipe, nodes)
        return
    position = {id(node): i for i, node in enumerate(nodes)}
    del nodes  # whoever holds a node shows in its reference count

    def note(decided: Decided) -> None:
        known.recipes[holders] = decided.recipe(position)
        _plans.weigh(len(position))

    _compute([*wanted, *_pending_roots()], note)


def _again(recipe: Recipe, nodes: list[Node]) -> None:
    ledger.used_again(recipe.plan, len(nodes))
    try:
        perform(recipe, nodes)
    except IndexError as error:
        raise _with_lines(error, nodes) from None
    for node in nodes:
        if node.inputs and node.value is not None and node.requires_grad is not True:
            node.inputs = ()
    MODES.pending_bytes = 0


def _compute(wanted: Sequence[Node], note: Noting | None = None) -> None:
    order = topological(wanted, stop=_has_value)
    for node in order:
        if node.value is None and node.op is source.source:
            raise NoDataError(
                f"a value of {node.dtype.name}{list(node.shape)} was asked for that is never computed: the tensor is on device 'meta', "
                "or it is "
                "an input of a program being captured. Create it on device 'cpu' to compute with it."
            )
    if MODES.anomaly:
        _one_by_one(order)
    outputs, aliases = _kept(order, wanted)
    if outputs:
        found = run(order, outputs)
        if note is not None:
            note(Decided(*found, outputs, aliases))
            del note
    for node, of in aliases:
        node.value = of.value
    _settle(order)


def _one_by_one(order: Sequence[Node]) -> None:
    """Anomaly mode: every op by itself, so that the first NaN is found where it is born."""
    for node in order:
        if node.value is None and node.dtype is not None and node.inputs:
            run(topological([node], stop=_has_value), [node])
            check_nan(node)


def evaluate_now(node: Node) -> None:
    """One op at once (the eager knob, anomaly mode)."""
    evaluate([node])
    if MODES.anomaly:
        check_nan(node)


def check_nan(node: Node) -> None:
    """Raises RuntimeError naming op and line if a value holds a NaN (anomaly mode)."""
    import numpy as np  # noqa: PLC0415 - only when hunting

    if node.dtype is not None and node.dtype.kind == "f" and node.value is not None:
        array = node.value.array(node.shape, node.dtype.np)
        if np.isnan(array.astype(np.float32)).any():
            raise RuntimeError(
                f"anomaly: {node.op.name} returned nan values in its output {node.dtype.name}{list(node.shape)}, "
                f"recorded at {provenance(node)}"
            )


def _is_cheap(node: Node) -> bool:
    """Whether recomputing a node inside its users' kernels costs less than keeping it: elementwise work and movement."""
    if node.op is source.project:
        return _is_cheap(node.inputs[0])
    return not node.op.traits.isdisjoint(_CHEAP) or not node.inputs


_CHEAP = frozenset({Trait.POINTWISE, Trait.VIEW, Trait.ALIAS})


# What sys.getrefcount reports for an object that one list holds and a loop looks at, and for one just popped from a list: measured, since
# it differs between Pythons.
def _refcount_in_loop() -> int:
    for item in [object()]:
        return sys.getrefcount(item)
    return 0


def _refcount_popped() -> int:
    items = [object()]
    item = items.pop()
    return sys.getrefcount(item)


IN_LOOP, POPPED = _refcount_in_loop(), _refcount_popped()


def _alive(pending: list[Node]) -> list[Node]:
    """The pending nodes that something besides the list still refers to. From the end, so that a dead user lets its inputs go first."""
    kept = []
    while pending:
        node = pending.pop()
        if node.value is None and sys.getrefcount(node) > POPPED:
            kept.append(node)
    kept.reverse()
    return kept


def _drop_last() -> None:
    """`_alive` for what was recorded last, as far as nobody holds it: the rest may be long, and another's."""
    pending = MODES.pending
    while pending:
        node = pending.pop()
        if node.value is None and sys.getrefcount(node) > POPPED:
            pending.append(node)
            return


def make_room(most: int) -> bool:
    """Drops the dead from the list of pending work; says whether well below `most` nodes are left, so that recording may go on."""
    now = MODES.now
    if now.capture is not None:  # the list is what is captured
        now.room = 2 * len(now.pending)
        return True
    now.pending = _alive(now.pending)
    left = len(now.pending)
    now.room = min(most, max(ROOM, 2 * left))
    return left <= most * 3 // 4


def let_go() -> None:
    """Drops what nobody can ask for any more from the list of pending work, and with it what that alone kept alive."""
    MODES.pending = _alive(MODES.pending)


def _pending_roots() -> list[Node]:
    """Pending nodes that no other pending node uses: live tensors hold them."""
    used = {i for n in MODES.pending for i in n.inputs}
    return [n for n in MODES.pending if n not in used and n.dtype is not None]


def _unaliased(node: Node) -> Node:
    """The node whose memory this one shares by definition (detach, leaf)."""
    while node.value is None and (node.op is source.leaf or node.op is source.detach):
        node = node.inputs[0]
    return node


def _own_references(order: list[Node]) -> dict[int, int]:
    """How often the graph and the list of pending work refer to each node (a function of its own, so that no loop variable counts)."""
    count: dict[int, int] = {}
    for node in order:
        for i in node.inputs:
            count[id(i)] = count.get(id(i), 0) + 1
    for node in MODES.pending:
        count[id(node)] = count.get(id(node), 0) + 1
    return count


def _kept(order: list[Node], wanted: Sequence[Node]) -> tuple[list[Node], list[tuple[Node, Node]]]:
    """The nodes whose values must survive this evaluation; and aliases, which share the value of another node.

    Besides the wanted ones: whatever somebody outside of this graph still holds (a live tensor, a tape that a later backward pass will
    read). Such a holder shows in the reference count: more references than the graph itself has. Cheap nodes that only a tape holds are
    recomputed later instead.
    """
    count = _own_references(order)
    keep = {id(n) for n in wanted}
    outputs: dict[Node, None] = {}
    aliases = []
    for node in order:
        if node.value is not None or node.dtype is None:
            continue
        if (
            id(node) in keep
            or sys.getrefcount(node) - IN_LOOP > count.get(id(node), 0)
            or (node.requires_grad is True and not _is_cheap(node))
        ):
            of = _unaliased(node)
            if of is not node:
                aliases.append((node, of))
            if of.value is None:
                outputs[of] = None
    return list(outputs), aliases


def _settle(order: list[Node]) -> None:
    """Lets go of history: values need no inputs, unless a backward pass may still come. Empties `order`: it would keep the dead alive."""
    while order:
        node = order.pop()
        if node.value is not None and node.inputs and node.requires_grad is not True:
            node.inputs = ()
    del node
    MODES.pending = _alive(MODES.pending)
    MODES.pending_bytes = 0


def relieve(newest: Node) -> None:
    """The pending graph has passed its limit: evaluates everything that is still held by someone."""
    if MODES.capture is not None:
        return
    evaluate([newest], sweep=True)


PLANNED_NODES = 200_000


class PlanCache(Weighed[Plan]):
    """Plans by structure. What a plan takes in memory goes with its nodes, so that is what is limited."""

    def __init__(self) -> None:
        super().__init__(PLANNED_NODES)
        self.sweeps = Sweeps()

    def add(self, key: Any, plan: Plan, nodes: int) -> Plan:
        """Keeps a plan; all others are let go when there are too many."""
        self.weigh(nodes)
        self[key] = plan
        return plan

    def clear(self) -> None:
        """Lets all go."""
        super().clear()
        self.sweeps.clear()


_plans = PlanCache()


def structure(order: Sequence[Node], outputs: Sequence[Node]) -> tuple[Any, list[Node], list[Node]]:
    """The structural key of a pending graph, with its sources (nodes that have values) and scalars, in order of appearance."""
    position: dict[Node, int] = {}
    sources: list[Node] = []
    scalars: list[Node] = []
    key: list[Any] = []
    for i, node in enumerate(order):
        position[node] = i
        if node.value is not None:
            sources.append(node)
            key += (-1, node.shape, node.dtype.number)
        elif node.op is source.scalar:
            scalars.append(node)
            key += (-2, node.dtype.number)
        else:
            inputs = node.inputs
            key += (node.op.number, node.attrs.token, len(inputs))
            for x in inputs:
                key.append(position[x])
    key += [position[n] for n in outputs]
    return tuple(key), sources, scalars


def run(order: list[Node], outputs: list[Node]) -> tuple[Plan, list[Node], list[Node]]:
    """Computes `outputs` by a plan, made once per structure. Returns the plan, and the nodes that it took as sources and as scalars."""
    key, sources, scalars = structure(order, outputs)
    key = (knobs.planning(), key)
    plan = _plans.get(key)
    if plan is None:
        plan = _plans.add(key, find_plan(order, sources, scalars, outputs, _has_value, once=True), len(order))
    else:
        ledger.used_again(plan, len(order))
    try:
        values = plan.run([n.value for n in sources], [n.attrs.value for n in scalars])  # type: ignore[attr-defined]
    except IndexError as error:
        raise _with_lines(error, order) from None
    for node, value in zip(outputs, values, strict=True):
        node.value = value
    return plan, sources, scalars


def _with_lines(error: IndexError, order: Sequence[Node]) -> IndexError:
    """The error of a plan with the user's lines that may be meant: a plan serves many places of a program, so it knows none."""
    lines = list(dict.fromkeys(provenance(n) for n in order if n.value is None and n.op.checks_values and provenance(n)))
    what = message_of(error).partition(" (op ")[0]
    if ", recorded at " in what:  # of the place that the plan was made for
        what = what.partition(", recorded at ")[0] + ")"
    if not lines:
        return type(error)(what)
    return type(error)(f"{what}; recorded at {lines[0]}" if len(lines) == 1 else f"{what}; recorded at one of: {', '.join(lines[:5])}")
