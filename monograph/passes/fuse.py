"""fuse: which nodes share a kernel.

A *unit* is what runs as one step. A loop unit is a set of elementwise nodes and reductions over one domain: every full value is a
function of the flat position in the domain, every row value of the position in its kept dims. A node joins the unit of its inputs
when it reads them at just its own position; movements between them are looked through as affine views. Everything that is used outside of
its unit is stored. Heavy nodes (matrix products, convolutions ...) and assembled ones (cat, pad, slice_scatter) are units of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from monograph.core.shape import contiguous_strides, numel
from monograph.core.symbol import Sym
from monograph.graph.node import Node
from monograph.ops import index
from monograph.passes.domains import Sizes, groups, refine, spread, squeeze
from monograph.passes.graph import Graph
from monograph.passes.views import View, broadcast_to, index_view, resolve

FULL, ROW = "full", "row"
MAX_NODES = 64  # of one unit: beyond it registers spill and compile time grows
MAX_READS = 28
PARALLEL_ROWS = 8  # a reduction joins the kernel that makes its input only if enough rows are left for the threads ...
SMALL_DOMAIN = 32768  # ... or if there is little to do anyway
SOURCE, VIRTUAL, POINT, GATHER, REDUCE, ASSEMBLE, HEAVY, VIEW, PROJECT = (
    "source", "virtual", "point", "gather", "reduce", "assemble", "heavy", "view", "project",
)  # fmt: skip


@dataclass(eq=False)
class Unit:
    """What runs as one step. `sizes` is the domain without ones; `reduced` the positions in it that reductions run over."""

    number: int
    kind: str
    nodes: list[Node] = field(default_factory=list)
    sizes: Sizes = ()
    reduced: frozenset[int] = frozenset()
    level: dict[Node, str] = field(default_factory=dict)
    reads: set[Node] = field(default_factory=set)
    merged_into: Unit | None = None

    @property
    def kept_sizes(self) -> Sizes:
        return tuple(n for i, n in enumerate(self.sizes) if i not in self.reduced)


def _no_number(size: Sym) -> Node:
    raise TypeError(f"{size!r} is no number yet: the sizes of this graph should be known")


@dataclass
class Fusion:
    """The result: units in an order in which they can run, where each node belongs, and the views through movements.

    `number` gives the 0-d int64 node that a symbolic size is when it is used as a value.
    """

    units: list[Unit]
    unit_of: dict[Node, Unit]
    views: dict[Node, View]
    stored: list[Node]
    number: Callable[[Sym], Node] = _no_number

    def view(self, node: Node) -> View:
        """The view that a node is."""
        return resolve(node, self.views)


class _Fuser:
    def __init__(self, graph: Graph, kind_of: Callable[[Node], str]) -> None:
        self.graph = graph
        self.kind_of = kind_of
        self.views: dict[Node, View] = {}
        self.units: list[Unit] = []
        self.unit_of: dict[Node, Unit] = {}
        self.reach: list[int] = []  # of each unit: the set of units it depends on, as bits
        self.readers: dict[Node, list[Unit]] = {}
        self.position: dict[Node, int] = {}
        self.numbers: Unit | None = None  # the last unit that works out single numbers

    def run(self) -> Fusion:
        nodes = self.graph.nodes()
        self.position = {n: i for i, n in enumerate(nodes)}
        kinds = {n: self.kind_of(n) for n in nodes}
        for node in nodes:
            kind = kinds[node]
            if kind in (SOURCE, VIRTUAL, VIEW):
                continue
            if kind == PROJECT:
                self.unit_of[node] = self.unit_of[node.inputs[0]]
                continue
            inputs = self.read(node, kinds)
            if kind in (POINT, GATHER, REDUCE):
                self.place(node, kind, inputs)
            else:
                self.add(self.new_unit(kind), node, FULL, [v.root for v in inputs])
        units = [u for u in self.units if u.merged_into is None]
        units = self.ordered(units)
        return Fusion(units, {n: self.find(u) for n, u in self.unit_of.items()}, self.views, self.stored(nodes, kinds))

    # ---- reading ----
    def read(self, node: Node, kinds: dict[Node, str]) -> list[View]:
        """Views of the inputs that are somebody's values (not constants)."""
        seen = [self.input_view(node, k) for k in range(len(node.inputs))]
        return [v for v in seen if kinds[v.root] != VIRTUAL]

    def input_view(self, node: Node, k: int) -> View:
        """How a node walks its input k. An index list runs along its own dim of the result, not along the last one."""
        v = resolve(node.inputs[k], self.views)
        return index_view(node, v) if k and node.op in (index.index, index.index_select) else v

    def find(self, unit: Unit) -> Unit:
        while unit.merged_into is not None:
            unit = unit.merged_into
        return unit

    def owner(self, root: Node) -> Unit | None:
        unit = self.unit_of.get(root)
        return None if unit is None else self.find(unit)

    # ---- placing a loop node ----
    def place(self, node: Node, kind: str, inputs: list[View]) -> None:
        roots = [v.root for v in inputs]
        owners = {u.number: u for u in (self.owner(r) for r in roots) if u is not None and u.kind == "loop"}
        candidates = sorted(owners.values(), key=lambda u: (self.picks(u), -u.number))
        if kind == REDUCE:
            for r in roots:
                candidates += [u for u in map(self.find, self.readers.get(r, ())) if u not in candidates and u.reduced]
        if kind == POINT and not candidates and self.numbers is not None and numel(node.shape) == 1:
            candidates = [self.find(self.numbers)]  # numbers that are worked out from numbers, together in one kernel
        for unit in candidates:
            if self.join(unit, node, kind, inputs):
                for other in candidates:
                    if other is not self.find(unit) and other.number in owners:
                        self.merge(self.find(unit), self.find(other))
                return
        unit = self.new_unit("loop")
        domain = node.inputs[0].shape if kind == REDUCE else node.shape
        unit.sizes = squeeze(domain)
        if kind == REDUCE:
            unit.reduced = self.reduced_dims(node, unit.sizes)
        self.add(unit, node, ROW if kind == REDUCE else FULL, roots)
        if kind == POINT and not unit.sizes:
            self.numbers = unit

    def picks(self, unit: Unit) -> bool:
        """Whether a unit only picks elements: what is computed from them goes elsewhere if it can, so that picking is done early."""
        return all(self.kind_of(node) == GATHER for node in unit.nodes)

    def reduced_dims(self, node: Node, sizes: Sizes) -> frozenset[int]:
        shape = node.inputs[0].shape
        dims = dims_of(node)
        return frozenset(i for i, d in enumerate(groups(shape, sizes)) if d in dims)

    def join(self, unit: Unit, node: Node, kind: str, inputs: list[View]) -> bool:
        if unit.kind != "loop" or len(unit.nodes) >= MAX_NODES:
            return False
        inside = [v for v in inputs if self.owner(v.root) is unit]
        outside = [v.root for v in inputs if self.owner(v.root) is not unit]
        if len(unit.reads | set(outside)) > MAX_READS:
            return False
        if kind == GATHER and resolve(node.inputs[0], self.views).root in [v.root for v in inside]:
            return False
        if not self.acyclic(unit, outside):
            return False
        domain = node.inputs[0].shape if kind == REDUCE else node.shape
        if kind == REDUCE:
            return self.join_reduction(unit, node, inside, outside)
        if numel(domain) == numel(unit.sizes):
            sizes = refine(unit.sizes, squeeze(domain))
            if sizes is not None:
                reduced = self.carried(unit, sizes)
                if all(self.aligned(unit, v, domain, sizes, reduced) for v in inside) and self.worth_a_second_pass(unit, inside):
                    unit.sizes, unit.reduced = sizes, reduced
                    self.add(unit, node, FULL, outside)
                    return True
        if unit.reduced and numel(domain) == numel(unit.kept_sizes):
            return self.join_row(unit, node, inside, outside, domain)
        return False

    def worth_a_second_pass(self, unit: Unit, inside: Sequence[View]) -> bool:
        """A full value that needs the result of a reduction walks over the rows again: fine while the rows keep the threads busy."""
        if not any(unit.level[v.root] == ROW for v in inside):
            return True
        return numel(unit.kept_sizes) >= PARALLEL_ROWS or numel(unit.sizes) <= SMALL_DOMAIN

    def carried(self, unit: Unit, sizes: Sizes) -> frozenset[int]:
        owner = groups(unit.sizes, sizes)
        return frozenset(i for i, d in enumerate(owner) if d in unit.reduced)

    def aligned(self, unit: Unit, v: View, domain: Sizes, sizes: Sizes, reduced: frozenset[int]) -> bool:
        """Whether a value of the unit is read at just the position where it is computed."""
        if unit.level[v.root] == FULL:
            return v.whole and numel(v.shape) == numel(domain)
        wide = broadcast_to(v, domain)
        strides = spread(domain, wide.strides, sizes)
        kept = [i for i in range(len(sizes)) if i not in reduced]
        want = contiguous_strides(tuple(sizes[i] for i in kept))
        return v.offset == 0 and all(strides[i] == 0 for i in reduced) and all(strides[i] == w for i, w in zip(kept, want, strict=True))

    def join_row(self, unit: Unit, node: Node, inside: list[View], outside: list[Node], domain: Sizes) -> bool:
        kept = unit.kept_sizes
        fine = refine(kept, squeeze(domain))
        if fine is None or not all(unit.level[v.root] == ROW and v.whole and numel(v.shape) == numel(domain) for v in inside):
            return False
        if fine != kept:
            owner = iter(_split(kept, fine))
            sizes: list[int] = []
            reduced: set[int] = set()
            for i, n in enumerate(unit.sizes):
                if i in unit.reduced:
                    reduced.add(len(sizes))
                    sizes.append(n)
                else:
                    sizes.extend(next(owner))
            unit.sizes, unit.reduced = tuple(sizes), frozenset(reduced)
        self.add(unit, node, ROW, outside)
        return True

    def join_reduction(self, unit: Unit, node: Node, inside: list[View], outside: list[Node]) -> bool:
        domain = node.inputs[0].shape
        if numel(domain) != numel(unit.sizes) or any(unit.level[v.root] != FULL or not v.whole for v in inside):
            return False
        sizes = refine(unit.sizes, squeeze(domain))
        if sizes is None:
            return False
        reduced = self.reduced_dims(node, sizes)
        carried = self.carried(unit, sizes)
        if unit.reduced and carried != reduced:
            return False
        kept = numel(tuple(n for i, n in enumerate(sizes) if i not in reduced))
        if not unit.reduced and kept < PARALLEL_ROWS and numel(sizes) > SMALL_DOMAIN:
            return False
        unit.sizes, unit.reduced = sizes, reduced
        self.add(unit, node, ROW, outside)
        return True

    # ---- units and their order ----
    def new_unit(self, kind: str) -> Unit:
        unit = Unit(len(self.units), kind)
        self.units.append(unit)
        self.reach.append(0)
        return unit

    def acyclic(self, unit: Unit, outside: Sequence[Node]) -> bool:
        """Whether no outside input depends on the unit itself."""
        bit = 1 << unit.number
        return all(o is None or not self.reach[o.number] & bit for o in map(self.owner, outside))

    def add(self, unit: Unit, node: Node, level: str, outside: Sequence[Node]) -> None:
        depends = 0
        for root in outside:
            unit.reads.add(root)
            self.readers.setdefault(root, []).append(unit)
            o = self.owner(root)
            if o is not None and o is not unit:
                depends |= self.reach[o.number] | 1 << o.number
        unit.nodes.append(node)
        unit.level[node] = level
        self.unit_of[node] = unit
        self.depend(unit, depends)

    def depend(self, unit: Unit, depends: int) -> None:
        if depends | self.reach[unit.number] == self.reach[unit.number]:
            return
        self.reach[unit.number] |= depends
        bit = 1 << unit.number
        for i, r in enumerate(self.reach):
            if r & bit:
                self.reach[i] = r | self.reach[unit.number]

    def merge(self, a: Unit, b: Unit) -> bool:
        """Takes b's nodes into a, if they walk the same domain the same way and nothing between them would make a circle."""
        if a is b or a.kind != "loop" or b.kind != "loop" or len(a.nodes) + len(b.nodes) > MAX_NODES or len(a.reads | b.reads) > MAX_READS:
            return False
        if numel(a.sizes) != numel(b.sizes):
            return False
        sizes = refine(a.sizes, b.sizes)
        if sizes is None:
            return False
        ra, rb = self.carried(a, sizes), self.carried(b, sizes)
        if a.reduced and b.reduced and ra != rb:
            return False
        reduced = ra | rb
        kept = numel(tuple(n for i, n in enumerate(sizes) if i not in reduced))
        if bool(a.reduced) != bool(b.reduced) and kept < PARALLEL_ROWS and numel(sizes) > SMALL_DOMAIN:
            return False
        bits = (1 << a.number, 1 << b.number)
        for h, r in enumerate(self.reach):
            if h in (a.number, b.number) or self.units[h].merged_into is not None:
                continue
            here = 1 << h
            if (r & bits[0] and self.reach[b.number] & here) or (r & bits[1] and self.reach[a.number] & here):
                return False
        # Values of one that the other reads must be read at their own position.
        for first, second in ((a, b), (b, a)):
            for node in second.nodes:
                for k in range(len(node.inputs)):
                    v = self.input_view(node, k)
                    if self.owner(v.root) is first:
                        domain = node.inputs[0].shape if second.level[node] == ROW and self.kind_of(node) == REDUCE else node.shape
                        if second.level[node] == ROW and self.kind_of(node) != REDUCE:
                            return False
                        if not self.aligned(first, v, domain, sizes, reduced):
                            return False
                        if self.kind_of(node) == GATHER and not k:
                            return False
        a.nodes = sorted(a.nodes + b.nodes, key=self.position.__getitem__)
        a.level.update(b.level)
        a.reads = {r for r in a.reads | b.reads if self.owner(r) not in (a, b)}
        a.sizes, a.reduced = sizes, reduced
        b.merged_into = a
        depends = (self.reach[a.number] | self.reach[b.number]) & ~(bits[0] | bits[1])
        self.reach[a.number] = depends
        for i, r in enumerate(self.reach):
            if i != a.number and r & (bits[0] | bits[1]):
                self.reach[i] = r | bits[0] | depends
        return True

    def ordered(self, units: list[Unit]) -> list[Unit]:
        """Units, those they need before them; otherwise as recorded."""
        needs = {u: {o for o in map(self.owner, u.reads) if o is not None and o is not u} for u in units}
        out: list[Unit] = []
        state: dict[Unit, int] = {}  # 1 being placed, 2 placed
        for first in units:
            stack = [(first, False)]
            while stack:
                unit, ready = stack.pop()
                if ready:
                    state[unit] = 2
                    out.append(unit)
                elif state.get(unit, 0) == 0:
                    state[unit] = 1
                    stack.append((unit, True))
                    stack.extend((n, False) for n in sorted(needs[unit], key=lambda u: -u.number) if state.get(n, 0) != 2)
                elif state[unit] == 1:
                    raise RuntimeError("fuse: units depend on each other in a circle (a defect of the fusion pass)")
        return out

    def stored(self, nodes: list[Node], kinds: dict[Node, str]) -> list[Node]:
        """Nodes whose values must be in memory: outputs, and whatever another unit reads."""
        need: dict[Node, None] = dict.fromkeys(self.graph.outputs)
        for node in nodes:
            if kinds[node] in (SOURCE, VIRTUAL, VIEW, PROJECT):
                continue
            mine = self.owner(node)
            for i in node.inputs:
                root = resolve(i, self.views).root
                if kinds[root] not in (SOURCE, VIRTUAL) and (self.owner(root) is not mine or mine.kind != "loop"):  # type: ignore[union-attr]
                    need[root] = None
        return list(need)


def dims_of(node: Node) -> tuple[int, ...]:
    """The dims that a reduction runs over."""
    a = node.attrs
    if hasattr(a, "dims"):
        return a.dims
    return tuple(range(len(node.inputs[0].shape))) if a.dim is None else (a.dim,)  # type: ignore[attr-defined]


def _split(coarse: Sizes, fine: Sizes) -> list[list[int]]:
    parts: list[list[int]] = [[] for _ in coarse]
    for n, d in zip(fine, groups(coarse, fine), strict=True):
        parts[d].append(n)
    return parts


def fuse(graph: Graph, kind_of: Callable[[Node], str]) -> Fusion:
    """Groups the nodes of a graph into units; `kind_of` says what each node is to the target."""
    return _Fuser(graph, kind_of).run()
