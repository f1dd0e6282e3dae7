"""Convolution and pooling against loops over windows, and the identities that tie convolution to its gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from monograph.ops import adaptive_pool, conv, pool, upsample
from monograph.targets.reference import apply

DRAW = np.random.default_rng(2)


def convolved_by_loops(x: np.ndarray, w: np.ndarray, a: conv.ConvAttrs) -> np.ndarray:
    xp = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in a.padding)))
    out = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(xp.shape[2:], w.shape[2:], a.stride, a.dilation, strict=True)]
    y = np.zeros((x.shape[0], w.shape[0], *out))
    per_in, per_out = w.shape[1], w.shape[0] // a.groups
    for n, o, i, j in np.ndindex(*y.shape):
        first = o // per_out * per_in
        rows = [i * a.stride[0] + u * a.dilation[0] for u in range(w.shape[2])]
        columns = [j * a.stride[1] + v * a.dilation[1] for v in range(w.shape[3])]
        y[n, o, i, j] = np.sum(xp[n, first : first + per_in][:, rows][:, :, columns] * w[o])
    return y


CONVOLUTIONS = [
    ((2, 3, 6, 5), (4, 3, 3, 2), conv.ConvAttrs((1, 1), (0, 0), (1, 1))),
    ((1, 4, 7, 8), (6, 2, 3, 3), conv.ConvAttrs((2, 3), (1, 2), (1, 2), 2)),
    ((2, 3, 5, 5), (3, 1, 3, 3), conv.ConvAttrs((1, 1), (1, 1), (1, 1), 3)),
]


@pytest.mark.parametrize(("s", "t", "a"), CONVOLUTIONS)
def test_conv_is_a_sum_over_windows(s: Any, t: Any, a: conv.ConvAttrs) -> None:
    x, w = DRAW.standard_normal(s), DRAW.standard_normal(t)
    np.testing.assert_allclose(apply(conv.conv, a, x, w), convolved_by_loops(x, w, a), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("s", "t", "a"), CONVOLUTIONS)
def test_the_three_primitives_are_adjoint(s: Any, t: Any, a: conv.ConvAttrs) -> None:
    x, w = DRAW.standard_normal(s), DRAW.standard_normal(t)
    y = apply(conv.conv, a, x, w)
    g = DRAW.standard_normal(y.shape)
    windows = {"stride": a.stride, "padding": a.padding, "dilation": a.dilation, "groups": a.groups}
    gx = apply(conv.conv_backward_input, conv.ConvInputAttrs(x.shape[2:], **windows), g, w)
    gw = apply(conv.conv_backward_weight, conv.ConvWeightAttrs(w.shape[2:], **windows), g, x)
    assert np.vdot(y, g) == pytest.approx(np.vdot(x, gx)) == pytest.approx(np.vdot(w, gw))


def test_max_pool_names_the_first_maximum_in_the_input_plane() -> None:
    x = np.array([[[1.0, 5.0, 2.0], [5.0, 0.0, 5.0], [4.0, 4.0, 4.0]]])
    values, indices = apply(pool.max_pool, pool.MaxPoolAttrs((2, 2), (1, 1), (0, 0), (1, 1)), x)
    np.testing.assert_array_equal(values, [[[5, 5], [5, 5]]])
    np.testing.assert_array_equal(indices, [[[1, 1], [3, 5]]])


def test_padding_never_wins_and_nan_always_does() -> None:
    x = np.array([[-np.inf, -np.inf, np.nan, 3.0]])
    values, indices = apply(pool.max_pool, pool.MaxPoolAttrs((2,), (2,), (1,), (1,)), x)
    np.testing.assert_array_equal(values, [[-np.inf, np.nan, 3.0]])
    np.testing.assert_array_equal(indices, [[0, 2, 3]])


def test_ceil_mode_keeps_a_window_that_starts_inside_only() -> None:
    assert apply(pool.avg_pool, pool.AvgPoolAttrs((2,), (2,), (0,), True), np.ones((1, 5))).shape == (1, 3)
    assert apply(pool.avg_pool, pool.AvgPoolAttrs((2,), (3,), (1,), True), np.ones((1, 4))).shape == (1, 2)


@pytest.mark.parametrize(("include", "first"), [(True, 1.0), (False, 1.5)])
def test_the_divisor_of_a_padded_average(include: bool, first: float) -> None:
    x = np.array([[1.0, 2.0, 3.0, 5.0, 4.0]])
    got = apply(pool.avg_pool, pool.AvgPoolAttrs((3,), (2,), (1,), False, include), x)
    np.testing.assert_allclose(got, [[first, 10 / 3, 3.0 if include else 4.5]])


def test_adaptive_windows_overlap_where_sizes_do_not_divide() -> None:
    x = np.arange(5.0)[None]
    np.testing.assert_allclose(apply(adaptive_pool.adaptive_avg_pool, adaptive_pool.AdaptivePoolAttrs((3,)), x), [[0.5, 2.0, 3.5]])
    values, indices = apply(adaptive_pool.adaptive_max_pool, adaptive_pool.AdaptivePoolAttrs((3,)), -x)
    np.testing.assert_array_equal(values, [[0.0, -1.0, -3.0]])
    np.testing.assert_array_equal(indices, [[0, 1, 3]])


def test_resampling_by_hand() -> None:
    x = np.array([[0.0, 4.0]])
    np.testing.assert_array_equal(apply(upsample.upsample_nearest, upsample.NearestAttrs((3,)), x), [[0.0, 0.0, 4.0]])
    np.testing.assert_allclose(apply(upsample.upsample_bilinear, upsample.LinearAttrs((4,)), x), [[0.0, 1.0, 3.0, 4.0]])
    np.testing.assert_allclose(apply(upsample.upsample_bilinear, upsample.LinearAttrs((3,), True), x), [[0.0, 2.0, 4.0]])
