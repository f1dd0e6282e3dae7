"""torch._foreach_*: functions of lists of tensors, with which optimisers start few kernels. Here lists need no kernels of their own: what
is recorded together is compiled together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.core.dtype import dtype as DType
from monograph.tensor import FUNCTIONS
from monograph.tensor.core import Tensor

_UNARY = (
    "abs acos asin atan ceil clone cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p log2 neg reciprocal round rsqrt sigmoid "
    "sign sin sinh sqrt tan tanh trunc"
).split()
_BINARY = ("add", "sub", "mul", "div", "pow", "maximum", "minimum", "clamp_max", "clamp_min")
_TERNARY = ("addcmul", "addcdiv")
_LIMITS = {"maximum": ("clamp_min", "maximum"), "clamp_min": ("clamp_min", "maximum"), "minimum": ("clamp_max", "minimum"),
           "clamp_max": ("clamp_max", "minimum")}  # fmt: skip
_Result = list[Tensor] | tuple[Tensor, ...]


def _tensors(name: str, given: Any) -> list[Tensor]:
    """The list. Raises TypeError for what is none, RuntimeError for an empty one."""
    if not isinstance(given, list | tuple) or not all(isinstance(t, Tensor) for t in given):
        raise TypeError(f"{name}(): argument 'self' (position 1) must be tuple of Tensors, not {type(given).__name__}")
    if not given:
        raise RuntimeError("Tensor list must have at least one tensor.")
    return list(given)


def _spread(values: Any, count: int) -> list[Any]:
    """One value per tensor: a list as it is, a number or 0-d tensor for each of them."""
    if not isinstance(values, list | tuple):
        return [values] * count
    if len(values) != count:
        raise RuntimeError(f"Tensor lists must have the same number of tensors, got {count} and {len(values)}")
    return list(values)


def _apply(name: str, in_place: bool, tensors: list[Tensor], *lists: list[Any], **options: Any) -> _Result:
    """The method of every tensor with the values at its place; in place, the list itself."""
    done = []
    for t, *values in zip(tensors, *lists, strict=True):
        if name in _LIMITS:
            by_number, by_tensor = _LIMITS[name]
            new = FUNCTIONS[by_tensor](t, values[0]) if isinstance(values[0], Tensor) else FUNCTIONS[by_number](t, values[0])
        elif in_place and hasattr(t, name + "_"):
            new = getattr(t, name + "_")(*values, **options)
        else:
            new = getattr(t, name)(*values, **options)
        done.append(t.copy_(new) if in_place and new is not t else new)
    return tensors if in_place else tuple(done)


def _unary(name: str, in_place: bool) -> Callable[..., Any]:
    def function(self: Any) -> _Result:
        return _apply(name, in_place, _tensors("_foreach_" + name, self))

    return function


def _binary(name: str, in_place: bool) -> Callable[..., Any]:
    def function(self: Any, other: Any = None, /, *, alpha: Any = None, **named: Any) -> _Result:
        other = next(iter(named.values())) if named else other  # other=, scalar=, scalars=, exponent= ...
        if name == "pow" and not isinstance(self, list | tuple):
            return tuple(FUNCTIONS["pow"](self, t) for t in _tensors("_foreach_pow", other))
        tensors = _tensors("_foreach_" + name, self)
        return _apply(name, in_place, tensors, _spread(other, len(tensors)), **({} if alpha is None else {"alpha": alpha}))

    return function


def _ternary(name: str, in_place: bool) -> Callable[..., Any]:
    def function(self: Any, tensor1: Any, tensor2: Any, value: Any = 1, *, scalars: Any = None) -> _Result:
        tensors = _tensors("_foreach_" + name, self)
        value = value if scalars is None else scalars
        values = _spread(value.tolist() if isinstance(value, Tensor) and value.ndim else value, len(tensors))
        products = zip(_spread(tensor1, len(tensors)), _spread(tensor2, len(tensors)), strict=True)
        done = [getattr(t, name + "_" * in_place)(a, b, value=v) for t, (a, b), v in zip(tensors, products, values, strict=True)]
        return tensors if in_place else tuple(done)

    return function


def _lerp(in_place: bool) -> Callable[..., Any]:
    def function(self: Any, tensors1: Any, weight: Any = None, *, weights: Any = None) -> _Result:
        tensors = _tensors("_foreach_lerp", self)
        amounts = _spread(weight if weights is None else weights, len(tensors))
        return _apply("lerp", in_place, tensors, _spread(tensors1, len(tensors)), amounts)

    return function


def _foreach_zero_(self: Any) -> _Result:
    """Fills every tensor with zeros."""
    return _apply("zero", True, _tensors("_foreach_zero_", self))


def _foreach_copy_(self: Any, src: Any, non_blocking: bool = False) -> _Result:
    """Copies a list of tensors into another."""
    tensors = _tensors("_foreach_copy_", self)
    return _apply("copy", True, tensors, _spread(src, len(tensors)))


def _foreach_norm(self: Any, ord: Any = 2, dtype: DType | None = None) -> _Result:  # noqa: A002 - torch's name
    """The vector norm of every tensor."""
    return tuple(FUNCTIONS["norm"](t if dtype is None else t.to(dtype), ord) for t in _tensors("_foreach_norm", self))


def _foreach_max(self: Any) -> _Result:
    """The largest element of every tensor."""
    return tuple(t.max() for t in _tensors("_foreach_max", self))


LISTS: dict[str, Callable[..., Any]] = {f.__name__: f for f in (_foreach_zero_, _foreach_copy_, _foreach_norm, _foreach_max)}


def _enter(base: str, in_place: bool, function: Callable[..., Any]) -> None:
    function.__name__ = function.__qualname__ = f"_foreach_{base}{'_' * in_place}"
    function.__doc__ = f"Tensor.{base}{'_' * in_place} of every tensor of a list."
    LISTS[function.__name__] = function


for _in_place in (False, True):
    _enter("lerp", _in_place, _lerp(_in_place))
    for _names, _make in ((_UNARY, _unary), (_BINARY, _binary), (_TERNARY, _ternary)):
        for _base in _names:
            _enter(_base, _in_place, _make(_base, _in_place))
del LISTS["_foreach_clone_"]

globals().update(LISTS)
__all__ = ["LISTS"]
