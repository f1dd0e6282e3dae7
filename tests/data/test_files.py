"""Files of records against bytes that TensorFlow 2.21 wrote; text, CSV, and what is said of files that are broken."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph.data.files.crc32c import LANES, LONG, crc32c
from monograph.data.files.example import decode

D = mg.data.Dataset
EXAMPLE = bytes.fromhex(
    "0a590a080a02656912021a000a050a016512000a110a0166120c120a0a080000c03f000010c00a1f0a0169121a1a180a1601feffffffffffffffff01ac0280808080"
    "80808080400a120a0173120d0a0b0a0568656c6c6f0a02ff00"
)  # features i = [1, -2, 300, 2**62], f = [1.5, -2.25], s = [b"hello", b"\xff\0"], e = nothing, ei = int64s without values
RECORD = bytes.fromhex("01000000000000000175de413014b043d8")  # a file with the record b"0": length, checksum, record, checksum


def test_checksums() -> None:
    assert crc32c(b"") == 0
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA and crc32c(b"\xff" * 32) == 0x62A8AB43  # RFC 3720, B.4
    long = np.random.default_rng(0).integers(0, 256, LONG + 3 * LANES + 17, np.uint8).tobytes()
    plain = 0xFFFFFFFF
    for byte in long:
        plain ^= byte
        for _ in range(8):
            plain = (plain >> 1) ^ (0x82F63B78 if plain & 1 else 0)
    assert crc32c(long) == plain ^ 0xFFFFFFFF


def test_records_are_written_as_tensorflow_writes_them(tmp_path: Path) -> None:
    with mg.data.TFRecordWriter(tmp_path / "r") as writer:
        writer.write(b"0")
    assert (tmp_path / "r").read_bytes() == RECORD


@pytest.mark.parametrize("compression", [None, "GZIP", "ZLIB"])
def test_records_are_read_back_and_resumed(tmp_path: Path, compression: str | None) -> None:
    records = [b"x" * (i * 3000) + b"%d" % i for i in range(5)]
    paths = [str(tmp_path / name) for name in ("a", "b")]
    for path, part in zip(paths, (records[:2], records[2:]), strict=True):
        with mg.data.TFRecordWriter(path, compression) as writer:
            for record in part:
                writer.write(record)
            writer.flush()
    ds = mg.data.TFRecordDataset(paths, compression_type=compression)
    assert list(ds) == records
    assert list(D.from_tensor_slices(paths).interleave(lambda p: mg.data.TFRecordDataset(p, compression), cycle_length=2)) == [
        records[i] for i in (0, 2, 1, 3, 4)
    ]
    it = iter(ds)
    for _ in range(3):
        next(it)
    other = iter(ds)
    other.load_state_dict(it.state_dict())
    assert list(other) == records[3:]


def test_broken_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "r"
    with mg.data.TFRecordWriter(path) as writer:
        writer.write(b"first")
        writer.write(b"second")
    good = path.read_bytes()
    for broken, words in (
        (good[:-1], "truncated record at record 1"), (good[:25], "truncated record at record 1"),
        (good.replace(b"second", b"secomd"), "do not match their checksum"), (b"#!/bin/sh and so on", "is it a TFRecord file"),
    ):  # fmt: skip
        path.write_bytes(broken)
        with pytest.raises(mg.data.DataLossError, match=words):
            list(mg.data.TFRecordDataset(path))
    path.write_bytes(gzip.compress(good)[:-12])
    with pytest.raises(mg.data.DataLossError):
        list(mg.data.TFRecordDataset(path, "GZIP"))
    path.write_bytes(good)
    for kind in ("GZIP", "ZLIB"):
        with pytest.raises(mg.data.DataLossError, match="compression_type"):
            list(mg.data.TFRecordDataset(path, kind))
    path.write_bytes(zlib.compress(good))
    assert list(mg.data.TFRecordDataset(path, "ZLIB")) == [b"first", b"second"]
    with pytest.raises(ValueError, match="GZIP"):
        mg.data.TFRecordDataset(path, "BZIP2")
    with pytest.raises(FileNotFoundError):
        list(mg.data.TFRecordDataset(tmp_path / "nowhere"))


def test_examples_of_tensorflow_are_read() -> None:
    found = decode(EXAMPLE)
    assert found["i"].tolist() == [1, -2, 300, 2**62]
    assert found["f"].tolist() == [1.5, -2.25] and found["f"].dtype == np.float32
    assert found["s"] == [b"hello", b"\xff\0"] and found["e"] is None and found["ei"].tolist() == []


def test_examples_are_written_as_protobuf_writes_them() -> None:
    written = mg.data.encode_example({"i": [1, -2, 300, 2**62], "f": np.array([1.5, -2.25]), "s": [b"hello", b"\xff\0"]})
    for part in ("0a110a0166120c120a0a080000c03f000010c0", "0a1f0a0169121a1a180a1601feffffffffffffffff01ac02808080808080808040"):
        assert bytes.fromhex(part) in written
    assert mg.data.Example.FromString(written).SerializeToString() == written
    again = decode(mg.data.encode_example({"t": "é", "x": mg.tensor([1.0]), "n": np.int32(-1), "none": []}))
    assert again["t"] == ["é".encode()] and again["x"].tolist() == [1.0] and again["n"].tolist() == [-1] and again["none"] is None


def test_unpacked_numbers_are_read() -> None:
    body = b"\x1a\x0d" + b"\x08\x05" + b"\x08" + b"\xff" * 9 + b"\x01"
    entry = b"\x0a\x01i\x12" + bytes([len(body)]) + body
    message = b"\x0a" + bytes([len(entry) + 2]) + b"\x0a" + bytes([len(entry)]) + entry
    assert decode(message)["i"].tolist() == [5, -1]


def test_examples_are_parsed_to_tensors() -> None:
    fixed, var = mg.data.FixedLenFeature, mg.data.VarLenFeature
    found = mg.data.parse_single_example(
        EXAMPLE,
        {
            "i": fixed((2, 2), mg.int64), "f": var(mg.float32), "s": fixed(2, bytes), "new": fixed((), mg.float32, default_value=0.5),
            "e": var(bytes), "rows": mg.data.FixedLenSequenceFeature((2,), mg.int64, allow_missing=True),
        },
    )  # fmt: skip
    assert found["i"].tolist() == [[1, -2], [300, 2**62]] and found["f"].tolist() == [1.5, -2.25]
    assert found["s"].tolist() == [b"hello", b"\xff\0"] and found["new"].item() == 0.5
    assert found["e"].tolist() == [] and found["rows"].shape == (0, 2)
    for features, error, words in (
        ({"x": fixed((), mg.int64)}, ValueError, "is required but could not be found"),
        ({"i": fixed((), mg.int64)}, ValueError, "4 values"),
        ({"i": fixed((4,), mg.float32)}, TypeError, "Data types don't match"),
        ({"i": fixed((4,), mg.float64)}, ValueError, "float32, int64 or bytes"),
    ):
        with pytest.raises(error, match=words):
            mg.data.parse_single_example(EXAMPLE, features)
    for broken in (EXAMPLE[:-1], b"\xff\xff", b"\x0b"):
        with pytest.raises(mg.data.DataLossError, match=r"not a tf\.train\.Example"):
            decode(broken)
    records = [mg.data.encode_example({"x": list(range(n)), "y": float(n)}) for n in (1, 3)]
    batch = mg.data.parse_example(records, {"x": var(mg.int64), "y": fixed((), mg.float32)})
    assert batch["x"].tolist() == [[0, 0, 0], [0, 1, 2]] and batch["y"].tolist() == [1.0, 3.0]


def test_a_pipeline_of_examples(tmp_path: Path) -> None:
    path = str(tmp_path / "train.tfrecord")
    with mg.data.TFRecordWriter(path) as writer:
        for i in range(6):
            writer.write(mg.data.encode_example({"image": np.full(4, i, np.float32), "label": i % 2}))
    features = {"image": mg.data.FixedLenFeature((2, 2), mg.float32), "label": mg.data.FixedLenFeature((), mg.int64)}
    ds = mg.data.TFRecordDataset(path).map(lambda r: mg.data.parse_single_example(r, features), num_parallel_calls=2).batch(4)
    batches = list(ds)
    assert batches[0]["image"].shape == (4, 2, 2) and batches[1]["label"].tolist() == [0, 1]


def test_lines(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("one\r\nzwei é\n\nlast".encode())
    assert list(mg.data.TextLineDataset(tmp_path / "a")) == ["one", "zwei é", "", "last"]
    for kind, press in (("GZIP", gzip.compress), ("ZLIB", zlib.compress)):
        (tmp_path / "b").write_bytes(press(b"x\ny\n"))
        assert list(mg.data.TextLineDataset([str(tmp_path / "b")], kind)) == ["x", "y"]


CSV = 'id,name,price\n1,"a, b",2.5\n2,"two\nlines",\n3,c,NA\n'


def plain(row: Any) -> list[Any]:
    return [x if isinstance(x, str) else x.item() for x in row]


def test_csv_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(CSV)
    ds = mg.data.CsvDataset(path, [mg.int32, "", [0.0]], header=True, na_value="NA")
    assert [plain(r) for r in ds] == [[1, "a, b", 2.5], [2, "two\nlines", 0.0], [3, "c", 0.0]]
    assert [s.dtype for s in ds.element_spec] == [mg.int32, str, mg.float32]
    assert [plain(r) for r in mg.data.CsvDataset(path, [0.0, mg.int64], header=True, na_value="NA", select_cols=[2, 0])] == [
        [2.5, 1], [0.0, 2], [0.0, 3]
    ]  # fmt: skip
    it = iter(ds)
    next(it)
    other = iter(ds)
    other.load_state_dict(it.state_dict())
    assert plain(next(other)) == [2, "two\nlines", 0.0]
    for defaults, words in (([mg.int32, ""], "Expect 2 fields in record but have 3"), ([mg.int32, mg.int32, 0.0], "valid int32"),
                            ([mg.int32, "", mg.float32], "is empty and its column has no default")):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            list(mg.data.CsvDataset(path, defaults, header=True, na_value="NA"))


def test_csv_tables(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(CSV)
    ds = mg.data.make_csv_dataset(str(path), 2, label_name="price", num_epochs=1, shuffle=False, na_value="NA")
    (first, label), (second, _) = list(ds)
    assert first["id"].tolist() == [1, 2] and first["name"].tolist() == ["a, b", "two\nlines"] and label.tolist() == [2.5, 0.0]
    assert second["id"].tolist() == [3]
    endless = mg.data.make_csv_dataset(str(tmp_path / "*.csv"), 2, select_columns=["id"], shuffle_seed=1, na_value="NA")
    assert endless.cardinality() < 0 and [b["id"].shape for b in endless.take(4)] == [(2,)] * 4
    with pytest.raises(ValueError, match="label_name"):
        mg.data.make_csv_dataset(str(path), 2, label_name="x")
    with pytest.raises(ValueError, match=r"there are no columns \['x'\]"):
        mg.data.make_csv_dataset(str(path), 2, select_columns=["x"])
