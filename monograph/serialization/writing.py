"""`save`: one zip file with the tree of the object as JSON and its tensors beside it. No pickle, no code."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from typing import IO, Any

from monograph.core.dtype import complex128
from monograph.nn.parameter import Parameter
from monograph.serialization import tensor_file
from monograph.serialization.tree import Encoder
from monograph.tensor.core import Tensor
from monograph.tensor.dispatch import evaluate

TREE, TENSORS, FORMAT = "monograph.json", "tensors.safetensors", 1
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same object gives the same bytes


def save(obj: Any, f: Any, pickle_module: Any = None, pickle_protocol: int = 2, _use_new_zipfile_serialization: bool = True) -> None:
    """Writes tensors and the plain containers that hold them to a file: a path, or an object with `write`.

    A path is written beside and put in place at the end, so that a crash leaves the old file whole. Tensors that are the same memory are
    written once and are the same memory again after `load`; a view is written as what it shows. A module is written as the name of its
    class and its state (better save `model.state_dict()`), a dataclass as its fields, which come back as an argparse.Namespace, a member of
    an Enum as its value; functions and other objects are refused with a TypeError that says where they are. The `pickle_` arguments are
    torch's and mean nothing here.
    """
    tree, tensors = _described(obj)
    if not isinstance(f, str | bytes | os.PathLike):
        if not hasattr(f, "write"):
            raise TypeError(f"save() takes a path or an object with write(), got {type(f).__name__}")
        _write(f, tree, tensors)
        return
    path = os.fspath(f)
    path = path.decode() if isinstance(path, bytes) else path
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise RuntimeError(f"Parent directory {os.path.dirname(path)} does not exist.")
    if os.path.exists(path) and not os.path.isfile(path):  # a device or pipe cannot be replaced
        if os.path.isdir(path):
            raise IsADirectoryError(f"save: {path} is a directory")
        with open(path, "wb") as out:
            _write(out, tree, tensors)
        return
    number, beside = tempfile.mkstemp(prefix=os.path.basename(path) + ".", suffix=".part", dir=folder)
    try:
        with os.fdopen(number, "wb") as out:
            _write(out, tree, tensors)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(beside, os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o666 & ~_umask())
        os.replace(beside, os.path.realpath(path))
    except BaseException:
        if os.path.exists(beside):
            os.unlink(beside)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _described(obj: Any) -> tuple[bytes, dict[str, Tensor]]:
    """(the JSON tree, the tensors to write by name)."""
    tensors: dict[str, Tensor] = {}
    names: dict[tuple[int, Any, Any], str] = {}  # of memory already placed
    objects: dict[int, int] = {}

    def place(t: Tensor, path: str) -> Any:
        entry: dict[str, Any] = {}
        if isinstance(t, Parameter):
            entry["parameter"] = objects.setdefault(id(t), len(objects))  # two modules that share a parameter share it again
        if t.requires_grad and t.is_leaf:
            entry["requires_grad"] = True
        if t.device.type == "meta":
            return {"tensor": {"meta": [t.dtype.name, list(t.shape)], **entry}}
        memory = (_memory(t), tuple(t.shape), t.dtype)
        name = names.get(memory)
        if name is None:
            name = path or "tensor"
            while name in tensors or name == "__metadata__":
                name += "_"
            names[memory] = name
            tensors[name] = t
        if t.dtype is complex128:
            entry["dtype"] = "complex128"
        return {"tensor": {"name": name, **entry}}

    tree = Encoder(place).encode(obj)
    evaluate(tensors.values())
    text = json.dumps({"format": FORMAT, "tree": tree}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass"), tensors


def _memory(t: Tensor) -> Any:
    """What two tensors have in common exactly if they are the same elements of the same memory."""
    base = t if t._base is None else t._base
    return (id(base._twins) if base._twins is not None else id(base), t._steps)


def _write(out: IO[bytes], tree: bytes, tensors: dict[str, Tensor]) -> None:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        archive.writestr(zipfile.ZipInfo(TREE, _EPOCH), tree)
        with archive.open(zipfile.ZipInfo(TENSORS, _EPOCH), "w", force_zip64=True) as entry:
            tensor_file.write(entry, tensors)
