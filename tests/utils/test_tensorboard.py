"""SummaryWriter's files are event files: records with right checksums that hold the numbers that were given."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

import monograph as mg
from monograph.utils.checkpoint import checkpoint, checkpoint_sequential
from monograph.utils.tensorboard import SummaryWriter, masked_checksum, png


def records(path: Path) -> list[bytes]:
    data, found = path.read_bytes(), []
    while data:
        (length,), (check,) = struct.unpack("<Q", data[:8]), struct.unpack("<I", data[8:12])
        assert check == masked_checksum(data[:8])
        content, end = data[12 : 12 + length], data[12 + length : 16 + length]
        assert struct.unpack("<I", end)[0] == masked_checksum(content)
        found.append(content)
        data = data[16 + length :]
    return found


def fields(message: bytes) -> dict[int, list[object]]:
    """The fields of a message, undecoded."""
    found: dict[int, list[object]] = {}

    def varint() -> int:
        nonlocal message
        n = shift = 0
        while True:
            byte, message = message[0], message[1:]
            n |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return n

    while message:
        key = varint()
        if key & 7 == 0:
            value: object = varint()
        else:
            size = {1: 8, 5: 4}.get(key & 7) or varint()
            value, message = message[:size], message[size:]
        found.setdefault(key >> 3, []).append(value)
    return found


def test_checksum() -> None:
    assert masked_checksum(b"") == 0xA282EAD8
    crc = 0xE3069283  # CRC-32C of "123456789"
    assert masked_checksum(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_scalars_texts_images_and_histograms(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path / "run") as writer:
        writer.add_scalar("loss", mg.tensor(0.5), 3)
        writer.add_text("note", "hello", global_step=1)
        writer.add_image("picture", mg.rand(3, 4, 5), 1)
        writer.add_images("pictures", mg.zeros(10, 1, 2, 2))
        writer.add_histogram("weights", mg.tensor([-1.0, 0.0, 1.0, 1.0]))
        assert writer.get_logdir() == str(tmp_path / "run")
    (path,) = (tmp_path / "run").iterdir()
    version, scalar, text, image, _, histogram = map(fields, records(path))
    assert version[3] == [b"brain.Event:2"]
    assert scalar[2] == [3]
    value = fields(fields(scalar[5][0])[1][0])
    assert value[1] == [b"loss"] and struct.unpack("<f", value[2][0]) == (0.5,)
    assert b"hello" in fields(text[5][0])[1][0]
    picture = fields(fields(fields(image[5][0])[1][0])[4][0])
    assert (picture[1], picture[2], picture[3]) == ([4], [5], [3]) and picture[4][0].startswith(b"\x89PNG")
    numbers = fields(fields(fields(histogram[5][0])[1][0])[5][0])
    assert [struct.unpack("<d", numbers[i][0])[0] for i in (1, 2, 3, 4, 5)] == [-1, 1, 4, 1, 3]
    assert sum(struct.unpack(f"<{len(numbers[7][0]) // 8}d", numbers[7][0])) == 4


def test_several_curves_have_their_folders(tmp_path: Path) -> None:
    writer = SummaryWriter(log_dir=str(tmp_path))
    writer.add_scalars("loss", {"train": 1.0, "test": 2.0}, 0)
    writer.close()
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == ["loss_test", "loss_train"]
    with pytest.raises(ValueError, match="one number"):
        writer.add_scalar("x", [1.0, 2.0])
    writer.close()


def test_png() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    data = png(pixels)
    start = data.index(b"IDAT") + 4
    size = struct.unpack(">I", data[start - 8 : start - 4])[0]
    rows = np.frombuffer(zlib.decompress(data[start : start + size]), np.uint8).reshape(2, 13)
    np.testing.assert_array_equal(rows[:, 1:].reshape(2, 4, 3), pixels)


def test_checkpoint_calls_the_function() -> None:
    x = mg.ones(2, requires_grad=True)
    checkpoint(lambda a, k: a * k, x, 3, use_reentrant=False).sum().backward()
    assert x.grad.tolist() == [3, 3]
    assert checkpoint_sequential(mg.nn.Sequential(mg.nn.ReLU(), mg.nn.Flatten()), 2, mg.ones(1, 2)).shape == (1, 2)
