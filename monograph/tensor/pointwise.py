"""Elementwise functions and methods, with PyTorch's promotion, `out=` and in-place forms. One line a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core.symbol import Sym
from monograph.graph.node import Node
from monograph.graph.op import OpDef
from monograph.ops import compare, elementwise, source
from monograph.tensor.core import Tensor
from monograph.tensor.delivery import deliver
from monograph.tensor.dispatch import (
    SCALAR_TYPES,
    cast_node,
    emit,
    floating_operands,
    operands,
    read,
    scalar_node,
    store,
)

FUNCTIONS: dict[str, Any] = {}  # public functions of this file
METHODS: dict[str, Any] = {}  # the same, and in-place forms, as Tensor methods


def publish(name: str, function: Any, method: bool = True, in_place: bool = False) -> Callable[..., Any]:
    """Makes `function` public as monograph.<name>, Tensor.<name> and, if wanted, Tensor.<name>_."""
    function.__name__ = function.__qualname__ = name
    FUNCTIONS[name] = function
    if method:
        METHODS[name] = function
    if in_place:

        def in_place_form(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            return store(self, read(function(self, *args, **kwargs)), name + "_")

        in_place_form.__name__ = in_place_form.__qualname__ = name + "_"
        in_place_form.__module__ = function.__module__
        in_place_form.__doc__ = f"In-place version of `{name}`: writes the result into this tensor and returns it."
        METHODS[name + "_"] = in_place_form
    return function


def _must_be_tensor(x: Any, name: str) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}(): argument 'input' must be Tensor, not {type(x).__name__}")


def unary(name: str, op: OpDef, floating: bool, refuse: str = "", doc: str = "", exact: bool = True) -> Callable[..., Tensor]:
    """A function of one tensor; `floating`: integers and bools are taken as the default floating dtype."""

    def function(input: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002 - torch's name
        _must_be_tensor(input, name)
        x = read(input)
        kind = x.dtype.kind
        if kind in refuse:
            raise RuntimeError(
                f"{name}: not defined for dtype {x.dtype.name}" + ("; use logical_not (~) for bool tensors" if kind == "b" else "")
            )
        if floating and kind not in "fc":
            x = cast_node(x, dtypes.defaults.floating)
        return deliver(emit(op, x), out, exact)

    function.__doc__ = doc or f"{name}(input) of every element."
    return publish(name, function, in_place=True)


_FLOATING = (
    "sqrt rsqrt reciprocal exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf erfc erfinv "
    "sigmoid"
)
for _name in _FLOATING.split():
    unary(_name, getattr(elementwise, _name), True, exact=False)
for _name, _refuse in {"neg": "b", "abs": "", "sign": "", "floor": "b", "ceil": "b", "trunc": "b", "frac": "b", "relu": "b"}.items():
    unary(_name, getattr(elementwise, _name), False, _refuse)
for _alias, _of in {
    "negative": "neg", "absolute": "abs", "fix": "trunc", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arcsinh": "asinh",
    "arccosh": "acosh", "arctanh": "atanh",
}.items():  # fmt: skip
    FUNCTIONS[_alias] = METHODS[_alias] = FUNCTIONS[_of]
    METHODS[_alias + "_"] = METHODS[_of + "_"]


def _abs_in_place(self: Tensor) -> Tensor:
    """The absolute values, in place. Raises RuntimeError for complex numbers, whose absolute values have another dtype."""
    _must_be_tensor(self, "abs_")
    if self.dtype.kind == "c":
        raise RuntimeError("In-place abs is not supported for complex tensors: their absolute values are real; write x.abs()")
    return store(self, read(emit(elementwise.abs, read(self))), "abs_")


METHODS["abs_"] = METHODS["absolute_"] = FUNCTIONS["abs_"] = _abs_in_place
for _name in ("isnan", "isinf", "isfinite", "logical_not", "signbit"):
    unary(_name, getattr(compare, _name), False, exact=_name != "logical_not")


def _square(input: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """The square of every element."""
    x = read(input)
    return deliver(emit(elementwise.square, cast_node(x, dtypes.int64) if x.dtype.kind == "b" else x), out)


publish("square", _square, in_place=True)


def _round(input: Tensor, *, decimals: int = 0, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """Rounds half to even, at `decimals` digits."""
    x = read(input)
    if x.dtype.kind != "f":
        return deliver(emit(source.clone, x), out, exact=True)
    if decimals == 0:
        return deliver(emit(elementwise.round, x), out, exact=True)
    scale = scalar_node(10.0 ** abs(decimals), x.dtype)
    y = elementwise.round(x * scale if decimals > 0 else x / scale)
    return deliver(emit(elementwise.div if decimals > 0 else elementwise.mul, y, scale), out)


publish("round", _round, in_place=True)


def _bitwise_not(input: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """~input: flips every bit; logical not for bool."""
    x = read(input)
    if x.dtype.kind in "fc":
        raise RuntimeError(f"bitwise_not: not defined for dtype {x.dtype.name}")
    return deliver(emit(compare.logical_not if x.dtype.kind == "b" else compare.bitwise_not, x), out, exact=True)


publish("bitwise_not", _bitwise_not, in_place=True)


def _dividing(a: Any, b: Any, name: str) -> tuple[Node, Node]:
    """`operands` of a division: where integers are divided by a tensor, it is refused when it turns out to hold a 0."""
    x, y = operands(a, b, name)
    if x.dtype.kind in "iu":
        if isinstance(b, Tensor):
            y = y if y.op is source.full and y.attrs.value else compare.nonzero_divisor(y)  # type: ignore[attr-defined]
        elif not isinstance(b, Sym) and b == 0:
            raise RuntimeError(compare.DIVIDED_BY_ZERO)
    return x, y


def binary(
    name: str, op: OpDef, floating: bool = False, refuse: str = "", doc: str = "", divides: bool = False
) -> Callable[..., Tensor]:  # fmt: skip
    """A function of two tensors, or of a tensor and a number."""
    prepare = floating_operands if floating else _dividing if divides else operands

    def function(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
        a, b = prepare(input, other, name)
        if a.dtype.kind in refuse:
            raise RuntimeError(f"{name}: not defined for dtype {a.dtype.name}")
        result = emit(op, a, b)
        return result if out is None else deliver(result, out)

    function.__doc__ = doc or f"{name}(input, other), element by element, with broadcasting and type promotion."
    return publish(name, function, in_place=True)


mul = binary("mul", elementwise.mul)
for _name in ("maximum", "minimum", "fmax", "fmin"):
    binary(_name, getattr(elementwise, _name))
for _name in ("remainder", "fmod"):
    binary(_name, getattr(elementwise, _name), divides=True)
for _name in ("atan2", "copysign", "hypot"):
    binary(_name, getattr(elementwise, _name), floating=True)
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    binary(_name, getattr(compare, _name))
for _name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    binary(_name, getattr(compare, _name), refuse="fc")
for _name in ("left_shift", "right_shift"):
    binary("bitwise_" + _name, getattr(compare, _name), refuse="fcb")
for _alias, _of in {
    "multiply": "mul", "arctan2": "atan2", "not_equal": "ne", "less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge",
}.items():  # fmt: skip
    FUNCTIONS[_alias] = METHODS[_alias] = FUNCTIONS[_of]
    METHODS[_alias + "_"] = METHODS[_of + "_"]


def _logical(name: str, op: OpDef) -> None:
    def function(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
        a, b = read(input), read(other)
        result = emit(op, cast_node(a, dtypes.bool_), cast_node(b, dtypes.bool_))
        return deliver(result, out)

    function.__doc__ = f"{name} of the truth of every element."
    publish(name, function, in_place=True)


for _name in ("logical_and", "logical_or", "logical_xor"):
    _logical(_name, getattr(compare, _name))


def _scaled(name: str, x: Node, alpha: Any) -> Node:
    if not isinstance(alpha, SCALAR_TYPES):
        if not isinstance(alpha, Tensor) or alpha.shape or alpha.requires_grad:
            raise TypeError(f"{name}(): argument 'alpha' must be Number, not {type(alpha).__name__}")
        alpha = alpha.item()  # type: ignore[attr-defined]
    kind = x.dtype.kind
    if isinstance(alpha, bool) and kind != "b":
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    if isinstance(alpha, float) and kind in "iub":
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    if isinstance(alpha, complex) and kind != "c":
        raise RuntimeError("For non-complex input tensors, argument alpha must not be a complex number.")
    alpha = bool(alpha) if kind == "b" else alpha
    return x if alpha == 1 else elementwise.mul(x, scalar_node(alpha, x.dtype))


def add(input: Any, other: Any, *, alpha: Any = 1, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """input + alpha * other, with broadcasting and type promotion.

    >>> import monograph as mg
    >>> mg.add(mg.tensor([1, 2]), 0.5).tolist()
    [1.5, 2.5]
    """
    a, b = operands(input, other, "add")
    if alpha.__class__ is not int or alpha != 1:
        b = _scaled("add", b, alpha)
    result = emit(elementwise.add if a.dtype.kind != "b" else compare.logical_or, a, b)
    return result if out is None else deliver(result, out)


def _is_bool(x: Any) -> bool:
    return (x._node if x._simple else x._type()).dtype is dtypes.bool_ if isinstance(x, Tensor) else isinstance(x, bool | np.bool_)


def sub(input: Any, other: Any, *, alpha: Any = 1, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """input - alpha * other."""
    if _is_bool(input) or _is_bool(other):
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported: use `~` or logical_not() to invert a mask, `^` or "
            "logical_xor() for the difference of two, or convert it first, e.g. mask.float()"
        )
    a, b = operands(input, other, "sub")
    if alpha.__class__ is not int or alpha != 1:
        b = _scaled("sub", b, alpha)
    result = emit(elementwise.sub, a, b)
    return result if out is None else deliver(result, out)


def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:  # noqa: A002
    """other - alpha * input."""
    _must_be_tensor(input, "rsub")
    return sub(other, input, alpha=alpha)


def div(input: Any, other: Any, *, rounding_mode: str | None = None, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """input / other; rounding_mode None (true division), "trunc" or "floor"."""
    if rounding_mode == "floor":
        return floor_divide(input, other, out=out)
    if rounding_mode == "trunc":
        a, b = _dividing(input, other, "div")
        if a.dtype.kind in "fc":
            return deliver(emit(elementwise.trunc, elementwise.div(a, b)), out)
        r = elementwise.fmod(a, b)
        return deliver(emit(elementwise.floor_divide, elementwise.sub(a, r), b), out)
    if rounding_mode is not None:
        raise RuntimeError(f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'")
    result = emit(elementwise.div, *floating_operands(input, other, "div"))
    return result if out is None else deliver(result, out)


def floor_divide(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """floor(input / other); an integer divided by 0 raises RuntimeError, by a tensor that holds a 0 when the value is asked for."""
    a, b = _dividing(input, other, "floor_divide")
    return deliver(emit(elementwise.floor_divide, a, b), out)


def pow(input: Any, exponent: Any, *, out: Tensor | None = None) -> Tensor:  # noqa: A001, A002
    """input ** exponent; small whole exponents become multiplications."""
    if isinstance(exponent, int | float) and not isinstance(exponent, bool) and isinstance(input, Tensor):
        x = read(input)
        if x.dtype.kind in "fc" or (x.dtype.kind in "iu" and isinstance(exponent, int)):
            special = _power(x, exponent)
            if special is not None:
                return deliver(special, out)
        if x.dtype.kind not in "fc" and isinstance(exponent, int) and exponent < 0:
            raise RuntimeError("Integers to negative integer powers are not allowed.")
    a, b = operands(input, exponent, "pow")
    if a.dtype.kind == "b":
        if isinstance(exponent, Tensor):
            raise RuntimeError("pow: not defined for two bool tensors; convert one first, e.g. x.int() ** y")
        return deliver(emit(compare.logical_or, a, compare.logical_not(b)), out)
    return deliver(emit(elementwise.pow, a, b), out)


def _power(x: Node, n: float) -> Tensor | None:
    floating = x.dtype.kind in "fc"
    if n == 2:
        return emit(elementwise.square, x)
    if n == 1:
        return emit(source.clone, x)
    if n == 3:
        return emit(elementwise.mul, elementwise.square(x), x)
    if floating and n == 0.5:
        return emit(elementwise.sqrt, x)
    if floating and n == -0.5:
        return emit(elementwise.rsqrt, x)
    if floating and n == -1:
        return emit(elementwise.reciprocal, x)
    return None


for _name, _f in {"add": add, "sub": sub, "div": div, "floor_divide": floor_divide, "pow": pow}.items():
    publish(_name, _f, in_place=True)
publish("rsub", rsub)
for _alias, _of in {"subtract": "sub", "divide": "div", "true_divide": "div"}.items():
    FUNCTIONS[_alias] = METHODS[_alias] = FUNCTIONS[_of]
    METHODS[_alias + "_"] = METHODS[_of + "_"]


def to_dtype(input: Tensor, dtype: dtypes.dtype) -> Tensor:  # noqa: A002
    """The tensor in another dtype (itself if it has it already)."""
    node = read(input)
    return input if node.dtype is dtype else emit(elementwise.cast, node, dtype=dtype)


OPERANDS = (Tensor, *SCALAR_TYPES)


def _misplaced(name: str, value: Any) -> Any:
    """What the slot of a reflected operator comes to that somebody calls by hand with no tensor in the tensor's place."""
    if name in ("sub", "floor_divide", "remainder", "pow", "bitwise_left_shift", "bitwise_right_shift"):
        return NotImplemented
    text = f"a reflected operator of Tensor, called with {type(value).__name__!r} in the place of the tensor"
    raise (AttributeError if name == "div" else TypeError)(text)  # torch looks for the reciprocal


def _python_operators() -> None:
    """+ - * / and friends; an operand that is neither tensor nor number gives NotImplemented, so that its own class may answer."""

    def operator(function: Callable[..., Tensor], swap: bool = False) -> Callable[..., Any]:
        def method(self: Tensor, other: Any) -> Any:
            if isinstance(other, Tensor) or isinstance(other, SCALAR_TYPES):  # noqa: SIM101 - the likely case first: this runs for every `+`
                return function(self, other)
            return function(self, FUNCTIONS["from_numpy"](other)) if isinstance(other, np.ndarray) else NotImplemented

        def swapped(self: Tensor, other: Any) -> Any:
            if not isinstance(self, Tensor):
                return _misplaced(function.__name__, self)
            if isinstance(other, np.ndarray):
                other = FUNCTIONS["from_numpy"](other)
            return function(other, self) if isinstance(other, OPERANDS) else NotImplemented

        return swapped if swap else method

    pairs = {
        "add": add, "sub": sub, "mul": FUNCTIONS["mul"], "truediv": div, "floordiv": floor_divide, "mod": FUNCTIONS["remainder"],
        "pow": pow,
        "and": FUNCTIONS["bitwise_and"], "or": FUNCTIONS["bitwise_or"], "xor": FUNCTIONS["bitwise_xor"],
        "lshift": FUNCTIONS["bitwise_left_shift"], "rshift": FUNCTIONS["bitwise_right_shift"],
    }  # fmt: skip
    for name, function in pairs.items():
        METHODS[f"__{name}__"] = operator(function)
        METHODS[f"__r{name}__"] = operator(function, swap=True)
    METHODS["__div__"], METHODS["__rdiv__"] = METHODS["__truediv__"], METHODS["__rtruediv__"]
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        METHODS[f"__{name}__"] = operator(FUNCTIONS[name])
    METHODS["__neg__"] = FUNCTIONS["neg"]
    METHODS["__pos__"] = lambda self: self
    METHODS["__abs__"] = FUNCTIONS["abs"]
    METHODS["__invert__"] = FUNCTIONS["bitwise_not"]
    in_place = {
        "iadd": "add_", "isub": "sub_", "imul": "mul_", "itruediv": "div_", "ifloordiv": "floor_divide_", "imod": "remainder_",
        "ipow": "pow_",
        "iand": "bitwise_and_", "ior": "bitwise_or_", "ixor": "bitwise_xor_", "ilshift": "bitwise_left_shift_",
        "irshift": "bitwise_right_shift_",
    }  # fmt: skip

    def updating(function: Callable[..., Tensor]) -> Callable[..., Any]:
        def method(self: Tensor, other: Any) -> Any:
            if isinstance(other, Tensor) or isinstance(other, SCALAR_TYPES):  # noqa: SIM101 - as above
                return function(self, other)
            return NotImplemented  # `t -= array` becomes `t = t - array`, as in torch

        return method

    for name, method in in_place.items():
        METHODS[f"__{name}__"] = updating(METHODS[method])


_python_operators()
