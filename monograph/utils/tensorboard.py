"""torch.utils.tensorboard: `SummaryWriter` writes event files that TensorBoard reads. Needs nothing installed to write.

An event file is a list of records, [length, checksum of it, data, checksum of them]; the data is a protocol-buffer message `Event`, of
which the few fields that are used are encoded here by hand.
"""

from __future__ import annotations

import os
import socket
import struct
import time
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from monograph.tensor.core import Tensor
from monograph.tensor.interop import host_array

_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected


def _table() -> list[int]:
    table = []
    for n in range(256):
        for _ in range(8):
            n = (n >> 1) ^ (_POLYNOMIAL if n & 1 else 0)
        table.append(n)
    return table


_TABLE = _table()


def masked_checksum(data: bytes) -> int:
    """The CRC-32C of the data in the rotated form that record files use."""
    crc, table = 0xFFFFFFFF, _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record(data: bytes) -> bytes:
    """One record of an event file."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_checksum(length)) + data + struct.pack("<I", masked_checksum(data))


def _varint(n: int) -> bytes:
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def _field(number: int, value: Any) -> bytes:
    """A field of a message: ints as varints, floats as doubles, np.float32 as floats, bytes and strings with their length."""
    if isinstance(value, np.float32):
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, float):
        return _varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _doubles(number: int, values: Iterable[float]) -> bytes:
    return _field(number, np.asarray(list(values), "<f8").tobytes())


def _number(value: Any) -> float:
    if isinstance(value, Tensor):
        return float(value.item())  # type: ignore[attr-defined]
    array = np.asarray(value)
    if array.size != 1:
        raise ValueError(f"a scalar is one number, got an array of shape {array.shape}")
    return float(array.reshape(()))


def _array(value: Any) -> np.ndarray:
    return host_array(value.detach()) if isinstance(value, Tensor) else np.asarray(value)


def png(pixels: np.ndarray) -> bytes:
    """A PNG file of an array [height, width, 1, 3 or 4] of bytes."""
    height, width, channels = pixels.shape
    kinds = {1: 0, 3: 2, 4: 6}
    if channels not in kinds:
        raise ValueError(f"an image has 1, 3 or 4 channels, got {channels}")

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, width * channels)], 1)
    head = struct.pack(">IIBBBBB", width, height, 8, kinds[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)) + chunk(b"IEND", b"")


def _pixels(image: Any, layout: str) -> np.ndarray:
    """An image as [height, width, channels] of bytes; floats are taken from [0, 1]."""
    array = _array(image)
    if array.ndim != len(layout):
        raise ValueError(f"size of input tensor and input format are different: {array.shape} for {layout!r}")
    array = array.transpose([layout.index(axis) for axis in "HWC" if axis in layout])
    if "C" not in layout:
        array = array[..., None]
    if array.dtype.kind == "f" or array.dtype.name == "bfloat16":
        array = np.clip(np.nan_to_num(array.astype(np.float32)) * 255, 0, 255)
    return np.ascontiguousarray(array.astype(np.uint8))


class SummaryWriter:
    """Writes numbers, histograms, images and texts for TensorBoard into a folder, by default runs/<date>_<host>."""

    def __init__(
        self,
        log_dir: Any = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        if not log_dir:
            log_dir = os.path.join("runs", time.strftime("%b%d_%H-%M-%S") + "_" + socket.gethostname() + comment)
        self.log_dir = os.fspath(log_dir)
        self.purge_step, self.max_queue, self.flush_secs, self.filename_suffix = purge_step, max_queue, flush_secs, filename_suffix
        self._files: dict[str, Any] = {}
        self._waiting, self._last_flush = 0, time.monotonic()
        self._file(self.log_dir)

    def _file(self, folder: str) -> Any:
        if folder not in self._files:
            os.makedirs(folder, exist_ok=True)
            name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}.{len(self._files)}{self.filename_suffix}"
            self._files[folder] = open(os.path.join(folder, name), "ab")  # noqa: SIM115 - closed by close()
            self._files[folder].write(record(_field(1, time.time()) + _field(3, "brain.Event:2")))
            if self.purge_step is not None:
                self._files[folder].write(record(_field(1, time.time()) + _field(2, self.purge_step) + _field(7, _field(1, 2))))
        return self._files[folder]

    def _write(self, tag: str, value: bytes, step: Any, walltime: float | None, folder: str | None = None) -> None:
        summary = _field(1, _field(1, tag) + value)
        number = b"" if step is None else _field(2, int(_number(step)))
        self._file(folder or self.log_dir).write(record(_field(1, walltime or time.time()) + number + _field(5, summary)))
        self._waiting += 1
        if self._waiting >= self.max_queue or time.monotonic() - self._last_flush > self.flush_secs:
            self.flush()

    def get_logdir(self) -> str:
        """The folder that is written to."""
        return self.log_dir

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: Any = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """A number of a curve."""
        self._write(tag, _field(2, np.float32(_number(scalar_value))), global_step, walltime)

    def add_scalars(
        self, main_tag: str, tag_scalar_dict: Mapping[str, Any], global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Numbers of several curves in one chart; each curve has a folder of its own."""
        for name, value in tag_scalar_dict.items():
            folder = os.path.join(self.log_dir, main_tag.replace("/", "_") + "_" + name)
            self._write(main_tag, _field(2, np.float32(_number(value))), global_step, walltime, folder)

    def add_histogram(
        self, tag: str, values: Any, global_step: Any = None, bins: Any = "tensorflow", walltime: float | None = None, max_bins: Any = None
    ) -> None:
        """How values are distributed. `bins`: "tensorflow" (powers of 1.1), or what numpy.histogram takes."""
        array = _array(values).astype(np.float64).reshape(-1)
        if array.size == 0:
            raise ValueError("The input has no element.")
        if isinstance(bins, str) and bins == "tensorflow":
            powers = 1e-12 * 1.1 ** np.arange(774)
            edges: Any = np.concatenate([-powers[::-1], [0.0], powers])
            low, high = min(float(array.min()), edges[0]), max(float(array.max()), edges[-1])
            edges = np.concatenate([[low - 1], edges[(edges > low) & (edges < high)], [high + 1]])
        else:
            edges = bins
        counts, limits = np.histogram(array[np.isfinite(array)], edges)
        used = np.flatnonzero(counts)
        first, last = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 1)
        content = (
            _field(1, float(array.min())) + _field(2, float(array.max())) + _field(3, float(array.size)) + _field(4, float(array.sum()))
        )
        content += _field(5, float(array @ array)) + _doubles(6, limits[first + 1 : last + 1]) + _doubles(7, counts[first:last])
        self._write(tag, _field(5, content), global_step, walltime)

    def add_image(
        self, tag: str, img_tensor: Any, global_step: Any = None, walltime: float | None = None, dataformats: str = "CHW"
    ) -> None:
        """An image; floats are taken from [0, 1], integers from [0, 255]."""
        pixels = _pixels(img_tensor, dataformats.upper())
        height, width, channels = pixels.shape
        content = _field(1, height) + _field(2, width) + _field(3, channels) + _field(4, png(pixels))
        self._write(tag, _field(4, content), global_step, walltime)

    def add_images(
        self, tag: str, img_tensor: Any, global_step: Any = None, walltime: float | None = None, dataformats: str = "NCHW"
    ) -> None:
        """A batch of images, side by side in rows of eight."""
        layout = dataformats.upper().replace("N", "")
        images = [_pixels(image, layout) for image in np.moveaxis(_array(img_tensor), dataformats.upper().index("N"), 0)]
        blank = np.zeros_like(images[0])
        rows = [images[i : i + 8] for i in range(0, len(images), 8)]
        width = max(map(len, rows))
        grid = np.concatenate([np.concatenate([*row, *[blank] * (width - len(row))], 1) for row in rows], 0)
        self.add_image(tag, grid, global_step, walltime, "HWC")

    def add_text(self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None) -> None:
        """A text, shown as Markdown."""
        tensor = _field(1, 7) + _field(2, _field(2, _field(1, 1))) + _field(8, text_string)
        self._write(tag + "/text_summary", _field(8, tensor) + _field(9, _field(1, _field(1, "text"))), global_step, walltime)

    def flush(self) -> None:
        """Writes what is waiting to the disk."""
        self._waiting, self._last_flush = 0, time.monotonic()
        for file in self._files.values():
            file.flush()

    def close(self) -> None:
        """Closes the files; writing again opens new ones."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


__all__ = ["SummaryWriter"]
