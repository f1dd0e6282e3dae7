"""Layers and functions of torch.nn that the tables do not reach: the same weights, the same numbers, the same gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.utils.prune

import monograph as mg

FRAMES = (torch, mg)


def filled(module: Any, t: Any, seed: int = 0) -> Any:
    draw = np.random.default_rng(seed)
    with t.no_grad():
        for p in module.parameters():
            p.copy_(t.tensor(draw.standard_normal(tuple(p.shape)).astype("float32")))
    return module


def numbers(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def compare(run: Any) -> None:
    theirs, ours = (run(t) for t in FRAMES)
    for a, b in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(b.detach().numpy(), a.detach().numpy(), rtol=1e-4, atol=1e-5)


def with_gradient(t: Any, function: Any, x: np.ndarray) -> list[Any]:
    leaf = t.tensor(x, requires_grad=True)
    y = function(leaf)
    (y * y).sum().backward()
    return [y, leaf.grad]


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("size", [{"output_size": 3}, {"output_ratio": 0.6}])
def test_fractional_max_pool(n: int, size: dict[str, Any]) -> None:
    x, samples = numbers(2, 3, *[7, 8, 9][:n]), np.random.default_rng(0).random((2, 3, n)).astype("float32")

    def run(t: Any) -> list[Any]:
        layer = getattr(t.nn, f"FractionalMaxPool{n}d")(2, return_indices=True, _random_samples=t.tensor(samples), **size)
        return [*layer(t.tensor(x)), *with_gradient(t, lambda v: layer(v)[0], x)]

    compare(run)


def test_lp_pool3d() -> None:
    compare(lambda t: with_gradient(t, t.nn.LPPool3d(2, (2, 3, 2), stride=2), np.abs(numbers(1, 2, 5, 6, 4))))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_multilabel_margin_loss(reduction: str) -> None:
    target = np.array([[3, 0, -1, 1], [-1, 0, 0, 0], [2, 1, 3, 0]])

    def run(t: Any) -> list[Any]:
        loss = t.nn.MultiLabelMarginLoss(reduction=reduction)
        return [
            *with_gradient(t, lambda v: loss(v, t.tensor(target)), numbers(3, 4)),
            *with_gradient(t, lambda v: loss(v, t.tensor(target[0])), numbers(4)),
        ]

    compare(run)


def test_adaptive_softmax() -> None:
    def run(t: Any) -> list[Any]:
        layer = filled(t.nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10], div_value=2.0, head_bias=True), t)
        x = t.tensor(numbers(6, 8))
        found = layer(x, t.tensor([0, 3, 5, 9, 12, 19]))
        found.loss.backward()
        return [found.output, found.loss, layer.log_prob(x), layer.predict(x), layer.head.weight.grad, layer.tail[1][0].weight.grad]

    compare(run)


@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2)])
def test_orthogonal(orthogonal_map: str, shape: tuple[int, int]) -> None:
    def run(t: Any) -> list[Any]:
        layer = filled(t.nn.Linear(*shape), t)
        t.nn.utils.parametrizations.orthogonal(layer, orthogonal_map=orthogonal_map, use_trivialization=False)
        layer(t.ones(2, shape[0])).pow(2).sum().backward()
        return [layer.weight, layer.parametrizations.weight.original.grad]

    compare(run)


def test_weight_and_spectral_norm() -> None:
    def run(t: Any) -> list[Any]:
        utils = t.nn.utils
        new = utils.parametrizations.weight_norm(filled(t.nn.Linear(3, 2), t))
        new.load_state_dict(utils.weight_norm(filled(t.nn.Linear(3, 2), t, 5)).state_dict())
        spectral = utils.parametrizations.spectral_norm(filled(t.nn.Conv2d(2, 3, 2), t))
        for _ in range(40):
            spectral(t.ones(1, 2, 3, 3))
        return [new.weight, new.parametrizations.weight.original0, spectral.eval().weight]

    with pytest.warns(FutureWarning):
        compare(run)


def test_pruning() -> None:
    def run(t: Any) -> list[Any]:
        prune = t.nn.utils.prune
        layer = filled(t.nn.Linear(4, 3), t)
        prune.l1_unstructured(layer, "weight", amount=0.3)
        prune.l1_unstructured(layer, "weight", amount=2)
        prune.ln_structured(layer, "weight", amount=1, n=2, dim=0)
        layer(t.ones(1, 4)).sum().backward()
        kept = [layer.weight, layer.weight_mask, layer.weight_orig.grad]
        prune.remove(layer, "weight")
        a, b = filled(t.nn.Linear(3, 3), t, 1), filled(t.nn.Linear(2, 3), t, 2)
        prune.global_unstructured([(a, "weight"), (b, "weight")], prune.L1Unstructured, amount=0.4)
        return [*kept, layer.weight, a.weight, b.weight]

    compare(run)


def test_fusion() -> None:
    def run(t: Any) -> list[Any]:
        bn = t.nn.BatchNorm2d(3)
        bn(t.tensor(numbers(4, 3, 5, 5)))
        conv, turned = filled(t.nn.Conv2d(2, 3, 3), t).eval(), filled(t.nn.ConvTranspose2d(2, 3, 3), t).eval()
        first = t.nn.utils.fuse_conv_bn_eval(conv, bn.eval())
        second = t.nn.utils.fuse_conv_bn_eval(turned, bn, transpose=True)
        return [first.weight, first.bias, second.weight, second.bias]

    compare(run)


def test_flex_attention() -> None:
    torch_flex = pytest.importorskip("torch.nn.attention.flex_attention")
    import monograph.compat.flex_attention as our_flex  # noqa: PLC0415 - torch's may be absent, and is asked for first

    def run(t: Any) -> list[Any]:
        flex = torch_flex if t is torch else our_flex
        q, k, v = t.tensor(numbers(2, 4, 40, 8)), t.tensor(numbers(2, 2, 40, 8, seed=2)), t.tensor(numbers(2, 2, 40, 8, seed=3))
        document, slopes = t.tensor([0] * 10 + [1] * 20 + [2] * 10), t.tensor([1.0, 0.5, 0.25, 0.1])
        mask = flex.create_block_mask(
            flex.and_masks(lambda b, h, q, k: q >= k, lambda b, h, q, k: document[q] == document[k]),
            2,
            4,
            40,
            40,
            device="cpu",
            BLOCK_SIZE=16,
        )
        one = flex.flex_attention(q, k, v, lambda s, b, h, i, j: s + slopes[h] * (j - i), mask, enable_gqa=True)
        few = flex.create_block_mask(lambda b, h, q, k: q < 5, None, None, 40, 40, device="cpu")
        two = flex.flex_attention(q, k, v, None, few, enable_gqa=True, scale=0.3)
        return [one, two, mask.to_dense(), t.tensor(mask.sparsity()), mask.kv_num_blocks, mask.full_kv_num_blocks]

    with pytest.warns(UserWarning):
        compare(run)
