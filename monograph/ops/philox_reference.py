"""What random numbers are: Philox-4x32-10 (Salmon, Moraes, Dror, Shaw 2011) in plain NumPy.

A generator state is a 64-bit key (the seed) and a 64-bit counter of blocks. A block is four 32-bit words, w0 w1 w2 w3, a pure function of
(key, block number). A random tensor drawn at counter c gives element i (row-major) numbers that depend on (key, c, i) alone, so neither
threads nor fusion nor the order of evaluation can change them:

* `philox_bits`: word i % 4 of block c + i // 4. So are `uniform` in float32 (the upper 24 bits times 2^-24), in float16 (11 bits) and
  bfloat16 (8 bits), and `bernoulli` (the float32 number lies below p).
* `uniform` in float64 and `integers`: words 2 (i % 2) and 2 (i % 2) + 1 of block c + i // 2, the second word being the upper half of
  64 bits. float64 takes the upper 53 bits; an integer is low + floor(bits * (high - low) / 2^64).
* `normal`: element pairs (2 j, 2 j + 1) are sqrt(-2 log a) times cos(2 pi b) and sin(2 pi b) (Box and Muller 1958). float32: words
  (w0, w1) or (w2, w3) of block c + i // 4 for (i // 2) % 2 = 0 or 1, a = (word >> 1) 2^-31 + 2^-32, b = (word >> 8) 2^-24. float64: a and b
  are the 53-bit numbers (a + 2^-54) from (w0, w1) and (w2, w3) of block c + i // 2. 16-bit floats: float32, rounded.

`blocks_used` says how far a draw of n elements moves the counter, so that the next draw overlaps nothing.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

MASK64 = (1 << 64) - 1
MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
WEYL = (0x9E3779B9, 0xBB67AE85)
LOW = np.uint64(0xFFFFFFFF)
SHIFT = np.uint64(32)
DTYPES: dict[str, np.dtype[np.generic]] = {d: np.dtype(d) for d in ("float32", "float64", "float16")}
DTYPES["bfloat16"] = np.dtype(ml_dtypes.bfloat16)
DIGITS = {"float32": 24, "float16": 11, "bfloat16": 8}


def blocks_used(n: int, dtype: str, kind: str = "uniform") -> int:
    """Blocks that a draw of n elements consumes; `kind` is "bits", "uniform", "normal", "integers" or "bernoulli"."""
    wide = kind == "integers" or (dtype == "float64" and kind in ("uniform", "normal"))
    return -(-n // (2 if wide else 4))


def philox_blocks(key: int, counter: int, blocks: int) -> NDArray[np.uint32]:
    """Blocks counter, counter + 1 ... as rows of four words (the block number wraps at 2^64)."""
    number = np.arange(blocks, dtype=np.uint64) + np.uint64(counter & MASK64)
    c0, c1 = number & LOW, number >> SHIFT
    c2, c3 = np.zeros_like(c0), np.zeros_like(c0)
    k0, k1 = key & 0xFFFFFFFF, (key & MASK64) >> 32
    for _ in range(10):
        p0, p1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1, c2, c3 = (p1 >> SHIFT) ^ c1 ^ np.uint64(k0), p1 & LOW, (p0 >> SHIFT) ^ c3 ^ np.uint64(k1), p0 & LOW
        k0, k1 = (k0 + WEYL[0]) & 0xFFFFFFFF, (k1 + WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def philox_bits(key: int, counter: int, n: int) -> NDArray[np.uint32]:
    """The 32 bits of elements 0 ... n - 1."""
    return philox_blocks(key, counter, -(-n // 4)).reshape(-1)[:n]


def philox_bits64(key: int, counter: int, n: int) -> NDArray[np.uint64]:
    """The 64 bits of elements 0 ... n - 1, for float64 and integers."""
    words = philox_blocks(key, counter, -(-n // 2)).reshape(-1, 2).astype(np.uint64)
    return (words[:, 0] | (words[:, 1] << SHIFT))[:n]


def _fraction53(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def uniform(key: int, counter: int, n: int, dtype: str = "float32") -> NDArray[np.generic]:
    """n numbers in [0, 1); dtype "float32", "float64", "float16" or "bfloat16"."""
    if dtype == "float64":
        return _fraction53(philox_bits64(key, counter, n))
    digits = DIGITS[dtype]
    return ((philox_bits(key, counter, n) >> np.uint32(32 - digits)).astype(np.float32) * np.float32(2.0**-digits)).astype(DTYPES[dtype])


def normal(key: int, counter: int, n: int, dtype: str = "float32") -> NDArray[np.generic]:
    """n numbers of the standard normal distribution."""
    if dtype == "float64":
        bits = philox_bits64(key, counter, 2 * n + 2).reshape(-1, 2)
        a, b = _fraction53(bits[:, 0]) + 2.0**-54, _fraction53(bits[:, 1])
    else:
        words = philox_blocks(key, counter, -(-n // 4)).reshape(-1, 2)
        a = ((words[:, 0] >> np.uint32(1)).astype(np.float32) * np.float32(2.0**-31) + np.float32(2.0**-32)).astype(np.float64)
        b = (words[:, 1] >> np.uint32(8)).astype(np.float64) * 2.0**-24
    radius, angle = np.sqrt(-2.0 * np.log(a)), 2.0 * np.pi * b
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return pairs.reshape(-1)[:n].astype(DTYPES["float32" if dtype != "float64" else dtype]).astype(DTYPES[dtype])


def integers(key: int, counter: int, n: int, low: int, high: int) -> NDArray[np.int64]:
    """n int64 in [low, high); the bias is below (high - low) / 2^64."""
    if not low < high:
        raise ValueError(f"random integers need low < high, got low={low} and high={high}")
    span = high - low
    bits = philox_bits64(key, counter, n)
    first, second = bits & LOW, bits >> SHIFT
    span_low, span_high = np.uint64(span & 0xFFFFFFFF), np.uint64(span >> 32)
    middle = second * span_low + ((first * span_low) >> SHIFT)
    cross = first * span_high + (middle & LOW)
    drawn = second * span_high + (middle >> SHIFT) + (cross >> SHIFT)
    return (drawn + np.uint64(low & MASK64)).view(np.int64)


def bernoulli(key: int, counter: int, n: int, probability: float | NDArray[np.floating]) -> NDArray[np.bool_]:
    """n booleans, true with the given probability (a number, or one for each element)."""
    limit = probability if isinstance(probability, np.ndarray) else np.float32(probability)
    return np.less(uniform(key, counter, n), limit)
