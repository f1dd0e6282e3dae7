"""Scaled dot-product attention, whole: a target may compute it in one pass without ever holding the scores."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, attrs
from monograph.core.dtype import bool_, int64
from monograph.core.dtype import dtype as DType
from monograph.core.errors import DTypeError, ShapeError
from monograph.core.shape import Shape, broadcast
from monograph.graph.node import Node
from monograph.graph.op import VIA_DECOMPOSITION, Family, Sample, define
from monograph.ops.broadcasting import sum_to
from monograph.ops.compare import eq, ge
from monograph.ops.contraction import matmul, transpose_last
from monograph.ops.elementwise import exp, where
from monograph.ops.norm import must_float
from monograph.ops.precision import narrow, widen
from monograph.ops.reduce import amax
from monograph.ops.reduce import sum as sum_dims
from monograph.ops.source import arange, constant, detach, project
from monograph.ops.views import reshape

MINUS_INFINITY = float("-inf")


@attrs
class AttentionAttrs(Attrs):
    """`is_causal`: query i sees keys 0..i only; `scale`: factor of the scores (None: 1 / sqrt(head size)); `has_mask`: a mask follows."""

    is_causal: bool = False
    scale: float | None = None
    has_mask: bool = False


def _attention_type(a: AttentionAttrs, q: Any, k: Any, v: Any, mask: Any = None) -> tuple[Shape, DType]:
    sq, sk, sv = q.shape, k.shape, v.shape
    if len(sq) < 2 or len(sk) < 2 or len(sv) < 2:
        raise ShapeError(
            f"scaled_dot_product_attention takes query, key, value [..., length, size], got shapes {list(sq)}, {list(sk)}, {list(sv)}"
        )
    d = must_float("scaled_dot_product_attention", q, k, v)
    if sq[-1] != sk[-1]:
        raise ShapeError(f"query and key must have the same last dimension, got {sq[-1]} and {sk[-1]} (query {list(sq)}, key {list(sk)})")
    if sk[-2] != sv[-2]:
        raise ShapeError(f"key and value must have the same length, got {sk[-2]} and {sv[-2]} (key {list(sk)}, value {list(sv)})")
    try:
        batch = broadcast(broadcast(sq[:-2], sk[:-2]), sv[:-2])
    except ShapeError as error:
        raise ShapeError(
            f"the leading dimensions of query {list(sq)}, key {list(sk)} and value {list(sv)} do not broadcast; for grouped heads pass "
            "enable_gqa=True"
        ) from error
    if mask is not None:
        if mask.dtype is not bool_ and mask.dtype is not d:
            raise DTypeError(
                f"Expected attn_mask dtype to be bool or to match query dtype, but got attn_mask.dtype: {mask.dtype.name} and "
                f"query.dtype: {d.name}"
            )
        scores = (*batch, sq[-2], sk[-2])
        if broadcast(mask.shape, scores) != scores:
            raise ShapeError(f"attn_mask {list(mask.shape)} does not expand to the scores' shape {list(scores)}")
    return (*batch, sq[-2], sv[-1]), d


def attention_scale(a: AttentionAttrs, q: Any) -> float:
    """The factor of the scores."""
    return 1.0 / math.sqrt(max(q.shape[-1], 1)) if a.scale is None else a.scale


def attention_weights(a: AttentionAttrs, q: Node, k: Node, mask: Node | None) -> Node:
    """How much each query takes of each value: rows sum to one, or to zero where the mask leaves no key at all."""
    scores = matmul(q, transpose_last(k)) * attention_scale(a, q)
    minus_infinity = constant(MINUS_INFINITY, scores.dtype)
    if a.is_causal:
        rows, columns = q.shape[-2], k.shape[-2]
        seen = ge(
            reshape(arange(start=0, step=1, length=rows, dtype=int64), shape=(rows, 1)),
            arange(start=0, step=1, length=columns, dtype=int64),
        )
        scores = where(seen, scores, minus_infinity)
    if mask is not None:
        scores = where(mask, scores, minus_infinity) if mask.dtype is bool_ else scores + widen(mask)
    if k.shape[-2] == 0:
        return scores
    last = (len(scores.shape) - 1,)
    top = detach(amax(scores, dims=last, keepdim=True))  # the result does not depend on it: no gradient to follow
    if mask is not None:  # a row that sees nothing has top = -inf; subtracting 0 instead makes its exponentials 0, not NaN
        top = where(eq(top, minus_infinity), constant(0, top.dtype), top)
    e = exp(scores - top)
    total = sum_dims(e, dims=last, keepdim=True)
    if mask is not None:
        total = where(eq(total, constant(0, total.dtype)), constant(1, total.dtype), total)
    return e / total


def _attention(a: AttentionAttrs, q: Node, k: Node, v: Node, mask: Node | None = None) -> Node:
    return narrow(matmul(attention_weights(a, widen(q), widen(k), mask), widen(v)), q.dtype)


def _attention_gradient(g: Node, y: Node, a: AttentionAttrs, q: Node, k: Node, v: Node, mask: Node | None = None) -> list[Node | None]:
    wide = q.dtype is k.dtype is v.dtype and q.dtype.itemsize >= 4
    if wide and q.shape[:-2] == k.shape[:-2] == v.shape[:-2] == y.shape[:-2]:
        # One op, so that a target can compute it without ever holding the weights.
        whole = attention_backward(g, y, q, k, v, *(() if mask is None else (mask,)), **dict(a.items()))
        grads: list[Node | None] = [project(whole, index=i) for i in range(3)]
        if mask is not None:
            grads.append(None if mask.dtype is bool_ else _scores_gradient(g, y, a, q, k, v, mask)[3])
        return grads
    return _scores_gradient(g, y, a, q, k, v, mask)


def _scores_gradient(g: Node, y: Node, a: AttentionAttrs, q: Node, k: Node, v: Node, mask: Node | None) -> list[Node | None]:
    """The gradients of query, key, value (and of a mask, if there is one) in simpler ops."""
    g, wide_q, wide_k, wide_v = widen(g), widen(q), widen(k), widen(v)
    weights = attention_weights(a, wide_q, wide_k, mask)
    gv = matmul(transpose_last(weights), g)
    # The sum over keys of weights * (g @ v.T) equals the sum over features of g * y, which is far shorter.
    own = sum_dims(g * widen(y), dims=(len(y.shape) - 1,), keepdim=True)
    g_scores = weights * (matmul(g, transpose_last(wide_v)) - own)
    scaled = g_scores * attention_scale(a, q)
    grads: list[Node | None] = [
        narrow(sum_to(matmul(scaled, wide_k), q.shape), q.dtype),
        narrow(sum_to(matmul(transpose_last(scaled), wide_q), k.shape), k.dtype),
        narrow(sum_to(gv, v.shape), v.dtype),
    ]
    if mask is not None:
        grads.append(None if mask.dtype is bool_ else narrow(sum_to(g_scores, mask.shape), mask.dtype))
    return grads


def _attention_reference(a: AttentionAttrs, q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    scores = np.matmul(q.astype(np.float64), np.swapaxes(k.astype(np.float64), -1, -2)) * attention_scale(a, q)
    if a.is_causal:
        scores = np.where(np.tril(np.ones(scores.shape[-2:], np.bool_)), scores, -np.inf)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == np.bool_ else scores + mask.astype(np.float64)
    if scores.shape[-1]:
        top = np.max(scores, axis=-1, keepdims=True)
        e = np.exp(scores - np.where(np.isneginf(top), 0.0, top))
        total = np.sum(e, axis=-1, keepdims=True)
        scores = e / np.where(total == 0, 1.0, total)
    return np.matmul(scores, v.astype(np.float64)).astype(q.dtype)


def _attention_samples() -> Iterable[Sample]:
    draw = np.random.default_rng(11)

    def some(*shapes: Shape) -> tuple[np.ndarray, ...]:
        return tuple(draw.standard_normal(s) for s in shapes)

    yield Sample(some((3, 4), (5, 4), (5, 2)), AttentionAttrs())
    yield Sample(some((2, 3, 4), (2, 3, 4), (2, 3, 4)), AttentionAttrs(is_causal=True))
    yield Sample(some((1, 2, 3, 2), (1, 2, 4, 2), (1, 2, 4, 2)), AttentionAttrs(is_causal=True, scale=0.3))
    yield Sample(some((2, 1, 3, 2), (1, 2, 3, 2), (3, 2)), AttentionAttrs())
    seen = np.array([[True, False, True], [True, True, False]])
    yield Sample((*some((2, 2, 4), (2, 3, 4), (2, 3, 4)), seen), AttentionAttrs(has_mask=True))
    yield Sample((*some((2, 4), (3, 4), (3, 4)), np.array([[False, False, False], [True, True, False]])), AttentionAttrs(has_mask=True))
    yield Sample(some((2, 2, 4), (2, 3, 4), (2, 3, 4), (2, 3)), AttentionAttrs(has_mask=True))
    yield Sample(some((0, 2, 4), (0, 3, 4), (0, 3, 4)), AttentionAttrs())
    yield Sample(some((2, 4), (0, 4), (0, 3)), AttentionAttrs())
    yield Sample(tuple(x.astype(np.float16) for x in some((3, 4), (5, 4), (5, 2))), AttentionAttrs(), grad_inputs=(), tolerance=1e-2)
    yield Sample(some((3, 4), (5, 3), (5, 2)), AttentionAttrs(), error=ShapeError, match="the same last dimension, got 4 and 3")
    yield Sample(
        some((3, 4), (5, 4), (6, 2)), AttentionAttrs(), error=ShapeError, match="key and value must have the same length, got 5 and 6"
    )
    yield Sample(some((4, 3, 4), (2, 5, 4), (2, 5, 4)), AttentionAttrs(), error=ShapeError, match="enable_gqa=True")
    yield Sample(
        (*some((3, 4), (5, 4), (5, 2)), np.ones((3, 5), np.int64)),
        AttentionAttrs(has_mask=True),
        error=DTypeError,
        match="Expected attn_mask dtype",
    )
    q, k, v = some((3, 4), (5, 4), (5, 2))
    yield Sample((q, k, v, np.ones((3, 4), bool)), AttentionAttrs(has_mask=True), error=ShapeError, match="must match the size of tensor b")


scaled_dot_product_attention = define(
    "scaled_dot_product_attention", family=Family.ATTENTION, attrs=AttentionAttrs, infer=_attention_type, decompose=_attention,
    vjp=_attention_gradient, reference=_attention_reference, samples=_attention_samples,
    doc="softmax(q @ k.T * scale + mask) @ v; a bool mask is True where a key takes part.",
)  # fmt: skip


# ---------------------------------------------------------------- its gradient


def _backward_type(a: AttentionAttrs, g: Any, y: Any, q: Any, k: Any, v: Any, mask: Any = None) -> tuple[Any, Any]:
    shape, d = _attention_type(a, q, k, v, mask)
    for name, x in (("gradient", g), ("result", y)):
        if x.shape != shape or x.dtype is not d:
            raise ShapeError(f"attention_backward: the {name} should be {d.name}{list(shape)}, got {x.dtype.name}{list(x.shape)}")
    return ((q.shape, d), (k.shape, d), (v.shape, d)), None


def _backward(a: AttentionAttrs, g: Node, y: Node, q: Node, k: Node, v: Node, mask: Node | None = None) -> tuple[Node, ...]:
    found = _scores_gradient(g, y, a, q, k, v, mask)
    return tuple(x for x in found[:3] if x is not None)


def _backward_reference(
    a: AttentionAttrs, g: np.ndarray, y: np.ndarray, q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray | None = None
) -> tuple[np.ndarray, ...]:
    wide_g, wide_q, wide_k, wide_v = (x.astype(np.float64) for x in (g, q, k, v))
    identity = np.broadcast_to(np.eye(k.shape[-2]), (*k.shape[:-1], k.shape[-2]))
    weights = _attention_reference(a, wide_q, wide_k, identity, mask)
    pulled = np.matmul(wide_g, np.swapaxes(wide_v, -1, -2)) - np.sum(wide_g * y.astype(np.float64), axis=-1, keepdims=True)
    scores = weights * pulled * attention_scale(a, q)
    turned = np.swapaxes(scores, -1, -2)
    found = np.matmul(scores, wide_k), np.matmul(turned, wide_q), np.matmul(np.swapaxes(weights, -1, -2), wide_g)
    return tuple(x.astype(q.dtype) for x in found)


def _backward_samples() -> Iterable[Sample]:
    draw = np.random.default_rng(12)

    def some(*shapes: Shape) -> tuple[np.ndarray, ...]:
        return tuple(draw.standard_normal(s) for s in shapes)

    def sample(q: Shape, k: Shape, v: Shape, a: AttentionAttrs, mask: np.ndarray | None = None) -> Sample:
        query, key, value = some(q, k, v)
        y = _attention_reference(a, query, key, value, mask)
        return Sample((*some(y.shape), y, query, key, value, *(() if mask is None else (mask,))), a)

    yield sample((2, 4), (3, 4), (3, 2), AttentionAttrs())
    yield sample((2, 3, 4), (2, 3, 4), (2, 3, 4), AttentionAttrs(is_causal=True, scale=0.3))
    yield sample((2, 2, 3), (2, 3, 3), (2, 3, 2), AttentionAttrs(has_mask=True), np.array([[True, False, True], [True, True, False]]))
    q, k, v, g = some((3, 4), (5, 4), (5, 2), (3, 3))
    yield Sample((g, g, q, k, v), AttentionAttrs(), error=ShapeError, match="the gradient should be float64")


attention_backward = define(
    "attention_backward", family=Family.ATTENTION, attrs=AttentionAttrs, infer=_backward_type, decompose=_backward, vjp=VIA_DECOMPOSITION,
    reference=_backward_reference, samples=_backward_samples, doc="The gradients of scaled_dot_product_attention's query, key and value.",
)  # fmt: skip
