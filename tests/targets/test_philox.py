"""Random numbers: known answers, native bits equal to the NumPy reference, statistics, independence of position."""

from __future__ import annotations

import numpy as np
import pytest

from monograph.ops import philox_reference as reference
from tests.targets.elementwise_native import NUMPY, run

KEY, OFFSET, N = 0x1234567890ABCDEF, 2**32 - 5, 1003


def _draw(op: str, out: str, *extra: np.ndarray, n: int = N, offset: int = OFFSET) -> np.ndarray:
    return run(op, np.arange(n), np.full(n, KEY), np.full(n, offset), *extra, out=out)


def test_known_answers() -> None:
    """From the test vectors of the authors' own library (all-zero counter and key; the others use counter words that are zero here)."""
    assert [hex(w) for w in reference.philox_blocks(0, 0, 1)[0]] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]


def test_bits_are_the_reference_bits() -> None:
    want = reference.philox_bits(KEY, OFFSET, N)
    np.testing.assert_array_equal(_draw("random_bits", "int64"), want)
    np.testing.assert_array_equal(_draw("random_bits", "int32").view(np.uint32), want)


def test_the_block_counter_wraps() -> None:
    np.testing.assert_array_equal(_draw("random_bits", "int64", n=16, offset=-2), reference.philox_bits(KEY, 2**64 - 2, 16))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_uniform(dtype: str) -> None:
    got = _draw("random_uniform", dtype)
    assert got.dtype == NUMPY[dtype]
    np.testing.assert_array_equal(got.astype(float), reference.uniform(KEY, OFFSET, N, dtype).astype(float))
    assert got.astype(float).min() >= 0 and got.astype(float).max() < 1


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_normal(dtype: str) -> None:
    got, want = _draw("random_normal", dtype).astype(float), reference.normal(KEY, OFFSET, N, dtype).astype(float)
    np.testing.assert_allclose(got, want, atol={"float32": 2e-6, "float64": 1e-13, "float16": 4e-3, "bfloat16": 4e-2}[dtype])


@pytest.mark.parametrize(("low", "high"), [(0, 10), (-5, 2**40), (-(2**63), 2**63 - 1), (7, 8)])
def test_integers(low: int, high: int) -> None:
    got = _draw("random_integers", "int64", np.full(N, low), np.full(N, high))
    np.testing.assert_array_equal(got, reference.integers(KEY, OFFSET, N, low, high))
    bits = reference.philox_bits64(KEY, OFFSET, N).tolist()
    assert got.tolist() == [low + (b * (high - low) >> 64) for b in bits]


def test_bernoulli() -> None:
    p = np.full(N, 0.3, np.float32)
    got = _draw("random_bernoulli", "bool", p)
    np.testing.assert_array_equal(got, reference.bernoulli(KEY, OFFSET, N, 0.3))
    assert not _draw("random_bernoulli", "bool", p * 0).any() and _draw("random_bernoulli", "bool", p * 0 + 1).all()


def test_a_longer_draw_begins_with_the_shorter_one() -> None:
    for dtype in ("float32", "float64"):
        for draw in (reference.uniform, reference.normal):
            np.testing.assert_array_equal(draw(1, 2, 7, dtype), draw(1, 2, 100, dtype)[:7])
    assert reference.philox_bits(0, 0, 0).shape == (0,)


def test_consecutive_draws_share_no_block() -> None:
    assert [reference.blocks_used(n, "float32") for n in (0, 1, 4, 5)] == [0, 1, 1, 2]
    assert reference.blocks_used(5, "float64", "normal") == reference.blocks_used(5, "int64", "integers") == 3
    first, second = reference.philox_bits(9, 0, 8), reference.philox_bits(9, reference.blocks_used(8, "float32"), 8)
    np.testing.assert_array_equal(np.concatenate([first, second]), reference.philox_bits(9, 0, 16))


def test_distributions() -> None:
    u, z = reference.uniform(3, 0, 200_000).astype(float), reference.normal(3, 0, 200_000).astype(float)
    assert abs(u.mean() - 0.5) < 0.005 and abs(u.var() - 1 / 12) < 0.001
    assert abs(z.mean()) < 0.01 and abs(z.var() - 1) < 0.02 and abs((z**4).mean() - 3) < 0.1
    assert abs(np.corrcoef(z[::2], z[1::2])[0, 1]) < 0.02


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(ValueError, match="low < high, got low=3 and high=3"):
        reference.integers(0, 0, 1, 3, 3)
