"""Shapes: broadcasting, dimension numbers, strides. Sizes are ints or symbolic (`core.symbol.Sym`)."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from monograph.core.errors import DimensionError, ShapeError
from monograph.core.explain import broadcast_fix, explained, marked, reshape_fix
from monograph.core.symbol import Sym

Shape = tuple[Any, ...]
PYTHONS = (int, tuple, list, type(None), Sym)


def numel(shape: Shape) -> Any:
    """How many elements a shape has (1 for a 0-d shape)."""
    return math.prod(shape)


def broadcast(a: Shape, b: Shape) -> Shape:
    """The common shape of two shapes under NumPy's rule; raises ShapeError naming the clashing dimension.

    >>> broadcast((3, 1), (4,))
    (3, 4)
    """
    if not b:
        return a
    if not a:
        return b
    if len(a) == len(b) and a == b:
        return a
    short, long = (a, b) if len(a) < len(b) else (b, a)
    result = list(long)
    offset = len(long) - len(short)
    for i, s in enumerate(short):
        n = long[offset + i]
        # Ones first: whether a symbolic size equals another one is a question to the program, which is asked only where the answer counts.
        if s is n or s == 1:
            continue
        if n == 1:
            result[offset + i] = s
        elif s != n:
            raise ShapeError(
                explained(
                    f"The size of tensor a ({a[i - len(short)]}) must match the size of tensor b ({b[i - len(short)]}) at non-singleton "
                    f"dimension {offset + i}",
                    broadcast_fix(a, b), a=marked(a, i - len(short)), b=marked(b, i - len(short)),
                )
            )  # fmt: skip
    return tuple(result)


def same(a: Shape, b: Shape) -> bool:
    """Whether two shapes are equal. Unlike `==` of tuples it asks nothing of symbolic sizes when the numbers of dimensions differ
    already.
    """
    return a is b or (len(a) == len(b) and a == b)


def broadcast_all(shapes: Sequence[Shape]) -> Shape:
    """`broadcast` of any number of shapes."""
    result: Shape = ()
    for s in shapes:
        result = broadcast(result, s)
    return result


def normalize_dim(dim: int, ndim: int) -> int:
    """A dimension number made non-negative; raises DimensionError (an IndexError) when out of range. A 0-d tensor has dim 0 and -1."""
    n = max(ndim, 1)
    if dim.__class__ is not int:
        dim = operator.index(dim)
    if -n <= dim < n:
        return dim + n if dim < 0 else dim
    raise DimensionError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})")


def normalize_dims(dims: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """Dimension numbers made non-negative, sorted, unique; None or () means all of them."""
    return _normalized(tuple(dims) if isinstance(dims, list) else whole(dims), ndim)


def whole(value: Any) -> Any:
    """A whole number of a foreign class (NumPy's, a tensor of one integer) as Python's; what is no such number unchanged.

    >>> import numpy
    >>> whole((2, 3)), type(whole(numpy.int64(2)))
    ((2, 3), <class 'int'>)
    """
    if value.__class__ in PYTHONS or not hasattr(value, "__index__"):
        return value
    try:
        return operator.index(value)
    except (TypeError, RuntimeError, ValueError):
        return value


@lru_cache(2048, typed=True)
def _normalized(dims: Any, ndim: int) -> tuple[int, ...]:
    if dims is None:
        return tuple(range(ndim))
    if isinstance(dims, int):
        dims = (dims,)
    out = [normalize_dim(d, ndim) for d in dims]
    if not out:
        return tuple(range(ndim))
    if len(set(out)) != len(out):
        raise ShapeError(f"dim {next(d for d in out if out.count(d) > 1)} appears multiple times in the list of dims {list(dims)}")
    if ndim > 64:
        raise ShapeError(f"only tensors with up to 64 dims are supported, got {ndim}")
    if ndim == 0:
        return ()
    return tuple(sorted(out))


def reduced_shape(shape: Shape, dims: tuple[int, ...], keepdim: bool) -> Shape:
    """The shape after reducing `dims` (non-negative, sorted)."""
    if keepdim:
        return tuple([1 if i in dims else s for i, s in enumerate(shape)])
    return tuple([s for i, s in enumerate(shape) if i not in dims])


def contiguous_strides(shape: Shape) -> Shape:
    """Row-major strides, in elements."""
    strides: list[Any] = []
    step: Any = 1
    for s in reversed(shape):
        strides.append(step)
        step = step * (s if s != 0 else 1)
    return tuple(reversed(strides))


def infer_reshape(shape: Shape, new: Sequence[Any]) -> Shape:
    """Fills in the one -1 of a requested shape; raises ShapeError when the sizes do not match."""
    out = list(new)
    total = numel(shape)
    unknown = [i for i, s in enumerate(out) if isinstance(s, int) and s == -1]
    if len(unknown) > 1:
        raise ShapeError("only one dimension can be inferred: a shape may hold a single -1, got " + str(list(new)))
    if any(isinstance(s, int) and s < -1 for s in out):
        raise ShapeError(f"invalid shape dimension {min(out)} in {list(new)}")
    if unknown:
        rest = numel(tuple(s for i, s in enumerate(out) if i != unknown[0]))
        if rest == 0:
            raise ShapeError(
                f"cannot reshape tensor of 0 elements into shape {list(new)} because the unspecified dimension size -1 can be any value "
                "and is ambiguous"
            )
        if total % rest != 0:
            raise sizes_differ(shape, tuple(new))
        out[unknown[0]] = total // rest
    elif numel(tuple(out)) != total:
        raise sizes_differ(shape, tuple(new))
    return tuple(out)


def sizes_differ(shape: Shape, new: Shape) -> ShapeError:
    """The error of a reshape that would gain or lose elements."""
    fix = reshape_fix(shape, new)
    return ShapeError(explained(f"shape '{list(new)}' is invalid for input of size {numel(shape)} (shape {list(shape)})", fix))
