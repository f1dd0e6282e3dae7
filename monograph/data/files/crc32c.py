"""CRC-32C (Castagnoli), the checksum of TFRecord files: long data in many lanes at once, joined by the checksum's linearity."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

POLYNOMIAL = 0x82F63B78
LANES = 256
LONG = 4096  # bytes from which lanes pay


def _table() -> np.ndarray:
    value = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        value = np.where(value & 1, (value >> 1) ^ np.uint32(POLYNOMIAL), value >> 1).astype(np.uint32)
    return value


TABLE = _table()
_PLAIN = [int(v) for v in TABLE]


def _short(data: bytes | memoryview, crc: int) -> int:
    for byte in data:
        crc = _PLAIN[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc


@lru_cache(256)
def _over_zeros(length: int) -> tuple[int, ...]:
    """What `length` zero bytes do to each bit of a register."""
    if length == 0:
        return tuple(1 << b for b in range(32))
    half = _over_zeros(length // 2)
    made = [_applied(half, v) for v in half]
    return tuple(_short(b"\0", v) for v in made) if length % 2 else tuple(made)


def _applied(operator: tuple[int, ...], value: int) -> int:
    result, bit = 0, 0
    while value:
        if value & 1:
            result ^= operator[bit]
        value >>= 1
        bit += 1
    return result


def crc32c(data: bytes | bytearray | memoryview) -> int:
    """The checksum of bytes.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    view = memoryview(data).cast("B")
    register = 0xFFFFFFFF
    if len(view) >= LONG:
        width = len(view) // LANES
        lanes = np.frombuffer(view[: width * LANES], np.uint8).reshape(LANES, width).T.astype(np.uint32)
        state = np.zeros(LANES, np.uint32)
        state[0] = register
        for byte in lanes:
            state = TABLE[(state ^ byte) & 0xFF] ^ (state >> 8)
        over = _over_zeros(width)
        register = int(state[0])
        for lane in state[1:].tolist():
            register = _applied(over, register) ^ lane
        view = view[width * LANES :]
    return _short(view, register) ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """The checksum as TFRecord files hold it."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
