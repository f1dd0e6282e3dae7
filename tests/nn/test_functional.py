"""torch.nn.functional: values against formulas written out in NumPy, gradients, arguments and errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

import monograph as mg
import monograph.nn.functional as F


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def t(array) -> mg.Tensor:
    return mg.tensor(np.asarray(array))


def close(tensor, array, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(tensor.detach().numpy(), np.asarray(array), rtol=tolerance, atol=tolerance)


def correlate(x: np.ndarray, w: np.ndarray, stride: int, padding: int, dilation: int, groups: int) -> np.ndarray:
    """Convolution in two dimensions, element by element."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    out, per_group, kh, kw = w.shape
    height = (x.shape[2] - dilation * (kh - 1) - 1) // stride + 1
    width = (x.shape[3] - dilation * (kw - 1) - 1) // stride + 1
    y = np.zeros((x.shape[0], out, height, width), np.float64)
    for o in range(out):
        first = o // (out // groups) * per_group
        for i in range(height):
            for j in range(width):
                window = x[:, first : first + per_group, i * stride :: dilation, j * stride :: dilation][:, :, :kh, :kw]
                y[:, o, i, j] = (window * w[o]).sum((1, 2, 3))
    return y


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"), [(1, 0, 1, 1), (2, 1, 1, 1), (1, 2, 2, 1), (2, 1, 1, 2), (1, 1, 1, 4)]
)
def test_conv2d(stride: int, padding: int, dilation: int, groups: int) -> None:
    x, w, b = draw(2, 4, 7, 6), draw(4, 4 // groups, 3, 2, seed=1), draw(4, seed=2)
    expected = correlate(x, w, stride, padding, dilation, groups) + b[:, None, None]
    close(F.conv2d(t(x), t(w), t(b), stride, padding, dilation, groups), expected, 1e-4)


def test_conv_padding_by_name_and_unbatched() -> None:
    x, w = draw(3, 9), draw(2, 3, 4, seed=1)
    same = F.conv1d(t(x), t(w), padding="same")
    assert same.shape == (2, 9)
    close(same, F.conv1d(F.pad(t(x), (1, 2)), t(w)).numpy())
    assert F.conv1d(t(x), t(w), padding="valid").shape == (2, 6)
    with pytest.raises(RuntimeError, match=r"not supported for strided"):
        F.conv1d(t(x), t(w), stride=2, padding="same")


def test_conv_transpose_is_the_adjoint() -> None:
    x, w, g = draw(2, 3, 5, 5), draw(3, 2, 3, 3, seed=1), draw(2, 2, 11, 11, seed=2)
    y = F.conv_transpose2d(t(x), t(w), stride=2, output_padding=0)
    assert y.shape == g.shape
    back = F.conv2d(t(g), t(w), stride=2)
    assert abs((y * t(g)).sum().item() - (back * t(x)).sum().item()) < 1e-2


def test_conv_errors() -> None:
    with pytest.raises(RuntimeError, match=r"Expected 3D \(unbatched\) or 4D \(batched\) input to conv2d"):
        F.conv2d(mg.ones(2, 3), mg.ones(2, 3, 1, 1))
    with pytest.raises(RuntimeError, match=r"(?i)expected input.*to have 4 channels, but got 3 channels"):
        F.conv2d(mg.ones(1, 3, 4, 4), mg.ones(2, 4, 1, 1))
    with pytest.raises(RuntimeError, match=r"expected bias to be 1-dimensional with 2 elements"):
        F.conv2d(mg.ones(1, 3, 4, 4), mg.ones(2, 3, 1, 1), mg.ones(3))


def test_unfold_and_fold() -> None:
    x = mg.arange(16.0).reshape(1, 1, 4, 4)
    columns = F.unfold(x, 2, stride=2)
    assert columns.tolist() == [[[0, 2, 8, 10], [1, 3, 9, 11], [4, 6, 12, 14], [5, 7, 13, 15]]]
    assert mg.equal(F.fold(columns, (4, 4), 2, stride=2), x)
    counts = F.fold(F.unfold(mg.ones(1, 1, 3, 3), 2), (3, 3), 2)
    assert counts[0, 0].tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]


# ---------------------------------------------------------------- normalisation


def test_batch_norm_moves_the_running_statistics() -> None:
    x = draw(4, 3, 5)
    mean, var = mg.zeros(3), mg.ones(3)
    y = F.batch_norm(t(x), mean, var, training=True, momentum=0.1)
    axes = (0, 2)
    close(y, (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5), 1e-4)
    close(mean, 0.1 * x.mean(axes))
    close(var, 0.9 + 0.1 * x.var(axes, ddof=1))
    frozen = F.batch_norm(t(x), mean, var)
    close(frozen, (x - mean.numpy()[:, None]) / np.sqrt(var.numpy()[:, None] + 1e-5), 1e-4)
    with pytest.raises(ValueError, match=r"Expected more than 1 value per channel when training, got input size"):
        F.batch_norm(mg.ones(1, 3), None, None, training=True)


def test_other_norms() -> None:
    x, w, b = draw(2, 4, 6), draw(6, seed=1), draw(6, seed=2)
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    close(F.layer_norm(t(x), (6,), t(w), t(b)), (x - mean) / np.sqrt(var + 1e-5) * w + b, 1e-4)
    close(F.rms_norm(t(x), (6,), t(w), 1e-3), x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-3) * w, 1e-4)
    grouped = x.reshape(2, 2, 12)
    expected = (grouped - grouped.mean(-1, keepdims=True)) / np.sqrt(grouped.var(-1, keepdims=True) + 1e-5)
    close(F.group_norm(t(x), 2), expected.reshape(x.shape), 1e-4)
    close(F.instance_norm(t(x)), (x - mean) / np.sqrt(var + 1e-5), 1e-4)
    close(F.normalize(t(x), dim=-1), x / np.sqrt((x * x).sum(-1, keepdims=True)))
    with pytest.raises(RuntimeError, match=r"Given normalized_shape=\[5\], expected input with shape \[\*, 5\]"):
        F.layer_norm(t(x), (5,))


# ---------------------------------------------------------------- pooling, padding, images


def test_pooling() -> None:
    x = mg.arange(16.0).reshape(1, 1, 4, 4)
    values, where = F.max_pool2d(x, 2, return_indices=True)
    assert values.flatten().tolist() == [5, 7, 13, 15] and where.flatten().tolist() == [5, 7, 13, 15]
    assert F.max_unpool2d(values, where, 2).flatten().tolist()[5] == 5
    assert F.avg_pool2d(x, 2).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert F.avg_pool2d(x, 3, 2, 1, count_include_pad=False).flatten().tolist() == [2.5, 4.0, 8.5, 10.0]
    assert F.adaptive_avg_pool2d(x, (1, None)).flatten().tolist() == [6, 7, 8, 9]
    assert F.adaptive_max_pool1d(mg.arange(5.0).reshape(1, 1, 5), 2).flatten().tolist() == [2, 4]
    with pytest.raises(RuntimeError, match=r"(?i)output size is too small"):
        F.max_pool2d(x, 5)


def test_pad() -> None:
    x = mg.arange(3.0).reshape(1, 3)
    assert F.pad(x, (1, 2), value=9).tolist() == [[9, 0, 1, 2, 9, 9]] and F.pad(x, (-1, 0)).tolist() == [[1, 2]]
    assert F.pad(x, (2, 1), mode="reflect").tolist() == [[2, 1, 0, 1, 2, 1]]
    assert F.pad(x, (2, 1), mode="replicate").tolist() == [[0, 0, 0, 1, 2, 2]]
    assert F.pad(x, (2, 1), mode="circular").tolist() == [[1, 2, 0, 1, 2, 0]]
    with pytest.raises(RuntimeError, match=r"Padding length must be divisible by 2"):
        F.pad(x, (1,))
    with pytest.raises(RuntimeError, match=r"Padding size should be less than the corresponding input dimension"):
        F.pad(x, (3, 0), mode="reflect")


def test_interpolate_and_shuffles() -> None:
    x = mg.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    assert F.interpolate(x, scale_factor=2)[0, 0, 0].tolist() == [0, 0, 1, 1]
    close(F.interpolate(x, size=(2, 3), mode="bilinear", align_corners=True)[0, 0, 0], [0, 0.5, 1])
    close(F.interpolate(x, size=(2, 4), mode="bilinear")[0, 0, 0], [0, 0.25, 0.75, 1])
    assert F.interpolate(x, size=(4, 4), mode="bicubic").shape == (1, 1, 4, 4)
    assert F.interpolate(x, size=1, mode="area").item() == 1.5
    shuffled = F.pixel_shuffle(mg.arange(4.0).reshape(1, 4, 1, 1), 2)
    assert shuffled.flatten().tolist() == [0, 1, 2, 3] and F.pixel_unshuffle(shuffled, 2).flatten().tolist() == [0, 1, 2, 3]
    assert F.channel_shuffle(mg.arange(4).reshape(1, 4, 1), 2).flatten().tolist() == [0, 2, 1, 3]
    with pytest.raises(ValueError, match=r"either size or scale_factor should be defined"):
        F.interpolate(x)


def test_grid_sample_of_the_identity() -> None:
    x = t(draw(1, 2, 4, 5))
    grid = F.affine_grid(mg.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]), (1, 2, 4, 5), align_corners=True)
    for mode in ("bilinear", "nearest", "bicubic"):
        close(F.grid_sample(x, grid, mode=mode, align_corners=True), x.numpy(), 1e-4)


# ---------------------------------------------------------------- activations and dropout


def test_activations() -> None:
    x = np.linspace(-4, 4, 9).astype(np.float32)
    sigmoid = 1 / (1 + np.exp(-x))
    cases = {
        "silu": x * sigmoid, "softplus": np.log1p(np.exp(x)), "elu": np.where(x > 0, x, np.expm1(x)), "relu6": np.clip(x, 0, 6),
        "hardsigmoid": np.clip(x + 3, 0, 6) / 6, "hardswish": x * np.clip(x + 3, 0, 6) / 6, "softsign": x / (1 + np.abs(x)),
        "logsigmoid": np.log(sigmoid), "mish": x * np.tanh(np.log1p(np.exp(x))), "leaky_relu": np.where(x > 0, x, 0.01 * x),
        "gelu": [0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in x], "hardshrink": np.where(np.abs(x) > 0.5, x, 0),
        "softshrink": np.sign(x) * np.maximum(np.abs(x) - 0.5, 0), "tanhshrink": x - np.tanh(x), "hardtanh": np.clip(x, -1, 1),
    }  # fmt: skip
    for name, expected in cases.items():
        close(getattr(F, name)(t(x)), expected, 1e-4)
    close(F.glu(t(x[:8])), x[:4] * (1 / (1 + np.exp(-x[4:8]))))
    close(F.prelu(t(x.reshape(1, 9)), t(np.full(9, 0.2, np.float32)))[0], np.where(x > 0, x, 0.2 * x))
    y = t(x)
    assert F.relu(y, inplace=True) is y and y.min().item() == 0
    assert F.threshold(t(x), 1.0, -7.0).tolist()[:5] == [-7.0] * 5


def test_softmax_family() -> None:
    x = draw(3, 4)
    e = np.exp(x - x.max(1, keepdims=True))
    close(F.softmax(t(x), 1), e / e.sum(1, keepdims=True))
    close(F.log_softmax(t(x), -1), np.log(e / e.sum(1, keepdims=True)))
    assert F.softmax(t(x), 1, dtype=mg.float64).dtype is mg.float64
    with pytest.warns(UserWarning, match=r"Implicit dimension choice for softmax"):
        F.softmax(t(x))
    hard = F.gumbel_softmax(t(x), hard=True)
    assert hard.sum(1).tolist() == pytest.approx([1, 1, 1]) and set(np.round(hard.flatten().numpy(), 5).tolist()) <= {0.0, 1.0}


def test_dropout() -> None:
    mg.manual_seed(1)
    x = mg.ones(200, 50, requires_grad=True)
    y = F.dropout(x, 0.25)
    share = (y == 0).float().mean().item()
    assert abs(share - 0.25) < 0.02 and abs(y.max().item() - 4 / 3) < 1e-6
    y.sum().backward()
    assert mg.equal(x.grad, y.detach())
    assert F.dropout(x, 0.5, training=False) is x and F.dropout(x, 1.0).sum().item() == 0
    whole = F.dropout2d(mg.ones(8, 16, 3, 3), 0.5)
    assert set(whole.sum((2, 3)).flatten().tolist()) == {0.0, 18.0}
    kept = F.alpha_dropout(t(draw(300, 300)), 0.3, training=True)
    assert abs(kept.mean().item()) < 0.02 and abs(kept.std().item() - 1) < 0.02
    with pytest.raises(ValueError, match=r"dropout probability has to be between 0 and 1, but got 1.5"):
        F.dropout(x, 1.5)


# ---------------------------------------------------------------- tables, attention, distances


def test_embedding() -> None:
    table = mg.arange(6.0).reshape(3, 2).requires_grad_()
    labels = mg.tensor([[0, 2], [2, 1]])
    rows = F.embedding(labels, table, padding_idx=-1)
    assert rows.tolist() == [[[0, 1], [4, 5]], [[4, 5], [2, 3]]]
    rows.sum().backward()
    assert table.grad.tolist() == [[1, 1], [1, 1], [0, 0]]
    bags = F.embedding_bag(mg.tensor([0, 1, 2]), table.detach(), mg.tensor([0, 2, 2]), mode="sum")
    assert bags.tolist() == [[2, 4], [0, 0], [4, 5]]
    limited = mg.tensor([[3.0, 4.0], [0.3, 0.4]])
    F.embedding(mg.tensor([0]), limited, max_norm=1.0)
    close(limited, [[0.6, 0.8], [0.3, 0.4]])
    assert F.one_hot(mg.tensor([1, 0]), 3).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_attention() -> None:
    q, k, v = draw(2, 3, 4), draw(2, 5, 4, seed=1), draw(2, 5, 6, seed=2)

    def weights(scores: np.ndarray) -> np.ndarray:
        e = np.exp(scores - scores.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    scores = q @ k.transpose(0, 2, 1) / 2
    close(F.scaled_dot_product_attention(t(q), t(k), t(v)), weights(scores) @ v, 1e-4)
    seen = np.tril(np.ones((3, 5), bool))
    masked = np.where(seen, scores, -np.inf)
    close(F.scaled_dot_product_attention(t(q), t(k), t(v), attn_mask=t(seen)), weights(masked) @ v, 1e-4)
    close(F.scaled_dot_product_attention(t(q), t(k), t(v), is_causal=True), weights(masked) @ v, 1e-4)
    assert F.scaled_dot_product_attention(t(q), t(k), t(v), dropout_p=1.0).abs().sum().item() == 0
    with pytest.raises(RuntimeError, match=r"Explicit attn_mask should not be set when is_causal=True"):
        F.scaled_dot_product_attention(t(q), t(k), t(v), attn_mask=t(seen), is_causal=True)


def test_distances() -> None:
    a, b = draw(3, 4), draw(3, 4, seed=1)
    close(F.pairwise_distance(t(a), t(b), eps=0.0), np.linalg.norm(a - b, axis=1))
    close(F.cosine_similarity(t(a), t(b)), (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))
    close(F.pdist(t(a)), [np.linalg.norm(a[i] - a[j]) for i, j in ((0, 1), (0, 2), (1, 2))])


def test_whole_numbers_are_convolved_and_averaged_exactly() -> None:
    x = mg.arange(6).reshape(1, 1, 6)
    kernel = mg.tensor([[[1, -1, 2]]])
    y = F.conv1d(x, kernel, mg.tensor([10]))
    assert y.dtype is mg.int64 and y.tolist() == [[[13, 15, 17, 19]]]
    assert F.conv_transpose1d(y, kernel).dtype is mg.int64
    assert F.avg_pool1d(mg.tensor([[1, 2, -4, -1]]), 2).tolist() == [[1, -2]]  # towards zero
    with pytest.raises(RuntimeError, match="bias type"):
        F.conv1d(x, kernel, mg.ones(1))


def test_circular_padding_crops_before_it_goes_round() -> None:
    x = mg.arange(4.0).reshape(1, 1, 4)
    assert F.pad(x, (-1, 1), "circular").tolist() == [[[1.0, 2.0, 3.0, 1.0]]]
    assert F.pad(x, (2, -1), "circular").tolist() == [[[1.0, 2.0, 0.0, 1.0, 2.0]]]


def test_pixels_are_resampled_as_pixels() -> None:
    x = mg.tensor([[[[0, 255], [255, 0]]]], dtype=mg.uint8)
    for mode in ("bilinear", "bicubic"):
        y = F.interpolate(x, size=(4, 4), mode=mode)
        assert y.dtype is mg.uint8 and y[0, 0, 0, 0].item() == 0 and y[0, 0, 0, 3].item() == 255


def test_linear_cross_entropy_is_the_two_in_one() -> None:
    x, w, b = t(draw(5, 3)), t(draw(4, 3, seed=1)), t(draw(4, seed=2))
    target = mg.tensor([0, 3, 1, 2, 3])
    expected = F.cross_entropy(F.linear(x, w, b), target, ignore_index=1)
    close(F.linear_cross_entropy(x, w, target, linear_bias=b, ignore_index=1), expected.numpy())
    module = mg.nn.LinearCrossEntropyLoss(3, 4, bias=True, options=mg.nn.LinearCrossEntropyOptions(batch_chunk_size=2))
    assert list(module.state_dict()) == ["linear.weight", "linear.bias"]
    close(module(x.float(), target), F.cross_entropy(module.linear(x.float()), target).detach().numpy())
    with pytest.raises(RuntimeError, match="in_features"):
        F.linear_cross_entropy(x, w[:, :2], target)
    with pytest.raises(ValueError, match="acc_policy"):
        mg.nn.LinearCrossEntropyOptions(acc_policy="fast")


def test_pools_refuse_channels_without_elements() -> None:
    with pytest.raises(RuntimeError, match="optional 0 dim batch size"):
        F.max_pool2d(mg.zeros(1, 0, 4, 4), 2)
    assert F.max_pool2d(mg.zeros(0, 1, 4, 4), 2).shape == (0, 1, 2, 2)
    with pytest.raises(RuntimeError, match="shape of indices"):
        F.max_unpool1d(mg.zeros(1, 2, 4), mg.zeros(1, 2, 3, dtype=mg.int64), 2)


def test_ctc_has_torchs_gradient_of_scores() -> None:
    log_probs = t(np.log(np.full((3, 1, 2), 0.5))).requires_grad_()
    loss = F.ctc_loss(log_probs, mg.tensor([[1]]), [3], [1], reduction="sum")
    (gradient,) = mg.autograd.grad(loss, log_probs)
    close(gradient.sum(-1), np.zeros((3, 1)))  # probabilities minus posteriors


def test_a_batch_of_nothing_moves_no_running_statistics() -> None:
    mean, variance = mg.zeros(2), mg.ones(2)
    F.batch_norm(mg.zeros(0, 2, 3), mean, variance, training=True)
    assert mean.tolist() == [0.0, 0.0] and variance.tolist() == [1.0, 1.0]
    assert F.kl_div(mg.tensor(-1.0), mg.tensor(0.5), reduction="batchmean").shape == ()


@pytest.mark.parametrize("name", ["conv1d", "conv2d", "conv_transpose1d"])
def test_complex_convolutions_are_those_of_their_parts(name: str) -> None:
    spatial = (5, 4) if name == "conv2d" else (5,)
    shapes = ((2, 3, *spatial), (3, 3, *(2 for _ in spatial)), (3,))
    x, w, b = (t(draw(*s, seed=i) + 1j * draw(*s, seed=i + 9)) for i, s in enumerate(shapes))
    function = getattr(F, name)
    real = function(x.real, w.real) - function(x.imag, w.imag)
    imaginary = function(x.real, w.imag) + function(x.imag, w.real)
    b_at = b.reshape(-1, *(1 for _ in spatial))
    close(function(x, w, b), (mg.complex(real, imaginary) + b_at).numpy())
    close(function(x[0], w, b), function(x, w, b)[0].numpy())


def test_complex_activations_and_losses() -> None:
    x = t(draw(4) + 1j * draw(4, seed=1))
    z = x.numpy()
    close(F.silu(x), z / (1 + np.exp(-z)))
    close(F.softsign(x), z / (1 + np.abs(z)))
    close(F.tanhshrink(x), z - np.tanh(z))
    close(F.l1_loss(x, x * 2), np.abs(z).mean())
    close(F.rms_norm(x, (4,), eps=0.0), z / np.sqrt((z * z).mean()))


def test_variances_that_broadcast_over_one_dimension() -> None:
    x, y, var = t(draw(2, 3, 4)), t(draw(2, 3, 4, seed=1)), t(np.abs(draw(2, 1, 4, seed=2)) + 0.5)
    close(F.gaussian_nll_loss(x, y, var), F.gaussian_nll_loss(x, y, var.expand(2, 3, 4)).numpy())
    with pytest.raises(ValueError, match="incorrect size"):
        F.gaussian_nll_loss(x, y, var[:, :, :3])


def test_batch_norm_of_half_precision_with_statistics_in_single() -> None:
    x, mean, variance, weight = mg.arange(12.0).reshape(2, 3, 2).half(), mg.zeros(3), mg.ones(3), mg.full((3,), 2.0)
    y = F.batch_norm(x, mean, variance, weight, mg.zeros(3), True)
    assert y.dtype is mg.float16 and mean.dtype is mg.float32 and mean.tolist() == pytest.approx([0.35, 0.55, 0.75])
    assert y.equal(F.batch_norm(x.float(), None, None, weight, mg.zeros(3), True).half())
    for wrong in (weight.half(), weight.double()):
        with pytest.raises(RuntimeError, match="mixed dtype"):
            F.batch_norm(x, mean, variance, wrong, mg.zeros(3), True)
    with pytest.raises(RuntimeError, match="expected scalar type float32 but found float64"):
        F.batch_norm(x.float(), mean.double(), variance.double(), weight, mg.zeros(3), True)


def test_pixels_are_resampled_with_weights_that_are_whole_numbers() -> None:
    """The expected values are torch's."""
    pixels = (mg.arange(16, dtype=mg.uint8) * 5).reshape(1, 1, 4, 4)
    assert F.interpolate(pixels, size=(2, 6), mode="bilinear").tolist() == [[[[10, 13, 16, 19, 23, 25], [50, 53, 56, 59, 63, 65]]]]
    assert F.interpolate(pixels, size=(2, 6), mode="bicubic").tolist() == [[[[8, 10, 14, 17, 21, 23], [52, 54, 58, 61, 65, 67]]]]


def test_antialiasing_aligns_corners_in_the_step_only() -> None:
    x = mg.arange(8.0).reshape(1, 1, 2, 4)
    y = F.interpolate(x, size=(1, 2), mode="bilinear", align_corners=True, antialias=True)
    assert y.flatten().tolist() == pytest.approx([1.25, 8 / 3])  # torch's


def test_a_hinge_of_whole_numbers_is_one() -> None:
    x, y = mg.tensor([1, 2, 3]), mg.tensor([1, -1, 1])
    assert F.hinge_embedding_loss(x, y, margin=2.5, reduction="none").tolist() == [1, 0, 3]
    assert F.hinge_embedding_loss(x, y, reduction="sum").dtype is mg.int64
    with pytest.raises(RuntimeError, match="could not infer output dtype"):
        F.hinge_embedding_loss(x, y)
