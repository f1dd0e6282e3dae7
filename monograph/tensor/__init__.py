"""Floor 6: the Tensor and its functions. `FUNCTIONS` holds every public function by name; the front door re-exports them."""

from __future__ import annotations

from typing import Any

from monograph.tensor import (
    arithmetic,
    autograd,
    by_layout,
    calculus,
    complex_numbers,
    contraction,
    creation,
    dlpack,
    function,
    gathering,
    indexing,
    interop,
    legacy,
    movement,
    notebook,
    pointwise,
    predicates,
    printing,
    products,
    random,
    ranking,
    rearranging,
    reduction,
    rewriting,
    selection,
    sharing,
    statistics,
    storage,
    subclassing,
    views,
)
from monograph.tensor.core import Device, Size, Tensor
from monograph.tensor.dispatch import cast_node
from monograph.tensor.foreign import all_refuse_foreign
from monograph.tensor.pointwise import FUNCTIONS, METHODS


def fill_(self: Tensor, value: Any) -> Tensor:
    """Every element becomes `value`, a number or a 0-d tensor. In place."""
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError(f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions.")
    return self.copy_(value if isinstance(value, Tensor) else FUNCTIONS["full"]((), value, dtype=self.dtype))


def fill(input: Tensor, value: Any) -> Tensor:  # noqa: A002
    """A tensor of the input's shape and dtype, every element `value`, a number or a 0-d tensor.

    >>> import monograph as mg
    >>> mg.fill(mg.zeros(2), 3).tolist()
    [3.0, 3.0]
    """
    return fill_(METHODS["clone"](input), value)


def zero_(self: Tensor) -> Tensor:
    """Every element becomes 0. In place."""
    return fill_(self, 0)


def _iterate(self: Tensor) -> Any:
    if not self.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return iter(views.unbind(self, 0))


METHODS.update(
    fill_=fill_, zero_=zero_, __repr__=printing.to_string, _repr_html_=notebook.to_html, __format__=printing.formatted,
    __array_priority__=1000,
    __iter__=_iterate, __contains__=lambda self, value: bool((self == value).any().item()),
)  # fmt: skip
FUNCTIONS.update(fill=fill, fill_=fill_, zero_=zero_, resize_as_=METHODS["resize_as_"])
FUNCTIONS["_check_device"] = creation.check_device
FUNCTIONS["_from_host"] = creation.from_host
FUNCTIONS["_to_dtype"] = pointwise.to_dtype
FUNCTIONS["_cast_node"] = cast_node


def equal(input: Tensor, other: Tensor) -> bool:  # noqa: A002
    """Whether two tensors have the same shape and elements."""
    return tuple(input.shape) == tuple(other.shape) and bool((input == other).all().item())


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:  # noqa: A002
    """Whether all elements are close (`isclose`)."""
    return bool(selection.isclose(input, other, rtol, atol, equal_nan).all().item())


FUNCTIONS["set_printoptions"] = printing.set_printoptions
FUNCTIONS["equal"], FUNCTIONS["allclose"] = equal, allclose
METHODS.update(equal=equal, allclose=allclose)

# Of functions that are one expression long.
DOCS = {
    "aminmax": "The smallest and the largest element, of all or along `dim`.",
    "argsort": "The indices that sort along `dim`.",
    "atleast_1d": "Tensors with at least one dimension.",
    "atleast_2d": "Tensors with at least two dimensions.",
    "atleast_3d": "Tensors with at least three dimensions.",
    "broadcast_shapes": "The common shape of several shapes; a number is a shape of one dimension.",
    "broadcast_to": "A view expanded to `size`.",
    "clamp_max": "Limits every element from above.",
    "clamp_min": "Limits every element from below.",
    "count_nonzero": "How many elements are not zero, over dimensions.",
    "cummax": "(values, indices) of the largest element so far along `dim`.",
    "cummin": "(values, indices) of the smallest element so far along `dim`.",
    "empty_like": "A tensor of unspecified values in the shape of another.",
    "full_like": "A tensor of one value in the shape of another.",
    "get_default_device": "Where tensors are made.",
    "hstack": "Tensors joined along columns.",
    "is_complex": "Whether the dtype is complex.",
    "is_floating_point": "Whether the dtype is a floating one.",
    "is_tensor": "Whether an object is a Tensor.",
    "nansum": "The sum over dimensions with NaN taken as zero.",
    "numel": "The number of elements.",
    "ones_like": "Ones in the shape of another tensor.",
    "rand_like": "Uniform numbers in the shape of another tensor.",
    "randint_like": "Integers from [low, high) in the shape of another tensor.",
    "randn_like": "Normal numbers in the shape of another tensor.",
    "ravel": "The elements as a vector.",
    "std_mean": "The standard deviation and the mean.",
    "var_mean": "The variance and the mean.",
    "vstack": "Tensors joined along rows.",
    "zeros_like": "Zeros in the shape of another tensor.",
}
for _name, _doc in DOCS.items():
    FUNCTIONS[_name].__doc__ = _doc
for _name in by_layout.NAMES:
    for _table in (FUNCTIONS, METHODS):
        if _name in _table:
            _table[_name] = by_layout.by_layout(_name, _table[_name])
all_refuse_foreign(FUNCTIONS, METHODS)
for _name, _method in METHODS.items():
    setattr(Tensor, _name, _method)

tensor = FUNCTIONS["tensor"]


def __getattr__(name: str) -> Any:
    try:
        return FUNCTIONS[name]
    except KeyError:
        raise AttributeError(f"module 'monograph.tensor' has no attribute {name!r}") from None


__all__ = [
    "FUNCTIONS",
    "METHODS",
    "Device",
    "Size",
    "Tensor",
    "autograd",
    "complex_numbers",
    "contraction",
    "creation",
    "function",
    "gathering",
    "indexing",
    "interop",
    "legacy",
    "movement",
    "pointwise",
    "printing",
    "random",
    "reduction",
    "selection",
    "statistics",
    "storage",
    "subclassing",
    "tensor",
    "views",
]
