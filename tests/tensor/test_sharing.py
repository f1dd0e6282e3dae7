"""Tensors on memory that is there already: buffers, storages, files."""

from __future__ import annotations

import array
from pathlib import Path

import numpy as np
import pytest

import monograph as mg


def test_buffer() -> None:
    memory = bytearray(range(8))
    t = mg.frombuffer(memory, dtype=mg.int16, offset=2, count=2)
    assert t.tolist() == [0x0302, 0x0504]
    t[0] = 7
    assert memory[2:4] == b"\x07\x00"
    assert mg.frombuffer(array.array("d", [1.5]), dtype=mg.float64).item() == 1.5


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"offset": 9}, "offset"), ({"offset": 1}, "multiple of element size"), ({"count": 9}, "must not be greater"),
        ({"count": 0}, "must not be 0"),
    ],
)  # fmt: skip
def test_buffer_refused(more: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mg.frombuffer(bytearray(8), dtype=mg.int16, **more)


def test_asarray_shares_what_has_memory() -> None:
    host = np.arange(3.0)
    mg.asarray(host)[0] = 5
    assert host[0] == 5
    mg.asarray(host, copy=True)[0] = 6
    assert host[0] == 5
    t = mg.ones(3)
    assert mg.asarray(t) is t and mg.asarray(t, copy=True) is not t
    assert mg.asarray(t.untyped_storage()[4:8], dtype=mg.float32).tolist() == [1.0]
    assert mg.asarray(array.array("f", [1, 2])).tolist() == [1, 2]
    assert mg.asarray([1.0], requires_grad=True).requires_grad
    for refused in ([1, 2], 3.5):
        with pytest.raises(ValueError, match="copy=False"):
            mg.asarray(refused, copy=False)
    with pytest.raises(ValueError, match="float64 into dtype float32"):
        mg.asarray(host, dtype=mg.float32, copy=False)


def test_storages_of_one_tensor_have_one_address() -> None:
    shared = mg.ones(3, 4) + 1
    views = [shared.detach(), shared.t(), shared[1:]]
    assert len({v.untyped_storage().data_ptr() for v in views}) == 1
    part = shared.untyped_storage()[4:12]
    assert (len(part), part.nbytes(), part.data_ptr() - shared.data_ptr()) == (8, 8, 4)
    with pytest.raises(RuntimeError, match="step of 2"):
        shared.untyped_storage()[0:4:2]


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    path.write_bytes(bytes(range(16)))
    storage = mg.UntypedStorage.from_file(str(path), shared=False, nbytes=16)
    assert mg.asarray(storage, dtype=mg.uint8).tolist() == list(range(16))
    mg.from_file(str(path), shared=True, size=2, dtype=mg.int32)[1] = 7
    assert path.read_bytes()[:8] == b"\0\1\2\3\7\0\0\0"
    mg.from_file(str(path), size=2, dtype=mg.int32).zero_()
    assert path.read_bytes()[:2] == b"\0\1"
    with pytest.raises(RuntimeError, match="smaller than the required"):
        mg.UntypedStorage.from_file(str(path), False, 17)
    with pytest.raises(RuntimeError, match="unable to open"):
        mg.from_file(str(tmp_path / "absent"), size=1)


def test_another_dtype_of_memory_shared_with_numpy() -> None:
    host = np.arange(8, dtype=np.uint8)
    seen = mg.from_numpy(host).view(mg.int32)
    assert (seen + 0).dtype is mg.int32
    assert seen.dtype is mg.int32
    seen[0] = 1
    assert host.tolist() == [1, 0, 0, 0, 4, 5, 6, 7]


def test_a_device_as_a_context() -> None:
    with mg.device("meta"):
        made, kept = mg.zeros(2), mg.zeros(2, device="cpu")
        layer = mg.nn.Linear(3, 4)
        assert (made.device.type, kept.device.type, layer.weight.device.type) == ("meta", "cpu", "meta")
        assert (mg.zeros_like(kept).device.type, kept.new_ones(3).device.type) == ("cpu", "cpu")
        with mg.device("cpu"):
            assert mg.ones(1).tolist() == [1]
    assert mg.zeros(2).device.type == "cpu" and made.new_ones(2).device.type == "meta"
    assert layer.to_empty(device="cpu").weight.device.type == "cpu"
    assert mg.Generator().device == mg.device("cpu")
