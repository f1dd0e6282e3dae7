"""The Tensor: a handle on a storage through a chain of view steps.

A *base* tensor is its own storage: it holds the node of its current value and counts versions. A *view* holds its base and the steps that
lead from the base's value to its own, so every view reads what was last written, through whichever handle. Writes are functional: a
write through a view rebuilds the base's value (`unview` of each step, in reverse) and gives the base a new node. Tensors that share memory
but not history (`detach()`, `.data`) are *twins*: bases that follow each other's writes.
"""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from monograph.autodiff import vjp
from monograph.core.attrs import NO_ATTRS
from monograph.core.dtype import bool_
from monograph.core.dtype import dtype as DType
from monograph.core.errors import AutogradError, DeviceError, DTypeError, NoDataError, ShapeError
from monograph.core.modes import MODES
from monograph.core.shape import contiguous_strides, numel
from monograph.graph.node import OVERWRITTEN, Node, record, topological
from monograph.graph.op import OpDef
from monograph.ops import elementwise, movement, source
from monograph.ops.complex_parts import bitcast
from monograph.runtime.regions import Region
from monograph.tensor.device import CPU, META, Device
from monograph.tensor.size import Size

meta_nodes: weakref.WeakSet[Node] = weakref.WeakSet()  # the values of tensors made on device meta: never computed
NO_DATA = "Cannot copy out of meta tensor; no data! Make it with to_empty() or empty_like(..., device='cpu') on a device that has memory."
Step = tuple[OpDef, Any]
# References to a view that is an argument and nothing else, and to the base that nobody but this view knows, as counted below.
ONLY_GIVEN, ONLY_BASE = 4, 3


def _without_data(node: Node) -> bool:
    """Whether the value follows from a tensor on device meta."""
    return node.value is None and any(n in meta_nodes for n in topological([node], lambda n: n.value is not None))



if TYPE_CHECKING:
    from monograph.tensor.declared import Declared
else:
    Declared = object


class Tensor(Declared):
    """An n-dimensional array that records what is done with it. Created by `tensor`, `zeros`, `randn` ... and by every op."""

    __slots__ = ("__dict__", "__weakref__", "_node", "_simple")

    # State that few tensors have; an instance that needs it shadows the class attribute.
    _base: Tensor | None = None
    _steps: tuple[Step, ...] = ()
    _version_count = 0
    _leaf_flag = False  # requires_grad, set by the user: a leaf
    _leaf: Node | None = None  # the leaf node of the current version
    _grad: Tensor | None = None
    _twins: list[Any] | None = None
    _silent = False  # writes through .data do not count as overwriting saved values
    _shared: Any = None  # the buffer that NumPy sees too, while it does
    _seen: tuple[Node | None, Node] | None = None  # of a view: (base node, view node) last read
    _via: tuple[Tensor, tuple[Step, ...]] | None = None  # of a view of a view that is a leaf or has hooks: that view, the steps from there
    _above: tuple[Node, Node, int] | None = None  # of a view of a view: the base's node then, that view's, and how many steps lead to it
    _hooked = False  # of a view: its gradient has hooks, so further views have to go through it
    _retains = False  # retain_grad() was called
    _leaf_hooks: list[Any] | None = None  # of a leaf: what is called with its gradient
    _post_hooks: list[Any] | None = None  # of a leaf: what is called when its .grad has grown
    _device = CPU

    _node: Any  # of a base: the node of its current value
    _simple: bool  # reading needs nothing but `_node`: a base that is no leaf and shares no memory with NumPy

    # ---- reading ----
    def _read(self) -> Node:
        """The node of the current value, in its role for autograd."""
        base = self._base
        if base is None:
            node = self._node if self._shared is None else self._snapshot()
        else:
            via = self._via
            if via is not None and not (via[0]._hooked or (via[0]._leaf_flag and MODES.now.grad)):
                via = None
            if via is None and self._shared_base() is not None and not (base._leaf_flag and MODES.now.grad):
                node = self._snapshot()
            else:
                root, steps = (base._read(), self._steps) if via is None else (via[0]._read(), via[1])
                seen = self._seen
                if seen is not None and seen[0] is root:
                    node = seen[1]
                else:
                    node, above = root, self._above
                    if above is not None and via is None and above[0] is root and root.requires_grad and above[1].requires_grad:
                        node, steps = above[1], steps[above[2] :]
                    for op, attrs in steps:
                        node = record(op, (node,), attrs) if node.value is None else _step_into(node, op, attrs)
                    self._seen = (root, node)
        if self._leaf_flag and MODES.now.grad:
            leaf = self._leaf
            if leaf is None or (leaf.inputs[0] is not node and not _same_bytes(self, leaf.inputs[0], node)):
                leaf = Node(source.leaf, (node,), NO_ATTRS, node.shape, node.dtype, True)
                leaf.owner = weakref.ref(self)
                if self._leaf_hooks is not None:
                    vjp.hook(leaf, self._leaf_hooks)
                self._leaf = leaf
            return leaf
        return node

    def _shared_base(self) -> Any:
        return None if self._base is None else self._base._shared

    def _snapshot(self) -> Node:
        """A copy of what NumPy may change under us, so that recorded ops see the value of now."""
        from_base = self._base if self._base is not None else self
        shared = from_base._shared
        if not shared.alive():
            from_base._shared = None
            from_base._simple = not from_base._leaf_flag
            return self._read() if self._base is not None else from_base._node
        old = from_base._node
        node = shared.snapshot(old, self._steps)
        if old.requires_grad and (MODES.now.grad or not self._steps):  # what NumPy sees has not left the tape
            for op, attrs in self._steps:
                old = record(op, (old,), attrs)
            node = _revalued(old, node)
        if self._base is not None:
            self._seen = (None, source.placeholder(node.shape, node.dtype))  # the type only: the value is a matter of the moment
        return node

    # ---- facts ----
    def _type(self) -> Node:
        """A node of this tensor's shape and dtype, not necessarily of its value."""
        if self._node is not None:
            return self._node
        return self._read() if self._seen is None else self._seen[1]

    @property
    def shape(self) -> Size:
        """The sizes of the dimensions."""
        return Size(self._type().shape)

    @property
    def dtype(self) -> DType:
        """The element type."""
        return self._type().dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self._type().shape)

    @property
    def device(self) -> Device:
        """Where the tensor lives. What is computed from a meta tensor is on device meta too."""
        base = self if self._base is None else self._base
        if meta_nodes and base._device is CPU and _without_data(base._node):
            return META
        return base._device

    @property
    def is_leaf(self) -> bool:
        """Whether no gradient flows further back than here."""
        return self._leaf_flag or not self.requires_grad

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow into this tensor. May be set on leaves."""
        if self._leaf_flag:
            return True
        if self._base is not None and (self._base.requires_grad or self._via is not None):
            with_grad, MODES.grad = MODES.grad, True
            try:
                return bool(self._read().requires_grad)
            finally:
                MODES.grad = with_grad
        return self._base is None and bool(self._node.requires_grad)

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Makes this leaf collect gradients, or stop. Returns itself.

        Raises RuntimeError for dtypes without gradients, and when a result of recorded ops is told to stop.
        """
        if MODES.capture is not None:
            MODES.capture.read((self,))
        if requires_grad:
            if self.dtype.kind not in "fc":
                raise RuntimeError(f"only Tensors of floating point and complex dtype can require gradients, got {self.dtype}")
            if not self._leaf_flag and not self.requires_grad:
                self._leaf_flag = True
                self._simple = False
        elif self._leaf_flag:
            self._leaf_flag = False
            self._leaf = None
            self._simple = self._base is None and self._shared is None
        elif self.requires_grad:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph that "
                "doesn't "
                "require differentiation use var_no_grad = var.detach()."
            )
        return self

    @property
    def _version(self) -> int:
        """How often the storage was written."""
        return self._version_count if self._base is None else self._base._version_count

    # ---- writing ----
    def _check_writable(self) -> None:
        """Raises RuntimeError for an in-place op on a leaf that collects gradients, while gradients are recorded."""
        if not MODES.now.grad:
            return
        if self._leaf_flag:
            raise AutogradError(
                "a leaf Variable that requires grad is being used in an in-place operation. Wrap the update in `with no_grad():`."
            )
        if self._base is not None and (self._base._leaf_flag or (self._via is not None and self._via[0]._leaf_flag)):
            raise AutogradError(
                "a view of a leaf Variable that requires grad is being used in an in-place operation. Wrap the update in `with no_grad():`."
            )

    def _write(self, new: Node) -> Tensor:
        """Stores the value of `new` (same shape and dtype) into this tensor's storage; every view sees it."""
        base = self._base
        special = MODES.capture
        if special is not None:
            special.written(self)
        if base is None:
            old = self._node
            if meta_nodes.data:  # type: ignore[attr-defined]  # the set inside: whether it is empty costs no call
                new = self._for_device(new)
            if new.op.is_view:  # a stored value is no view of what it was computed from (writes to that are not writes to it)
                new = record(source.clone, (new,))
            if not self._silent:
                old.marks |= OVERWRITTEN
                if self._leaf is not None:
                    self._leaf.marks |= OVERWRITTEN
            self._node = new
            self._leaf = None
            self._version_count += 1
            if self._twins is not None:
                self._tell_twins(new)
            if self._shared is not None:
                self._shared.written(self)
            return self
        chain = [base._node if base._shared is None else base._read()]
        with_grad, MODES.grad = MODES.grad, MODES.grad
        for op, attrs in self._steps[:-1]:
            chain.append(record(op, (chain[-1],), attrs))
        current = new
        for (op, attrs), below in zip(reversed(self._steps), reversed(chain), strict=True):
            assert op.unview is not None  # `define` sees to it that every view has one
            current = op.unview(attrs, below, current)
        MODES.grad = with_grad
        self._seen = None
        base._write(current)
        return self

    def _for_device(self, new: Node) -> Node:
        """What is stored when `new` is written: on device meta there is nothing to store, and what comes from there has no data."""
        if self.device is META:
            return new if _without_data(new) else record(source.clone, (self._node,))
        if _without_data(new):
            raise NoDataError(NO_DATA)
        return new

    def _on_tape(self, new: Node) -> Node:
        """`new`, on the tape if what it overwrites is: a tensor with history keeps requires_grad, whatever is written over it."""
        root = self._node if self._base is None else self._base._node
        if new.requires_grad or not root.requires_grad or not MODES.grad:
            return new
        old = self._read()
        if len(self._steps) and numel(old.shape) != numel(root.shape):
            return new  # what the view leaves out keeps the history
        return elementwise.where(source.constant(False, bool_), old, new)

    def _tell_twins(self, new: Node) -> None:
        plain = new if not new.requires_grad else record(source.detach, (new,))
        alive = []
        for reference in self._twins or ():
            twin = reference()
            if twin is None:
                continue
            alive.append(reference)
            if twin is not self:
                if not self._silent and not twin._silent:
                    twin._node.marks |= OVERWRITTEN
                    if twin._leaf is not None:
                        twin._leaf.marks |= OVERWRITTEN
                twin._node = _revalued(twin._node, plain) if twin._node.requires_grad else plain
                twin._leaf = None
                twin._version_count += 1
        self._twins[:] = alive  # type: ignore[index]
        if len(alive) == 1:  # itself
            self._twins = None

    def _twin(self, silent: bool) -> Tensor:
        """A tensor of the same memory without history."""
        if self._base is not None:
            return view_of(self._base._twin(silent), self._steps)
        if MODES.capture is not None:
            MODES.capture.read((self,))
        if self._twins is None:
            self._twins = [weakref.ref(self)]
        node = self._node
        other = wrap(node if not node.requires_grad else record(source.detach, (node,)))
        other._twins = self._twins
        other._silent = silent
        if self._shared is not None:
            other._shared, other._simple = self._shared, False
        self._twins.append(weakref.ref(other))
        return other

    def detach(self) -> Tensor:
        """The same memory off the tape: no gradient flows through it; writes are seen by both."""
        return self._twin(silent=False)

    def detach_(self) -> Tensor:
        """Takes this tensor itself off the tape. Returns itself."""
        if self._base is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead")
        if MODES.capture is not None:
            MODES.capture.read((self,))
        self._leaf_flag, self._leaf = False, None
        self._simple = self._shared is None
        if self._node.requires_grad:
            self._node = record(source.detach, (self._node,))
        return self

    @property
    def data(self) -> Tensor:
        """The same memory off the tape, and writes are not held against saved values. Assigning replaces the value."""
        return self._twin(silent=True)

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
        if meta_nodes and self.device is not value.device:
            raise DeviceError(
                "Attempted to call `variable.set_data(tensor)`, but `variable` and `tensor` have incompatible tensor type: one is on "
                f"device {self.device}, the other on {value.device}"
            )
        if value.dtype.kind not in "fc" and self.requires_grad:
            raise RuntimeError("data set to a tensor that requires gradients must be floating point or complex dtype")
        if MODES.capture is not None:
            MODES.capture.read((value,))
            MODES.capture.written(self)
        elif value._base is not None and value is not self and value._is_seen_by_others_than(self):
            self._become_part(value)
            return
        if self._base is not None:
            self._base, self._steps, self._seen = None, (), None
        node = value._node if value._simple else value._read()
        node = node if not node.requires_grad else record(source.detach, (node,))
        old = self._node
        if old is not None and old.requires_grad and not self._leaf_flag and old.shape == node.shape and old.dtype is node.dtype:
            node = _revalued(old, node)  # another value in the middle of a graph: gradients go on to where the old one came from
        self._node = node
        self._leaf = None
        self._version_count += 1
        self._shared = value._shared if value._base is None else None
        self._simple = not self._leaf_flag and self._shared is None
        self._leave_twins()
        if value._base is None:
            if value._twins is None:
                value._twins = [weakref.ref(value)]
            self._twins = value._twins
            self._twins.append(weakref.ref(self))

    def _is_seen_by_others_than(self, taker: Tensor) -> bool:
        """Of a view that somebody is about to take over: whether another tensor shows its memory, too."""
        base: Any = self._base
        if sys.getrefcount(self) > ONLY_GIVEN or sys.getrefcount(base) > ONLY_BASE or base._shared is not None:
            return True
        return any((twin := t()) is not None and twin is not base and twin is not taker for t in base._twins or ())

    def _become_part(self, view: Tensor) -> None:
        """Shows the memory that `view` shows from now on: one parameter of many in a buffer, say. Writes reach the whole."""
        base: Any = view._base
        self._leave_twins()
        self._base, self._steps = base._twin(silent=True), view._steps
        self._node, self._simple, self._shared = None, False, None
        self._leaf = self._seen = self._via = self._above = None

    def _leave_twins(self) -> None:
        if self._twins is not None:
            self._twins[:] = [r for r in self._twins if r() is not self]
            self._twins = None

    # ---- gradients ----
    @property
    def grad(self) -> Tensor | None:
        """The gradient collected so far, None before any."""
        if MODES.capture is not None:
            MODES.capture.grad_get(self)
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}")
            if tuple(value.shape) != tuple(self.shape):
                raise ShapeError(f"assigned grad has data of a different size: {list(value.shape)} for a tensor of {list(self.shape)}")
            if value.dtype is not self.dtype:
                raise DTypeError(f"assigned grad has data of a different type: {value.dtype} for a tensor of {self.dtype}")
        if MODES.capture is not None:
            MODES.capture.grad_set(self)
        self._grad = value

    def _collect(self, g: Node) -> None:
        """Adds a gradient to .grad, in place as torch does."""
        if MODES.capture is not None:
            MODES.capture.grad_set(self)
        before = self._grad
        if before is None:
            self._grad = wrap(g)
            return
        if MODES.capture is not None:
            MODES.capture.read((before,))
        total = elementwise.add(before._node if before._simple else before._read(), g)
        if MODES.grad:
            self._grad = wrap(total)
        else:
            before._write(total)

    def __bool__(self) -> bool:
        n = self.numel()
        if n != 1:
            if n == 0:
                raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous. Use .any() or .all()")
        return bool(self.item())

    __hash__ = object.__hash__


def _same_bytes(tensor: Tensor, old: Node, new: Node) -> bool:
    """Whether two snapshots of memory shared with NumPy hold the same: then a leaf that was read twice is one leaf of the tape."""
    a, b = old.value, new.value
    if a is None or b is None or (tensor if tensor._base is None else tensor._base)._shared is None:
        return False
    return bool(a is b or a.array((a.nbytes,), np.uint8).tobytes() == b.array((b.nbytes,), np.uint8).tobytes())


_ADDRESSES = (movement.slice, movement.reshape, bitcast)


def _step_into(node: Node, op: OpDef, attrs: Any) -> Node:
    """A view step on a value that is there: slices and reshapes are mere addresses then, so where a slice begins makes no new program."""
    if node.requires_grad or MODES.capture is not None or op not in _ADDRESSES:
        return record(op, (node,), attrs)
    shape, dtype = op.infer(attrs, node)
    if op is not movement.slice:
        return valued(node.value, shape, dtype)
    offset = dtype.itemsize * sum(s * k for s, k in zip(contiguous_strides(node.shape), attrs.starts, strict=True))
    inner = len(shape)
    while inner and shape[inner - 1] == node.shape[inner - 1]:
        inner -= 1
    whole = all(n == 1 for n in shape[: inner - 1]) and (inner == 0 or attrs.steps[inner - 1] == 1 or shape[inner - 1] == 1)
    if whole or 0 in shape:
        return valued(Region(node.value, offset) if 0 not in shape else node.value, shape, dtype)
    if not offset:
        return record(op, (node,), attrs)
    start = valued(Region(node.value, offset), node.shape, dtype)
    return record(op, (start,), movement.slice.make_attrs(starts=(0,) * len(shape), steps=attrs.steps, lengths=attrs.lengths))


def valued(value: Any, shape: tuple[Any, ...], dtype: DType) -> Node:
    """A source node on memory that something else holds already."""
    node = Node(source.source, (), source.TypeAttrs(shape, dtype), shape, dtype)
    node.value = value
    return node


def wrap(node: Node) -> Tensor:
    """A new tensor of a node's value."""
    t = _new(Tensor)
    t._node = node
    t._simple = True
    return t


_new = Tensor.__new__


def _revalued(old: Node, value: Node) -> Node:
    """`value` with the history of `old`, whatever the grad mode."""
    before, MODES.grad = MODES.grad, True
    try:
        return record(source.revalued, (old, value))
    finally:
        MODES.grad = before


def view_of(tensor: Tensor, steps: tuple[Step, ...]) -> Tensor:
    """A view of `tensor` through further steps."""
    t = _new(Tensor)
    t._node = None
    t._simple = False
    if tensor._base is None:
        t._base, t._steps = tensor, steps
    else:
        t._base, t._steps = tensor._base, tensor._steps + steps
        seen = tensor._seen
        # Gradients can be asked for with respect to `tensor`: then they come through it.
        if seen is not None and seen[0] is not None and seen[1].requires_grad:
            t._above = seen[0], seen[1], len(tensor._steps)
        if tensor._leaf_flag or tensor._hooked:
            t._via = tensor, steps
        elif tensor._via is not None:
            t._via = tensor._via[0], tensor._via[1] + steps
    return t


def node_of(t: Tensor) -> Node:
    """The node of a tensor's current value."""
    return t._node if t._simple else t._read()
