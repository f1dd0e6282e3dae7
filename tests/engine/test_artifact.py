"""Damaged, foreign and hostile files: always an ArtifactError that says what is wrong, never a crash, nothing is run."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import monograph as mg
from monograph import nn
from monograph.core.errors import ArtifactError
from monograph.engine import artifact
from monograph.export import Dim, export, load, save

_made: dict[str, bytes] = {}


def _good() -> bytes:
    if not _made:
        mg.manual_seed(0)
        out = io.BytesIO()
        save(export(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), (mg.ones(2, 3),), dynamic_shapes=({0: Dim("batch")},)), out)
        _made["good"] = out.getvalue()
    return _made["good"]


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        return {n: z.read(n) for n in z.namelist()}


def _zip(members: list[tuple[str, bytes]], how: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as z:
        for name, data in members:
            z.writestr(name, data)
    return out.getvalue()


def _with_manifest(change: Callable[[dict[str, Any]], None]) -> bytes:
    members = _members(_good())
    manifest = json.loads(members["manifest.json"])
    change(manifest)
    members["manifest.json"] = json.dumps(manifest).encode()
    return _zip(list(members.items()))


def _with_graph(change: Callable[[str], str]) -> bytes:
    """A changed graph whose hash is right: only its content can give it away."""
    held = artifact.from_bytes(_good())
    manifest = {k: v for k, v in held.manifest.items() if k not in ("members", "format", "version")}
    return artifact.to_bytes(manifest, change(held.graph), held.weights)


def _refused(data: bytes, match: str | None = None) -> None:
    with pytest.raises(ArtifactError, match=match):
        load(io.BytesIO(data))


def test_the_good_one_loads() -> None:
    run = load(io.BytesIO(_good())).module()
    assert run(mg.ones(5, 3)).shape == (5, 2)


def test_empty_foreign_and_cut_files(tmp_path: Path) -> None:
    _refused(b"", "it is empty")
    _refused(b"\x80\x04pickle", "no program of monograph")
    for at in (4, 30, 100, len(_good()) // 2, len(_good()) - 1):
        _refused(_good()[:at])
    (tmp_path / "x.mg").write_bytes(b"nonsense")
    with pytest.raises(ArtifactError, match=r"x\.mg: it is no program"):
        load(tmp_path / "x.mg")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "absent.mg")
    _refused(b"junk" + _good(), "does not start as one")


def test_members() -> None:
    m = list(_members(_good()).items())
    _refused(_zip(m[:2]), "lacks weights.safetensors")
    _refused(_zip([*m, ("extra.py", b"import os")]), "holds 'extra.py', which is no part")
    _refused(_zip([*m, ("../../evil", b"x")]), "no part of a program")
    with pytest.warns(UserWarning, match="Duplicate"):
        doubled = _zip([*m, m[0]])
    _refused(doubled, "more than once")
    _refused(_zip(m, zipfile.ZIP_DEFLATED), "compressed or encrypted")
    bomb = _zip([("manifest.json", b" " * 10_000_000), *m[1:]], zipfile.ZIP_DEFLATED)
    _refused(bomb, "compressed")


def test_hashes_sizes_and_versions() -> None:
    m = _members(_good())
    m["graph.txt"] = m["graph.txt"].replace(b"relu", b"tanh")
    _refused(_zip(list(m.items())), "sha256 differs")
    m["graph.txt"] += b"\n"
    _refused(_zip(list(m.items())), "the manifest says")
    _refused(_with_manifest(lambda x: x.update(version=99)), "format version 99")
    _refused(_with_manifest(lambda x: x.update(version="1")), "format version '1'")
    _refused(_with_manifest(lambda x: x.update(format="other")), "not that of a program")
    _refused(_with_manifest(lambda x: x.pop("inputs")), "lacks 'inputs'")
    _refused(_with_manifest(lambda x: x["members"].pop("graph.txt")), "says nothing about graph.txt")


def test_manifest_that_does_not_describe_a_program() -> None:
    def first(x: dict[str, Any], **what: Any) -> None:
        x["inputs"][0].update(what)

    _refused(_with_manifest(lambda x: first(x, dtype="float99")))
    _refused(_with_manifest(lambda x: first(x, shape=["batch", 4])), "in the signature or weights")
    _refused(_with_manifest(lambda x: first(x, shape=["__import__('os')", 3])))
    _refused(_with_manifest(lambda x: first(x, shape=[[1], 3])))
    _refused(_with_manifest(lambda x: first(x, name="other")), "do not agree")
    _refused(_with_manifest(lambda x: x["weights"].pop()), "do not agree on")
    _refused(_with_manifest(lambda x: x["weights"][0].update(shape=[1])), "the manifest says")
    _refused(_with_manifest(lambda x: x.update(symbols={})))
    _refused(_with_manifest(lambda x: x["symbols"].update(more={"example": 2, "min": None, "max": None})), "gives a value to the size more")
    _refused(_with_manifest(lambda x: x["symbols"]["batch"].update(example="2")))
    _refused(_with_manifest(lambda x: x["constraints"].append(["batch", "~", "3"])), "no relation")
    _refused(_with_manifest(lambda x: x["constraints"].append(["batch"])))
    _refused(_with_manifest(lambda x: x["constraints"].append(["1//0", "<", "3"])))
    _refused(_with_manifest(lambda x: x["outputs"].append(None)), "returns 1 values, the signature names 2")
    _refused(_with_manifest(lambda x: x.update(in_tree=None)))
    _refused(_with_manifest(lambda x: x.update(out_tree=["set", [None]])))
    deep: Any = None
    for _ in range(200):
        deep = ["list", [deep]]
    _refused(_with_manifest(lambda x: x.update(out_tree=deep)))
    members = _members(_good())
    members["manifest.json"] = b"[" * 100_000
    _refused(_zip(list(members.items())), "cannot be read")
    members["manifest.json"] = b'{"format": "a", "format": "monograph.program"}'
    _refused(_zip(list(members.items())), "a key stands twice")


def test_graph_that_lies() -> None:
    _refused(_with_graph(lambda g: g.replace("relu", "frobnicate")), "line 7: no op is called 'frobnicate'")
    _refused(_with_graph(lambda g: g.replace("linear(", "linear@9(")), "version 9")
    _refused(_with_graph(lambda g: g.replace("float32[4, 3]", "float32[4, 5]")))
    _refused(_with_graph(lambda g: g.replace("float32[batch, 2]", "float32[batch, 7]")), "the file says")
    _refused(_with_graph(lambda g: g.replace("return", "%9 = input : float32[1]\nreturn")), "do not agree on 9")
    _refused(_with_graph(lambda g: g.rsplit("return", 1)[0]), "without a return")
    _refused(_with_graph(lambda g: ""), "without a return")


def test_weights_that_lie() -> None:
    m = _members(_good())
    for damaged in (b"", b"\xff" * 64, m["weights.safetensors"][:-4], b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "):
        held = artifact.from_bytes(_good())
        manifest = {k: v for k, v in held.manifest.items() if k not in ("members", "format", "version")}
        original = artifact._pack
        artifact._pack = lambda weights, data=damaged: data  # type: ignore[assignment,misc]
        try:
            data = artifact.to_bytes(manifest, held.graph, held.weights)
        finally:
            artifact._pack = original
        _refused(data)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 255))
def test_any_changed_byte_is_noticed_or_harmless(at: int, value: int) -> None:
    data = bytearray(_good())
    data[at % len(data)] = value
    try:
        run = load(io.BytesIO(bytes(data))).module()
    except ArtifactError:
        return
    assert run(mg.ones(2, 3)).shape == (2, 2)


def test_writing_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.mg"
    artifact.write(path, b"old")

    def fails(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(artifact.os, "fsync", fails)
    with pytest.raises(OSError, match="disk full"):
        artifact.write(path, b"new")
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["m.mg"]
