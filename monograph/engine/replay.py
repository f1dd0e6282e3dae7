"""An entry: everything one signature of a compiled function has learnt. It gathers the inputs of today, walks the known path and commits.

Nothing is committed before the last piece has run, and the commit itself is a list of assignments that can be done twice: an interrupt in
the middle finishes it and then goes on its way, so a parameter is never half updated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from sys import getrefcount
from typing import Any

from monograph.engine import evaluator
from monograph.engine.capture import Capture, digest_of
from monograph.engine.guards import Watch
from monograph.engine.program import CONSTANT, PLACE, ClosedFinal, Final, OpenFinal, Part, PathBuilder, Refused, Split, plain_node
from monograph.graph.node import Node
from monograph.ops import source
from monograph.runtime.buffers import Buffer

FIXED, ARGUMENT, GRADIENT = 0, 1, 2
SOURCE = source.source
MISS: Any = object()
BRANCHES_KEPT = 8


class Place:
    """Where a tensor that the program reads or writes is found: bound to the function, an argument, or the .grad of another place."""

    __slots__ = ("at", "dtype", "kind", "last", "leaf", "needed", "needs", "shape", "tensor", "view")

    def __init__(self, kind: int, at: int, tensor: Any, node: Node, leaf: bool, view: bool) -> None:
        self.kind, self.at = kind, at
        self.tensor: Any = tensor if kind == FIXED else None
        self.shape, self.dtype, self.needs = node.shape, node.dtype, node.requires_grad is True
        self.leaf, self.view = leaf, view
        self.last: Any = None  # of a fixed place: the node that passed the test last time
        self.needed = False  # its value is read, not only replaced

    def takes(self, t: Any, node: Node) -> bool:
        """Whether the program was made for this tensor's type and role."""
        return (
            node.shape == self.shape
            and node.dtype is self.dtype
            and t._leaf_flag is self.leaf
            and (node.requires_grad is True) is self.needs
        )


class Slot:
    """The .grad of a place: whether there is one at entry."""

    __slots__ = ("owner", "present")

    def __init__(self, owner: int, present: bool) -> None:
        self.owner, self.present = owner, present


class Results:
    """What a path gives back and writes: how to make the returned tree, new gradients and new values of tensors from its target nodes."""

    def __init__(self) -> None:
        self.writes: list[tuple[int, int, int]] = []  # (place, target, how many versions on)
        self.grads: list[tuple[int, str, int]] = []  # (place of the owner, "none" | "new" | "place", target or place)
        self.bases: list[tuple[int, Any, bool]] = []  # (target, class, leaf) of returned tensors that are new
        self.returned: Callable[[Any, Any], Any] = _nothing  # (tensors of places, new tensors) -> the function's result
        self.names_places = True  # whether that function looks at the places


def _nothing(places: list[Any], new: list[Any]) -> Any:
    return None


class Front:
    """What the engine needs of the Tensor class."""

    wrap: Callable[[Node], Any]
    view_of: Callable[[Any, Any], Any]


class Entry:
    """One signature: its guards, its places, its tree of paths."""

    def __init__(self, front: Front, watch: Watch) -> None:
        self.front, self.watch = front, watch
        self.places: list[Place] = []
        self.slots: list[Slot] = []
        self.bound: list[tuple[int, Any]] = []  # arguments that are also bound elsewhere: they must be these very tensors
        self.bound_ids: set[int] = set()
        self.idle: list[Any] = []  # parameters without a gradient, which an optimiser passes over
        self.generators: list[Any] = []
        self.root: Any = None
        self._index: dict[Any, int] = {}
        self.captures = 0
        self.replays = 0
        self.direct: Any = None  # the short way of `engine.direct`, once it pays
        self.detours = 0  # replays that went the long way

    # ---- learning ----
    def learn(
        self, capture: Capture, watch: Watch, targets: Sequence[Node], results_of: Callable[[Entry, Any], Results]
    ) -> tuple[Final, Results]:
        """Adds the path of a capture. Raises Refused for one that cannot be replayed."""
        builder = PathBuilder(capture, targets, self.place_of(capture), self._owner_place(capture))
        for handle in capture.handles:
            builder.place_of(handle)
        chain, final = builder.build(self.root)
        end = chain[-1][0].branches.get(chain[-1][1]) if chain else self.root
        if isinstance(end, Split):
            raise Refused(f"run again, it did not look at a value at {end.line} as it had before")
        final.results = results_of(self, builder)
        at: Any = None
        for split, _ in chain:
            if at is None:
                self.root = self.root or split
            elif at[1] not in at[0].branches:
                at[0].branches[at[1]] = split
            at = (split, _)
        if at is None:
            self.root = final
        else:
            at[0].branches[at[1]] = final
        self._learn_slots(capture, watch)
        if self.captures:
            self.watch.join(watch)
        self.captures += 1
        for generator, _ in capture.generators.values():
            if not any(g is generator for g in self.generators):
                self.generators.append(generator)
        self._mark_needed()
        self.watch.settle()
        self.direct = None
        return final, final.results

    def place_of(self, capture: Capture) -> Callable[[Any], int]:
        """A function that numbers the handles of a capture as places of this entry."""
        entry_grads = {id(s.entry): s for s in capture.grads.values() if s.entry is not None}

        def number(handle: Any) -> int:
            t = handle.tensor
            if handle.argument is not None:
                kind, at, key = ARGUMENT, handle.argument, ("argument", handle.argument)
            elif id(t) in entry_grads and entry_grads[id(t)].tensor is not t:
                slot = entry_grads[id(t)]
                owner = self._owner_place(capture)(slot.tensor)
                if owner is None:
                    raise Refused("it uses the gradient of a tensor that it does not otherwise touch")
                kind, at, key = GRADIENT, owner, ("gradient", owner)
            else:
                kind, at, key = FIXED, 0, ("fixed", id(t))
            found = self._index.get(key)
            if found is None:
                found = self._index[key] = len(self.places)
                self.places.append(Place(kind, at, t, handle.node, handle.leaf, handle.view))
            return found

        return number

    def _owner_place(self, capture: Capture) -> Callable[[Any], int | None]:
        def place(t: Any) -> int | None:
            if id(t) in capture.arguments:
                key: Any = ("argument", capture.arguments[id(t)])
            else:
                key = ("fixed", id(t))
            found = self._index.get(key)
            if found is None:
                handle = capture.handle_of(t)
                if handle is None or capture.is_local(t):
                    return None
                if handle.tensor is t:
                    return self.place_of(capture)(handle)
                if key[0] == "fixed":  # a twin: another tensor of the same storage
                    found = self._index[key] = len(self.places)
                    self.places.append(Place(FIXED, 0, t, plain_node(t), t._leaf_flag, False))
                    self.places[found].shape = handle.node.shape
            return found

        return place

    def _learn_slots(self, capture: Capture, watch: Watch) -> None:
        known = {s.owner for s in self.slots}
        optimised = {id(p) for p in watch.parameters}
        for slot in capture.grads.values():
            owner = self._owner_place(capture)(slot.tensor)
            if owner is not None and owner not in known and (slot.looked or id(slot.tensor) in optimised):
                self.slots.append(Slot(owner, slot.entry is not None))
        touched = {id(p.tensor) for p in self.places} | {id(s.tensor) for s in capture.grads.values()}
        self.idle += [p for p in watch.parameters if id(p) not in touched and p._grad is None]

    def _mark_needed(self) -> None:
        todo = [self.root]
        while todo:
            at = todo.pop()
            if isinstance(at, Split):
                todo.extend(at.branches.values())
                if at.passed is not None and at.passed[0] == PLACE:
                    self.places[at.passed[1]].needed = True
            if isinstance(at, Split | ClosedFinal) and at.part is not None:
                for kind, number in at.part.picks:
                    if kind == PLACE:
                        self.places[number].needed = True

    # ---- replaying ----
    def gather(self, arguments: Sequence[Any]) -> tuple[list[Any], list[Any]] | None:
        """The tensors of all places and their buffers; None if one of them is not what the program was made for."""
        tensors: list[Any] = []
        buffers: list[Any] = []
        waiting: list[Any] | None = None
        for place in self.places:
            if place.kind == FIXED:
                t = place.tensor
                node = t._node
                if node is not place.last or t._leaf_flag is not place.leaf or t._shared is not None:
                    node = plain_node(t)
                    if not place.takes(t, node):
                        return None
                    place.last = node
            else:
                t = arguments[place.at] if place.kind == ARGUMENT else tensors[place.at]._grad
                if t is None:
                    return None
                node = t._node if t._simple else plain_node(t)
                if not place.takes(t, node):
                    return None
            tensors.append(t)
            value = node.value
            if value is None and place.needed:
                if waiting is None:
                    waiting = []
                waiting.append((len(buffers), node))
            buffers.append(value)
        for slot in self.slots:
            if (tensors[slot.owner]._grad is not None) is not slot.present:
                return None
        if waiting is not None:
            evaluator.evaluate([n for _, n in waiting])
            for at, node in waiting:
                buffers[at] = node.value
        return tensors, buffers

    def forget(self) -> None:
        """Lets go of the nodes that passed the test last time: their values may be old."""
        for place in self.places:
            place.last = None

    def fits(self, arguments: Sequence[Any]) -> bool:
        """Whether arguments and surroundings are as they were."""
        for i, t in self.bound:
            if arguments[i] is not t:
                return False
        if arguments and self.bound_ids:
            bound = self.bound_ids
            for i, t in enumerate(arguments):
                if not bound.isdisjoint(storage_ids(t)) and not any(i == j for j, _ in self.bound):
                    return False
        for p in self.idle:
            if p._grad is not None:
                return False
        return self.watch.same()

    def run(self, arguments: Sequence[Any]) -> Any:
        """The result of the call, MISS if the program does not fit. Raises `Unknown` at a branch that was never taken."""
        gathered = self.gather(arguments)
        if gathered is None:
            return MISS
        tensors, buffers = gathered
        at = self.root
        lives: list[Any] = []
        carried: list[Any] = []
        offsets = [g._offset for g in self.generators]
        done = False
        handover: Any = None
        try:
            while isinstance(at, Split):
                for provider in at.providers:
                    lives.append(provider())
                value = self._observed(at, buffers, carried, lives)
                shape, dtype = at.node_type
                following = at.branches.get(digest_of(value.array(shape, dtype.np)))
                if following is None:
                    raise Unknown(at)
                at = following
            for provider in at.providers:
                lives.append(provider())
            if isinstance(at, ClosedFinal):
                pairs = self._replaced(at, tensors, buffers)
                if pairs:
                    handover = at.part.plan().handover(*at.part.feeds(buffers, carried, lives), pairs)  # type: ignore[attr-defined]
                    return self._commit(at, tensors, handover.outputs, handover)
                outputs = at.part.run(buffers, carried, lives)
                done = True
                return self._commit(at, tensors, outputs)
            done = True
            return self._record(at, tensors, lives, carried)
        finally:
            if not done and (handover is None or not handover.done()):
                for g, offset in zip(self.generators, offsets, strict=True):
                    g._offset = offset

    def _replaced(self, final: ClosedFinal, tensors: list[Any], buffers: list[Any]) -> tuple[tuple[int, int], ...]:
        """(output, source) of places whose new value may lie where the old one lies: the plan allows it, nobody else sees the old."""
        heirs = getattr(final.part.plan(), "heirs", None)
        if not heirs:
            return ()
        source = {at: k for k, (kind, at) in enumerate(final.part.picks) if kind == PLACE}
        found = []
        for number, target, _ in final.results.writes:
            place, kind = self.places[number], final.types[target]
            pair = (target, source.get(number, -1))
            if pair not in heirs or place.kind != FIXED or place.shape != kind.shape or place.dtype is not kind.dtype:
                continue
            t, b = tensors[number], buffers[number]
            node = t._node
            unseen = t._twins is None and t._shared is None and t._leaf is None and getrefcount(node) <= ALONE
            if unseen and node.value is b and type(b) is Buffer and b.owned and getrefcount(b) <= ALONE:
                found.append(pair)
        return tuple(found) if len({target for target, _ in found}) == len(found) else ()

    def _commit(self, final: ClosedFinal, tensors: list[Any], outputs: list[Any], handover: Any = None) -> Any:
        results: Results = final.results
        places, types = self.places, final.types
        writes = [
            (tensors[p], outputs[target], tensors[p]._version_count + bump, types[target], places[p]) for p, target, bump in results.writes
        ]
        made = [self._new_tensor(base, final, outputs) for base in results.bases]
        interrupted: BaseException | None = None
        if handover is not None:
            try:
                handover.run()
            except KeyboardInterrupt as error:
                if not handover.done():
                    raise
                interrupted = error
        while True:
            try:
                if handover is not None:
                    handover.settle()
                for t, value, version, kind, place in writes:
                    node = t._node
                    if node.value is not value:
                        if t._twins is None and t._shared is None and t._leaf is None and getrefcount(node) <= ALONE and node.op is SOURCE:
                            node.value = value  # nobody else can see this node: it is as good as a new one
                        else:
                            self._write(t, valued(kind, value), place)
                    t._version_count = version
                for owner, how, what in results.grads:
                    t = tensors[owner]
                    if how == "new":
                        self._set_grad(t, types[what], outputs[what])
                    else:
                        t._grad = tensors[what] if how == "place" else None
                break
            except KeyboardInterrupt as error:
                interrupted = error
        self.replays += 1
        result = results.returned(tensors, made)
        if interrupted is not None:
            raise interrupted
        return result

    @staticmethod
    def _write(t: Any, new: Node, place: Place) -> None:
        if t._twins is not None and all((twin := r()) is None or twin is t for r in t._twins):
            t._twins = None
        t._write(new)
        if place.kind == FIXED:
            place.last = t._node

    def _set_grad(self, t: Any, kind: Any, value: Any) -> None:
        g = t._grad
        if g is not None and g._simple and getrefcount(g) <= ALONE_GRAD and g._twins is None and not g._version_count:
            node = g._node
            if node.value is value:
                return
            if node.op is SOURCE and getrefcount(node) <= ALONE_GRAD:
                node.value = value
                return
        t._grad = self.front.wrap(valued(kind, value))

    def _new_tensor(self, base: tuple[int, Any, bool], final: ClosedFinal, outputs: list[Any]) -> Any:
        target, kind, leaf = base
        if final.freed[target]:  # its history was consumed by a backward pass inside
            like = final.part.outputs[target]
            node = Node(like.op, (), like.attrs, like.shape, like.dtype)
            node.requires_grad = evaluator.FREED  # type: ignore[assignment]
            node.value = outputs[target]
        else:
            node = valued(final.types[target], outputs[target])
        t = self.front.wrap(node)
        if kind is not None:
            t.__class__ = kind
        if leaf:
            t.requires_grad_()
        return t

    def _record(self, final: Any, tensors: list[Any], lives: list[Any], carried: list[Any]) -> Any:
        assert isinstance(final, OpenFinal)
        results: Results = final.results
        nodes = final.record(tensors, lives, carried)
        made = []
        for target, kind, leaf in results.bases:
            t = self.front.wrap(nodes[target])
            if kind is not None:
                t.__class__ = kind
            made.append(t.requires_grad_() if leaf else t)
        for place, target, bump in results.writes:
            t = tensors[place]
            version = t._version_count + bump
            t._write(nodes[target])
            t._version_count = version
        for owner, how, what in results.grads:
            tensors[owner]._grad = self.front.wrap(nodes[what]) if how == "new" else tensors[what] if how == "place" else None
        if final.evaluate:
            evaluator.evaluate([plain_node(tensors[place]) for place, _, _ in results.writes])
        self.replays += 1
        return results.returned(tensors, made)

    def walk(self, arguments: Sequence[Any]) -> Iterator[tuple[Split | Final, Part, tuple[list[Any], list[Any]] | None]]:
        """The pieces that a call would run, with what each is fed, in order. Nothing is committed, no random number is used up."""
        gathered = self.gather(arguments)
        if gathered is None:
            return
        _, buffers = gathered
        offsets = [g._offset for g in self.generators]
        lives: list[Any] = []
        carried: list[Any] = []
        at = self.root
        try:
            while isinstance(at, Split):
                lives += [provider() for provider in at.providers]
                value = self._observed(at, buffers, carried, lives)
                if at.part is not None:
                    yield at, at.part, at.part.feeds(buffers, carried[: len(carried) - len(at.carried)], lives)
                shape, dtype = at.node_type
                at = at.branches.get(digest_of(value.array(shape, dtype.np)))
            if at is not None:
                lives += [provider() for provider in at.providers]
                yield at, at.part, at.part.feeds(buffers, carried, lives) if isinstance(at, ClosedFinal) else None
        finally:
            for g, offset in zip(self.generators, offsets, strict=True):
                g._offset = offset

    @staticmethod
    def _observed(at: Split, buffers: list[Any], carried: list[Any], lives: list[Any]) -> Any:
        """The value that Python looks at; what later pieces need goes to `carried`."""
        if at.part is None:
            kind, which = at.passed  # type: ignore[misc]
            return buffers[which] if kind == PLACE else which if kind == CONSTANT else carried[which]
        value, *kept = at.part.run(buffers, carried, lives)
        carried += kept
        return value

    def names(self) -> dict[int, str]:
        """Readable names of the places, as far as the watched objects lead to them."""
        found = {}
        for i, p in enumerate(self.places):
            if p.kind == ARGUMENT:
                found[i] = f"argument_{p.at}"
            elif p.kind == GRADIENT:
                found[i] = f"{found.get(p.at, f'place_{p.at}')}.grad"
            else:
                where = self.watch.where.get(id(p.tensor), f"place_{i}")
                found[i] = re.sub(r"[^\w.]+", "_", where, flags=re.ASCII).strip("_.") or f"place_{i}"
        return found

    def splits(self) -> list[Split]:
        """All splits of the tree."""
        found: list[Split] = []
        todo = [self.root]
        while todo:
            at = todo.pop(0)
            if isinstance(at, Split):
                found.append(at)
                todo.extend(at.branches.values())
        return found

    def finals(self) -> list[Final]:
        """The ends of all paths."""
        found: list[Final] = []
        todo = [self.root]
        while todo:
            at = todo.pop(0)
            if isinstance(at, Split):
                todo.extend(at.branches.values())
            elif at is not None:
                found.append(at)
        return found


def storage_ids(t: Any) -> list[int]:
    """Identities of all tensors that share memory with `t` as a whole: itself, its base, their twins."""
    base = t if t._base is None else t._base
    found = [id(t), id(base)]
    if base._twins is not None:
        found += [id(twin) for r in base._twins if (twin := r()) is not None]
    return found


def storage_number(t: Any) -> int:
    """A number that tensors of one storage have in common, and no others."""
    base = t if t._base is None else t._base
    return id(base) if base._twins is None else id(base._twins)


class Unknown(Exception):  # noqa: N818 - a branch, not an error
    """A value was looked at that leads nowhere yet. Nothing was committed."""

    def __init__(self, split: Split) -> None:
        self.split = split


def valued(kind: Any, value: Any) -> Node:
    """A source of this type with a value."""
    node = Node(SOURCE, (), kind, kind.shape, kind.dtype)
    node.value = value
    return node


class _Holder:
    __slots__ = ("held",)
    held: Any


def _references() -> int:
    """What sys.getrefcount says of an object that one attribute and one local variable refer to: it differs between Pythons."""
    holder = _Holder()
    holder.held = object()
    found = holder.held
    return getrefcount(found)


ALONE_GRAD = _references()
ALONE = ALONE_GRAD + 1  # the entry remembers the node too (`Place.last`)
