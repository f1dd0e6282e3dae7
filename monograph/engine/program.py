"""What a capture leaves behind: pieces of graph with their plans, and what to do with the results.

A path is a chain of `Split`s (run a piece, look at a value, choose a branch) that ends in a `Final`: a `ClosedFinal` runs one last plan and
commits its outputs; an `OpenFinal`, whose results are still on the tape, records the graph again on the tensors of today, without any
of the user's Python.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from monograph.autodiff import vjp
from monograph.core import knobs
from monograph.core.attrs import NO_ATTRS
from monograph.core.modes import MODES
from monograph.engine import evaluator
from monograph.engine.capture import Capture, Observation
from monograph.engine.families import find_plan, is_source
from monograph.engine.plans import Plan
from monograph.graph.node import Node, copy_provenance, topological
from monograph.ops import source

PLACE, CONSTANT, CARRIED = 0, 1, 2
Pick = tuple[int, Any]  # where a source's buffer comes from: a place, a constant's buffer, a slot of carried values


class Refused(Exception):  # noqa: N818 - not an error: the function runs uncompiled
    """The captured graph holds something that a replay cannot repeat; says what."""


class Part:
    """A piece of the captured graph, cloned, with a plan that computes its outputs."""

    def __init__(self, order: Sequence[Node], outputs: Sequence[Node], pick: Callable[[Node], Pick | None], live: dict[int, int]) -> None:
        clones: dict[int, Node] = {}
        self.picks: list[Pick] = []
        self.numbers: list[Any] = []
        self.lives: list[tuple[int, int]] = []  # (position among the numbers, number of the run-time scalar)
        self.sources: list[Node] = []
        self.scalars: list[Node] = []
        key: list[Any] = []
        position: dict[int, int] = {}
        for i, node in enumerate(order):
            position[id(node)] = i
            picked = pick(node)
            if picked is not None:
                made = source.placeholder(node.shape, node.dtype)
                self.picks.append(picked)
                self.sources.append(made)
                key.append((node.shape, node.dtype.number))
            elif node.op is source.scalar:
                made = source.number(node.attrs.value, node.dtype)  # type: ignore[attr-defined]
                if id(node) in live:
                    self.lives.append((len(self.numbers), live[id(node)]))
                self.numbers.append(node.attrs.value)  # type: ignore[attr-defined]
                self.scalars.append(made)
                key.append(node.dtype.number)
            else:
                made = Node(node.op, tuple([clones[id(x)] for x in node.inputs]), node.attrs, node.shape, node.dtype)
                copy_provenance(node, made)
                key.append((node.op.number, node.attrs, *[position[id(x)] for x in node.inputs]))
            clones[id(node)] = made
        self.outputs: list[Node] = []
        found: list[Any] = []
        for node in outputs:
            made = clones[id(node)]
            if made.op is source.source or made.op is source.scalar:  # results never share memory with inputs
                made = Node(source.clone, (made,), NO_ATTRS, made.shape, made.dtype)
                found.append(("clone", position[id(node)]))
            else:
                found.append(position[id(node)])
            self.outputs.append(made)
        key.append(tuple(found))
        self.key = tuple(key)
        self._plan: Plan | None = None
        self._settings: tuple[str, bool] = ("", False)

    def plan(self) -> Plan:
        """The plan for the current target, shared between equal pieces."""
        settings = knobs.planning()
        if self._plan is None or self._settings != settings:
            self._settings = settings
            plan = evaluator._plans.get((settings, self.key))
            if plan is None:
                found = find_plan(topological(self.outputs), self.sources, self.scalars, self.outputs, is_source)
                plan = evaluator._plans[settings, self.key] = found
            self._plan = plan
        return self._plan

    def run(self, places: Sequence[Any], carried: Sequence[Any], lives: Sequence[Any]) -> list[Any]:
        """The buffers of the outputs."""
        return self.plan().run(*self.feeds(places, carried, lives))

    def feeds(self, places: Sequence[Any], carried: Sequence[Any], lives: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """What the plan takes: the buffers of its sources, the numbers of its scalars."""
        buffers = [places[at] if kind == PLACE else at if kind == CONSTANT else carried[at] for kind, at in self.picks]
        numbers = self.numbers
        if self.lives:
            numbers = numbers.copy()
            for position, number in self.lives:
                numbers[position] = lives[number]
        return buffers, numbers


class Split:
    """A piece of the program up to a value that Python looks at, and the branches that have been seen."""

    def __init__(self, observation: Observation, part: Part | None, passed: Pick | None, carried: list[int], providers: list[Any]) -> None:
        self.node_type = (observation.node.shape, observation.node.dtype)
        self.op_name = observation.node.op.name
        self.line = observation.line
        self.part, self.passed = part, passed  # passed: the value looked at is an input itself
        self.carried = carried  # positions in the piece's order whose values later pieces need
        self.providers = providers
        self.branches: dict[bytes, Split | Final] = {}

    def equals(self, other: Split) -> bool:
        """Whether two captures did the same up to here."""
        same_part = (self.part is None) == (other.part is None) and (
            self.part is None
            or (
                other.part is not None
                and self.part.key == other.part.key
                and self.part.lives == other.part.lives
                and _same_picks(self.part.picks, other.part.picks)
            )
        )
        return (
            same_part
            and self.line == other.line
            and len(self.providers) == len(other.providers)
            and (self.passed is None) == (other.passed is None)
        )


def _same_picks(a: list[Pick], b: list[Pick]) -> bool:
    return len(a) == len(b) and all(k == m and (x == y or k == CONSTANT) for (k, x), (m, y) in zip(a, b, strict=True))


class Final:
    """The end of a path."""

    providers: list[Any]
    results: Any


class ClosedFinal(Final):
    """One plan computes all that is left; its outputs are committed."""

    def __init__(self, part: Part, providers: list[Any], freed: list[bool]) -> None:
        self.part, self.providers, self.freed = part, providers, freed
        self.types = [source.TypeAttrs(n.shape, n.dtype) for n in part.outputs]
        self.results: Any = None


class OpenFinal(Final):
    """Results that are still on the tape: the graph is recorded again."""

    def __init__(self, steps: list[Any], targets: list[int], providers: list[Any], evaluate: bool, part: Part) -> None:
        self.steps, self.targets, self.providers, self.evaluate = steps, targets, providers, evaluate
        self.part = part  # only shown: what is recorded is compiled together with what follows it
        self.results: Any = None

    def record(self, tensors: Sequence[Any], lives: Sequence[Any], carried: Sequence[Any]) -> list[Node]:
        """The target nodes, made anew on the tensors of now."""
        env: list[Node] = []
        pending = MODES.pending
        for kind, what, inputs, slot in self.steps:
            if kind == "op":
                op, attrs, shape, dtype, needs = what
                node = Node(op, tuple([env[i] for i in inputs]), attrs, shape, dtype, needs)
                if op is source.leaf:
                    node.owner = _nobody
                if slot is not None:
                    node.value = carried[slot]
                else:
                    pending.append(node)
            elif kind == "input":
                node = plain_node(tensors[what])
            elif kind == "leaf":
                before, MODES.grad = MODES.grad, True
                try:
                    node = tensors[what]._read()
                finally:
                    MODES.grad = before
            elif kind == "live":
                node = source.number(lives[what], inputs)
            else:
                node = what
            env.append(node)
        return [env[i] for i in self.targets]


def _nobody() -> None:
    """The owner of a leaf whose tensor lived inside the captured function only."""


def plain_node(t: Any) -> Node:
    """The node of a tensor's value, without its role as a leaf."""
    if t._simple:
        return t._node
    if t._base is None and t._shared is None:
        return t._node
    node = t._read()
    return node.inputs[0] if node.op is source.leaf else node


class PathBuilder:
    """Turns one capture into a path. `place_of(handle)` numbers the places of the entry that the path belongs to."""

    def __init__(
        self, capture: Capture, targets: Sequence[Node], place_of: Callable[[Any], int], owner_place: Callable[[Any], int | None]
    ) -> None:
        self.capture, self.targets = capture, list(targets)
        self.place_of, self.owner_place = place_of, owner_place
        self.live = {id(n): i for i, (n, _) in enumerate(capture.lives)}
        self.inputs = capture.inputs
        self.carried: dict[int, int] = {}  # id(node) -> slot
        self.order = topological([o.node for o in capture.observations] + self.targets, self._is_source)
        self._check()
        self.open = any(t.requires_grad is True for t in self.targets)
        if self.open:
            self._check_repeatable()

    def _is_source(self, node: Node) -> bool:
        return id(node) in self.inputs or (node.op is source.source)

    def _check(self) -> None:
        constants = {id(n) for n in self.capture.constants}
        for node in self.order:
            if id(node) in self.inputs:
                continue
            if node.op is source.source and id(node) not in constants:
                raise Refused(f"a value of {node.dtype.name}{list(node.shape)} reaches it in a way that cannot be followed")
            if node.op is source.scalar and node.attrs.provider is not None and id(node) not in self.live:  # type: ignore[attr-defined]
                raise Refused("it uses a run-time scalar that was asked for before the call")
            if node.value is not None and not node.inputs and node.op is not source.source and not self.capture.is_ours(node):
                raise Refused(f"it uses a result of {node.op.name} whose history is gone")

    def _check_repeatable(self) -> None:
        for node in self.order:
            if node.op is source.leaf or id(node) in self.inputs:
                continue
            if node.owner is not None:
                raise Refused(f"its result is still on the tape through {node.op.name}, whose backward is a Python function of this call")
            if node in vjp.hooked:
                raise Refused(f"its result is still on the tape, with a hook on the gradient of {node.op.name}")

    def _pick(self, node: Node) -> Pick | None:
        handle = self.inputs.get(id(node))
        if handle is not None:
            return PLACE, self.place_of(handle)
        slot = self.carried.get(id(node))
        if slot is not None:
            return CARRIED, slot
        if node.op is source.source:
            return CONSTANT, node.value
        return None

    def _providers(self, start: int, stop: int) -> list[Any]:
        return [p for _, p in self.capture.lives[start:stop]]

    def build(self, root: Any) -> tuple[list[tuple[Split, bytes]], Final]:
        """The splits of the path (those of `root`'s tree where it has been there before) and its end."""
        chain: list[tuple[Split, bytes]] = []
        lives = 0
        needed = self._needed_later()
        at: Any = root
        for k, observation in enumerate(self.capture.observations):
            order = topological([observation.node], lambda n: self._pick(n) is not None)
            passed = self._pick(observation.node)
            providers = self._providers(lives, observation.lives)
            lives = observation.lives
            known = at if isinstance(at, Split) else None
            if known is not None:
                carried = known.carried
            else:
                carried = [i for i, n in enumerate(order) if self._worth_carrying(n) and (id(n) in needed[k] or n is observation.node)]
            kept = [order[i] for i in carried]
            part = None if passed is not None else Part(order, [observation.node, *kept], self._pick, self.live)
            split = Split(observation, part, passed, carried, providers)
            if known is not None:
                if not known.equals(split):
                    raise Refused(f"run again, it did something else before it looked at a value at {observation.line}")
                split = known
            elif at is not None:
                raise Refused(f"run again, it looked at a value at {observation.line} where it had not before")
            chain.append((split, observation.digest))
            for n in kept:
                self.carried[id(n)] = len(self.carried)
            at = split.branches.get(observation.digest)
        return chain, self._final(lives)

    def _worth_carrying(self, node: Node) -> bool:
        return node.dtype is not None and bool(node.inputs) and self._pick(node) is None

    def _needed_later(self) -> list[set[int]]:
        """For each observation, the nodes computed for it that something after it uses."""
        stage: dict[int, int] = {}
        observations = self.capture.observations
        for k, o in enumerate(observations):
            for n in topological([o.node], lambda n: self._is_source(n) or id(n) in stage):
                stage.setdefault(id(n), k)
        needed: list[set[int]] = [set() for _ in observations]
        if not observations:
            return needed
        end = len(observations)
        for user in self.order:
            for n in user.inputs if not self._is_source(user) else ():
                made = stage.get(id(n), end)
                if made < stage.get(id(user), end):
                    needed[made].add(id(n))
        for n in self.targets:
            if id(n) in stage:
                needed[stage[id(n)]].add(id(n))
        return needed

    def _final(self, lives: int) -> Final:
        providers = self._providers(lives, len(self.capture.lives))
        if self.open:
            return self._open(providers)
        order = topological(self.targets, lambda n: self._pick(n) is not None)
        return ClosedFinal(
            Part(order, self.targets, self._pick, self.live), providers, [t.requires_grad == evaluator.FREED for t in self.targets]
        )

    def _open(self, providers: list[Any]) -> OpenFinal:
        steps: list[Any] = []
        position: dict[int, int] = {}
        for node in topological(self.targets, self._is_source):
            handle = self.inputs.get(id(node))
            if handle is not None:
                step: Any = ("input", self.place_of(handle), None, None)
            elif node.op is source.source:
                step = ("node", node, None, None)
            elif id(node) in self.live:
                step = ("live", self.live[id(node)], node.dtype, None)
            elif node.op is source.scalar:
                step = ("node", source.number(node.attrs.value, node.dtype), None, None)  # type: ignore[attr-defined]
            else:
                owner = node.owner() if node.op is source.leaf and node.owner is not None else None
                place = None if owner is None else self.owner_place(owner)
                if place is not None:
                    step = ("leaf", place, None, None)
                else:
                    inputs = tuple([position[id(i)] for i in node.inputs])
                    step = ("op", (node.op, node.attrs, node.shape, node.dtype, node.requires_grad), inputs, self.carried.get(id(node)))
            position[id(node)] = len(steps)
            steps.append(step)
        shown = Part(topological(self.targets, lambda n: self._pick(n) is not None), self.targets, self._pick, self.live)
        return OpenFinal(steps, [position[id(t)] for t in self.targets], providers, bool(self.capture.wanted), shown)
