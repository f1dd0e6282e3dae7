"""The node: one recorded operation. The graph of nodes is the tape, the program to compile and the artifact to save."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from monograph.core.attrs import NO_ATTRS, Attrs
from monograph.core.dtype import dtype as DType
from monograph.core.errors import user_line
from monograph.core.modes import MODES
from monograph.core.shape import Shape

if TYPE_CHECKING:
    from monograph.graph.op import OpDef


# Marks of a node: its tensor was written in place since, so that a gradient that reads it would see a value the user has replaced; it is
# the result of an in-place op.
OVERWRITTEN, IN_PLACE = 1, 2


class Node:
    """An operation on nodes. Immutable, but for `value`, which evaluation fills in.

    `shape` and `dtype` are of the single output; a node with several outputs has dtype None and its shape is a tuple of
    (shape, dtype) pairs, read through `project` nodes. `value` is the materialised output (a `runtime.Buffer`, row-major), or None.
    """

    __slots__ = ("__weakref__", "attrs", "dtype", "hooks", "inputs", "marks", "op", "owner", "packed", "requires_grad", "shape", "value")

    op: OpDef
    inputs: tuple[Node, ...]
    attrs: Attrs
    shape: Shape
    dtype: DType
    requires_grad: bool
    value: Any
    owner: Any  # of a leaf: a weak reference to the tensor whose .grad collects; of a custom function: its backward; else None
    marks: int  # OVERWRITTEN, IN_PLACE: what in-place ops have done
    hooks: list[Callable[[Node], Node]]  # only of nodes in `autodiff.vjp.hooked`
    packed: tuple[dict[int, Any], Callable[[Any], Node]]  # only of nodes in `autodiff.vjp.saved`

    def __init__(self, op: OpDef, inputs: tuple[Node, ...], attrs: Attrs, shape: Shape, dtype: DType, requires_grad: bool = False) -> None:
        self.op = op
        self.inputs = inputs
        self.attrs = attrs
        self.shape = shape
        self.dtype = dtype
        self.requires_grad = requires_grad
        self.value = None
        self.owner = None
        self.marks = 0

    if TYPE_CHECKING:  # installed by `ops`, see install_operators

        def __add__(self, other: Any) -> Node: ...
        def __radd__(self, other: Any) -> Node: ...
        def __sub__(self, other: Any) -> Node: ...
        def __rsub__(self, other: Any) -> Node: ...
        def __mul__(self, other: Any) -> Node: ...
        def __rmul__(self, other: Any) -> Node: ...
        def __truediv__(self, other: Any) -> Node: ...
        def __rtruediv__(self, other: Any) -> Node: ...
        def __pow__(self, other: Any) -> Node: ...
        def __rpow__(self, other: Any) -> Node: ...
        def __neg__(self) -> Node: ...

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def numel(self) -> Any:
        n: Any = 1
        for s in self.shape:
            n = n * s
        return n

    @property
    def outputs(self) -> tuple[tuple[Shape, DType], ...]:
        """(shape, dtype) of every output."""
        return self.shape if self.dtype is None else ((self.shape, self.dtype),)

    def __repr__(self) -> str:
        types = ", ".join(f"{d.name}{list(s)}" for s, d in self.outputs)
        return f"<{self.op.name} : {types}>"


# Where deferred errors come from: the user's line of nodes whose values may be refused (indices, NaN checks). Not part of a node's
# identity. The lines of other nodes, noted for whoever looks at kernels later, are kept apart: they delay no write.
_provenance: weakref.WeakKeyDictionary[Node, str] = weakref.WeakKeyDictionary()
_lines: weakref.WeakKeyDictionary[Node, str] = weakref.WeakKeyDictionary()


def note_provenance(node: Node) -> None:
    """Remembers the user's line that recorded this node."""
    now = MODES.now
    known = _provenance if node.op.checks_values or now.anomaly else _lines
    known[node] = user_line(2)
    if now.saving is not None and node.requires_grad:
        now.saving(node)


def provenance(node: Node) -> str:
    """The user's line that recorded this node, "" if it was not noted."""
    return _provenance.get(node) or _lines.get(node, "")


def value_checks_pending() -> bool:
    """Whether any op is alive that may refuse values: a quick no for most programs."""
    return len(_provenance) > 0


def copy_provenance(source: Node, to: Node) -> None:
    """A rewritten node comes from the line of the node it replaces."""
    for known in (_provenance, _lines):
        line = known.get(source)
        if line:
            known[to] = line


def record(op: OpDef, inputs: tuple[Node, ...], attrs: Attrs = NO_ATTRS) -> Node:
    """Checks shapes and dtypes by the op's own rule and makes the node. The hottest function of the project."""
    shape, dtype = op.infer(attrs, *inputs)
    now = MODES.now
    needs = False
    if now.grad and op.differentiable:
        for n in inputs:
            if n.requires_grad:
                needs = dtype is None or dtype.kind in "fc"
                break
    node = Node(op, inputs, attrs, shape, dtype, needs)
    if op.checks_values or now.lines:
        note_provenance(node)
    now.pending.append(node)
    return node


OPERATORS: dict[str, Callable[..., Node]] = {}


def install_operators(**operators: Callable[..., Any]) -> None:
    """Gives nodes Python's operators (called once by `ops`, which owns their meaning), so that gradients read like mathematics."""
    for name, function in operators.items():
        setattr(Node, f"__{name}__", function)


def topological(outputs: Sequence[Node], stop: Callable[[Node], bool] | None = None) -> list[Node]:
    """All nodes that the outputs need, inputs before users; a node for which `stop` holds is included, its inputs are not followed.

    Iterative, so that graphs may be deeper than Python's recursion limit.
    """
    order: list[Node] = []
    seen: set[Node] = set()
    stack: list[Any] = list(reversed(outputs))
    while stack:
        node = stack.pop()
        if node is None:  # all that the next one needs is there
            order.append(stack.pop())
            continue
        if node in seen:
            continue
        seen.add(node)
        if node.inputs and (stop is None or not stop(node)):
            stack += (node, None)
            for x in reversed(node.inputs):
                if x not in seen:
                    stack.append(x)
        else:
            order.append(node)
    return order
