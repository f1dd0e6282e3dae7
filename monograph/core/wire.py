"""Protocol buffers as they are written: a field is a tag (number << 3 | kind) and a value, kind 0 a varint, 2 a length and bytes.

Source: the encoding that protobuf.dev describes. Two small formats of others are written with it; neither is worth a dependency.
"""

from __future__ import annotations

VARINT, BYTES = 0, 2


def varint(value: int) -> bytes:
    """A number of 64 bits, seven at a time, the least ones first; a negative one as its two's complement.

    >>> varint(300), len(varint(-1))
    (b'\\xac\\x02', 10)
    """
    value &= (1 << 64) - 1
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def field(number: int, value: int | str | bytes) -> bytes:
    """One field: a number, text, or bytes such as an encoded message.

    >>> field(1, 3), field(2, "a")
    (b'\\x08\\x03', b'\\x12\\x01a')
    """
    if isinstance(value, int):
        return varint(number << 3 | VARINT) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | BYTES) + varint(len(data)) + data
