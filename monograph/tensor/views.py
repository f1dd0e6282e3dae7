"""Views: the same memory in another shape or order, or a part of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monograph.core.clashes import not_expandable
from monograph.core.dtype import dtype as DType
from monograph.core.errors import DimensionError, ShapeError
from monograph.core.shape import broadcast_all, infer_reshape, normalize_dim, numel, whole
from monograph.ops import views as movement
from monograph.ops.source import clone
from monograph.tensor.core import Tensor, wrap
from monograph.tensor.dispatch import apply_view, emit, read
from monograph.tensor.pointwise import FUNCTIONS, METHODS, publish
from monograph.tensor.strides import is_contiguous, layout, shape_of, sizes, strides, viewable


def reshape(input: Tensor, *shape: Any, **given: Any) -> Tensor:  # noqa: A002
    """The same elements in another shape; one size may be -1. A view where memory can be shared, as in torch, else a copy."""
    new = infer_reshape(shape_of(input), sizes(shape, given))
    return apply_view(movement.reshape, input, shape=new) if viewable(input, new) else emit(movement.reshape, read(input), shape=new)


def view(input: Tensor, *shape: Any, **given: Any) -> Tensor:  # noqa: A002
    """`reshape` that shares memory; `view(dtype)` reads the same memory as another dtype (see `view_dtype`).

    Raises RuntimeError where torch's strides could not express it (after `transpose`, say): use `reshape` or `contiguous` there.
    """
    if "dtype" in given or (len(shape) == 1 and isinstance(shape[0], DType)):
        return FUNCTIONS["_view_dtype"](input, given.get("dtype", shape[0] if shape else None))
    new = infer_reshape(shape_of(input), sizes(shape, given))
    if not viewable(input, new):
        raise ShapeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two contiguous "
            "subspaces). Use .reshape(...) instead."
        )
    return apply_view(movement.reshape, input, shape=new)


def contiguous(input: Tensor, memory_format: Any = None) -> Tensor:  # noqa: A002
    """The tensor itself when row-major, else a copy that is."""
    return input if input._base is None or is_contiguous(input) else emit(clone, read(input))


def permute(input: Tensor, *dims: Any, **given: Any) -> Tensor:  # noqa: A002
    """A view with the dimensions in another order."""
    shape = shape_of(input)
    order = tuple(normalize_dim(d, len(shape)) for d in sizes(dims, given))
    if len(order) != len(shape):
        raise ShapeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of "
            f"dimensions i.e. input.dim() = {len(shape)} is not equal to len(dims) = {len(order)}"
        )
    if len(set(order)) != len(order):
        raise ShapeError(f"permute(): duplicate dims are not allowed: {list(dims)}")
    return apply_view(movement.permute, input, dims=order)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:  # noqa: A002
    """A view with two dimensions exchanged."""
    n = len(shape_of(input))
    a, b = normalize_dim(dim0, n), normalize_dim(dim1, n)
    order = list(range(n))
    if n:
        order[a], order[b] = order[b], order[a]
    return apply_view(movement.permute, input, dims=tuple(order))


def t(input: Tensor) -> Tensor:  # noqa: A002
    """The transpose of a matrix; a vector stays as it is."""
    n = len(shape_of(input))
    if n > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {n}D")
    return transpose(input, 0, 1) if n == 2 else apply_view(movement.permute, input, dims=tuple(range(n)))


def expand(input: Tensor, *shape: Any, implicit: bool = False, **given: Any) -> Tensor:  # noqa: A002
    """A view repeated along dimensions of size 1 without copying; -1 keeps a size."""
    old = shape_of(input)
    want = sizes(shape, given)
    lead = len(want) - len(old)
    if lead < 0:
        raise ShapeError(
            f"expand({list(old)}, size={list(want)}): the number of sizes provided ({len(want)}) must be greater or equal to the number "
            f"of dimensions in the tensor ({len(old)})"
        )
    full = []
    for i, n in enumerate(want):
        has = old[i - lead] if i >= lead else None
        if isinstance(n, int) and n == -1:
            if has is None:
                raise ShapeError(
                    f"expand({list(old)}, size={list(want)}): the expanded size of the tensor (-1) isn't allowed in a leading, "
                    f"non-existing dimension {i}"
                )
            n = has
        elif has is not None and has != 1 and has != n:
            raise not_expandable(old, want, i - lead)
        full.append(n)
    return apply_view(movement.expand, input, shape=tuple(full))


def squeeze(input: Tensor, dim: Any = None) -> Tensor:  # noqa: A002
    """A view without dimensions of size 1 (all of them, or those named)."""
    old = shape_of(input)
    if dim is None:
        drop = [i for i, n in enumerate(old) if n == 1]
    else:
        named = [normalize_dim(d, len(old)) for d in (dim if isinstance(dim, tuple | list) else (dim,))]
        if len(set(named)) != len(named):
            raise RuntimeError(f"dim {next(d for d in named if named.count(d) > 1)} appears multiple times in the list of dims")
        drop = [d for d in named if old and old[d] == 1]
    return apply_view(movement.reshape, input, shape=tuple(n for i, n in enumerate(old) if i not in drop))


def unsqueeze(input: Tensor, dim: int) -> Tensor:  # noqa: A002
    """A view with a new dimension of size 1 at `dim`."""
    old = shape_of(input)
    d = normalize_dim(dim, len(old) + 1)
    return apply_view(movement.reshape, input, shape=(*old[:d], 1, *old[d:]))


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:  # noqa: A002
    """Dimensions start_dim..end_dim joined into one."""
    old = shape_of(input)
    a, b = normalize_dim(start_dim, len(old)), normalize_dim(end_dim, len(old))
    if not old:
        return reshape(input, 1)
    if a > b:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    return input if a == b else reshape(input, (*old[:a], numel(old[a : b + 1]), *old[b + 1 :]))


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:  # noqa: A002
    """One dimension split into several."""
    old = shape_of(input)
    d = normalize_dim(dim, len(old))
    return reshape(input, (*old[:d], *infer_reshape((old[d],), tuple(sizes)), *old[d + 1 :]))


def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:  # noqa: A002
    """A view of `length` elements along `dim` from `start` on."""
    old = shape_of(input)
    if not old:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    d = normalize_dim(dim, len(old))
    if isinstance(start, Tensor):
        if start.ndim or start.dtype.kind not in "iu":
            raise RuntimeError(f"start must be an 0-dim integral Tensor, got {start.dtype.name}{list(start.shape)}.")
        start = int(start)
    for name, value in (("start", start), ("length", length)):
        if isinstance(value, float | str | bytes) or value is None:
            raise TypeError(f"narrow(): argument '{name}' must be int, not {type(value).__name__}")
    if isinstance(start, int) and isinstance(old[d], int) and not -old[d] <= start <= old[d]:
        raise DimensionError(f"start out of range (expected to be in range of [{-old[d]}, {old[d]}], but got {start})")
    begin = start + old[d] if start < 0 else start
    if begin < 0 or length < 0 or begin + length > old[d]:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({old[d]}).")
    return _slice(input, d, begin, 1, length)


def _slice(input: Tensor, dim: int, start: Any, step: Any, length: Any) -> Tensor:  # noqa: A002
    old = shape_of(input)
    return apply_view(
        movement.slice,
        input,
        starts=tuple(start if i == dim else 0 for i in range(len(old))),
        steps=tuple(step if i == dim else 1 for i in range(len(old))),
        lengths=tuple(length if i == dim else n for i, n in enumerate(old)),
    )


def select(input: Tensor, dim: int, index: int) -> Tensor:  # noqa: A002
    """A view of one index along `dim`, without that dimension."""
    old = shape_of(input)
    d = normalize_dim(dim, len(old))
    n = old[d]
    if not -n <= index < n:
        raise DimensionError(f"select(): index {index} out of range for tensor of size {list(old)} at dimension {d}")
    return squeeze(narrow(input, d, index + n if index < 0 else index, 1), d)


def split(tensor: Tensor, split_size_or_sections: Any = None, dim: int = 0, *, split_size: Any = None) -> tuple[Tensor, ...]:
    """Views of equal length (the last may be shorter), or of the lengths given. `split_size`: the method's name of the length."""
    if split_size_or_sections is None:
        if split_size is None:
            raise TypeError("split() missing 1 required positional argument: 'split_size_or_sections' (or 'split_size')")
        split_size_or_sections = split_size
    old = shape_of(tensor)
    d = normalize_dim(dim, len(old))
    n = old[d]
    split_size_or_sections = whole(split_size_or_sections)
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size < 0 or (size == 0 and n):
            raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
        lengths = [min(size, n - i) for i in range(0, n, size)] if n else [0]
    else:
        lengths = list(split_size_or_sections)
        if sum(lengths) != n:
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at dimension {d}), but got "
                f"split_sizes={lengths}"
            )
    out, at = [], 0
    for length in lengths:
        out.append(_slice(tensor, d, at, 1, length))
        at += length
    return tuple(out)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:  # noqa: A002
    """At most `chunks` views of (nearly) equal length."""
    chunks = whole(chunks)
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    n = shape_of(input)[normalize_dim(dim, input.ndim)]
    return split(input, max(-(-n // chunks), 1), dim)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:  # noqa: A002
    """All slices along `dim`, as views without it."""
    return tuple(select(input, dim, i) for i in range(shape_of(input)[normalize_dim(dim, input.ndim)]))


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:  # noqa: A002
    """A view of a diagonal of two dimensions, as the last dimension."""
    n = len(shape_of(input))
    return apply_view(movement.diagonal, input, offset=offset, dim1=normalize_dim(dim1, n), dim2=normalize_dim(dim2, n))


def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:  # noqa: A002
    """Dimensions moved to new positions; the others keep their order."""
    n = input.ndim
    s = [normalize_dim(d, n) for d in (source if isinstance(source, tuple | list) else (source,))]
    d = [normalize_dim(k, n) for k in (destination if isinstance(destination, tuple | list) else (destination,))]
    if len(s) != len(d):
        raise RuntimeError(f"movedim: Invalid source or destination dims: source ({s}) and destination ({d}) should be as many")
    for name, dims in (("source", s), ("destination", d)):
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({dims})")
    order: list[int | None] = [None] * n
    for a, b in zip(s, d, strict=True):
        order[b] = a
    rest = iter(i for i in range(n) if i not in s)
    return permute(input, tuple(next(rest) if o is None else o for o in order))


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:  # noqa: A002
    """A view of all windows of `size` along a dimension; the window is the last dimension."""
    if not shape_of(input):
        d = normalize_dim(dimension, 0)
        flat = unfold(reshape(input, 1), d, size, step)
        return reshape(flat, size)
    n = shape_of(input)[normalize_dim(dimension, input.ndim)]
    if size > n:
        raise RuntimeError(f"maximum size for tensor at dimension {dimension} is {n} but size is {size}")
    return apply_view(movement.unfold, input, dim=normalize_dim(dimension, input.ndim), size=size, step=step)


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """All tensors expanded to their common shape."""
    shape = broadcast_all([shape_of(x) for x in tensors])
    return tuple(expand(x, shape) for x in tensors)


def become_view(self: Tensor, changed: Tensor) -> Tensor:
    """squeeze_, unsqueeze_, t_ ...: the handle itself becomes the view."""
    if self._base is None:
        base = wrap(self._node)
        base._leaf_flag, base._simple = self._leaf_flag, self._simple
        self._base, self._steps, self._node, self._simple = base, changed._steps, None, False
        self._base._version_count = self._version_count + 1
    else:
        self._steps = changed._steps
        self._base._version_count += 1
    self._seen = None
    return self


for _name, _function in {
    "reshape": reshape, "permute": permute, "transpose": transpose, "t": t, "squeeze": squeeze, "unsqueeze": unsqueeze, "flatten": flatten,
    "unflatten": unflatten, "narrow": narrow, "select": select, "split": split, "chunk": chunk, "unbind": unbind, "diagonal": diagonal,
    "movedim": movedim, "moveaxis": movedim, "swapaxes": transpose, "swapdims": transpose, "split_with_sizes": split,
}.items():  # fmt: skip
    publish(_name, _function)
METHODS.update(
    view=view, expand=expand, contiguous=contiguous, is_contiguous=is_contiguous, unfold=unfold,
    expand_as=lambda self, other: expand(self, shape_of(other)), view_as=lambda self, other: view(self, shape_of(other)),
    reshape_as=lambda self, other: reshape(self, shape_of(other)), ravel=lambda self: reshape(self, -1),
    stride=lambda self, dim=None: strides(self) if dim is None else strides(self)[dim], storage_offset=lambda self: layout(self)[1],
    broadcast_to=lambda self, size: expand(self, size),
)  # fmt: skip
FUNCTIONS.update(broadcast_tensors=broadcast_tensors, broadcast_to=lambda input, size: expand(input, size), ravel=METHODS["ravel"])
for _name in ("squeeze", "unsqueeze", "t", "transpose", "swapaxes"):
    METHODS[_name + "_"] = lambda self, *a, _f=METHODS[_name]: become_view(self, _f(self, *a))
