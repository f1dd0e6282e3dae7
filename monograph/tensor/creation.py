"""Tensors from data, from shapes, and from other tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core.dtype import dtype as DType
from monograph.core.errors import ArgumentError, DataError, DeviceError
from monograph.core.live_number import LiveNumber
from monograph.core.modes import MODES
from monograph.core.symbol import Sym
from monograph.graph.node import Node
from monograph.ops import movement, source
from monograph.runtime.buffers import Buffer
from monograph.tensor.core import CPU, META, Device, Tensor, meta_nodes, wrap
from monograph.tensor.delivery import creates_into_out
from monograph.tensor.device import DEFAULT
from monograph.tensor.dispatch import emit, forget_scalars, in_range, read
from monograph.tensor.pointwise import FUNCTIONS, METHODS
from monograph.tensor.strides import sizes


def place(t: Tensor, device: Any, requires_grad: bool) -> Tensor:
    """The end of every creation function: device and requires_grad."""
    if device is not None or DEFAULT[0] is not CPU:
        set_device(t, device if device is not None else DEFAULT[0])
    if requires_grad:
        t.requires_grad_()
    return t


def set_device(t: Tensor, device: Any) -> Tensor:
    """Puts a fresh tensor on a device; raises DeviceError for one that this machine lacks."""
    d = check_device(device)
    if d.type == "meta":
        node = read(t)
        t._node = source.placeholder(node.shape, node.dtype)
        t._device = META
        meta_nodes.add(t._node)
    return t


def check_device(device: Any) -> Device:
    """A device that can be computed on (or meta)."""
    d = device if isinstance(device, Device) else Device(device if not isinstance(device, int) else f"cuda:{device}")
    if d.type not in ("cpu", "meta"):
        raise DeviceError(
            f"device '{d}' is not available: this build of monograph computes on 'cpu' (cuda.is_available() is False). Use device='cpu'."
        )
    return d


def from_host(array: np.ndarray, dtype: DType | None = None) -> Tensor:
    """A tensor with a copy of a NumPy array."""
    d = dtype or dtypes.from_numpy(array.dtype)
    buffer = Buffer(array.size * d.itemsize)
    shape = tuple(int(n) for n in array.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        buffer.array(shape, d.np)[...] = array
    node = source.from_value(buffer, shape, d)
    if MODES.capture is not None:
        MODES.capture.made(node)
    return wrap(node)


def tensor(data: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False) -> Tensor:
    """A tensor with a copy of `data`: numbers, nested lists, NumPy arrays, tensors.

    Python floats get the default dtype, ints int64, bools bool. Raises ValueError for ragged lists, TypeError for other objects.

    >>> import monograph as mg
    >>> mg.tensor([[1, 2], [3, 4]]).shape
    monograph.Size([2, 2])
    """
    if dtype is not None:
        dtype = dtypes.given(dtype, dtypes.int64)
    if isinstance(data, Tensor):
        t = data.detach().clone()
        return place(t if dtype is None else t.to(dtype), device, requires_grad)
    return place(from_host(*_host(data, dtype)), device, requires_grad)


def _host(data: Any, dtype: DType | None) -> tuple[np.ndarray, DType]:
    if isinstance(data, np.ndarray | np.generic):
        array = np.asarray(data)
        return array, dtype or dtypes.from_numpy(array.dtype)
    if isinstance(data, bool | int | float | complex):
        d = dtype or dtypes.of_scalar(data)
        if d.kind in "iu" and isinstance(data, int):
            info = dtypes.Info(d)
            if not info.min <= data <= info.max:
                raise RuntimeError(f"value cannot be converted to type {d.name} without overflow: {data}")
        return np.asarray(data), d
    if isinstance(data, Sequence) and not isinstance(data, str):
        data = _without_tensors(data)
        try:
            array = np.array(data)
            if dtype is dtypes.uint64 and array.dtype.kind == "f" and array.size and array.max() >= 2.0**63:
                array = np.array(data, np.uint64)  # NumPy takes large numbers beside small ones for floats
        except ValueError as error:
            raise ArgumentError(f"expected sequence of equal length at every level: {error}") from None
        if array.dtype == object or array.dtype.kind in "US":
            odd = next((type(x).__name__ for x in array.flat if not isinstance(x, int | float | complex | np.generic)), "str")
            raise DataError(
                f"tensor(): cannot make a tensor of {type(data).__name__} holding {odd}; expected numbers, nested lists of numbers, or "
                "arrays"
            )
        if array.size == 0:
            return array.astype(np.float32), dtype or dtypes.defaults.floating
        kind = array.dtype.kind
        if dtype is not None and dtype.kind in "iu" and kind in "iu":
            info = dtypes.Info(dtype)
            low, high = int(array.min()), int(array.max())
            if high > info.max or low < (info.min if dtype.kind == "i" else -info.max):
                raise RuntimeError(f"value cannot be converted to type {dtype.name} without overflow: {high if high > info.max else low}")
        if kind == "u" and dtype is None and not _holds_arrays(data):
            raise RuntimeError(f"Overflow when unpacking long long: {int(array.max())} does not fit int64; write dtype=monograph.uint64")
        natural = {
            "f": dtypes.defaults.floating,
            "i": dtypes.int64,
            "b": dtypes.bool_,
            "c": dtypes.defaults.floating.to_complex(),
        }
        if kind in "fiu" and _holds_arrays(data):
            return array, dtype or dtypes.from_numpy(array.dtype)
        return array, dtype or natural.get(kind) or dtypes.from_numpy(array.dtype)
    if hasattr(data, "__array__"):
        array = np.asarray(data)
        return array, dtype or dtypes.from_numpy(array.dtype)
    raise DataError(f"tensor(): cannot make a tensor of {type(data).__name__}; expected numbers, nested lists of numbers, or arrays")


def _holds_arrays(data: Any) -> bool:
    while isinstance(data, list | tuple) and data:
        data = data[0]
    return isinstance(data, np.ndarray | np.generic)


def _without_tensors(data: Any) -> Any:
    if isinstance(data, Tensor):
        return data.tolist() if not data.shape else np.asarray(data.detach().numpy())
    if isinstance(data, list | tuple):
        return [_without_tensors(d) if isinstance(d, list | tuple | Tensor) else d for d in data]
    return data


def as_tensor(data: Any, dtype: DType | None = None, device: Any = None) -> Tensor:
    """`data` itself when it is a tensor of the dtype already, shared memory for a NumPy array, else a copy."""
    if isinstance(data, Tensor):
        return data.to(device=device, dtype=dtype)
    if isinstance(data, np.ndarray) and (dtype is None or dtypes.from_numpy(data.dtype) is dtype):
        return FUNCTIONS["from_numpy"](data)
    return tensor(data, dtype=dtype, device=device)


def full(
    *size: Any,
    fill_value: Any = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    out: Any = None,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of one value."""
    if fill_value is None:
        *size, fill_value = size  # type: ignore[assignment]
    shape = sizes(tuple(size))
    if any(isinstance(n, int) and n < 0 for n in shape):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    if isinstance(fill_value, Tensor):
        d = dtypes.given(dtype, fill_value.dtype)
        return place(METHODS["expand"](fill_value.to(d), shape).clone(), device, requires_grad)
    if not isinstance(fill_value, NUMBERS):
        raise TypeError(f"full(): argument 'fill_value' must be Number, not {type(fill_value).__name__}")
    d = dtypes.of_scalar(fill_value) if dtype is None else dtypes.given(dtype, dtypes.int64)
    if isinstance(fill_value, float) and not math.isfinite(fill_value) and d.kind in "iub":
        raise RuntimeError(f"value cannot be converted to type {d.name} without overflow")
    value = bool(fill_value) if d.kind == "b" else in_range(int(fill_value), d) if d.kind in "iu" else fill_value  # type: ignore[arg-type]
    return place(wrap(_filled_node(value, d, shape)), device, requires_grad)


ADDRESSABLE = 1 << 47
NUMBERS: Any = (int, float, complex, np.number, np.bool_, Sym, LiveNumber)
STRUCTURAL = frozenset((0, 1, -1, 2, 0.5, math.inf, -math.inf))


def _filled_node(value: Any, d: DType, shape: tuple[Any, ...]) -> Node:
    """Common constants are part of a program's structure; any other value is a run-time number: a changing one makes no new program."""
    if math.prod([n for n in shape if n.__class__ is int]) * d.itemsize >= ADDRESSABLE:  # fused into a loop, it would run for years
        raise RuntimeError(
            f"DefaultCPUAllocator: can't allocate memory: a {d.name} tensor of shape {list(shape)} has more bytes than any machine can "
            "address"
        )
    live = type(value) is LiveNumber and d.kind != "c"
    if not live and (d.kind == "c" or value in STRUCTURAL or value != value):
        return source.constant(float(value) if type(value) is LiveNumber else value, d, shape)
    node = value.node(d) if live else source.number(value, d)
    return movement.expand(node, shape=shape) if shape else node


def _filled(value: int) -> Any:
    def function(
        *size: Any,
        out: Any = None,
        dtype: DType | None = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        memory_format: Any = None,
        **names: Any,
    ) -> Tensor:
        shape = names.pop("size", None)
        return full(
            *(size if shape is None else (shape,)),
            fill_value=value,
            dtype=dtype or dtypes.defaults.floating,
            device=device,
            requires_grad=requires_grad,
        )

    return function


zeros = _filled(0)
zeros.__name__, zeros.__doc__ = "zeros", "A tensor of zeros: zeros(2, 3) or zeros((2, 3))."
ones = _filled(1)
ones.__name__, ones.__doc__ = "ones", "A tensor of ones."
empty = _filled(0)
empty.__name__, empty.__doc__ = "empty", "A tensor of unspecified values (zeros here, so that programs are reproducible)."


def _like(value: Any) -> Any:
    def function(
        input: Tensor,
        fill_value: Any = None,
        *,
        dtype: DType | None = None,
        device: Any = None,
        requires_grad: bool = False,
        layout: Any = None,
        memory_format: Any = None,
        pin_memory: bool = False,
    ) -> Tensor:  # noqa: A002
        node = read(input)
        v = fill_value if value is None else value
        return full(
            node.shape,
            fill_value=v,
            dtype=dtype or node.dtype,
            device=input.device if device is None else device,
            requires_grad=requires_grad,
        )

    return function


def _new(value: Any) -> Any:
    def method(
        self: Tensor,
        *size: Any,
        fill_value: Any = None,
        dtype: DType | None = None,
        device: Any = None,
        requires_grad: bool = False,
        **_: Any,
    ) -> Tensor:
        if value is None and fill_value is None:
            *size, fill_value = size  # type: ignore[assignment]
        return full(
            *size, fill_value=fill_value if value is None else value, dtype=dtype or self.dtype,
            device=self.device if device is None else device, requires_grad=requires_grad,
        )  # fmt: skip

    return method


def arange(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    out: Any = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """start, start + step ... before end: arange(end), arange(start, end), arange(start, end, step)."""
    if end is None:
        start, end = 0, start
    start, end, step = (v.item() if isinstance(v, Tensor) else v for v in (start, end, step))
    if step == 0:
        raise ArgumentError("step must be nonzero")
    if any(isinstance(v, float) and not math.isfinite(v) for v in (start, end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (step > 0 and start > end) or (step < 0 and start < end):
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    whole = not any(isinstance(v, float | np.floating) for v in (start, end, step))
    d = dtypes.given(dtype, dtypes.int64 if whole else dtypes.defaults.floating)
    if not whole and d.kind in "iu":  # the numbers count in whole steps
        start, step, end = int(start), int(step), end if d is not dtypes.int64 else int(end)
        if step == 0:
            raise ArgumentError(f"step must be nonzero: with dtype {d.name} it is taken as a whole number")
    length = -((start - end) // step) if whole else math.ceil((end - start) / step)
    return place(wrap(source.arange(start=start, step=step, length=length, dtype=d)), device, requires_grad)


def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    out: Any = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
) -> Tensor:
    """`steps` evenly spaced numbers from start to end, both included."""
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    d = dtypes.given(dtype, dtypes.defaults.floating)
    start, end = (v.item() if isinstance(v, Tensor) else v for v in (start, end))
    if d.kind in "iu":
        start, end = int(start), int(end)  # the ends are of the dtype, too
    return place(from_host(np.linspace(start, end, steps), d), device, requires_grad)


def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """base ** linspace(start, end, steps)."""
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    for name, v in (("start", start), ("end", end)):
        if isinstance(v, Tensor) and v.ndim:
            raise RuntimeError(f"logspace only supports 0-dimensional start and end tensors, but got {name} with {v.ndim} dimension(s).")
    start, end = (v.item() if isinstance(v, Tensor) else v for v in (start, end))  # type: ignore[attr-defined]
    made = dtypes.given(dtype, dtypes.defaults.floating)
    if made.kind in "iu":
        start, end = int(start), int(end)  # the exponents are of the dtype, too
    return place(from_host(np.logspace(start, end, steps, base=base), made), device, requires_grad)


def eye(
    n: int,
    m: int | None = None,
    *,
    out: Any = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
) -> Tensor:
    """Ones on the diagonal of an n x m matrix of zeros."""
    for name, size in (("n", n), ("m", m)):
        if size is not None and size < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {size}")
    return place(from_host(np.eye(n, m), dtypes.given(dtype, dtypes.defaults.floating)), device, requires_grad)


def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:  # noqa: A002
    """A copy with its own memory; gradients flow through it."""
    return emit(source.clone, read(input))


def scalar_tensor(value: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False, layout: Any = None) -> Tensor:
    """A 0-d tensor of the default dtype; a negative number of an unsigned one wraps around."""
    d = dtype or dtypes.defaults.floating
    if d.kind == "u" and isinstance(value, int) and value < 0:
        value &= int(dtypes.Info(d).max)
    return tensor(value, dtype=d, device=device, requires_grad=requires_grad)


def set_default_dtype(d: DType) -> None:
    """The dtype of Python floats and of tensors made without one; a floating one."""
    if d.kind != "f":
        raise TypeError(f"only floating-point types are supported as the default type, got {d}")
    dtypes.defaults.floating = d
    forget_scalars()


def set_default_device(device: Any) -> None:
    """Where tensors are made from now on."""
    DEFAULT[0] = CPU if check_device(device or "cpu") == CPU else META


full, zeros, ones, empty, arange, linspace, logspace, eye = map(
    creates_into_out, (full, zeros, ones, empty, arange, linspace, logspace, eye)
)
FUNCTIONS.update(
    tensor=tensor, as_tensor=as_tensor, full=full, zeros=zeros, ones=ones, empty=empty, arange=arange, linspace=linspace,
    logspace=logspace, eye=eye, clone=clone, scalar_tensor=scalar_tensor, zeros_like=_like(0), ones_like=_like(1), empty_like=_like(0),
    full_like=_like(None),
    set_default_dtype=set_default_dtype, get_default_dtype=dtypes.default_float, set_default_device=set_default_device,
    get_default_device=lambda: DEFAULT[0],
    promote_types=dtypes.promote, can_cast=dtypes.can_cast, finfo=dtypes.finfo, iinfo=dtypes.iinfo,
)  # fmt: skip
FUNCTIONS.update({d.name: d for d in dtypes.ALL} | dtypes.ALIASES)
METHODS.update(
    clone=clone, new_zeros=_new(0), new_ones=_new(1), new_full=_new(None), new_empty=_new(0),
    new_tensor=lambda self, data, *, dtype=None, device=None, requires_grad=False: tensor(data, dtype=dtype or self.dtype,
    device=self.device if device is None else device, requires_grad=requires_grad),
)  # fmt: skip
