"""Sweeps found again: what the evaluation of all pending work has decided when the same work was pending before.

A training loop leaves the same nodes pending at the end of each step. Which of their values must survive, in which order the graph is
walked and which plan runs it follow from what the nodes are and from who else holds them. `Known` keeps what the nodes of one sweep were,
in positions on the list of pending work and beyond; whether another sweep is alike is a handful of comparisons of whole lists, which cost
a fraction of a walk through the graph. What `evaluator` has worked out for it (a `Recipe`, in positions too) holds then as well.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import chain
from operator import attrgetter, gt
from typing import Any, NamedTuple

from monograph.core import knobs
from monograph.engine.plans import Plan
from monograph.graph.node import Node
from monograph.ops import source

NEVER = 1 << 60  # more references than a node can have
ALIKE = 8  # sweeps that differ in nothing but what they read: so many are kept
_refcount = sys.getrefcount
_inputs: Callable[[Node], tuple[Node, ...]] = attrgetter("inputs")
_value = attrgetter("value")
_type = attrgetter("shape", "dtype")
_number = attrgetter("op", "dtype", "value")
_computed = attrgetter("op.number", "attrs._token", "requires_grad", "shape")
_unrecorded = attrgetter("op.number", "attrs._token", "requires_grad", "shape", "value")


def _listed_references() -> int:
    """What `sys.getrefcount` reports, mapped over a list, for an object that nothing but the list holds."""
    (count,) = map(_refcount, [object()])
    return count


LISTED = _listed_references()


class Recipe(NamedTuple):
    """How to evaluate a sweep: the plan, and positions of what goes in and what comes out."""

    plan: Plan
    sources: tuple[int, ...]
    scalars: tuple[int, ...]
    outputs: tuple[int, ...]
    aliases: tuple[tuple[int, int], ...]  # (node, the one whose value it shares)


def written(pending: Sequence[Node]) -> tuple[Any, ...]:
    """What the pending nodes are, but for what they read."""
    try:
        return (knobs.planning(), *map(_computed, pending))
    except AttributeError:  # an attribute record met for the first time has no token yet
        for node in pending:
            assert node.attrs.token >= 0
        return (knobs.planning(), *map(_computed, pending))


class Known:
    """A sweep that was met before: what it read, how often its nodes refer to each other, and recipes by who else holds what.

    Its nodes are numbered: those pending first, then what these read, then what that reads, down to values and numbers.
    """

    __slots__ = ("levels", "number_types", "numbers", "other_types", "others", "recipes", "references", "value_types", "valued")

    def __init__(self, pending: Sequence[Node], wanted: Sequence[Node]) -> None:
        nodes = list(pending)
        position = {node: i for i, node in enumerate(nodes)}
        # Of each level: the nodes that it reads, which of these are new, and which of the new ones are computed and so read something too.
        self.levels: list[tuple[list[int], list[int], list[int]]] = []
        level, ends = nodes, wanted
        while level or ends:
            read = [*ends, *chain.from_iterable(map(_inputs, level))]
            new = []
            for k, x in enumerate(read):
                if x not in position:
                    position[x] = len(position)
                    new.append(k)
            fresh = [read[k] for k in new]
            level, ends = [x for x in fresh if x.value is None and x.inputs], ()
            self.levels.append(([position[x] for x in read], new, [position[x] for x in level]))
        beyond = list(position)[len(pending) :]
        valued = [n for n in beyond if n.value is not None]
        numbers = [n for n in beyond if n.value is None and n.op is source.scalar]
        others = [n for n in beyond if n.value is None and n.op is not source.scalar]
        assert all(n.attrs.token >= 0 for n in others)
        self.valued, self.value_types = [position[n] for n in valued], [_type(n) for n in valued]
        self.numbers, self.number_types = [position[n] for n in numbers], [_number(n) for n in numbers]
        self.others, self.other_types = [position[n] for n in others], [_unrecorded(n) for n in others]
        counts = [LISTED + 1] * len(pending) + [LISTED] * len(beyond)  # (the list of pending work refers to its nodes)
        skipped = len(wanted)
        for read_at, _, _ in self.levels:
            for i in read_at[skipped:]:
                counts[i] += 1
            skipped = 0
        self.references = [NEVER if n.value is not None or n.dtype is None else counts[i] for n, i in position.items()]
        self.recipes: dict[bytes, Recipe] = {}

    def nodes(self, pending: Sequence[Node], wanted: Sequence[Node]) -> list[Node] | None:
        """The nodes of another sweep by number, None if it is not like this one. That `written` says the same of both is known already."""
        nodes = list(pending)
        level, ends = pending, wanted
        for read_at, new, following in self.levels:
            read = [*ends, *chain.from_iterable(map(_inputs, level))]
            if len(read) != len(read_at):
                return None
            nodes += [read[k] for k in new]
            if list(map(nodes.__getitem__, read_at)) != read:
                return None
            level, ends = [nodes[i] for i in following], ()
        valued = [nodes[i] for i in self.valued]
        if list(map(_type, valued)) != self.value_types or None in map(_value, valued):
            return None
        if [_number(nodes[i]) for i in self.numbers] != self.number_types:
            return None
        try:
            if [_unrecorded(nodes[i]) for i in self.others] != self.other_types:
                return None
        except AttributeError:  # an attribute record met for the first time
            return None
        return nodes if len(set(nodes)) == len(nodes) else None

    def holders(self, nodes: Sequence[Node]) -> bytes:
        """For each node that is to be computed whether something outside of the pending work refers to it."""
        return bytes(map(gt, map(_refcount, nodes), self.references))


class Sweeps(dict[Any, list[Known]]):
    """The sweeps that were met."""

    found = 0  # how often one was evaluated as before

    def find(self, pending: Sequence[Node], wanted: Sequence[Node]) -> tuple[Known, list[Node]] | None:
        """What is known of a sweep (when it comes the second time: nothing yet), and its nodes. None of what never came before."""
        key = written(pending)
        alike = self.get(key)
        if alike is None:
            self[key] = []
            return None
        for known in alike:
            nodes = known.nodes(pending, wanted)
            if nodes is not None:
                return known, nodes
        known = Known(pending, wanted)
        alike.insert(0, known)
        del alike[ALIKE:]
        nodes = known.nodes(pending, wanted)
        assert nodes is not None
        return known, nodes


def perform(recipe: Recipe, nodes: Sequence[Node]) -> None:
    """Evaluates a sweep as it was evaluated before."""
    values = recipe.plan.run([nodes[i].value for i in recipe.sources], [nodes[i].attrs.value for i in recipe.scalars])  # type: ignore[attr-defined]
    for i, value in zip(recipe.outputs, values, strict=True):
        nodes[i].value = value
    for i, of in recipe.aliases:
        nodes[i].value = nodes[of].value


class Decided(NamedTuple):
    """What an evaluation has decided, in nodes."""

    plan: Plan
    sources: list[Node]
    scalars: list[Node]
    outputs: list[Node]
    aliases: list[tuple[Node, Node]]

    def recipe(self, position: dict[int, int]) -> Recipe:
        """The same in positions, which are looked up by the nodes' ids."""

        def at(nodes: Sequence[Node]) -> tuple[int, ...]:
            return tuple([position[id(n)] for n in nodes])

        aliases = tuple([at(pair) for pair in self.aliases])
        return Recipe(self.plan, at(self.sources), at(self.scalars), at(self.outputs), aliases)  # type: ignore[arg-type]


Noting = Callable[[Decided], None]
