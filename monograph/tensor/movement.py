"""Movement that copies: joins, repeats, flips, triangles, grids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monograph.core import dtype as dtypes
from monograph.core.clashes import unequal_entries
from monograph.core.errors import ArgumentError
from monograph.core.shape import broadcast_all, normalize_dim, numel
from monograph.graph.node import Node
from monograph.ops import movement
from monograph.tensor.core import Size, Tensor, meta_nodes
from monograph.tensor.delivery import deliver, keep_apart, takes_out
from monograph.tensor.dispatch import apply, cast_node, emit, read, same_device
from monograph.tensor.pointwise import FUNCTIONS, METHODS, publish
from monograph.tensor.strides import shape_of, sizes
from monograph.tensor.views import diagonal as view_diagonal
from monograph.tensor.views import expand, flatten, reshape, transpose, unsqueeze


def cat(tensors: Sequence[Tensor], dim: int = 0, *, out: Tensor | None = None, axis: int | None = None) -> Tensor:
    """Tensors joined along an existing dimension; dtypes are promoted."""
    if isinstance(tensors, Tensor):
        raise TypeError("cat(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor")
    if not tensors:
        raise ArgumentError("cat(): expected a non-empty list of Tensors")
    nodes = [read(x) for x in tensors]  # TypeError for what is no tensor
    if meta_nodes.data:  # type: ignore[attr-defined]
        same_device(*tensors)
    to = nodes[0].dtype
    for n in nodes[1:]:
        to = FUNCTIONS["promote_types"](to, n.dtype)
    nodes = [n for n in nodes if n.shape != (0,)] or nodes[:1]
    d = normalize_dim(dim if axis is None else axis, len(nodes[0].shape))
    if not nodes[0].shape:
        raise RuntimeError("zero-dimensional tensor (at position 0) cannot be concatenated")
    result = emit(movement.cat, *[cast_node(n, to) for n in nodes], dim=d)
    if out is not None and not dtypes.can_cast(to, out.dtype):
        raise TypeError(f"cat(): input types can't be cast to the desired output type {out.dtype.name}")
    if out is not None:
        keep_apart(out, *tensors)
    return deliver(result, out)


def stack(tensors: Sequence[Tensor], dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """Tensors of equal shape joined along a new dimension."""
    tensors = list(tensors)
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    first = shape_of(tensors[0])
    for i, x in enumerate(tensors):
        if shape_of(x) != first:
            raise unequal_entries(first, shape_of(x), i)
    d = normalize_dim(dim, len(first) + 1)
    return cat([unsqueeze(x, d) for x in tensors], d, out=out)


def _at_least(n: int) -> Any:
    def lift(*tensors: Any) -> Any:
        group = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors
        out = []
        for x in group:
            while x.ndim < n:
                x = unsqueeze(x, 0) if x.ndim < 2 else unsqueeze(x, -1)
            out.append(x)
        return out[0] if len(tensors) == 1 and isinstance(tensors[0], Tensor) else tuple(out)

    return lift


def repeat(input: Tensor, *repeats: Any, **given: Any) -> Tensor:  # noqa: A002
    """Copies of the tensor laid side by side."""
    times = sizes(repeats, given)
    old = shape_of(input)
    if len(times) < len(old):
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    return apply(movement.repeat, input, repeats=times)


def tile(input: Tensor, *dims: Any, **given: Any) -> Tensor:  # noqa: A002
    """`repeat` that pads the counts with ones, as numpy.tile."""
    times = sizes(dims, given)
    n = len(shape_of(input))
    return repeat(input, (1,) * (n - len(times)) + times)


def repeat_interleave(input: Tensor, repeats: Any, dim: int | None = None, *, output_size: int | None = None) -> Tensor:  # noqa: A002
    """Every element repeated in place along `dim` (of the flattened tensor by default)."""
    x = flatten(input) if dim is None else input
    d = 0 if dim is None else normalize_dim(dim, x.ndim)
    if isinstance(repeats, int):
        old = shape_of(x)
        spread = expand(unsqueeze(x, d + 1), (*old[: d + 1], repeats, *old[d + 1 :]))
        return reshape(spread, (*old[:d], old[d] * repeats, *old[d + 1 :]))
    counts = repeats.tolist()
    counts = [counts] * shape_of(x)[d] if isinstance(counts, int) else (counts * shape_of(x)[d] if len(counts) == 1 else counts)
    at = [i for i, n in enumerate(counts) for _ in range(n)]
    return METHODS["index_select"](x, d, FUNCTIONS["tensor"](at, dtype=FUNCTIONS["int64"]))


def flip(input: Tensor, *dims: Any, **given: Any) -> Tensor:  # noqa: A002
    """The order of elements reversed along dimensions."""
    n = len(shape_of(input))
    return apply(movement.flip, input, dims=tuple(sorted(normalize_dim(d, n) for d in sizes(dims, given))))


def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:  # noqa: A002
    """Elements shifted along dimensions; what leaves at one end enters at the other."""
    if dims is None:
        return reshape(roll(flatten(input), shifts, 0), shape_of(input))
    s = shifts if isinstance(shifts, tuple | list) else (shifts,)
    d = dims if isinstance(dims, tuple | list) else (dims,)
    return apply(movement.roll, input, shifts=tuple(s), dims=tuple(normalize_dim(k, input.ndim) for k in d))


def triangle(op: Any) -> Any:
    """tril or triu."""

    def function(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
        if len(shape_of(input)) < 2:
            raise RuntimeError(f"{op.name}: input tensor must have at least 2 dimensions")
        result = apply(op, input, diagonal=diagonal)
        return deliver(result, out, exact=True)

    function.__doc__ = f"The {op.name} of the last two dimensions; zeros elsewhere."
    return function


def diag(input: Tensor, diagonal: int = 0) -> Tensor:  # noqa: A002
    """The diagonal of a matrix (a copy), or the matrix with a vector as its diagonal."""
    if input.ndim == 2:
        return METHODS["clone"](view_diagonal(input, diagonal))
    if input.ndim != 1:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
    n = shape_of(input)[0] + abs(diagonal)
    made = FUNCTIONS["zeros"](n, n, dtype=input.dtype)
    METHODS["copy_"](view_diagonal(made, diagonal), input)
    return made


def pad_node(x: Node, low: Sequence[int], high: Sequence[int], value: Any = 0) -> Node:
    """Constant padding, `low` and `high` per dimension; negative crops."""
    return movement.pad(x, low=tuple(low), high=tuple(high), value=value)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Coordinate grids of vectors."""
    group = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else list(tensors)
    if not group:
        raise RuntimeError("torch.meshgrid: meshgrid expects a non-empty TensorList")
    if bad := next((x for x in group if x.ndim > 1), None):
        raise RuntimeError(f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {list(bad.shape)}")
    shape = tuple(numel(shape_of(x)) for x in group)
    grids = [expand(reshape(x, tuple(-1 if j == i else 1 for j in range(len(group)))), shape) for i, x in enumerate(group)]
    if indexing == "xy" and len(group) > 1:
        grids = [transpose(g, 0, 1) for g in grids]
    return tuple(grids)


for _name, _function in {
    "tile": tile, "flip": flip, "roll": roll, "tril": triangle(movement.tril), "triu": triangle(movement.triu), "diag": diag,
    "repeat_interleave": repeat_interleave,
}.items():  # fmt: skip
    publish(_name, _function, in_place=_name in ("tril", "triu"))
METHODS["repeat"] = repeat
FUNCTIONS["diag"] = takes_out(FUNCTIONS["diag"])
FUNCTIONS.update(
    cat=cat, concat=cat, concatenate=cat, stack=stack, meshgrid=meshgrid, atleast_1d=_at_least(1), atleast_2d=_at_least(2),
    atleast_3d=_at_least(3),
    broadcast_shapes=lambda *shapes: Size(broadcast_all([(s,) if isinstance(s, int) else tuple(s) for s in shapes])),
)  # fmt: skip
