"""Movement made of other movement: joins by columns and depth, splits at indices, turns, combinations, triangles' indices, copied views."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core.errors import ShapeError
from monograph.core.shape import normalize_dim
from monograph.tensor.core import Tensor
from monograph.tensor.creation import from_host, place
from monograph.tensor.delivery import takes_out
from monograph.tensor.movement import cat
from monograph.tensor.pointwise import FUNCTIONS as F
from monograph.tensor.pointwise import METHODS, publish
from monograph.tensor.views import narrow, permute, reshape, split, transpose


def _group(tensors: Any) -> list[Tensor]:
    return list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else list(tensors)


def _joined(name: str, lift: str, dim: Callable[[Tensor], int], doc: str) -> None:
    def function(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
        if not len(tensors):
            raise RuntimeError(f"{name} expects a non-empty TensorList")
        lifted = list(F[lift](tuple(tensors)))
        return cat(lifted, dim(lifted[0]), out=out)

    function.__doc__ = doc
    publish(name, function, method=False)


_joined("hstack", "atleast_1d", lambda x: 0 if x.ndim == 1 else 1, "Tensors joined along columns (vectors end to end).")
_joined("vstack", "atleast_2d", lambda x: 0, "Tensors joined along rows.")
_joined("dstack", "atleast_3d", lambda x: 2, "Tensors joined along the third dimension.")
F["row_stack"] = F["vstack"]


def column_stack(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """Vectors as the columns of a matrix; other tensors joined along dimension 1."""
    if not len(tensors):
        raise RuntimeError("column_stack expects a non-empty TensorList")
    return cat([reshape(x, (-1, 1)) if x.ndim < 2 else x for x in tensors], 1, out=out)


def block_diag(*tensors: Tensor) -> Tensor:
    """A matrix with the given matrices (vectors are rows) along its diagonal and zeros elsewhere."""
    blocks = []
    for i, x in enumerate(tensors):
        if not isinstance(x, Tensor):
            raise TypeError(f"block_diag(): argument 'tensors' must be tuple of Tensors, not {type(x).__name__} at position {i}")
        if x.ndim > 2:
            raise RuntimeError(f"block_diag(): Input tensors must have 2 or fewer dimensions. Input {i} has {x.ndim} dimensions")
        blocks.append(F["atleast_2d"](x))
    if not blocks:
        return F["zeros"](1, 0)
    width = sum(b.shape[1] for b in blocks)
    rows, at = [], 0
    for b in blocks:
        sides = [F["zeros"](b.shape[0], n, dtype=b.dtype) for n in (at, width - at - b.shape[1])]
        rows.append(cat([sides[0], b, sides[1]], 1))
        at += b.shape[1]
    return cat(rows, 0)


def cartesian_prod(*tensors: Any) -> Tensor:
    """Every combination of one element of each vector, as rows."""
    group = _group(tensors)
    for x in group:
        if x.ndim != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(x.shape)}")
    if len(group) == 1:
        return group[0]
    return F["stack"]([reshape(g, -1) for g in F["meshgrid"](*group)], 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:  # noqa: A002
    """The combinations of `r` elements of a vector, as rows."""
    if input.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return F["empty"](0, dtype=input.dtype)
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.array(list(choose(range(input.shape[0]), r)), np.int64).reshape(-1, r)
    return METHODS["index_select"](input, 0, from_host(rows.reshape(-1))).reshape(rows.shape)


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:  # noqa: A002
    """Turned k times by 90 degrees from the first of `dims` towards the second."""
    n = input.ndim
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if n < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {n}")
    if dims[0] == dims[1] or abs(dims[0] - dims[1]) == n:
        raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}")
    for name, d in zip(("dim0", "dim1"), dims, strict=True):
        if not -n <= d < n:
            raise RuntimeError(f"Rotation {name} out of range, {name} = {d}")
    a, b = (d % n for d in dims)
    turns = k % 4
    if turns == 1:
        return transpose(F["flip"](input, (b,)), a, b)
    if turns == 2:
        return F["flip"](input, (a, b))
    return F["flip"](transpose(input, a, b), (b,)) if turns == 3 else input.clone()  # type: ignore[attr-defined]


def fliplr(input: Tensor) -> Tensor:  # noqa: A002
    """Columns in reverse order."""
    if input.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return F["flip"](input, (1,))


def flipud(input: Tensor) -> Tensor:  # noqa: A002
    """Rows in reverse order."""
    if input.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return F["flip"](input, (0,))


def tensor_split(
    input: Tensor, indices_or_sections: Any = None, dim: int = 0, *, indices: Any = None, sections: Any = None  # noqa: A002
) -> tuple[Tensor, ...]:  # fmt: skip
    """Views: so many sections whose lengths differ by at most one, or the parts between indices.

    >>> import monograph as mg
    >>> [list(p.shape) for p in mg.tensor_split(mg.arange(7), 3)]
    [[3], [2], [2]]
    """
    where = next((w for w in (indices_or_sections, indices, sections) if w is not None), None)
    if input.ndim < 1:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    d = normalize_dim(dim, input.ndim)
    size = input.shape[d]
    if isinstance(where, Tensor):
        if where.dtype is not dtypes.int64 or where.ndim > 1:
            raise RuntimeError(
                "tensor_split expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional tensor with long dtype, "
                f"but got {where.dtype.name}{list(where.shape)}"
            )
        where = where.tolist()  # type: ignore[attr-defined]
    if isinstance(where, int):
        if where <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {where}")
        small, more = divmod(size, where)
        lengths = [small + 1] * more + [small] * (where - more)
        starts = [0, *itertools.accumulate(lengths)][:-1]
        return tuple(narrow(input, d, s, n) for s, n in zip(starts, lengths, strict=True))
    if where is None:
        raise TypeError("tensor_split() missing 1 required positional argument: 'indices_or_sections'")
    edges = [slice(None, i).indices(size)[1] for i in where]
    parts = []
    for low, high in zip([0, *edges], [*edges, size], strict=True):
        parts.append(narrow(input, d, min(low, size), max(high - low, 0)))
    return tuple(parts)


def _splits(name: str, least: int, dim: Callable[[Tensor], int], doc: str) -> None:
    def function(input: Tensor, indices_or_sections: Any = None, *, indices: Any = None, sections: Any = None) -> tuple[Tensor, ...]:  # noqa: A002
        where = next((w for w in (indices_or_sections, indices, sections) if w is not None), None)
        if input.ndim < least:
            raise RuntimeError(
                f"{name} requires a tensor with at least {least} dimension{'s' * (least > 1)}, but got a tensor with {input.ndim} "
                "dimensions!"
            )
        d = dim(input)
        if isinstance(where, int) and (where <= 0 or input.shape[d] % where):
            raise RuntimeError(
                f"{name} attempted to split along dimension {d}, but the size of the dimension {input.shape[d]} is not divisible by "
                f"the split_size {where}!"
            )
        return tensor_split(input, where, d)

    function.__doc__ = doc
    publish(name, function)


_splits("hsplit", 1, lambda x: 0 if x.ndim == 1 else 1, "Views split along columns (a vector along its elements).")
_splits("vsplit", 2, lambda x: 0, "Views split along rows.")
_splits("dsplit", 3, lambda x: 2, "Views split along the third dimension.")


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:  # noqa: A002
    """Matrices with the last dimension on their diagonals and zeros elsewhere, in dimensions dim1 and dim2."""
    n = input.ndim + 1
    a, b = normalize_dim(dim1, n), normalize_dim(dim2, n)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    size = input.shape[-1] + abs(offset)
    made = F["zeros"](*input.shape[:-1], size, size, dtype=input.dtype)
    placed = F["diagonal_scatter"](made, input, offset, n - 2, n - 1)
    order = list(range(n - 2))
    for place_, source in sorted(((a, n - 2), (b, n - 1))):
        order.insert(place_, source)
    return permute(placed, order).clone() if order != list(range(n)) else placed  # type: ignore[attr-defined]


def diagflat(input: Tensor, offset: int = 0) -> Tensor:  # noqa: A002
    """A matrix with the flattened elements on its diagonal."""
    return F["diag"](reshape(input, -1), offset)


def _triangle_indices(name: str, found: Any) -> None:
    def function(
        row: int, col: int, offset: int = 0, *, dtype: dtypes.dtype | None = None, device: Any = None, layout: Any = None
    ) -> Tensor:  # fmt: skip
        if row < 0 or col < 0:
            raise RuntimeError(f"{'row' if row < 0 else 'col'} must be non-negative, got {min(row, col)}")
        return place(from_host(np.stack(found(row, offset, col)).reshape(2, -1), dtypes.given(dtype, dtypes.int64)), device, False)

    function.__doc__ = f"The (row, column) indices of the {name[:4]} of a row x col matrix: a 2 x N tensor."
    publish(name, function, method=False)


_triangle_indices("tril_indices", np.tril_indices)
_triangle_indices("triu_indices", np.triu_indices)


def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """Flat indices as a tuple of one index tensor per dimension of `shape`."""
    if indices.dtype.kind not in "iu":
        raise TypeError(f"unravel_index(): expected 'indices' to be integer dtype, but got {indices.dtype.name}")
    sizes = (shape,) if isinstance(shape, int) else tuple(int(n) for n in (shape.tolist() if isinstance(shape, Tensor) else shape))  # type: ignore[attr-defined]
    if not all(n >= 0 for n in sizes):
        raise RuntimeError(f"unravel_index(): 'shape' cannot have negative values, but got {sizes}")
    found, rest = [], indices.to(dtypes.int64)  # type: ignore[attr-defined]
    for n in reversed(sizes):
        found.append(F["remainder"](rest, n))
        rest = F["floor_divide"](rest, n)
    return tuple(reversed(found))


def sum_to_size(input: Tensor, *size: Any) -> Tensor:  # noqa: A002
    """Summed over the dimensions along which a tensor of `size` would be broadcast to this one."""
    want = tuple(size[0]) if len(size) == 1 and isinstance(size[0], tuple | list) else tuple(size)
    have = tuple(input.shape)
    if not want:
        return F["sum"](input)
    extra = len(have) - len(want)
    if extra < 0 or any(n not in (1, have[i + extra]) for i, n in enumerate(want)):
        raise ShapeError(f"size {{{list(want)}}} is not expandable to size {{{list(have)}}}.")
    dims = tuple(range(extra)) + tuple(i + extra for i, n in enumerate(want) if n == 1 and have[i + extra] != 1)
    if not dims:
        return input
    return reshape(F["sum"](input, dims, True), want)


def _returning_nothing(function: Callable[..., Any]) -> Callable[..., Any]:
    """With `out=`, which takes several tensors, None is returned: so does torch."""

    @wraps(function)
    def into(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        made = function(*args, out=out, **kwargs)
        return made if out is None else None

    return into


def _copied(name: str, function: Callable[..., Any]) -> None:
    @wraps(function)
    def copy(*args: Any, **kwargs: Any) -> Any:
        made = function(*args, **kwargs)
        return tuple(part.clone() for part in made) if isinstance(made, tuple) else made.clone()

    copy.__doc__ = f"A copy of what `{name.removesuffix('_copy')}` shows."
    publish(name, copy, method=False)
    F[name] = takes_out(copy)
    if name in ("unbind_copy", "split_copy", "split_with_sizes_copy"):
        F[name] = _returning_nothing(F[name])


def _sliced_unsafe(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def unsafe(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    unsafe.__doc__ = "The same as without `unsafe_`: views here know what they are views of."
    return unsafe


def narrow_copy(input: Tensor, dim: int, start: int, length: int) -> Tensor:  # noqa: A002
    """A copy of `length` elements along `dim` from `start` on."""
    return narrow(input, dim, start, length).clone()  # type: ignore[attr-defined]


F["column_stack"], F["block_diag"], F["cartesian_prod"], F["combinations"] = column_stack, block_diag, cartesian_prod, combinations
for _name, _function in {
    "rot90": rot90, "fliplr": fliplr, "flipud": flipud, "tensor_split": tensor_split, "diag_embed": diag_embed, "diagflat": diagflat,
    "narrow_copy": narrow_copy,
}.items():  # fmt: skip
    publish(_name, _function)
METHODS["sum_to_size"] = sum_to_size
F["unravel_index"] = unravel_index
F["narrow_copy"] = takes_out(narrow_copy)
for _name, _function in {"unsafe_chunk": F["chunk"], "unsafe_split": split, "unsafe_split_with_sizes": split}.items():
    publish(_name, _sliced_unsafe(_function))
_copied("alias_copy", lambda input: input)
for _name in "diagonal expand permute squeeze t transpose unsqueeze view unfold unbind split split_with_sizes select".split():
    _copied(_name + "_copy", METHODS[_name])
