"""Array: a Tensor whose operators, indexing and `size` are the standard's where torch decided otherwise."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import EllipsisType
from typing import Any, TypeVar

from monograph.core.dtype import bool_
from monograph.core.shape import normalize_dim
from monograph.tensor.core import Size, Tensor
from monograph.tensor.pointwise import FUNCTIONS, METHODS

F = TypeVar("F", bound=Callable[..., Any])
KeyPart = int | slice | EllipsisType | Tensor | None


class Count(int):
    """The number of elements, as the standard's `x.size`; called, it is torch's `x.size()`."""

    _shape: Size

    def __call__(self, dim: int | None = None) -> Any:
        """The sizes of the dimensions, or of one."""
        return self._shape if dim is None else self._shape[normalize_dim(dim, len(self._shape))]


class Array(Tensor):
    """What the functions of `monograph.array_api` return: a Tensor in every respect, with the standard's operators.

    It differs from a plain Tensor where the standard and torch disagree: 0-d arrays promote like any other, `//` and `%` follow the
    standard at infinities and zeros, slices may step backwards (that makes a copy), `x.size` is a number.

    >>> from monograph import array_api as xp
    >>> x = xp.asarray([1, 2, 3])
    >>> x[::-1].tolist(), x.size, x.size()
    ([3, 2, 1], 3, monograph.Size([3]))
    """

    __slots__ = ()
    __hash__ = Tensor.__hash__

    @property
    def size(self) -> Count:
        """The number of elements. Callable, so that torch's `x.size()` and `x.size(dim)` work too."""
        count = Count(self.numel())
        count._shape = self.shape
        return count

    @property
    def T(self) -> Array:
        """The transpose of a matrix."""
        return as_array(METHODS["permute"](self, tuple(reversed(range(self.ndim)))))

    @property
    def mT(self) -> Array:
        """The transposes of a stack of matrices."""
        return as_array(METHODS["transpose"](self, -2, -1))

    def __getitem__(self, key: Any) -> Array:
        if _selects_nothing(key, self.shape):
            return as_array(FUNCTIONS["zeros"]((0, *self.shape[key.ndim :]), dtype=self.dtype))
        plain, turned = forwards(key, self.shape)
        found = METHODS["__getitem__"](self, plain)
        return as_array(FUNCTIONS["flip"](found, turned) if turned else found)

    def __setitem__(self, key: Any, value: Any) -> None:
        if _selects_nothing(key, self.shape):
            return
        plain, turned = forwards(key, self.shape)
        if isinstance(value, Tensor):
            value = value.to(self.dtype)
            if turned:
                region = METHODS["__getitem__"](self, plain).shape
                value = FUNCTIONS["flip"](METHODS["expand"](value, region), turned)
        METHODS["__setitem__"](self, plain, value)


def _selects_nothing(key: Any, shape: tuple[int, ...]) -> bool:
    """Whether a key is a mask with an empty side, which the standard lets stand for any size (torch wants the very shape)."""
    if not isinstance(key, Tensor) or key.dtype is not bool_ or 0 not in key.shape or key.ndim > len(shape):
        return False
    return all(k in (0, n) for k, n in zip(key.shape, shape, strict=False))


def forwards(key: Any, shape: tuple[int, ...]) -> tuple[Any, tuple[int, ...]]:
    """A key whose slices step forwards only, and the dimensions of its result that must then be reversed.

    >>> forwards((slice(None, None, -1), 0), (4, 2))
    ((slice(0, 4, 1), 0), (0,))
    """
    parts = key if isinstance(key, tuple) else (key,)
    if not any(isinstance(k, slice) and k.step is not None and k.step < 0 for k in parts):
        return key, ()
    takes = sum(_width(k) for k in parts)
    made: list[KeyPart] = []
    turned = []
    dim, place = 0, 0
    for k in parts:
        if k is Ellipsis:
            skipped = len(shape) - takes
            dim, place = dim + skipped, place + skipped
        elif k is None:
            place += 1
        elif isinstance(k, slice):
            if k.step is not None and k.step < 0:
                k = _reversed(k, shape[dim])
                turned.append(place)
            dim, place = dim + 1, place + 1
        elif isinstance(k, int):
            dim += 1
        else:
            raise IndexError("a slice with a negative step cannot be combined with index arrays: index in two steps, x[::-1][i]")
        made.append(k)
    return tuple(made), tuple(turned)


def _width(k: KeyPart) -> int:
    return 0 if k is None or k is Ellipsis else 1


def _reversed(k: slice, n: int) -> slice:
    positions = range(n)[k]
    if not len(positions):
        return slice(0, 0, 1)
    return slice(positions[-1], positions[0] + 1, -positions.step)


def as_array(t: Any) -> Any:
    """A tensor that was just made, as an Array; tuples and lists of them likewise."""
    if isinstance(t, Tensor):
        if not isinstance(t, Array):
            t.__class__ = Array
    elif isinstance(t, tuple):
        return type(t)(*map(as_array, t)) if hasattr(t, "_fields") else tuple([as_array(part) for part in t])
    return t


def returns_arrays(function: F) -> F:
    """Makes Arrays of the tensors that `function` returns. An argument handed back becomes another handle on the same memory."""

    @functools.wraps(function)
    def standard(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if isinstance(result, Tensor) and not isinstance(result, Array) and any(result is a for a in args):
            result = METHODS["reshape"](result, tuple(result.shape))
        return as_array(result)

    return standard  # type: ignore[return-value]
