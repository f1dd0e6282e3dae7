"""From tensors to nodes and back: the few functions through which everything above the engine records ops."""

from __future__ import annotations

import numbers
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from monograph.autodiff.vjp import gradients
from monograph.core import dtype as dtypes
from monograph.core import knobs
from monograph.core.attrs import NO_ATTRS
from monograph.core.dtype import category, float32, of_scalar, promote
from monograph.core.dtype import dtype as DType
from monograph.core.errors import PACKAGE, AnomalyError, DeviceError, DTypeError, ShapeError
from monograph.core.live_number import LiveNumber
from monograph.core.modes import EAGER, MODES
from monograph.core.symbol import Sym
from monograph.engine import evaluator
from monograph.graph.node import IN_PLACE, Node, provenance, record, value_checks_pending
from monograph.graph.op import OpDef
from monograph.ops import elementwise, reduce, source
from monograph.tensor.autocasting import MIXED, cast_inputs, mixed
from monograph.tensor.core import Tensor, meta_nodes, view_of, wrap
from monograph.tensor.rollback import note_write

_new = Tensor.__new__
PENDING_NODES = knobs.pending_nodes.get()
PENDING_BYTES = knobs.pending_megabytes.get() << 20


def apply(op: OpDef, *tensors: Tensor, **attrs: Any) -> Any:
    """Records `op` on tensors; returns a Tensor, or a tuple of them for an op with several outputs.

    Attributes must be canonical already (non-negative dims, tuples). Shape and dtype errors are raised here, at the user's line.
    """
    now = MODES.now
    if now.capture is not None:
        now.capture.read(tensors)
    inputs: Any = []
    for t in tensors:
        try:
            inputs.append(t._node if t._simple else t._read())
        except AttributeError:
            raise TypeError(f"{op.name}(): expected Tensors, got {type(t).__name__}") from None
    if now.autocast is not None:
        if op.name in MIXED and mixed(inputs):
            return _in_single(op, tensors, attrs)
        inputs = cast_inputs(op, inputs, now.autocast)
    node = record(op, tuple(inputs), op.intern(attrs) if attrs else NO_ATTRS)
    if node.dtype is None:
        parts = [source.project(node, index=i) for i in range(len(node.shape))]
        for part in parts:
            recorded(part)
        return tuple([wrap(part) for part in parts])
    if now.special or len(now.pending) > now.room or now.pending_bytes > PENDING_BYTES:
        recorded(node)
    t = _new(Tensor)
    t._node = node
    t._simple = True
    return t


def _in_single(op: OpDef, tensors: tuple[Tensor, ...], attrs: dict[str, Any]) -> Any:
    """A normalisation under autocast: low values with float32 parameters are computed in float32, the result is low again."""
    low = tensors[0].dtype
    result = apply(op, *[emit(elementwise.cast, read(t), dtype=float32) for t in tensors], **attrs)
    first = result[0] if isinstance(result, tuple) else result
    cast = emit(elementwise.cast, read(first), dtype=low)
    return (cast, *result[1:]) if isinstance(result, tuple) else cast


def finish(node: Node) -> Tensor:
    """A tensor of a node that was just recorded."""
    recorded(node)
    return wrap(node)


def recorded(node: Node) -> None:
    """What follows the recording of an op: nothing mostly, else evaluation (past the limits of pending work, in anomaly mode ...)."""
    now = MODES.now
    if now.anomaly or EAGER:
        evaluator.evaluate_now(node)
    elif now.special or len(now.pending) > now.room or now.pending_bytes > PENDING_BYTES:
        if not now.special and now.pending_bytes <= PENDING_BYTES and evaluator.make_room(PENDING_NODES):
            return
        now.special = False
        evaluator.relieve(node)


def apply_view(op: OpDef, tensor: Tensor, **attrs: Any) -> Tensor:
    """A view of `tensor` through one more step of a VIEW op; its shape rule runs now."""
    capture = MODES.now.capture
    if capture is not None:
        capture.read((tensor,))
    view = view_of(tensor, ((op, op.intern(attrs) if attrs else NO_ATTRS),))
    view._read()
    return view


def read(tensor: Tensor) -> Node:
    """The node of a tensor, noted by a capture in progress."""
    capture = MODES.now.capture
    if capture is not None:
        capture.read((tensor,))
    try:
        return tensor._node if tensor._simple else tensor._read()
    except AttributeError:
        if isinstance(tensor, Tensor):
            raise
        raise TypeError(f"expected a Tensor, got {type(tensor).__name__}") from None


SCALAR_TYPES = (int, float, bool, complex, np.number, np.bool_, Sym, LiveNumber)


def scalar_node(value: Any, like: DType) -> Node:
    """A Python number as a 0-d node that joins a tensor of dtype `like`: it raises the dtype only to its own category."""
    kind = type(value)
    if kind is Sym:
        return _size_node(value, like)
    if kind is LiveNumber:
        return value.node(_joined(value.ask(), like))  # type: ignore[no-any-return]
    known = _scalars.get((value, kind, like))
    if known is not None:
        return Node(source.scalar, (), known, (), known.dtype)
    if kind is float:
        d = like if like.kind in "fc" else dtypes.defaults.floating
    elif kind is int:
        d = like if like.kind != "b" else dtypes.int64
    else:
        own = of_scalar(value)
        d = like if category(own) <= category(like) else (like.to_complex() if own.kind == "c" and like.kind == "f" else own)
        value = value.item() if isinstance(value, np.generic) else value
    if kind is int and d.kind in "ui":
        value = in_range(value, d)
    node = source.number(value, d)
    if value != 0:  # 0.0 and -0.0 are one key
        if len(_scalars) >= SCALARS_KEPT:
            _scalars.clear()
        _scalars[value, kind, like] = node.attrs  # type: ignore[assignment]
    return node


def _joined(value: Any, like: DType) -> DType:
    """The dtype in which a Python number joins a tensor of dtype `like`."""
    own = of_scalar(value)
    return like if category(own) <= category(like) else own


EXACT = frozenset(("pow", "clamp", "where"))  # of their numbers torch asks that they fit


def _wrapped(value: Any, like: DType, name: str) -> Node:
    """A number that does not fit into a tensor's dtype as torch's operators take it: with as many of its bits as there are. Raises
    OverflowError for one that has more than 64.
    """
    if name in EXACT or not isinstance(value, int | np.integer):
        return scalar_node(value, like)
    if not -(1 << 63) <= value < 1 << 64:
        raise OverflowError(f"int too big to convert: {value} meets a tensor of {like.name} in {name}()")
    bits = 8 * like.itemsize
    low = int(value) & ((1 << bits) - 1)
    return scalar_node(low - (1 << bits) if like.kind == "i" and low >> (bits - 1) else low, like)


def in_range(value: int, d: DType) -> int:
    """A number as an element of an integer type: negative ones wrap around in unsigned types. Raises RuntimeError for one out of range."""
    info = dtypes.Info(d)
    if info.min <= value <= info.max:
        return value
    if d.kind == "u" and -info.max - 1 <= value < 0:
        return int(value & int(info.max))
    raise RuntimeError(f"value cannot be converted to type {d.name} without overflow: {value}")


def _size_node(size: Sym, like: DType) -> Node:
    """A symbolic size as a value: so many ones, summed up when the program runs and the size is known."""
    count = reduce.sum(source.constant(1, dtypes.int64, (size,)), dims=(0,), keepdim=False)
    return cast_node(count, like if like.kind != "b" else dtypes.int64)


_scalars: dict[Any, source.ScalarAttrs] = {}  # attributes of the numbers met last
SCALARS_KEPT = 1000


def forget_scalars() -> None:
    """The default dtype has changed, and with it what numbers mean."""
    _scalars.clear()


def cast_node(node: Node, to: DType) -> Node:
    """The node in another dtype."""
    return node if node.dtype is to else elementwise.cast(node, dtype=to)


def common_dtype(a: Node, b: Node) -> DType:
    """PyTorch's promotion of two tensors: a 0-d one raises the dtype only to its own category, in the precision of the other."""
    da, db = a.dtype, b.dtype
    if da is db:
        return da
    if not a.shape and b.shape and category(da) <= category(db):
        return db
    if not b.shape and a.shape and category(db) <= category(da):
        return da
    if da.kind == "c" and db.kind == "f" and not a.shape and b.shape:
        return db.to_complex()
    if db.kind == "c" and da.kind == "f" and not b.shape and a.shape:
        return da.to_complex()
    return promote(da, db)


def as_floating(x: Node) -> Node:
    """Integers and bools in the default floating dtype; floating values as they are."""
    return x if x.dtype.kind in "fc" else elementwise.cast(x, dtype=dtypes.defaults.floating)


# Binary functions that take numbers nowhere, and those that take none as the first operand.
TENSORS_ONLY = frozenset(("atan2", "hypot", "maximum", "minimum", "fmax", "fmin", "nextafter", "gcd", "lcm", "logaddexp", "logaddexp2"))
TENSOR_FIRST = TENSORS_ONLY | frozenset(("copysign", "fmod", "eq", "ne", "lt", "le", "gt", "ge"))


def floating_operands(a: Any, b: Any, name: str) -> tuple[Node, Node]:
    """`operands` of an op that computes in floating point: numbers join a tensor that is floating already (uint8 / -3 is not 253)."""
    if isinstance(b, SCALAR_TYPES) and isinstance(a, Tensor):
        if name in TENSORS_ONLY:
            raise TypeError(f"{name}(): argument 'other' (position 2) must be Tensor, not {type(b).__name__}")
        x = as_floating(read(a))
        return _of_one_dtype(x, scalar_node(b, x.dtype))
    if isinstance(a, SCALAR_TYPES) and isinstance(b, Tensor):
        if name in TENSOR_FIRST:
            raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(a).__name__}")
        x = as_floating(read(b))
        return _of_one_dtype(scalar_node(a, x.dtype), x)
    x, y = operands(a, b, name)
    return as_floating(x), as_floating(y)


def _of_one_dtype(a: Node, b: Node) -> tuple[Node, Node]:
    if a.dtype is b.dtype:
        return a, b
    to = common_dtype(a, b)
    return cast_node(a, to), cast_node(b, to)


def operands(a: Any, b: Any, name: str) -> tuple[Node, Node]:
    """Two operands, at least one a Tensor, as nodes of one dtype."""
    if isinstance(a, Tensor):
        capture = MODES.now.capture
        if capture is not None:
            capture.read((a, b))
        na = a._node if a._simple else a._read()
        if isinstance(b, Tensor):
            nb = b._node if b._simple else b._read()
            if meta_nodes.data and na.shape and nb.shape:  # type: ignore[attr-defined]  # the set inside: whether it is empty costs no call
                same_device(a, b)
        elif isinstance(b, SCALAR_TYPES):
            if name in TENSORS_ONLY:
                raise TypeError(f"{name}(): argument 'other' (position 2) must be Tensor, not {type(b).__name__}")
            try:
                nb = scalar_node(b, na.dtype)
            except RuntimeError:
                nb = _wrapped(b, na.dtype, name)
        else:
            nb = _array_like(b, name)
    elif isinstance(a, SCALAR_TYPES):
        if name in TENSOR_FIRST:
            raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(a).__name__}")
        nb = read(b)
        try:
            na = scalar_node(a, nb.dtype)
        except RuntimeError:
            na = _wrapped(a, nb.dtype, name)
    else:
        na, nb = _array_like(a, name), read(b)
    return (na, nb) if na.dtype is nb.dtype else _of_one_dtype(na, nb)


def same_device(*tensors: Tensor) -> None:
    """Raises RuntimeError where a user's line joins tensors of device meta with others. What functions of ours add to them is of any."""
    found = {t.device: t for t in tensors if isinstance(t, Tensor) and t._type().shape}
    if len(found) > 1:
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_code.co_filename.startswith(RECORDING):
            frame = frame.f_back
        if not frame.f_code.co_filename.startswith(PACKAGE):
            names = sorted(map(str, found), reverse=True)
            raise DeviceError(
                f"Expected all tensors to be on the same device, but found at least two devices, {' and '.join(names)}! Tensor on device "
                f"{names[-1]} is not on the expected device {names[0]}!"
            )


# Where a public function may be between the user's line and an op.
RECORDING = tuple(f"{PACKAGE}tensor{os.sep}{name}.py" for name in "by_layout dispatch foreign movement pointwise selection".split())


def _array_like(value: Any, name: str) -> Node:
    if isinstance(value, np.ndarray):
        raise TypeError(f"{name}(): a NumPy array meets a Tensor; convert it first with from_numpy(array) or tensor(array)")
    if isinstance(value, numbers.Number):
        return scalar_node(value, float32)
    raise TypeError(f"{name}(): expected a Tensor or a number, got {type(value).__name__}")


def emit(op: OpDef, *nodes: Node, **attrs: Any) -> Tensor:
    """Records `op` on nodes and wraps the single output: the tail of every public function that prepared its operands."""
    now = MODES.now
    if now.autocast is not None:
        nodes = cast_inputs(op, nodes, now.autocast)
    node = record(op, nodes, op.intern(attrs) if attrs else NO_ATTRS)
    if now.special or len(now.pending) > now.room or now.pending_bytes > PENDING_BYTES:
        recorded(node)
    t = _new(Tensor)
    t._node = node
    t._simple = True
    return t


def assign(tensor: Tensor, new: Tensor) -> Tensor:
    """Stores a computed result into `tensor`'s storage without copying. Shapes and dtypes must agree. Returns `tensor`."""
    node = read(new)
    old = tensor._node if tensor._base is None else tensor._read()
    if node.shape != old.shape or node.dtype is not old.dtype:
        raise ShapeError(f"assign: cannot store {node.dtype}{list(node.shape)} into {old.dtype}{list(old.shape)}")
    return tensor._write(node)


def store(tensor: Tensor, node: Node, name: str) -> Tensor:
    """The end of an in-place op: `node`, cast and expanded as torch allows, becomes the tensor's value."""
    now = MODES.now
    if now.capture is not None:
        now.capture.read((tensor,))
    tensor._check_writable()
    base = tensor._base
    old = tensor._node if base is None else tensor._read()
    if node.dtype is not old.dtype:
        if not dtypes.can_cast(node.dtype, old.dtype):
            raise DTypeError(f"result type {node.dtype.name} can't be cast to the desired output type {old.dtype.name} ({name})")
        node = cast_node(node, old.dtype)
    if node.shape != old.shape:
        raise ShapeError(f"output with shape {list(old.shape)} doesn't match the broadcast shape {list(node.shape)} ({name})")
    if now.grad and not node.requires_grad:
        node = tensor._on_tape(node)
    if not node.inputs or node.inputs[0] is old:
        node.marks |= IN_PLACE
    else:
        _mark_parts(node, old)
    if value_checks_pending():
        root = tensor if base is None else base
        before = root._node
        tensor._write(node)
        note_write(root, before)
    else:
        tensor._write(node)
    if now.special or len(now.pending) > now.room or now.pending_bytes > PENDING_BYTES:
        recorded(node)
    return tensor


def _mark_parts(node: Node, old: Node) -> None:
    """Marks the nodes of an in-place op that is made of several: those that read the value which it writes over."""
    seen, waiting = 0, [node]
    while waiting and seen < PARTS:
        part = waiting.pop()
        seen += 1
        if part is node or (part.inputs and part.inputs[0] is old):
            part.marks |= IN_PLACE
        waiting += [i for i in part.inputs if i is not old and i.value is None]


PARTS = 16  # nodes of an in-place op that are looked at


def live(provider: Callable[[], Any], dtype: DType = float32) -> Tensor:
    """A 0-d run-time scalar: its value now, asked of `provider` again whenever a captured program replays."""
    if MODES.capture is not None:
        return wrap(MODES.capture.live(provider, dtype))
    return wrap(source.number(provider(), dtype))


def evaluate(tensors: Iterable[Tensor]) -> None:
    """Computes the pending values of tensors now. Inside a capture nothing needs computing: the program does it."""
    if MODES.capture is not None:
        MODES.capture.evaluate(tensors)
        return
    evaluator.evaluate([t._node if t._base is None else t._read() for t in tensors], sweep=True)


def nan_check() -> Callable[[Node, Sequence[Node | None]], None] | None:
    """In anomaly mode: what refuses gradients that hold a NaN, naming the op and the user's line that recorded it."""
    return _refuse_nan if MODES.now.anomaly else None


def _refuse_nan(node: Node, grads: Sequence[Node | None]) -> None:
    for i, g in enumerate(grads):
        if g is not None and g.dtype.kind == "f":
            try:
                evaluator.evaluate_now(g)
            except RuntimeError as error:
                where = provenance(node)
                raise AnomalyError(
                    f"Function '{node.op.name}' returned nan values in its {i}th gradient"
                    + (f"; its forward op was recorded at {where}" if where else "")
                ) from error


def backward(outputs: list[Tensor], seeds: list[Node], retain_graph: bool, create_graph: bool, inputs: list[Tensor] | None = None) -> None:
    """Collects gradients into the .grad of the leaves that `outputs` depend on (or only of `inputs`)."""
    only = None if inputs is None else {id(t) for t in inputs}

    def collect(leaf: Node, g: Node) -> None:
        tensor = leaf.owner()
        if tensor is not None and (only is None or id(tensor) in only):
            tensor._collect(g)
            if tensor._post_hooks:
                for hook in list(tensor._post_hooks):
                    hook(tensor)

    before = MODES.grad
    roots = [read(t) for t in outputs]
    MODES.grad = create_graph
    try:
        gradients(roots, [], seeds, frozen=not retain_graph, on_leaf=collect, check=nan_check())
    finally:
        MODES.grad = before
