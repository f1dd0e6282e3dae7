"""What save() writes, load() gives back: structure, dtypes, sharing, requires_grad."""

from __future__ import annotations

import argparse
import io
import json
import os
import zipfile
from collections import Counter, OrderedDict
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import monograph as mg
from monograph import nn
from monograph.core.errors import ArtifactError


def through(obj: Any, **options: Any) -> Any:
    file = io.BytesIO()
    mg.save(obj, file)
    file.seek(0)
    return mg.load(file, **options)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(max_size=20),
    st.complex_numbers(allow_nan=False),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple), st.dictionaries(st.text(max_size=5), inner, max_size=3),
        st.dictionaries(st.integers(), inner, max_size=3).map(OrderedDict),
    ),
    max_leaves=12,
)  # fmt: skip


@given(TREES)
def test_plain_containers(tree: Any) -> None:
    back = through(tree)
    assert back == tree and repr(back) == repr(tree)


@pytest.mark.parametrize("dtype", "float32 float64 float16 bfloat16 int8 int16 int32 int64 uint8 bool complex64 complex128".split())
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (3, 2)])
def test_tensors_of_every_dtype(dtype: str, shape: tuple[int, ...]) -> None:
    t = mg.load(Path(__file__).parent / "files" / "dtypes.pt")[dtype]
    t = (
        t[:1].reshape(())
        if shape == ()
        else t[: int(np.prod(shape)) and 3].repeat(2).reshape(shape)
        if np.prod(shape)
        else t[:0].reshape(shape)
    )
    back = through(t)
    assert back.dtype is t.dtype and tuple(back.shape) == shape
    assert back.tolist() == t.tolist()


def test_other_kinds() -> None:
    tree = {
        "ns": argparse.Namespace(lr=0.1, layers=[1, 2]), "size": mg.Size([1, 2]), "dtype": mg.bfloat16, "device": mg.device("cpu"),
        "set": {1, 2},
        "frozen": frozenset("a"), "counter": Counter("aab"), "nan": float("nan"), "big": 10**40, "numpy": np.arange(3, dtype=np.int16),
        "slice": slice(1, None),
        "np": np.float32(1.5), "path": Path("a/b"), "bytes": bytearray(b"x"),
    }  # fmt: skip
    back = through(tree)
    assert back["ns"] == tree["ns"] and back["counter"] == tree["counter"] and back["nan"] != back["nan"]
    assert isinstance(back["np"], np.float32) and back["numpy"].dtype == np.int16 and list(back["numpy"]) == [0, 1, 2]
    for key in ("size", "device", "set", "frozen", "big", "slice", "path", "bytes"):
        assert back[key] == tree[key] and type(back[key]) is type(tree[key]), key
    assert back["dtype"] is mg.bfloat16


def test_a_training_checkpoint() -> None:
    def made() -> tuple[Any, Any]:
        mg.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        return model, mg.optim.Adam(model.parameters(), lr=0.01)

    def step(model: Any, optimizer: Any) -> float:
        loss = (model(mg.linspace(-1, 1, 6).reshape(2, 3)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    model, optimizer = made()
    step(model, optimizer)
    saved = through({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 1})
    assert type(saved["model"]) is OrderedDict and saved["model"]._metadata == model.state_dict()._metadata
    after = [step(model, optimizer) for _ in range(3)]
    other, other_optimizer = made()
    other.load_state_dict(saved["model"])
    other_optimizer.load_state_dict(saved["optimizer"])
    assert [step(other, other_optimizer) for _ in range(3)] == after


def test_tensors_of_one_memory_share_it_again() -> None:
    t = mg.ones(3)
    back = through({"a": t, "b": t, "alias": t.detach(), "part": t[1:], "c": mg.ones(3)})
    back["a"].add_(1)
    assert back["b"].tolist() == back["alias"].tolist() == [2, 2, 2]
    assert back["c"].tolist() == [1, 1, 1] and back["part"].tolist() == [1, 1]


def test_requires_grad_and_parameters() -> None:
    back = through(
        {
            "leaf": mg.ones(2, requires_grad=True),
            "p": nn.Parameter(mg.ones(2)),
            "frozen": nn.Parameter(mg.ones(2), requires_grad=False),
            "y": mg.ones(2, requires_grad=True) * 2,
        }
    )
    assert back["leaf"].requires_grad and back["p"].requires_grad and isinstance(back["p"], nn.Parameter)
    assert isinstance(back["frozen"], nn.Parameter) and not back["frozen"].requires_grad
    assert back["y"].tolist() == [2, 2] and not back["y"].requires_grad


class Tied(nn.Module):
    """A model whose two layers share their weight, with an activation that is a function."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.again = self.first
        self.activation = nn.functional.relu
        self.register_buffer("scale", mg.tensor(2.0))
        self.sizes = [3, 3]

    def forward(self, x: Any) -> Any:
        return self.second(self.activation(self.first(x))) * self.scale


def test_a_whole_module() -> None:
    model = Tied().eval()
    x = mg.linspace(0, 1, 3)
    with pytest.raises(ArtifactError, match="weights_only=False"):
        through(model)
    back = through({"model": model}, weights_only=False)["model"]
    assert type(back) is Tied and not back.training and back.sizes == [3, 3]
    assert back.second.weight is back.first.weight and back.again is back.first
    assert back(x).tolist() == model(x).tolist()
    with mg.serialization.safe_globals([Tied]):
        assert type(through(model)) is Tied


class Strategy(Enum):
    STEPS = "steps"


@dataclass
class Settings:
    rate: float
    strategy: Strategy
    inner: Settings | None = None


def test_a_dataclass_is_its_fields() -> None:
    file = io.BytesIO()
    mg.save({"settings": Settings(0.1, Strategy.STEPS, Settings(1.0, Strategy.STEPS))}, file)
    file.seek(0)
    found = mg.load(file)["settings"]
    assert (type(found), found.rate, found.strategy, found.inner.rate) == (argparse.Namespace, 0.1, "steps", 1.0)
    with pytest.raises(TypeError, match=r"settings\.inner is a builtins\.object"):
        mg.save({"settings": Settings(0.1, Strategy.STEPS, object())}, io.BytesIO())


def test_what_is_no_data_is_refused_with_its_place() -> None:
    class Local(nn.Module):
        """Cannot be found by its name."""

    hooked = nn.Linear(1, 1)
    hooked.register_forward_hook(lambda *_: None)
    for obj, message in (
        ({"cfg": {"f": lambda: 0}}, r"cfg\.f is a function or class"), ([object()], r"\[0\] is a builtins\.object"), (Local(),
        "inside a function"),
        (hooked, "hooks"), ({"a": open}, "is a function"),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=message):
            mg.save(obj, io.BytesIO())
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    with pytest.raises(ValueError, match="contains itself"):
        mg.save(cyclic, io.BytesIO())


def test_the_file_is_a_plain_archive_and_reproducible(tmp_path: Path) -> None:
    state = nn.Linear(2, 2).state_dict()
    mg.save(state, tmp_path / "a.pt")
    mg.save(state, tmp_path / "b.pt")
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        assert archive.namelist() == ["monograph.json", "tensors.safetensors"]
        assert json.loads(archive.read("monograph.json"))["format"] == 1
        content = archive.read("tensors.safetensors")
    (tmp_path / "c.safetensors").write_bytes(content)
    assert list(mg.load(tmp_path / "c.safetensors")) == ["weight", "bias"]


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    mg.save(mg.ones(2), path)
    with pytest.raises(TypeError):
        mg.save([mg.zeros(2), object()], path)
    assert mg.load(path).tolist() == [1, 1]
    assert os.listdir(tmp_path) == ["model.pt"]
    with pytest.raises(RuntimeError, match=r"Parent directory .* does not exist"):
        mg.save(1, tmp_path / "none" / "x.pt")


def test_files_of_other_libraries(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    arrays = {"b": np.arange(4, dtype=np.float32).reshape(2, 2), "a": np.ones(3, np.int64), "e": np.zeros((0, 2), np.uint8)}
    safetensors.save_file(arrays, tmp_path / "x.safetensors", metadata={"k": "v"})
    np.savez(tmp_path / "x.npz", **arrays)
    np.savez_compressed(tmp_path / "y.npz", **arrays)
    np.save(tmp_path / "z.npy", np.asfortranarray(arrays["b"]))
    for name in ("x.safetensors", "x.npz", "y.npz"):
        back = mg.load(tmp_path / name)
        assert sorted(back) == ["a", "b", "e"]
        for key, array in arrays.items():
            np.testing.assert_array_equal(back[key].numpy(), array)
    np.testing.assert_array_equal(mg.load(tmp_path / "z.npy").numpy(), arrays["b"])
    mg.save({"w": mg.ones(2, 3)}, tmp_path / "own.pt")
    with zipfile.ZipFile(tmp_path / "own.pt") as archive:
        np.testing.assert_array_equal(safetensors.load(archive.read("tensors.safetensors"))["w"], np.ones((2, 3), np.float32))
