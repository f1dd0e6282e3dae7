"""Watching a function while it is recorded for one example: values nobody has yet, draws of random numbers, writes to tensors from outside.

It stands where a capture stands (`MODES.capture`) and passes on what it is told to the capture around it, if there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from monograph.core.dtype import dtype as DType
from monograph.core.errors import DeviceError
from monograph.core.modes import MODES
from monograph.engine import evaluator
from monograph.graph.node import Node
from monograph.ops import source
from monograph.tensor.core import Tensor, node_of


class NeedsValueError(DeviceError):
    """Python has looked at a value of the example, which has none: the function must be run example by example."""


class Tracing:
    """A function being recorded on inputs without values. A context manager."""

    symbolic = False

    def __init__(self) -> None:
        self._outer = MODES.capture
        self._pending: list[Node] = []
        self._anomaly = False
        self._generator: Any = None
        self._draws: dict[int, tuple[Node, Any]] = {}
        self._written: dict[int, tuple[Tensor, Node]] = {}
        self._made: list[Node] = []
        self._start = 0
        self.differentiated: list[Node] = []  # variables of derivatives that are taken inside of the function
        self.map_call: Callable[[Any, tuple[Any, ...]], Any] | None = None  # `vmap`: a function with a rule of its own for batches

    def __enter__(self) -> Tracing:
        self._anomaly, MODES.anomaly = MODES.anomaly, False
        self._pending = MODES.pending
        if self._outer is None:
            MODES.pending = []
        else:
            self._start = len(self._pending)  # a capture knows its nodes by this list
        MODES.capture = self
        return self

    def __exit__(self, *error: object) -> None:
        self._inside = {*map(id, MODES.pending[self._start :]), *map(id, self._made), *self._draws}
        MODES.capture, MODES.pending, MODES.anomaly = self._outer, self._pending, self._anomaly

    def __getattr__(self, name: str) -> Any:
        if name == "_outer" or self._outer is None:
            raise AttributeError(name)
        return getattr(self._outer, name)

    def input(self, node: Any) -> Node:
        """Stands for an input of the function: of its type, without a value, on the tape if the input is."""
        stand_in = source.placeholder(node.shape, node.dtype)
        stand_in.requires_grad = bool(node.requires_grad)
        if self._outer is not None:
            self._outer.made_inside(stand_in) if isinstance(self._outer, Tracing) else self._outer._ours.add(id(stand_in))
        return stand_in

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """What is done in there is done outside of the function."""
        inner, recorded = MODES.capture, MODES.pending
        MODES.capture = self._outer
        if self._outer is None:
            MODES.pending = self._pending
        try:
            yield
        finally:
            MODES.capture = inner
            if self._outer is None:
                self._pending, MODES.pending = MODES.pending, recorded

    def made_inside(self, node: Node) -> None:
        """A node of an inner function, of which the capture around must know that it is none of its inputs."""
        if self._outer is not None:
            self._outer.made_inside(node) if isinstance(self._outer, Tracing) else self._outer._ours.add(id(node))

    # ---- random numbers ----
    def is_draw(self, key: Node) -> bool:
        """Whether a key of the random generator was taken while tracing."""
        return id(key) in self._draws

    def generator_of(self, key: Node) -> Any:
        """The generator that a key is of."""
        return self._draws[id(key)][1]

    # ---- what tensor code tells ----
    def read(self, tensors: Iterable[Any]) -> None:
        """These tensors are about to be read."""
        if self._outer is not None:
            self._outer.read(tensors)

    def written(self, t: Any) -> None:
        """This tensor is about to be written."""
        base = t if t._base is None else t._base
        self._written.setdefault(id(base), (base, base._node))
        if self._outer is not None:
            self._outer.written(t)

    def outside_writes(self) -> list[tuple[Tensor, Node]]:
        """Tensors from before that were written, with what they held."""
        return [(t, node) for t, node in self._written.values() if id(node) not in self._inside]

    def undo_writes(self) -> None:
        """Tensors from before hold again what they held."""
        for t, node in self.outside_writes():
            t._node, t._leaf = node, None

    def live(self, provider: Any, dtype: DType) -> Node:
        """A run-time scalar: the key or the offset of a draw, a learning rate."""
        node = self._outer.live(provider, dtype) if self._outer is not None else source.number(provider(), dtype)
        self._draws[id(node)] = (node, self._generator)
        return node

    def depends(self, where: str, owner: Any, read: Any) -> None:
        """Python looks at `read(owner)`."""
        if self._outer is not None:
            self._outer.depends(where, owner, read)

    def draws(self, generator: Any) -> None:
        """This random generator is about to be asked for numbers."""
        self._generator = generator
        if self._outer is not None:
            self._outer.draws(generator)

    def made(self, node: Node) -> None:
        """A source made from values of Python or NumPy."""
        self._made.append(node)
        if self._outer is not None:
            self._outer.made(node)

    def refuse(self, reason: str) -> None:
        """The function does what a replay cannot repeat."""
        if self._outer is not None:
            self._outer.refuse(reason)

    def evaluate(self, tensors: Iterable[Any]) -> None:
        """The function wants these evaluated: later."""

    def grad_set(self, t: Any) -> None:
        """This tensor is about to get another `.grad`."""
        if self._outer is not None:
            self._outer.grad_set(t)

    def grad_get(self, t: Any) -> None:
        """Python looks at the `.grad` of this tensor."""
        if self._outer is not None:
            self._outer.grad_get(t)

    def observe(self, t: Any) -> Any:
        """The values of a tensor, if they do not depend on the example."""
        node = node_of(t)
        with self.suspended():
            try:
                if self._outer is not None:
                    return self._outer.observe(t)
                if node.value is None:
                    evaluator.evaluate([node])
                return node.value.array(node.shape, node.dtype.np)
            except DeviceError as error:
                raise NeedsValueError(str(error)) from None
