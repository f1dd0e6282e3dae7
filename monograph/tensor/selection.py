"""Choosing and mixing elements: where, masks, clamp, lerp, isclose; the dtype that an op would have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.core import dtype as dtypes
from monograph.core.shape import broadcast
from monograph.ops import activation, compare, elementwise, source
from monograph.tensor.core import Tensor
from monograph.tensor.delivery import takes_out
from monograph.tensor.dispatch import SCALAR_TYPES, apply, cast_node, common_dtype, emit, operands, read, scalar_node
from monograph.tensor.pointwise import FUNCTIONS, METHODS, add, deliver, div, publish, to_dtype


def where(condition: Tensor, input: Any = None, other: Any = None, *, out: Tensor | None = None) -> Any:  # noqa: A002
    """input where the condition holds, other elsewhere, broadcast; with the condition alone: `nonzero(as_tuple=True)`."""
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    c = read(condition)
    if c.dtype is not dtypes.bool_:
        if c.dtype is not dtypes.uint8:
            raise RuntimeError(f"where expected condition to be a boolean tensor, but got a tensor with dtype {c.dtype.name}")
        c = cast_node(c, dtypes.bool_)
    if not isinstance(input, Tensor) and not isinstance(other, Tensor):
        a = scalar_node(input, dtypes.of_scalar(input))
        b = scalar_node(other, dtypes.of_scalar(other))
        to = dtypes.promote(a.dtype, b.dtype)
        a, b = cast_node(a, to), cast_node(b, to)
    else:
        a, b = operands(input, other, "where")
    return deliver(emit(elementwise.where, c, a, b), out, exact=True)


FUNCTIONS["where"] = where
METHODS["where"] = lambda self, condition, other: where(condition, self, other)


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:  # noqa: A002
    """`value` where the mask holds, input elsewhere."""
    x, m = read(input), read(mask)
    if m.dtype is not dtypes.bool_:
        raise RuntimeError(f"masked_fill_ only supports boolean masks, but got mask with dtype {m.dtype.name}")
    if isinstance(value, Tensor):
        v = read(value)
        if v.shape:
            raise RuntimeError(f"masked_fill only supports a 0-dimensional value tensor, but got tensor with {len(v.shape)} dimension(s)")
        if v.dtype.kind == "c" and x.dtype.kind != "c":
            raise RuntimeError(f"value cannot be converted to type {x.dtype.name} without overflow: it is a complex number")
        v = cast_node(v, x.dtype)
    else:
        if isinstance(value, complex) and x.dtype.kind != "c":
            raise RuntimeError(f"value cannot be converted to type {x.dtype.name} without overflow: {value}")
        v = cast_node(scalar_node(value, x.dtype), x.dtype)
    return emit(elementwise.where, m, v, x)


publish("masked_fill", masked_fill, in_place=True)


def _tensor(x: Any, name: str) -> Tensor:
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(x).__name__}")
    return x


def clamp(input: Tensor, min: Any = None, max: Any = None, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """Limits every element to [min, max]; NaN stays NaN. Bounds are numbers or tensors, at least one given."""
    if min is None and max is None:
        raise RuntimeError("clamp: At least one of 'min' or 'max' must not be None")
    x = read(input)
    numbers = all(b is None or isinstance(b, int | float) for b in (min, max))
    if numbers and x.dtype.kind != "b" and (x.dtype.kind == "f" or all(b is None or isinstance(b, int) for b in (min, max))):
        if x.dtype is dtypes.uint8:  # a negative bound wraps, as every number that meets a uint8 tensor does
            min, max = (b & 255 if b is not None and -256 <= b < 0 else b for b in (min, max))
        return deliver(apply(activation.clamp, input, min=min, max=max), out)
    result: Any = input
    for bound, within in ((min, compare.ge), (max, compare.le)):
        if bound is not None:
            x, limit = operands(result, bound, "clamp")
            keep = within(x, limit)  # what lies on the bound is the input: its gradient is, too
            if x.dtype.kind == "f":
                keep = compare.logical_or(keep, compare.ne(x, x))
            result = emit(elementwise.where, keep, x, limit)
    return deliver(result, out)


publish("clamp", clamp, in_place=True)
FUNCTIONS["clip"] = METHODS["clip"] = clamp
METHODS["clip_"] = METHODS["clamp_"]
publish("clamp_min", lambda input, min: clamp(_tensor(input, "clamp_min"), min=min), in_place=True)
publish("clamp_max", lambda input, max: clamp(_tensor(input, "clamp_max"), max=max), in_place=True)
for _name in ("clamp_min", "clamp_max"):
    FUNCTIONS[_name] = takes_out(FUNCTIONS[_name], exact=False)


def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:  # noqa: A002
    """input + weight * (end - input)."""
    a, b = operands(input, end, "lerp")
    exact = dtypes.float32 if a.dtype in (dtypes.float16, dtypes.bfloat16) else a.dtype  # half precision is rounded once, at the end
    w = scalar_node(weight, exact) if isinstance(weight, SCALAR_TYPES) else cast_node(read(weight), exact)
    if exact is not a.dtype:
        return emit(elementwise.cast, activation.lerp(cast_node(a, exact), cast_node(b, exact), w), dtype=a.dtype)
    return emit(activation.lerp, a, b, w)


FUNCTIONS["lerp"] = takes_out(publish("lerp", lerp, in_place=True), exact=False)


def rounded_once(steps: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """Several steps on tensors; of one half type in float32, rounded at the end."""
    half = tensors[0].dtype
    if half not in (dtypes.float16, dtypes.bfloat16) or any(x.dtype is not half for x in tensors):
        return steps(*tensors)
    return to_dtype(steps(*(to_dtype(x, dtypes.float32) for x in tensors)), half)


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """input + value * tensor1 * tensor2."""
    return deliver(rounded_once(lambda x, a, b: add(x, FUNCTIONS["mul"](_times(a, value), b)), input, tensor1, tensor2), out)


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """input + value * tensor1 / tensor2."""
    return deliver(rounded_once(lambda x, a, b: add(x, div(_times(a, value), b)), input, tensor1, tensor2), out)


def _times(x: Tensor, value: Any) -> Tensor:
    return x if value == 1 else FUNCTIONS["mul"](x, value)


publish("addcmul", addcmul, in_place=True)
publish("addcdiv", addcdiv, in_place=True)


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:  # noqa: A002
    """|input - other| <= atol + rtol * |other|, element by element."""
    a, b = read(input), read(other)
    for name, tolerance in (("rtol", rtol), ("atol", atol)):
        if tolerance < 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {tolerance}")
    if a.dtype is not b.dtype:
        raise RuntimeError(f"{a.dtype.name} did not match {b.dtype.name}")
    to = a.dtype if a.dtype.kind in "fc" else dtypes.float64
    x, y = cast_node(a, to), cast_node(b, to)
    bound = elementwise.abs(y) * rtol + atol
    near = compare.le(elementwise.abs(elementwise.sub(x, y)), bound)
    finite = compare.logical_and(compare.isfinite(x), compare.isfinite(y))
    result = compare.logical_or(compare.eq(x, y), compare.logical_and(near, finite))
    if equal_nan:
        result = compare.logical_or(result, compare.logical_and(compare.isnan(x), compare.isnan(y)))
    return emit(source.clone, result)


publish("isclose", isclose)


def same_shape(a: Tensor, b: Tensor) -> tuple[Any, ...]:
    """The broadcast shape of two tensors."""
    return broadcast(read(a).shape, read(b).shape)


def result_type(tensor: Any, other: Any) -> dtypes.dtype:
    """The dtype that an op on the two would have."""
    a = read(tensor) if isinstance(tensor, Tensor) else None
    b = read(other) if isinstance(other, Tensor) else None
    if a is None and b is None:
        return dtypes.promote(dtypes.of_scalar(tensor), dtypes.of_scalar(other))
    a = a if a is not None else scalar_node(tensor, b.dtype)  # type: ignore[union-attr]
    b = b if b is not None else scalar_node(other, a.dtype)
    return common_dtype(a, b)


FUNCTIONS["result_type"] = result_type
