"""Files that torch wrote (tests/serialization/files, made by parity/write_torch_files.py) are read without running anything from them."""

from __future__ import annotations

import io
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
import pytest

import monograph as mg
from monograph import nn
from monograph.core.errors import ArtifactError

FILES = Path(__file__).parent / "files"


@pytest.mark.parametrize("name", ["state.pt", "state_legacy.pth"])
def test_a_state_dict_fits_the_same_model(name: str) -> None:
    state = mg.load(FILES / name)
    assert type(state) is OrderedDict and state._metadata["0"] == {"version": 1}
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    assert str(model.load_state_dict(state)) == "<All keys matched successfully>"
    assert state["1.num_batches_tracked"].dtype is mg.int64
    np.testing.assert_array_equal(model[0].weight.detach().numpy(), state["0.weight"].numpy())


def test_the_two_formats_hold_the_same_values() -> None:
    new, old = mg.load(FILES / "state.pt"), mg.load(FILES / "state_legacy.pth")
    assert list(new) == list(old)
    assert all(bool((new[name] == old[name]).all()) for name in new)


def expected_views() -> dict[str, np.ndarray]:
    base = np.arange(24, dtype=np.float32)
    grid = base.reshape(4, 6)
    return {
        "base": base, "transposed": grid.T, "steps": grid[1:, 1::2], "expanded": np.broadcast_to(base[:3], (2, 3)), "scalar": base[5],
        "permuted": base.reshape(2, 3, 4).transpose(2, 0, 1)[1:3], "windows": np.stack([base[i : i + 4] for i in (0, 10, 20)]),
        "empty": np.zeros((0, 3), np.float32),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["views.pt", "views_legacy.pth"])
def test_views_have_their_values_and_share_memory(name: str) -> None:
    loaded = mg.load(FILES / name)
    for key, t in loaded.items():
        np.testing.assert_array_equal(t.numpy(), expected_views()[key], err_msg=key)
    loaded["base"][7] = 100.0
    assert loaded["transposed"][1, 1].item() == 100.0
    assert loaded["steps"][0, 0].item() == 100.0
    loaded["transposed"][0, 0] = -1.0
    assert loaded["base"][0].item() == -1.0


def test_every_dtype_arrives() -> None:
    for name, t in mg.load(FILES / "dtypes.pt").items():
        assert t.dtype.name == name
        assert [complex(v) for v in t.tolist()] == [1, 0, 1 if name == "bool" else 3]


def test_every_kind_of_data_arrives() -> None:
    found = mg.load(FILES / "kinds.pt", weights_only=True)
    assert isinstance(found["parameter"], nn.Parameter) and found["parameter"].requires_grad
    assert found["tagged"].note == 3
    assert found["list"] == [1, 2.5, "x", None, True, (1, (2, 3)), {1, 2}, b"by", 1 + 2j, 10**30]
    assert found["size"] == mg.Size([2, 3]) and found["dtype"] is mg.float16 and found["device"] == mg.device("cpu")
    assert found["counter"] == Counter("abca")
    assert found["numpy scalar"] == 3.5 and isinstance(found["numpy scalar"], np.float64)
    assert type(found["numpy array"]) is np.ndarray
    np.testing.assert_array_equal(found["numpy array"], np.arange(6.0).reshape(2, 3))
    assert found["leaf"].requires_grad and found["leaf"].is_leaf
    assert found["conjugated"].tolist() == [1 - 2j]
    assert found["meta"].device.type == "meta"
    assert list(found["ordered"].items()) == [("b", 1), ("a", 2)]


def test_a_pickled_object_is_refused_by_name() -> None:
    with pytest.raises(ArtifactError, match=r"torch\.nn\.modules\.activation\.ReLU.*state_dict") as raised:
        mg.load(FILES / "module_legacy.pth", weights_only=False)
    assert "never runs code" in str(raised.value)


def test_an_unknown_dtype_is_refused_by_name() -> None:
    with pytest.raises(ArtifactError, match=r"torch\.complex32"):
        mg.load(FILES / "complex32.pt")


def test_eight_bit_floats() -> None:
    found = mg.load(FILES / "float8.pt")
    assert {name: (t.dtype.name, t.to(mg.float32).tolist()) for name, t in found.items()} == {
        f"float8_{name}": (f"float8_{name}", [1.0, 0.25, 16.0]) for name in ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "e8m0fnu")
    }


def test_wide_unsigned_dtypes() -> None:
    found = mg.load(FILES / "unsigned.pt")
    assert {name: (t.dtype, t.tolist()) for name, t in found.items()} == {
        name: (getattr(mg, name), [0, 1, mg.iinfo(getattr(mg, name)).max]) for name in ("uint16", "uint32", "uint64")
    }


def test_map_location() -> None:
    path = FILES / "state.pt"
    assert mg.load(path, map_location="meta")["0.weight"].device.type == "meta"
    seen = []
    mg.load(path, map_location=lambda storage, location: seen.append(location))
    assert set(seen) == {"cpu"}
    with pytest.raises(RuntimeError, match="Attempting to deserialize object on a CUDA device"):
        mg.load(path, map_location="cuda:0")
    with pytest.raises(RuntimeError, match="CUDA"):
        mg.load(path, map_location={"cpu": "cuda:1"})
    assert mg.load(path, map_location={"cuda:0": "cpu"}, mmap=True)["0.bias"].device.type == "cpu"


def test_from_a_file_object() -> None:
    for name in ("state.pt", "state_legacy.pth"):
        assert next(iter(mg.load(io.BytesIO((FILES / name).read_bytes())))) == "0.weight"
