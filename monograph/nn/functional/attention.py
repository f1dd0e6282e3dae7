"""Attention: scaled dot products, and torch's multi-head attention with its masks and projections."""

from __future__ import annotations

import math
from typing import Any

from monograph.core.dtype import bool_
from monograph.nn.functional.activation import softmax
from monograph.nn.functional.dense import linear
from monograph.nn.functional.dropout import dropout
from monograph.nn.functional.padding import pad
from monograph.ops import attention as attention_ops
from monograph.tensor import Tensor, cat, ones, where, zeros
from monograph.tensor.dispatch import apply


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    """softmax(q kᵀ * scale + mask) v over [..., length, size]. A bool mask is True where a key takes part; `is_causal`: keys
    up to the query.
    """
    if is_causal and attn_mask is not None:
        raise RuntimeError("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if enable_gqa:
        key, value = _shared_heads(query, key), _shared_heads(query, value)
    if dropout_p > 0.0:
        return dropout(_weights(query, key, attn_mask, is_causal, scale), dropout_p) @ value
    if attn_mask is None:
        return apply(attention_ops.scaled_dot_product_attention, query, key, value, is_causal=is_causal, scale=scale, has_mask=False)
    return apply(attention_ops.scaled_dot_product_attention, query, key, value, attn_mask, is_causal=is_causal, scale=scale, has_mask=True)


def _shared_heads(query: Tensor, t: Tensor) -> Tensor:
    """Keys or values repeated so that each group of query heads has its own."""
    heads, have = query.shape[-3], t.shape[-3]
    if heads % have:
        raise RuntimeError(f"Number of heads in key and value must divide the number of heads in query, got {have} and {heads}")
    if heads == have:
        return t
    lead, (length, size) = t.shape[:-3], t.shape[-2:]
    return t.unsqueeze(-3).expand(*lead, have, heads // have, length, size).reshape(*lead, heads, length, size)


def _weights(query: Tensor, key: Tensor, mask: Tensor | None, is_causal: bool, scale: float | None) -> Tensor:
    """The attention weights, one row per query."""
    scores = (query @ key.transpose(-2, -1)) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        mask = ones((query.shape[-2], key.shape[-2]), dtype=bool_).tril()
    if mask is not None:
        scores = where(mask, scores, float("-inf")) if mask.dtype is bool_ else scores + mask
    return softmax(scores, -1)


def _as_added(mask: Tensor | None, like: Tensor, name: str) -> Tensor | None:
    """A mask that is added to the scores: -inf where a bool mask is True."""
    if mask is None or mask.dtype.is_floating_point:
        return mask
    if mask.dtype is not bool_:
        raise AssertionError(f"only bool and floating types of {name} are supported")
    return where(mask, float("-inf"), zeros((), dtype=like.dtype))


def _projected(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    separate: tuple[Tensor, ...] | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of all heads. Self-attention is one product."""
    size = query.shape[-1]
    if separate is not None:
        biases = in_proj_bias.chunk(3) if in_proj_bias is not None else (None, None, None)
        q, k, v = (linear(x, w, b) for x, w, b in zip((query, key, value), separate, biases, strict=True))
        return q, k, v
    weight: Any = in_proj_weight
    if query is key and key is value:
        q, k, v = linear(query, weight, in_proj_bias).chunk(3, -1)
        return q, k, v
    w_q, w_kv = weight.split([size, 2 * size])
    b_q, b_kv = (None, None) if in_proj_bias is None else in_proj_bias.split([size, 2 * size])
    if key is value:
        k, v = linear(key, w_kv, b_kv).chunk(2, -1)
        return linear(query, w_q, b_q), k, v
    w_k, w_v = w_kv.chunk(2)
    b_k, b_v = (None, None) if b_kv is None else b_kv.chunk(2)
    return linear(query, w_q, b_q), linear(key, w_k, b_k), linear(value, w_v, b_v)


def multi_head_attention_forward(
    query: Tensor, key: Tensor, value: Tensor, embed_dim_to_check: int, num_heads: int, in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None, bias_k: Tensor | None, bias_v: Tensor | None, add_zero_attn: bool, dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None, training: bool = True, key_padding_mask: Tensor | None = None, need_weights: bool = True,
    attn_mask: Tensor | None = None, use_separate_proj_weight: bool = False, q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None, v_proj_weight: Tensor | None = None, static_k: Tensor | None = None, static_v: Tensor
    | None = None,
    average_attn_weights: bool = True, is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """Multi-head attention of [L, N, E] (or unbatched [L, E]) inputs: (output, weights averaged over heads, or None)."""
    if query.ndim not in (2, 3):
        raise AssertionError(f"query should be unbatched 2D or batched 3D tensor but received {query.ndim}-D query tensor")
    if key.ndim != query.ndim or value.ndim != query.ndim:
        raise AssertionError(
            f"For {'batched (3-D)' if query.ndim == 3 else 'unbatched (2-D)'} `query`, expected `key` and `value` to be "
            f"{query.ndim}-D but found "
            f"{key.ndim}-D and {value.ndim}-D tensors respectively"
        )
    batched = query.ndim == 3
    if not batched:
        same_kv, same = key is value, query is key and key is value
        query = query.unsqueeze(1)
        key = query if same else key.unsqueeze(1)
        value = key if same_kv else value.unsqueeze(1)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    length, batch, size = query.shape
    if size != embed_dim_to_check:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim_to_check}, but got {size}")
    head = size // num_heads
    if head * num_heads != size:
        raise AssertionError(f"embed_dim {size} not divisible by num_heads {num_heads}")
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
    separate: Any = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else None
    if separate is not None:
        if tuple(key.shape[:2]) != tuple(value.shape[:2]):
            raise AssertionError(f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}")
    elif key.shape != value.shape:
        raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")
    q, k, v = _projected(query, key, value, in_proj_weight, in_proj_bias, separate)
    if attn_mask is not None and attn_mask.ndim == 2:
        if tuple(attn_mask.shape) != (length, key.shape[0]):
            raise RuntimeError(f"The shape of the 2D attn_mask is {attn_mask.shape}, but should be {(length, key.shape[0])}.")
        attn_mask = attn_mask.unsqueeze(0)
    elif attn_mask is not None and tuple(attn_mask.shape) != (batch * num_heads, length, key.shape[0]):
        raise RuntimeError(
            f"The shape of the 3D attn_mask is {attn_mask.shape}, but should be {(batch * num_heads, length, key.shape[0])}."
        )
    attn_mask, key_padding_mask = _as_added(attn_mask, q, "attn_mask"), _as_added(key_padding_mask, q, "key_padding_mask")
    if bias_k is not None and bias_v is not None:
        k, v = cat([k, bias_k.expand(1, batch, size)]), cat([v, bias_v.expand(1, batch, size)])
        attn_mask, key_padding_mask = _one_more_key(attn_mask), _one_more_key(key_padding_mask)
    q = q.reshape(length, batch * num_heads, head).transpose(0, 1)
    k = k.reshape(k.shape[0], batch * num_heads, head).transpose(0, 1) if static_k is None else static_k
    v = v.reshape(v.shape[0], batch * num_heads, head).transpose(0, 1) if static_v is None else static_v
    if add_zero_attn:
        k, v = (
            cat([k, zeros((batch * num_heads, 1, head), dtype=k.dtype)], 1),
            cat([v, zeros((batch * num_heads, 1, head), dtype=v.dtype)], 1),
        )
        attn_mask, key_padding_mask = _one_more_key(attn_mask), _one_more_key(key_padding_mask)
    keys = k.shape[1]
    if key_padding_mask is not None:
        if tuple(key_padding_mask.shape) != (batch, keys):
            raise AssertionError(f"expecting key_padding_mask shape of {(batch, keys)}, but got {key_padding_mask.shape}")
        padding = key_padding_mask.reshape(batch, 1, 1, keys).expand(batch, num_heads, 1, keys).reshape(batch * num_heads, 1, keys)
        attn_mask = padding if attn_mask is None else attn_mask + padding
    rate = dropout_p if training else 0.0
    weights = None
    if need_weights:
        weights = dropout(_weights(q, k, attn_mask, False, None), rate)
        y = (weights @ v).transpose(0, 1).reshape(length * batch, size)
    else:
        q, k, v = (t.reshape(batch, num_heads, t.shape[1], head) for t in (q, k, v))
        if attn_mask is not None:
            attn_mask = attn_mask.unsqueeze(0) if attn_mask.shape[0] == 1 else attn_mask.reshape(batch, num_heads, -1, keys)
        y = scaled_dot_product_attention(q, k, v, attn_mask, rate).permute(2, 0, 1, 3).reshape(length * batch, size)
    y = linear(y, out_proj_weight, out_proj_bias).reshape(length, batch, out_proj_weight.shape[0])
    if weights is not None:
        weights = weights.reshape(batch, num_heads, length, keys)
        weights = weights.mean(1) if average_attn_weights else weights
    if batched:
        return y, weights
    return y.squeeze(1), None if weights is None else weights.squeeze(0)


def _one_more_key(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else pad(mask, (0, 1))
