"""Batching rules, by family.

A rule is `rule(batch, node, xs, flags)`: `node` is the op for one example, `xs` stand for its inputs, and those flagged have the batch as
their first dimension (at least one has). It gives the batched node, or None where it does not apply.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from monograph.core.errors import MonographError
from monograph.graph.node import Node, record
from monograph.graph.op import OpDef, Trait
from monograph.ops import movement
from monograph.ops.index import index as take
from monograph.ops.index import index_put
from monograph.ops.source import arange

Rule = Callable[[Any, Node, list[Node], list[bool]], Node | None]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Registers a rule for ops of these names."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


# ---- dimensions ----


def every_example(batch: Any, x: Node, flag: bool) -> Node:
    """x with the batch as its first dimension: repeated if it was the same for all examples."""
    if flag:
        return x
    return movement.expand(movement.reshape(x, shape=(1, *x.shape)), shape=(batch.size, *x.shape))


def aligned(x: Node, flag: bool, rank: int) -> Node:
    """A batched x whose examples get leading dimensions of size 1 up to `rank`, so that they broadcast as one example did."""
    have = len(x.shape) - 1
    if not flag or have >= rank:
        return x
    return movement.reshape(x, shape=(x.shape[0], *(1,) * (rank - have), *x.shape[1:]))


def with_attrs(node: Node, **changed: Any) -> Any:
    """The node's attributes with some changed."""
    return node.op.attrs(**{**dict(node.attrs.items()), **changed})  # type: ignore[arg-type]


def folded(x: Node) -> Node:
    """[batch, n, ...] as [batch * n, ...]."""
    return movement.reshape(x, shape=(x.shape[0] * x.shape[1], *x.shape[2:]))


def unfolded(x: Node, size: Any) -> Node:
    """[batch * n, ...] as [batch, n, ...]."""
    return movement.reshape(x, shape=(size, x.shape[0] // size if size else 0, *x.shape[1:]))


def moved(x: Node, source_dim: int, to: int) -> Node:
    """x with one dimension moved."""
    order = [d for d in range(len(x.shape)) if d != source_dim]
    order.insert(to, source_dim)
    return x if order == sorted(order) else movement.permute(x, dims=tuple(order))


# ---- elementwise, and ops that look at the last dimensions only ----


def broadcasting(batch: Any, node: Node, xs: list[Node], flags: list[bool]) -> Node:
    """Elementwise ops, products and solvers: NumPy's broadcasting, of examples."""
    rank = max(len(i.shape) for i in node.inputs)
    return record(node.op, tuple([aligned(x, f, rank) for x, f in zip(xs, flags, strict=True)]), node.attrs)


def attempted(batch: Any, node: Node, xs: list[Node], flags: list[bool]) -> Node | None:
    """Ops that may take any number of leading dimensions: the batch as one more."""
    try:
        return broadcasting(batch, node, [every_example(batch, x, f) for x, f in zip(xs, flags, strict=True)], [True] * len(xs))
    except MonographError:
        return None


@rule("clone", "detach", "bitcast")
def _same(batch: Any, node: Node, xs: list[Node], flags: list[bool]) -> Node:
    return record(node.op, tuple(xs), node.attrs)


for _name in (
    "matmul solve solve_triangular lstsq inv det cofactors slogdet pinv cholesky qr geqrf ldl_factor lu_factor eigh svd eig matrix_exp "
    "max_pool avg_pool avg_pool_backward gcd frexp"
).split():
    RULES[_name] = broadcasting
for _name in "tril triu max_pool_backward adaptive_avg_pool adaptive_max_pool scaled_dot_product_attention".split():
    RULES[_name] = attempted


@rule("linear")
def _linear(batch: Any, node: Node, xs: list[Node], flags: list[bool]) -> Node | None:
    return None if any(flags[1:]) or not node.inputs[0].shape else record(node.op, tuple(xs), node.attrs)


@rule("layer_norm", "rms_norm")
def _last_dims_norm(batch: Any, node: Node, xs: list[Node], flags: list[bool]) -> Node | None:
    return None if any(flags[1:]) else record(node.op, tuple(xs), node.attrs)


@rule("one_hot", "embedding")
def _appended(batch: Any, node: Node, xs: list[Node], flags: list[bool]) -> Node | None:
    """Rows chosen by a batched index (the last input's, of one table)."""
    *table, index = list(zip(xs, flags, strict=True)) if node.op.name == "embedding" else [(xs[0], flags[0])]
    if any(f for _, f in table) or not index[1]:
        return None
    return record(node.op, tuple(xs), node.attrs)


@rule("searchsorted")
def _searchsorted(batch: Any, node: Node, xs: list[Node], flags: list[bool]) -> Node:
    """Sorted numbers of each example's own: its values as one row."""
    if not flags[0] and len(node.inputs[0].shape) == 1:
        return record(node.op, tuple(xs), node.attrs)
    edges, values = [every_example(batch, x, f) for x, f in zip(xs, flags, strict=True)]
    if len(edges.shape) == 2:
        values = movement.reshape(values, shape=(batch.size, prod(node.shape)))
    return movement.reshape(record(node.op, (edges, values), node.attrs), shape=(batch.size, *node.shape))


# ---- one dimension or several, by number ----


def shifted(batch: Any, node: Node, xs: list[Node], flags: list[bool]) -> Node | None:
    """Ops with a `dim` or `dims` attribute: the dimensions move on by one. All inputs are batched."""
    full = [every_example(batch, x, f) for x, f in zip(xs, flags, strict=True)]
    scalar = not node.inputs[0].shape
    if scalar and "dims" in node.attrs.FIELDS:
        return full[0] if node.op.name in ("flip", "roll") else record(node.op, tuple(full), node.attrs)
    changed: dict[str, Any] = {}
    for field, value in node.attrs.items():
        if field == "dims":
            changed["dims"] = tuple([d + 1 for d in value])
        elif field in ("dim", "dim1", "dim2"):
            changed[field] = None if value is None else value + 1
    if scalar:  # a 0-d example counts as a vector of one element
        if len(full) > 1 or node.dtype is None or node.op.name in ("unfold", "cat", "stack"):
            return None
        made = record(node.op, (movement.reshape(full[0], shape=(batch.size, 1)),), with_attrs(node, **changed))
        return movement.reshape(made, shape=(batch.size, *node.shape))
    return record(node.op, tuple(full), with_attrs(node, **changed))


for _name in (
    "sum prod amax amin any all mean var std logsumexp flip roll cat stack diagonal unfold softmax log_softmax cumsum cumprod cummax "
    "cummin logcumsumexp sort topk gather scatter scatter_add scatter_reduce fft_c2c fft_r2c fft_c2r"
).split():
    RULES[_name] = shifted


@rule("argmax", "argmin")
def _position(batch: Any, node: Node, xs: list[Node], flags: list[bool]) -> Node | None:
    """Without a dim the example is flat; the batch is not."""
    if node.attrs.dim is not None:  # type: ignore[attr-defined]
        return shifted(batch, node, xs, flags)
    flat = movement.reshape(xs[0], shape=(batch.size, prod(node.inputs[0].shape)))
    made = record(node.op, (flat,), with_attrs(node, dim=1, keepdim=False))
    return movement.reshape(made, shape=(batch.size, *node.shape))


# ---- movement ----


@rule("reshape")
def _reshape(batch: Any, node: Node, xs: list[Node], flags: list[bool]) -> Node:
    return movement.reshape(xs[0], shape=(batch.size, *node.shape))


@rule("as_strided")
def _as_strided(batch: Any, node: Node, xs: list[Node], flags: list[bool]) -> Node:
    """The next example is one whole example further."""
    a: Any = node.attrs
    attrs = with_attrs(node, shape=(batch.size, *a.shape), strides=(prod(node.inputs[0].shape), *a.strides))
    return record(node.op, tuple(xs), attrs)


@rule("permute")
def _permute(batch: Any, node: Node, xs: list[Node], flags: list[bool]) -> Node:
    return movement.permute(xs[0], dims=(0, *[d + 1 for d in node.attrs.dims]))  # type: ignore[attr-defined]


@rule("expand")
def _expand(batch: Any, node: Node, xs: list[Node], flags: list[bool]) -> Node:
    return movement.expand(aligned(xs[0], True, len(node.shape)), shape=(batch.size, *node.shape))


@rule("slice", "slice_scatter")
def _slice(batch: Any, node: Node, xs: list[Node], flags: list[bool]) -> Node:
    a: Any = node.attrs
    attrs = with_attrs(node, starts=(0, *a.starts), steps=(1, *a.steps), lengths=(batch.size, *a.lengths))
    return record(node.op, tuple([every_example(batch, x, f) for x, f in zip(xs, flags, strict=True)]), attrs)


@rule("pad")
def _pad(batch: Any, node: Node, xs: list[Node], flags: list[bool]) -> Node:
    a: Any = node.attrs
    return record(node.op, tuple(xs), with_attrs(node, low=(0, *a.low), high=(0, *a.high)))


@rule("repeat")
def _repeat(batch: Any, node: Node, xs: list[Node], flags: list[bool]) -> Node:
    repeats = node.attrs.repeats  # type: ignore[attr-defined]
    return record(node.op, (aligned(xs[0], True, len(repeats)),), with_attrs(node, repeats=(1, *repeats)))


# ---- indexing ----


def _numbers(batch: Any, rank: int, like: Node) -> Node:
    """0 ... size - 1 as [size, 1, ...]."""
    return movement.reshape(arange(start=0, step=1, length=batch.size, dtype=like.dtype), shape=(batch.size, *(1,) * rank))


def _leading(dims: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """The order of dimensions in which the indexed ones come first."""
    return (*dims, *[d for d in range(rank) if d not in dims])


def _indices(batch: Any, node_indices: list[Node], xs: list[Node], flags: list[bool]) -> list[Node]:
    """The batch's own index and the others, of one shape."""
    rank = max(len(i.shape) for i in node_indices)
    shaped = [aligned(x, f, rank) for x, f in zip(xs, flags, strict=True)]
    return [_numbers(batch, rank, shaped[0]), *shaped]


def _adjacent(dims: tuple[int, ...]) -> bool:
    return dims[-1] - dims[0] == len(dims) - 1


@rule("index")
def _index(batch: Any, node: Node, xs: list[Node], flags: list[bool]) -> Node:
    dims = node.attrs.dims  # type: ignore[attr-defined]
    rank = len(node.inputs[0].shape)
    width = max(len(i.shape) for i in node.inputs[1:])
    if flags[0] and not any(flags[1:]) and _adjacent(dims):
        return take(xs[0], *xs[1:], dims=tuple([d + 1 for d in dims]))
    at = dims[0] if _adjacent(dims) else 0  # where the result has the index's dimensions
    order = _leading(dims, rank)
    if flags[0]:
        x = movement.permute(xs[0], dims=(0, *[d + 1 for d in order]))
        places = _indices(batch, list(node.inputs[1:]), xs[1:], flags[1:])
        made = take(x, *places, dims=tuple(range(len(places))))
    else:
        x = movement.permute(xs[0], dims=order)
        shaped = _indices(batch, list(node.inputs[1:]), xs[1:], flags[1:])[1:]
        made = take(x, *shaped, dims=tuple(range(len(dims))))
    rest = len(made.shape) - 1 - width
    back = (0, *range(1 + width, 1 + width + at), *range(1, 1 + width), *range(1 + width + at, 1 + width + rest))
    return made if back == tuple(range(len(back))) else movement.permute(made, dims=back)


@rule("index_put")
def _index_put(batch: Any, node: Node, xs: list[Node], flags: list[bool]) -> Node:
    a: Any = node.attrs
    dims, rank = a.dims, len(node.inputs[0].shape)
    order = _leading(dims, rank)
    x = movement.permute(every_example(batch, xs[0], flags[0]), dims=(0, *[d + 1 for d in order]))
    places = _indices(batch, list(node.inputs[1:-1]), xs[1:-1], flags[1:-1])
    width = len(places[0].shape) - 1
    at = dims[0] if _adjacent(dims) else 0
    region = width + rank - len(dims)
    value = aligned(every_example(batch, xs[-1], flags[-1]), True, region)
    front = (0, *range(1 + at, 1 + at + width), *range(1, 1 + at), *range(1 + at + width, 1 + region))
    value = movement.permute(value, dims=front)
    made = index_put(x, *places, value, dims=tuple(range(len(places))), accumulate=a.accumulate)
    inverse = sorted(range(rank), key=order.__getitem__)
    return movement.permute(made, dims=(0, *[d + 1 for d in inverse]))


@rule("index_select")
def _index_select(batch: Any, node: Node, xs: list[Node], flags: list[bool]) -> Node | None:
    dim = node.attrs.dim  # type: ignore[attr-defined]
    if not node.inputs[0].shape:
        return None
    if not flags[1]:
        return record(node.op, tuple(xs), with_attrs(node, dim=dim + 1))
    as_index = take(node.inputs[0], node.inputs[1], dims=(dim,))
    return _index(batch, as_index, xs, flags)


@rule("index_add")
def _index_add(batch: Any, node: Node, xs: list[Node], flags: list[bool]) -> Node | None:
    if flags[1] or not node.inputs[0].shape:
        return None
    full = [every_example(batch, xs[0], flags[0]), xs[1], every_example(batch, xs[2], flags[2])]
    return record(node.op, tuple(full), with_attrs(node, dim=node.attrs.dim + 1))  # type: ignore[attr-defined]


# ---- convolutions, and ops on [n, channels, ...] ----


@rule("group_norm", "batch_norm_inference", "upsample_nearest", "upsample_bilinear")
def _fold(batch: Any, node: Node, xs: list[Node], flags: list[bool]) -> Node | None:
    """The batch joins the first dimension; what is per channel is the same for all examples."""
    if any(flags[1:]):
        return None
    return unfolded(record(node.op, (folded(xs[0]), *xs[1:]), node.attrs), batch.size)


def _channels(batch: Any, x: Node, flag: bool) -> Node:
    """[batch, n, c, ...] as [n, batch * c, ...]."""
    x = moved(every_example(batch, x, flag), 0, 1)
    return movement.reshape(x, shape=(x.shape[0], x.shape[1] * x.shape[2], *x.shape[3:]))


def _examples(batch: Any, y: Node) -> Node:
    """[n, batch * c, ...] as [batch, n, c, ...]."""
    y = movement.reshape(y, shape=(y.shape[0], batch.size, y.shape[1] // batch.size, *y.shape[2:]))
    return moved(y, 1, 0)


@rule("conv", "conv_backward_input")
def _conv(batch: Any, node: Node, xs: list[Node], flags: list[bool]) -> Node:
    """One weight: the batch joins the images. A weight for each example: the examples become groups."""
    if not flags[1]:
        return unfolded(record(node.op, (folded(xs[0]), xs[1]), node.attrs), batch.size)
    attrs = with_attrs(node, groups=node.attrs.groups * batch.size)  # type: ignore[attr-defined]
    return _examples(batch, record(node.op, (_channels(batch, xs[0], flags[0]), folded(xs[1])), attrs))


@rule("conv_backward_weight")
def _conv_weight(batch: Any, node: Node, xs: list[Node], flags: list[bool]) -> Node:
    attrs = with_attrs(node, groups=node.attrs.groups * batch.size)  # type: ignore[attr-defined]
    both = tuple(_channels(batch, x, f) for x, f in zip(xs, flags, strict=True))
    return unfolded(record(node.op, both, attrs), batch.size)


def rule_of_kind(op: OpDef) -> Rule | None:
    """The rule of an op without one of its own name: what is elementwise broadcasts."""
    if Trait.POINTWISE in op.traits:
        return broadcasting
    return None


__all__ = ["RULES", "aligned", "every_example", "rule_of_kind"]
