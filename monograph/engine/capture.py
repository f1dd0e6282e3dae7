"""A capture: one run of a Python function in which ops record as always and nothing is evaluated, while it is noted which tensors from
before are read and written, which run-time scalars are asked for, and where Python looks at a value.

The run is a faithful one: whatever happens in it has happened once, and its nodes can be evaluated like any others. Tensors are known here
by the few attributes that `tensor/core.py` documents; the engine does not import them.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from monograph.core.attrs import NO_ATTRS
from monograph.core.dtype import dtype as DType
from monograph.core.errors import CaptureError, user_line
from monograph.core.modes import MODES
from monograph.engine import evaluator
from monograph.graph.node import Node, topological
from monograph.ops import source


class Handle:
    """A storage from before the capture (a base tensor, or an argument that is a view) that the program reads or writes."""

    __slots__ = ("argument", "index", "leaf", "node", "shared", "tensor", "version", "view", "written")

    def __init__(self, index: int, tensor: Any, node: Node, argument: int | None, view: bool) -> None:
        self.index = index
        self.tensor = tensor
        self.node = node  # of the value at entry: an input of the program
        self.argument = argument
        self.view = view
        self.version = tensor._version
        self.leaf = tensor._leaf_flag
        self.shared: Any = None
        self.written = False


class GradSlot:
    """The `.grad` of a tensor from before the capture: what it was at entry. `assigned`: the function gives it a new one."""

    __slots__ = ("argument", "assigned", "entry", "looked", "tensor")

    def __init__(self, tensor: Any, argument: int | None) -> None:
        self.tensor, self.argument, self.entry = tensor, argument, tensor._grad
        self.assigned = self.looked = False


class Observation:
    """Python has looked at a value: the trace splits here."""

    __slots__ = ("digest", "handles", "line", "lives", "node")

    def __init__(self, node: Node, digest: bytes, line: str, lives: int, handles: int) -> None:
        self.node, self.digest, self.line, self.lives, self.handles = node, digest, line, lives, handles


def digest_of(array: np.ndarray) -> bytes:
    """A key of a value: its bytes, or a hash of them where they are many."""
    raw = array.tobytes()
    return raw if len(raw) <= 64 else hashlib.blake2b(raw, digest_size=32).digest()


class Capture:
    """The capture in progress (`MODES.capture`). Tensor code tells it of reads and writes before they happen."""

    symbolic = False

    def __init__(self, arguments: Sequence[Any], full: bool = False) -> None:
        self.arguments = {id(t): i for i, t in reversed(list(enumerate(arguments)))}
        self.argument_tensors = list(arguments)
        self.full = full  # a split is an error (fullgraph=True)
        self.handles: list[Handle] = []
        self.grads: dict[int, GradSlot] = {}
        self.inputs: dict[int, Handle] = {}
        self.lives: list[tuple[Node, Callable[[], Any]]] = []
        self.observations: list[Observation] = []
        self.refusals: list[str] = []
        self.generators: dict[int, Any] = {}
        self.wanted: list[Any] = []  # tensors that the function asked to be evaluated
        self.conditions: list[tuple[str, Any, Callable[[Any], Any]]] = []  # what Python decided by run-time numbers
        self.numbers: dict[Any, Any] = {}  # run-time numbers by where they stand
        self.constants: list[Node] = []
        self.recorded: list[Node] = []
        self._by_tensor: dict[int, Handle] = {}
        self._ours: set[int] = set()
        self._counted = 0
        self._observed: set[int] = set()
        self._local: set[int] = set()
        self._outer: list[Node] = []
        self._alive: list[Any] = []  # so that no other tensor gets the id of a known one

    # ---- entering and leaving ----
    def __enter__(self) -> Capture:
        self._outer, MODES.pending = MODES.pending, []
        self.recorded = MODES.pending
        MODES.capture = self
        return self

    def __exit__(self, *error: object) -> None:
        MODES.capture = None
        MODES.pending = self._outer + [n for n in self.recorded if n.value is None]
        for handle in self.handles:
            if handle.shared is not None:
                self._share_again(handle)

    def _share_again(self, handle: Handle) -> None:
        """A tensor that NumPy sees too goes back to its memory, with what was written meanwhile."""
        t, shared = handle.tensor, handle.shared
        t._shared, t._simple = shared, False
        if handle.written:
            shared.written(t)
        else:
            t._node = source.from_value(shared.buffer, handle.node.shape, handle.node.dtype)
        for reference in t._twins or ():
            twin = reference()
            if twin is not None and twin is not t and twin._base is None:
                twin._node, twin._shared, twin._simple = t._node, shared, False

    def refuse(self, reason: str) -> None:
        """The function does something that a replay cannot repeat: it will run uncompiled."""
        if reason not in self.refusals:
            self.refusals.append(reason)

    def let_go(self) -> None:
        """Forgets all nodes and tensors. The capture may live on in a circle of references until those are collected; values must not."""
        for held in (self.handles, self.grads, self.inputs, self.lives, self.observations, self.wanted, self.constants, self.recorded):
            held.clear()
        for held in (self.argument_tensors, self._by_tensor, self._outer, self._alive):
            held.clear()

    # ---- what tensor code tells ----
    def read(self, tensors: Iterable[Any]) -> None:
        """These tensors are about to be read."""
        for t in tensors:
            if id(t) not in self._by_tensor:
                try:
                    base = t._base
                except AttributeError:
                    continue  # no tensor: the op itself says so, in its own words
                self._touch(t, base)

    def written(self, t: Any) -> None:
        """This tensor is about to be written."""
        base = t if t._base is None else t._base
        self._touch(base, None)
        handle = self._by_tensor.get(id(base))
        if handle is not None:
            handle.written = True
            if any(h.view and h.tensor._base is base for h in self.handles):
                self.refuse("it writes to a tensor of which another argument is a slice")
        if t._base is not None and id(t) in self._by_tensor:
            self.refuse("it writes in place to an argument that is a slice of a larger tensor")

    def grad_set(self, t: Any) -> None:
        """This tensor is about to get another `.grad`."""
        slot = self._slot(t)
        if slot is not None:
            slot.assigned = slot.looked = True

    def grad_get(self, t: Any) -> None:
        """Python looks at the `.grad` of this tensor."""
        slot = self._slot(t)
        if slot is not None:
            slot.looked = True

    def live(self, provider: Callable[[], Any], dtype: DType) -> Node:
        """A run-time scalar that every replay asks for anew."""
        node = source.number(provider(), dtype, provider)
        self.lives.append((node, provider))
        self._ours.add(id(node))
        return node

    def depends(self, where: str, owner: Any, read: Callable[[Any], Any]) -> None:
        """Python looks at `read(owner)`: a replay needs the same answer."""
        self.conditions.append((where, owner, read))

    def draws(self, generator: Any) -> None:
        """This random generator is about to be asked for numbers."""
        if id(generator) not in self.generators:
            self.generators[id(generator)] = (generator, generator._offset)

    def made(self, node: Node) -> None:
        """A source made from values of Python or NumPy: a constant of the program."""
        self.constants.append(node)
        self._ours.add(id(node))

    def evaluate(self, tensors: Iterable[Any]) -> None:
        """The function wants these evaluated (an optimiser's step): the program will do it."""
        self.wanted.extend(tensors)

    def observe(self, t: Any) -> np.ndarray:
        """The values of a tensor, computed now. What follows depends on them: the trace splits."""
        self.read((t,))
        node = t._node if t._base is None and not t._leaf_flag else t._read()
        value = self._value(node)
        array = value.array(node.shape, node.dtype.np)
        if id(node) not in self._observed and self._varies(node):
            line = user_line(2)
            if self.full:
                raise CaptureError(
                    f"fullgraph=True, but Python looks at a value ({node.dtype.name}{list(node.shape)} of {node.op.name}) at {line}"
                )
            self._observed.add(id(node))
            self.observations.append(Observation(node, digest_of(array), line, len(self.lives), len(self.handles)))
        return array

    # ---- bookkeeping ----
    def is_ours(self, node: Node) -> bool:
        """Whether a node was made during this capture."""
        recorded, start = self.recorded, self._counted
        if len(recorded) > start:
            self._ours.update(map(id, recorded[start:]))
            self._counted = len(recorded)
        return id(node) in self._ours

    def handle_of(self, t: Any) -> Handle | None:
        """The handle of a base tensor or argument that was touched."""
        return self._by_tensor.get(id(t))

    def is_local(self, t: Any) -> bool:
        """Whether a tensor of a known storage was itself made during the capture."""
        return id(t) in self._local

    def touch(self, t: Any) -> None:
        """Makes `t` known, if it is from before the capture."""
        self._touch(t, t._base)

    def _slot(self, t: Any) -> GradSlot | None:
        slot = self.grads.get(id(t))
        if slot is None:
            self._touch(t, t._base)
            if id(t) not in self._by_tensor or self.is_local(t):
                return None
            slot = self.grads[id(t)] = GradSlot(t, self.arguments.get(id(t)))
        return slot

    def _touch(self, t: Any, base: Any) -> None:
        if base is None:
            if id(t) not in self._by_tensor:
                self._register(t)
            return
        if id(t) in self.arguments:
            if id(t) not in self._by_tensor:
                self._register_slice(t, base)
            return
        if id(base) not in self._by_tensor:
            self._register(base)
        seen = t._seen
        if seen is not None and not self.is_ours(seen[1]):
            t._seen = None  # what was recorded before may have lost its history

    def _register(self, b: Any) -> None:
        group = [b]
        if b._twins is not None:
            alive = [t for r in b._twins if (t := r()) is not None]
            group = [t for t in alive if t._base is None] or [b]
        for t in group:
            if (found := self._by_tensor.get(id(t))) is not None:
                self._by_tensor[id(b)] = found  # a twin made meanwhile, by .data or .detach()
                self._alive.append(b)
                self._local.add(id(b))
                return
        main = next((t for t in group if id(t) in self.arguments), group[0])
        node = main._node
        if self.is_ours(node) or main._device.type == "meta":
            return
        handle = Handle(len(self.handles), main, node, self.arguments.get(id(main)), False)
        shared = main._shared
        if shared is not None:
            before, MODES.grad = MODES.grad, False
            try:
                handle.node = node = main._read()
            finally:
                MODES.grad = before
            if main._shared is not None:
                handle.shared = shared
                for t in group:
                    t._node, t._shared, t._simple = node, None, not t._leaf_flag
        if id(node) in self.inputs:  # two storages hold one node (say, two equal gradients): at a replay they may differ
            fresh = Node(source.clone, (node,), NO_ATTRS, node.shape, node.dtype, node.requires_grad)
            fresh.value = node.value
            for t in group:
                if t._node is node:
                    t._node = fresh
            handle.node = node = fresh
        self.handles.append(handle)
        self.inputs[id(node)] = handle
        for t in group:
            self._by_tensor[id(t)] = handle
            self._alive.append(t)
            if t._leaf_flag and id(t) not in self.grads:
                self.grads[id(t)] = GradSlot(t, self.arguments.get(id(t)))

    def _register_slice(self, t: Any, base: Any) -> None:
        """An argument that is a view: its value is the input, wherever the view lies in its base."""
        known = self._by_tensor.get(id(base))
        if known is not None and known.written:
            self.refuse("it writes to a tensor of which another argument is a slice")
        if base._leaf_flag:
            self.refuse("an argument is a slice of a tensor that collects gradients")
        node = t._read()
        handle = Handle(len(self.handles), t, node, self.arguments[id(t)], True)
        self.handles.append(handle)
        self.inputs[id(node)] = handle
        self._by_tensor[id(t)] = handle

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Outside of the capture for a moment: to evaluate what was pending before it."""
        MODES.capture, MODES.pending = None, self._outer
        try:
            yield
        finally:
            self._outer, MODES.pending = MODES.pending, self.recorded
            MODES.capture = self

    def evaluate_inputs(self) -> None:
        """Computes the values of all inputs that are still pending."""
        waiting = [h.node for h in self.handles if h.node.value is None]
        if waiting:
            with self.paused():
                evaluator.evaluate(waiting)

    def _value(self, node: Node) -> Any:
        if node.value is None:
            tracing = sys.getprofile()
            sys.setprofile(None)  # what the compiler does is not the user's doing
            try:
                self._evaluate(node)
            finally:
                sys.setprofile(tracing)
        return node.value

    def _evaluate(self, node: Node) -> None:
        if node.value is None:
            self.evaluate_inputs()
            if node.value is None:
                order = topological([node], lambda n: n.value is not None)
                kept = [
                    n
                    for n in order
                    if n.value is None and n is not node and n.dtype is not None and n.inputs and not evaluator._is_cheap(n)
                ]
                evaluator.run(order, [*kept, node])

    def _varies(self, node: Node) -> bool:
        """Whether a value can differ at a replay: it depends on an input or a run-time scalar."""
        live = {id(n) for n, _ in self.lives}
        return any(id(n) in self.inputs or id(n) in live for n in topological([node], lambda n: id(n) in self.inputs))
