"""TFRecord files: each record is its length, the length's checksum, the bytes, their checksum. Plain, gzip or zlib."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from collections.abc import Iterator
from typing import IO, Any

from monograph.core.errors import MonographError
from monograph.data.files.crc32c import crc32c, masked

HEADER = struct.Struct("<QI")
FOOTER = struct.Struct("<I")
KINDS = ("", "NONE", "GZIP", "ZLIB")
SANE = 1 << 40


class DataLossError(MonographError):
    """A file that is truncated or corrupt."""


def checked_kind(compression_type: str | None) -> str:
    """ "", "GZIP" or "ZLIB"; raises ValueError for another word."""
    kind = compression_type or ""
    if kind not in KINDS:
        raise ValueError(f"compression_type must be one of None, 'GZIP' and 'ZLIB', got {compression_type!r}")
    return "" if kind == "NONE" else kind


class _ZlibReader:
    """A file of zlib's format, uncompressed as it is read."""

    def __init__(self, path: Any) -> None:
        self.file: IO[bytes] = open(path, "rb")  # noqa: SIM115 - closed by close()
        self.machine, self.ready = zlib.decompressobj(), b""

    def read(self, count: int) -> bytes:
        """`count` bytes, fewer at the end."""
        while len(self.ready) < count and (more := self.file.read(1 << 16)):
            self.ready += self.machine.decompress(more)
        found, self.ready = self.ready[:count], self.ready[count:]
        return found

    def close(self) -> None:
        """Closes the file."""
        self.file.close()


def opened(path: Any, kind: str) -> Any:
    """A file to read bytes from."""
    return _ZlibReader(path) if kind == "ZLIB" else gzip.open(path, "rb") if kind == "GZIP" else open(path, "rb")


def read_record(file: Any, path: Any, number: int) -> bytes | None:
    """The next record, None at the end; raises DataLossError for a record that is cut off or does not match its checksum."""
    try:
        header = file.read(HEADER.size)
        if not header:
            return None
        if len(header) < HEADER.size:
            raise DataLossError(f"truncated record at record {number} of {path}: the file ends inside a header")
        length, check = HEADER.unpack(header)
        if masked(crc32c(header[:8])) != check or length > SANE:
            raise DataLossError(
                f"corrupted record at record {number} of {path}: the length does not match its checksum; is it a TFRecord file?"
            )
        body = file.read(length)
        footer = file.read(FOOTER.size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataLossError(f"corrupted record at record {number} of {path}: {error}; is compression_type right?") from None
    if len(body) < length or len(footer) < FOOTER.size:
        raise DataLossError(f"truncated record at record {number} of {path}: the file ends inside it")
    if masked(crc32c(body)) != FOOTER.unpack(footer)[0]:
        raise DataLossError(f"corrupted record at record {number} of {path}: its bytes do not match their checksum")
    return body


def records(path: Any, kind: str) -> Iterator[bytes]:
    """All records of a file."""
    file, number = opened(path, kind), 0
    try:
        while (record := read_record(file, path, number)) is not None:
            yield record
            number += 1
    finally:
        file.close()


def framed(record: bytes) -> bytes:
    """A record with its length and checksums."""
    length = struct.pack("<Q", len(record))
    return b"".join((length, FOOTER.pack(masked(crc32c(length))), record, FOOTER.pack(masked(crc32c(record)))))


class TFRecordWriter:
    """Writes a TFRecord file. `options`: "GZIP" or "ZLIB" for a compressed one.

    >>> import monograph as mg, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "a.tfrecord")
    >>> with mg.data.TFRecordWriter(path) as writer:
    ...     writer.write(b"first")
    >>> list(mg.data.TFRecordDataset(path))
    [b'first']
    """

    def __init__(self, path: str | os.PathLike[str], options: str | None = None) -> None:
        kind = checked_kind(options)
        self.file: Any = gzip.open(path, "wb") if kind == "GZIP" else open(path, "wb")  # noqa: SIM115 - closed by close()
        self.machine = zlib.compressobj() if kind == "ZLIB" else None

    def write(self, record: bytes) -> None:
        """Adds a record: bytes, or an object with SerializeToString."""
        data = framed(record.SerializeToString() if hasattr(record, "SerializeToString") else bytes(record))
        self.file.write(self.machine.compress(data) if self.machine is not None else data)

    def flush(self) -> None:
        """Hands what was written to the operating system."""
        self.file.flush()

    def close(self) -> None:
        """Ends the file."""
        if self.machine is not None and not self.file.closed:
            self.file.write(self.machine.flush())
        self.file.close()

    def __enter__(self) -> TFRecordWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
