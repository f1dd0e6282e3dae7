"""Long graphs that never come again, in short pieces that do.

An episode of a game, a sequence rolled out step by step: the graph has another number of ops each time, so a plan for the whole of it would
be used once, and making it takes longer than running it. Its stretches are alike, though, here and in the next one. A `PiecewisePlan` cuts
the graph into pieces, each with a plan found by its structure, and runs them one after another.

What is computed is the same to the last bit; what is lost are fusions across the cuts, and memory for the values that cross them. So graphs
are cut only while long ones keep coming that differ (`Ledger`), and one that comes again and again is planned whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from monograph.engine.plans import Plan, make_plan
from monograph.graph.node import Node, copy_provenance, topological
from monograph.ops import source
from monograph.passes.graph import Graph, extract
from monograph.runtime.buffers import Buffer

LONG = 600  # nodes: shorter graphs are planned soon enough
SHORTEST, LONGEST = 24, 120  # of a piece, in nodes: the round of a loop should fit in between
RUNS_IN_PIECES = 3
PATIENCE = 3  # long structures in a row that were planned and not met again

Finder = Callable[[Sequence[Node], Sequence[Node], Sequence[Node], Sequence[Node]], Plan]


class Ledger:
    """How the plans of long graphs have paid."""

    def __init__(self) -> None:
        self.wasted = 0

    def used_again(self, plan: Plan, nodes: int) -> None:
        """A plan was found for a graph of so many nodes."""
        if nodes >= LONG and self.wasted and type(plan) is not PiecewisePlan:
            self.wasted -= 1

    def cut(self, nodes: int) -> bool:
        """Whether a graph of so many nodes, of a structure that was never seen, is better cut."""
        if nodes < LONG:
            return False
        self.wasted += 1
        return self.wasted > PATIENCE


class _Piece:
    """A stretch of the graph: where its plan's inputs come from and where its results go. Values are numbered."""

    def __init__(self, plan: Plan, sources: list[int], scalars: list[int], results: list[int], dead: list[int]) -> None:
        self.plan, self.sources, self.scalars, self.results, self.dead = plan, sources, scalars, results, dead


class PiecewisePlan:
    """See the module. A graph that comes more than RUNS_IN_PIECES times is planned whole."""

    def __init__(self, sources: Sequence[Node], scalars: Sequence[Node], outputs: Sequence[Node], find: Finder) -> None:
        graph = extract(sources, scalars, outputs)
        self.number = {node: k for k, node in enumerate(dict.fromkeys((*graph.sources, *graph.scalars)))}
        self.graph = Graph(graph.sources, graph.scalars, _of_their_own(graph.outputs, self.number))
        self.find = find
        self.pieces: list[_Piece] = []
        self._cut(_with_projections([n for n in self.graph.nodes() if n not in self.number]))
        self.whole: Plan | None = None
        self.runs = 0

    # ---- cutting ----
    def _cut(self, order: list[Node]) -> None:
        given = set(self.number)
        for node in order:
            if node.dtype is not None:  # (a node with several outputs is read through its projections)
                self.number[node] = len(self.number)
        stretches = _stretches(order)
        last: dict[Node, int] = {}
        for k, stretch in enumerate(stretches):
            for node in stretch:
                for x in node.inputs:
                    last[x] = k
        final = set(self.graph.outputs)
        for k, stretch in enumerate(stretches):
            inside = set(stretch)
            entering = list(dict.fromkeys(x for n in stretch for x in n.inputs if x not in inside))
            results = [n for n in stretch if n.dtype is not None and (n in final or last.get(n, -1) > k)]
            if not results:
                continue
            dead = [self.number[x] for x in entering if last[x] == k and x not in final and x not in given]
            self.pieces.append(self._piece(stretch, entering, results, dead))

    def _piece(self, stretch: list[Node], entering: list[Node], results: list[Node], dead: list[int]) -> _Piece:
        made: dict[Node, Node] = {}
        sources: list[Node] = []
        scalars: list[Node] = []
        for x in entering:
            is_number = x.op is source.scalar
            made[x] = source.number(0, x.dtype) if is_number else source.placeholder(x.shape, x.dtype)
            (scalars if is_number else sources).append(x)
        for node in stretch:
            made[node] = Node(node.op, tuple([made[x] for x in node.inputs]), node.attrs, node.shape, node.dtype)
            copy_provenance(node, made[node])
        outputs = [made[n] for n in results]
        order = topological(outputs)
        needed = set(order)
        sources, scalars = [x for x in sources if made[x] in needed], [x for x in scalars if made[x] in needed]
        plan = self.find(order, [made[x] for x in sources], [made[x] for x in scalars], outputs)
        number = self.number
        return _Piece(plan, [number[x] for x in sources], [number[x] for x in scalars], [number[n] for n in results], dead)

    # ---- running ----
    def run(self, sources: Sequence[Buffer], scalars: Sequence[Any]) -> list[Buffer]:
        """See engine.plans.Plan."""
        self.runs += 1
        if self.runs > RUNS_IN_PIECES:  # it does come again
            if self.whole is None:
                g = self.graph
                self.whole = make_plan(g.sources, g.scalars, g.outputs)
                self.pieces.clear()
            return self.whole.run(sources, scalars)
        values: dict[int, Any] = {}
        for nodes, given in ((self.graph.sources, sources), (self.graph.scalars, scalars)):
            for node, value in zip(nodes, given, strict=True):
                values[self.number[node]] = value
        for piece in self.pieces:
            made = piece.plan.run([values[k] for k in piece.sources], [values[k] for k in piece.scalars])
            for k in piece.dead:
                values.pop(k, None)
            for k, value in zip(piece.results, made, strict=True):
                values[k] = value
        return [values[self.number[n]] for n in self.graph.outputs]


def _of_their_own(outputs: Sequence[Node], given: Any) -> tuple[Node, ...]:
    """The outputs, copied where one is an input or comes twice: no two results share memory."""
    seen = set(given)
    own = []
    for node in outputs:
        if node in seen:
            node = Node(source.clone, (node,), source.clone.make_attrs(), node.shape, node.dtype)
        seen.add(node)
        own.append(node)
    return tuple(own)


def _with_projections(order: list[Node]) -> list[Node]:
    """The nodes, each that has several outputs followed by the projections that read it."""
    readers: dict[Node, list[Node]] = {}
    for node in order:
        if node.op is source.project:
            readers.setdefault(node.inputs[0], []).append(node)
    return [n for node in order if node.op is not source.project for n in (node, *readers.get(node, ()))]


def _stretches(order: list[Node]) -> list[list[Node]]:
    """The order cut into stretches of SHORTEST to LONGEST nodes, never between a node with several outputs and the projections of it.

    Where depends on what the nodes are, not on how many came before: of the nodes at which a stretch may end it ends at the one with the
    least signature. A rolled-out loop whose round fits in between is so cut at one place of each round, and all rounds are alike.
    """
    signatures = [_signature(n) for n in order]
    out: list[list[Node]] = []
    at = 0
    while at < len(order):
        end = at + LONGEST
        if end < len(order):
            places = range(at + SHORTEST, end)
            end = min((k for k in places if order[k].op is not source.project), key=signatures.__getitem__, default=end)
            while end < len(order) and order[end].op is source.project:
                end += 1
        out.append(order[at:end])
        at = end
    return out


def _signature(node: Node) -> int:
    """A number for what a node does, whatever its sizes; the same in every graph of this process."""
    return hash((node.op.number * 0x9E3779B97F4A7C15, node.attrs.sizes()[0], len(node.inputs)))
