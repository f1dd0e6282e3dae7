"""x[...] and x[...] = v in all their forms, gather and scatter, nonzero and masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core.errors import DimensionError, ShapeError
from monograph.core.shape import broadcast_all, normalize_dim
from monograph.core.symbol import Sym
from monograph.graph.node import Node
from monograph.ops import index as index_ops
from monograph.ops import movement
from monograph.tensor.core import Tensor, wrap
from monograph.tensor.creation import from_host, tensor
from monograph.tensor.dispatch import apply, apply_view, cast_node, emit, read, scalar_node, store
from monograph.tensor.interop import host_array
from monograph.tensor.movement import expand
from monograph.tensor.pointwise import FUNCTIONS, METHODS, publish


def _is_int(key: Any) -> bool:
    return isinstance(key, int | np.integer | Sym) and not isinstance(key, bool)


def getitem(self: Tensor, key: Any) -> Tensor:
    """self[key]: a view for integers, slices, None and ...; a copy for index tensors, lists and masks (NumPy's rules)."""
    view, advanced = _basic(self, key)
    return view if not advanced else _gather_advanced(view, advanced)


def setitem(self: Tensor, key: Any, value: Any) -> None:
    """self[key] = value, seen by every view; the value is cast and broadcast."""
    self._check_writable()
    view, advanced = _basic(self, key)
    old = read(view)
    if isinstance(value, Tensor):
        v = read(value)
    elif isinstance(value, int | float | bool | complex | np.number | np.bool_):
        v = scalar_node(value, old.dtype)
    else:
        v = read(tensor(value))
    v = cast_node(v, old.dtype)
    if not advanced:
        while len(v.shape) > len(old.shape) and v.shape[0] == 1:
            v = movement.reshape(v, shape=v.shape[1:])
        if v.shape != old.shape:
            try:
                v = movement.expand(v, shape=old.shape)
            except RuntimeError:
                raise ShapeError(f"shape mismatch: value tensor of shape {list(v.shape)} cannot be broadcast to indexing result of shape {list(old.shape)}") from None
        store(view if view._base is not None or view is self else self, v, "setitem")
        return
    mask = _single_mask(view, advanced)
    if mask is not None and not v.shape:
        METHODS["masked_fill_"](view, mask, wrap(v))
        return
    dims, indices = _expand_masks(view, advanced)
    region = index_ops.index(old, *[read(i) for i in indices], dims=dims).shape
    while len(v.shape) > len(region) and v.shape[0] == 1:
        v = movement.reshape(v, shape=v.shape[1:])
    try:
        v = v if v.shape == region else movement.expand(v, shape=region)
    except RuntimeError:
        raise ShapeError(f"shape mismatch: value tensor of shape {list(v.shape)} cannot be broadcast to indexing result of shape {list(region)}") from None
    store(view, index_ops.index_put(old, *[read(i) for i in indices], v, dims=dims, accumulate=False), "setitem")


def _basic(self: Tensor, key: Any) -> tuple[Tensor, dict[int, Tensor]]:
    """Applies the view part of a key. Returns the view and the index tensors left, by dimension of the view."""
    if isinstance(key, list) and any(isinstance(k, slice | Tensor | type(None) | type(Ellipsis)) for k in key):
        key = tuple(key)
    parts = list(key) if isinstance(key, tuple) else [key]
    shape = read(self).shape
    takes = 0
    for k in parts:
        if k is None or k is Ellipsis or isinstance(k, bool | np.bool_):
            continue
        takes += k.ndim if isinstance(k, Tensor | np.ndarray) and _is_mask(k) else 1
    if takes > len(shape):
        raise DimensionError(f"too many indices for tensor of dimension {len(shape)}")
    dots = [i for i, k in enumerate(parts) if k is Ellipsis]
    if len(dots) > 1:
        raise DimensionError("an index can only have a single ellipsis ('...')")
    at = dots[0] if dots else len(parts)
    parts[at : at + 1] = [slice(None)] * (len(shape) - takes)
    starts, steps, lengths, result = [], [], [], []  # result: new shape after slicing; None entries add dimensions
    advanced: dict[int, Tensor] = {}
    d = 0
    for k in parts:
        if k is None:
            result.append(1)
        elif isinstance(k, bool | np.bool_):
            advanced[len(result)] = tensor([0] if k else [], dtype=dtypes.int64)
            result.append(1)
        elif isinstance(k, slice):
            start, step, length = _slice_bounds(k, shape[d])
            starts.append(start), steps.append(step), lengths.append(length)
            result.append(length)
            d += 1
        elif _is_int(k) or (isinstance(k, Tensor) and not k.shape and k.dtype.kind in "iu" and not k.requires_grad and k.dtype is not dtypes.uint8 and _known(k)):
            i = k if isinstance(k, Sym) else int(k)
            n = shape[d]
            if not -n <= i < n:
                raise DimensionError(f"index {i} is out of bounds for dimension {d} with size {n}")
            starts.append(i + n if i < 0 else i), steps.append(1), lengths.append(1)
            d += 1
        else:
            t = k if isinstance(k, Tensor) else tensor(np.asarray(k) if not isinstance(k, list | tuple) or len(k) else np.zeros(0, np.int64))
            if t.dtype.kind == "f":
                raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
            width = t.ndim if _is_mask(t) else 1
            if _is_mask(t) and tuple(t.shape) != tuple(shape[d : d + width]):
                bad = next(i for i in range(width) if t.shape[i] != shape[d + i])
                raise DimensionError(f"The shape of the mask {list(t.shape)} at index {bad} does not match the shape of the indexed tensor {list(shape)} at index {d + bad}")
            advanced[len(result)] = t
            for _ in range(width):
                starts.append(0), steps.append(1), lengths.append(shape[d])
                result.append(shape[d])
                d += 1
    view = self
    if any(s != 0 for s in starts) or any(s != 1 for s in steps) or tuple(lengths) != shape:
        view = apply_view(movement.slice, view, starts=tuple(starts), steps=tuple(steps), lengths=tuple(lengths))
    if tuple(result) != tuple(lengths):
        view = apply_view(movement.reshape, view, shape=tuple(result))
    elif view is self and not advanced:
        view = apply_view(movement.reshape, self, shape=tuple(shape))
    return view, advanced


def _known(t: Tensor) -> bool:
    """Whether a 0-d index may be looked at: its value is there already (a lazy one is gathered on the graph instead)."""
    return read(t).value is not None


def _is_mask(t: Any) -> bool:
    return t.dtype is dtypes.bool_ or t.dtype is dtypes.uint8 or t.dtype == np.bool_


def _slice_bounds(k: slice, n: Any) -> tuple[Any, int, Any]:
    step = 1 if k.step is None else int(k.step)
    if step <= 0:
        raise ValueError("step must be greater than zero; use flip() to reverse a dimension")
    bounds = [b if b is None or isinstance(b, Sym) else int(b) for b in (k.start, k.stop)]
    if bounds == [None, None] and step == 1:
        return 0, 1, n
    start, stop = bounds[0] or 0, n if bounds[1] is None else bounds[1]
    start = max(start + n, 0) if start < 0 else (start if start <= n else n)
    stop = max(stop + n, 0) if stop < 0 else (stop if stop <= n else n)
    length = stop - start
    if length <= 0:
        return (0 if n == 0 else start), 1, 0
    return start, step, length if step == 1 else -(-length // step)


def _single_mask(view: Tensor, advanced: dict[int, Tensor]) -> Tensor | None:
    """A lone boolean mask, expanded to the view's shape: then no positions need to be known."""
    if len(advanced) != 1:
        return None
    ((at, mask),) = advanced.items()
    if mask.dtype is not dtypes.bool_ or mask.ndim == 0:
        return None
    shape = read(view).shape
    return expand(METHODS["reshape"](mask, (1,) * at + tuple(mask.shape) + (1,) * (len(shape) - at - mask.ndim)), shape)


def _expand_masks(view: Tensor, advanced: dict[int, Tensor]) -> tuple[tuple[int, ...], list[Tensor]]:
    dims: list[int] = []
    indices: list[Tensor] = []
    for at, t in sorted(advanced.items()):
        if _is_mask(t):
            for j, where in enumerate(np.nonzero(host_array(t))):
                dims.append(at + j)
                indices.append(from_host(where))
        else:
            dims.append(at)
            indices.append(t if t.dtype is dtypes.int64 else t.to(dtypes.int64))  # type: ignore[attr-defined]
    try:
        shape = broadcast_all([read(i).shape for i in indices])
    except ShapeError:
        raise DimensionError(f"shape mismatch: indexing tensors could not be broadcast together with shapes {', '.join(str(list(i.shape)) for i in indices)}") from None
    return tuple(dims), [i if read(i).shape == shape else expand(i, shape) for i in indices]


def _gather_advanced(view: Tensor, advanced: dict[int, Tensor]) -> Tensor:
    dims, indices = _expand_masks(view, advanced)
    return apply(index_ops.index, view, *indices, dims=dims)


METHODS["__getitem__"] = getitem
METHODS["__setitem__"] = setitem


def _index_node(i: Tensor, name: str) -> Node:
    node = read(i)
    if node.dtype.kind not in "iu" or node.dtype is dtypes.uint8:
        raise RuntimeError(f"{name}(): Expected dtype int64 for index, got {node.dtype.name}")
    return cast_node(node, dtypes.int64)


def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """out[i][j] = input[index[i][j]][j] for dim 0, and so on."""
    x = read(input)
    return emit(index_ops.gather, x, _index_node(index, "gather"), dim=normalize_dim(dim, len(x.shape)))


def _source(src: Any, like: Node, i: Node, name: str) -> Node:
    if isinstance(src, Tensor):
        s = read(src)
        if s.dtype is not like.dtype:
            raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype, got {like.dtype.name} and {s.dtype.name}")
        return s
    return movement.expand(cast_node(scalar_node(src, like.dtype), like.dtype), shape=i.shape)


def scatter(input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None) -> Tensor:  # noqa: A002
    """A copy with input[index[i][j]][j] = src[i][j] (dim 0); reduce "add" or "multiply" combines instead."""
    x = read(input)
    i = _index_node(index, "scatter")
    s = _source(value if src is None else src, x, i, "scatter")
    d = normalize_dim(dim, len(x.shape))
    if reduce in ("add", "sum"):
        return emit(index_ops.scatter_add, x, i, s, dim=d)
    if reduce == "multiply":
        return emit(index_ops.scatter_reduce, x, i, s, dim=d, reduce="prod", include_self=True)
    return emit(index_ops.scatter, x, i, s, dim=d)


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:  # noqa: A002
    """A copy with src added at the indexed places."""
    x = read(input)
    i = _index_node(index, "scatter_add")
    return emit(index_ops.scatter_add, x, i, _source(src, x, i, "scatter_add"), dim=normalize_dim(dim, len(x.shape)))


def scatter_reduce(input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True) -> Tensor:  # noqa: A002
    """A copy with src combined at the indexed places: sum, prod, mean, amax or amin."""
    x = read(input)
    i = _index_node(index, "scatter_reduce")
    return emit(index_ops.scatter_reduce, x, i, read(src), dim=normalize_dim(dim, len(x.shape)), reduce=reduce, include_self=include_self)


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:  # noqa: A002
    """The slices of `dim` that a vector of indices names."""
    x = read(input)
    i = _index_node(index, "index_select")
    if len(i.shape) > 1:
        raise DimensionError("index_select(): Index is supposed to be a vector")
    return emit(index_ops.index_select, x, movement.reshape(i, shape=(1,)) if not i.shape else i, dim=normalize_dim(dim, len(x.shape)))


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:  # noqa: A002
    """A copy with alpha * source added to the slices that `index` names."""
    x = read(input)
    s = read(source)
    s = s if alpha == 1 else s * alpha
    return emit(index_ops.index_add, x, _index_node(index, "index_add"), s, dim=normalize_dim(dim, len(x.shape)))


def _along(t: Tensor, d: int) -> tuple[Any, ...]:
    return (slice(None),) * d + (t,)


def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:  # noqa: A002
    """A copy whose slices named by `index` are those of `source`."""
    made = METHODS["clone"](input)
    setitem(made, _along(index, normalize_dim(dim, input.ndim)), source)
    return made


def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:  # noqa: A002
    """A copy whose slices named by `index` hold `value`."""
    made = METHODS["clone"](input)
    setitem(made, _along(index, normalize_dim(dim, input.ndim)), value)
    return made


def index_put(input: Tensor, indices: tuple[Tensor, ...], values: Tensor, accumulate: bool = False) -> Tensor:  # noqa: A002
    """A copy with `values` at input[indices] (added there if `accumulate`)."""
    dims, found = _expand_masks(input, dict(enumerate(indices)))
    x = read(input)
    nodes = [read(i) for i in found]
    region = index_ops.index(x, *nodes, dims=dims).shape
    v = cast_node(read(values), x.dtype)
    v = v if v.shape == region else movement.expand(v, shape=region)
    return emit(index_ops.index_put, x, *nodes, v, dims=dims, accumulate=bool(accumulate))


def take(input: Tensor, index: Tensor) -> Tensor:  # noqa: A002
    """Elements of the flattened tensor."""
    return METHODS["reshape"](input, -1)[index]


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:  # noqa: A002
    """`gather` with broadcasting; over the flattened tensors without `dim`."""
    if dim is None:
        return gather(METHODS["reshape"](input, -1), 0, METHODS["reshape"](indices, -1))
    d = normalize_dim(dim, input.ndim)
    a, b = list(input.shape), list(indices.shape)
    shape = broadcast_all([tuple(1 if i == d else n for i, n in enumerate(a)), tuple(1 if i == d else n for i, n in enumerate(b))])
    return gather(
        expand(input, tuple(a[d] if i == d else n for i, n in enumerate(shape))), d, expand(indices, tuple(b[d] if i == d else n for i, n in enumerate(shape)))
    )


def nonzero(input: Tensor, *, as_tuple: bool = False, out: Tensor | None = None) -> Any:  # noqa: A002
    """Indices of the elements that are not zero: a [count, ndim] tensor, or a vector per dimension. Looks at the values."""
    found = np.nonzero(np.atleast_1d(host_array(input)))
    if as_tuple:
        return tuple(from_host(f) for f in found)
    return from_host(np.stack(found, 1) if input.ndim else np.zeros((len(found[0]), 0), np.int64))


def masked_select(input: Tensor, mask: Tensor) -> Tensor:  # noqa: A002
    """The elements where the (broadcast) mask holds, as a vector."""
    shape = broadcast_all([tuple(input.shape), tuple(mask.shape)])
    return expand(input, shape)[expand(mask, shape)]


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:  # noqa: A002
    """A copy where the mask's places take the elements of `source` in order."""
    made = METHODS["clone"](input)
    full = expand(mask, tuple(input.shape))
    count = int(np.count_nonzero(host_array(full)))
    setitem(made, full, METHODS["reshape"](source, -1)[:count])
    return made


def unique(input: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None) -> Any:  # noqa: A002
    """The distinct elements, sorted; with inverse positions and counts on demand. Looks at the values."""
    values, inverse, counts = np.unique(host_array(input), return_inverse=True, return_counts=True, axis=dim)
    shape = (read(input).shape) if dim is None else (-1,)
    out = [from_host(values)]
    if return_inverse:
        out.append(from_host(inverse.reshape(shape)))
    if return_counts:
        out.append(from_host(counts))
    return out[0] if len(out) == 1 else tuple(out)


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:  # noqa: A002
    """How often each value occurs in a vector of non-negative integers."""
    return from_host(np.bincount(host_array(input), None if weights is None else host_array(weights), minlength))


for _name, _function in {
    "scatter": scatter, "scatter_add": scatter_add, "scatter_reduce": scatter_reduce, "index_add": index_add, "index_copy": index_copy,
    "index_fill": index_fill, "index_put": index_put, "masked_scatter": masked_scatter,
}.items():  # fmt: skip
    publish(_name, _function, in_place=True)
for _name, _function in {
    "gather": gather, "index_select": index_select, "take": take, "take_along_dim": take_along_dim, "nonzero": nonzero,
    "masked_select": masked_select, "unique": unique, "bincount": bincount,
}.items():  # fmt: skip
    publish(_name, _function)
FUNCTIONS["argwhere"] = METHODS["argwhere"] = nonzero
