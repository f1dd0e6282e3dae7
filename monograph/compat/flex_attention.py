"""torch.nn.attention.flex_attention: attention whose scores and masks are functions of (batch, head, query, key).

The functions are written for one position and mapped over all of them (by vmap); the scores are computed whole. A `BlockMask` keeps which
blocks of positions are allowed, which in part and which in full, as torch's does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from monograph.core.dtype import bool_, int32, int64
from monograph.func.vmap import vmap
from monograph.nn import functional as F
from monograph.tensor import FUNCTIONS, Tensor
from monograph.tensor.core import Device

Modification = Callable[..., Tensor]
DEFAULT_BLOCK = _DEFAULT_SPARSE_BLOCK_SIZE = 128


def noop_mask(batch: Tensor, head: Tensor, token_q: Tensor, token_kv: Tensor) -> Tensor:
    """Every position is allowed."""
    return FUNCTIONS["ones"]((), dtype=bool_)


def and_masks(*mask_mods: Modification) -> Modification:
    """Allowed where all masks allow."""
    _callable(mask_mods)

    def both(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        result = FUNCTIONS["ones"]((), dtype=bool_)
        for mod in mask_mods:
            result = result & mod(b, h, q_idx, kv_idx)
        return result

    return both


def or_masks(*mask_mods: Modification) -> Modification:
    """Allowed where any mask allows."""
    _callable(mask_mods)

    def either(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        result = FUNCTIONS["zeros"]((), dtype=bool_)
        for mod in mask_mods:
            result = result | mod(b, h, q_idx, kv_idx)
        return result

    return either


def _callable(mods: tuple[Any, ...]) -> None:
    if not all(callable(mod) for mod in mods):
        raise RuntimeError(f"All inputs should be callable mask_mods: {mods}")


def _everywhere(mod: Modification, sizes: tuple[int, int, int, int], scores: Tensor | None = None) -> Tensor:
    """The function's result for every (batch, head, query, key): [B, H, M, N]."""
    lead = () if scores is None else (0,)
    for place in (3, 2, 1, 0):
        mod = vmap(mod, in_dims=(*lead, *[0 if i == place else None for i in range(4)]))
    places = [FUNCTIONS["arange"](n) for n in sizes]
    return mod(*places) if scores is None else mod(scores, *places)


def create_mask(mod_fn: Modification, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = "cpu") -> Tensor:
    """A dense bool mask [B, H, Q_LEN, KV_LEN] of a mask function.

    >>> from monograph.compat.flex_attention import create_mask
    >>> create_mask(lambda b, h, q, kv: q >= kv, None, None, 2, 2).tolist()
    [[[[True, False], [True, True]]]]
    """
    return _everywhere(mod_fn, (B or 1, H or 1, Q_LEN, KV_LEN)).to(bool_)  # type: ignore[attr-defined, no-any-return]


def _ordered(dense: Tensor) -> tuple[Tensor, Tensor]:
    """(how many blocks of each row are set, the numbers of those blocks first)."""
    counts = dense.sum(-1).to(int32)  # type: ignore[attr-defined]
    return counts, FUNCTIONS["argsort"](dense.to(int32), dim=-1, descending=True, stable=True).to(int32)  # type: ignore[attr-defined]


def _dense_blocks(counts: Tensor, indices: Tensor, columns: int) -> Tensor:
    """Which blocks of each row are set, from `_ordered`: [B, H, rows, columns]."""
    valid = FUNCTIONS["arange"](indices.shape[-1]) < counts.unsqueeze(-1)  # type: ignore[attr-defined]
    places = FUNCTIONS["where"](valid, indices.to(int64), columns)  # type: ignore[attr-defined]
    empty = FUNCTIONS["zeros"]((*indices.shape[:-1], columns + 1), dtype=int32)
    return (FUNCTIONS["scatter"](empty, -1, places, 1) > 0)[..., :columns]  # type: ignore[no-any-return]


class BlockMask:
    """Which blocks of [queries, keys] take part in attention: `kv_indices[..., row, :kv_num_blocks]` in part (asked of `mask_mod`), the
    `full_` ones as a whole. Made by `create_block_mask` or `from_kv_blocks`.
    """

    def __init__(
        self, seq_lengths: tuple[int, int], kv_num_blocks: Tensor, kv_indices: Tensor, full_kv_num_blocks: Tensor | None,
        full_kv_indices: Tensor | None, BLOCK_SIZE: tuple[int, int], mask_mod: Modification,
    ) -> None:  # fmt: skip
        self.seq_lengths, self.BLOCK_SIZE, self.mask_mod = seq_lengths, BLOCK_SIZE, mask_mod
        self.kv_num_blocks, self.kv_indices = kv_num_blocks, kv_indices
        self.full_kv_num_blocks, self.full_kv_indices = full_kv_num_blocks, full_kv_indices

    @classmethod
    def from_kv_blocks(
        cls, kv_num_blocks: Tensor, kv_indices: Tensor, full_kv_num_blocks: Tensor | None = None, full_kv_indices: Tensor | None = None,
        BLOCK_SIZE: Any = DEFAULT_BLOCK, mask_mod: Modification | None = None, seq_lengths: tuple[int, int] | None = None,
        compute_q_blocks: bool = True,
    ) -> BlockMask:  # fmt: skip
        """From the key blocks of each query block."""
        if kv_indices.ndim < 2:
            raise RuntimeError("BlockMask must have at least 2 dimensions")
        if (full_kv_num_blocks is None) != (full_kv_indices is None):
            raise AssertionError("full_kv_num_blocks and full_kv_indices must be both provided or omitted")
        block = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else tuple(BLOCK_SIZE)
        lengths = seq_lengths or (kv_indices.shape[-2] * block[0], kv_indices.shape[-1] * block[1])
        return cls(lengths, kv_num_blocks, kv_indices, full_kv_num_blocks, full_kv_indices, block, mask_mod or noop_mask)

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, H, queries, keys)."""
        return (*self.kv_num_blocks.shape[:-1], *self.seq_lengths)

    def to_dense(self) -> Tensor:
        """Which blocks take part: [B, H, query blocks, key blocks]."""
        columns = -(-self.seq_lengths[1] // self.BLOCK_SIZE[1])
        dense = _dense_blocks(self.kv_num_blocks, self.kv_indices, columns)
        if self.full_kv_num_blocks is not None and self.full_kv_indices is not None:
            dense = dense | _dense_blocks(self.full_kv_num_blocks, self.full_kv_indices, columns)
        return dense.to(int32)  # type: ignore[attr-defined, no-any-return]

    def allowed(self) -> Tensor:
        """Which positions take part: a bool mask [B, H, queries, keys]."""
        (m, n), (rows, columns) = self.seq_lengths, self.BLOCK_SIZE
        count = -(-n // columns)

        def positions(counts: Tensor, indices: Tensor) -> Tensor:
            blocks: Any = _dense_blocks(counts, indices, count)
            return blocks.repeat_interleave(rows, -2)[..., :m, :].repeat_interleave(columns, -1)[..., :n]  # type: ignore[no-any-return]

        lead = self.kv_num_blocks.shape[:-1]
        sizes = (lead[0] if len(lead) > 0 else 1, lead[1] if len(lead) > 1 else 1, m, n)
        mask = positions(self.kv_num_blocks, self.kv_indices) & _everywhere(self.mask_mod, sizes)  # type: ignore[operator]
        if self.full_kv_num_blocks is not None and self.full_kv_indices is not None:
            mask = mask | positions(self.full_kv_num_blocks, self.full_kv_indices)
        return mask  # type: ignore[no-any-return]

    def sparsity(self) -> float:
        """The percentage of positions in blocks that are left out (blocks at the end count whole, as torch counts them)."""
        computed = int(self.to_dense().sum()) * self.BLOCK_SIZE[0] * self.BLOCK_SIZE[1]  # type: ignore[attr-defined]
        return 100.0 * (1.0 - computed / self.numel())

    def numel(self) -> int:
        """How many positions there are."""
        return math.prod(self.shape)

    def to(self, device: Any) -> BlockMask:
        """Itself, on the CPU. Raises RuntimeError for another device."""
        Device(device)
        self.kv_num_blocks.to(device)  # type: ignore[attr-defined]
        return self

    def __getitem__(self, index: Any) -> BlockMask:
        first, places, full, whole = (
            None if t is None else t[index] for t in (self.kv_num_blocks, self.kv_indices, self.full_kv_num_blocks, self.full_kv_indices)
        )
        assert first is not None and places is not None  # a mask always has these
        return BlockMask(self.seq_lengths, first, places, full, whole, self.BLOCK_SIZE, noop_mask)

    def __repr__(self) -> str:
        return f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%)"


def create_block_mask(
    mask_mod: Modification, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = "cpu", BLOCK_SIZE: Any = DEFAULT_BLOCK,
    _compile: bool = False,
) -> BlockMask:  # fmt: skip
    """The blocks in which `mask_mod(b, h, q_idx, kv_idx)` is True somewhere, and those where it is everywhere.

    B and H may be None: the mask is the same for all. `_compile` changes nothing.

    >>> from monograph.compat.flex_attention import create_block_mask
    >>> create_block_mask(lambda b, h, q, kv: q >= kv, None, None, 256, 256).to_dense().tolist()
    [[[[1, 0], [1, 1]]]]
    """
    rows, columns = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else tuple(BLOCK_SIZE)
    mask: Any = create_mask(mask_mod, B, H, Q_LEN, KV_LEN)
    m, n = -(-Q_LEN // rows), -(-KV_LEN // columns)
    padded = F.pad(mask, (0, n * columns - KV_LEN, 0, m * rows - Q_LEN))
    counts = padded.reshape(*mask.shape[:2], m, rows, n, columns).to(int32).sum((-3, -1))
    full, some = counts == rows * columns, counts > 0
    partial_counts, partial = _ordered(some & ~full)
    full_counts, whole = _ordered(full)
    return BlockMask((Q_LEN, KV_LEN), partial_counts, partial, full_counts, whole, (rows, columns), mask_mod)


class AuxRequest(NamedTuple):
    """What `flex_attention` returns beside its result: logarithms of summed exponentials, largest scores."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """What was asked for by an AuxRequest; None for the rest."""

    lse: Tensor | None = None
    max_scores: Tensor | None = None


def flex_attention(
    query: Tensor, key: Tensor, value: Tensor, score_mod: Modification | None = None, block_mask: BlockMask | None = None,
    scale: float | None = None, enable_gqa: bool = False, return_lse: bool = False, kernel_options: Any = None, *,
    return_aux: AuxRequest | None = None,
) -> Any:  # fmt: skip
    """Attention of [B, H, length, size] tensors with scores changed by `score_mod(score, b, h, q_idx, kv_idx)` and masked by `block_mask`.
    A query without any key gets zeros. With `return_lse` also the logarithm of each query's summed exponentials; `return_aux` asks for an
    AuxOutput instead.

    >>> import monograph as mg
    >>> from monograph.compat.flex_attention import flex_attention
    >>> x = mg.ones(1, 1, 3, 2)
    >>> flex_attention(x, x, x, score_mod=lambda score, b, h, q, kv: score + kv).shape
    monograph.Size([1, 1, 3, 2])
    """
    q, k, v = (_four(t, name) for t, name in ((query, "query"), (key, "key"), (value, "value")))
    if q.shape[1] != k.shape[1]:
        if not enable_gqa:
            raise ValueError(
                f"Expect query and key/value to have the same number of heads but got Hq={q.shape[1]} and Hkv={k.shape[1]}. "
                "Try setting enable_gqa=True for GQA."
            )
        k, v = (t.repeat_interleave(q.shape[1] // k.shape[1], 1) for t in (k, v))
    scores = (q @ k.transpose(-2, -1)) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if score_mod is not None:
        scores = _everywhere(score_mod, tuple(scores.shape), scores).to(scores.dtype)
    if block_mask is not None:
        if tuple(block_mask.seq_lengths) != (q.shape[-2], k.shape[-2]):
            raise ValueError(
                f"block_mask was made for lengths {tuple(block_mask.seq_lengths)} and the attention is of {(q.shape[-2], k.shape[-2])}; "
                "make it with Q_LEN and KV_LEN of these tensors"
            )
        scores = FUNCTIONS["where"](block_mask.allowed(), scores, float("-inf"))
    lse = FUNCTIONS["logsumexp"](scores, -1)
    nothing = lse == float("-inf")
    weights = (scores - FUNCTIONS["where"](nothing, 0.0, lse).unsqueeze(-1)).exp()
    y = weights.to(v.dtype) @ v
    if return_aux is not None:
        largest = scores.amax(-1) if return_aux.max_scores else None
        return y, AuxOutput(lse if return_aux.lse else None, largest)
    return (y, lse) if return_lse else y


def _four(t: Any, name: str) -> Any:
    if t.ndim != 4:
        raise ValueError(f"flex_attention: {name} must have 4 dimensions [B, H, length, size], got {list(t.shape)}")
    return t


__all__ = [
    "AuxOutput",
    "AuxRequest",
    "BlockMask",
    "and_masks",
    "create_block_mask",
    "create_mask",
    "flex_attention",
    "noop_mask",
    "or_masks",
]
