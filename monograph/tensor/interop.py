"""To and from NumPy, Python numbers, pickle; `.to()` and its relatives."""

from __future__ import annotations

import contextlib
import sys
import weakref
from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core.dtype import dtype as DType
from monograph.core.errors import ArgumentError
from monograph.core.modes import MODES
from monograph.engine import evaluator
from monograph.graph.node import Node, record
from monograph.ops import movement, source
from monograph.ops.few_numbers import forget, numbers_of
from monograph.runtime.buffers import Buffer, exposed
from monograph.tensor.core import CPU, Device, Tensor, node_of, wrap
from monograph.tensor.pointwise import FUNCTIONS, METHODS, to_dtype
from monograph.tensor.strides import layout


def host_array(t: Tensor) -> np.ndarray:
    """The values as a NumPy array that must not be written to; evaluates what is pending. A capture in progress splits here."""
    if MODES.capture is not None:
        return MODES.capture.observe(t)
    return _materialised(t)


def _materialised(t: Tensor) -> np.ndarray:
    base = t if t._base is None else t._base
    if base._shared is not None and base._shared.alive():
        return _stepped(base._shared.array(base._node), t._steps)
    node = node_of(t)
    if node.value is None:
        evaluator.evaluate([node])
    return node.value.array(node.shape, node.dtype.np)


def _stepped(array: np.ndarray, steps: Any) -> np.ndarray:
    """The view of an array that a view of its tensor is."""
    for op, attrs in steps:
        array = op.reference(attrs, array)
    return array


BORROWED = 1 << 16  # bytes from which on NumPy's memory is computed on where it lies, at once, instead of being copied for later


class Shared:
    """Memory that a tensor and NumPy both see. What is written on either side is seen on the other."""

    def __init__(self, buffer: Buffer, root: np.ndarray | None = None) -> None:
        self.buffer = buffer
        exposed.add(buffer)
        # A weak reference to the bytes below all arrays handed out; None: the array came from outside.
        self._root = None if root is None else weakref.ref(root)

    def alive(self) -> bool:
        """Whether anyone outside can still see the memory."""
        return _others_hold(self.buffer._keep) if self._root is None else self._root() is not None

    def array(self, node: Any) -> np.ndarray:
        """The whole memory as the array of `node`'s type; handed out, it counts as one that is alive."""
        root = None if self._root is None else self._root()
        if root is None:
            return self.buffer.array(node.shape, node.dtype.np)
        return np.ndarray(node.shape, node.dtype.np, root)

    def snapshot(self, node: Node, steps: Any) -> Node:
        """The current value of (a view of) the memory as a node, which recorded ops may read however late they run.

        Little is copied. Much is read where it is, and the op that is being recorded is evaluated at once.
        """
        viewed = _stepped(self.array(node), steps)
        if viewed.nbytes <= BORROWED:
            copy = Buffer(viewed.nbytes)
            copy.array(viewed.shape, viewed.dtype)[...] = viewed
            return source.from_value(copy, tuple([int(n) for n in viewed.shape]), dtypes.from_numpy(viewed.dtype))
        made = source.from_value(self.buffer, node.shape, node.dtype)
        for op, attrs in steps:
            made = record(op, (made,), attrs)
        MODES.now.special = True
        return made

    def written(self, t: Tensor) -> None:
        """The tensor has a new value: it goes into the shared memory now."""
        if not self.alive() or not self.buffer.writable:  # what others may not write to keeps its bytes: the tensor leaves it
            for reference in t._twins or [weakref.ref(t)]:
                twin = reference()
                if twin is not None:
                    twin._shared = None
            return
        new: Any = t._node
        evaluator.evaluate([new])
        if new.value.ptr != self.buffer.ptr:
            self.buffer.array(new.shape, new.dtype.np)[...] = new.value.array(new.shape, new.dtype.np)
        t._node = source.from_value(self.buffer, new.shape, new.dtype)


def _others_hold(array: np.ndarray) -> bool:
    """Whether anyone but us holds an array that came from outside, or the arrays that it is a view of."""
    if sys.getrefcount(array) > ALONE:
        return True
    return array.base is not None and (not isinstance(array.base, np.ndarray) or _others_hold(array.base))


class _Holder:
    keep = None


def _measured(array: np.ndarray) -> int:
    return sys.getrefcount(array)


_Holder.keep = np.zeros(1)  # type: ignore[assignment]
ALONE = _measured(_Holder.keep)  # type: ignore[arg-type] # what an array's count is when one attribute holds it: differs between Pythons


def numpy(self: Tensor, *, force: bool = False) -> np.ndarray:
    """The values as a NumPy array that shares memory with the tensor (bfloat16 as ml_dtypes' type).

    Raises RuntimeError for a tensor that requires grad (use .detach().numpy(), or force=True for a copy).
    """
    if force:
        return host_array(self.detach()).copy()
    if self.requires_grad and MODES.grad:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
    if MODES.capture is not None:
        return host_array(self).copy()
    base = self if self._base is None else self._base
    if self.device is not CPU:
        raise TypeError(
            f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
        )
    if base._shared is None or not base._shared.alive():
        return _stepped(_share(base), self._steps)
    return _stepped(base._shared.array(base._node), self._steps)


def _evaluate_each(nodes: list[Any]) -> None:
    """Evaluates nodes, of which some may refuse their values: that is the business of whoever looks at those."""
    try:
        evaluator.evaluate(nodes)
    except Exception:
        for node in nodes:
            with contextlib.suppress(Exception):
                evaluator.evaluate([node])


def _share(base: Tensor) -> np.ndarray:
    """Opens the memory of a base tensor (and its twins) to NumPy."""
    node: Any = base._node
    waiting = _readers(node)
    if waiting:
        _evaluate_each(waiting)  # they mean the value of now
    evaluator.evaluate([node])
    array = node.value.array(node.shape, node.dtype.np)
    root = array
    while isinstance(root.base, np.ndarray):
        root = root.base
    shared = Shared(node.value, root)
    for reference in base._twins or [weakref.ref(base)]:
        twin = reference()
        if twin is not None and twin._node is not None:
            twin._shared, twin._simple = shared, False
    return shared.array(node)


def _readers(node: Node) -> list[Node]:
    """Pending nodes that read `node`."""
    reached = {id(node)}
    for n in MODES.pending:
        if n.value is None and any(id(i) in reached or (i.op is source.leaf and id(i.inputs[0]) in reached) for i in n.inputs):
            reached.add(id(n))
    return [n for n in MODES.pending if id(n) in reached and n.dtype is not None]


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor that shares memory with a NumPy array: writes on either side are seen on the other.

    A read-only array is never written to: the tensor reads it where it lies until it is itself written, and has memory of its own then.
    Copies if the array's memory has gaps (a slice with a step, say). Raises ValueError for negative strides, TypeError for other dtypes.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    if any(s < 0 for s in array.strides):
        raise ArgumentError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not currently supported. Use "
            "array.copy()."
        )
    d = dtypes.from_numpy(array.dtype)
    if not array.dtype.isnative:
        array = array.astype(d.np)
    order: tuple[int, ...] = ()
    if not array.flags.c_contiguous:
        # Row-major in another order of dimensions (a transposed array): a permuted view of the memory.
        falling = tuple(sorted(range(array.ndim), key=lambda i: -array.strides[i]))
        if array.transpose(falling).flags.c_contiguous:
            array = array.transpose(falling)
            order = tuple(falling.index(i) for i in range(array.ndim))
        else:
            array = np.ascontiguousarray(array)
    t = wrap(source.from_value(Buffer.from_array(array), tuple(array.shape), d))
    t._shared, t._simple = Shared(t._node.value), False
    return METHODS["permute"](t, order) if order else t


def item(self: Tensor) -> Any:
    """The value of a one-element tensor as a Python number."""
    node = self._node if self._simple else self._read()
    if node.numel != 1:
        raise RuntimeError(f"a Tensor with {node.numel} elements cannot be converted to Scalar")
    if node.value is None and MODES.capture is None:
        drawn = numbers_of(node)  # a coin that is tossed and looked at
        if drawn is not None:
            forget(node)
            return drawn[0]
    value = host_array(self).reshape(())[()]
    return float(value) if node.dtype is dtypes.bfloat16 else value.item()


def tolist(self: Tensor) -> Any:
    """The values as nested Python lists."""
    array = host_array(self)
    return (array.astype(np.float32) if self.dtype is dtypes.bfloat16 else array).tolist()


def _array(self: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    """What np.asarray(t) sees: the memory itself, unless `dtype` or `copy` ask for another. With copy=False that raises ValueError."""
    array = numpy(self)
    if dtype is not None and array.dtype != dtype:
        if copy is False:
            raise ArgumentError(f"unable to avoid a copy: the tensor holds {array.dtype}, and {np.dtype(dtype)} was asked for")
        return array.astype(dtype)
    return array.copy() if copy else array


def to(
    self: Tensor,
    *args: Any,
    dtype: DType | None = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """The tensor in another dtype or on another device: to(dtype), to(device), to(device, dtype), to(other)."""
    for a in args:
        if isinstance(a, DType):
            dtype = a
        elif isinstance(a, Tensor):
            dtype, device = a.dtype, a.device
        elif isinstance(a, str | Device | int) and not isinstance(a, bool):
            device = a
        elif a is not None and not isinstance(a, bool):
            raise TypeError(f"to() takes a dtype, a device or a tensor, got {a!r}")
    flags = [a for a in args if isinstance(a, bool)]  # to(dtype, non_blocking, copy)
    copy = copy or (len(flags) == 2 and flags[1])
    if device is not None:
        d = FUNCTIONS["_check_device"](device)
        if d.type == "meta" and self.device.type != "meta":
            return FUNCTIONS["empty"](self.shape, dtype=dtype or self.dtype, device="meta")
        if d.type == "cpu" and self.device.type == "meta":
            raise NotImplementedError("Cannot copy out of meta tensor; no data! Use Module.to_empty() to allocate it instead.")
    result = self if dtype is None else to_dtype(self, dtype)
    return METHODS["clone"](self) if copy and result is self else result


def to_device(self: Tensor, device: Any, /, *, stream: Any = None) -> Tensor:
    """The tensor on another device, as the array API standard spells it. The CPU has no streams: ValueError for one."""
    if stream is not None:
        raise ArgumentError(f"to_device: the CPU has no streams, got stream={stream!r}; pass None")
    return to(self, device)


def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Writes the (cast and broadcast) values of `src` into this tensor. Returns it."""
    from_node = node_of(src) if isinstance(src, Tensor) else node_of(FUNCTIONS["tensor"](src))
    if MODES.capture is not None:
        MODES.capture.read((self, src) if isinstance(src, Tensor) else (self,))
        from_node = node_of(src) if isinstance(src, Tensor) else from_node
    self._check_writable()
    node = node_of(self)
    if from_node.dtype is not node.dtype:
        from_node = FUNCTIONS["_cast_node"](from_node, node.dtype)
    if from_node.shape != node.shape:
        if len(from_node.shape) > len(node.shape):
            raise RuntimeError(
                f"The expanded size of the tensor must match the existing size: cannot copy {list(from_node.shape)} into {list(node.shape)}"
            )
        from_node = movement.expand(from_node, shape=node.shape)
    elif not from_node.requires_grad or MODES.grad:
        from_node = source.clone(from_node)
    return self._write(self._on_tape(from_node))


def deepcopy(self: Tensor, memo: dict[int, Any]) -> Tensor:
    """A leaf with its own memory, as copy.deepcopy gives it."""
    if id(self) in memo:
        return memo[id(self)]
    if not self.is_leaf:
        raise RuntimeError("Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment")
    node = self._node if self._base is None and self._shared is None else node_of(self.detach())
    made = wrap(source.clone(node))
    made.__class__ = self.__class__
    memo[id(self)] = made
    if self._leaf_flag:
        made.requires_grad_()
    if self._grad is not None:
        made._grad = deepcopy(self._grad, memo)
    return made


def _rebuild(array: np.ndarray, name: str, requires_grad: bool, kind: type) -> Tensor:
    t = FUNCTIONS["_from_host"](array, dtypes.by_name(name))
    t.__class__ = kind
    return t.requires_grad_() if requires_grad else t


def reduce_ex(self: Tensor, protocol: int) -> Any:
    """Pickling, for multiprocessing only: our files never hold pickles."""
    return _rebuild, (np.array(host_array(self.detach())), self.dtype.name, self._leaf_flag, type(self))


def data_ptr(self: Tensor) -> int:
    """The address of the first element (evaluates what is pending)."""
    base = self if self._base is None else self._base
    if base._shared is None:
        host_array(base)
    buffer = base._node.value if base._shared is None else base._shared.buffer
    exposed.add(buffer)
    start = buffer.ptr
    return start + layout(self)[1] * self.dtype.itemsize


def set_(self: Tensor, source: Tensor) -> Tensor:
    """Makes this tensor a handle on `source`'s memory. Returns it."""
    self.data = source
    return self


def _number(kind: Any) -> Any:
    def method(self: Tensor) -> Any:
        if node_of(self).numel != 1:
            raise ArgumentError(f"only one element tensors can be converted to Python scalars; this one has shape {list(self.shape)}")
        return kind(item(self))

    return method


def _index(self: Tensor) -> int:
    value = item(self)
    if isinstance(value, float):
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(value)


def _length(self: Tensor) -> int:
    shape = node_of(self).shape
    if not shape:
        raise TypeError("len() of a 0-d tensor")
    return shape[0]


METHODS.update(
    numpy=numpy, item=item, tolist=tolist, to=to, to_device=to_device,
    copy_=copy_, __array__=_array, __deepcopy__=deepcopy, __reduce_ex__=reduce_ex,
    data_ptr=data_ptr, __float__=_number(float), __int__=_number(int),
    __complex__=_number(complex),
    __array_wrap__=lambda self, array, context=None, return_scalar=False: FUNCTIONS["tensor"](array), __index__=_index, __len__=_length,
    cpu=lambda self, *a, **k: self, cuda=lambda self, *a, **k: to(self, "cuda"), pin_memory=lambda self, *a: self,
    is_pinned=lambda self, *a: False, share_memory_=lambda self: self, type_as=lambda self, other: to_dtype(self, other.dtype),
    size=lambda self, dim=None: self.shape if dim is None else self.shape[dim], dim=lambda self: self.ndim,
    ndimension=lambda self: self.ndim,
    numel=lambda self: node_of(self).numel, nelement=lambda self: node_of(self).numel, element_size=lambda self: self.dtype.itemsize,
    is_floating_point=lambda self: self.dtype.is_floating_point, is_complex=lambda self: self.dtype.is_complex, get_device=lambda self: -1,
    set_=set_,
)  # fmt: skip


def _converting(to: DType) -> Any:
    return lambda self, memory_format=None: to_dtype(self, to)


for _name, _dtype in {
    "float": dtypes.float32, "double": dtypes.float64, "half": dtypes.float16, "bfloat16": dtypes.bfloat16, "long": dtypes.int64,
    "int": dtypes.int32,
    "short": dtypes.int16, "char": dtypes.int8, "byte": dtypes.uint8, "bool": dtypes.bool_,
}.items():  # fmt: skip
    METHODS[_name] = _converting(_dtype)
FUNCTIONS.update(
    from_numpy=from_numpy, numel=lambda input: node_of(input).numel, is_tensor=lambda obj: isinstance(obj, Tensor),
    is_floating_point=lambda input: input.dtype.is_floating_point, is_complex=lambda input: input.dtype.is_complex,
)  # fmt: skip
_PROPERTIES = {
    "T": lambda self: METHODS["permute"](self, tuple(reversed(range(self.ndim)))), "mT": lambda self: METHODS["transpose"](self, -2, -1),
    "is_cuda": lambda self: False, "is_sparse": lambda self: False,
    "is_quantized": lambda self: False,
    "is_mps": lambda self: False, "is_meta": lambda self: self.device.type == "meta", "itemsize": lambda self: self.dtype.itemsize,
    "nbytes": lambda self: self.numel() * self.dtype.itemsize, "is_nested": lambda self: False,
}  # fmt: skip
for _name, _function in _PROPERTIES.items():
    METHODS[_name] = property(_function)
