"""The short way through a call that is replayed again and again: every test and assignment of one entry, written out as one function.

`Compiled.call` and `Entry.run` say what a replay does; the function that `written` makes does the same without their loops and records,
which for a small model are most of the time. Whatever is not as it was gives MISS, before anything has been done, and the long way
decides; what is rare (a value that is still to be computed, a tensor that others hold too) is done by the functions of the long way.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from math import isnan
from sys import getrefcount
from typing import Any

from monograph.core import dtype as dtypes
from monograph.core import knobs
from monograph.core.modes import MODES
from monograph.engine import evaluator
from monograph.engine.program import CARRIED, PLACE, ClosedFinal, plain_node
from monograph.engine.replay import ALONE, ARGUMENT, FIXED, MISS, SOURCE, Entry, Place, storage_ids, storage_number, valued
from monograph.graph.node import Node
from monograph.runtime.buffers import Buffer

Direct = Callable[[tuple[Any, ...], dict[str, Any]], Any]
MOST_PLACES = 400  # of a longer function, writing it out costs more than a step of such a model gains


def written(
    entry: Entry, leaves: Sequence[Any], structure: Any, flat: bool, tensors: Sequence[Any], split: Callable[..., Any]
) -> Direct | None:
    """The function for calls like one that `entry` has just replayed: its arguments' leaves, their structure, the tensors among them.

    `flat`: the leaves are the positional arguments; else `split(args, kwargs)` gives leaves and structure. None where there is something
    that only the long way knows.
    """
    if not isinstance(entry.root, ClosedFinal) or len(entry.places) > MOST_PLACES:
        return None
    if any(kind == CARRIED for kind, _ in entry.root.part.picks):
        return None
    try:
        return _Writer(entry, leaves, structure, flat, tensors, split).function()
    except _NotDirect:
        return None


class _NotDirect(Exception):  # noqa: N818 - not an error: such calls go the long way
    """An argument that only the long way compares."""


class _Writer:
    """Writes the function line by line. `bind` gives the name under which it finds an object."""

    def __init__(
        self, entry: Entry, leaves: Sequence[Any], structure: Any, flat: bool, tensors: Sequence[Any], split: Callable[..., Any]
    ) -> None:
        self.entry, self.leaves, self.structure, self.flat, self.tensors, self.split = entry, leaves, structure, flat, tensors, split
        self.final: ClosedFinal = entry.root
        self.space: dict[str, Any] = {"MISS": MISS, "getrefcount": getrefcount, "Node": Node, "SOURCE": SOURCE, "ALONE": ALONE}
        self.names: dict[int, str] = {}
        self.lines: list[str] = []
        self.nodes: dict[int, str] = {}  # of tensor arguments, by their number among them
        self.tensor_names: list[str] = []
        self.taking: dict[int, tuple[int, int]] = {}

    def bind(self, value: Any) -> str:
        """A global name of the function for this object."""
        name = self.names.get(id(value))
        if name is None:
            name = self.names[id(value)] = f"x{len(self.names)}"
            self.space[name] = value
        return name

    def put(self, *lines: str) -> None:
        """Adds lines of the body."""
        self.lines += lines

    def miss(self, *conditions: str) -> None:
        """Leaves the function if one of these holds."""
        if conditions:
            self.put(f"if {' or '.join(conditions)}: return MISS")

    def function(self) -> Direct:
        """The function."""
        self.surroundings()
        self.arguments()
        self.gather()
        self.compute()
        self.commit()
        exec("\n    ".join(["def direct(args, kwargs):", *self.lines]), self.space)
        return self.space["direct"]  # type: ignore[no-any-return]

    # ---- tests ----
    def surroundings(self) -> None:
        """Modes, settings, and whatever of Python's state the captured function could have read."""
        now, defaults = MODES.now, self.bind(dtypes.defaults)
        self.put(f"now = {self.bind(MODES)}.now")
        self.miss(
            "now.capture is not None", "now.anomaly", f"{self.bind(evaluator)}.IMMEDIATE", f"now.grad is not {now.grad}",
            f"now.inference is not {now.inference}", f"now.autocast is not {self.bind(now.autocast)}",
            f"{defaults}.floating is not {self.bind(dtypes.defaults.floating)}",
            *[f"{self.bind(setting.get)}() != {self.bind(setting.get())}" for setting in knobs.PLANNING],
        )  # fmt: skip

    def arguments(self) -> None:
        """The arguments are of the signature's kind."""
        names = [f"a{i}" for i in range(len(self.leaves))]
        unpacked = "".join(f"{name}, " for name in names)
        if self.flat:
            self.miss(f"len(args) != {len(names)}", "kwargs")
            self.put(f"{unpacked}= args" if names else "")
        else:
            self.put(f"leaves, structure = {self.bind(self.split)}(args, kwargs)")
            self.miss(f"structure != {self.bind(self.structure)}")
            self.put(f"{unpacked}= leaves" if names else "")
        tensor_ids = {id(t) for t in self.tensors}
        for name, leaf in zip(names, self.leaves, strict=True):
            if id(leaf) in tensor_ids:
                self.nodes[len(self.tensor_names)] = f"n_{name}"
                self.tensor_names.append(name)
                self.tensor(name, leaf)
            else:
                self.miss(*self.plain(name, leaf))
        if len(self.tensor_names) > 1:
            self.put(*[f"s_{t} = {t} if {t}._base is None else {t}._base" for t in self.tensor_names])
            if len({storage_number(t) for t in self.tensors}) != len(self.tensors):
                raise _NotDirect
            kept = [f"id(s_{t} if s_{t}._twins is None else s_{t}._twins)" for t in self.tensor_names]
            self.miss(f"len({{{', '.join(kept)}}}) != {len(kept)}")
        self.bound()
        self.miss(*[f"{self.bind(p)}._grad is not None" for p in self.entry.idle])
        self.miss(f"not {self.bind(self.entry.watch)}.same()")

    def tensor(self, name: str, leaf: Any) -> None:
        """One tensor among the arguments: also gives its node a name."""
        if leaf._leaf_flag:
            raise _NotDirect
        node = leaf._node if leaf._simple else leaf._read()
        self.miss(f"{name}.__class__ is not {self.bind(type(leaf))}")
        if leaf._simple:
            self.miss(f"not {name}._simple")
            self.put(f"n_{name} = {name}._node")
        else:
            self.miss(f"{name}._leaf_flag", f"({name}._base is None) is not {leaf._base is None}")
            self.put(f"n_{name} = {name}._node if {name}._simple else {name}._read()")
        self.miss(
            f"n_{name}.shape != {self.bind(node.shape)}",
            f"n_{name}.dtype is not {self.bind(node.dtype)}",
            f"(n_{name}.requires_grad is True) is not {node.requires_grad is True}",
        )

    def plain(self, name: str, leaf: Any) -> list[str]:
        """When another argument is not what it was."""
        kind = type(leaf)
        if kind in (int, str, bytes) or (kind is float and leaf and not isnan(leaf)):
            return [f"{name}.__class__ is not {kind.__name__}", f"{name} != {self.bind(leaf)}"]
        if kind in (float, complex, slice, range):
            raise _NotDirect
        return [f"{name} is not {self.bind(leaf)}"]

    def bound(self) -> None:
        """Arguments that are reachable in another way too must be those very tensors, the others must not be."""
        entry = self.entry
        fixed = dict(entry.bound)
        for i, name in enumerate(self.tensor_names):
            if i in fixed:
                self.miss(f"{name} is not {self.bind(fixed[i])}")
            elif entry.bound_ids:
                ids, all_ids = self.bind(entry.bound_ids), f"{self.bind(storage_ids)}({name})"
                alone = f"{name}._twins is None and {name}._base is None"
                self.miss(f"id({name}) in {ids} if {alone} else not {ids}.isdisjoint({all_ids})")

    # ---- what the program reads ----
    def of_place(self, number: int) -> str:
        """The name of a place's tensor."""
        place = self.entry.places[number]
        return self.bind(place.tensor) if place.kind == FIXED else self.tensor_names[place.at] if place.kind == ARGUMENT else f"g{number}"

    def gather(self) -> None:
        """The nodes of all places, as `Entry.gather` finds them."""
        for i, place in enumerate(self.entry.places):
            t, p = self.of_place(i), self.bind(place)
            if place.kind == FIXED:
                self.put(
                    f"n{i} = {t}._node",
                    f"if n{i} is not {p}.last or {t}._leaf_flag is not {place.leaf} or {t}._shared is not None:",
                    f"    n{i} = {self.bind(_renewed)}({p}, {t})",
                    f"    if n{i} is None: return MISS",
                )
            elif place.kind == ARGUMENT:
                self.put(f"n{i} = {self.nodes[place.at]}")
            else:
                self.put(f"{t} = {self.of_place(place.at)}._grad")
                self.miss(f"{t} is None")
                self.put(f"n{i} = {t}._node if {t}._simple else {self.bind(plain_node)}({t})")
                self.miss(f"not {p}.takes({t}, n{i})")
        for slot in self.entry.slots:
            self.miss(f"{self.of_place(slot.owner)}._grad is {'' if slot.present else 'not '}None")
        read = [f"n{at}" if kind == PLACE else "" for kind, at in self.final.part.picks]
        sources = [f"{n}.value" if n else self.bind(at) for n, (_, at) in zip(read, self.final.part.picks, strict=True)]
        self.put(f"sources = [{', '.join(sources)}]")
        needed = list(dict.fromkeys(filter(None, read)))
        if needed:
            self.put(
                "if None in sources:",
                f"    {self.bind(evaluator)}.evaluate([n for n in ({', '.join(needed)},) if n.value is None])",
                f"    sources = [{', '.join(sources)}]",
            )

    # ---- the program, and what it changes ----
    def compute(self) -> None:
        """Asks for the numbers of today and runs the plan, where nobody else holds what it replaces in the memory of that."""
        entry, part = self.entry, self.final.part
        plan = part.plan()
        numbers = [self.bind(value) for value in part.numbers]
        for at, live in part.lives:
            numbers[at] = f"live{live}"
        self.taking = self.replaced(getattr(plan, "heirs", ()))
        run = [f"live{i} = {self.bind(provider)}()" for i, provider in enumerate(self.final.providers)]
        run.append(f"numbers = [{', '.join(numbers)}]")
        if self.taking:
            pairs = tuple((target, source) for target, source in self.taking.values())
            run += [
                f"taking = {' and '.join(self.alone(number) for number in self.taking)}",
                "if taking:",
                f"    run = {self.bind(plan.handover)}(sources, numbers, {self.bind(pairs)})",  # type: ignore[attr-defined]
                "    outputs = run.outputs",
                f"else: outputs = {self.bind(plan.run)}(sources, numbers)",
            ]
        else:
            run.append(f"outputs = {self.bind(plan.run)}(sources, numbers)")
        run += [*self.prepared(), "interrupted = None"]
        if self.taking:
            run += [
                "if taking:",
                "    try: run.run()",
                "    except KeyboardInterrupt as error:",
                "        if not run.done(): raise",
                "        interrupted = error",
            ]
        if not entry.generators:
            self.put(*run)
            return
        self.put(*[f"offset{i} = {self.bind(g)}._offset" for i, g in enumerate(entry.generators)], "try:", *[f"    {line}" for line in run])
        self.put("except BaseException:", *[f"    {self.bind(g)}._offset = offset{i}" for i, g in enumerate(entry.generators)], "    raise")

    def replaced(self, heirs: Container[tuple[int, int]]) -> dict[int, tuple[int, int]]:
        """Of places whose new value may lie where the old one lies: (its output, its source)."""
        source = {at: k for k, (kind, at) in enumerate(self.final.part.picks) if kind == PLACE}
        found = {}
        for number, target, _ in self.final.results.writes:
            place, kind = self.entry.places[number], self.final.types[target]
            same = place.shape == kind.shape and place.dtype is kind.dtype
            if place.kind == FIXED and number in source and same and (target, source[number]) in heirs:
                found[number] = target, source[number]
        return found if len({target for target, _ in found.values()}) == len(found) else {}

    def alone(self, number: int) -> str:
        """Whether nobody but this place sees its value, and the memory is ours to write to."""
        n, b = f"n{number}", f"b{number}"
        self.put(f"{b} = {n}.value")
        owned = f"{b}.__class__ is {self.bind(Buffer)} and {b}._class_size and getrefcount({b}) <= ALONE"
        return f"{self.unseen(number)} and {n}.op is SOURCE and {owned}"

    def unseen(self, number: int) -> str:
        """Whether nobody but this place holds its node."""
        t = self.of_place(number)
        return f"{t}._twins is None and {t}._shared is None and {t}._leaf is None and getrefcount(n{number}) <= ALONE"

    def prepared(self) -> list[str]:
        """What is made before anything is changed: outputs by number, versions to come, new tensors."""
        entry, final, results = self.entry, self.final, self.final.results
        outputs = [f"o{i}" for i in range(len(final.part.outputs))]
        lines = [f"{''.join(f'{o}, ' for o in outputs)}= outputs"] if outputs else []
        lines += [f"v{i} = {self.of_place(place)}._version_count + {bump}" for i, (place, _, bump) in enumerate(results.writes)]
        for i, base in enumerate(results.bases):
            target, kind, leaf = base
            if final.freed[target] or kind is not None or leaf:
                lines.append(f"m{i} = {self.bind(entry)}._new_tensor({self.bind(base)}, {self.bind(final)}, outputs)")
            else:
                lines.append(f"m{i} = {self.bind(entry.front.wrap)}({self.bind(valued)}({self.bind(final.types[target])}, o{target}))")
        return lines

    def commit(self) -> None:
        """As `Entry._commit`: assignments that can be done twice, so that an interrupt in the middle finishes them first."""
        entry, results = self.entry, self.final.results
        owner = self.bind(entry)
        assignments = self.assignments()
        if assignments:
            self.put("while True:", "    try:", *[f"        {line}" for line in assignments], "        break")
            self.put("    except KeyboardInterrupt as error: interrupted = error")
        self.put(f"{owner}.replays += 1")
        places = "()"
        if results.names_places:
            places = f"({''.join(f'{self.of_place(i)}, ' for i in range(len(entry.places)))})"
        made = "".join(f"m{i}, " for i in range(len(results.bases)))
        self.put(f"result = {self.bind(results.returned)}({places}, ({made}))")
        if assignments:
            self.put("if interrupted is not None: raise interrupted")
        self.put("return result")

    def assignments(self) -> list[str]:
        """New values of places, new gradients."""
        entry, final = self.entry, self.final
        writes = final.results.writes
        lines: list[str] = []
        if self.taking:
            lines.append("if taking:")
            for number, (target, _) in self.taking.items():
                lines += [f"    o{target}.take_over(b{number})", f"    n{number}.value = o{target}"]
            lines.append("else:")
            for number, target, _ in writes:
                if number in self.taking:
                    lines += [f"    {line}" for line in self.assignment(number, target)]
        for number, target, _ in writes:
            if number not in self.taking:
                lines += self.assignment(number, target)
        lines += [f"{self.of_place(number)}._version_count = v{i}" for i, (number, _, _) in enumerate(writes)]
        for place, how, what in final.results.grads:
            t = self.of_place(place)
            if how == "new":
                lines.append(f"{self.bind(entry._set_grad)}({t}, {self.bind(final.types[what])}, o{what})")
            else:
                lines.append(f"{t}._grad = {self.of_place(what) if how == 'place' else None}")
        return lines

    def assignment(self, number: int, target: int) -> list[str]:
        """The new value of one place."""
        t, n, p = self.of_place(number), f"n{number}", self.bind(self.entry.places[number])
        new = f"{self.bind(valued)}({self.bind(self.final.types[target])}, o{target})"
        return [
            f"{n} = {t}._node",
            f"if {n}.value is not o{target}:",
            f"    if {self.unseen(number)} and {n}.op is SOURCE: {n}.value = o{target}",
            f"    else: {self.bind(self.entry._write)}({t}, {new}, {p})",
        ]


def _renewed(place: Place, t: Any) -> Node | None:
    """The node of a fixed place whose tensor has another than at the last call; None if the program was not made for it."""
    node = plain_node(t)
    if not place.takes(t, node):
        return None
    place.last = node
    return node
