"""A compiled function: finds the entry of a call's signature and replays it, or captures the call.

A capture is a whole, faithful run of the function; what a replay could not repeat makes it an uncompiled run, with its reason noted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core import knobs
from monograph.core.errors import CaptureError
from monograph.core.modes import MODES
from monograph.core.trees import CONTAINERS, flatten
from monograph.engine import evaluator, ladder
from monograph.engine.capture import Capture
from monograph.engine.checks import ATOMS
from monograph.engine.direct import Direct, written
from monograph.engine.guards import Watch
from monograph.engine.handing_back import maker
from monograph.engine.program import ClosedFinal, PathBuilder, Refused
from monograph.engine.replay import BRANCHES_KEPT, MISS, Entry, Front, Results, Unknown, storage_ids, storage_number
from monograph.engine.user_code import Tracer
from monograph.graph.node import Node, topological

SIGNATURES_KEPT = 64
SIZES_CAPTURED_AT_ONCE = 3  # of further sizes only those that come twice are captured
VARIANTS_KEPT = 8  # entries of one signature (train and eval, say) before the oldest goes
RETRIES = (
    3  # captures in a row that changed Python's state (an optimiser's first step does) before a function counts as one that always does
)
DETOURS = 1  # replays of an entry before its short way is written
_target = knobs.target.variable


class Signature:
    """What calls of one kind have in common, and how they fared."""

    def __init__(self, identities: list[Any]) -> None:
        self.identities = identities  # arguments whose identity is part of the signature: kept, so that no other object gets their id
        self.entries: list[Entry] = []
        self.uncompiled = 0  # captures in a row that could not be kept
        self.given_up = ""


class Compiled:
    """The mechanism behind `monograph.compile`: `call(args, kwargs)`."""

    def __init__(self, function: Callable[..., Any], front: Front, is_tensor: Callable[[Any], bool], fullgraph: bool = False) -> None:
        self.function, self.front, self.is_tensor, self.fullgraph = function, front, is_tensor, fullgraph
        self.signatures: dict[Any, Signature] = {}
        self.kinds: dict[Any, int] = {}  # how many signatures differ from others in sizes only
        self.reasons: list[str] = []  # why calls ran uncompiled
        self.captures = self.uncompiled_calls = 0
        self._recent: Entry | None = None
        self._direct: Direct | None = None
        self._lock = threading.RLock()

    # ---- calling ----
    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The function's result, by a replay where there is one."""
        direct = self._direct
        if direct is not None:
            result = direct(args, kwargs)
            if result is not MISS:
                return result
        modes = MODES
        if modes.capture is not None or modes.anomaly or evaluator.IMMEDIATE:
            return self.function(*args, **kwargs)
        leaves, structure = _leaves(args, kwargs)
        key, tensors = self._signature(leaves, structure)
        signature = self.signatures.get(key)
        if signature is not None:
            for entry in signature.entries:
                if entry.fits(tensors):
                    try:
                        result = entry.run(tensors)
                    except Unknown as branch:
                        if len(branch.split.branches) >= BRANCHES_KEPT:
                            return self._give_up(
                                signature, f"{branch.split.line}: Python looks at a value that differs at almost every call", args, kwargs
                            )
                        return self._capture(signature, entry, tensors, args, kwargs)
                    if result is not MISS:
                        if entry is not self._recent:
                            self._switch(entry)
                        else:
                            self._shorten(entry, args, kwargs, leaves, structure, tensors)
                        return result
            if signature.given_up:
                self.uncompiled_calls += 1
                return self.function(*args, **kwargs)
        else:
            if len(self.signatures) >= SIGNATURES_KEPT:
                self._note(f"more than {SIGNATURES_KEPT} different signatures: calls with new ones run uncompiled")
                self.uncompiled_calls += 1
                return self.function(*args, **kwargs)
            signature = self.signatures[key] = Signature(
                [leaf for leaf in leaves if type(leaf) not in ATOMS and not (self.is_tensor(leaf) and not leaf._leaf_flag)]
            )
            if not self.fullgraph and self._sizes_vary(key):
                self.uncompiled_calls += 1
                return self.function(*args, **kwargs)
        return self._capture(signature, None, tensors, args, kwargs)

    def _switch(self, entry: Entry) -> None:
        """Another entry than the one before has run: that one must not keep the values alive that its places had."""
        if self._recent is not None:
            self._recent.forget()
        self._recent = entry
        self._direct = entry.direct

    def _shorten(self, entry: Entry, args: Any, kwargs: Any, leaves: list[Any], structure: Any, tensors: list[Any]) -> None:
        """Writes the short way of an entry that has gone the long way for the second time in a row, and again when it keeps missing."""
        entry.detours += 1
        if entry.detours >= DETOURS and not entry.detours & (entry.detours - 1):
            flat = not kwargs and structure == len(args)
            self._direct = entry.direct = written(entry, leaves, structure, flat, tensors, _leaves)

    def _sizes_vary(self, key: tuple[Any, ...]) -> bool:
        """Whether calls like this one have come with several other sizes: then sizes that come once are not worth a capture.

        The uncompiled call finds its plans by the structure of what it records, whatever the sizes (see `engine.families`).
        """
        kind = tuple([(len(part[0]), *part[1:]) if type(part) is tuple and part and type(part[0]) is tuple else part for part in key])
        self.kinds[kind] = seen = self.kinds.get(kind, 0) + 1
        return seen > SIZES_CAPTURED_AT_ONCE

    def lookup(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Entry | None, list[Any]]:
        """The entry that a call with these arguments would replay (None if there is none), and the tensors among the arguments."""
        leaves, structure = _leaves(args, kwargs)
        key, tensors = self._signature(leaves, structure)
        signature = self.signatures.get(key)
        for entry in signature.entries if signature is not None else ():
            if entry.fits(tensors) and entry.gather(tensors) is not None:
                return entry, tensors
        return None, tensors

    def _signature(self, leaves: list[Any], structure: Any) -> tuple[Any, list[Any]]:
        parts: list[Any] = [structure, MODES.grad, MODES.inference, MODES.autocast, dtypes.defaults.floating.number, _target.get()]
        tensors: list[Any] = []
        storages: list[int] = []
        is_tensor = self.is_tensor
        for leaf in leaves:
            if is_tensor(leaf):
                node = leaf._node if leaf._simple else leaf._read()
                parts.append((node.shape, node.dtype.number, leaf._leaf_flag, node.requires_grad is True, leaf._base is None))
                tensors.append(leaf)
                storages.append(storage_number(leaf))
                if leaf._leaf_flag and (leaf._leaf_hooks or leaf._post_hooks):
                    parts.append(id(leaf))
            elif type(leaf) in ATOMS:
                parts.append(
                    (type(leaf), repr(leaf) if type(leaf) in (float, complex) else leaf if type(leaf) not in (slice,) else repr(leaf))
                )
            else:
                parts.append((object, id(leaf)))
        if len(set(storages)) != len(storages):
            parts.append(tuple([storages.index(s) for s in storages]))
        return tuple(parts), tensors

    def _note(self, reason: str) -> None:
        if reason not in self.reasons:
            self.reasons.append(reason)

    def _give_up(self, signature: Signature, reason: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        signature.given_up = reason
        signature.entries.clear()
        self._note(reason)
        self.uncompiled_calls += 1
        return self.function(*args, **kwargs)

    # ---- capturing ----
    def _capture(self, signature: Signature, known: Entry | None, tensors: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with self._lock:
            self._direct = None
            capture = Capture(tensors, self.fullgraph)
            try:
                return self._captured(capture, signature, known, tensors, args, kwargs)
            finally:
                capture.let_go()
                evaluator.let_go()

    def _captured(
        self,
        capture: Capture,
        signature: Signature,
        known: Entry | None,
        tensors: list[Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        watch = Watch()
        tracer = Tracer(watch, capture.refuse)
        watch.root("function ", self.function)
        for leaf in flatten((args, kwargs))[0]:
            if not self.is_tensor(leaf) and type(leaf) not in ATOMS:
                watch.root("argument ", leaf)
        watch.unchanged("an argument", [*args, *kwargs.values()])
        tracer.enter(self.function)
        self.captures += 1
        ladder.show(1, lambda: f"capturing {_name(self.function)}")
        with capture:
            with tracer:
                result = self.function(*args, **kwargs)
            ending = Ending(capture, watch, self.front, self.is_tensor)
            ending.look(result)
        for condition in capture.conditions:
            watch.condition(*condition)
        reason = next(iter([*capture.refusals, *watch.refusals]), "")
        changed = "" if reason else (watch.changed() or "")
        if not reason and not changed:
            entry = known
            if entry is None:
                entry = Entry(self.front, watch)
            try:
                self._bind(entry, tensors, watch)
                final, _ = entry.learn(capture, watch, ending.targets, ending.results)
            except Refused as refusal:
                reason = str(refusal)
            else:
                if known is None:
                    signature.entries.insert(0, entry)
                    del signature.entries[VARIANTS_KEPT:]
                signature.uncompiled = 0
                self._switch(entry)
                self._finish(capture, ending, entry, final)
                return result
        return self._kept_uncompiled(signature, known, capture, reason, changed, result)

    def _kept_uncompiled(self, signature: Signature, known: Entry | None, capture: Capture, reason: str, changed: str, result: Any) -> Any:
        """The run stands as an uncompiled one."""
        if known is not None and known in signature.entries:
            signature.entries.remove(known)
        signature.uncompiled += 1
        if changed:
            reason = f"it changes {changed}, which a replay would not"
        if self.fullgraph and not changed:
            raise CaptureError(f"fullgraph=True, but {_name(self.function)} cannot be captured: {reason}")
        if not changed or signature.uncompiled >= RETRIES:
            signature.given_up = reason
            self._note(reason)
            ladder.show(1, lambda: f"{_name(self.function)} runs uncompiled: {reason}")
        self.uncompiled_calls += 1
        self._evaluate_wanted(capture)
        return result

    @staticmethod
    def _evaluate_wanted(capture: Capture) -> None:
        """Computes what the function asked to be computed, as an uncompiled call would have. The capture's own list of nodes goes first:
        what somebody holds counts as wanted, and every intermediate value would be kept."""
        capture.recorded.clear()
        if capture.wanted:
            evaluator.evaluate([t._node if t._base is None else t._read() for t in capture.wanted])

    def _bind(self, entry: Entry, tensors: list[Any], watch: Watch) -> None:
        """Arguments that are also reachable in another way must be the same at a replay; the others must not become so."""
        fixed = {id(p.tensor) for p in entry.places if p.tensor is not None} | set(watch.tensors)
        entry.bound_ids |= fixed
        known = {i for i, _ in entry.bound}
        for i, t in enumerate(tensors):
            if i not in known and not fixed.isdisjoint(storage_ids(t)):
                entry.bound.append((i, t))

    def _finish(self, capture: Capture, ending: Ending, entry: Entry, final: Any) -> None:
        """Gives the first call its values, by the plan that the next calls will run."""
        if not isinstance(final, ClosedFinal):
            self._evaluate_wanted(capture)
            return
        capture_inputs = [h.node for h in capture.handles if h.node.value is None]
        if capture_inputs:
            evaluator.evaluate(capture_inputs)
        if capture.observations:
            waiting = [n for n in ending.targets if n.value is None]
            if waiting:
                evaluator.run(topological(waiting, lambda n: n.value is not None), waiting)
        elif ending.targets:
            number = entry.place_of(capture)
            buffers: list[Any] = [None] * len(entry.places)
            for h in capture.handles:
                buffers[number(h)] = h.node.value
            feeds = final.part.feeds(buffers, (), [n.attrs.value for n, _ in capture.lives])  # type: ignore[attr-defined]
            values = final.part.plan().run(*feeds)
            ladder.show_timings(final.part.plan(), *feeds)
            for node, value in zip(ending.targets, values, strict=True):
                if node.value is None:
                    node.value = value
        for node in [*capture.recorded, *ending.targets]:
            if node.value is not None and node.requires_grad is not True:
                node.inputs = ()
        for place in entry.places:
            if place.tensor is not None and place.tensor._base is None:
                place.last = place.tensor._node


def _leaves(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], Any]:
    """All leaves of a call's arguments, and what tells its kind from calls with other nesting or names."""
    if kwargs:
        return flatten((args, kwargs))
    for a in args:
        if isinstance(a, CONTAINERS):
            leaves, structure = flatten(args)
            return leaves, (len(args), structure)
    return list(args), len(args)


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", None) or type(function).__name__


class Ending:
    """How a captured call ended: which tensors it returned, wrote, and gave gradients."""

    def __init__(self, capture: Capture, watch: Watch, front: Front, is_tensor: Callable[[Any], bool]) -> None:
        self.capture, self.watch, self.front, self.is_tensor = capture, watch, front, is_tensor
        self.targets: list[Node] = []
        self._numbers: dict[int, int] = {}
        self._writes: list[tuple[Any, int, int]] = []
        self._grads: list[tuple[Any, str, Any]] = []
        self._bases: list[tuple[int, Any, bool]] = []
        self._new: dict[int, int] = {}
        self._leaves: list[tuple[str, Any, Any]] = []
        self._structure: Any = None

    def _target(self, node: Node) -> int:
        found = self._numbers.get(id(node))
        if found is None:
            found = self._numbers[id(node)] = len(self.targets)
            self.targets.append(node)
        return found

    def look(self, result: Any) -> None:
        """Collects everything, still inside of the capture."""
        capture = self.capture
        leaves, self._structure = flatten(result)
        for t in leaves:
            if self.is_tensor(t):
                capture.touch(t)
        for handle in list(capture.handles):
            if handle.written:
                self._written(handle)
            elif handle.tensor._leaf_flag is not handle.leaf:
                capture.refuse("it changes the requires_grad of a tensor from outside")
        for slot in list(capture.grads.values()):
            self._grad(slot)
            outside = capture.handle_of(slot.tensor)
            # No hook of a leaf has run, and none would have, where its value was never read as a leaf.
            if slot.assigned or slot.tensor._leaf is not None or outside is None or outside.written:
                self._hooks(slot.tensor)
        for leaf in leaves:
            self._leaves.append(self._leaf(leaf))

    def _written(self, handle: Any) -> None:
        t = handle.tensor
        if handle.view:
            self.capture.refuse("it writes in place to an argument that is a slice of a larger tensor")
            return
        if t._leaf_flag is not handle.leaf:
            self.capture.refuse("it changes the requires_grad of a tensor from outside")
        if t._node is handle.node:
            return
        for reference in t._twins or ():
            twin = reference()
            if twin is not None and twin is not t and (other := self.capture.handle_of(twin)) is not None and other is not handle:
                self.capture.refuse("it makes two tensors share their memory (x.data = y)")
        self._writes.append((handle, self._target(t._node), t._version - handle.version))

    def _hooks(self, t: Any) -> None:
        """The hooks of a leaf ran while gradients were captured: they must stay."""
        for name in ("_leaf_hooks", "_post_hooks"):
            self.watch.attribute(f"the {name[1:].replace('_', ' ')} of a tensor", t, name)

    def _grad(self, slot: Any) -> None:
        now = slot.tensor._grad
        if not slot.assigned and now is slot.entry:
            return
        if now is None:
            self._grads.append((slot.tensor, "none", 0))
        elif now is slot.entry:
            return
        elif now._base is not None:
            self.capture.refuse("it sets a .grad to a view")
        else:
            self.capture.touch(now)
            handle = self.capture.handle_of(now)
            if handle is not None:
                self._grads.append((slot.tensor, "place", handle))
            else:
                self._grads.append((slot.tensor, "new", self._target(now._node)))

    def _leaf(self, leaf: Any) -> tuple[str, Any, Any]:
        capture = self.capture
        if not self.is_tensor(leaf):
            return "value", self._plain(leaf), None
        if id(leaf) in capture.arguments:
            return "argument", capture.arguments[id(leaf)], None
        base, steps = (leaf, ()) if leaf._base is None else (leaf._base, leaf._steps)
        for tensor, how, _ in self._grads:
            if how == "new" and tensor._grad is base:
                return "grad", tensor, steps
        handle = capture.handle_of(base)
        if handle is not None:
            if handle.tensor is base:
                return "place", handle, steps
            return "twin", handle, (steps, base._silent)
        others = [t for r in base._twins or () if (t := r()) is not None and t is not base]
        if any(capture.handle_of(t) is not None for t in others):
            capture.refuse("it returns a tensor that shares memory with one from outside")
        number = self._new.get(id(base))
        if number is None:
            number = self._new[id(base)] = len(self._bases)
            kind = type(base)
            plain = type(self.front.wrap(base._node))
            self._bases.append((self._target(base._node), None if kind is plain else kind, base._leaf_flag))
        return "new", number, steps

    def _plain(self, value: Any) -> Any:
        kind = type(value)
        if kind in ATOMS or isinstance(value, np.generic | type) or callable(value) or id(value) in self.watch.seen:
            return value
        if isinstance(value, np.ndarray):
            return value.copy()
        if isinstance(value, tuple) and all(type(v) in ATOMS for v in value):
            return value
        if getattr(kind, "__module__", "").startswith("monograph.") and getattr(kind, "__slots__", None) is not None:
            return value
        self.capture.refuse(
            f"it returns a {kind.__name__}, which a replay cannot make anew: return tensors, numbers, and lists, tuples or dicts of them"
        )
        return value

    def results(self, entry: Entry, builder: PathBuilder) -> Results:
        """What a path of `entry` gives back."""
        made = Results()
        made.writes = [(builder.place_of(h), target, bump) for h, target, bump in self._writes]
        for owner, how, what in self._grads:
            place = builder.owner_place(owner)
            if place is None:
                raise Refused("it sets the gradient of a tensor that it does not otherwise touch")
            made.grads.append((place, how, builder.place_of(what) if how == "place" else what))
        made.bases = self._bases
        made.returned = self._maker(builder)
        made.names_places = any(how not in ("new", "value") for how, _, _ in self._leaves)
        return made

    def _maker(self, builder: PathBuilder) -> Callable[[Sequence[Any], Sequence[Any]], Any]:
        plan: list[tuple[str, Any, Any]] = []
        for how, what, more in self._leaves:
            if how in ("place", "twin"):
                plan.append((how, builder.place_of(what), more))
            elif how == "grad":
                plan.append((how, builder.owner_place(what), more))
            elif how == "argument":
                plan.append(("place", builder.place_of(self.capture.handle_of(self.capture.argument_tensors[what])), ()))
            else:
                plan.append((how, what, more))
        return maker(self._structure, plan, self.front.view_of)
