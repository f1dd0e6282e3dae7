"""Families of plans: one structure, many sizes. A new sequence length or batch size finds its plan in milliseconds.

The first graph of a structure is planned for its sizes alone. When the structure comes again with other sizes, those that differ become
symbols, each other number is written in terms of them, and the target makes a template from the symbolic graph: planning, but for the
arithmetic. From then on sizes that fit the template are filled in.

How numbers depend on the symbols is guessed from two examples. That is safe: a graph that is looked up brings its own numbers, and the
template is used only where they are what the guess says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from monograph.core import knobs
from monograph.core.symbol import Scope, Sym, function, hint_of
from monograph.core.weighed import Weighed
from monograph.engine.op_by_op import Ledger, OpByOpPlan
from monograph.engine.plans import Plan, make_plan
from monograph.graph.node import Node, copy_provenance
from monograph.ops import source

MOST_SYMBOLS = 8
MOST_TEMPLATES = 6  # of one structure: whatever brings more kinds of sizes is planned by itself
NODES_KEPT = 400_000  # of all families: what one takes in memory goes with its nodes
TEMPLATE_WEIGHT = 4  # graphs that a template counts as
HALVINGS = (2, 4, 8, 16, 32)
symbolic_plans = knobs.define_knob("symbolic_plans", True, "plan a structure once for all sizes, when it is met with a second one")


class Template(Protocol):
    """What a target makes of a graph with symbolic sizes."""

    def plan(self, values: Sequence[int]) -> Plan | None:
        """The plan for these values of the symbols, None where the template does not hold for them."""
        ...


TemplateMaker = Callable[[Sequence[Node], Sequence[Node], Sequence[Node], Scope, Sequence[str]], Template]


def _cpu(sources: Sequence[Node], scalars: Sequence[Node], outputs: Sequence[Node], scope: Scope, names: Sequence[str]) -> Template:
    # Imported when a second size is met, as the compiler is at the first graph (see `engine.plans`).
    from monograph.targets.cpu.template import CpuTemplate  # noqa: PLC0415

    return CpuTemplate(sources, scalars, outputs, scope, names)


_makers: dict[str, TemplateMaker] = {"cpu": _cpu}


class Outline:
    """A graph without its sizes (`key`), and its sizes in order: what tells members of a family apart."""

    __slots__ = ("key", "of_sources", "sizes")

    def __init__(self, order: Sequence[Node], given: Sequence[Node], outputs: Sequence[Node], is_source: Callable[[Node], bool]) -> None:
        key: list[Any] = []
        sizes: list[int] = []
        self.of_sources: list[int] = []  # positions among the sizes: shapes of what comes from outside
        position: dict[Node, int] = {}
        for i, node in enumerate(order):
            position[node] = i
            if is_source(node):
                key += (-1, node.dtype.number, *[n if n < 2 else -1 for n in node.shape], -3)
                self.of_sources += range(len(sizes), len(sizes) + sum(1 for n in node.shape if n > 1))
                sizes += [n for n in node.shape if n > 1]
            elif node.op is source.scalar:
                key += (-2, node.dtype.number)
            else:
                number, own = node.attrs.sizes()
                sizes += own
                key += (node.op.number, number, len(node.inputs))
                key += [position[x] for x in node.inputs]
        key += [position[n] for n in outputs]
        key += [position.get(n, -1) for n in given]  # a plan takes its inputs in the order in which the first graph gave them
        self.key = tuple(key)
        self.sizes = sizes


class _Member:
    """A template with what its symbols are in the sizes of a graph."""

    def __init__(self, template: Template, symbols: list[int], sizes: list[Any], names: list[str]) -> None:
        self.template, self.symbols = template, symbols  # the positions that name the symbols
        self.known = [s for s in sizes if not isinstance(s, Sym)]
        self.known_at = [i for i, s in enumerate(sizes) if not isinstance(s, Sym)]
        distinct = list(dict.fromkeys(s for s in sizes if isinstance(s, Sym)))
        number = {s: k for k, s in enumerate(distinct)}
        self.open_at = [(i, number[s]) for i, s in enumerate(sizes) if isinstance(s, Sym)]
        self.compute = function(names, f"({''.join(f'{s!r}, ' for s in distinct)})")

    def plan(self, sizes: Sequence[int]) -> Plan | None:
        """The plan for a graph with these sizes, None if they are none of this template's."""
        if [sizes[i] for i in self.known_at] != self.known:
            return None
        values = [sizes[i] for i in self.symbols]
        computed = self.compute(*values)
        if any(sizes[i] != computed[k] for i, k in self.open_at):
            return None
        return self.template.plan(values)


class Family:
    """All plans of one structure."""

    def __init__(self, example: list[int]) -> None:
        self.example = example
        self.members: list[_Member] = []
        self.attempts = 0

    def plan(
        self, outline: Outline, graph: tuple[Sequence[Node], ...], is_source: Callable[[Node], bool], maker: TemplateMaker
    ) -> Plan | None:
        """The plan of a graph by a template, an old one or a new one; None if no template takes it."""
        for member in self.members:
            plan = member.plan(outline.sizes)
            if plan is not None:
                return plan
        if self.attempts >= MOST_TEMPLATES or outline.sizes == self.example:
            return None
        self.attempts += 1
        made = _member(outline, self.example, graph, is_source, maker)
        self.example = outline.sizes
        if made is None:
            return None
        self.members.insert(0, made)
        _families.weigh(TEMPLATE_WEIGHT * len(graph[0]))
        return made.plan(outline.sizes)


_families: Weighed[Family] = Weighed(NODES_KEPT)


ledger = Ledger()


def find_plan(
    order: Sequence[Node],
    sources: Sequence[Node],
    scalars: Sequence[Node],
    outputs: Sequence[Node],
    is_source: Callable[[Node], bool],
    *,
    once: bool = False,
) -> Plan:
    """A plan for a graph (`order`: its nodes, inputs before users) whose like may have been planned before, for other sizes.

    `once`: as far as is known the graph will not come again; a long one may get an `OpByOpPlan`.
    """
    maker = _makers.get(knobs.target.get())
    if maker is None or not symbolic_plans.get() or knobs.debug.get():
        return make_plan(sources, scalars, outputs)
    outline = Outline(order, (*sources, *scalars), outputs, is_source)
    family = _families.get((knobs.planning(), outline.key))
    plan = None
    if family is not None:
        plan = family.plan(outline, (order, sources, scalars, outputs), is_source, maker)
    else:
        _families.weigh(len(order))
        _families[knobs.planning(), outline.key] = Family(outline.sizes)
        if once and ledger.avoids(len(order)):
            return OpByOpPlan(sources, scalars, outputs, _of_one_op, make_plan)
    return make_plan(sources, scalars, outputs) if plan is None else plan


def _of_one_op(order: Sequence[Node], sources: Sequence[Node], scalars: Sequence[Node], outputs: Sequence[Node]) -> Plan:
    return find_plan(order, sources, scalars, outputs, is_source)


def is_source(node: Node) -> bool:
    """Whether a node of a graph cut loose stands for a value from outside."""
    return node.op is source.source


def _member(
    outline: Outline, example: list[int], graph: tuple[Sequence[Node], ...], is_source: Callable[[Node], bool], maker: TemplateMaker
) -> _Member | None:
    scope = Scope(least=2, exact=True)
    guess = guessed(example, outline.sizes, outline.of_sources, scope)
    if guess is None:
        return None
    symbols, sizes = guess
    names = [f"s{k}" for k in range(len(symbols))]
    order, sources, scalars, outputs = graph
    try:
        made = _symbolic(order, sizes, is_source)
        template = maker([made[n] for n in sources], [made[n] for n in scalars], [made[n] for n in outputs], scope, names)
    except Exception:  # whatever does not work with symbols is planned with numbers, which says what is wrong if something is
        if knobs.verify.get():
            raise
        return None
    return _Member(template, symbols, sizes, names)


def _symbolic(order: Sequence[Node], sizes: Sequence[Any], is_source: Callable[[Node], bool]) -> dict[Node, Node]:
    """The nodes of a graph anew, with these sizes."""
    given = iter(sizes)
    made: dict[Node, Node] = {}
    for node in order:
        if is_source(node):
            made[node] = source.placeholder(tuple([next(given) if n > 1 else n for n in node.shape]), node.dtype)
            continue
        if node.op is source.scalar:
            made[node] = source.number(node.attrs.value, node.dtype)  # type: ignore[attr-defined]
            continue
        attrs = node.attrs.with_sizes(given) if node.attrs.sizes()[1] else node.attrs
        inputs = tuple([made[x] for x in node.inputs])
        shape, dtype = node.op.infer(attrs, *inputs)
        new = made[node] = Node(node.op, inputs, attrs, shape, dtype)
        copy_provenance(node, new)
        if _hints(shape, dtype) != node.shape:
            raise ValueError(f"{node.op.name} of symbolic sizes has the shape {shape}, it should be {node.shape}")
    return made


def _hints(shape: Any, dtype: Any) -> Any:
    if dtype is None:
        return tuple([(_hints(s, d), d) for s, d in shape])
    return tuple([hint_of(n) for n in shape])


def guessed(old: list[int], new: list[int], first: Sequence[int], scope: Scope) -> tuple[list[int], list[Any]] | None:
    """How the numbers of two graphs depend on few symbols: the positions of these, and every number, in terms of them where it differs.

    Positions in `first` are preferred for symbols. None if there would be too many.

    >>> guessed([8, 64, 512, 3], [8, 80, 640, 3], [0, 1], Scope(least=2))[1]
    [8, s0, 8*s0, 3]
    """
    pairs = {(a, b): i for i, (a, b) in reversed(list(enumerate(zip(old, new, strict=True)))) if a != b}
    known: dict[tuple[int, int], Any] = {}
    symbols: list[int] = []
    bases: list[tuple[int, int, Sym]] = []  # (old value, new value, symbol)
    preferred = {(old[i], new[i]) for i in first}
    for pair in sorted(pairs, key=lambda p: (p not in preferred, p[1])):
        found = _in_terms_of(pair, bases)
        if found is None:
            if len(bases) >= MOST_SYMBOLS:
                return None
            found = scope.symbol(f"s{len(bases)}", pair[1])
            bases.append((*pair, found))
            symbols.append(pairs[pair])
        known[pair] = found
    return symbols, [b if a == b else known[a, b] for a, b in zip(old, new, strict=True)]


def _in_terms_of(pair: tuple[int, int], bases: Sequence[tuple[int, int, Sym]]) -> Any:
    """A number in terms of the symbols, None if it is none of the usual: k*s, s*t*k, a strided half, k*s + c."""
    a, b = pair
    for s, t, size in bases:
        if a % s == 0 and b % t == 0 and a // s == b // t:
            return size * (a // s)
    for i, (s, t, size) in enumerate(bases):
        for u, v, other in bases[i:]:
            if a % (s * u) == 0 and b % (t * v) == 0 and a // (s * u) == b // (t * v):
                return size * other * (a // (s * u))
    for s, t, size in bases:
        for k in HALVINGS:
            if (a, b) == (s // k, t // k):
                return size // k
            if (a, b) == ((s - 1) // k + 1, (t - 1) // k + 1):
                return (size - 1) // k + 1
    for s, t, size in bases:
        k, rest = divmod(b - a, t - s) if t != s else (0, 1)
        if rest == 0 and k > 0:
            return size * k + (a - k * s)
    return None
