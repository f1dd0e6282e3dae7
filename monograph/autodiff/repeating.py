"""Gradients of a graph like one that was differentiated before, written down without asking any op's rule.

A training loop differentiates the same graph again and again. What the rules make of it follows from its structure alone: ops, attributes,
the shapes and dtypes of what comes from outside, which inputs want a gradient. So once such a graph has come a second time, what the rules
have recorded is kept as a `Score`: its nodes as positions. From then on it is played: each node is made at once, without promotion, shape
rules or broadcasting, and the leaves get theirs in the same order.

Whatever is more than that goes the long way in `vjp.gradients`: hooks, anomaly mode, a capture, double backward, custom functions, saved
values that were overwritten, a tape that was consumed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from monograph.core.modes import MODES
from monograph.core.weighed import Weighed
from monograph.graph.node import Node, note_provenance, topological
from monograph.ops import source

SEEN, UNWRITABLE = object(), object()  # in place of a score: the graph came once; its gradients cannot be written down
NODES_KEPT = 200_000  # of all scores: what one takes in memory goes with its nodes
OnLeaf = Callable[[Node, Node], None]


class Reading:
    """A graph about to be differentiated: `key`, what it is; `given`: its nodes, then the seeds that are none of them, by position.

    `doubtful`: some value of it may have been overwritten since. `plain`: its gradients follow from what it is: there is no custom
    function, and no part that another backward pass has consumed.
    """

    __slots__ = ("doubtful", "given", "key", "plain", "position")

    def __init__(
        self, order: Sequence[Node], outputs: Sequence[Node], inputs: Sequence[Node], seeds: Sequence[Node], flags: tuple[bool, bool]
    ) -> None:
        position: dict[Node, int] = {}
        given = list(order)
        key: list[Any] = [flags, len(outputs), len(inputs)]
        add = key.append
        doubtful, plain = 0, True
        for node in order:
            op = node.op
            doubtful |= node.marks
            if not node.requires_grad:
                doubtful |= op.is_view
                key += (-1, node.shape, node.dtype)
                if op is source.full:  # the one op off the tape that rules look into: a power with a constant exponent
                    add(node.attrs.token)
            elif op is source.leaf and node.requires_grad is True:
                key += (-2, node.shape, node.dtype)
            else:
                if node.requires_grad is not True or node.owner is not None:
                    plain = False
                try:
                    token = node.attrs._token
                except AttributeError:
                    token = node.attrs.token
                add(op.number)
                add(token)
                for x in node.inputs:
                    add(position[x])
                add(-3 if node.inputs else (node.shape, node.dtype))
            position[node] = len(position)
        for seed in seeds:
            if seed not in position:
                key += (seed.shape, seed.dtype, seed.op.number, seed.attrs.token if seed.op is source.full else None)
                position[seed] = len(position)
                given.append(seed)
            add(position[seed])
        key += [position.get(x, -1) for x in outputs]
        key += [position.get(x, -1) for x in inputs]
        self.key = tuple(key)
        self.doubtful, self.plain = doubtful, plain and all([x.requires_grad for x in outputs])
        self.given = given
        self.position = position


class Score:
    """What the rules made of a graph, in positions: those of the nodes given, then of the nodes made, in the order of recording."""

    __slots__ = ("consumed", "leaves", "noted", "read", "results", "steps")

    def __init__(self, reading: Reading, made: Sequence[Node], leaves: Sequence[tuple[Node, Node]], results: Sequence[Node | None]) -> None:
        place = dict(reading.position)
        for node in made:
            place[node] = len(place)
        self.steps = [(n.op, _picker([place[x] for x in n.inputs]), n.attrs, n.shape, n.dtype) for n in made]
        self.noted = [place[n] for n in made if n.op.checks_values]
        self.leaves = [(place[leaf], place[g]) for leaf, g in leaves]
        self.results = [None if g is None else place[g] for g in results]
        self.read: list[int] = []  # given nodes whose values the rules use, whether anything wanted came of it or not
        self.consumed = [i for i, n in enumerate(reading.given) if n.requires_grad is not False and n.requires_grad is not True]

    def play(self, nodes: list[Node], on_leaf: OnLeaf | None) -> list[Node | None]:
        """The gradients, for the nodes `given` by a reading with the same key (a list that this adds to)."""
        first = len(nodes)
        add = nodes.append
        for op, pick, attrs, shape, dtype in self.steps:
            add(Node(op, pick(nodes), attrs, shape, dtype))
        MODES.now.pending += nodes[first:]
        for i in self.noted:
            note_provenance(nodes[i])
        if on_leaf is not None:
            for leaf, g in self.leaves:
                on_leaf(nodes[leaf], nodes[g])
        for i in self.consumed:
            node = nodes[i]
            node.requires_grad = 2  # type: ignore[assignment]  # vjp.FREED
        return [None if i is None else nodes[i] for i in self.results]


def _picker(places: list[int]) -> Callable[[list[Node]], tuple[Node, ...]]:
    """What takes the nodes at these places out of a list."""
    if len(places) > 1:
        return itemgetter(*places)
    if places:
        (only,) = places
        return lambda nodes: (nodes[only],)
    return lambda nodes: ()


class Scores(Weighed[Any]):
    """Scores by key, or SEEN, or UNWRITABLE. All are let go when they hold too much."""

    played = 0  # how often one was used

    def first(self, key: Any) -> None:
        """Notes a graph that has never come before."""
        self.weigh(1 + len(key) // 8)
        self[key] = SEEN

    def keep(self, reading: Reading, recorded: Sequence[Node], leaves: Sequence[tuple[Node, Node]], results: Sequence[Node | None]) -> None:
        """Writes down what came of a graph. What was `recorded` meanwhile must be all that it needs, besides what was given."""
        given = reading.position
        needed = topological([*[g for _, g in leaves], *[g for g in results if g is not None]], given.__contains__)
        fresh = {id(n) for n in recorded}
        if any(n not in given and (id(n) not in fresh or n.requires_grad or n.value is not None or n.attrs.HIDDEN) for n in needed):
            self[reading.key] = UNWRITABLE
            return
        wanted = {id(n) for n in needed if n not in given}
        made = [n for n in recorded if id(n) in wanted]
        self.weigh(len(made))
        score = self[reading.key] = Score(reading, made, leaves, results)
        score.read = sorted({given[x] for n in recorded for x in n.inputs if x in given})


scores = Scores(NODES_KEPT)
