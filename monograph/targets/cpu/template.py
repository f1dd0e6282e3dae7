"""Plans of many sizes: everything that does not depend on how large the dims are is done once, with symbolic sizes.

A `CpuTemplate` is a graph with symbolic sizes, optimised, fused and with its loops written. `plan` fills in the sizes: it computes strides,
units of work and places in memory, plans the products and convolutions, and nothing else. What was decided on the way because of the
sizes at hand is written down by their `Scope`; for sizes where one of these answers would be another one, there is no plan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from monograph.core.attrs import holds_symbols
from monograph.core.dtype import int64
from monograph.core.symbol import Scope, Sym, function
from monograph.graph.node import Node
from monograph.ops import elementwise, movement, source
from monograph.passes.fuse import Fusion
from monograph.passes.graph import Graph, quiet, rewrite
from monograph.passes.views import View
from monograph.targets.cpu.epilogues import Tail
from monograph.targets.cpu.heavy_lowering import Heavy, lower_heavy
from monograph.targets.cpu.loop_lowering import LoopFigures, LoopOutline
from monograph.targets.cpu.memory_plan import KnownSizes, size_of
from monograph.targets.cpu.plan import CpuPlan, Lowering, prepared
from monograph.targets.cpu.steps import ErrorWords, PlannedStep, Ref
from monograph.targets.llvm.kernels.call import TempBuffer


class Formulas:
    """Symbolic sizes as one function of the named ones: each has a place in its result."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self.places: dict[Sym, int] = {}
        self._compute: Callable[..., Any] | None = None

    def add(self, size: Any) -> None:
        """Notes a size that will be asked for."""
        if type(size) is Sym:
            self.place(size)

    def place(self, size: Sym) -> int:
        """Where the size stands in the result of `at`."""
        return self.places.setdefault(size, len(self.places))

    def compile(self) -> None:
        """Writes the function; nothing can be added after this."""
        self._compute = function(self.names, "(" + "".join(f"{size!r}, " for size in self.places) + ")")

    def at(self, values: Sequence[int]) -> tuple[int, ...]:
        """The numbers that the sizes are for these values of the named ones."""
        assert self._compute is not None
        return self._compute(*values)  # type: ignore[no-any-return]


class CpuTemplate:
    """A graph whose sizes are symbols of `scope`, made ready for any values of them. `names` are the named sizes, in order."""

    def __init__(
        self, sources: Sequence[Node], scalars: Sequence[Node], outputs: Sequence[Node], scope: Scope, names: Sequence[str]
    ) -> None:
        self.numbers: dict[Sym, Node] = {}  # sizes that are values
        self.formulas = Formulas(names)
        with quiet():
            graph = self._values(prepared(sources, scalars, outputs))
            self.lowering = Lowering(graph, self._number)
            self.graph = self.lowering.graph
            self.work: list[_LoopWork | _HeavyWork] = []
            for unit in self.lowering.units:
                if unit.kind != "loop":
                    self.work.append(_HeavyWork(unit.nodes[0], self.lowering.heavy))
                elif (outline := self.lowering.outline(unit)) is not None:
                    self.work.append(_LoopWork(outline, self.formulas))
        self._collect()
        self.formulas.compile()
        heavy = {work.node for work in self.work if isinstance(work, _HeavyWork)}  # these are made anew, with their inputs
        self.fixed = {node for node in self._noted - heavy if not _is_open(node)}
        leaders: dict[Any, _HeavyWork] = {}
        for work in self.work:
            if isinstance(work, _HeavyWork):
                work.leader = leaders.setdefault(work.key, work)
        held = " and ".join(f"({a} {r} {b})" for a, r, b in scope.constraints)
        least = " and ".join(f"{name} >= {scope.least}" for name in names)
        self.holds = function(names, f"{least} and {held}" if held else least)
        scope.close()

    # ---- making ----
    def _number(self, size: Sym) -> Node:
        found = self.numbers.get(size)
        if found is None:
            found = self.numbers[size] = source.number(size.hint, int64)
        return found

    def _values(self, graph: Graph) -> Graph:
        """Constants that are sizes (the number of elements in a mean) become numbers that a run is given."""

        def rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:
            if node.op is not source.full or not isinstance(node.attrs.value, Sym):  # type: ignore[attr-defined]
                return None
            number = self._number(node.attrs.value)  # type: ignore[attr-defined]
            value = number if node.dtype is int64 else elementwise.cast(number, dtype=node.dtype)
            return movement.expand(value, shape=node.shape) if node.shape else value

        return rewrite(graph, rule)

    def _collect(self) -> None:
        add = self.formulas.add
        self.scalars = (*self.graph.scalars, *self.numbers.values())
        self.number_places = [self.formulas.place(size) for size in self.numbers]
        self._noted: set[Node] = set()
        for node in (*self.graph.sources, *self.graph.scalars, *self.graph.outputs):
            self._note(node)
        for work in self.work:
            if isinstance(work, _HeavyWork):
                self._note_heavy(work.node)
                continue
            for node in work.nodes:
                self._note(node)
            if work.checked is not None:
                for x in work.checked.inputs:
                    self._note(x)
        self.bytes: dict[Node, Any] = {}  # of every value that lies in memory: a number, or a place among the formulas
        for node in self._noted:
            if node.dtype is not None:
                size = size_of(node)
                add(size)
                self.bytes[node] = size

    def _note(self, node: Node) -> None:
        if node in self._noted:
            return
        self._noted.add(node)
        for shape, _ in node.outputs:
            for size in shape:
                self.formulas.add(size)
        for _, value in node.attrs.items():
            self._note_value(value)

    def _note_value(self, value: Any) -> None:
        if isinstance(value, tuple):
            for v in value:
                self._note_value(v)
        else:
            self.formulas.add(value)

    def _note_heavy(self, node: Node) -> None:
        heavy = self.lowering.heavy
        self._note(node)
        for projection in heavy.projections.get(node, {}).values():
            self._note(projection)
        for x in node.inputs:
            self._note(x)
            v = heavy.view(x)
            self._note(v.root)
            for size in (*v.shape, *v.strides, v.offset):
                self.formulas.add(size)
        tail = heavy.tails.get(node)
        if tail is not None:
            self._note(tail.result)
            for ref, strides in tail.operands:
                self._note(ref.node)
                self.formulas.add(ref.offset)
                for s in strides:
                    self.formulas.add(s)

    # ---- filling in ----
    def plan(self, values: Sequence[int]) -> CpuPlan | None:
        """The plan for these values of the named sizes; None where what was decided for the others does not hold."""
        if not self.holds(*values):
            return None
        filling = _Filling(self, self.formulas.at(values))
        steps: list[PlannedStep] = []
        with quiet():
            for work in self.work:
                steps += filling.heavy_steps(work) if isinstance(work, _HeavyWork) else [work.step(filling)]
        graph = Graph(self.graph.sources, self.scalars, self.graph.outputs)
        return CpuPlan.of(graph, steps, [filling.numbers[i] for i in self.number_places], filling.sizes())


def _is_open(node: Node) -> bool:
    """Whether the node's type or attributes depend on the symbols, or what an error would say of its inputs."""
    if holds_symbols(node.attrs) or any(isinstance(size, Sym) for shape, _ in node.outputs for size in shape):
        return True
    return node.op.checks_values and any(_is_open(x) for x in node.inputs)


class _LoopWork:
    """A loop with the places, among the formulas, of all numbers of its step that depend on sizes."""

    def __init__(self, outline: LoopOutline, formulas: Formulas) -> None:
        self.outline, self.checked = outline, outline.checked
        self.nodes = outline.nodes
        figures = outline.figures()
        self.words = words = figures.words
        self.rest: list[Any] = [*figures[1:]]
        self.open_words = [(i, formulas.place(w)) for i, w in enumerate(words) if type(w) is Sym]
        self.open_refs = [
            (i, w.node, formulas.place(w.offset)) for i, w in enumerate(words) if type(w) is Ref and isinstance(w.offset, Sym)
        ]  # fmt: skip
        self.open_errors = [
            i for i, w in enumerate(words) if type(w) is ErrorWords and any(_is_open(x) for x in (w.node, *w.node.inputs))
        ]  # fmt: skip
        self.open_rest = [(i, formulas.place(w)) for i, w in enumerate(self.rest) if type(w) is Sym]
        is_open = self.open_words or self.open_refs or self.open_errors or self.open_rest
        self.ready = None if is_open else outline.step(figures)  # the step that is the same for all sizes

    def step(self, filling: _Filling) -> PlannedStep:
        """The step for known sizes."""
        if self.ready is not None:
            return self.ready
        words, rest, numbers = self.words.copy(), self.rest.copy(), filling.numbers
        for i, place in self.open_words:
            words[i] = numbers[place]
        for i, node, place in self.open_refs:
            words[i] = Ref(node, numbers[place])
        for i in self.open_errors:
            words[i] = ErrorWords(filling.node(words[i].node))
        for i, place in self.open_rest:
            rest[i] = numbers[place]
        return self.outline.step(LoopFigures(words, *rest))


class _HeavyWork:
    """A node that is no loop, with all that its steps depend on: `key`, and the nodes whose values they read and write (`roles`).

    Two with equal keys (the same layer, further up) have the same steps on other values.
    """

    def __init__(self, node: Node, heavy: Heavy) -> None:
        self.node = node
        self.leader = self  # the first that is alike
        self.roles: dict[Node, int] = {}
        views = [heavy.view(x) for x in node.inputs]
        tail = heavy.tails.get(node)
        projections = heavy.projections.get(node, {})
        self.key = (
            node.op.number,
            node.attrs,
            node.dtype,
            tuple([(self._role(v.root), _constant_of(v.root), x.dtype, v.shape, v.strides, v.offset)
                   for v, x in zip(views, node.inputs, strict=True)]),
            self._role(node),
            tuple(sorted((i, self._role(p)) for i, p in projections.items())),
            node in heavy.repeated,
            tail and (
                repr(tail.epilogue), self._role(tail.result), tail.ops,
                tuple([(self._role(r.node), r.offset, strides) for r, strides in tail.operands]),
            ),
        )  # fmt: skip

    def _role(self, node: Node) -> int:
        return self.roles.setdefault(node, len(self.roles))


def _constant_of(node: Node) -> Any:
    """What a node is if it lies nowhere in memory."""
    return node.attrs if not node.inputs and node.op in (source.full, source.arange) else None


class _Filling:
    """The template with known sizes. Steps keep to the template's own nodes; only rules for what is no loop see nodes of known size."""

    def __init__(self, template: CpuTemplate, numbers: tuple[int, ...]) -> None:
        self.template, self.numbers = template, numbers
        self.made: dict[Node, Node] = {}
        self.unmade: dict[Node, Node] = {}  # the template's node by the one of known size
        self.originals: dict[Node, Node] = {}
        self.planned: dict[_HeavyWork, list[PlannedStep]] = {}
        self.heavy = Heavy(_Views(self), {}, ())

    def n(self, size: Any) -> int:
        """The number that a size is."""
        return size if type(size) is int else self.numbers[self.template.formulas.places[size]] if type(size) is Sym else int(size)

    def sizes(self) -> KnownSizes:
        """What the plan has to know of the template's nodes."""
        numbers, places = self.numbers, self.template.formulas.places
        nbytes = {x: numbers[places[b]] if type(b) is Sym else b for x, b in self.template.bytes.items()}
        return KnownSizes(nbytes, lambda size: numbers[places[size]] if type(size) is Sym else size)

    def node(self, node: Node) -> Node:
        """The node as a value of known size. Inputs are left out, but where an error would tell of them: views say where they lie."""
        found = self.made.get(node)
        if found is None:
            if node in self.template.fixed:
                return node
            inputs = tuple([self._known(x, ()) for x in node.inputs]) if node.op.checks_values else ()
            found = self.made[node] = self._known(node, inputs)
            self.unmade[found] = node
        return found

    def _known(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        attrs = node.attrs
        if holds_symbols(attrs):
            attrs = type(attrs)(*[self._value(v) for _, v in attrs.items()])
        if node.dtype is None:
            shape: Any = tuple([(self._shape(s), d) for s, d in node.shape])
        else:
            shape = self._shape(node.shape)
        return Node(node.op, inputs, attrs, shape, node.dtype)

    def _shape(self, shape: tuple[Any, ...]) -> tuple[int, ...]:
        n = self.n
        return tuple([n(s) for s in shape])

    def _value(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple([self._value(v) for v in value])
        return self.n(value) if isinstance(value, Sym) else value

    def view(self, known: Node) -> View:
        """What a node of known size is a view of."""
        v = self.template.lowering.fusion.view(self.originals[known])
        return View(self.node(v.root), self._shape(v.shape), self._shape(v.strides), self.n(v.offset))

    def heavy_steps(self, work: _HeavyWork) -> list[PlannedStep]:
        """The steps of a node that is no loop, planned for its sizes: once for all nodes that are alike."""
        leader = work.leader
        steps = self.planned.get(leader)
        if steps is None:
            steps = self._plan(leader.node)
            own = self.unmade
            self.planned[leader] = steps = [_on_others(step, lambda x: own.get(x, x), lambda word: word) for step in steps]
        if work is leader:
            return steps
        others: dict[Any, Any] = dict(zip(leader.roles, work.roles, strict=True))

        def other(node: Node) -> Node:
            found = others.get(node)
            if found is None:  # scratch memory of its own
                found = others[node] = Node(node.op, node.inputs, node.attrs, node.shape, node.dtype)
            return found

        def word_of(word: Any) -> Any:
            if type(word) is TempBuffer:
                return others.get(word) or others.setdefault(word, TempBuffer(word.nbytes))
            if type(word) is ErrorWords:
                return ErrorWords(self.node(other(self.unmade[word.node])))
            return word

        return [_on_others(step, other, word_of) for step in steps]

    def _plan(self, node: Node) -> list[PlannedStep]:
        heavy, given = self.heavy, self.template.lowering.heavy
        inputs = []
        for x in node.inputs:
            known = self._known(x, ())  # one node for each place: two views of one value keep their own shapes
            self.originals[known] = x
            inputs.append(known)
        made = self.node(node)
        made.inputs = tuple(inputs)
        heavy.projections[made] = {i: self.node(p) for i, p in given.projections.get(node, {}).items()}
        if node in given.repeated:
            heavy.repeated.add(made)
        tail = given.tails.get(node)
        if tail is not None:
            operands = [(Ref(self.node(r.node), self.n(r.offset)), self._shape(strides)) for r, strides in tail.operands]
            heavy.tails[made] = Tail(tail.epilogue, operands, self.node(tail.result), tail.ops)
        return lower_heavy(heavy, made)


def _on_others(step: PlannedStep, other: Callable[[Node], Node], word_of: Callable[[Any], Any]) -> PlannedStep:
    """The same step on other values: `other` says which, `word_of` what words become that name no value and are no number."""
    words: list[Any] = []
    for word in step.words:
        kind = type(word)
        words.append(word if kind is int else Ref(other(word.node), word.offset) if kind is Ref else word_of(word))
    return PlannedStep(
        step.kernel, words, step.units, step.grain, [other(x) for x in step.reads], [other(x) for x in step.writes], step.scratch,
        step.flops, step.nbytes, step.kind, step.ops, [(other(w), other(x)) for w, x in step.may_reuse],
    )  # fmt: skip


class _Views(Fusion):
    """The one thing that rules ask of a fusion."""

    def __init__(self, filling: _Filling) -> None:
        super().__init__([], {}, {}, [])
        self._filling = filling

    def view(self, node: Node) -> View:
        return self._filling.view(node)
