"""Movement: views, joins, splits, padding, triangles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monograph.core.errors import DimensionError, ShapeError
from monograph.core.modes import MODES
from monograph.core.shape import broadcast_all, contiguous_strides, infer_reshape, normalize_dim, numel
from monograph.core.symbol import Sym
from monograph.graph.node import Node
from monograph.ops import movement, source
from monograph.tensor.core import Size, Tensor, wrap
from monograph.tensor.dispatch import apply, apply_view, cast_node, emit, read
from monograph.tensor.pointwise import FUNCTIONS, METHODS, publish


def sizes(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Sizes given as numbers or as one sequence: (2, 3) or ((2, 3),)."""
    if len(args) == 1 and isinstance(args[0], tuple | list):
        args = tuple(args[0])
    out = []
    for a in args:
        if isinstance(a, Tensor):
            a = int(a)
        if not isinstance(a, int | Sym):
            try:
                a = a.__index__()
            except AttributeError:
                raise TypeError(f"sizes must be integers, got {type(a).__name__}: {a!r}") from None
        out.append(a)
    return tuple(out)


def _shape(x: Tensor) -> tuple[Any, ...]:
    return x._type().shape if MODES.now.capture is None else read(x).shape


def reshape(input: Tensor, *shape: Any) -> Tensor:  # noqa: A002
    """The same elements in another shape; one size may be -1."""
    old = _shape(input)
    new = infer_reshape(old, sizes(shape))
    return apply_view(movement.reshape, input, shape=new)


def view(input: Tensor, *shape: Any) -> Tensor:  # noqa: A002
    """`reshape` that shares memory; `view(dtype)` reinterprets nothing here and is refused.

    Raises RuntimeError where torch's strides could not express it (after `transpose`, say): use `reshape` or `contiguous` there.
    """
    if len(shape) == 1 and not isinstance(shape[0], int | Sym | tuple | list | Tensor):
        raise TypeError(f"view(): expected sizes, got {type(shape[0]).__name__}; use .to(dtype) to convert")
    old = _shape(input)
    new = infer_reshape(old, sizes(shape))
    if input._base is not None and not _viewable(old, strides(input), new):
        raise ShapeError("view size is not compatible with input tensor's size and stride (at least one dimension spans across two contiguous subspaces). Use .reshape(...) instead.")
    return apply_view(movement.reshape, input, shape=new)


def strides(input: Tensor) -> tuple[Any, ...]:  # noqa: A002
    """The strides that torch would report: row-major for a base, followed through the steps of a view."""
    if input._base is None:
        return contiguous_strides(_shape(input))
    shape = tuple(input._base._node.shape)  # type: ignore[union-attr]
    result: tuple[Any, ...] = contiguous_strides(shape)
    for op, a in input._steps:
        if op is movement.permute:
            result, shape = tuple(result[d] for d in a.dims), tuple(shape[d] for d in a.dims)
        elif op is movement.expand:
            lead = len(a.shape) - len(shape)
            result = tuple(0 if i < lead or (shape[i - lead] == 1 and n != 1) else result[i - lead] for i, n in enumerate(a.shape))
            shape = a.shape
        elif op is movement.slice:
            result, shape = tuple(s * k for s, k in zip(result, a.steps, strict=True)), a.lengths
        elif op is movement.reshape:
            result = _restride(shape, result, a.shape) or contiguous_strides(a.shape)
            shape = a.shape
        elif op is movement.diagonal:
            rest = [i for i in range(len(shape)) if i not in (a.dim1, a.dim2)]
            n = min(shape[a.dim1] - max(-a.offset, 0), shape[a.dim2] - max(a.offset, 0))
            result = (*[result[i] for i in rest], result[a.dim1] + result[a.dim2])
            shape = (*[shape[i] for i in rest], max(n, 0))
        elif op is movement.unfold:
            count = (shape[a.dim] - a.size) // a.step + 1
            result = (*result[: a.dim], result[a.dim] * a.step, *result[a.dim + 1 :], result[a.dim])
            shape = (*shape[: a.dim], count, *shape[a.dim + 1 :], a.size)
    return result


def _restride(shape: tuple[Any, ...], stride: tuple[Any, ...], new: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Strides of a reshape without a copy, or None (NumPy's rule)."""
    if numel(shape) == 0:
        return contiguous_strides(new)
    old = [(n, s) for n, s in zip(shape, stride, strict=True) if n != 1]
    result: list[Any] = []
    i = 0
    left: list[Any] = [n for n in new]
    while left:
        n = left.pop(0)
        if n == 1:
            result.append(old[i][0] * old[i][1] if i < len(old) else 1)
            continue
        group, total, chunk = [n], n, []
        while i < len(old):
            chunk.append(old[i])
            i += 1
            have = numel(tuple(c[0] for c in chunk))
            while have > total and left:
                total = total * left[0]
                group.append(left.pop(0))
            if have == total:
                break
        if any(a[1] != b[0] * b[1] for a, b in zip(chunk, chunk[1:], strict=False)):
            return None
        step = chunk[-1][1] if chunk else 1
        inner: list[Any] = []
        for g in reversed(group):
            inner.append(step)
            step = step * g
        result.extend(reversed(inner))
    return tuple(result)


def _viewable(shape: tuple[Any, ...], stride: tuple[Any, ...], new: tuple[Any, ...]) -> bool:
    return _restride(shape, stride, new) is not None


def is_contiguous(input: Tensor, memory_format: Any = None) -> bool:  # noqa: A002
    """Whether the strides are row-major."""
    shape = _shape(input)
    return all(n == 1 or a == b for n, a, b in zip(shape, strides(input), contiguous_strides(shape), strict=True)) or numel(shape) == 0


def contiguous(input: Tensor, memory_format: Any = None) -> Tensor:  # noqa: A002
    """The tensor itself when row-major, else a copy that is."""
    return input if input._base is None or is_contiguous(input) else emit(source.clone, read(input))


def permute(input: Tensor, *dims: Any) -> Tensor:  # noqa: A002
    """A view with the dimensions in another order."""
    shape = _shape(input)
    order = tuple(normalize_dim(d, len(shape)) for d in sizes(dims))
    if len(order) != len(shape):
        raise ShapeError(f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of dimensions i.e. input.dim() = {len(shape)} is not equal to len(dims) = {len(order)}")
    if len(set(order)) != len(order):
        raise ShapeError(f"permute(): duplicate dims are not allowed: {list(dims)}")
    return apply_view(movement.permute, input, dims=order)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:  # noqa: A002
    """A view with two dimensions exchanged."""
    n = len(_shape(input))
    a, b = normalize_dim(dim0, n), normalize_dim(dim1, n)
    order = list(range(n))
    if n:
        order[a], order[b] = order[b], order[a]
    return apply_view(movement.permute, input, dims=tuple(order))


def t(input: Tensor) -> Tensor:  # noqa: A002
    """The transpose of a matrix; a vector stays as it is."""
    n = len(_shape(input))
    if n > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {n}D")
    return transpose(input, 0, 1) if n == 2 else apply_view(movement.permute, input, dims=tuple(range(n)))


def expand(input: Tensor, *shape: Any) -> Tensor:  # noqa: A002
    """A view repeated along dimensions of size 1 without copying; -1 keeps a size."""
    old = _shape(input)
    want = sizes(shape)
    lead = len(want) - len(old)
    if lead < 0:
        raise ShapeError(f"expand({list(old)}, size={list(want)}): the number of sizes provided ({len(want)}) must be greater or equal to the number of dimensions in the tensor ({len(old)})")
    full = []
    for i, n in enumerate(want):
        has = old[i - lead] if i >= lead else None
        if isinstance(n, int) and n == -1:
            if has is None:
                raise ShapeError(f"expand({list(old)}, size={list(want)}): the expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension {i}")
            n = has
        elif has is not None and has != 1 and has != n:
            raise ShapeError(f"The expanded size of the tensor ({n}) must match the existing size ({has}) at non-singleton dimension {i}.  Target sizes: {list(want)}.  Tensor sizes: {list(old)}")
        full.append(n)
    return apply_view(movement.expand, input, shape=tuple(full))


def squeeze(input: Tensor, dim: Any = None) -> Tensor:  # noqa: A002
    """A view without dimensions of size 1 (all of them, or those named)."""
    old = _shape(input)
    if dim is None:
        drop = [i for i, n in enumerate(old) if n == 1]
    else:
        named = [normalize_dim(d, len(old)) for d in (dim if isinstance(dim, tuple | list) else (dim,))]
        drop = [d for d in named if old and old[d] == 1]
    return apply_view(movement.reshape, input, shape=tuple(n for i, n in enumerate(old) if i not in drop))


def unsqueeze(input: Tensor, dim: int) -> Tensor:  # noqa: A002
    """A view with a new dimension of size 1 at `dim`."""
    old = _shape(input)
    d = normalize_dim(dim, len(old) + 1)
    return apply_view(movement.reshape, input, shape=(*old[:d], 1, *old[d:]))


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:  # noqa: A002
    """Dimensions start_dim..end_dim joined into one."""
    old = _shape(input)
    a, b = normalize_dim(start_dim, len(old)), normalize_dim(end_dim, len(old))
    if not old:
        return reshape(input, 1)
    if a > b:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    return input if a == b else reshape(input, (*old[:a], numel(old[a : b + 1]), *old[b + 1 :]))


def unflatten(input: Tensor, dim: int, sizes_: Sequence[int]) -> Tensor:  # noqa: A002
    """One dimension split into several."""
    old = _shape(input)
    d = normalize_dim(dim, len(old))
    return reshape(input, (*old[:d], *infer_reshape((old[d],), tuple(sizes_)), *old[d + 1 :]))


def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:  # noqa: A002
    """A view of `length` elements along `dim` from `start` on."""
    old = _shape(input)
    d = normalize_dim(dim, len(old))
    start = int(start)
    begin = start + old[d] if start < 0 else start
    if begin < 0 or length < 0 or begin + length > old[d]:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({old[d]}).")
    return _slice(input, d, begin, 1, length)


def _slice(input: Tensor, dim: int, start: Any, step: Any, length: Any) -> Tensor:  # noqa: A002
    old = _shape(input)
    return apply_view(
        movement.slice,
        input,
        starts=tuple(start if i == dim else 0 for i in range(len(old))),
        steps=tuple(step if i == dim else 1 for i in range(len(old))),
        lengths=tuple(length if i == dim else n for i, n in enumerate(old)),
    )


def select(input: Tensor, dim: int, index: int) -> Tensor:  # noqa: A002
    """A view of one index along `dim`, without that dimension."""
    old = _shape(input)
    d = normalize_dim(dim, len(old))
    n = old[d]
    if not -n <= index < n:
        raise DimensionError(f"select(): index {index} out of range for tensor of size {list(old)} at dimension {d}")
    return squeeze(narrow(input, d, index + n if index < 0 else index, 1), d)


def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of equal length (the last may be shorter), or of the lengths given."""
    old = _shape(tensor)
    d = normalize_dim(dim, len(old))
    n = old[d]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size < 0 or (size == 0 and n):
            raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
        lengths = [min(size, n - i) for i in range(0, n, size)] if n else [0]
    else:
        lengths = list(split_size_or_sections)
        if sum(lengths) != n:
            raise RuntimeError(f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at dimension {d}), but got split_sizes={lengths}")
    out, at = [], 0
    for length in lengths:
        out.append(_slice(tensor, d, at, 1, length))
        at += length
    return tuple(out)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:  # noqa: A002
    """At most `chunks` views of (nearly) equal length."""
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    n = _shape(input)[normalize_dim(dim, input.ndim)]
    return split(input, max(-(-n // chunks), 1), dim)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:  # noqa: A002
    """All slices along `dim`, as views without it."""
    return tuple(select(input, dim, i) for i in range(_shape(input)[normalize_dim(dim, input.ndim)]))


def cat(tensors: Sequence[Tensor], dim: int = 0, *, out: Tensor | None = None, axis: int | None = None) -> Tensor:
    """Tensors joined along an existing dimension; dtypes are promoted."""
    if isinstance(tensors, Tensor):
        raise TypeError("cat(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor")
    if not tensors:
        raise ValueError("cat(): expected a non-empty list of Tensors")
    nodes = [read(x) for x in tensors]
    to = nodes[0].dtype
    for n in nodes[1:]:
        to = FUNCTIONS["promote_types"](to, n.dtype)
    nodes = [n for n in nodes if n.shape != (0,)] or nodes[:1]
    d = normalize_dim(dim if axis is None else axis, len(nodes[0].shape))
    if not nodes[0].shape:
        raise RuntimeError("zero-dimensional tensor (at position 0) cannot be concatenated")
    result = emit(movement.cat, *[cast_node(n, to) for n in nodes], dim=d)
    return result if out is None else METHODS["copy_"](out, result)


def stack(tensors: Sequence[Tensor], dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """Tensors of equal shape joined along a new dimension."""
    tensors = list(tensors)
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    first = _shape(tensors[0])
    for i, x in enumerate(tensors):
        if _shape(x) != first:
            raise RuntimeError(f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 and {list(_shape(x))} at entry {i}")
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


def repeat(input: Tensor, *repeats: Any) -> Tensor:  # noqa: A002
    """Copies of the tensor laid side by side."""
    times = sizes(repeats)
    old = _shape(input)
    if len(times) < len(old):
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    return apply(movement.repeat, input, repeats=times)


def tile(input: Tensor, *dims: Any) -> Tensor:  # noqa: A002
    """`repeat` that pads the counts with ones, as numpy.tile."""
    times = sizes(dims)
    n = len(_shape(input))
    return repeat(input, (1,) * (n - len(times)) + times)


def repeat_interleave(input: Tensor, repeats: Any, dim: int | None = None, *, output_size: int | None = None) -> Tensor:  # noqa: A002
    """Every element repeated in place along `dim` (of the flattened tensor by default)."""
    x = flatten(input) if dim is None else input
    d = 0 if dim is None else normalize_dim(dim, x.ndim)
    if isinstance(repeats, int):
        old = _shape(x)
        spread = expand(unsqueeze(x, d + 1), (*old[: d + 1], repeats, *old[d + 1 :]))
        return reshape(spread, (*old[:d], old[d] * repeats, *old[d + 1 :]))
    counts = repeats.tolist()
    counts = [counts] * _shape(x)[d] if isinstance(counts, int) else (counts * _shape(x)[d] if len(counts) == 1 else counts)
    at = [i for i, n in enumerate(counts) for _ in range(n)]
    return METHODS["index_select"](x, d, FUNCTIONS["tensor"](at, dtype=FUNCTIONS["int64"]))


def flip(input: Tensor, *dims: Any) -> Tensor:  # noqa: A002
    """The order of elements reversed along dimensions."""
    n = len(_shape(input))
    return apply(movement.flip, input, dims=tuple(sorted(normalize_dim(d, n) for d in sizes(dims))))


def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:  # noqa: A002
    """Elements shifted along dimensions; what leaves at one end enters at the other."""
    if dims is None:
        return reshape(roll(flatten(input), shifts, 0), _shape(input))
    s = shifts if isinstance(shifts, tuple | list) else (shifts,)
    d = dims if isinstance(dims, tuple | list) else (dims,)
    return apply(movement.roll, input, shifts=tuple(s), dims=tuple(normalize_dim(k, input.ndim) for k in d))


def triangle(op: Any) -> Any:
    """tril or triu."""

    def function(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
        if len(_shape(input)) < 2:
            raise RuntimeError(f"{op.name}: input tensor must have at least 2 dimensions")
        result = apply(op, input, diagonal=diagonal)
        return result if out is None else METHODS["copy_"](out, result)

    function.__doc__ = f"The {op.name} of the last two dimensions; zeros elsewhere."
    return function


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:  # noqa: A002
    """A view of a diagonal of two dimensions, as the last dimension."""
    n = len(_shape(input))
    return apply_view(movement.diagonal, input, offset=offset, dim1=normalize_dim(dim1, n), dim2=normalize_dim(dim2, n))


def diag(input: Tensor, diagonal_: int = 0, **kwargs: Any) -> Tensor:  # noqa: A002
    """The diagonal of a matrix, or the matrix with a vector as its diagonal."""
    k = kwargs.pop("diagonal", diagonal_)
    if input.ndim == 2:
        return diagonal(input, k)
    n = _shape(input)[0] + abs(k)
    made = FUNCTIONS["zeros"](n, n, dtype=input.dtype)
    METHODS["copy_"](diagonal(made, k), input)
    return made


def pad_node(x: Node, low: Sequence[int], high: Sequence[int], value: Any = 0) -> Node:
    """Constant padding, `low` and `high` per dimension; negative crops."""
    return movement.pad(x, low=tuple(low), high=tuple(high), value=value)


def movedim(input: Tensor, source_: Any, destination: Any) -> Tensor:  # noqa: A002
    """Dimensions moved to new positions; the others keep their order."""
    n = input.ndim
    s = [normalize_dim(d, n) for d in (source_ if isinstance(source_, tuple | list) else (source_,))]
    d = [normalize_dim(k, n) for k in (destination if isinstance(destination, tuple | list) else (destination,))]
    order: list[int | None] = [None] * n
    for a, b in zip(s, d, strict=True):
        order[b] = a
    rest = iter(i for i in range(n) if i not in s)
    return permute(input, tuple(next(rest) if o is None else o for o in order))


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:  # noqa: A002
    """A view of all windows of `size` along a dimension; the window is the last dimension."""
    n = _shape(input)[normalize_dim(dimension, input.ndim)]
    if size > n:
        raise RuntimeError(f"maximum size for tensor at dimension {dimension} is {n} but size is {size}")
    return apply_view(movement.unfold, input, dim=normalize_dim(dimension, input.ndim), size=size, step=step)


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """All tensors expanded to their common shape."""
    shape = broadcast_all([_shape(x) for x in tensors])
    return tuple(expand(x, shape) for x in tensors)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Coordinate grids of vectors."""
    group = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else list(tensors)
    shape = tuple(numel(_shape(x)) for x in group)
    grids = [expand(reshape(x, tuple(-1 if j == i else 1 for j in range(len(group)))), shape) for i, x in enumerate(group)]
    if indexing == "xy" and len(group) > 1:
        grids = [transpose(g, 0, 1) for g in grids]
    return tuple(grids)


for _name, _function in {
    "reshape": reshape, "permute": permute, "transpose": transpose, "t": t, "squeeze": squeeze, "unsqueeze": unsqueeze, "flatten": flatten,
    "unflatten": unflatten, "narrow": narrow, "select": select, "split": split, "chunk": chunk, "unbind": unbind, "tile": tile, "flip": flip,
    "roll": roll, "tril": triangle(movement.tril), "triu": triangle(movement.triu), "diagonal": diagonal, "diag": diag, "movedim": movedim,
    "repeat_interleave": repeat_interleave,
}.items():  # fmt: skip
    publish(_name, _function, in_place=_name in ("tril", "triu"))
publish("moveaxis", movedim)
publish("swapaxes", transpose)
publish("swapdims", transpose)
publish("split_with_sizes", split)
for _name, _function in {
    "cat": cat, "concat": cat, "concatenate": cat, "stack": stack, "broadcast_tensors": broadcast_tensors, "meshgrid": meshgrid,
    "atleast_1d": _at_least(1), "atleast_2d": _at_least(2), "atleast_3d": _at_least(3),
    "broadcast_to": lambda input, size: expand(input, size), "broadcast_shapes": lambda *shapes: Size(broadcast_all([tuple(s) for s in shapes])),
    "hstack": lambda tensors: cat(list(_at_least(1)(tuple(tensors))), 0 if tensors[0].ndim < 2 else 1),
    "vstack": lambda tensors: cat(list(_at_least(2)(tuple(tensors))), 0),
}.items():  # fmt: skip
    FUNCTIONS[_name] = _function
METHODS.update(
    view=view, expand=expand, repeat=repeat, contiguous=contiguous, is_contiguous=is_contiguous, unfold=unfold,
    expand_as=lambda self, other: expand(self, _shape(other)), view_as=lambda self, other: view(self, _shape(other)),
    reshape_as=lambda self, other: reshape(self, _shape(other)), ravel=lambda self: reshape(self, -1),
    stride=lambda self, dim=None: strides(self) if dim is None else strides(self)[dim], storage_offset=lambda self: 0,
    broadcast_to=lambda self, size: expand(self, size),
)  # fmt: skip
FUNCTIONS["ravel"] = METHODS["ravel"]


def _reshape_in_place(self: Tensor, changed: Tensor) -> Tensor:
    """squeeze_, unsqueeze_, t_ ...: the handle itself becomes the view."""
    if self._base is None:
        base = wrap(self._node)  # type: ignore[arg-type]
        base._leaf_flag, base._simple = self._leaf_flag, self._simple
        self._base, self._steps, self._node, self._simple = base, changed._steps, None, False
    else:
        self._steps = changed._steps
    self._seen = None
    return self


for _name in ("squeeze", "unsqueeze", "t", "transpose", "swapaxes"):
    METHODS[_name + "_"] = lambda self, *a, _f=METHODS[_name]: _reshape_in_place(self, _f(self, *a))
