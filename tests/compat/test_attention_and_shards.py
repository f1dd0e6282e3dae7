"""flex_attention, the choice of attention kernels, sharding in a world of one."""

from __future__ import annotations

import pytest

import monograph as mg
from monograph import nn
from monograph.compat import distributed, fsdp
from monograph.compat.flex_attention import BlockMask, create_block_mask, create_mask, flex_attention, or_masks
from monograph.nn import functional as F


def test_without_changes_it_is_attention() -> None:
    q, k, v = (mg.rand(1, 2, 8, 4) for _ in range(3))
    causal = create_block_mask(lambda b, h, q, k: q >= k, None, None, 8, 8, BLOCK_SIZE=4)
    assert mg.allclose(flex_attention(q, k, v), F.scaled_dot_product_attention(q, k, v), atol=1e-6)
    assert mg.allclose(flex_attention(q, k, v, block_mask=causal), F.scaled_dot_product_attention(q, k, v, is_causal=True), atol=1e-6)
    assert causal.to_dense().tolist() == [[[[1, 0], [1, 1]]]] and causal.full_kv_num_blocks.tolist() == [[[0, 1]]]
    assert isinstance(causal[0], BlockMask) and causal.shape == (1, 1, 8, 8) and causal.sparsity() == 25.0
    with pytest.raises(ValueError, match="made for lengths"):
        flex_attention(mg.rand(1, 2, 4, 4), k, v, block_mask=causal)


def test_scores_and_gradients() -> None:
    q, k, v = (mg.rand(1, 2, 3, 4, requires_grad=True) for _ in range(3))
    table = mg.rand(2, 5, requires_grad=True)
    y, lse = flex_attention(q, k, v, lambda s, b, h, i, j: s + table[h, i - j + 2], return_lse=True)
    y.sum().backward()
    assert lse.shape == (1, 2, 3) and table.grad.shape == (2, 5) and q.grad is not None
    mask = create_mask(or_masks(lambda b, h, q, k: q == k, lambda b, h, q, k: k == 0), None, None, 3, 3)
    assert mask[0, 0].tolist() == [[True, False, False], [True, True, False], [True, False, True]]


def test_kernels_of_attention() -> None:
    backends = nn.attention.SDPBackend
    with nn.attention.sdpa_kernel([backends.MATH, backends.FLASH_ATTENTION]):
        assert nn.attention._cur_sdpa_kernel_backends() == [backends.MATH, backends.FLASH_ATTENTION]
    with pytest.raises(AssertionError, match="must be an instance of SDPBackend"), nn.attention.sdpa_kernel("math"):
        raise AssertionError("unreachable")
    assert nn.attention.bias.causal_lower_right(2, 3).tolist() == [[True, True, False], [True, True, True]]


def test_sharding_in_a_world_of_one() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="init_process_group"):
        fsdp.fully_shard(layer)
    distributed.init_process_group("gloo")
    try:
        assert fsdp.fully_shard(layer, mp_policy=fsdp.MixedPrecisionPolicy()) is layer and isinstance(layer, fsdp.FSDPModule)
        assert isinstance(layer, nn.Linear) and layer(mg.ones(1, 2)).shape == (1, 2)
        wrapped = fsdp.FullyShardedDataParallel(nn.Linear(2, 2))
        wrapped(mg.ones(1, 2)).sum().backward()
        assert wrapped.clip_grad_norm_(1.0) > 0
        with pytest.raises(NotImplementedError, match="autocast"):
            fsdp.fully_shard(nn.Linear(1, 1), mp_policy=fsdp.MixedPrecisionPolicy(param_dtype=mg.bfloat16))
    finally:
        distributed.destroy_process_group()
