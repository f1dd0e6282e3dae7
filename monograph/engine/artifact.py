"""The file of an exported program: one zip archive, stored, with deterministic bytes and nothing in it that could run.

    manifest.json         format, version, opset, signature, symbols, and the sha256 of the other two
    graph.txt             the program in the text form of `graph/text.py`
    weights.safetensors   the tensors that it uses

Whatever is missing, left over, doubled, cut off, changed or written by a newer version is an ArtifactError that says so; reading executes
nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors import deserialize
from safetensors.numpy import save

from monograph.core.dtype import BY_NAME, from_numpy
from monograph.core.errors import ArtifactError, message_of

FORMAT, VERSION = "monograph.program", 1
MANIFEST, GRAPH, WEIGHTS = "manifest.json", "graph.txt", "weights.safetensors"
MEMBERS = (MANIFEST, GRAPH, WEIGHTS)
MAX_MANIFEST = 64 << 20
MAX_GRAPH = 1 << 30
_EPOCH = (1980, 1, 1, 0, 0, 0)
_SAFE_NAMES = {
    "float32": "F32",
    "float64": "F64",
    "float16": "F16",
    "bfloat16": "BF16",
    "int8": "I8",
    "int16": "I16",
    "int32": "I32",
    "int64": "I64",
    "uint8": "U8",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "bool": "BOOL",
}
_OF_SAFE = {safe: name for name, safe in _SAFE_NAMES.items()}


@dataclass(frozen=True)
class Artifact:
    """What a file holds: the checked manifest, the graph's text, the weights as arrays that must not be written to."""

    manifest: dict[str, Any]
    graph: str
    weights: dict[str, np.ndarray]


# ---------------------------------------------------------------- writing


def to_bytes(manifest: Mapping[str, Any], graph: str, weights: Mapping[str, np.ndarray]) -> bytes:
    """The file's bytes: the same program gives the same bytes."""
    members = {GRAPH: graph.encode(), WEIGHTS: _pack(weights)}
    full = {
        "format": FORMAT,
        "version": VERSION,
        **manifest,
        "members": {name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in members.items()},
    }
    first = json.dumps(full, indent=1, ensure_ascii=True, allow_nan=False).encode() + b"\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {MANIFEST: first, **members}.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3
            info.external_attr = 0o100644 << 16
            archive.writestr(info, data)
    return out.getvalue()


def write(path: Any, data: bytes) -> None:
    """Writes a file as a whole or not at all: a reader never sees half of it, a crash leaves the old one."""
    if hasattr(path, "write"):
        path.write(data)
        return
    target = os.path.abspath(os.fspath(path))
    handle, temporary = tempfile.mkstemp(prefix=os.path.basename(target) + ".", suffix=".part", dir=os.path.dirname(target))
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _pack(weights: Mapping[str, np.ndarray]) -> bytes:
    for name, array in weights.items():
        kind = from_numpy(array.dtype).name
        if kind not in _SAFE_NAMES:
            raise ArtifactError(f"weight {name} of dtype {kind} cannot be saved")
    return save({name: np.ascontiguousarray(array).reshape(array.shape) for name, array in weights.items()})


# ---------------------------------------------------------------- reading


def read(source: Any) -> Artifact:
    """The artifact in a file (a path, or an object with `read`). Raises ArtifactError saying what is wrong with it."""
    if hasattr(source, "read"):
        data = source.read()
    else:
        with open(source, "rb") as file:  # a file that is not there is a FileNotFoundError, as everywhere
            data = file.read()
    try:
        return from_bytes(bytes(data))
    except ArtifactError as error:
        where = "" if hasattr(source, "read") else f"{os.fspath(source)}: "
        raise ArtifactError(f"{where}{message_of(error)}") from None


def from_bytes(data: bytes) -> Artifact:
    """The artifact in these bytes."""
    members = _members(data)
    manifest = _manifest(members[MANIFEST])
    for name in (GRAPH, WEIGHTS):
        stated = manifest["members"].get(name)
        if not isinstance(stated, dict) or set(stated) != {"sha256", "bytes"}:
            raise ArtifactError(f"the manifest says nothing about {name}")
        if stated["bytes"] != len(members[name]):
            raise ArtifactError(f"{name} has {len(members[name])} bytes, the manifest says {stated['bytes']}")
        if stated["sha256"] != hashlib.sha256(members[name]).hexdigest():
            raise ArtifactError(f"{name} is not what was saved: its sha256 differs from the manifest's")
    try:
        graph = members[GRAPH].decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{GRAPH} is no text: {error}") from None
    return Artifact(manifest, graph, _unpack(members[WEIGHTS]))


def _members(data: bytes) -> dict[str, bytes]:
    if not data.startswith(b"PK\x03\x04"):
        raise ArtifactError("it is no program of monograph: the file does not start as one" + (" (it is empty)" if not data else ""))
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            names = [i.filename for i in infos]
            for name in names:
                if name not in MEMBERS:
                    raise ArtifactError(f"it holds {name!r}, which is no part of a program")
                if names.count(name) > 1:
                    raise ArtifactError(f"it holds {name} more than once")
            for name in MEMBERS:
                if name not in names:
                    raise ArtifactError(f"it lacks {name}")
            for i in infos:
                if i.compress_type != zipfile.ZIP_STORED or i.file_size != i.compress_size or i.flag_bits & ~0x800:
                    raise ArtifactError(f"{i.filename} is compressed or encrypted: programs are stored as they are")
            if sum(i.file_size for i in infos) > len(data):
                raise ArtifactError("its parts claim more bytes than the file has")
            limits = {MANIFEST: MAX_MANIFEST, GRAPH: MAX_GRAPH}
            for i in infos:
                if i.file_size > limits.get(i.filename, len(data)):
                    raise ArtifactError(f"{i.filename} has {i.file_size} bytes, more than any program needs")
            return {i.filename: archive.read(i) for i in infos}
    except ArtifactError:
        raise
    except Exception as error:  # zipfile raises half a dozen kinds on damaged archives
        raise ArtifactError(f"it is cut off or damaged: {error}") from None


def _manifest(data: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(data.decode("utf-8"), object_pairs_hook=_no_doubles)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{MANIFEST} cannot be read: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ArtifactError(f"{MANIFEST} is not that of a program of monograph")
    if not isinstance(manifest.get("version"), int) or manifest["version"] != VERSION:
        raise ArtifactError(f"it is of format version {manifest.get('version')!r}; this monograph reads version {VERSION}")
    for key, kind in (
        ("members", dict),
        ("inputs", list),
        ("outputs", list),
        ("symbols", dict),
        ("constraints", list),
        ("opset", dict),
        ("weights", list),
    ):
        if not isinstance(manifest.get(key), kind):
            raise ArtifactError(f"{MANIFEST} lacks {key!r}")
    return manifest


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _unpack(data: bytes) -> dict[str, np.ndarray]:
    try:
        table = deserialize(data)
    except Exception as error:
        raise ArtifactError(f"{WEIGHTS} cannot be read: {error}") from None
    found: dict[str, np.ndarray] = {}
    for name, entry in table:
        kind = _OF_SAFE.get(entry["dtype"])
        if kind is None:
            raise ArtifactError(f"weight {name} is of dtype {entry['dtype']}, which tensors here cannot hold")
        array = np.frombuffer(entry["data"], np.uint8).view(BY_NAME[kind].np) if len(entry["data"]) else np.empty(0, BY_NAME[kind].np)
        try:
            found[name] = array.reshape(entry["shape"])
        except ValueError as error:
            raise ArtifactError(f"weight {name}: {error}") from None
    return found
