"""Files of named tensors without anything else in them: the safetensors layout, written and read as a stream.

Eight bytes say how long the header is; the header is JSON, {name: {"dtype", "shape", "data_offsets"}}; the values follow, row-major,
little-endian.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import IO, Any

from monograph.core import dtype as dtypes
from monograph.core.dtype import dtype as DType
from monograph.core.errors import ArtifactError
from monograph.ops import source
from monograph.runtime.buffers import Buffer
from monograph.tensor.core import Tensor, wrap
from monograph.tensor.interop import host_array

LONGEST_HEADER = 100_000_000
NAMES = {
    "F64": dtypes.float64, "F32": dtypes.float32, "F16": dtypes.float16, "BF16": dtypes.bfloat16, "I64": dtypes.int64, "I32": dtypes.int32,
    "I16": dtypes.int16, "I8": dtypes.int8, "U8": dtypes.uint8, "U16": dtypes.uint16, "U32": dtypes.uint32,
    "U64": dtypes.uint64, "BOOL": dtypes.bool_, "C64": dtypes.complex64, "F8_E4M3": dtypes.float8_e4m3fn, "F8_E5M2": dtypes.float8_e5m2,
    "F8_E4M3FNUZ": dtypes.float8_e4m3fnuz, "F8_E5M2FNUZ": dtypes.float8_e5m2fnuz, "F8_E8M0": dtypes.float8_e8m0fnu,
}  # fmt: skip
CODES = {d: name for name, d in NAMES.items()}
# complex128 has no code of its own in the layout: it travels as pairs of float64, and the tree beside it says so.
ALIGNMENT = 64


def header_of(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """The header (with its length) of a file that holds these tensors in this order."""
    entries: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    at = 0
    for name, t in tensors.items():
        shape = list(t.shape) + ([2] if t.dtype is dtypes.complex128 else [])
        end = at + t.dtype.itemsize * math.prod(t.shape)
        entries[name] = {"dtype": CODES.get(t.dtype, "F64"), "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-(len(text) + 8) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def write(out: IO[bytes], tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Writes header and values to a stream."""
    out.write(header_of(tensors, metadata))
    for t in tensors.values():
        array = host_array(t.detach())
        if array.size:
            out.write(array.reshape(-1).view("u1").data)


def read_exactly(stream: IO[bytes], buffer: Buffer, nbytes: int, what: str) -> None:
    """Fills a buffer from a stream. Raises ArtifactError if the stream ends before."""
    view = buffer.array((nbytes,), "u1").data if nbytes else memoryview(b"")
    at = 0
    while at < nbytes:
        n = stream.readinto(view[at : at + (1 << 26)])  # type: ignore[attr-defined]
        if not n:
            raise ArtifactError(f"the file is truncated: {what} has {at:,} of {nbytes:,} bytes")
        at += n


def read(stream: IO[bytes], size: int) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors by name, metadata) of a stream of `size` bytes. Raises ArtifactError for anything that does not add up."""
    start = stream.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > min(LONGEST_HEADER, size - 8):
        raise ArtifactError(f"damaged safetensors file: a header of {length:,} bytes in a file of {size:,}")
    try:
        header = json.loads(stream.read(length))
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"damaged safetensors file: the header is no JSON ({type(error).__name__})") from None
    if not isinstance(header, dict):
        raise ArtifactError("damaged safetensors file: the header is no JSON object")
    metadata = header.pop("__metadata__", {})
    entries = sorted(((name, *_entry(name, entry)) for name, entry in header.items()), key=lambda e: (e[3], e[4]))
    at, found = 0, {}
    for name, dtype, shape, begin, end in entries:
        if begin != at:
            raise ArtifactError(
                f"damaged safetensors file: the values of {name!r} begin at byte {begin}, {at} is expected (no gaps, no overlaps)"
            )
        at = end
        if end > size - 8 - length:
            raise ArtifactError(f"the file is truncated: {name!r} ends at byte {end:,}, {size - 8 - length:,} are there")
        buffer = Buffer(end - begin)
        read_exactly(stream, buffer, end - begin, f"tensor {name!r}")
        found[name] = wrap(source.from_value(buffer, shape, dtype))
    return {name: found[name] for name in header}, metadata if isinstance(metadata, dict) else {}


def _entry(name: str, entry: Any) -> tuple[DType, tuple[int, ...], int, int]:
    try:
        code, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    except (KeyError, TypeError, ValueError):
        raise ArtifactError(f"damaged safetensors file: {name!r} lacks dtype, shape or data_offsets") from None
    if code not in NAMES:
        raise ArtifactError(f"{name!r} has the dtype {str(code)[:20]}, which monograph does not have; there are {', '.join(NAMES)}")
    numbers = [begin, end, *(shape if isinstance(shape, list) else [None])]
    if len(numbers) > 66 or not all(type(n) is int and 0 <= n < 2**60 for n in numbers):
        raise ArtifactError(f"damaged safetensors file: {name!r} has sizes or offsets that are not non-negative integers")
    dtype = NAMES[code]
    if math.prod(shape) * dtype.itemsize != end - begin:
        raise ArtifactError(f"damaged safetensors file: {name!r} of shape {shape} and dtype {code} has {end - begin} bytes")
    return dtype, tuple(shape), begin, end
