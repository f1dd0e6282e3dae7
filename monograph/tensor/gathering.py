"""gather and scatter and their relatives, nonzero, masks, unique."""

from __future__ import annotations

from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core.errors import DimensionError
from monograph.core.shape import broadcast_all, normalize_dim, numel
from monograph.graph.node import Node
from monograph.ops import index as index_ops
from monograph.ops import movement, source
from monograph.tensor.core import Tensor
from monograph.tensor.creation import from_host
from monograph.tensor.delivery import deliver, keep_apart, takes_out
from monograph.tensor.dispatch import cast_node, emit, read, scalar_node
from monograph.tensor.indexing import expand_masks, setitem
from monograph.tensor.interop import host_array
from monograph.tensor.pointwise import FUNCTIONS, METHODS, publish
from monograph.tensor.views import expand


def _index_node(i: Tensor, name: str) -> Node:
    node = read(i)
    if node.dtype not in (dtypes.int64, dtypes.int32) and 0 not in node.shape:
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index, got {node.dtype.name}")
    return cast_node(node, dtypes.int64)


def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """out[i][j] = input[index[i][j]][j] for dim 0, and so on."""
    x = read(input)
    if out is not None:
        keep_apart(out, input, index)
    i, d = _index_node(index, "gather"), normalize_dim(dim, len(x.shape))
    if 0 in i.shape and len(i.shape) != len(x.shape):  # nothing is asked for: of any number of dimensions
        nothing = movement.slice(movement.reshape(x, shape=(numel(x.shape),)), starts=(0,), steps=(1,), lengths=(0,))
        return deliver(emit(movement.reshape, nothing, shape=i.shape), out, exact=True)
    return deliver(emit(index_ops.gather, x, i, dim=d), out, exact=True)


def _source(src: Any, like: Node, i: Node, name: str) -> Node:
    if isinstance(src, Tensor):
        s = read(src)
        if s.dtype is not like.dtype:
            raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype, got {like.dtype.name} and {s.dtype.name}")
        return s
    return movement.expand(cast_node(scalar_node(src, like.dtype), like.dtype), shape=i.shape)


def scatter(input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None,
reduce: str | None = None) -> Tensor:  # noqa: A002
    """A copy with input[index[i][j]][j] = src[i][j] (dim 0); reduce "add" or "multiply" combines instead."""
    x = read(input)
    i = _index_node(index, "scatter")
    if 0 in i.shape:
        return emit(source.clone, x)
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
    if 0 in i.shape:
        return emit(source.clone, x)
    return emit(index_ops.scatter_add, x, i, _source(src, x, i, "scatter_add"), dim=normalize_dim(dim, len(x.shape)))


def scatter_reduce(input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True) -> Tensor:  # noqa: A002
    """A copy with src combined at the indexed places: sum, prod, mean, amax or amin."""
    x = read(input)
    i = _index_node(index, "scatter_reduce")
    if 0 in i.shape:
        return emit(source.clone, x)
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


def _check_vector(name: str, index: Tensor) -> None:
    if index.ndim > 1:
        raise DimensionError(f"{name}_(): Index should have dimension 1 or 0 (got {index.ndim})")
    if index.dtype is not dtypes.int64 and index.dtype is not dtypes.int32:
        raise DimensionError(f"{name}_(): Expected a long tensor for index, but got {index.dtype.name}")


def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:  # noqa: A002
    """A copy whose slices named by `index` are those of `source`."""
    d = normalize_dim(dim, input.ndim)
    _check_vector("index_copy", index)
    if source.dtype is not input.dtype:
        raise RuntimeError(
            f"index_copy_(): self and source expected to have the same dtype, but got (self) {input.dtype.name} and (source) "
            f"{source.dtype.name}"
        )
    if not input.ndim:
        return METHODS["reshape"](index_copy(METHODS["reshape"](input, 1), 0, index, METHODS["reshape"](source, -1)), ())
    made = METHODS["clone"](input)
    setitem(made, _along(METHODS["reshape"](index, -1), d), source if source.ndim else METHODS["reshape"](source, 1))
    return made


def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:  # noqa: A002
    """A copy whose slices named by `index` hold `value`."""
    d = normalize_dim(dim, input.ndim)
    _check_vector("index_fill", index)
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError(f"index_fill_ only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s).")
    if not input.ndim:
        return METHODS["reshape"](index_fill(METHODS["reshape"](input, 1), 0, index, value), ())
    made = METHODS["clone"](input)
    setitem(made, _along(METHODS["reshape"](index, -1), d), value)
    return made


def index_put(input: Tensor, indices: tuple[Tensor, ...], values: Tensor, accumulate: bool = False) -> Tensor:  # noqa: A002
    """A copy with `values` at input[indices] (added there if `accumulate`)."""
    dims, found = expand_masks(input, dict(enumerate(indices)))
    x = read(input)
    nodes = [read(i) for i in found]
    region = index_ops.index(x, *nodes, dims=dims).shape
    v = cast_node(read(values), x.dtype)
    v = v if v.shape == region else movement.expand(v, shape=region)
    return emit(index_ops.index_put, x, *nodes, v, dims=dims, accumulate=bool(accumulate))


def take(input: Tensor, index: Tensor) -> Tensor:  # noqa: A002
    """Elements of the flattened tensor."""
    if index.dtype is not dtypes.int64:
        raise RuntimeError(f"take(): Expected a long tensor for index, but got {index.dtype.name}")
    return METHODS["reshape"](input, -1)[index]


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:  # noqa: A002
    """`gather` with broadcasting; over the flattened tensors without `dim`."""
    if indices.dtype is not dtypes.int64 and (dim is not None or indices.dtype is not dtypes.int32):
        raise RuntimeError(f"torch.take_along_dim(): dtype of indices should be Long but got {indices.dtype.name}")
    if dim is None:
        return take_along_dim(METHODS["reshape"](input, -1), METHODS["reshape"](indices, -1).to(dtypes.int64), 0)
    if input.ndim != indices.ndim:
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, but got "
            f"{input.ndim} dimensions for input, and {indices.ndim} dimensions for indices"
        )
    d = normalize_dim(dim, input.ndim)
    a, b = list(input.shape), list(indices.shape)
    if a:
        indices = FUNCTIONS["where"](indices < 0, indices + a[d], indices)
    shape = broadcast_all([tuple(1 if i == d else n for i, n in enumerate(a)), tuple(1 if i == d else n for i, n in enumerate(b))])
    return gather(
        expand(input, tuple(a[d] if i == d else n for i, n in enumerate(shape))),
        d,
        expand(indices, tuple(b[d] if i == d else n for i, n in enumerate(shape))),
    )


def nonzero(input: Tensor, *, as_tuple: bool = False, out: Tensor | None = None) -> Any:  # noqa: A002
    """Indices of the elements that are not zero: a [count, ndim] tensor, or a vector per dimension. Looks at the values."""
    found = np.nonzero(np.atleast_1d(host_array(input)))
    if as_tuple:
        if out is not None:
            raise TypeError("nonzero(): as_tuple=True gives a new vector for each dimension and takes no out=; leave one of them away")
        return tuple(from_host(f) for f in found)
    return deliver(from_host(np.stack(found, 1) if input.ndim else np.zeros((len(found[0]), 0), np.int64)), out, exact=True)


def masked_select(input: Tensor, mask: Tensor) -> Tensor:  # noqa: A002
    """The elements where the (broadcast) mask holds, as a vector."""
    if mask.dtype is not dtypes.bool_:
        raise RuntimeError(f"masked_select: expected BoolTensor for mask, got {mask.dtype.name}")
    shape = broadcast_all([tuple(input.shape), tuple(mask.shape)])
    return expand(input, shape)[expand(mask, shape)]


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:  # noqa: A002
    """A copy where the mask's places take the elements of `source` in order."""
    if mask.dtype is not dtypes.bool_:
        raise RuntimeError(f"masked_scatter_ only supports boolean masks, but got mask with dtype {mask.dtype.name}")
    if source.dtype is not input.dtype:
        raise RuntimeError(
            f"masked_scatter: expected self and source to have same dtypes but got {input.dtype.name} and {source.dtype.name}"
        )
    shape = broadcast_all([tuple(input.shape), tuple(mask.shape)])
    made = METHODS["clone"](expand(input, shape))
    full = expand(mask, shape)
    count = int(np.count_nonzero(host_array(full)))
    if count > source.numel():  # type: ignore[attr-defined]
        raise RuntimeError(f"Number of elements of source < number of ones in mask: {source.numel()} < {count}")  # type: ignore[attr-defined]
    setitem(made, full, METHODS["reshape"](source, -1)[:count])
    return made


def unique(input: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
dim: int | None = None) -> Any:  # noqa: A002
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
    if input.dtype.kind not in "iu":
        raise NotImplementedError(f'"bincount_cpu" not implemented for \'{input.dtype.name}\'')
    if input.ndim != 1 or (input.shape[0] and int(input.min()) < 0):  # type: ignore[attr-defined]
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if minlength < 0:
        raise RuntimeError(f"minlength should be >= 0, got {minlength}")
    if weights is not None and tuple(weights.shape) != tuple(input.shape):
        raise RuntimeError("weights should be 1-d and have the same length as input")
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
for _name in (
    "scatter", "scatter_add", "scatter_reduce", "index_add", "index_copy", "index_select", "take", "take_along_dim", "masked_select",
):  # fmt: skip
    FUNCTIONS[_name] = takes_out(FUNCTIONS[_name], apart=_name in ("index_select", "take", "take_along_dim", "masked_select"))
FUNCTIONS["argwhere"] = METHODS["argwhere"] = nonzero
