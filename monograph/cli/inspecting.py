"""`inspect`: what a file holds, without running anything from it."""

from __future__ import annotations

import argparse
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from monograph.cli.event_files import read_events
from monograph.cli.exits import FILE_ERROR, OK, CommandError
from monograph.cli.text import command, size, table
from monograph.core.errors import ArtifactError, message_of
from monograph.data.files.tfrecord import DataLossError
from monograph.engine import artifact
from monograph.serialization import load
from monograph.tensor.core import Tensor

ZIP = (b"PK\x03\x04", b"PK\x05\x06")


def add_commands(commands: Any) -> None:
    """Adds `inspect`."""
    made = command(commands, "inspect", inspect, "what a file holds: shapes, dtypes, sizes, graph, metrics, versions", """\
Reads artifacts (.mg), checkpoints, files of monograph.save and torch.save, .safetensors, .npz, .npy, TensorBoard's event files,
and the folder of a run. Kinds are told by content, nothing in a file is executed.""", [
        "monograph inspect model.mg", "monograph inspect model.mg --graph", "monograph inspect runs/digits/checkpoints/last.ckpt",
        "monograph inspect weights.safetensors --json | jq .total_bytes",
    ])  # fmt: skip
    made.add_argument("file", metavar="FILE", help="a file, or the folder of a run")
    made.add_argument("--json", action="store_true", help="print a JSON object")
    made.add_argument("--graph", action="store_true", help="print the graph's text of an artifact whole (else its first lines)")


def inspect(options: argparse.Namespace) -> int:
    """Prints what is known of a file."""
    path = Path(options.file)
    try:
        found = contents(path)
    except FileNotFoundError:
        raise CommandError(f"there is no file {path}", FILE_ERROR) from None
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror or error}", FILE_ERROR) from None
    except (ArtifactError, DataLossError, SafetensorError) as error:
        raise CommandError(f"{path}: {message_of(error).removeprefix(f'{path}: ')}", FILE_ERROR) from None
    print(json.dumps(found, indent=2, default=str, allow_nan=False) if options.json else told(found, options.graph))
    return OK


def contents(path: Path) -> dict[str, Any]:
    """What a file holds, as plain data with the keys `file`, `kind`, `bytes`, mostly `tensors`, and more for each kind."""
    if path.is_dir():
        return {"file": str(path), "kind": "run folder", **_run(path)}
    with path.open("rb") as file:
        head = file.read(16)
    about: dict[str, Any] = {"file": str(path), "kind": "", "bytes": path.stat().st_size}
    if ".tfevents." in path.name:
        return {**about, "kind": "TensorBoard event file", **read_events(path)}
    if head[:4] in ZIP and _is_artifact(path):
        return {**about, "kind": "artifact", **_artifact(path)}
    if len(head) >= 9 and head[8:9] == b"{":
        return {**about, "kind": "safetensors", **_safetensors(path)}
    found = load(path)
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict) and "versions" in found:
        return {**about, "kind": "checkpoint", **_checkpoint(found)}
    names = {b"\x93NUMPY": "NumPy array"}
    kind = names.get(head[:6]) or ("NumPy archive" if path.suffix == ".npz" else "saved object")
    return {**about, "kind": kind, **summed(list(tensors_in(found, ""))), "values": _plain(found)}


def _is_artifact(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return artifact.GRAPH in archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False


# ---- kinds ----
def _artifact(path: Path) -> dict[str, Any]:
    found = artifact.read(path)
    manifest = found.manifest
    nodes = [line for line in found.graph.splitlines() if "=" in line]
    return {
        "version": manifest["version"], "inputs": manifest["inputs"], "outputs": _outputs(found.graph), "symbols": manifest["symbols"],
        "opset": manifest["opset"], **summed([_row(n, a.shape, _dtype(a), a.nbytes) for n, a in found.weights.items()]),
        "nodes": len(nodes), "graph": found.graph,
    }  # fmt: skip


def _outputs(graph: str) -> list[str]:
    """The types of what a graph returns, from its text."""
    defined = [line.partition(" = ") for line in graph.splitlines() if " = " in line]
    types = {name.strip(): what.rpartition(" : ")[2] for name, _, what in defined}
    returned = next((line for line in reversed(graph.splitlines()) if line.startswith("return ")), "return ").removeprefix("return ")
    return [types.get(name, name) for name in returned.split(", ") if name]


def _checkpoint(state: Mapping[str, Any]) -> dict[str, Any]:
    rows = list(tensors_in(state["state_dict"], ""))
    others = list(tensors_in(state.get("optimizer_states", []), "optimizer"))
    return {
        "whole": "loop" in state, "epoch": state.get("epoch"), "global_step": state.get("global_step"),
        "metrics": _plain(state.get("metrics", {})), "versions": state["versions"],
        "hyper_parameters": _plain(state.get("hyper_parameters")),
        "callbacks": sorted(state.get("callbacks", {})), **summed(rows), "optimizer_bytes": sum(r["bytes"] for r in others),
    }  # fmt: skip


def _safetensors(path: Path) -> dict[str, Any]:
    rows = []
    with safe_open(path, "np") as file:
        for name in file.keys():  # noqa: SIM118 - not a mapping
            part = file.get_slice(name)
            shape, dtype = part.get_shape(), part.get_dtype()
            bits = {"BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8, "BF16": 16}.get(dtype) or int("".join(c for c in dtype if c.isdigit()) or 8)
            rows.append(_row(name, shape, dtype, int(np.prod(shape, dtype=np.int64)) * bits // 8))
        return {"metadata": dict(file.metadata() or {}), **summed(rows)}


def _run(folder: Path) -> dict[str, Any]:
    record = folder / "config.json"
    if not record.exists():
        raise ArtifactError(f"{folder} is a folder, but not that of a run (it has no config.json)")
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    return {
        "bytes": sum(p.stat().st_size for p in files), "config": json.loads(record.read_text(encoding="utf-8")),
        "files": [{"name": str(p.relative_to(folder)), "bytes": p.stat().st_size} for p in files],
    }  # fmt: skip


# ---- tensors ----
def _row(name: str, shape: Any, dtype: str, count: int) -> dict[str, Any]:
    return {"name": name, "shape": [int(n) for n in shape], "dtype": dtype, "bytes": int(count)}


def _dtype(array: np.ndarray) -> str:
    return str(array.dtype)


def tensors_in(tree: Any, path: str) -> Any:
    """A row for each tensor in nested dicts, lists and tuples."""
    if isinstance(tree, Tensor):
        yield _row(path or "(itself)", tree.shape, str(tree.dtype).split(".")[-1], tree.numel() * tree.element_size())
    elif isinstance(tree, np.ndarray):
        yield _row(path or "(itself)", tree.shape, str(tree.dtype), tree.nbytes)
    elif isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from tensors_in(value, f"{path}.{name}" if path else str(name))
    elif isinstance(tree, list | tuple):
        for number, value in enumerate(tree):
            yield from tensors_in(value, f"{path}[{number}]")
    elif hasattr(tree, "state_dict"):
        yield from tensors_in(tree.state_dict(), path)


def summed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The rows, with how many elements and bytes they are together."""
    return {
        "tensors": rows, "total_elements": sum(int(np.prod(r["shape"], dtype=np.int64)) for r in rows),
        "total_bytes": sum(r["bytes"] for r in rows),
    }  # fmt: skip


def _plain(tree: Any) -> Any:
    """What of a tree is neither a tensor nor a container, in the containers' places; None where nothing is."""
    if isinstance(tree, Mapping):
        made = {str(k): _plain(v) for k, v in tree.items()}
        return {k: v for k, v in made.items() if v is not None} or None
    if isinstance(tree, list | tuple):
        return [v for v in map(_plain, tree) if v is not None] or None
    if isinstance(tree, float) and (tree != tree or tree in (float("inf"), float("-inf"))):
        return str(tree)  # JSON has no word for these
    return tree if isinstance(tree, int | float | str | bool) else None


# ---- telling ----
GRAPH_LINES = 30


def told(found: Mapping[str, Any], whole_graph: bool) -> str:
    """The same for people."""
    lines = [f"{found['file']}: {found['kind']}, {size(found['bytes'])}"]
    special: dict[str, Callable[[Any], list[str]]] = {
        "tensors": _tensor_lines, "scalars": _scalar_lines, "files": lambda v: [f"  {f['name']}  {size(f['bytes'])}" for f in v],
        "graph": lambda v: _graph_lines(v, whole_graph), "inputs": lambda v: ["inputs:", *(f"  {_signature(i)}" for i in v)],
    }  # fmt: skip
    for key, value in found.items():
        if key in ("file", "kind", "bytes", "total_bytes", "total_elements", "opset") or value in (None, {}, []):
            continue
        if key in special:
            lines += special[key](value)
        elif isinstance(value, Mapping):
            lines += [f"{key}:", *(f"  {k}: {v}" for k, v in value.items())]
        else:
            lines.append(f"{key}: {size(value) if key.endswith('_bytes') else value}")
    if found.get("tensors"):
        lines.append(f"{len(found['tensors'])} tensors, {found['total_elements']:,} elements, {size(found['total_bytes'])}")
    return "\n".join(lines)


def _tensor_lines(rows: list[dict[str, Any]]) -> list[str]:
    body = [[r["name"], str(r["shape"]), r["dtype"], size(r["bytes"])] for r in rows]
    return table(body, ["tensor", "shape", "dtype", "size"]).split("\n")


def _scalar_lines(rows: list[dict[str, Any]]) -> list[str]:
    body = [[r["tag"], str(r["count"]), str(r["last_step"]), f"{float(r['last']):.6g}"] for r in rows]
    return table(body, ["scalar", "values", "last step", "last value"]).split("\n")


def _graph_lines(text: str, whole: bool) -> list[str]:
    lines = text.rstrip().splitlines()
    if not whole and len(lines) > GRAPH_LINES:
        return ["graph:", *lines[:GRAPH_LINES], f"... {len(lines) - GRAPH_LINES} lines more: --graph"]
    return ["graph:", *lines]


def _signature(given: Any) -> str:
    if isinstance(given, Mapping) and "dtype" in given and given["dtype"] is not None:
        return f"{given.get('name', '')}: {given['dtype']}[{', '.join(map(str, given.get('shape') or ()))}]"
    return str(given)
