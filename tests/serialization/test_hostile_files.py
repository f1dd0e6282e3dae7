"""Damaged and hostile files end in an ArtifactError: nothing runs, nothing is allocated on their word, nothing crashes."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import random
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

import monograph as mg
from monograph.core.errors import ArtifactError
from monograph.serialization.reading import check_archive

FILES = Path(__file__).parent / "files"


def archive(pickled: bytes, **entries: bytes) -> io.BytesIO:
    """A torch archive with that description."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as z:
        z.writestr("a/data.pkl", pickled)
        for name, data in entries.items():
            z.writestr("a/" + name.replace("__", "/"), data)
    file.seek(0)
    return file


class Evil:
    """Pickled, it is a call of os.system."""

    def __reduce__(self) -> Any:
        return os.system, ("touch should_not_exist",)


def test_a_pickle_that_calls_something_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for protocol in range(2, 6):
        with pytest.raises(ArtifactError, match="system"):
            mg.load(archive(pickle.dumps(Evil(), protocol)))
    with pytest.raises(ArtifactError, match="system"):
        mg.load(io.BytesIO(pickle.dumps(Evil())))
    with pytest.raises(ArtifactError, match="plain pickle"):
        mg.load(io.BytesIO(pickle.dumps({"a": 1})))
    assert not os.listdir(tmp_path)


FLOATS = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK%ctQ"
TENSOR = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + FLOATS.replace(b"%c", b"\x04") + b"%sccollections\nOrderedDict\n)RtR."


def tensor(offset: bytes, size: bytes, stride: bytes) -> bytes:
    return TENSOR.replace(b"%s", offset + size + stride + b"\x89")


ONE, FOUR, FIVE, MINUS = b"K\x01", b"K\x04", b"K\x05", b"J\xff\xff\xff\xff"
SIXTEEN = struct.pack("<4f", 1, 2, 3, 4)


def test_the_hand_made_archive_is_read() -> None:
    assert mg.load(archive(tensor(b"K\x00", FOUR + b"\x85", ONE + b"\x85"), data__0=SIXTEEN)).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("pickled", "data", "message"),
    [
        (tensor(b"K\x00", FIVE + b"\x85", ONE + b"\x85"), SIXTEEN, "reaches element 4"),
        (tensor(ONE, FOUR + b"\x85", ONE + b"\x85"), SIXTEEN, "reaches element 4"),
        (tensor(b"K\x00", FOUR + b"\x85", FIVE + b"\x85"), SIXTEEN, "reaches element 15"),
        (tensor(MINUS, FOUR + b"\x85", ONE + b"\x85"), SIXTEEN, "an offset"),
        (tensor(b"K\x00", FOUR + b"\x85", MINUS + b"\x85"), SIXTEEN, "strides"),
        (tensor(b"K\x00", FOUR + b"\x85", ONE + ONE + b"\x86"), SIXTEEN, "1 sizes and 2 strides"),
        (tensor(b"K\x00", b"\x8a\x08" + b"\xff" * 7 + b"\x0f\x85", b"K\x00\x85"), SIXTEEN, "would have|small non-negative"),
        (tensor(b"K\x00", FOUR + b"\x85", ONE + b"\x85"), SIXTEEN[:8], "should have 16 bytes and has 8"),
    ],
    ids=["size", "offset", "stride", "negative offset", "negative stride", "ranks", "huge expanded", "short storage"],
)
def test_geometry_that_does_not_fit(pickled: bytes, data: bytes, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        mg.load(archive(pickled, data__0=data))


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (b"\x80\x02]q\x00h\x00a.", "contains itself"),
        (b"\x80\x02" + b"]" * 700 + b"a" * 699 + b".", "nested|nests"),
        (b"\x80\x02K\x01K\x02.", "ends with 2 objects"),
        (b"\x80\x02)a.", "damaged pickle"),
        (b"\x80\x02cos\nsystem\n.", "os.system"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n.", "reference to a class or function"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x08\x00\x00\x00__code__K\x01sb.", "sets the state"),
        (b"\x80\x02K\x01)R.", "asks to call a int"),
        (b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.", "bytearray"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "os.system"),
        (b"\x80\x02(cos\nsystem\no.", "system|instruction"),
        (b"\x80\x02X\xff\xff\xff\x7fabc.", "damaged pickle"),
        (b"\x80\x02ctorch\ndevice\nX\x03\x00\x00\x00abc\x85R.", "device"),
        (b"", "damaged pickle"),
    ],
)
def test_pickles_that_are_no_data(pickled: bytes, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        mg.load(archive(pickled))


def test_nested_keys_do_not_take_for_ever() -> None:
    doubling = b"\x80\x02)" + b"2\x86" * 60 + b"q\x00}h\x00K\x01s."
    with pytest.raises(ArtifactError, match="key"):
        mg.load(archive(doubling))


def test_shared_containers_are_walked_once() -> None:
    """Sixty lists, each holding the one before twice: a walk that does not remember takes 2 ** 60 steps."""
    push = b"".join(b"]q" + bytes([i + 1]) + b"h" + bytes([i]) + b"ah" + bytes([i]) + b"a0" for i in range(60))
    assert len(mg.load(archive(b"\x80\x02]q\x000" + push + b"h\x3c."))) == 2


@pytest.mark.parametrize(
    ("names", "message"),
    [(["../x", "a/data.pkl"], "outside"), (["/etc/x", "monograph.json"], "outside"), (["what.txt"], "neither")],
)
def test_archives_with_strange_entries(names: list[str], message: str) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as z:
        for name in names:
            z.writestr(name, "{}")
    file.seek(0)
    with pytest.raises(ArtifactError, match=message):
        mg.load(file)


def test_bombs() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("a/data.pkl", b"\x80\x02N." + b"\0" * 4_000_000)
    file.seek(0)
    with pytest.raises(ArtifactError, match="compressed"):
        mg.load(file)
    bomb = zipfile.ZipInfo("a.npy")
    bomb.file_size, bomb.compress_size, bomb.header_offset = 1 << 40, 10, 0
    with pytest.raises(ArtifactError, match="zip bomb"):
        check_archive([bomb], 1000)
    bomb.compress_size = 1 << 40
    with pytest.raises(ArtifactError, match="claim"):
        check_archive([bomb], 1000)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', "truncated"),
        (b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', "has 4 bytes"),
        (b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', "non-negative"),
        (b'{"a":{"dtype":"F4_E2M1","shape":[4],"data_offsets":[0,4]}}', "F4_E2M1"),
        (b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}', "no overlaps"),
        (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', "no gaps"),
        (b"{" + b'"a":' * 1 + b"[" * 5000, "no JSON"),
    ],
)
def test_safetensors_that_lie(header: bytes, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        mg.load(io.BytesIO(len(header).to_bytes(8, "little") + header + b"\0" * 4))


@pytest.mark.parametrize("content", [b"", b"<html>", b"version https://git-lfs", b"GGUF" + b"\0" * 20, b"\x89HDF\r\n\x1a\n" + b"\0" * 20])
def test_other_files(content: bytes) -> None:
    with pytest.raises(ArtifactError):
        mg.load(io.BytesIO(content))


def test_a_module_cannot_be_smuggled_in() -> None:
    def own(tree: str) -> io.BytesIO:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as z:
            z.writestr("monograph.json", '{"format":1,"tree":' + tree + "}")
            z.writestr("tensors.safetensors", b"\x02\0\0\0\0\0\0\0{}")
        file.seek(0)
        return file

    assert mg.load(own('{"tuple":[1]}')) == (1,)
    for tree, message in (
        ('{"module":["os:path",[]]}', "weights_only=False"), ('{"reference":"os:system"}', "nothing else"),
        ('{"reference":"monograph.core.errors:sys"}', "nothing else"),
        ('{"reference":"monograph.core.errors:os.system"}', "nothing else"), ('{"tensor":{"name":"x"}}', "lacks"), ('{"size":["a"]}',
        "damaged"), ('{"nope":1}', "unknown kind"),
        ('{"a":1,"b":2}', "unclear"), ("[" * 3000 + "]" * 3000, "nest|JSON"),
    ):  # fmt: skip
        with pytest.raises(ArtifactError, match=message):
            mg.load(own(tree))
    with pytest.raises(ArtifactError, match="not imported"):
        mg.load(own('{"module":["os:system",[]]}'), weights_only=False)
    with pytest.raises(ArtifactError, match="format 99"):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as z:
            z.writestr("monograph.json", '{"format":99,"tree":1}')
        file.seek(0)
        mg.load(file)


def test_random_damage() -> None:
    own = io.BytesIO()
    mg.save({"a": mg.ones(3), "b": [1, (2, mg.zeros(2, 2))]}, own)
    files = [path.read_bytes() for path in sorted(FILES.iterdir())] + [own.getvalue()]
    rng = random.Random(0)
    for _ in range(1500):
        data = bytearray(rng.choice(files))
        if rng.random() < 0.2:
            data = data[: rng.randrange(len(data))]
        for _ in range(rng.choice((0, 1, 2, 5, 20))):
            if data:
                data[rng.randrange(len(data))] = rng.choice((0, 255, rng.randrange(256)))
        with contextlib.suppress(ArtifactError):
            mg.load(io.BytesIO(bytes(data)), map_location="cpu")
